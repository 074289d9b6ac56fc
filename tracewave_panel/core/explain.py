"""Which dimension values explain a change, and how much of it.

With O of N events observed for a value, and a baseline that gives it share q of M expected events::

    E     = q N                                    had only the total changed
    G     = 2 (O ln(O / E) + (N - O) ln((N - O) / (N - E)))
    root  = sign(O - E) sqrt(G)                    about standard normal when the mix did not change
    part  = (O - q M) / |N - M|                    share of the rise or fall that the value carries
    own   = (O - E) / |N - M|                      of that, what is beyond its usual share

G is the log-likelihood ratio of the value against the rest (Wilks 1938; Dunning 1993). Values are
ranked by root times sqrt(part), both counted in the direction of the alarm. A value is named only
if its root passes a Bonferroni bar over all values looked at and `own` is large enough; when none
is, the change is global. For a mix shift (direction 0), part and own are both |O - E| over half the
sum of |O - E| in the dimension.

One value often lies within another (a wiki within its language), and both move together. A leader
makes way for a value of another dimension that is nearly as strong and could be part of it, unless
the rest of the leader moved as well; of two that are the same events, the earlier dimension's leads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist

import msgspec

from tracewave_panel.core.heavy_values import HeavyValues
from tracewave_panel.model import Contribution, Direction, Event, Sample, Verdict, Window

__all__ = ["Baseline", "BaselineState", "Explanation", "Gathered", "explain"]

MOST_VALUES = 2000
MOST_SAMPLES = 200

_FALSE_NAMES = 0.02  # chance of naming anything when only the total changed
# a smaller own part is an aside, not an explanation; harmless bot runs are the usual ones, and only add
_LEAST_OWN: Mapping[Direction, float] = {1: 0.25, 0: 0.2, -1: 0.1}
_PRIOR = 0.5  # events added to every value, so that a new one is not infinitely rare
_SHOWN = 8
_NEARLY_AS_STRONG = 0.9
_UNMOVED = 1.64  # deviations that one in twenty passes by chance
_SAMPLES_SHOWN = 3
_RESCALE = 1e100
_FORGOTTEN = 200.0  # memories after which nothing is left of a count


class BaselineState(msgspec.Struct, frozen=True):
    """A baseline as plain values."""

    scale: float
    seconds: float
    values: tuple[HeavyValues, ...]


class Baseline:
    """Counts per dimension value that fade with `memory` seconds.

    New counts are weighted up instead of old ones down, so learning touches only the values of
    the window. At most `most_values` values are held a dimension, 2,000 in about 250,000 bytes;
    :class:`~tracewave_panel.core.heavy_values.HeavyValues` says how far off a count may then be.
    """

    def __init__(self, dimensions: int, memory: float = 1800.0, most_values: int = MOST_VALUES) -> None:
        self._memory = memory
        self._most_values = most_values
        self._scale = 1.0
        self._seconds = 0.0
        self._values = tuple(HeavyValues() for _ in range(dimensions))

    def learn(self, dimension_counts: Sequence[Mapping[str, int]], seconds: float) -> None:
        """Take in the counts of the next `seconds`."""
        self._scale *= math.exp(min(seconds / self._memory, _FORGOTTEN))
        scale = self._scale
        self._seconds += seconds * scale
        for values, counts in zip(self._values, dimension_counts, strict=True):
            values.add(counts, self._most_values, scale)
        if scale > _RESCALE:
            self._seconds /= scale
            for values in self._values:
                values.rescale(scale)
            self._scale = 1.0

    def expected(self, dimension: int, seconds: float, also: Iterable[str]) -> tuple[dict[str, float], float]:
        """Events to expect in `seconds`: of each held value and of those in `also`, and of all together."""
        if not self._seconds:
            return dict.fromkeys(also, 0.0), 0.0
        values, prior, rate = self._values[dimension], _PRIOR * self._scale, seconds / self._seconds
        expected = {value: (count + prior) * rate for value, count in values.counts.items()}
        for value in also:
            expected.setdefault(value, (values.forgotten + prior) * rate)
        return expected, (values.total + prior * len(expected)) * rate

    @property
    def empty(self) -> bool:
        """Whether nothing was learned yet."""
        return not self._seconds

    def snapshot(self) -> BaselineState:
        """The baseline as plain values."""
        return BaselineState(self._scale, self._seconds, tuple(values.copy() for values in self._values))

    def restore(self, state: BaselineState) -> None:
        """Go on from a snapshot."""
        self._scale, self._seconds = state.scale, state.seconds
        self._values = tuple(values.copy() for values in state.values)


class Gathered(msgspec.Struct):
    """What the windows of an alarm hold together, bounded however long it lasts.

    Attributes
    ----------
    values
        One for each dimension; empty before the first window.
    samples
        The newest 200 samples of the windows, in their order.
    """

    values: list[HeavyValues] = []
    samples: list[Event] = []
    windows: int = 0
    seconds: float = 0.0

    def add(self, window: Window) -> None:
        """Take in the next window."""
        self.values = self.values or [HeavyValues() for _ in window.dimension_counts]
        for values, counts in zip(self.values, window.dimension_counts, strict=True):
            values.add(counts, MOST_VALUES)
        self.samples = [*self.samples, *window.samples][-MOST_SAMPLES:]
        self.windows += 1
        self.seconds += window.width


class Explanation(msgspec.Struct, frozen=True):
    """A verdict, the leading values, and the share of the change that the named ones carry."""

    verdict: Verdict = Verdict.NONE
    contributions: tuple[Contribution, ...] = ()
    completeness: float = 0.0


def explain(dimensions: Sequence[str], gathered: Gathered, baseline: Baseline, direction: Direction) -> Explanation:
    """Explain what was gathered against a baseline.

    Parameters
    ----------
    dimensions
        Their names.
    direction
        1 when the alarm says the counts rose, -1 fell, 0 when only the mix changed.
    """
    if baseline.empty or not gathered.seconds:
        return Explanation()
    changes = []
    for position, values in enumerate(gathered.values):
        usual, usual_total = baseline.expected(position, gathered.seconds, values.counts)
        changes.append(_Change(position, values.counts, values.total, usual, usual_total, direction))
    bar = NormalDist().inv_cdf(1.0 - _FALSE_NAMES / 2.0 / max(1, sum(len(change.usual) for change in changes)))
    ranked = [row for change in changes for row in change.ranked(bar)]
    ranked.sort(key=lambda row: (-row.named, -row.strength, row.change.position, row.value))
    if ranked and direction:
        _make_way(ranked)
    shown = ranked[:_SHOWN]
    contributions = tuple([_told(row, dimensions, gathered) for row in shown])
    if not shown or not shown[0].named:
        return Explanation(Verdict.GLOBAL if direction else Verdict.NONE, contributions)
    leader = shown[0].change
    accounted = sum(row.part for row in ranked if row.named and row.change is leader)
    return Explanation(Verdict.CULPRIT, contributions, min(1.0, max(0.0, accounted)))


class _Row(msgspec.Struct):
    """One value, and how strongly it explains the change of its dimension."""

    change: _Change
    value: str
    count: float
    usual: float
    part: float
    root: float
    strength: float
    named: bool


class _Change:
    """How the counts of one dimension differ from the usual."""

    def __init__(
        self,
        position: int,
        counts: Mapping[str, float],
        total: float,
        usual: Mapping[str, float],
        usual_total: float,
        direction: Direction,
    ) -> None:
        self.position = position
        self.counts = counts
        self.total = total
        self.usual = usual
        self.usual_total = usual_total
        self.direction = direction

    def ranked(self, bar: float) -> list[_Row]:
        """The strongest values; those whose root passes the bar are named if enough of the change is their own."""
        if not self.usual:
            return []
        direction, counts, total = self.direction, self.counts, self.total
        grown = total / self.usual_total
        if direction:
            # a change is never taken as smaller than the noise it stands in
            whole = max(direction * (total - self.usual_total), math.sqrt(self.usual_total))
        else:
            whole = max(sum(abs(counts.get(value, 0) - e * grown) for value, e in self.usual.items()) / 2.0, 1e-9)
        least = _LEAST_OWN[direction]
        rows = []
        for value in counts if direction > 0 else self.usual:  # what did not occur has no part in a rise
            count, usual = counts.get(value, 0.0), self.usual[value]
            shift = count - usual * grown
            if direction * shift < 0:
                continue  # it went the other way
            root = _signed_root(count, usual * grown, total)
            own = (direction * shift if direction else abs(shift)) / whole
            part = direction * (count - usual) / whole if direction else own
            strength = abs(root) * math.sqrt(min(max(part, 0.0), 1.0))
            rows.append(_Row(self, value, count, usual, part, root, strength, abs(root) > bar and own >= least))
        rows.sort(key=lambda row: (-row.strength, row.value))
        return rows[:_SHOWN]

    def rest_moved(self, row: _Row, within: _Row) -> bool:
        """Whether what `row` holds beyond `within` changed in the direction, next to everything outside `row`."""
        level = (self.total - row.count) / max(self.usual_total - row.usual, 1e-9)
        rest, usual = row.count - within.count, (row.usual - within.usual) * level
        return self.direction * 2.0 * (_stabilised(rest) - _stabilised(usual)) > _UNMOVED


def _make_way(ranked: list[_Row]) -> None:
    """Put first the strongest value that explains the change as well as the leader, within which it lies."""
    leader = ranked[0]
    size = leader.usual, leader.change.position
    for at, row in enumerate(ranked):
        if (
            row.change is not leader.change
            and row.strength >= _NEARLY_AS_STRONG * leader.strength
            and row.count <= leader.count
            and (row.usual, row.change.position) < size
            and not leader.change.rest_moved(leader, row)
        ):
            row.named = leader.named
            ranked.insert(0, ranked.pop(at))
            return


def _told(row: _Row, dimensions: Sequence[str], gathered: Gathered) -> Contribution:
    at = row.change.position
    carrying = [event for event in gathered.samples if event.dimensions[at] == row.value][-_SAMPLES_SHOWN:]
    return Contribution(
        dimension=dimensions[at],
        value=row.value,
        observed=row.count / gathered.seconds,
        expected=row.usual / gathered.seconds,
        share=row.part,
        significance=row.root,
        named=row.named,
        samples=tuple([Sample(event.id, event.time, event.title, event.link) for event in carrying]),
    )


def _stabilised(count: float) -> float:
    return math.sqrt(max(0.0, count) + 0.375)  # twice this has variance 1 (Anscombe 1948)


def _signed_root(observed: float, expected: float, total: float) -> float:
    expected = min(max(expected, 1e-9), total * (1.0 - 1e-9))
    if not total or expected <= 0:
        return 0.0
    rest = total - observed
    g = observed * math.log(observed / expected) if observed else 0.0
    g += rest * math.log(rest / (total - expected)) if rest > 0 else 0.0
    return math.copysign(math.sqrt(max(0.0, 2.0 * g)), observed - expected)
