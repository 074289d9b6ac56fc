"""Explanation: planted culprits come first, and nothing about it overflows or grows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel import codec
from tracewave_panel.core.explain import Baseline, BaselineState, Explanation, explain
from tracewave_panel.core.titles import title_of
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import AnomalyKind, Contribution, Verdict

WIKIS = tuple(f"w{i:02d}" for i in range(60))
ACTORS = ("bot", "registered", "anonymous")
DIMENSIONS = ("wiki", "actor")


class World:
    """A Zipf of 60 wikis with 25 edits a second, and a baseline that has seen an hour of it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        zipf = 1.0 / np.arange(1, 61)
        self.wikis, self.actors = 25.0 * zipf / zipf.sum(), 25.0 * np.array([0.3, 0.55, 0.15])
        self.baseline = Baseline(2)
        for _ in range(60):
            self.baseline.learn(self.counts(60.0), 60.0)

    def counts(self, seconds: float, wiki: int | None = None, factor: float = 1.0, *, whole: float = 1.0):
        rates = self.wikis * whole
        extra = 0.0
        if wiki is not None:
            extra = rates[wiki] * (factor - 1.0)
            rates = rates.copy()
            rates[wiki] *= factor
        actors = self.actors * whole + np.array([0.3, 0.55, 0.15]) * extra
        return tuple(
            {name: int(n) for name, n in zip(names, self.rng.poisson(r * seconds), strict=True) if n}
            for names, r in ((WIKIS, rates), (ACTORS, actors))
        )


@pytest.fixture(scope="module")
def world() -> World:
    return World(1)


def test_culprit_of_half_again_as_many_edits_leads_after_half_a_minute():
    world, first, named = World(2), 0, 0
    for trial in range(100):
        culprit = (0, 1, 2, 4, 8, 15, 30)[trial % 7]
        # half of all edits again, all of it by one wiki
        factor = 1.0 + 0.5 * world.wikis.sum() / world.wikis[culprit]
        told = explain(DIMENSIONS, world.counts(30.0, culprit, factor), world.baseline, 30.0, 1)
        first += told.contributions[0].value == WIKIS[culprit]
        named += told.verdict is Verdict.CULPRIT
    assert first >= 95
    assert named >= 95


def test_proportional_rise_is_global(world):
    verdicts = [explain(DIMENSIONS, world.counts(30.0, whole=1.5), world.baseline, 30.0, 1).verdict for _ in range(100)]
    assert verdicts.count(Verdict.GLOBAL) >= 95


def test_sure_but_small_part_of_a_rise_is_an_aside_and_the_rise_global(world):
    wikis, actors = world.counts(100.0, whole=3.0)
    aside = 500  # a tenth of the rise, and 17 times the usual of a small wiki
    told = explain(DIMENSIONS, (wikis | {"w40": wikis["w40"] + aside}, actors), world.baseline, 100.0, 1)
    row = next(row for row in told.contributions if row.value == "w40")
    assert row.significance > 10
    assert (row.named, told.verdict) == (False, Verdict.GLOBAL)


def test_value_that_is_usually_rare_leads_over_one_that_rose_with_it():
    world, leads = World(3), 0
    for _ in range(50):
        wikis, actors = world.counts(30.0)
        told = explain(
            DIMENSIONS,
            (wikis | {"w30": wikis.get("w30", 0) + 375}, actors | {"bot": actors["bot"] + 375}),
            world.baseline,
            30.0,
            1,
        )
        assert {"w30", "bot"} <= {row.value for row in told.contributions if row.named}
        leads += told.contributions[0].value == "w30"
    assert leads == 50


def test_proportional_fall_is_global(world):
    verdicts = [explain(DIMENSIONS, world.counts(30.0, whole=0.4), world.baseline, 30.0, -1).verdict for _ in range(50)]
    assert verdicts.count(Verdict.GLOBAL) >= 47


def test_wiki_that_went_silent_leads_a_fall(world):
    told = [explain(DIMENSIONS, world.counts(30.0, 0, 0.0), world.baseline, 30.0, -1) for _ in range(50)]
    assert sum(t.verdict is Verdict.CULPRIT and t.contributions[0].value == "w00" for t in told) >= 47
    lead = told[0].contributions[0]
    assert (lead.observed, lead.named) == (0.0, True)
    assert lead.expected == pytest.approx(world.wikis[0], rel=0.1)
    assert lead.significance < 0


def test_mix_shift_names_the_value_that_took_over(world):
    counts = ({"w05": 400, "w00": 250}, {"bot": 200, "registered": 350, "anonymous": 100})
    told = explain(DIMENSIONS, counts, world.baseline, 26.0, 0)
    assert told.verdict is Verdict.CULPRIT
    assert (told.contributions[0].dimension, told.contributions[0].value) == ("wiki", "w05")
    assert told.contributions[0].share > 0.5


def test_unchanged_mix_names_nothing(world):
    verdicts = [explain(DIMENSIONS, world.counts(30.0), world.baseline, 30.0, 0).verdict for _ in range(50)]
    assert verdicts.count(Verdict.NONE) >= 47


def test_value_never_seen_before_can_be_the_culprit(world):
    wikis, actors = world.counts(10.0)
    told = explain(DIMENSIONS, (wikis | {"newwiki": 300}, actors | {"bot": 375}), world.baseline, 10.0, 1)
    assert told.contributions[0].value in {"newwiki", "bot"}
    assert "newwiki" in {row.value for row in told.contributions if row.named}


def test_completeness_is_the_share_that_the_named_values_carry(world):
    wikis, actors = world.counts(30.0)
    told = explain(DIMENSIONS, (wikis | {"w20": wikis.get("w20", 0) + 2000}, actors), world.baseline, 30.0, 1)
    assert told.contributions[0].value == "w20"
    assert told.completeness == pytest.approx(1.0, abs=0.1)


def test_empty_baseline_explains_nothing():
    assert explain(DIMENSIONS, ({"a": 5}, {"bot": 5}), Baseline(2), 1.0, 1) == Explanation()


@pytest.mark.parametrize("direction", [-1, 0, 1])
@pytest.mark.parametrize(
    ("learned", "observed"),
    [
        (({}, {}), ({}, {})),
        (({}, {}), ({"a": 3}, {"bot": 3})),
        (({"a": 3}, {"bot": 3}), ({}, {})),
        (({"a": 0}, {"bot": 0}), ({"a": 0}, {"bot": 0})),
        (({"a": 3}, {"bot": 3}), ({"a": 2**40}, {"bot": 2**40})),
    ],
    ids=["nothing at all", "only now", "only then", "zeros", "huge"],
)
def test_totals_of_zero_and_huge_ones_give_finite_numbers(learned, observed, direction):
    baseline = Baseline(2)
    baseline.learn(learned, 60.0)
    told = explain(DIMENSIONS, observed, baseline, 1.0, direction)
    for row in told.contributions:
        assert all(map(math.isfinite, (row.observed, row.expected, row.share, row.significance)))
    assert 0.0 <= told.completeness <= 1.0


_counts = st.dictionaries(st.sampled_from("abcdefghijkl"), st.integers(0, 500))


@given(
    st.lists(_counts, min_size=1, max_size=5), _counts, st.sampled_from([-1, 0, 1]), st.sampled_from([0.1, 1.0, 60.0])
)
@settings(max_examples=150, deadline=None)
def test_explanation_is_bounded_ordered_and_finite(learned, observed, direction, seconds):
    baseline = Baseline(1)
    for counts in learned:
        baseline.learn((counts,), 10.0)
    told = explain(("letter",), (observed,), baseline, seconds, direction)
    assert len(told.contributions) <= 8
    named = [row.named for row in told.contributions]
    assert named == sorted(named, reverse=True)
    assert (told.verdict is Verdict.CULPRIT) == (named[:1] == [True])
    assert 0.0 <= told.completeness <= 1.0
    for row in told.contributions:
        assert all(map(math.isfinite, (row.observed, row.expected, row.share, row.significance)))
        if row.named and direction:
            assert row.significance * direction > 0


def test_baseline_fades_with_its_memory():
    baseline = Baseline(1, memory=100.0)
    for _ in range(1000):
        baseline.learn(({"old": 10},), 1.0)
    for _ in range(200):
        baseline.learn(({"new": 10},), 1.0)
    expected = baseline.expected(0, 1.0, {})
    assert expected["old"] / expected["new"] == pytest.approx(math.exp(-2) / (1 - math.exp(-2)), rel=0.02)
    assert sum(expected.values()) == pytest.approx(10.0, rel=0.02)


@pytest.mark.parametrize("memory", [1e-3, 1.0, 1800.0])
def test_learning_for_ever_does_not_overflow(memory):
    baseline = Baseline(1, memory=memory)
    for _ in range(2000):
        baseline.learn(({"a": 30_000, "b": 10_000},), 1000.0)  # two million seconds and more
    expected = baseline.expected(0, 1.0, {})
    assert expected["a"] == pytest.approx(30.0, rel=0.01)
    assert expected["b"] == pytest.approx(10.0, rel=0.01)


def test_ten_million_seconds_leave_the_explanation_as_it_was():
    short, long = Baseline(1, memory=50.0), Baseline(1, memory=50.0)
    for baseline, steps in ((short, 100), (long, 1_000_00)):
        for _ in range(steps):
            baseline.learn(({"a": 2000, "b": 500},), 100.0)
    observed = ({"a": 25, "b": 40},)
    wanted, told = (explain(("letter",), observed, baseline, 1.0, 1) for baseline in (short, long))
    assert told.contributions[0].significance == pytest.approx(wanted.contributions[0].significance, rel=1e-9)
    assert told.verdict is wanted.verdict is Verdict.CULPRIT


def test_number_of_values_is_bounded_and_the_large_ones_stay():
    baseline = Baseline(1, most_values=50)
    for second in range(2000):
        baseline.learn(({f"rare{second}": 1, "big": 20},), 1.0)
    held = baseline.expected(0, 1.0, {})
    assert len(held) <= 101
    assert held["big"] == pytest.approx(20.0, rel=0.05)


def test_baseline_goes_on_from_a_snapshot():
    rng = np.random.default_rng(3)
    baseline, restored = Baseline(2, memory=5.0), Baseline(2, memory=5.0)
    stretch = [({f"v{rng.integers(9)}": int(rng.integers(50))}, {"bot": 3}) for _ in range(3000)]
    for counts in stretch[:1500]:
        baseline.learn(counts, 1.0)
    restored.restore(codec.decode_packed(codec.pack(baseline.snapshot()), BaselineState))
    for counts in stretch[1500:]:
        baseline.learn(counts, 1.0)
        restored.learn(counts, 1.0)
    assert codec.pack(restored.snapshot()) == codec.pack(baseline.snapshot())


def contribution(dimension: str, value: str, observed: float = 90.0, expected: float = 5.0, *, named: bool = True):
    return Contribution(dimension, value, observed, expected, 0.9, 20.0, named)


@pytest.mark.parametrize(
    ("kind", "verdict", "contributions", "title"),
    [
        (AnomalyKind.RATE_UP, Verdict.CULPRIT, [("wiki", "dewiki")], "Surge on dewiki"),
        (AnomalyKind.RATE_UP, Verdict.CULPRIT, [("wiki", "dewiki"), ("actor", "bot")], "Bot surge on dewiki"),
        (AnomalyKind.RATE_UP, Verdict.CULPRIT, [("namespace", "talk")], "Surge in namespace talk"),
        (AnomalyKind.RATE_UP, Verdict.CULPRIT, [("actor", "bot"), ("namespace", "talk")], "Bot surge"),
        (AnomalyKind.RATE_DOWN, Verdict.CULPRIT, [("wiki", "dewiki", 1.0, 9.0)], "Drop on dewiki"),
        (AnomalyKind.RATE_UP, Verdict.CULPRIT, [("wiki", "gone", 1.0, 9.0), ("actor", "bot")], "Bot surge"),
        (AnomalyKind.RATE_UP, Verdict.GLOBAL, [], "Surge, global"),
        (AnomalyKind.RATE_DOWN, Verdict.NONE, [], "Drop"),
        (AnomalyKind.MIX_SHIFT, Verdict.CULPRIT, [("wiki", "dewiki")], "Mix shift on dewiki"),
        (AnomalyKind.FEED_SILENT, Verdict.NONE, [], "Feed silent"),
    ],
)
def test_title_names_who_and_where(kind, verdict, contributions, title):
    assert title_of(WIKIMEDIA, kind, verdict, [contribution(*row) for row in contributions]) == title
