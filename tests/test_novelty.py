"""Novelty: the distance to the nearest earlier stretch, against a plain reference and a cold start."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel import codec
from tracewave_panel.core.detectors.novelty import Novelty, NoveltySettings
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import WIKIMEDIA, Metric
from tracewave_panel.model import Window
from tracewave_panel.testing import check_detector, ordinary_windows, plain_window

RATE = WIKIMEDIA.metrics[0]
VALUE = Metric("share", "bot_share", "", "share", kind="value")
PRICE = Metric("share", "bot_share", "", "share", kind="price")
COLUMN = WIKIMEDIA.feature_index("bot_share")
EVERY_ROW = partial(NoveltySettings, aggregate=1, memory=30_000)


def rows_of(values) -> np.ndarray:
    rows = np.zeros((len(values), len(WIKIMEDIA.features)))
    rows[:, COLUMN] = values
    return rows


def windows_of(values, width: float = 1.0) -> list[Window]:
    empty = tuple({} for _ in WIKIMEDIA.dimensions)
    return [Window("s", i * width, width, 0, tuple(row), empty) for i, row in enumerate(rows_of(values).tolist())]


def told(detector: Novelty, windows: list[Window]) -> list[float]:
    statistics = []
    for window in windows:
        score = detector.score_one(window)
        statistics.append(score.statistic if score.warm else math.nan)
        detector.learn_one(window)
    return statistics


def over(detector: Novelty, values, width: float = 1.0) -> np.ndarray:
    return detector.score_many(rows_of(values), np.arange(len(values)) * width)


def bursty(count: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.round(np.cumsum(rng.normal(size=count)) + rng.standard_t(3, count) * 4, 1)


def reference(x: np.ndarray, *, aggregate: int, length: int, memory: int, warm_up: int) -> np.ndarray:
    """The definition, stretch by stretch: no search is cut short, nothing is kept in order."""
    distances = np.full(len(x), math.nan)
    whole = x[: len(x) // aggregate * aggregate].reshape(-1, aggregate).sum(axis=1) / aggregate
    for n in range(aggregate * warm_up, len(x)):
        stretch = x[n + 1 - aggregate * length : n + 1].reshape(length, aggregate).sum(axis=1) / aggregate
        latest = (n + 1) // aggregate - 1
        ends = range(max(length - 1, latest - memory), latest - length + 1)
        distances[n] = min(np.sqrt(((stretch - whole[end - length + 1 : end + 1]) ** 2).sum()) for end in ends)
    return distances


# ------------------------------------------------------------------ the statistic


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("length", [1, 4, 24])
@pytest.mark.parametrize("memory", [30_000, 300])
def test_every_row_has_the_distance_that_the_definition_gives(length, root, memory):
    x = bursty(900)
    made = Novelty(
        WIKIMEDIA, VALUE, NoveltySettings(aggregate=1, length=length, root=root, memory=memory, warm_up=3 * length)
    )
    scaled = np.sign(x) * np.sqrt(np.abs(x)) if root else x
    wanted = reference(scaled, aggregate=1, length=length, memory=memory, warm_up=3 * length)
    np.testing.assert_allclose(over(made, x), wanted, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize(("aggregate", "length", "memory"), [(10, 1, 20), (10, 1, 1000), (3, 4, 50), (7, 2, 2)])
def test_windows_between_aggregates_complete_a_stretch_too(aggregate, length, memory):
    x = bursty(700, seed=2)
    made = Novelty(WIKIMEDIA, VALUE, NoveltySettings(aggregate, length, memory=memory, warm_up=2 * length))
    wanted = reference(x, aggregate=aggregate, length=length, memory=memory, warm_up=2 * length)
    np.testing.assert_allclose(over(made, x), wanted, rtol=1e-9, atol=1e-12)


def test_long_stretch_over_many_blocks_of_candidates_finds_the_repeated_one():
    rng = np.random.default_rng(3)
    x = rng.normal(size=2000)
    x[1900:1930] = x[130:160]
    distances = over(Novelty(WIKIMEDIA, VALUE, EVERY_ROW(length=30, warm_up=90)), x)
    assert distances[1929] == 0.0
    assert distances[1928] > 0.1


def test_level_never_seen_before_is_far_and_one_seen_in_the_memory_is_not():
    x = np.r_[np.zeros(50), np.full(10, 8.0), np.zeros(140), np.full(10, 8.0), np.full(5, 20.0)]
    x += np.random.default_rng(1).normal(0.0, 0.1, len(x))
    long, short = (
        over(Novelty(WIKIMEDIA, VALUE, NoveltySettings(aggregate=1, memory=memory, warm_up=10)), x)
        for memory in (1000, 100)
    )
    assert long[50] > 5.0
    assert max(long[200:210]) < 0.5
    assert short[200] > 5.0  # forgotten
    assert long[210] > 10.0


# ------------------------------------------------------------------ one window and many, memory


@given(
    at=st.integers(0, 120),
    metric=st.sampled_from([RATE, VALUE, PRICE]),
    width=st.sampled_from([1.0, 60.0]),
    made_of=st.builds(
        NoveltySettings,
        aggregate=st.integers(1, 4),
        length=st.integers(1, 3),
        root=st.booleans(),
        memory=st.integers(3, 20),
        warm_up=st.integers(6, 12),
    ),
)
@settings(max_examples=60, deadline=None)
def test_live_arrays_and_a_restored_memory_say_the_same_bits(at, metric, width, made_of):
    values = np.abs(bursty(120, seed=at)) + 1.0
    rows = rows_of(values)
    rows[:, 0] = values
    empty = tuple({} for _ in WIKIMEDIA.dimensions)
    windows = [Window("s", i * width, width, 0, tuple(row), empty) for i, row in enumerate(rows.tolist())]
    live, many, restored = (Novelty(WIKIMEDIA, metric, made_of) for _ in range(3))
    wanted = told(live, windows)
    starts = np.arange(len(rows)) * width
    first = many.score_many(rows[:at], starts[:at]) if at > 1 else np.array(told(many, windows[:at]))
    restored.restore(codec.decode_packed(codec.pack(many.snapshot()), dict))
    np.testing.assert_array_equal(np.r_[first, told(restored, windows[at:])], wanted)
    many.score_many(rows[at:], starts[at:])
    assert codec.pack(many.snapshot()) == codec.pack(live.snapshot()) == codec.pack(restored.snapshot())


def test_price_is_watched_as_returns_and_a_window_without_trades_as_no_change():
    made = Novelty(WIKIMEDIA, PRICE, NoveltySettings(aggregate=1, warm_up=2))
    distances = over(made, [100.0, 0.0, 100.0, 110.0, 0.0, 121.0])
    assert distances[2:] == pytest.approx([0.0, math.log(1.1), 0.0, 0.0], abs=1e-12)


def test_detector_that_was_used_before_may_be_restored():
    windows = ordinary_windows(300)
    fresh, used = (Novelty(WIKIMEDIA, RATE, NoveltySettings(warm_up=5)) for _ in range(2))
    told(fresh, windows[:100])
    told(used, ordinary_windows(250, rate=900.0, seed=9))
    used.restore(fresh.snapshot())
    assert told(used, windows[100:]) == told(fresh, windows[100:])


def test_profile_of_another_size_is_refused():
    saved = Novelty(WIKIMEDIA, RATE, NoveltySettings(memory=50)).snapshot()
    with pytest.raises(StateError, match=r"51 aggregates, .* 10 and 61: start without the State"):
        Novelty(WIKIMEDIA, RATE, NoveltySettings(memory=60)).restore(saved)


# ------------------------------------------------------------------ the score


def test_novelty_keeps_its_promises():
    check_detector(partial(Novelty, WIKIMEDIA, RATE))


@pytest.mark.parametrize("length", [1, 3])
def test_small_settings_keep_the_promises_too(length):
    quick = NoveltySettings(aggregate=3, length=length, memory=40, warm_up=12)
    check_detector(partial(Novelty, WIKIMEDIA, RATE, quick), watches_rate=False, most=100)


def test_ordinary_hours_never_fire_by_default():
    detector = Novelty(WIKIMEDIA, RATE)
    windows = ordinary_windows(6000, seed=4)
    for window in windows:
        assert not detector.score_one(window).fired
        detector.learn_one(window)


def test_score_tells_its_span_and_no_expectation():
    detector = Novelty(WIKIMEDIA, RATE, NoveltySettings(aggregate=5, length=2, warm_up=4))
    told(detector, ordinary_windows(100))
    score = detector.score_one(plain_window(100, 30))
    assert (score.span, score.expected, score.direction) == (10, None, 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"aggregate": 0}, "aggregate must be at least 1, not 0"),
        ({"length": 0}, "length must be at least 1, not 0"),
        ({"length": 4, "memory": 3}, "memory must be at least 4, not 3"),
        ({"length": 4, "warm_up": 7}, "warm_up must be at least 8, not 7"),
    ],
)
def test_settings_with_nothing_to_compare_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        NoveltySettings(**wrong)
