"""Simulated windows as arrays: those that folding the same edits makes, with the incidents that were asked for."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from tracewave_panel.core.fold import Fold
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.lab.simulated import schedule, simulated
from tracewave_panel.sources.synthetic_incidents import KINDS, Incident, plant
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings, Traffic
from tracewave_panel.sources.synthetic_world import event_at

START = 1_767_225_600.0
BURSTS = (Incident("bot_burst", 40), Incident("drop", 130, length=30), Incident("outage", 170, length=7))


def folded(settings, start, windows, incidents):
    """Fold the edits of the traffic, one Event after the other."""
    planted = iter([plant(one, start, settings.seed) for one in incidents])
    traffic = Traffic(settings, start, planted)
    folds = defaultdict(lambda: Fold(WIKIMEDIA))
    while traffic.until < start + windows:
        edits = traffic.block()
        for at, time in enumerate(edits.arrived_at.tolist()):
            folds[int(time - start)].pending.append(event_at(edits, at, id=str(at), time=time, arrived_at=time))
    return [folds[second] for second in range(windows)]


@pytest.mark.parametrize(
    ("settings", "windows", "incidents"),
    [
        (SyntheticSettings(seed=3), 200, ()),
        (SyntheticSettings(seed=4, rate=0.5), 190, BURSTS),
        (SyntheticSettings(seed=5, rate=300.0, dispersion=4.0), 100, BURSTS),
        (SyntheticSettings(seed=6, rate=3.0), 3725, BURSTS),
        (SyntheticSettings(seed=7, dispersion=12.0), 1, ()),
    ],
)
def test_windows_are_those_that_folding_the_same_edits_makes(settings, windows, incidents):
    made = simulated(settings, START, windows, incidents=incidents)
    folds = folded(settings, START, windows, incidents)
    assert made.features.tolist() == [list(fold.features(1.0)) for fold in folds]
    assert made.starts.tolist() == [START + second for second in range(windows)]
    for second in range(0, windows, 17):
        assert made.dimension_counts(second, second + 1) == folds[second].dimension_counts()


def test_an_edit_whose_time_is_rounded_into_the_next_minute_is_counted_there():
    settings = SyntheticSettings(seed=8, rate=1500.0)
    traffic = Traffic(settings, START, iter(()))
    rounded = sum(int((traffic.block().arrived_at == START + minute).sum()) for minute in (60, 120, 180))
    assert rounded > 0  # else this proves nothing
    made = simulated(settings, START, 181)
    folds = folded(settings, START, 181, ())
    assert made.features[[60, 120, 180]].tolist() == [list(folds[at].features(1.0)) for at in (60, 120, 180)]


def test_counts_of_a_stretch_are_the_sums_of_its_windows():
    made = simulated(SyntheticSettings(seed=2), START, 100)
    total = [defaultdict(int) for _ in WIKIMEDIA.dimensions]
    for second in range(20, 50):
        for held, counts in zip(total, made.dimension_counts(second, second + 1), strict=True):
            for value, count in counts.items():
                held[value] += count
    assert made.dimension_counts(20, 50) == tuple(total)
    assert made.dimension_counts(20, 20) == tuple({} for _ in WIKIMEDIA.dimensions)


def test_a_longer_stream_begins_with_the_shorter_one():
    short, long = (simulated(SyntheticSettings(seed=2), START + 0.7, windows) for windows in (3590, 3700))
    assert np.array_equal(long.features[:3590], short.features)
    assert short.starts[0] == START


@pytest.mark.parametrize(
    ("kind", "effect", "length", "chosen", "factor"),
    [
        ("surge", 3.0, 60, {"dimensions": ("wiki",), "culprit": {"actor": "bot"}}, 3.0),
        ("surge", 1.25, 600, {}, 1.25),
        ("bot_burst", 2.0, 60, {}, 2.0),
        ("wiki_spike", 1.5, 60, {}, 1.5),
        ("namespace_spike", 1.5, 60, {}, 1.5),
        ("actor_spike", 1.5, 60, {}, 1.5),
        ("language_spike", 1.5, 60, {}, 1.5),
        ("burst", 5.0, 3, {}, 5.0),
        ("flash_crowd", 2.0, 300, {}, 1.44),
        ("drift", 1.5, 1800, {}, 1.25),
        ("drop", 0.25, 60, {}, 0.25),
        ("drop", 0.5, 60, {}, 0.5),
        ("outage", None, 60, {}, 0.0),
    ],
)
def test_every_kind_of_the_evaluation_does_what_it_says(kind, effect, length, chosen, factor):
    incidents = schedule(kind, 1, 0.5, effect=effect, length=length, after=300.0, **chosen)
    made = simulated(SyntheticSettings(seed=9, rate=15.0), START, 43_200, incidents=incidents)
    assert [planted.start - START for planted in made.truth] == [incident.after for incident in incidents]
    during, before, shares = [], [], []
    for planted in made.truth:
        begin, end = int(planted.start - START), int(planted.end - START)
        assert end - begin == length
        assert set(planted.culprit) >= set(chosen.get("dimensions", KINDS[kind].dimensions))
        during.append(made.features[begin:end, 0].mean())
        before.append(np.r_[made.features[begin - 120 : begin, 0], made.features[end + 60 : end + 180, 0]].mean())
        stretches = made.dimension_counts(begin, end), made.dimension_counts(begin - 300, begin)
        for name, value in planted.culprit.items():
            at = WIKIMEDIA.dimensions.index(name)
            shares.append([counts[at].get(value, 0) / max(1, sum(counts[at].values())) for counts in stretches])
    assert np.mean(during) == pytest.approx(factor * np.mean(before), rel=0.1, abs=0.1)
    if shares and factor > 1:
        now, usually = np.mean(shares, axis=0)
        assert now > 1.2 * usually


def test_a_schedule_leaves_quiet_between_incidents_and_is_the_same_for_a_seed():
    planted = schedule("surge", 3, 2.0, effect=1.5, length=60)
    assert planted == schedule("surge", 3, 2.0, effect=1.5, length=60)
    assert planted != schedule("surge", 4, 2.0, effect=1.5, length=60)
    assert len(planted) == 67
    assert planted[0].after >= 3 * 3600
    assert planted[-1].after + 60 <= 2 * 86400
    assert min(b.after - a.after - 60 for a, b in pairwise(planted)) >= 300
    long = schedule("drift", 3, 2.0)
    assert min(b.after - a.after - 900 for a, b in pairwise(long)) >= 300


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: simulated(SyntheticSettings(), START, 0), "at least one"),
        (lambda: simulated(SyntheticSettings(), START, 60, incidents=(Incident("feed_stall", 5),)), "feed_stall"),
        (lambda: simulated(SyntheticSettings(), START, 60, incidents=(Incident("quake", 5),)), "quake"),
        (lambda: schedule("quake", 1, 1.0), "quake"),
    ],
)
def test_what_cannot_be_simulated_is_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
