"""How often an explanation names what was planted, and says "global" when nothing was.

Simulated days hold a short incident every five minutes, of all kinds in turn. Each is explained at its end
as an alarm would be: its own counts against a baseline that learned everything before it but the incidents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from tracewave_panel.core.explain import Baseline, Explanation, Gathered, explain
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.lab.simulated import Simulated, simulated
from tracewave_panel.model import Direction, Verdict, Window
from tracewave_panel.sources.synthetic_incidents import Incident, Planted
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings
from tracewave_panel.sources.synthetic_world import MIX, VALUES, culprit_mask

__all__ = ["ExplanationRates", "explanation_trials"]

RATE = 25.0  # edits a second
START = 1_767_225_600.0
_DAY = 86_400
_WARM_UP = 7200  # four memories of the baseline
_EVERY = 300
_LEARNED = 30  # seconds that the baseline learns at a time
_LENGTHS = (5, 30)
_SMALL = 0.1  # share of the edits; above it, a value's own rise looks much like a global one
_FREQUENT_WIKIS = 60
_LEAST_FALLING = 0.08  # share; a rarer value can fall unseen
_ACTOR = WIKIMEDIA.dimensions.index("actor")


class _Kind(msgspec.Struct, frozen=True):
    """A kind of incident, with the dimensions that its culprits have in turn; none: no culprit."""

    incident: str
    effect: float
    direction: Direction
    culprits: tuple[tuple[str, ...], ...] = ((),)


_EVERYWHERE = (("wiki",), ("namespace",), ("actor",), ("wiki", "actor"))
_KINDS: Mapping[str, _Kind] = {
    "rise +25 %": _Kind("surge", 1.25, 1, _EVERYWHERE),
    "rise +50 %": _Kind("surge", 1.5, 1, _EVERYWHERE),
    "culprit silent": _Kind("drop", 0.0, -1, _EVERYWHERE[:3]),
    "culprit down to 30 %": _Kind("drop", 0.3, -1, _EVERYWHERE[:3]),
    "global rise +50 %": _Kind("surge", 1.5, 1),
    "global rise x3": _Kind("surge", 3.0, 1),
    "global drop to 50 %": _Kind("drop", 0.5, -1),
    # half of what registered editors do is taken as done by bots; the total stays
    "mix shift": _Kind("surge", 1.0, 0),
}


class ExplanationRates(msgspec.Struct, frozen=True):
    """What came of the incidents of one kind and length.

    Attributes
    ----------
    length
        Seconds explained.
    trials, small_trials
        How many incidents; with a culprit that has under 10 % of the edits.
    first, first_small
        Part of them whose culprit led the explanation, named or not; NaN without trials. A culprit of
        two values counts as either of them; nothing but dimension and value counts.
    top3
        Part whose culprit was among the three first.
    named
        Part whose culprit led and passed the bar.
    told_global
        Part with the verdict that nothing stands out.
    """

    kind: str
    length: int
    trials: int
    small_trials: int
    first: float
    first_small: float
    top3: float
    named: float
    told_global: float


class _Outcome(msgspec.Struct, frozen=True):
    small: bool
    first: bool
    top3: bool
    named: bool
    told_global: bool


def explanation_trials(
    seeds: Sequence[int], progress: Callable[[float, str], None] = lambda _done, _note: None
) -> tuple[ExplanationRates, ...]:
    """Plant incidents in one simulated day a seed, and count what their explanations lead with.

    Parameters
    ----------
    seeds
        Of the days; each gives about 16 trials of every kind and length, in about four seconds.
    progress
        Told the part that is done and a note, after each day.
    """
    outcomes: dict[tuple[str, int], list[_Outcome]] = {(kind, length): [] for kind in _KINDS for length in _LENGTHS}
    for done, seed in enumerate(seeds, 1):
        for case, outcome in _day(seed, tuple(outcomes)):
            outcomes[case].append(outcome)
        progress(done / len(seeds), f"{done} of {len(seeds)} days of explanations")
    return tuple(_rates(kind, length, told) for (kind, length), told in outcomes.items())


def _day(seed: int, cases: Sequence[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], _Outcome]]:
    rng = np.random.default_rng([seed, 79])
    planned = [cases[i % len(cases)] for i in range((_DAY - _WARM_UP) // _EVERY)]
    incidents = []
    for number, (kind, length) in enumerate(planned):
        after = _WARM_UP + _EVERY * number + int(rng.integers(_EVERY - max(_LENGTHS)))
        of = _KINDS[kind]
        dimensions = of.culprits[number // len(cases) % len(of.culprits)]
        culprit = {name: str(rng.choice(_candidates(name, of.direction))) for name in dimensions}
        incidents.append(Incident(of.incident, float(after), float(length), of.effect, culprit))
    made = simulated(SyntheticSettings(seed=seed, rate=RATE), START, _DAY, incidents=incidents)
    baseline = Baseline(len(WIKIMEDIA.dimensions))
    learned = 0
    for case, planted in zip(planned, made.truth, strict=True):
        begin, end = int(planted.start - START), int(planted.end - START)
        for second in range(learned, begin, _LEARNED):
            until = min(second + _LEARNED, begin)
            baseline.learn(made.dimension_counts(second, until), float(until - second))
        learned = end
        yield case, _judge(_explained(made, begin, end, _KINDS[case[0]].direction, baseline), planted, case[0])


def _candidates(dimension: str, direction: Direction) -> tuple[str, ...]:
    values = VALUES[dimension][:_FREQUENT_WIKIS]
    return values if direction > 0 else tuple(v for v in values if _share({dimension: v}) >= _LEAST_FALLING)


def _share(culprit: Mapping[str, str]) -> float:
    """Part of all edits that the rarest value of a culprit has."""
    return min((float(MIX[culprit_mask({name: value})].sum()) for name, value in culprit.items()), default=1.0)


def _explained(made: Simulated, begin: int, end: int, direction: Direction, baseline: Baseline) -> Explanation:
    counts = list(made.dimension_counts(begin, end))
    if direction == 0:
        actors = dict(counts[_ACTOR])
        moved = actors["registered"] // 2
        counts[_ACTOR] = {**actors, "registered": actors["registered"] - moved, "bot": actors["bot"] + moved}
    gathered = Gathered()
    gathered.add(
        Window(
            series=WIKIMEDIA.series[0],
            start=float(made.starts[begin]),
            width=float(end - begin),
            count=sum(counts[_ACTOR].values()),
            features=(),
            dimension_counts=tuple(counts),
        )
    )
    return explain(WIKIMEDIA.dimensions, gathered, baseline, direction)


def _judge(told: Explanation, planted: Planted, kind: str) -> _Outcome:
    truth = {("actor", "bot"), ("actor", "registered")} if kind == "mix shift" else set(planted.culprit.items())
    leading = [(row.dimension, row.value) for row in told.contributions[:3]]
    first = bool(leading) and leading[0] in truth
    return _Outcome(
        small=_share(planted.culprit) < _SMALL,
        first=first,
        top3=bool(truth.intersection(leading)),
        named=first and told.verdict is Verdict.CULPRIT,
        told_global=told.verdict is Verdict.GLOBAL,
    )


def _rates(kind: str, length: int, told: Sequence[_Outcome]) -> ExplanationRates:
    def part(of: Sequence[bool]) -> float:
        return sum(of) / len(of) if of else float("nan")

    small = [outcome.first for outcome in told if outcome.small]
    return ExplanationRates(
        kind=kind,
        length=length,
        trials=len(told),
        small_trials=len(small),
        first=part([outcome.first for outcome in told]),
        first_small=part(small),
        top3=part([outcome.top3 for outcome in told]),
        named=part([outcome.named for outcome in told]),
        told_global=part([outcome.told_global for outcome in told]),
    )
