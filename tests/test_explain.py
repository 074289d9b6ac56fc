"""Explanation: planted culprits come first, and nothing about it overflows or grows."""

from __future__ import annotations

import math
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel import codec
from tracewave_panel.core import explain as explaining
from tracewave_panel.core.explain import Baseline, BaselineState, Explanation, Gathered
from tracewave_panel.core.heavy_values import HeavyValues
from tracewave_panel.core.titles import title_of
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import AnomalyKind, Contribution, Event, Sample, Verdict, Window

WIKIS = tuple(f"w{i:02d}" for i in range(60))
ACTORS = ("bot", "registered", "anonymous")
DIMENSIONS = ("wiki", "actor")


def window(counts, seconds: float = 1.0, samples: tuple[Event, ...] = ()) -> Window:
    return Window("edits", 0.0, seconds, sum(counts[0].values()), (), tuple(counts), samples=samples)


def explain(dimensions, counts, baseline, seconds, direction, samples=()):
    """Explain the counts of one window."""
    gathered = Gathered()
    gathered.add(window(counts, seconds, samples))
    return explaining.explain(dimensions, gathered, baseline, direction)


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


# -- one value within another


NESTED = ("wiki", "language", "actor")


def nested_world(rest: int) -> tuple[Baseline, dict[str, int]]:
    """A baseline of 20 wikis in 7 languages, and half a minute of them; l0 has little besides l0.pedia."""
    wikis = {f"l{i % 7}.{'pedia' if i < 7 else 'source' if i < 14 else 'news'}": 4000 // (i + 1) for i in range(20)}
    wikis |= {"l0.source": rest, "l0.news": 0}
    baseline = Baseline(3)
    baseline.learn((wikis, by_language(wikis), {"bot": sum(wikis.values())}), 1800.0)
    return baseline, {wiki: round(count / 60) for wiki, count in wikis.items()}


def by_language(wikis: dict[str, int]) -> dict[str, int]:
    languages: dict[str, int] = {}
    for wiki, count in wikis.items():
        language = wiki.split(".")[0]
        languages[language] = languages.get(language, 0) + count
    return languages


def leader_of(baseline: Baseline, wikis: dict[str, int], direction: int) -> str:
    counts = (wikis, by_language(wikis), {"bot": sum(wikis.values())})
    told = explain(NESTED, counts, baseline, 30.0, direction)
    assert told.verdict is Verdict.CULPRIT
    return told.contributions[0].value


@pytest.mark.parametrize(("factor", "direction"), [(0.0, -1), (0.3, -1), (4.0, 1)])
@pytest.mark.parametrize("rest", [0, 1, 3], ids=["rest lower", "rest as usual", "rest higher"])
def test_wiki_leads_over_the_language_it_is_nearly_all_of(factor, direction, rest):
    baseline, usual = nested_world(60)
    changed = usual | {"l0.pedia": round(usual["l0.pedia"] * factor), "l0.source": rest}
    assert leader_of(baseline, changed, direction) == "l0.pedia"


@pytest.mark.parametrize(("factor", "direction"), [(0.0, -1), (4.0, 1)])
def test_language_leads_when_all_its_wikis_moved(factor, direction):
    baseline, usual = nested_world(240)
    changed = {wiki: round(count * factor) if wiki.startswith("l0.") else count for wiki, count in usual.items()}
    assert leader_of(baseline, changed, direction) == "l0"


@pytest.mark.parametrize("order", [("wiki", "language"), ("language", "wiki")])
def test_of_two_names_for_the_same_events_the_earlier_dimension_leads(order):
    # the second dimension has more values, whose priors make its value look a little rarer
    others = [{f"{name}{i}": 3000 // size for i in range(size)} for name, size in zip(order, (3, 100), strict=True)]
    baseline = Baseline(2)
    baseline.learn(tuple(values | {"et": 100} for values in others), 100.0)
    told = explain(order, tuple(values | {"et": 400} for values in others), baseline, 100.0, 1)
    assert [(row.dimension, row.value) for row in told.contributions[:2]] == [(name, "et") for name in order]


# -- samples


def event(number: int, wiki: str, actor: str = "bot") -> Event:
    return Event(
        float(number), 0.0, 0.0, "edits", str(number), (wiki, actor), title=f"Page {number}", link=f"/{number}"
    )


def test_contribution_shows_its_three_newest_events_the_newest_last(world):
    wikis, actors = world.counts(30.0)
    samples = tuple(event(number, ("w40", "w00")[number % 2]) for number in range(20))
    told = explain(DIMENSIONS, (wikis | {"w40": 500}, actors), world.baseline, 30.0, 1, samples)
    lead = told.contributions[0]
    assert lead.value == "w40"
    assert lead.samples == tuple(Sample(str(n), float(n), f"Page {n}", f"/{n}") for n in (14, 16, 18))


def test_value_that_went_silent_has_no_samples(world):
    samples = tuple(event(number, "w01") for number in range(20))
    told = explain(DIMENSIONS, world.counts(30.0, 0, 0.0), world.baseline, 30.0, -1, samples)
    assert (told.contributions[0].value, told.contributions[0].samples) == ("w00", ())


def test_what_an_alarm_gathers_is_bounded_and_newest():
    gathered = Gathered()
    for second in range(200):
        events = tuple(event(100 * second + n, "w") for n in range(64))
        gathered.add(window(({f"page {second} {n}": 1 for n in range(100)} | {"w": 50},), 1.0, events))
    assert (gathered.windows, gathered.seconds, len(gathered.samples)) == (200, 200.0, 200)
    assert gathered.samples[-1].id == "19963"
    assert [sample.time for sample in gathered.samples] == sorted(sample.time for sample in gathered.samples)
    assert len(gathered.values[0].counts) <= 2000
    assert (gathered.values[0].counts["w"], gathered.values[0].total) == (10_000, 30_000)
    again = codec.decode_packed(codec.pack(gathered), Gathered)
    assert codec.pack(again) == codec.pack(gathered)


# -- bounds


def bytes_of(values: HeavyValues) -> int:
    return sys.getsizeof(values.counts) + sum(sys.getsizeof(v) + sys.getsizeof(c) for v, c in values.counts.items())


def test_million_values_fit_and_the_heavy_ones_keep_exact_counts():
    values, most = HeavyValues(), 0
    heavy = {f"heavy {i}": 10 * (i + 1) for i in range(20)}
    for second in range(1000):
        values.add(heavy | {f"once {second} {i}": 1 for i in range(1000)}, most=2000)
        most = max(most, bytes_of(values))
    assert most < 500_000
    assert {value: values.counts[value] for value in heavy} == {value: 1000 * n for value, n in heavy.items()}
    assert values.total == 1000 * (1000 + sum(heavy.values()))


@given(st.lists(st.dictionaries(st.integers(0, 40).map(str), st.integers(1, 30), max_size=12), max_size=40))
@settings(max_examples=200, deadline=None)
def test_count_is_never_too_low_and_too_high_by_a_stated_part_at_most(stretches):
    values, true = HeavyValues(), {}
    for number, counts in enumerate(stretches):
        values.add(counts, most=10, weight=1.1**number)
        for value, count in counts.items():
            true[value] = true.get(value, 0.0) + count * 1.1**number
    total = sum(true.values())
    assert values.total == pytest.approx(total)
    assert values.forgotten <= 2 / 10 * total
    for value, count in true.items():
        told = values.counts.get(value, values.forgotten)
        assert count * (1 - 1e-9) <= told <= (count + values.forgotten) * (1 + 1e-9)


def test_total_is_expected_in_full_though_most_values_are_forgotten():
    baseline = Baseline(1, memory=1e9, most_values=100)
    for second in range(500):
        baseline.learn(({f"once {second} {i}": 1 for i in range(40)} | {"big": 10},), 1.0)
    expected, total = baseline.expected(0, 10.0, ("never seen",))
    assert total == pytest.approx(500.0, rel=0.01)
    assert expected["big"] == pytest.approx(100.0, rel=0.01)
    assert explain(("page",), ({f"new {i}": 1 for i in range(400)} | {"big": 100},), baseline, 10.0, 1).verdict is (
        Verdict.GLOBAL
    )
    told = explain(("page",), ({f"new {i}": 1 for i in range(400)} | {"big": 400},), baseline, 10.0, 1)
    assert told.contributions[0].value == "big"


def test_explanation_of_150_values_takes_under_a_millisecond():
    world, took = World(4), []
    baseline = Baseline(2)
    names = [f"page {i}" for i in range(147)]
    for _ in range(100):
        baseline.learn((dict.fromkeys(names, 5), {"bot": 300, "registered": 400, "anonymous": 35}), 30.0)
    gathered = Gathered()
    counts = {name: int(n) for name, n in zip(names, world.rng.poisson(8, 147), strict=True)}
    gathered.add(window((counts, {"bot": sum(counts.values())}), 30.0, tuple(event(n, "page 1") for n in range(200))))
    for direction in (-1, 0, 1) * 10:
        began = time.process_time()
        explaining.explain(DIMENSIONS, gathered, baseline, direction)
        took.append(time.process_time() - began)
    assert sorted(took)[len(took) // 2] < 1e-3


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
    expected = baseline.expected(0, 1.0, ())[0]
    assert expected["old"] / expected["new"] == pytest.approx(math.exp(-2) / (1 - math.exp(-2)), rel=0.02)
    assert sum(expected.values()) == pytest.approx(10.0, rel=0.02)


@pytest.mark.parametrize("memory", [1e-3, 1.0, 1800.0])
def test_learning_for_ever_does_not_overflow(memory):
    baseline = Baseline(1, memory=memory)
    for _ in range(2000):
        baseline.learn(({"a": 30_000, "b": 10_000},), 1000.0)  # two million seconds and more
    expected = baseline.expected(0, 1.0, ())[0]
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
    held = baseline.expected(0, 1.0, ())[0]
    assert len(held) <= 50
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
