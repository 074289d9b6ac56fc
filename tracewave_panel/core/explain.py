"""Which dimension values explain a change, and how much of it.

With O of N events observed for a value, and a baseline that gives it share q of M expected events::

    E     = q N                                    had only the total changed
    G     = 2 (O ln(O / E) + (N - O) ln((N - O) / (N - E)))
    root  = sign(O - E) sqrt(G)                    about standard normal when the mix did not change
    part  = (O - q M) / |N - M|                    share of the rise or fall that the value carries
    own   = (O - E) / |N - M|                      of that, what is beyond its usual share

G is the log-likelihood ratio of the value against the rest (Wilks 1938; Dunning 1993). Values are
ranked by root times sqrt(part), both counted in the direction of the alarm. A value is named only
if its root passes a Bonferroni bar over all values looked at and `own` is at least a fifth; when
none is, the change is global. For a mix shift (direction 0), part and own are both |O - E| over
half the sum of |O - E| in the dimension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec

from tracewave_panel.model import Contribution, Direction, Verdict

__all__ = ["Baseline", "BaselineState", "Explanation", "explain"]

_FALSE_NAMES = 0.02  # chance of naming anything when only the total changed
_LEAST_OWN = 0.2  # a smaller own part is an aside, not an explanation
_PRIOR = 0.5  # events added to every value, so that a new one is not infinitely rare
_SHOWN = 8
_RESCALE = 1e100
_FORGOTTEN = 200.0  # memories after which nothing is left of a count


class BaselineState(msgspec.Struct, frozen=True):
    """A baseline as plain values."""

    scale: float
    seconds: float
    counts: tuple[Mapping[str, float], ...]


class Baseline:
    """Counts per dimension value that fade with `memory` seconds.

    New counts are weighted up instead of old ones down, so learning touches only the values of
    the window. At most `most_values` values are held a dimension; the smallest are forgotten.
    """

    def __init__(self, dimensions: int, memory: float = 1800.0, most_values: int = 2000) -> None:
        self._memory = memory
        self._most_values = most_values
        self._scale = 1.0
        self._seconds = 0.0
        self._counts: tuple[dict[str, float], ...] = tuple({} for _ in range(dimensions))

    def learn(self, dimension_counts: Sequence[Mapping[str, int]], seconds: float) -> None:
        """Take in the counts of the next `seconds`."""
        self._scale *= math.exp(min(seconds / self._memory, _FORGOTTEN))
        scale = self._scale
        self._seconds += seconds * scale
        for held, counts in zip(self._counts, dimension_counts, strict=True):
            for value, count in counts.items():
                held[value] = held.get(value, 0.0) + count * scale
            if len(held) > 2 * self._most_values:
                self._forget(held)
        if scale > _RESCALE:
            self._seconds /= scale
            for held in self._counts:
                for value in held:
                    held[value] /= scale
            self._scale = 1.0

    def _forget(self, held: dict[str, float]) -> None:
        kept = sorted(held.items(), key=lambda item: (-item[1], item[0]))[: self._most_values]
        held.clear()
        held.update(kept)

    def expected(self, dimension: int, seconds: float, also: Mapping[str, int]) -> dict[str, float]:
        """Events of each held value, and of those in `also`, to expect in `seconds`."""
        if not self._seconds:
            return dict.fromkeys(also, 0.0)
        prior = _PRIOR * self._scale
        rate = seconds / self._seconds
        expected = {value: (count + prior) * rate for value, count in self._counts[dimension].items()}
        for value in also:
            expected.setdefault(value, prior * rate)
        return expected

    @property
    def empty(self) -> bool:
        """Whether nothing was learned yet."""
        return not self._seconds

    def snapshot(self) -> BaselineState:
        """The baseline as plain values."""
        return BaselineState(self._scale, self._seconds, tuple(dict(held) for held in self._counts))

    def restore(self, state: BaselineState) -> None:
        """Go on from a snapshot."""
        self._scale, self._seconds = state.scale, state.seconds
        self._counts = tuple(dict(held) for held in state.counts)


class Explanation(msgspec.Struct, frozen=True):
    """A verdict, the leading values, and the share of the change that the named ones carry."""

    verdict: Verdict = Verdict.NONE
    contributions: tuple[Contribution, ...] = ()
    completeness: float = 0.0


def explain(
    dimensions: Sequence[str],
    observed: Sequence[Mapping[str, int]],
    baseline: Baseline,
    seconds: float,
    direction: Direction,
) -> Explanation:
    """Explain the counts of `seconds` against a baseline.

    Parameters
    ----------
    dimensions
        Their names.
    observed
        For each, the count of every value in the stretch that is explained.
    direction
        1 when the alarm says the counts rose, -1 fell, 0 when only the mix changed.
    """
    if baseline.empty:
        return Explanation()
    expected = [baseline.expected(i, seconds, counts) for i, counts in enumerate(observed)]
    bar = NormalDist().inv_cdf(1.0 - _FALSE_NAMES / 2.0 / max(1, sum(map(len, expected))))
    ranked: list[tuple[float, Contribution]] = []
    for dimension, counts, usual in zip(dimensions, observed, expected, strict=True):
        ranked.extend(_rank(dimension, counts, usual, seconds, direction, bar))
    ranked.sort(key=lambda row: (-row[1].named, -row[0], row[1].dimension, row[1].value))
    contributions = tuple(contribution for _, contribution in ranked[:_SHOWN])
    if not contributions or not contributions[0].named:
        return Explanation(Verdict.GLOBAL if direction else Verdict.NONE, contributions)
    leader = contributions[0].dimension
    accounted = sum(row.share for _, row in ranked if row.named and row.dimension == leader)
    return Explanation(Verdict.CULPRIT, contributions, min(1.0, max(0.0, accounted)))


def _rank(
    dimension: str,
    counts: Mapping[str, int],
    usual: Mapping[str, float],
    seconds: float,
    direction: Direction,
    bar: float,
) -> list[tuple[float, Contribution]]:
    if not usual:
        return []
    total, usual_total = float(sum(counts.values())), sum(usual.values())
    grown = total / usual_total
    if direction:
        # a change is never taken as smaller than the noise it stands in
        change = max(direction * (total - usual_total), math.sqrt(usual_total))
    else:
        change = max(sum(abs(counts.get(value, 0) - e * grown) for value, e in usual.items()) / 2.0, 1e-9)
    rows = []
    for value in counts if direction > 0 else usual:  # what did not occur has no part in a rise
        count, base = counts.get(value, 0), usual[value]
        mixed = base * grown
        shift = count - mixed
        if direction * shift < 0:
            continue  # it went the other way
        root = _signed_root(count, mixed, total)
        toward = direction * root if direction else abs(root)
        own = (direction * shift if direction else abs(shift)) / change
        part = direction * (count - base) / change if direction else own
        rank = max(toward, 0.0) * math.sqrt(min(max(part, 0.0), 1.0))
        named = toward > bar and own >= _LEAST_OWN
        rows.append((rank, Contribution(dimension, value, count / seconds, base / seconds, part, root, named)))
    rows.sort(key=lambda row: (-row[0], row[1].value))
    return rows[:_SHOWN]


def _signed_root(observed: float, expected: float, total: float) -> float:
    expected = min(max(expected, 1e-9), total * (1.0 - 1e-9))
    if not total or expected <= 0:
        return 0.0
    rest = total - observed
    g = observed * math.log(observed / expected) if observed else 0.0
    g += rest * math.log(rest / (total - expected)) if rest > 0 else 0.0
    return math.copysign(math.sqrt(max(0.0, 2.0 * g)), observed - expected)
