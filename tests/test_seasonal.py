"""Seasonal: the residual against the time of day and of week, against the benchmark's reference and a cold start."""

from __future__ import annotations

import math
from functools import partial

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel import codec
from tracewave_panel.core.detectors.seasonal import Seasonal, SeasonalSettings
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import WIKIMEDIA, Metric
from tracewave_panel.model import Window
from tracewave_panel.testing import check_detector, ordinary_windows, plain_window

RATE = WIKIMEDIA.metrics[0]
VALUE = Metric("share", "bot_share", "", "share", kind="value")
PRICE = Metric("share", "bot_share", "", "share", kind="price")
COLUMN = WIKIMEDIA.feature_index("bot_share")
BENCHMARK = SeasonalSettings(
    smooth=0, week=False, spans=(12,), memory=2000.0, clip=0.0, days=0.0, warm_up=42, plain=True
)
MINUTES = SeasonalSettings(slot=1800.0, smooth=2, spans=(10, 30), memory=1440.0, settle=1440.0, warm_up=60)
QUICK = SeasonalSettings(slot=60.0, smooth=2, spans=(10,), memory=100.0, settle=100.0, days=0.0, warm_up=100)
DAY = 86_400.0


def rows_of(values) -> np.ndarray:
    rows = np.zeros((len(values), len(WIKIMEDIA.features)))
    rows[:, COLUMN] = rows[:, 0] = values
    return rows


def windows_of(values, starts, width: float) -> list[Window]:
    empty = tuple({} for _ in WIKIMEDIA.dimensions)
    rows = rows_of(values).tolist()
    return [Window("s", float(t), width, 0, tuple(row), empty) for t, row in zip(starts, rows, strict=True)]


def told(detector: Seasonal, windows: list[Window]) -> list[float]:
    statistics = []
    for window in windows:
        score = detector.score_one(window)
        statistics.append(score.statistic if score.warm else math.nan)
        detector.learn_one(window)
    return statistics


def minutes(days: float, seed: int = 1, level=lambda t: 20.0 + 6.0 * np.sin(2 * np.pi * t / DAY)):
    """Starts and values of minutes with a daily cycle and normal noise."""
    starts = np.arange(int(days * 1440)) * 60.0
    return starts, level(starts) + np.random.default_rng(seed).normal(0.0, 1.0, starts.size)


def reference(starts: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The measured benchmark's arithmetic: slots of 300 s, the last 12 residuals, a baseline of 2,000 behind them."""
    means: dict[int, tuple[float, int]] = {}
    overall, mean, variance, low, high = x[0], None, 0.0, math.inf, -math.inf
    residuals: list[float] = []
    statistics = np.full(len(x), math.nan)
    for i, value in enumerate(x):
        slot = int(starts[i]) % 86_400 // 300
        level, visits = means.get(slot, (overall, 0))
        residuals.append(value - level)
        if visits == 0:
            level = 0.0
        means[slot] = level + max(0.3, 1 / (visits + 1)) * (value - level), visits + 1
        overall += max(0.01, 1 / (i + 1)) * (value - overall)
        if i >= 12:
            old = residuals[i - 12]
            mean = residuals[0] if mean is None else mean
            rate, step = max(2 / 2001, 1 / (i - 11)), old - mean
            mean += rate * step
            variance = (1 - rate) * (variance + rate * step * step)
        if i >= 42:
            deviation = max(math.sqrt(variance), 1e-3 * (high - low) + 1e-12) / math.sqrt(12)
            statistics[i] = (math.fsum(residuals[-12:]) / 12 - mean) / deviation
        low, high = min(low, residuals[-1]), max(high, residuals[-1])
    return statistics


# ------------------------------------------------------------------ the statistic


@pytest.mark.parametrize("step", [300, 60, 1800, 3600, None])
def test_benchmark_settings_give_the_benchmark_statistic(step):
    rng = np.random.default_rng(1)
    starts = 1_234_567.0 + (np.cumsum(rng.integers(20, 900, 5000)) if step is None else np.arange(5000) * step)
    x = 50.0 + 20.0 * np.sin(starts / DAY * 2 * np.pi) + rng.normal(0.0, 3.0, 5000) + np.cumsum(rng.normal(size=5000))
    x[3000:3040] += 60.0
    made = Seasonal(WIKIMEDIA, VALUE, BENCHMARK)
    np.testing.assert_allclose(made.score_many(rows_of(x), starts), reference(starts, x), rtol=1e-9, atol=1e-9)


def test_hour_that_is_usual_at_another_time_of_day_is_unusual_now():
    starts, values = minutes(6.0)
    values[5 * 1440 + 1080 : 5 * 1440 + 1140] += 8.0  # 18 h is the low; the high of 6 h would be 12 above it
    statistics = Seasonal(WIKIMEDIA, VALUE, MINUTES).score_many(rows_of(values), starts)
    assert np.isnan(statistics[: 3 * 1440]).all()
    assert np.abs(statistics[3 * 1440 : 5 * 1440 + 1080]).max() < 5.3
    assert statistics[5 * 1440 + 1090] > 5.3


def test_drift_and_fall_have_opposite_signs():
    starts, values = minutes(5.0)
    values[4 * 1440 : 4 * 1440 + 60] += np.linspace(0.0, 3.0, 60)
    values[4 * 1440 + 400 : 4 * 1440 + 460] -= 3.0
    statistics = Seasonal(WIKIMEDIA, VALUE, MINUTES).score_many(rows_of(values), starts)
    assert statistics[4 * 1440 + 59] > 5.0
    assert statistics[4 * 1440 + 459] < -5.0


def test_edge_of_a_slot_makes_no_step():
    starts, values = minutes(5.0)
    values -= np.random.default_rng(1).normal(0.0, 1.0, starts.size)  # the bare cycle
    detector = Seasonal(WIKIMEDIA, VALUE, MINUTES)
    detector.score_many(rows_of(values[: 4 * 1440]), starts[: 4 * 1440])
    windows = windows_of(values[4 * 1440 :], starts[4 * 1440 :], 60.0)
    levels = [detector.score_one(window).expected for window in windows[::10]]
    assert max(np.abs(np.diff(levels))) < 0.3
    assert max(np.abs(levels - values[4 * 1440 :: 10])) < 0.5


@pytest.mark.parametrize(("clip", "least", "most"), [(2.0, -0.5, 1.5), (0.0, 4.0, 40.0)])
def test_incident_hardly_teaches_the_slot(clip, least, most):
    starts, values = minutes(6.0)
    at = slice(4 * 1440 + 300, 4 * 1440 + 360)
    values[at] += 40.0
    detector = Seasonal(WIKIMEDIA, VALUE, msgspec.structs.replace(MINUTES, clip=clip))
    detector.score_many(rows_of(values[: 5 * 1440 + 330]), starts[: 5 * 1440 + 330])
    [window] = windows_of([values[5 * 1440 + 330]], [starts[5 * 1440 + 330]], 60.0)
    usual = 20.0 + 6.0 * math.sin(2 * math.pi * 330 / 1440)
    assert least < detector.score_one(window).expected - usual < most


def test_week_is_used_once_it_foretells_better_than_the_day():
    def weekly(t):
        return 20.0 + 6.0 * np.sin(2 * np.pi * t / DAY) * (t // DAY % 7 < 5)

    starts, values = minutes(35.0, level=weekly)
    by_day, by_week = (
        Seasonal(WIKIMEDIA, VALUE, msgspec.structs.replace(MINUTES, week=week)).score_many(rows_of(values), starts)
        for week in (False, True)
    )
    np.testing.assert_array_equal(by_week[: 14 * 1440], by_day[: 14 * 1440])
    weekend = slice(33 * 1440, 35 * 1440)
    assert np.sqrt(np.mean((by_week - by_day)[weekend] ** 2)) > 1.0
    told_by_day, told_by_week = (level_at(week, starts, values) for week in (False, True))
    assert told_by_day > 24.0
    assert told_by_week == pytest.approx(20.0, abs=2.0)


def level_at(week: bool, starts: np.ndarray, values: np.ndarray) -> float:
    """Expectation at the hour on a weekend when weekdays peak at 26."""
    at = 33 * 1440 + 360
    detector = Seasonal(WIKIMEDIA, VALUE, msgspec.structs.replace(MINUTES, week=week))
    detector.score_many(rows_of(values[:at]), starts[:at])
    return detector.score_one(*windows_of(values[at : at + 1], starts[at : at + 1], 60.0)).expected


def test_time_of_week_is_left_alone_where_the_day_says_it_all():
    starts, values = minutes(28.0)
    by_day, by_week = (
        Seasonal(WIKIMEDIA, VALUE, msgspec.structs.replace(MINUTES, week=week)).score_many(rows_of(values), starts)
        for week in (False, True)
    )
    np.testing.assert_array_equal(by_week, by_day)


# ------------------------------------------------------------------ one window and many, memory


@given(
    at=st.integers(2, 399),
    metric=st.sampled_from([RATE, VALUE, PRICE]),
    made_of=st.builds(
        SeasonalSettings,
        slot=st.sampled_from([300.0, 3600.0]),
        smooth=st.integers(0, 3),
        week=st.booleans(),
        spans=st.sampled_from([(5,), (3, 11)]),
        memory=st.floats(1, 200),
        settle=st.floats(1, 200),
        clip=st.sampled_from([0.0, 2.0]),
        days=st.sampled_from([0.0, 1.0]),
        warm_up=st.integers(13, 30),
        plain=st.booleans(),
    ),
)
@settings(max_examples=60, deadline=None)
def test_live_arrays_and_a_restored_memory_say_the_same_bits(at, metric, made_of):
    rng = np.random.default_rng(at)
    starts = np.cumsum(np.where(rng.random(400) < 0.05, 5400.0, 600.0))
    values = rng.gamma(4.0, 5.0, 400)
    windows = windows_of(values, starts, 600.0)
    live, many, restored = (Seasonal(WIKIMEDIA, metric, made_of) for _ in range(3))
    wanted = told(live, windows)
    first = many.score_many(rows_of(values[:at]), starts[:at])
    restored.restore(codec.decode_packed(codec.pack(many.snapshot()), dict))
    np.testing.assert_array_equal(np.r_[first, told(restored, windows[at:])], wanted)
    many.score_many(rows_of(values[at:]), starts[at:])
    assert codec.pack(many.snapshot()) == codec.pack(live.snapshot()) == codec.pack(restored.snapshot())
    assert np.isfinite(wanted[-200:]).all()


def test_slots_of_another_length_are_refused():
    saved = Seasonal(WIKIMEDIA, RATE, SeasonalSettings(slot=600.0)).snapshot()
    with pytest.raises(StateError, match="start without the State"):
        Seasonal(WIKIMEDIA, RATE).restore(saved)


def test_huge_value_leaves_no_trace_in_a_recent_mean():
    starts, values = minutes(5.0)
    shaken = values.copy()
    shaken[100] = 1e17
    made = msgspec.structs.replace(MINUTES, spans=(10,), clip=0.0)
    detector = Seasonal(WIKIMEDIA, VALUE, made)
    detector.score_many(rows_of(shaken), starts)
    residuals = detector._residuals._recent
    total = detector._residuals._spans[0, 1]
    newest = [residuals[(starts.size - back) % 10] for back in range(1, 10)]
    assert total == pytest.approx(sum(newest), abs=1e-6)


# ------------------------------------------------------------------ the score


def test_small_settings_keep_the_promises():
    check_detector(partial(Seasonal, WIKIMEDIA, RATE, QUICK), most=200)


@pytest.mark.parametrize(
    ("width", "learned", "windows", "reason"),
    [
        (1.0, 0, 259_200, "learning the day, 3 d 0 h left"),
        (60.0, 0, 4320, "learning the day, 3 d 0 h left"),
        (60.0, 1260, 3060, "learning the day, 2 d 3 h left"),
        (60.0, 4100, 220, "learning the day, 3 h 40 min left"),
        (60.0, 4319, 1, "learning the day, 1 min left"),
        (7.0, 0, 37_029, "learning the day, 3 d 0 h left"),
    ],
)
def test_cold_detector_says_how_much_of_the_days_is_left(width, learned, windows, reason):
    detector = Seasonal(WIKIMEDIA, RATE, MINUTES)
    if learned:
        detector.score_many(rows_of(np.full(learned, 5.0)), np.arange(learned) * width)
    [window] = windows_of([5.0], [learned * width], width)
    score = detector.score_one(window)
    assert (score.warm, score.windows_left, score.reason) == (False, windows, reason)


def test_expectation_follows_the_time_of_day_in_the_metric_s_unit():
    starts = np.arange(4 * 1440) * 60.0
    rates = 20.0 + 8.0 * np.sin(2 * np.pi * starts / DAY)
    detector = Seasonal(WIKIMEDIA, RATE, MINUTES)
    detector.score_many(rows_of(rates), starts)
    for at, wanted in ((360, 28.0), (1080, 12.0)):
        [window] = windows_of([60.0], [4 * DAY + at * 60.0], 60.0)
        score = detector.score_one(window)
        assert score.expected == pytest.approx(wanted, rel=0.05)
        assert 0.0 < score.spread < 3.0
        assert (score.direction, score.span in {10, 30}) == (1, True)


def test_flat_line_gives_no_deviation_and_a_small_change_no_alarm():
    detector = Seasonal(WIKIMEDIA, RATE, QUICK)
    for second in range(1000):
        assert detector.score_one(plain_window(second, 30)).statistic == pytest.approx(0.0, abs=1e-9)
        detector.learn_one(plain_window(second, 30))
    assert not detector.score_one(plain_window(1001, 32)).fired


def test_ordinary_seconds_never_fire_by_default():
    detector = Seasonal(WIKIMEDIA, RATE, msgspec.structs.replace(QUICK, spans=(10, 60), warm_up=2000, settle=4000.0))
    for window in ordinary_windows(6000, seed=4):
        assert not detector.score_one(window).fired
        detector.learn_one(window)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"slot": 7.0}, "slot must be a whole part of a day"),
        ({"slot": 0.0}, "slot must be a whole part of a day"),
        ({"smooth": 144}, "smooth must be at least 0 and span less than a day, not 144"),
        ({"day_rate": 0.0}, "day_rate must be above 0"),
        ({"spans": ()}, "spans must hold at least one"),
        ({"spans": (0, 5)}, "spans must hold at least one"),
        ({"memory": 0.5}, "memory must be at least 1"),
        ({"settle": math.nan}, "settle must be at least 1"),
        ({"clip": -1.0}, "clip must be at least 0"),
        ({"days": math.inf}, "days must be at least 0 and finite"),
        ({"spans": (900,), "warm_up": 901}, "warm_up must be at least 902"),
    ],
)
def test_settings_that_foretell_nothing_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        SeasonalSettings(**wrong)
