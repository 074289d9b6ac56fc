"""Z-score and EWMA chart: the arithmetic of their spans, alone and over arrays."""

from __future__ import annotations

import math
import statistics

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel import codec
from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import Feature, Feed, Metric
from tracewave_panel.model import Window

START = 1_700_000_000.0
KINDS = ("count", "value", "price")


def feed_of(kind: str) -> tuple[Feed, Metric]:
    """A feed whose second feature is watched."""
    metric = Metric("watched", "watched", "", "things", kind=kind)
    features = (Feature("other", "rate"), Feature("watched", "rate"))
    return Feed("feed", "A feed", (), (), features, (metric,), ("a",), "", ""), metric


def one_span(span: int = 1, gap: int = 1, memory: float = 120.0, **more) -> DeviationSettings:
    return DeviationSettings(spans=(span,), gaps=(gap,), memories=(memory,), rises=(1.0,), falls=(1.0,), **more)


def make(detector, given: DeviationSettings, kind: str = "value"):
    return detector(*feed_of(kind), given)


def windows_of(values, width: float = 1.0) -> list[Window]:
    return [
        Window("a", START + i * width, width, 0, (-1.0, float(value)), ()) for i, value in enumerate(np.ravel(values))
    ]


def alone(detector, windows: list[Window]) -> list[float]:
    """Statistics of windows that come one by one."""
    told = []
    for window in windows:
        score = detector.score_one(window)
        told.append(score.statistic if score.warm else math.nan)
        detector.learn_one(window)
    return told


def together(detector, windows: list[Window]) -> list[float]:
    """Statistics of windows that come as arrays."""
    features = np.array([window.features for window in windows]).reshape(-1, 2)
    return detector.score_many(features, np.array([window.start for window in windows])).tolist()


def bits(told: list[float]) -> bytes:
    return np.array(told).tobytes()


def noise(count: int, seed: int = 1, mean: float = 10.0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, count)


def warm(detector, given: DeviationSettings, kind: str = "value", count: int = 1000):
    made = make(detector, given, kind)
    together(made, windows_of(noise(count)))
    return made


# ------------------------------------------------------------------ one loop for both


SETTINGS = st.integers(1, 4).flatmap(
    lambda spans: st.builds(
        DeviationSettings,
        spans=st.tuples(*[st.integers(1, 12)] * spans),
        gaps=st.tuples(*[st.integers(1, 8)] * spans),
        memories=st.tuples(*[st.floats(1, 100)] * spans),
        rises=st.tuples(*[st.floats(0.5, 2)] * spans),
        falls=st.tuples(*[st.floats(0.5, 2)] * spans),
        warm_up=st.integers(8, 40),
        limit=st.floats(1, 6),
        patience=st.integers(1, 20),
    )
)
SHAPES = {
    "noise": lambda rng: rng.gamma(8.0, 4.0, 150),
    "counts": lambda rng: rng.poisson(3.0, 150),
    "steps": lambda rng: np.repeat(rng.integers(0, 1000, 10), 15),
    "heavy": lambda rng: np.abs(rng.standard_cauchy(150)) * 1e6,
    "walk": lambda rng: 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 150))) * (rng.random(150) > 0.2),
    "flat": lambda rng: np.full(150, rng.random()),
    "zeros": lambda rng: np.zeros(150),
}


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(sorted(SHAPES)),
    kind=st.sampled_from(KINDS),
    detector=st.sampled_from([ZScore, EwmaChart]),
    width=st.sampled_from([0.1, 1.0, 60.0]),
    cuts=st.tuples(st.integers(0, 150), st.integers(0, 150)).map(sorted),
    given=SETTINGS,
)
@settings(max_examples=150, deadline=None)
def test_windows_alone_as_arrays_and_over_a_restore_give_the_same_bits(seed, shape, kind, detector, width, cuts, given):
    windows = windows_of(SHAPES[shape](np.random.default_rng(seed)), width)
    live = make(detector, given, kind)
    wanted = alone(live, windows)
    assert [math.isnan(z) for z in wanted] == [i < given.warm_up for i in range(150)]
    assert all(map(math.isfinite, wanted[given.warm_up :]))

    arrays = make(detector, given, kind)
    assert bits(together(arrays, windows)) == bits(wanted)
    assert codec.pack(arrays.snapshot()) == codec.pack(live.snapshot())

    first, second = cuts
    before, after = make(detector, given, kind), make(detector, given, kind)
    told = alone(before, windows[:first])
    after.restore(codec.decode_packed(codec.pack(before.snapshot()), dict))
    told += together(after, windows[first:second]) + alone(after, windows[second:])
    assert bits(told) == bits(wanted)


def test_defaults_give_the_same_bits_over_an_hour_with_an_incident():
    counts = np.random.default_rng(3).negative_binomial(8, 8 / 33, 3600)
    counts[2000:2060] *= 3
    for detector in (ZScore, EwmaChart):
        live, arrays = make(detector, detector.defaults, "count"), make(detector, detector.defaults, "count")
        wanted = alone(live, windows_of(counts))
        assert max(wanted[2000:2060]) > 5.0
        assert bits(together(arrays, windows_of(counts))) == bits(wanted)


def test_windows_after_a_gap_are_as_wide_as_those_before():
    windows = windows_of(np.arange(100) % 7, width=10.0)
    live, arrays = (make(ZScore, one_span(warm_up=20), "count") for _ in range(2))
    wanted = alone(live, windows[:50] + windows[70:])
    told = together(arrays, windows[:50]) + [z for window in windows[70:] for z in together(arrays, [window])]
    assert bits(told) == bits(wanted)


# ------------------------------------------------------------------ the arithmetic


def plain_statistics(
    values: list[float], span: int, gap: int, memory: float, *, exponential: bool, warm_up: int, patience: int
) -> list[float]:
    """One span in plain words, with no ring, no table and no floor."""
    weight = 2 / (span + 1)
    level_weight = weight if exponential else 0.05
    told, held = [math.nan] * warm_up, 0
    mean, noise = statistics.fmean(values[:warm_up]), statistics.variance(values[:warm_up])
    usual = noise * (weight / (2 - weight) if exponential else 1 / span)
    level, swing = values[0], 0.0
    for value in values[:warm_up]:
        swing += level_weight * ((value - level) ** 2 - swing)
        level += level_weight * (value - level)
    for i in range(warm_up, len(values)):
        previous, level = level, level + level_weight * (values[i] - level)
        recent = level if exponential else statistics.fmean(values[i - span + 1 : i + 1])
        z = (recent - mean) / math.sqrt(usual)
        told.append(z)
        held = held + 1 if abs(z) > 4 else max(0, held - 5)
        if abs(z) <= 4:
            old = values[i - gap] - mean
            usual += (min((recent - mean) ** 2, 9 * usual) * 1.03 - usual) / 3600
            noise += (min(old**2, 9 * noise) * 1.03 - noise) / 3600
            mean += max(-3 * math.sqrt(noise), min(3 * math.sqrt(noise), old)) / memory
        elif held > patience:
            grown = max(1.0, swing / noise)
            noise, usual, mean, held = noise * grown, usual * grown, previous, 0
        swing += level_weight * ((values[i] - previous) ** 2 - swing)
    return told


@pytest.mark.parametrize("detector", [ZScore, EwmaChart])
@pytest.mark.parametrize(("span", "gap", "memory"), [(1, 1, 120.0), (10, 10, 90.0), (60, 60, 180.0), (30, 20, 60.0)])
def test_one_span_agrees_with_its_plain_words(detector, span, gap, memory):
    counts = np.random.default_rng(span).negative_binomial(8, 8 / 33, 4000)
    counts[2500:2560] += 60  # an incident ...
    counts[3000:] += 100  # ... and a new level
    made = make(detector, one_span(span, gap, memory, patience=300), "count")
    wanted = plain_statistics(
        (2 * np.sqrt(counts + 0.375)).tolist(), span, gap, memory,
        exponential=detector is EwmaChart, warm_up=600, patience=300,
    )  # fmt: skip
    assert max(wanted[2500:2560]) > 4.0
    assert min(wanted[3100:3290]) > 4.0 > max(wanted[3400:])
    assert together(made, windows_of(counts)) == pytest.approx(wanted, abs=1e-9, nan_ok=True)


def test_largest_of_the_spans_is_told_with_its_span():
    made = make(ZScore, ZScore.defaults)
    together(made, windows_of(noise(1000)))
    assert made.score_one(windows_of([25.0])[0]).span == 1
    for window in windows_of(noise(45, seed=2, mean=11.3)):
        score = made.score_one(window)
        made.learn_one(window)
    assert score.statistic > 4.0
    assert score.span > 1


def test_rises_and_falls_have_units_of_their_own():
    values = windows_of(noise(2000))
    plain, divided = one_span(), msgspec.structs.replace(one_span(), rises=(2.0,), falls=(4.0,))
    usual = np.array(together(make(ZScore, plain), values))
    told = np.array(together(make(ZScore, divided), values))
    assert told[600:] == pytest.approx(np.where(usual > 0, usual / 2.0, usual / 4.0)[600:])


def test_nothing_is_said_before_the_warm_up_ends():
    made = make(ZScore, one_span(warm_up=100))
    for left, window in zip(range(100, 0, -1), windows_of(noise(100)), strict=True):
        assert made.score_one(window).windows_left == left
        made.learn_one(window)
    assert made.score_one(windows_of([20.0])[0]).statistic > 4.0


def test_windows_before_the_first_one_are_not_counted_as_zeros():
    made = make(ZScore, one_span(60, 20, warm_up=20))
    assert max(map(abs, together(made, windows_of(noise(80)))[20:])) < 4.0


@pytest.mark.parametrize("detector", [ZScore, EwmaChart])
def test_planted_surge_does_not_teach_the_baseline(detector):
    made = warm(detector, detector.defaults)
    before = made.score_one(windows_of([10.0])[0])
    surge = together(made, windows_of(noise(60, seed=2, mean=30.0)))
    assert min(surge[20:]) > 4.0
    after = made.score_one(windows_of([10.0])[0])
    assert after.expected == pytest.approx(before.expected, abs=0.3)
    assert after.spread == pytest.approx(before.spread, rel=0.05)
    assert max(map(abs, together(made, windows_of(noise(400, seed=3)))[200:])) < 5.0


def test_outlier_within_the_limit_is_learned_clipped():
    made = warm(ZScore, one_span(10, 10, 10.0, limit=1e9))
    before = made.score_one(windows_of([10.0])[0])
    together(made, windows_of([1e3, *noise(10, seed=4)]))
    after = made.score_one(windows_of([10.0])[0])
    assert abs(after.expected - before.expected) < 10 * 3.1 * before.spread / 10.0


@pytest.mark.parametrize("detector", [ZScore, EwmaChart])
@pytest.mark.parametrize("span", [1, 10])
@pytest.mark.parametrize("level", [30.0, -10.0])
def test_level_that_lasts_is_accepted_after_patience_and_not_before(detector, span, level):
    made = warm(detector, one_span(span, span, patience=100))
    told = together(made, windows_of(noise(300, seed=2, mean=level)))
    assert min(map(abs, told[30:95])) > 4.0
    assert max(map(abs, told[130:])) < 5.0
    assert made.score_one(windows_of([level])[0]).expected == pytest.approx(level, abs=1.0)


@pytest.mark.parametrize(("every", "expected"), [(15, 30.0), (4, 11.5)])
def test_level_is_accepted_though_single_values_fall_back_but_not_many(every, expected):
    made = warm(ZScore, one_span(patience=100))
    together(made, windows_of([30.0 if i % every else 10.0 for i in range(300)]))
    assert made.score_one(windows_of([30.0])[0]).expected == pytest.approx(expected, abs=4.0)


def test_accepted_level_brings_its_own_noise():
    made = warm(ZScore, one_span(patience=100))
    louder = together(made, windows_of(noise(600, seed=7, mean=100.0, spread=8.0)))
    assert np.mean(np.abs(louder[150:]) > 4.0) < 0.05


def test_huge_value_leaves_no_trace_in_a_recent_mean():
    calm = np.tile([9.0, 11.0, 10.0], 300)
    clean, shaken = (make(ZScore, one_span(10, 10), "count") for _ in range(2))
    for made in (clean, shaken):
        together(made, windows_of(calm))
    together(shaken, windows_of([1e15, *calm]))
    together(clean, windows_of([*calm, 9.0]))
    assert shaken.score_one(windows_of([9.0])[0]).statistic == pytest.approx(
        clean.score_one(windows_of([9.0])[0]).statistic, abs=0.1
    )


# ------------------------------------------------------------------ kinds of metrics


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_jump_from_a_flat_line_is_bounded_by_the_range_whatever_the_unit(unit):
    made = make(ZScore, one_span(warm_up=10))
    assert together(made, windows_of(np.full(700, 7.0 * unit)))[10:] == [0.0] * 690
    assert made.score_one(windows_of([8.0 * unit])[0]).statistic == pytest.approx(1000.0)
    assert made.score_one(windows_of([6.0 * unit])[0]).statistic == pytest.approx(-1000.0)


def test_level_after_a_flat_line_is_accepted():
    made = make(EwmaChart, one_span(10, warm_up=10, patience=50))
    told = together(made, windows_of([0.0] * 100 + [5.0] * 400))
    assert min(told[101:140]) > 4.0
    assert abs(told[-1]) < 4.0


def test_wiggle_on_a_line_that_has_moved_far_is_nothing():
    made = make(ZScore, one_span(warm_up=100))
    told = together(made, windows_of(np.r_[np.linspace(0.0, 100.0, 90), np.full(910, 100.0), 100.1]))
    assert abs(told[-1]) < 1.5


def test_one_event_after_none_is_nothing_and_many_are_much():
    made = make(ZScore, one_span(), "count")
    together(made, windows_of(np.zeros(1000)))
    assert 0.0 < made.score_one(windows_of([1.0])[0]).statistic < 2.0
    assert made.score_one(windows_of([20.0])[0]).statistic > 8.0


def prices(count: int, seed: int, usual: float = 1e-3) -> np.ndarray:
    """GARCH(1, 1) returns with the heavy tails of Student's t with 5 degrees of freedom."""
    shocks = np.random.default_rng(seed).standard_t(5, count) / math.sqrt(5 / 3)
    variance, total, path = 1.0, 0.0, []
    for shock in shocks:
        move = math.sqrt(variance) * shock
        variance = 0.02 + 0.08 * move * move + 0.9 * variance
        total += move * usual
        path.append(100.0 * math.exp(total))
    return np.array(path)


@pytest.mark.parametrize("usual", [1e-3, 1e-5])
def test_returns_in_units_of_their_volatility_are_seldom_large(usual):
    told = [
        z
        for seed in range(10)
        for z in together(make(ZScore, one_span(), "price"), windows_of(prices(3480, seed, usual)))
    ]
    warm_days = 10 * 2880 / 1440
    assert np.sum(np.abs(told) > 6.0) / warm_days < 3.0
    assert 0.9 < np.nanstd(told) < 1.1


def test_crash_is_seen_and_told_in_prices():
    path = prices(2000, 1)
    made = make(ZScore, ZScore.defaults, "price")
    together(made, windows_of(path))
    score = made.score_one(windows_of([path[-1] * 0.97])[0])
    assert (score.fired, score.direction, score.span) == (True, -1, 1)
    assert score.expected == pytest.approx(path[-1], rel=1e-3)
    assert score.spread == pytest.approx(path[-1] * np.diff(np.log(path[-60:])).std(), rel=0.5)


def test_window_without_a_trade_carries_the_last_price():
    path = prices(2000, 2)
    made = make(ZScore, one_span(), "price")
    together(made, windows_of(path))
    quiet = together(made, windows_of(np.zeros(100)))
    assert max(map(abs, quiet)) < 0.2
    seen = make(ZScore, one_span(), "price")
    together(seen, windows_of(np.r_[path, np.full(100, path[-1])]))
    crash = windows_of([path[-1] * 0.97])[0]
    assert made.score_one(crash) == seen.score_one(crash)


def test_crash_hardly_teaches_the_volatility():
    path = prices(2000, 1)
    made = make(ZScore, one_span(), "price")
    together(made, windows_of(path))
    before = made.score_one(windows_of([path[-1]])[0]).spread / path[-1]
    together(made, windows_of([path[-1] * 0.97]))
    assert made.score_one(windows_of([path[-1]])[0]).spread / (path[-1] * 0.97) < 1.1 * before


def test_long_silence_does_not_make_an_ordinary_move_unusual():
    path = prices(2000, 2)
    made = make(ZScore, one_span(), "price")
    together(made, windows_of(np.r_[path, np.zeros(1000)]))
    assert not made.score_one(windows_of([path[-1] * 1.002])[0]).fired


def test_price_that_never_moved_says_nothing():
    made = make(EwmaChart, EwmaChart.defaults, "price")
    assert set(together(made, windows_of(np.full(700, 50.0)))[600:]) == {0.0}
    assert made.score_one(windows_of([50.0])[0]).expected == 50.0


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"spans": (), "gaps": (), "memories": (), "rises": (), "falls": ()}, "at least one number of windows"),
        ({"gaps": (1, 10)}, "gaps must hold 4 numbers, one for each of spans"),
        ({"falls": (1.0,)}, "falls must hold 4 numbers"),
        ({"spans": (1, 10, 30, 0)}, "spans must be at least 1, not 0"),
        ({"gaps": (0, 1, 1, 1)}, "gaps must be at least 1, not 0"),
        ({"memories": (0.5, 90.0, 90.0, 90.0)}, "memories must be at least 1, not 0.5"),
        ({"memories": (math.nan, 90.0, 90.0, 90.0)}, "memories must be at least 1, not nan"),
        ({"rises": (0.0, 1.0, 1.0, 1.0)}, "rises must be at least 0.1, not 0"),
        ({"rises": (math.inf, 1.0, 1.0, 1.0)}, "rises must be at least 0.1, not inf"),
        ({"warm_up": 59}, "warm_up must be at least 60, not 59"),
        ({"gaps": (1, 1, 1, 1), "warm_up": 1}, "warm_up must be at least 2, not 1"),
        ({"limit": 0.5}, "limit must be at least 1, not 0.5"),
        ({"patience": 0}, "patience must be at least 1, not 0"),
    ],
)
def test_settings_that_form_no_deviation_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        DeviationSettings(**wrong)


@pytest.mark.parametrize(
    "other",
    [
        EwmaChart(*feed_of("count"), DeviationSettings()).snapshot() | {"recent": [0.0]},
        ZScore(*feed_of("count"), one_span(60)).snapshot(),
        {"seen": 3, "spans": [[1.0]]},
        {},
    ],
)
def test_snapshot_of_other_spans_is_refused(other):
    made = make(ZScore, DeviationSettings(), "count")
    before = codec.pack(made.snapshot())
    with pytest.raises(StateError, match="start without the State"):
        made.restore(other)
    assert codec.pack(made.snapshot()) == before
