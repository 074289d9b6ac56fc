"""Calibration: a statistic's chance, and once in how many windows; frozen, or from a feed's own history."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel import codec
from tracewave_panel.core.calibration import (
    REFERENCE_VERSION,
    DetectorTable,
    Reference,
    Returns,
    Tail,
    calibrated,
    episode_peaks,
    spoke,
    subsets,
)
from tracewave_panel.core.own_history import OwnHistory, OwnHistorySettings, OwnHistoryState
from tracewave_panel.errors import ConfigError
from tracewave_panel.model import Score
from tracewave_panel.references import load_reference, save_reference, shipped_reference

NORMAL = np.random.default_rng(5).normal(size=400_000)


@pytest.mark.parametrize("p", [0.2, 0.01, 1e-4, 1e-6, 1e-8])
def test_tail_of_a_normal_sample_is_that_of_the_normal_distribution(p):
    from scipy.stats import norm  # noqa: PLC0415

    tail = Tail.fitted(NORMAL)
    assert tail.log10(float(norm.isf(p))) == pytest.approx(math.log10(p), abs=0.05 if p > 1e-4 else 1.6)


def test_tail_beyond_the_sample_goes_on_as_a_heavy_one_does():
    tail = Tail.fitted(np.random.default_rng(1).pareto(4.0, 200_000), share=0.02)  # P(X > x) = (1 + x)^-4
    assert tail.shape == pytest.approx(0.25, abs=0.06)
    assert tail.log10(1000.0) == pytest.approx(-4 * math.log10(1001.0), abs=1.5)


@given(st.floats(-50, 50), st.floats(-50, 50))
@settings(max_examples=200, deadline=None)
def test_larger_statistic_is_never_more_likely(one, other):
    tail = Tail.fitted(NORMAL[:5000])
    low, high = sorted((one, other))
    assert 0.0 >= tail.log10(low) >= tail.log10(high) >= -300.0


@pytest.mark.parametrize(
    "sample", [np.zeros(500), np.repeat([0.0, 1.0], [499, 1]), np.arange(3.0)], ids=["all equal", "one other", "three"]
)
def test_poor_samples_still_make_a_finite_tail(sample):
    tail = Tail.fitted(sample)
    for statistic in (-1.0, 0.0, 0.5, 1.0, 100.0):
        assert math.isfinite(tail.log10(statistic))
        assert tail.log10(statistic) <= 0.0


def test_many_at_once_are_the_same_as_one_by_one_and_nan_stays_nan():
    table = DetectorTable.fitted(NORMAL[:20_000], two_sided=True, settings="")
    statistics = np.append(np.linspace(-9, 9, 400), np.nan)
    many = table.log10_many(statistics)
    assert many[:-1] == pytest.approx([table.log10(float(one)) for one in statistics[:-1]], abs=1e-12)
    assert math.isnan(many[-1])


def test_two_sided_table_knows_both_ends_and_a_one_sided_one_only_the_upper():
    both = DetectorTable.fitted(NORMAL, two_sided=True, settings="")
    upper = DetectorTable.fitted(NORMAL, two_sided=False, settings="")
    assert both.log10(-4.0) == pytest.approx(both.log10(4.0), abs=0.3)
    assert both.log10(4.0) == pytest.approx(upper.log10(4.0) + math.log10(2))
    assert upper.log10(-4.0) > -0.01
    assert both.log10(0.0) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("log10_p", "score", "fired"), [(-8.0, 0.8, True), (-5.0, 0.5, True), (-4.99, 0.499, False), (-40.0, 1.0, True)]
)
def test_score_is_a_tenth_of_the_powers_of_ten(log10_p, score, fired):
    told = calibrated(Score("a", 7.0, direction=1, expected=3.0, spread=1.0, span=30), log10_p)
    assert (told.score, told.fired) == (pytest.approx(score), fired)
    assert told.p == pytest.approx(10.0**log10_p)
    assert (told.statistic, told.direction, told.expected, told.spread, told.span) == (7.0, 1, 3.0, 1.0, 30)
    assert math.copysign(1.0, calibrated(Score("a"), 0.0).score) == 1.0


@pytest.mark.parametrize(
    ("evidence", "peaks"),
    [
        ([0, 0, 0, 0], []),
        ([5, 0, 0, 7], [7]),
        ([5, 0, 0, 0, 7], [5, 7]),
        ([3, 4, 5, 5, 0, 0, 0, 0, 9], [5, 9]),
        ([9, 0, 0, 0], [9]),
    ],
)
def test_episodes_are_parted_by_quiet_windows(evidence, peaks):
    assert episode_peaks(np.array(evidence, dtype=float), 3.0, quiet=3).tolist() == peaks


def test_returns_count_the_windows_between_two_episodes():
    run = np.zeros(100_000)
    run[::1000] = 2.0  # 100 episodes
    run[::5000] = 4.0  # 20 of them stronger
    returns = Returns.fitted([[run]], quiet=60)
    assert returns.windows(1.5) == pytest.approx(100_000 / (100 + 10), rel=0.01)
    assert returns.windows(3.5) == pytest.approx(100_000 / (20 + 20**0.5), rel=0.01)
    assert returns.windows(8.0) > 5000
    assert returns.windows(0.0) == 0.0


def test_returns_are_those_of_the_group_that_alarms_most():
    calm, busy = np.zeros(50_000), np.zeros(50_000)
    calm[::5000], busy[::500] = 3.0, 3.0
    assert Returns.fitted([[calm], [busy]], quiet=60).windows(2.5) == pytest.approx(50_000 / (100 + 10), rel=0.01)


def test_budget_chosen_by_returns_is_kept_on_another_stream():
    rng = np.random.default_rng(3)
    returns = Returns.fitted([[rng.exponential(1.0, 500_000)]], quiet=60)
    fresh = rng.exponential(1.0, 500_000)
    alerting = returns.windows_many(fresh) >= 20_000
    episodes = len(episode_peaks(alerting.astype(float), 1.0, quiet=60))
    assert 12 <= episodes <= 33  # at most 25 are asked for


@given(st.lists(st.floats(0, 30), min_size=2, max_size=2))
@settings(max_examples=100, deadline=None)
def test_more_evidence_is_never_more_common(pair):
    returns = Returns.fitted([[np.random.default_rng(1).exponential(1.0, 20_000)]], quiet=60)
    low, high = sorted(pair)
    assert returns.windows(low) <= returns.windows(high)
    assert returns.windows_many(np.array(pair)) == pytest.approx([returns.windows(one) for one in pair])


def test_every_choice_of_detectors_has_a_key():
    assert sorted(map(spoke, subsets(["b", "a"]))) == ["a", "a+b", "b"]


QUICK = OwnHistorySettings(after=2000, refit=500, largest=200, share=0.05)


def seen(windows: int, history: OwnHistory | None = None, seed: int = 1) -> OwnHistory:
    history = history or OwnHistory(QUICK, {"a": True}, quiet=10)
    for value in np.random.default_rng(seed).normal(size=windows):
        history.learn("a", float(value))
        if history.tables:
            history.learn_evidence(max(0.0, -history.tables["a"].log10(float(value)) - 1.0))
    return history


def test_own_history_makes_its_table_once_it_has_seen_enough():
    early = seen(1999)
    assert (early.tables, early.windows_left("a")) == ({}, 1)
    table = seen(2000).tables["a"]
    assert table.log10(3.3) == pytest.approx(-3.0, abs=0.5)
    assert table.log10(-3.3) == pytest.approx(-3.0, abs=0.5)


def test_own_history_learns_how_rare_evidence_is():
    history = seen(20_000)
    assert history.returns is not None
    assert 500 < history.returns.windows(2.0) < 5000  # 1,000, but the tail is thought heavier than a normal one


def test_own_history_fades_so_that_a_new_level_becomes_ordinary():
    history = seen(4000)
    before = history.tables["a"].log10(6.0)
    for value in np.random.default_rng(2).normal(scale=3.0, size=20_000):
        history.learn("a", float(value))
    assert history.tables["a"].log10(6.0) > before + 2


def test_own_history_stays_small():
    history = seen(50_000)
    assert len(codec.pack(history.snapshot())) < 20_000


@given(st.integers(0, 3000))
@settings(max_examples=10, deadline=None)
def test_own_history_goes_on_from_a_snapshot(at):
    whole = seen(3000)
    values = np.random.default_rng(1).normal(size=3000).tolist()
    begun, restored = OwnHistory(QUICK, {"a": True}, 10), OwnHistory(QUICK, {"a": True}, 10)
    for history, part in ((begun, values[:at]), (restored, values[at:])):
        if history is restored:
            restored.restore(codec.decode_packed(codec.pack(begun.snapshot()), OwnHistoryState))
        for value in part:
            history.learn("a", value)
            if history.tables:
                history.learn_evidence(max(0.0, -history.tables["a"].log10(value) - 1.0))
    assert codec.pack(restored.snapshot()) == codec.pack(whole.snapshot())


@pytest.mark.parametrize("wrong", [{"after": 1}, {"refit": 0}, {"share": 0.5}, {"shapes": (0.3, 0.0)}])
def test_own_history_that_never_makes_a_table_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        OwnHistorySettings(**wrong)


def reference() -> Reference:
    table = DetectorTable.fitted(NORMAL[:2000], two_sided=True, settings="x")
    returns = Returns((1.0, 2.0), (2.0, 3.0), 1.0)
    return Reference(
        REFERENCE_VERSION, "wikimedia", 1.0, "a sample", 2000, "", {"rate": {"a": table}}, {"rate": {"a": returns}}
    )


def test_reference_survives_its_file(tmp_path):
    save_reference(tmp_path / "new" / "own.json", reference())
    assert load_reference(tmp_path / "new" / "own.json") == reference()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"[", "not a reference"),
        (b'{"version": 99}', "version 99"),
        (b'{"version": 1}', "not a reference"),
    ],
)
def test_file_that_is_no_reference_says_so(tmp_path, content, words):
    path = tmp_path / "own.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        load_reference(path)


def test_feed_without_shipped_reference_has_none():
    assert shipped_reference("no such feed", 1.0) is None


def test_reference_is_frozen():
    with pytest.raises(AttributeError):
        reference().windows = 3  # type: ignore[misc]
    assert msgspec.structs.asdict(reference())["feed"] == "wikimedia"
