"""Half-Space Trees: river's bits, what their rows are made of, and what they see."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.anomaly import HalfSpaceTrees as RiverForest
from river.preprocessing import MinMaxScaler

from tracewave_panel import codec
from tracewave_panel.core.detectors.forest import Forest
from tracewave_panel.core.detectors.half_space_trees import HalfSpaceTrees, TreesSettings
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA, Feature, Feed, Metric
from tracewave_panel.lab.simulated import simulated
from tracewave_panel.model import Window
from tracewave_panel.sources.synthetic_incidents import Incident
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings
from tracewave_panel.testing import ordinary_windows, plain_window

RATE = WIKIMEDIA.metrics[0]
SMALL = TreesSettings(trees=3, height=3, window=20, warm_up=60)
ODD_ROWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy": lambda rng, shape: rng.standard_cauchy(size=shape) * 1e6,
    "steps": lambda rng, shape: rng.integers(0, 3, size=shape).astype(float),
    "constant": lambda rng, shape: np.full(shape, rng.normal()),
}


def river_scores(rows: np.ndarray, *, trees: int, height: int, window: int, seed: int, limit: float | None):
    names = [f"{column:02d}" for column in range(rows.shape[1])]
    limits = None if limit is None else dict.fromkeys(names, (-limit, limit))
    model = RiverForest(n_trees=trees, height=height, window_size=window, seed=seed, limits=limits)
    model = MinMaxScaler() | model if limit is None else model
    scores = []
    for row in rows.tolist():
        scores.append(model.score_one(named := dict(zip(names, row, strict=True))))
        model.learn_one(named)
    return scores


def equal_to_river(rows: np.ndarray, cuts: list[int], **shape) -> None:
    forest, chunked = (Forest(rows.shape[1], **shape) for _ in range(2))
    theirs = river_scores(rows, **shape)
    assert forest.go_through(rows).tolist() == theirs
    told = []
    for chunk in np.split(rows, sorted(cuts)):
        if len(chunk):
            told.append(chunked.judge(chunk[0]))
            assert chunked.go_through(chunk)[0] == told[-1] == theirs[chunked.seen - len(chunk)]
        saved = codec.decode_packed(codec.pack(chunked.snapshot()), dict)
        chunked = Forest(rows.shape[1], **shape)
        chunked.restore(saved)
    assert codec.pack(chunked.snapshot()) == codec.pack(forest.snapshot())


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(sorted(ODD_ROWS)),
    columns=st.integers(1, 12),
    limit=st.none() | st.floats(0.5, 20.0),
    cuts=st.lists(st.integers(0, 90), max_size=4),
    shape=st.fixed_dictionaries(
        {"trees": st.integers(1, 4), "height": st.integers(1, 5), "window": st.integers(1, 25)}
    ),
)
@settings(max_examples=60, deadline=None)
def test_forest_equals_plain_river_bit_for_bit(seed, kind, columns, limit, cuts, shape):
    rows = ODD_ROWS[kind](np.random.default_rng(seed), (90, columns))
    equal_to_river(rows, cuts, seed=seed % 1000, limit=limit, **shape)


@pytest.mark.parametrize("limit", [None, 8.0])
def test_full_size_forest_equals_plain_river_bit_for_bit(limit):
    rows = np.random.default_rng(5).normal(size=(800, 6)) * 3.0
    equal_to_river(rows, [1, 250, 601], trees=25, height=8, window=250, seed=1, limit=limit)


def simulated_day(incidents=(), hours=3.0):
    return simulated(SyntheticSettings(seed=61), 1_767_225_600.0, int(hours * 3600), incidents=incidents)


def one_by_one(detector, features, starts) -> list[float]:
    empty = tuple({} for _ in WIKIMEDIA.dimensions)
    statistics = []
    for row, start in zip(features.tolist(), starts.tolist(), strict=True):
        window = Window("edits", start, 1.0, int(row[0]), tuple(row), empty)
        score = detector.score_one(window)
        statistics.append(score.statistic if score.warm else math.nan)
        detector.learn_one(window)
    return statistics


@pytest.mark.parametrize("rows", ["features", "history"])
@pytest.mark.parametrize("at", [0, 1, 61, 99, 500])
def test_trees_say_the_same_of_one_window_and_of_many_over_a_restore(rows, at):
    made = simulated_day((Incident("bot_burst", 400),), hours=0.2)
    small = TreesSettings(trees=5, height=6, window=60, warm_up=100, rows=rows)
    whole = HalfSpaceTrees(WIKIMEDIA, RATE, small).score_many(made.features, made.starts)
    assert np.isnan(whole[:100]).all()
    assert len(set(whole[100:])) > 10
    live = HalfSpaceTrees(WIKIMEDIA, RATE, small)
    told = one_by_one(live, made.features[:at], made.starts[:at])
    saved = codec.decode_packed(codec.pack(live.snapshot()), dict)
    live, arrays = (HalfSpaceTrees(WIKIMEDIA, RATE, small) for _ in range(2))
    for restored in (live, arrays):
        restored.score_many(made.features[::-1], made.starts)  # a detector that was used before
        restored.restore(saved)
    told += one_by_one(live, made.features[at:], made.starts[at:])
    assert np.array_equal(told, whole, equal_nan=True)
    assert np.array_equal(arrays.score_many(made.features[at:], made.starts[at:]), whole[at:], equal_nan=True)
    assert codec.pack(live.snapshot()) == codec.pack(arrays.snapshot())


def test_trees_see_a_bot_burst_a_drop_and_a_small_change_of_mix_but_no_ordinary_hour():
    incidents = (
        Incident("bot_burst", 5000, 60, 2.0), Incident("drop", 7000, 60, 0.25), Incident("actor_spike", 9000, 60, 1.6)
    )  # fmt: skip
    clean, eventful = (simulated_day(planted) for planted in ((), incidents))
    usual, told = (HalfSpaceTrees(WIKIMEDIA, RATE).score_many(made.features, made.starts) for made in (clean, eventful))
    bar = np.nanmax(usual)
    for incident in incidents:
        after = int(incident.after)
        assert told[after : after + 70].max() > bar
    assert bar < 0.75


def test_trees_do_not_mind_a_value_that_never_moved():
    features = np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], (1500, 1))
    features[1200:, 0] = 30.0
    statistics = HalfSpaceTrees(WIKIMEDIA, RATE).score_many(features, np.arange(1500.0))
    assert np.isfinite(statistics[1000:]).all()
    assert statistics[1210] > statistics[1190]


def test_trees_watch_a_price_by_its_returns_whatever_its_unit():
    rng = np.random.default_rng(3)
    price = 60_000.0 * np.exp(np.cumsum(rng.normal(0, 1e-4, 3000)))
    volume = rng.lognormal(8.0, 1.0, 3000)
    features = np.column_stack([rng.poisson(9.0, 3000), volume, price, rng.uniform(0.3, 0.7, 3000)])
    features[2500:2510, 2] *= np.linspace(0.995, 0.95, 10)
    features[::50, 2] = 0.0  # seconds without a trade
    starts = np.arange(3000.0)
    statistics = HalfSpaceTrees(CRYPTO, CRYPTO.metrics[1]).score_many(features, starts)
    assert statistics[2500:2512].max() > np.nanmax(statistics[:2500])
    in_another_unit = HalfSpaceTrees(CRYPTO, CRYPTO.metrics[1]).score_many(features * [1, 1, 1024, 1], starts)
    assert np.array_equal(in_another_unit, statistics, equal_nan=True)


def test_counts_are_stabilised_by_the_events_of_a_window_however_wide_it_is():
    made = simulated_day((Incident("drop", 1500),), hours=0.5)
    per_second = made.features.copy()
    per_second[:, 0] /= 10.0
    whole = HalfSpaceTrees(WIKIMEDIA, RATE).score_many(made.features, made.starts)
    wide = HalfSpaceTrees(WIKIMEDIA, RATE).score_many(per_second, 10.0 * made.starts)
    assert np.allclose(wide, whole, equal_nan=True)


def river_on_history(values: np.ndarray) -> list[float]:
    past = [values[max(0, i - 9) : i + 1] for i in range(len(values))]
    rows = np.column_stack(
        [np.diff(values, prepend=values[0]), [p.mean() for p in past], [p.std() for p in past], values]
    )
    return river_scores(rows, trees=10, height=8, window=250, seed=42, limit=None)


@pytest.mark.parametrize("kind", [*sorted(ODD_ROWS), "flat"])
def test_trees_on_the_history_of_one_value_are_river_on_four_columns_of_it(kind):
    # on a flat line, rounding alone makes the deviation
    values = np.full(700, 3.7) if kind == "flat" else ODD_ROWS[kind](np.random.default_rng(7), 700)
    one = Feed(
        name="one", title="One value", dimensions=(), measures=("value",),
        features=(Feature("value", "last", "value"),), metrics=(Metric("value", "value", "", "value", kind="value"),),
        series=("one",), place="", who="",
    )  # fmt: skip
    settings = TreesSettings(trees=10, height=8, window=250, seed=42, warm_up=250, rows="history")
    ours = HalfSpaceTrees(one, one.metrics[0], settings).score_many(values[:, None], np.arange(700.0))
    assert ours[250:].tolist() == river_on_history(values)[250:]


def test_trees_prove_nothing_on_their_own():
    detector = HalfSpaceTrees(WIKIMEDIA, RATE, SMALL)
    for window in ordinary_windows(80):
        detector.learn_one(window)
    score = detector.score_one(plain_window(80, 900, mix=2.0))
    assert (score.warm, score.p, score.fired, score.direction) == (True, 1.0, False, 0)
    assert score.statistic > 0.5
    assert not detector.two_sided


@pytest.mark.parametrize(
    "other",
    [
        TreesSettings(trees=3, height=4),
        TreesSettings(trees=3, height=3, rows="history"),
    ],
)
def test_forest_of_another_size_or_on_other_rows_is_refused(other):
    saved = HalfSpaceTrees(WIKIMEDIA, RATE, TreesSettings(trees=3, height=3))
    saved.learn_one(plain_window(0, 30))
    for first, second in (
        (saved, HalfSpaceTrees(WIKIMEDIA, RATE, other)),
        (HalfSpaceTrees(WIKIMEDIA, RATE, other), saved),
    ):
        with pytest.raises(StateError, match="start without the State"):
            second.restore(codec.decode_packed(codec.pack(first.snapshot()), dict))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"height": 0}, "height must be from 1 to 10, not 0"),
        ({"height": 11}, "height must be from 1 to 10, not 11"),
        ({"trees": 0}, "at least 1"),
        ({"window": 250, "warm_up": 251}, "warm_up must be at least window + 2 = 252, not 251"),
        ({"window": 250, "warm_up": 249, "rows": "history"}, "warm_up must be at least window = 250, not 249"),
        ({"rows": "cells"}, "rows must be features or history"),
        ({"span": 0.5}, "span must be at least 1"),
        ({"memory": math.nan}, "memory must be at least 1"),
        ({"dead_zone": -1.0}, "dead_zone must be at least 0"),
        ({"limit": 0.0}, "limit must be above 0"),
    ],
)
def test_forest_that_cannot_score_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said.replace("+", r"\+")):
        TreesSettings(**wrong)
