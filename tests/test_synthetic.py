"""Simulated edits: reproducible, shaped like real ones, with incidents that the truth tells of."""

from __future__ import annotations

import re
import time
from collections import Counter
from functools import lru_cache
from itertools import islice

import msgspec
import numpy as np
import pytest

from tracewave_panel.core.windows import TumblingWindows
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Origin, Quality, Status
from tracewave_panel.ports import Source
from tracewave_panel.sources.bundled import BUNDLED_NAME, BUNDLED_START, bundled_simulation
from tracewave_panel.sources.recording import read_recording
from tracewave_panel.sources.synthetic import SyntheticSettings, SyntheticSource, Truth, simulate, write_simulation
from tracewave_panel.sources.synthetic_incidents import FAULTS, KINDS, Incident, default_schedule
from tracewave_panel.sources.synthetic_traffic import Traffic

START = 1_767_225_600.0
QUIET = SyntheticSettings(incidents=())


def windows_of(batches):
    windows = TumblingWindows(WIKIMEDIA, 1.0)
    return [window for batch in batches for window in windows.push(batch)]


def counts_of(batches, duration):
    times = [event.time - START for batch in batches for event in batch.events if event.time >= START]
    return np.bincount(np.asarray(times, int), minlength=duration)[:duration]


@lru_cache
def before_the_incident():
    clean = simulate(msgspec.structs.replace(with_incident("drop"), incidents=()), START, 300)
    return [event for batch in clean.recording() for event in batch.events]


def with_incident(kind, **fields):
    return SyntheticSettings(seed=5, incidents=(Incident(kind, 300, **fields),))


def test_the_same_seed_and_start_give_the_same_stream():
    settings = SyntheticSettings(seed=3)
    first, second = (simulate(settings, START, 400) for _ in range(2))
    assert first.truth == second.truth
    assert first.truth
    batches = list(first.recording())
    assert batches == list(second.recording())
    for other in (simulate(SyntheticSettings(seed=4), START, 10), simulate(settings, START + 1, 10)):
        assert list(other.recording())[:20] != batches[:20]


def test_the_warm_up_is_the_same_stream_without_incidents():
    settings = with_incident("outage")
    split, whole = (simulate(settings, START, 400, warm_up=120) for _ in range(2))
    warm_up, recording = list(split.warm_up()), list(split.recording())
    assert warm_up[-1].arrived_at == START
    assert recording[0].arrived_at == pytest.approx(START + 0.1)
    assert recording[-1].arrived_at == START + 400
    assert list(whole.recording()) == recording
    assert [one.start for one in split.truth] == [START + 300]
    watermarks = [batch.watermark for batch in warm_up + recording]
    assert watermarks == sorted(watermarks)


@pytest.mark.parametrize("dispersion", [4.0, 8.0, 12.0])
def test_counts_scatter_as_they_are_told_to(dispersion):
    settings = msgspec.structs.replace(QUIET, dispersion=dispersion)
    counts = counts_of(simulate(settings, START, 1800).recording(), 1800)[10:]
    mean = counts.mean()
    assert 22 < mean < 40
    scatter = np.diff(counts).var() / 2  # of neighbours, so that the slow walk does not matter
    assert scatter == pytest.approx(mean + mean**2 / dispersion, rel=0.2)


def test_the_day_has_a_morning_low_and_an_evening_high():
    traffic = [Traffic(QUIET, START + hour * 3600, iter(())) for hour in (6, 18)]
    low, high = (sum(len(one.block().cell) for _ in range(15)) for one in traffic)
    assert high > 1.4 * low


def test_events_look_like_edits_and_name_nobody():
    events = [event for batch in simulate(QUIET, START, 300).recording() for event in batch.events]
    assert len({event.id for event in events}) == len(events)
    wikis = Counter(event.dimensions[0] for event in events)
    assert wikis.most_common(1)[0][0] == "en.wikipedia.org"
    assert len(wikis) > 60
    assert all(len(event.dimensions) == len(WIKIMEDIA.dimensions) for event in events)
    assert all(re.fullmatch(r"(Bot|Editor|Visitor) \d+", event.actor) for event in events)
    assert all(re.fullmatch(r"([A-Z][a-z ]+:)?(Page|Editor|Picture|Box|Group) \d+", event.title) for event in events)
    assert all(event.subject == f"{event.dimensions[0]}:{event.title}" and not event.link for event in events)
    lags = np.array([event.arrived_at - event.occurred_at for event in events])
    assert 0.8 < np.median(lags) < 1.25
    assert 6 < np.quantile(lags, 0.99) < 18
    sizes = np.abs([event.measures[0] for event in events])
    assert np.quantile(sizes, 0.99) > 20 * np.median(sizes)
    second = [event for event in events if 100 <= event.time - START < 110]
    assert 0.5 < len({event.actor for event in second}) / len(second) < 0.95
    share = sum(event.dimensions[4] == "new" for event in events) / len(events)
    assert 0.02 < share < 0.07


def test_a_quiet_stream_is_live_with_ordinary_windows():
    batches = list(simulate(QUIET, START, 600).recording())
    assert all(batch.status is Status.LIVE for batch in batches[20:])
    assert {window.quality for window in windows_of(batches)[20:]} == {Quality.OK}
    assert max(batch.arrived_at - batch.watermark for batch in batches[20:]) < 2.5


@pytest.mark.parametrize(
    ("kind", "factor"),
    [
        ("bot_burst", 2.5),
        ("surge", 1.5),
        ("wiki_spike", 1.8),
        ("namespace_spike", 1.8),
        ("actor_spike", 1.8),
        ("language_spike", 1.8),
        ("flash_crowd", 1 + 1.5 * 0.43),
        ("drift", 1.3),
        ("drop", 0.3),
        ("outage", 0.0),
    ],
)
def test_an_incident_does_what_the_truth_says(kind, factor):
    simulation = simulate(with_incident(kind), START, 300 + int(KINDS[kind].length) + 60)
    (planted,) = simulation.truth
    events = [event for batch in simulation.recording() for event in batch.events]
    usual = before_the_incident()

    def within(which, start, end, culprit):
        wanted = [(WIKIMEDIA.dimensions.index(dimension), value) for dimension, value in culprit.items()]
        return sum(start <= e.time < end and all(e.dimensions[i] == value for i, value in wanted) for e in which)

    expected = within(usual, START + 100, START + 300, {}) / 200 * (planted.end - planted.start)
    extra = within(events, planted.start, planted.end, {}) - expected
    assert extra == pytest.approx((factor - 1) * expected, abs=0.3 * expected)
    assert within(events, START, planted.start, {}) == pytest.approx(within(usual, START, planted.start, {}), rel=0.02)
    assert set(planted.culprit) >= set(KINDS[kind].dimensions)
    if planted.culprit and factor > 1:
        culprits = within(events, planted.start, planted.end, planted.culprit)
        assert culprits > 0.8 * extra


def test_a_bot_burst_is_one_bot_on_many_pages():
    simulation = simulate(with_incident("bot_burst", culprit={"wiki": "fr.wikipedia.org"}), START, 360)
    (planted,) = simulation.truth
    assert planted.culprit == {"wiki": "fr.wikipedia.org", "actor": "bot"}
    burst = [e for batch in simulation.recording() for e in batch.events if planted.start <= e.time < planted.end]
    (name, count), _ = Counter(event.actor for event in burst).most_common(2)
    assert name.startswith("Bot ")
    assert count > 0.5 * len(burst)
    assert len({event.subject for event in burst if event.actor == name}) > 0.9 * count


def test_an_outage_is_true_silence():
    simulation = simulate(with_incident("outage"), START, 420)
    during = [w for w in windows_of(simulation.recording()) if START + 302 <= w.start < START + 358]
    assert len(during) == 56
    assert {(window.count, window.quality) for window in during} == {(0, Quality.OK)}


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_a_fault_delays_edits_and_loses_none(kind):
    faulty = simulate(with_incident(kind), START, 420)
    clean = simulate(msgspec.structs.replace(faulty.settings, incidents=()), START, 420)
    batches = list(faulty.recording())
    events = {e.id: e for batch in batches for e in batch.events}
    usual = {e.id: e for batch in clean.recording() for e in batch.events}
    assert events.keys() == usual.keys()
    (planted,) = faulty.truth
    assert not any(planted.start + 0.2 < event.arrived_at < planted.end for event in events.values())
    assert Status.CATCH_UP in {batch.status for batch in batches if batch.arrived_at > planted.start}
    assert batches[-1].status is Status.LIVE
    windows = windows_of(batches)
    counts = np.array(
        [w.count for w in windows if w.quality.judged and planted.start - 5 <= w.start < planted.end + 30]
    )
    assert counts.max() < 90
    told = {window.quality for window in windows if planted.start + 2 <= window.start < planted.end - 2}
    assert told & {Quality.BACKFILLED, Quality.REVISED}


def test_the_default_schedule_holds_every_kind_with_quiet_between():
    incidents = list(islice(default_schedule(1, 240.0), 300))
    assert {incident.kind for incident in incidents} == {name for name, kind in KINDS.items() if kind.weight}
    ends = [incident.after + KINDS[incident.kind].length for incident in incidents]
    gaps = np.array([after.after - end for after, end in zip(incidents[1:], ends, strict=False)])
    assert gaps.min() > 100
    assert 150 < gaps.mean() < 210
    assert [incident.after for incident in islice(default_schedule(2, 240.0), 9)] != [i.after for i in incidents[:9]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SyntheticSettings(rate=0),
        lambda: SyntheticSettings(seed=-1),
        lambda: SyntheticSettings(dispersion=float("nan")),
        lambda: SyntheticSource(SyntheticSettings(speed=0)),
        lambda: simulate(SyntheticSettings(incidents=(Incident("earthquake", 1),)), START, 10),
        lambda: simulate(SyntheticSettings(incidents=(Incident("drop", 1, length=-1),)), START, 10),
        lambda: list(
            simulate(
                SyntheticSettings(incidents=(Incident("wiki_spike", 1, culprit={"wiki": "x"}),)), START, 10
            ).recording()
        ),
    ],
)
def test_wrong_settings_are_refused(make):
    with pytest.raises(ConfigError):
        make()


async def test_the_source_runs_in_real_time():
    source = SyntheticSource(SyntheticSettings(seed=9, speed=10), clock=lambda: START + 0.7)
    assert isinstance(source, Source)
    assert source.origin is Origin.SIMULATED
    assert source.status().state.word == "connecting"
    began = time.monotonic()
    batches = []
    async for batch in source.batches():
        batches.append(batch)
        if batch.arrived_at >= START + 10:
            await source.stop()
    assert 0.8 < time.monotonic() - began < 1.6
    assert batches == list(simulate(SyntheticSettings(seed=9), START, 10).recording())
    status = source.status()
    assert status.state.word == "ended"
    assert status.counters["events"] == sum(len(batch.events) for batch in batches)
    assert 0 < status.lag < 5


async def test_stopping_the_source_is_quick():
    source = SyntheticSource(SyntheticSettings(speed=0.001), clock=lambda: START)
    iterator = source.batches()
    await anext(iterator)
    began = time.monotonic()
    await source.stop()
    assert [batch async for batch in iterator] == []
    assert time.monotonic() - began < 0.2


def test_the_bundled_recording(tmp_path):
    path = tmp_path / BUNDLED_NAME
    truth_path = write_simulation(path, bundled_simulation())
    assert path.stat().st_size < 5_000_000
    header, reader = read_recording(path)
    batches = list(reader)
    assert (header.origin, header.started_at, header.ended_at) == (
        Origin.SIMULATED, BUNDLED_START, BUNDLED_START + 1800
    )  # fmt: skip
    assert header.truth == truth_path.name
    assert batches[-1].arrived_at == BUNDLED_START + 1800
    assert reader.damage is None
    truth = msgspec.json.decode(truth_path.read_bytes(), type=Truth)
    assert truth.planted == bundled_simulation().truth
    first = truth.planted[0]
    assert (first.kind, first.start) == ("bot_burst", BUNDLED_START + 20)
    assert {"drop", "flash_crowd", "wiki_spike", "reconnect_backlog", "surge"} <= {one.kind for one in truth.planted}
    assert all(b.start - a.end > 60 for a, b in zip(truth.planted, truth.planted[1:], strict=False))
    events = sum(len(batch.events) for batch in batches)
    assert 50_000 < events < 80_000
    assert {window.quality for window in windows_of(batches)} >= {Quality.OK, Quality.GAP, Quality.REVISED}
    revealing = re.compile("|".join(KINDS))
    assert not any(revealing.search(e.title + e.actor + e.id) for batch in batches for e in batch.events)
