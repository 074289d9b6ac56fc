"""Lane: scores get their p from the reference, from the feed's own history, or from a safe default that says so."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel import codec
from tracewave_panel.core.analyzer import Analyzer, AnalyzerSettings
from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.core.detectors.half_space_trees import HalfSpaceTrees, TreesSettings
from tracewave_panel.core.detectors.novelty import Novelty, NoveltySettings
from tracewave_panel.core.detectors.seasonal import Seasonal, SeasonalSettings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.core.ensemble import EnsembleSettings
from tracewave_panel.core.episodes import Episodes, EpisodeSettings
from tracewave_panel.core.lane import Lane, LaneSettings, LaneState
from tracewave_panel.core.own_history import OwnHistorySettings
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.lab.calibrate import Run, make_reference
from tracewave_panel.lab.engine import judge, openings
from tracewave_panel.model import AnomalyKind, Quality, Window

RATE = WIKIMEDIA.metrics[0]
START = 1_767_225_600.0
DETECTORS = {
    "zscore": (ZScore, msgspec.structs.replace(ZScore.defaults, warm_up=70)),
    "ewma": (EwmaChart, msgspec.structs.replace(EwmaChart.defaults, warm_up=70)),
    "trees": (HalfSpaceTrees, TreesSettings(trees=3, height=4, window=50, warm_up=100)),
    "novelty": (Novelty, NoveltySettings(aggregate=5, length=2, memory=200, warm_up=20)),
    "seasonal": (Seasonal, SeasonalSettings(spans=(30,), memory=300.0, settle=300.0, days=0.0, warm_up=150)),
}
SETTINGS = LaneSettings(DETECTORS)


def ordinary(windows: int, seed: int, level: float = 30.0) -> np.ndarray:
    """Features of ordinary windows, shape (n, 6)."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(level * rng.gamma(8.0, 1 / 8.0, windows)).astype(float)
    shares = rng.uniform(0.2, 0.4, (windows, 2))
    return np.column_stack([counts, counts * 0.9, counts * 0.7, shares, rng.lognormal(5, 1, windows)])


def starts(windows: int) -> np.ndarray:
    return START + np.arange(windows, dtype=float)


def windows_of(features: np.ndarray, qualities=None) -> list[Window]:
    empty = tuple({} for _ in WIKIMEDIA.dimensions)
    rows = zip(
        starts(len(features)).tolist(), features.tolist(), qualities or [Quality.OK] * len(features), strict=True
    )
    return [
        Window("edits", start, 1.0, int(row[0]), tuple(row), empty, quality=quality) for start, row, quality in rows
    ]


@pytest.fixture(scope="module")
def referenced() -> LaneSettings:
    runs = [Run(ordinary(8000, seed), starts(8000), np.zeros(8000, bool)) for seed in (1, 2)]
    reference = make_reference(WIKIMEDIA, SETTINGS, [runs], made_of_words="ordinary windows")
    return msgspec.structs.replace(SETTINGS, references=(reference,))


def judged(lane: Lane, windows: list[Window]):
    for window in windows:
        yield lane.judge(window)
        lane.learn(window)


def test_p_is_read_from_the_reference_and_nothing_is_provisional(referenced):
    lane = Lane(WIKIMEDIA, RATE, referenced)
    told = list(judged(lane, windows_of(ordinary(4000, seed=9))))[500:]
    assert not any(one.provisional for one in told)
    for name in DETECTORS:
        p = np.array([score.p for one in told for score in one.scores if score.detector == name])
        assert 0.03 < np.mean(p <= 0.1) < 0.3, name
    surge = list(judged(lane, windows_of(ordinary(30, seed=3, level=150.0))))
    assert any(one.combined.alerting for one in surge)
    assert max(one.rarity for one in surge) > max(one.rarity for one in told)


def test_lane_without_reference_says_provisional_until_it_knows_itself():
    own = OwnHistorySettings(after=400, refit=200, largest=200, share=0.05)
    lane = Lane(WIKIMEDIA, RATE, msgspec.structs.replace(SETTINGS, own_history=own, quiet=5))
    told = list(judged(lane, windows_of(ordinary(1500, seed=4))))
    assert told[300].provisional
    assert not told[-1].provisional
    assert 0.0 < max(one.rarity for one in told[1000:]) < 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"width": 60.0},
        {"ensemble": EnsembleSettings(hold=6)},
        {"detectors": DETECTORS | {"zscore": (ZScore, msgspec.structs.replace(ZScore.defaults, warm_up=80))}},
    ],
    ids=["other width", "other evidence", "other detector settings"],
)
def test_reference_holds_only_for_what_it_was_made_with(referenced, change):
    lane = Lane(WIKIMEDIA, RATE, msgspec.structs.replace(referenced, **change))
    assert list(judged(lane, windows_of(ordinary(300, seed=5))))[-1].provisional


def test_absent_detector_leaves_the_others_their_reference(referenced):
    rest = {name: made for name, made in DETECTORS.items() if name != "trees"}
    lane = Lane(WIKIMEDIA, RATE, msgspec.structs.replace(referenced, detectors=rest))
    assert not list(judged(lane, windows_of(ordinary(300, seed=5))))[-1].provisional


@pytest.mark.parametrize(("least", "alerting"), [(0.0, True), (10.0, False)])
def test_change_that_is_too_small_does_not_alert(referenced, least, alerting):
    ensemble = EnsembleSettings(minimum_change=least)
    lane = Lane(WIKIMEDIA, RATE, msgspec.structs.replace(referenced, ensemble=ensemble))
    list(judged(lane, windows_of(ordinary(400, seed=6))))
    surge = list(judged(lane, windows_of(ordinary(20, seed=3, level=150.0))))
    assert any(one.combined.alerting for one in surge) is alerting


def test_reference_needs_enough_windows():
    run = Run(ordinary(500, 1), starts(500), np.zeros(500, bool))
    with pytest.raises(ConfigError, match="record for longer"):
        make_reference(WIKIMEDIA, SETTINGS, [[run]], made_of_words="too little")


@given(st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=12, deadline=None)
def test_arrays_say_what_the_lane_says_over_gaps_too(referenced, seed, data):
    rng = np.random.default_rng(seed)
    features = ordinary(700, seed)
    at = int(rng.integers(250, 600))
    features[at : at + int(rng.integers(1, 60))] *= rng.uniform(0.1, 5.0)
    qualities = [Quality.OK] * 700
    for _ in range(data.draw(st.integers(0, 3))):
        begin, length = int(rng.integers(0, 690)), int(rng.integers(1, 40))
        qualities[begin : begin + length] = [Quality(data.draw(st.sampled_from(["gap", "partial"])))] * length
    qualities = qualities[:700]
    episodes = EpisodeSettings(quiet=20, acceptance=50, cooldown=data.draw(st.sampled_from([1, 40])))
    windows = windows_of(features, qualities)
    analyzer, followed = Analyzer(WIKIMEDIA, AnalyzerSettings(referenced)), Episodes(WIKIMEDIA, episodes)
    analyses, opened = [], []
    for window in windows:
        for analysis in analyzer.analyze(window):
            opened += [one for one in followed.follow(analysis) if one.closed is None and one.updated == one.opened]
            if window.quality.judged:
                analyses.append(analysis)
    kept = np.array([quality.judged for quality in qualities])
    arrays = judge(WIKIMEDIA, RATE, referenced, features[kept], starts(700)[kept])
    for i, name in enumerate(DETECTORS):
        live = np.array([a.scores[i].statistic if a.scores[i].warm else np.nan for a in analyses])
        np.testing.assert_array_equal(arrays.statistics[name], live)
    np.testing.assert_allclose(arrays.evidence, [a.evidence for a in analyses], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(arrays.rarity, [a.rarity for a in analyses], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(arrays.confidence, [a.confidence for a in analyses], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(arrays.alerting, [a.alerting for a in analyses])
    if kept.all():
        changes = [one.opened - START for one in opened if one.kind is not AnomalyKind.FEED_SILENT]
        assert [first for first, _ in openings(arrays.alerting, episodes)] == changes


@given(st.integers(0, 400))
@settings(max_examples=15, deadline=None)
def test_lane_goes_on_from_a_snapshot_at_any_window(referenced, at):
    windows = windows_of(ordinary(400, seed=8))
    own = msgspec.structs.replace(
        SETTINGS, own_history=OwnHistorySettings(after=200, refit=50, largest=100, share=0.1), quiet=5
    )
    for chosen in (referenced, own):
        whole, begun, restored = (Lane(WIKIMEDIA, RATE, chosen) for _ in range(3))
        expected = list(judged(whole, windows))
        list(judged(begun, windows[:at]))
        restored.restore(codec.decode_packed(codec.pack(begun.snapshot()), LaneState))
        assert list(judged(restored, windows[at:])) == expected[at:]
        assert codec.pack(restored.snapshot()) == codec.pack(whole.snapshot())
