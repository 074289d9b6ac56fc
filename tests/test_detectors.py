"""Detectors: the arithmetic, the contract, and equality with what they are taken from."""

from __future__ import annotations

import math
import pkgutil
from functools import partial

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.anomaly import HalfSpaceTrees as Forest
from river.preprocessing import MinMaxScaler

from tracewave_panel import codec
from tracewave_panel.core.detectors import DETECTORS
from tracewave_panel.core.detectors.base import Scale, abstain, score_of_deviation
from tracewave_panel.core.detectors.deviation import Deviation, DeviationSettings
from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.core.detectors.half_space_trees import HalfSpaceTrees, TreesSettings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import WIKIMEDIA, Metric
from tracewave_panel.model import Window
from tracewave_panel.testing import check_detector, ordinary_windows, plain_window

RATE = WIKIMEDIA.metrics[0]
QUICK = {
    "zscore": DeviationSettings(warm_up=50),
    "ewma": DeviationSettings(span=0, gap=20, memory=60.0, warm_up=50),
    "trees": TreesSettings(trees=3, height=3, window=20, warm_up=60),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_keeps_its_promises(name):
    detector = pkgutil.resolve_name(DETECTORS[name])
    assert detector.name == name
    # the forest's score ends at 1 and cannot say how far beyond the usual a rate lies
    check_detector(partial(detector, WIKIMEDIA, RATE), watches_rate=name != "trees")


@pytest.mark.parametrize("name", DETECTORS)
def test_small_settings_keep_the_promises_too(name):
    detector = pkgutil.resolve_name(DETECTORS[name])
    check_detector(partial(detector, WIKIMEDIA, RATE, QUICK[name]), watches_rate=False, most=100)


class _Broken(ZScore):
    """A detector with one promise broken, as its subclass says."""


class _LearnsWhileScoring(_Broken):
    def score_one(self, window):
        score = super().score_one(window)
        self.learn_one(window)
        return score


class _ForgetsInSnapshot(_Broken):
    def snapshot(self):
        return super().snapshot() | {"recent": [0.0]}


class _AbstainsWithoutReason(_Broken):
    def score_one(self, window):
        return msgspec.structs.replace(super().score_one(window), reason="")


class _AlwaysFires(_Broken):
    def score_one(self, window):
        score = super().score_one(window)
        return msgspec.structs.replace(score, fired=True, score=0.9) if score.warm else score


class _SaysNan(_Broken):
    def score_one(self, window):
        score = super().score_one(window)
        return msgspec.structs.replace(score, p=math.nan) if score.warm else score


class _NeverWarm(_Broken):
    def score_one(self, window):
        return abstain(self.name, 10)


class _SeesNothing(_Broken):
    def score_one(self, window):
        score = super().score_one(window)
        return score_of_deviation(self.name, 0.0) if score.warm else score


@pytest.mark.parametrize("broken", _Broken.__subclasses__())
def test_contract_check_finds_a_broken_promise(broken):
    with pytest.raises(AssertionError):
        check_detector(partial(broken, WIKIMEDIA, RATE), most=1000)


# ------------------------------------------------------------------ Half-Space Trees


def forest_windows(rows: np.ndarray) -> list[Window]:
    empty = tuple({} for _ in WIKIMEDIA.dimensions)
    return [Window("edits", float(i), 1.0, 0, tuple(map(float, row)), empty) for i, row in enumerate(rows)]


def plain_river(settings: TreesSettings):
    forest = Forest(n_trees=settings.trees, height=settings.height, window_size=settings.window, seed=settings.seed)
    return MinMaxScaler() | forest


def mass_scores(detector: HalfSpaceTrees, windows: list[Window]) -> list[float]:
    scores = []
    for window in windows:
        score = detector.score_one(window)
        scores.append(score.statistic if score.warm else None)
        detector.learn_one(window)
    return scores


def river_scores(model, windows: list[Window]) -> list[float]:
    names = [feature.name for feature in WIKIMEDIA.features]
    scores = []
    for window in windows:
        row = dict(zip(names, window.features, strict=True))
        scores.append(model.score_one(row))
        model.learn_one(row)
    return scores


def equal_to_river(rows: np.ndarray, settings: TreesSettings, restored_at: int | None = None) -> None:
    windows = forest_windows(rows)
    detector = HalfSpaceTrees(WIKIMEDIA, RATE, settings)
    at = len(windows) if restored_at is None else restored_at
    ours = mass_scores(detector, windows[:at])
    if restored_at is not None:
        saved = codec.pack(detector.snapshot())
        detector = HalfSpaceTrees(WIKIMEDIA, RATE, settings)
        detector.restore(codec.decode_packed(saved, dict))
        ours += mass_scores(detector, windows[at:])
    theirs = river_scores(plain_river(settings), windows)
    assert ours[: settings.warm_up] == [None] * min(settings.warm_up, len(ours))
    assert ours[settings.warm_up :] == theirs[settings.warm_up :]


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["normal", "heavy", "steps", "constant"]),
    restored_at=st.none() | st.integers(0, 90),
    settings=st.builds(
        TreesSettings,
        trees=st.integers(1, 4),
        height=st.integers(1, 4),
        window=st.integers(1, 20),
        seed=st.integers(0, 9),
        warm_up=st.integers(22, 40),
    ),
)
@settings(max_examples=40, deadline=None)
def test_forest_equals_plain_river_bit_for_bit(seed, kind, restored_at, settings):
    rng = np.random.default_rng(seed)
    rows = {
        "normal": lambda: rng.normal(size=(90, 6)),
        "heavy": lambda: rng.standard_cauchy(size=(90, 6)) * 1e6,
        "steps": lambda: rng.integers(0, 3, size=(90, 6)),
        "constant": lambda: np.full((90, 6), rng.normal()),
    }[kind]()
    equal_to_river(rows, settings, restored_at)


def test_full_size_forest_equals_plain_river_bit_for_bit_over_a_restore():
    rows = np.random.default_rng(5).gamma(8.0, 4.0, size=(1300, 6))
    equal_to_river(rows, TreesSettings(), restored_at=1100)


def test_forest_ranks_a_window_far_from_all_others_above_nearly_all():
    detector = HalfSpaceTrees(WIKIMEDIA, RATE, TreesSettings(window=100, warm_up=300))
    usual = ordinary_windows(600)
    scores = [score for score in mass_scores(detector, usual) if score is not None]
    strange = detector.score_one(plain_window(900, 200, mix=3.0))
    assert strange.statistic > np.quantile(scores, 0.97)


def test_window_scored_again_after_it_was_learned_is_judged_anew():
    made = HalfSpaceTrees(WIKIMEDIA, RATE, QUICK["trees"])
    windows = ordinary_windows(79)
    mass_scores(made, windows)  # the last one fills the window of masses, which are then swapped
    mass_scores(made, [strange := plain_window(80, 900, mix=2.0)])
    assert made.score_one(strange) == made.score_one(msgspec.structs.replace(strange))


def test_restored_forest_may_have_been_used_before():
    windows = ordinary_windows(200)
    fresh, used = (HalfSpaceTrees(WIKIMEDIA, RATE, QUICK["trees"]) for _ in range(2))
    mass_scores(fresh, windows[:80])
    mass_scores(used, ordinary_windows(70, rate=900.0, seed=9))
    used.score_one(windows[80])
    used.restore(fresh.snapshot())
    assert mass_scores(used, windows[80:]) == mass_scores(fresh, windows[80:])


def test_forest_of_another_size_is_refused():
    saved = HalfSpaceTrees(WIKIMEDIA, RATE, TreesSettings(trees=3, height=3))
    mass_scores(saved, ordinary_windows(3))
    with pytest.raises(StateError, match="start without the State"):
        HalfSpaceTrees(WIKIMEDIA, RATE, TreesSettings(trees=3, height=4)).restore(saved.snapshot())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"height": 0}, "height must be from 1 to 10, not 0"),
        ({"height": 11}, "height must be from 1 to 10, not 11"),
        ({"trees": 0}, "at least 1"),
        ({"window": 250, "warm_up": 251}, "warm_up must be at least window + 2 = 252, not 251"),
    ],
)
def test_forest_that_cannot_score_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said.replace("+", r"\+")):
        TreesSettings(**wrong)


# ------------------------------------------------------------------ deviation


def noise(count: int, seed: int = 1, mean: float = 10.0) -> list[float]:
    return np.random.default_rng(seed).normal(mean, 1.0, count).tolist()


def learned(values: list[float], **more) -> Deviation:
    deviation = Deviation(DeviationSettings(**more))
    for value in values:
        deviation.learn(value)
    return deviation


def statistics(deviation: Deviation, values: list[float]) -> list[float]:
    told = []
    for value in values:
        told.append(deviation.z(value))
        deviation.learn(value)
    return told


def prototype(y: np.ndarray, span: int, weight: float, gap: int, memory: float, *, warm_up: int) -> np.ndarray:
    """The measured prototype's recursion, written anew and started from the past instead of the whole warm-up.

    It differs from the prototype where that looks ahead: mean and variance of the warm-up divide by
    n - 1, and the exponential mean begins at the first value instead of the mean of the warm-up.
    """
    z, limit = np.zeros(len(y)), 4.0
    start = y[:warm_up]
    mean, spread = start.mean(), start.var(ddof=1)
    usual = spread / span if span else spread * weight / (2 - weight)
    smooth = y[0]
    for i, value in enumerate(y):
        smooth += weight * (value - smooth)
        if i < warm_up:
            continue
        difference = (y[i - span + 1 : i + 1].mean() if span else smooth) - mean
        z[i] = difference / math.sqrt(usual)
        if abs(z[i]) <= limit:
            usual += (np.clip(difference, -3 * usual**0.5, 3 * usual**0.5) ** 2 * 1.03 - usual) / 3600
            old = y[i - gap] - mean
            clip = 3 * spread**0.5
            spread += (np.clip(old, -clip, clip) ** 2 * 1.03 - spread) / 3600
            clip = 3 * spread**0.5
            mean += np.clip(old, -clip, clip) / memory
    return z


@pytest.mark.parametrize(
    ("span", "gap", "memory"), [(1, 1, 120.0), (10, 10, 90.0), (60, 60, 180.0), (0, 20, 60.0), (0, 1, 60.0)]
)
def test_deviation_agrees_with_the_prototype(span, gap, memory):
    y = np.random.default_rng(span).normal(20.0, 2.0, 4000)
    y[2500:2560] += 9.0  # an incident
    made = Deviation(DeviationSettings(span=span, weight=0.05, gap=gap, memory=memory, warm_up=600))
    wanted = prototype(y, span, 0.05, gap, memory, warm_up=600)
    assert max(abs(wanted[2500:2600])) > 4.0
    assert statistics(made, y.tolist()) == pytest.approx(wanted.tolist(), abs=1e-9)


def test_nothing_is_said_before_the_warm_up_ends():
    deviation = Deviation(DeviationSettings(warm_up=100))
    for left in range(100, 0, -1):
        assert (deviation.windows_left, deviation.z(1e9)) == (left, 0.0)
        deviation.learn(5.0 + left % 2)
    assert deviation.windows_left == 0
    assert deviation.z(9.0) > 4.0


@pytest.mark.parametrize("span", [0, 1, 10])
def test_planted_surge_does_not_teach_the_baseline(span):
    values = noise(1000)
    deviation = learned(values, span=span, gap=max(1, span), warm_up=600)
    mean, spread = deviation.mean, deviation.noise
    surge = statistics(deviation, noise(60, seed=2, mean=30.0))
    assert min(surge[20:]) > 4.0
    assert deviation.mean == pytest.approx(mean, abs=0.2)
    assert deviation.noise == pytest.approx(spread, rel=0.05)
    assert max(map(abs, statistics(deviation, noise(200, seed=3))[120:])) < 4.5


def test_single_outlier_within_the_limit_is_learned_clipped():
    deviation = learned(noise(1000), span=10, gap=10, memory=10.0, warm_up=600, limit=100.0)
    mean, spread = deviation.mean, math.sqrt(deviation.noise)
    deviation.learn(1e6)
    for value in noise(10, seed=4):
        deviation.learn(value)
    assert abs(deviation.mean - mean) < 10 * 3.1 * spread / 10.0


@pytest.mark.parametrize("span", [0, 1, 10])
@pytest.mark.parametrize("level", [30.0, -10.0])
def test_level_that_lasts_is_accepted_after_patience_and_not_before(span, level):
    deviation = learned(noise(1000), span=span, gap=max(1, span), warm_up=600, patience=100)
    told = statistics(deviation, noise(300, seed=2, mean=level))
    assert min(map(abs, told[30:95])) > 4.0
    assert max(map(abs, told[130:])) < 5.0
    assert deviation.mean == pytest.approx(level, abs=1.0)


def test_level_is_accepted_though_single_values_fall_back():
    deviation = learned(noise(1000), warm_up=600, patience=100)
    statistics(deviation, [30.0 if i % 15 else 10.0 for i in range(300)])
    assert deviation.mean == pytest.approx(30.0, abs=4.0)


def test_accepted_level_brings_its_own_noise():
    deviation = learned(noise(1000), warm_up=600, patience=100)
    louder = np.random.default_rng(7).normal(100.0, 8.0, 600).tolist()
    assert np.mean(np.abs(statistics(deviation, louder)[150:]) > 4.0) < 0.05


@pytest.mark.parametrize("least", [1e-12, 0.5])
def test_zero_variance_gives_finite_deviations(least):
    deviation = Deviation(DeviationSettings(warm_up=10), least)
    for _ in range(2000):
        deviation.learn(7.0)
    assert deviation.z(7.0) == 0.0
    assert math.isfinite(deviation.z(8.0))
    assert deviation.z(8.0) >= 1.0
    assert deviation.noise == least


def test_huge_value_leaves_no_trace_in_a_recent_mean():
    calm = [1.0, 1.1, 0.9] * 300
    clean, shaken = learned(calm, span=10, gap=10, warm_up=600), learned(calm, span=10, gap=10, warm_up=600)
    for value in [1e16, *calm[:300]]:
        shaken.learn(value)
    for value in calm[:301]:
        clean.learn(value)
    assert shaken.z(1.0) == pytest.approx(clean.z(1.0), abs=0.1)


@pytest.mark.parametrize("warm_up", [20, 60, 61])
def test_span_longer_than_the_warm_up_has_no_lasting_offset(warm_up):
    rising = np.linspace(0.0, 50.0, 5000).tolist()
    short, long = (Deviation(DeviationSettings(span=60, gap=20, warm_up=n, limit=1e9)) for n in (warm_up, 600))
    a, b = statistics(short, rising)[-1], statistics(long, rising)[-1]
    assert short._difference(50.0) == pytest.approx(long._difference(50.0), abs=1e-6)
    assert (a > 0) == (b > 0)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=120),
    at=st.integers(0, 120),
    settings=st.builds(
        DeviationSettings,
        span=st.integers(0, 5),
        gap=st.integers(1, 6),
        memory=st.floats(1, 100),
        warm_up=st.integers(6, 30),
        patience=st.integers(1, 20),
    ),
)
@settings(max_examples=60, deadline=None)
def test_deviation_is_always_finite_and_goes_on_from_a_snapshot(values, at, settings):
    deviation, restored = Deviation(settings), Deviation(settings)
    statistics(deviation, values[:at])
    restored.restore(codec.decode_packed(codec.pack(deviation.snapshot()), dict))
    told = statistics(deviation, values[at:])
    assert all(map(math.isfinite, told))
    assert statistics(restored, values[at:]) == told
    assert codec.pack(restored.snapshot()) == codec.pack(deviation.snapshot())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"span": -1}, "span must be at least 0"),
        ({"gap": 0}, "gap must be at least 1"),
        ({"memory": 0.5}, "memory must be at least 1"),
        ({"memory": math.nan}, "memory must be at least 1"),
        ({"warm_up": 1}, "warm_up must be at least 2, not 1"),
        ({"gap": 20, "warm_up": 10}, "warm_up must be at least 20, not 10"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"weight": 0.0}, "weight must be above 0"),
        ({"weight": 1.5}, "weight must be above 0"),
    ],
)
def test_deviation_that_cannot_be_formed_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        DeviationSettings(**wrong)


# ------------------------------------------------------------------ scores


@pytest.mark.parametrize(
    ("z", "two_sided", "fired"), [(5.2, True, False), (5.4, True, True), (-5.4, True, True), (-9.0, False, False)]
)
def test_detector_fires_at_one_in_a_hundred_thousand(z, two_sided, fired):
    score = score_of_deviation("zscore", z, two_sided=two_sided)
    assert score.fired == fired == (score.p <= 1e-5)


@given(st.floats(-1e300, 1e300), st.booleans())
@settings(max_examples=200, deadline=None)
def test_score_is_the_scaled_logarithm_of_p(z, two_sided):
    score = score_of_deviation("zscore", z, two_sided=two_sided)
    assert 0.0 < score.p <= 1.0
    assert score.score == pytest.approx(min(1.0, -math.log10(score.p) / 10.0), abs=1e-12)


def test_infinite_deviation_is_the_rarest_and_still_a_number():
    score = score_of_deviation("zscore", math.inf)
    assert (score.p, score.score, score.fired) == (1e-300, 1.0, True)


@pytest.mark.parametrize(("left", "reason"), [(600, "learning, 600 windows left"), (1, "learning, 1 window left")])
def test_cold_detector_says_how_long_it_still_learns(left, reason):
    assert abstain("ewma", left).reason == reason


def test_count_is_watched_stabilised_and_told_in_its_own_unit():
    scale = Scale(WIKIMEDIA, RATE)
    window = msgspec.structs.replace(plain_window(0, 30), width=10.0, features=(3.0, *([0.0] * 5)))
    assert scale.value(window) == 2.0 * math.sqrt(30.375)
    assert scale.back(scale.value(window), 1.0, 10.0) == pytest.approx((3.0, math.sqrt(30.375) / 10.0))
    assert scale.back(0.5, 1.0, 10.0)[0] == 0.0


def test_other_metrics_are_watched_as_they_are():
    scale = Scale(WIKIMEDIA, Metric("share", "bot_share", "", "share", kind="value"))
    assert scale.value(plain_window(0, 30)) == pytest.approx(0.3)
    assert scale.back(0.3, 0.1, 10.0) == (0.3, 0.1)


@pytest.mark.parametrize(
    ("detector", "events", "direction", "fired"),
    # one quiet second is no proof of a drop: only the chart fires
    [(ZScore, 300, 1, True), (ZScore, 0, -1, False), (EwmaChart, 300, 1, True), (EwmaChart, 0, -1, True)],
)
def test_direction_and_expectation_are_told(detector, events, direction, fired):
    made = detector(WIKIMEDIA, RATE)
    for window in ordinary_windows(800):
        made.learn_one(window)
    for second in range(10):
        score = made.score_one(plain_window(900 + second, events))
        made.learn_one(plain_window(900 + second, events))
    assert (score.fired, score.direction) == (fired, direction)
    assert score.expected == pytest.approx(30.0, rel=0.15)
    assert score.spread == pytest.approx(math.sqrt(30 + 900 / 8), rel=0.35)
