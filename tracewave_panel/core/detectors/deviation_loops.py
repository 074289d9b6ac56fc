"""How far recent means are from slow baselines, over several spans at once, as compiled loops.

A value of :class:`~tracewave_panel.core.detectors.watched.Watched` goes through the same loop whether it
comes alone or with a day of others. For each span:

    difference = recent mean - baseline
    deviation = difference / its own usual size / (rise or fall), and the largest one is the statistic

Baselines and variances learn values clipped at 3 deviations, and nothing while a difference is beyond
`limit` deviations, so that an incident does not teach them; a level that lasts is accepted. Nothing is
kept as a running sum: a restored memory goes on with the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from tracewave_panel.core.detectors.base import DetectorState, Floats
from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.errors import StateError

__all__ = ["Deviations"]

_CLIP = 3.0
_CLIPPED_VARIANCE = 1.03  # repays what clipping a normal at 3 deviations takes from its variance
_VARIANCE_MEMORY = 3600.0
_LEVEL_WEIGHT = 0.05  # of the mean that tells a moving mean's chart which level to accept
_COUNT, _VALUE, _PRICE = range(3)
_KINDS = {"count": _COUNT, "value": _VALUE, "price": _PRICE}
_LEAST_COUNT_VARIANCE = 0.5  # stabilised counts have about 1, less when they are few
_LEAST_OF_RANGE = 1e-3
_LEAST_RETURN_VARIANCE = 0.25  # returns in units of their volatility have about 1
_VOLATILITY_MEMORY = 60.0

_RULE = np.dtype(
    [("span", "i8"), ("gap", "i8"), ("memory", "f8"), ("rise", "f8"), ("fall", "f8"), ("weight", "f8"), ("share", "f8")]
)
"""What is set for a span. `weight`: of the exponential mean; `share`: of a value's variance that a mean keeps."""

_MEMORY = np.dtype([(name, "f8") for name in ("mean", "squares", "noise", "variance", "smooth", "swing", "beyond")])
"""What is learned of a span.

The baseline, its squares in the warm-up, the variances of a value and of the recent mean around it, the
exponential mean and the variance around that, and how many windows the deviation was beyond the limit.
"""

_METRIC = np.dtype([(name, "f8") for name in ("low", "high", "volatility", "moves")])
"""What is learned of the metric: its range, the mean square of a price's moves and how many of them it is of."""


class Deviations:
    """Memory of a chart of one metric, over all spans of its settings.

    Parameters
    ----------
    exponential
        Recent means are exponential with weight 2 / (span + 1), an EWMA control chart (Roberts
        1959) whose limits are learned instead of derived from independence; otherwise they are of
        the last `span` values.
    kind
        Of the metric, as in :class:`~tracewave_panel.feeds.Metric`.
    """

    def __init__(self, settings: DeviationSettings, *, exponential: bool, kind: str) -> None:
        self.seen = 0
        self._kind, self._exponential = _KINDS[kind], exponential
        self._warm_up, self._limit, self._patience = settings.warm_up, settings.limit, settings.patience
        spans = np.array(settings.spans)
        weights = 2.0 / (spans + 1.0)
        self._rules: Any = np.zeros(len(spans), _RULE)
        self._rules["span"], self._rules["gap"], self._rules["memory"] = spans, settings.gaps, settings.memories
        self._rules["rise"], self._rules["fall"] = settings.rises, settings.falls
        self._rules["weight"] = weights if exponential else _LEVEL_WEIGHT
        self._rules["share"] = weights / (2.0 - weights) if exponential else 1.0 / spans
        self._memory: Any = np.zeros(len(spans), _MEMORY)
        self._metric: Any = np.array([(math.inf, -math.inf, 0.0, 0.0)], _METRIC)
        self._recent: Floats = np.zeros(max(settings.spans + settings.gaps))  # a ring

    def judge(self, value: float) -> tuple[float, int]:
        """Statistic and span of the largest deviation if `value` came next."""
        statistic, place = _judge(
            value, self.seen, self._kind, self._exponential, self._rules, self._memory, self._metric, self._recent
        )
        return statistic, int(self._rules["span"][place])

    def learn(self, value: float) -> None:
        """Take in the next value."""
        self.go_through(np.array([value]))

    def go_through(self, values: Floats) -> Floats:
        """Judge, then learn, each of n values in turn; the statistics, NaN in the warm-up."""
        statistics = np.full(values.size, math.nan)
        _go_through(
            values, statistics, self.seen, self._kind, self._exponential, self._warm_up, self._limit, self._patience,
            self._rules, self._memory, self._metric, self._recent,
        )  # fmt: skip
        self.seen += values.size
        return statistics

    def band(self, place: int) -> tuple[float, float]:
        """Baseline of the span at this place, and standard deviation of a value around it."""
        memory = self._memory[place]
        unit = math.sqrt(self._metric["volatility"][0]) if self._kind == _PRICE else 1.0
        return float(memory["mean"]) * unit, math.sqrt(memory["noise"]) * unit

    def snapshot(self) -> DetectorState:
        """The memory as plain values."""
        return {
            "seen": self.seen,
            "spans": [list(row) for row in self._memory.tolist()],
            "metric": list(self._metric.tolist()[0]),
            "recent": self._recent.tolist(),
        }

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot.

        Raises
        ------
        StateError
            When it is not of as many spans of these lengths.
        """
        try:
            memory = np.array([tuple(row) for row in state["spans"]], _MEMORY)
            metric = np.array([tuple(state["metric"])], _METRIC)
            recent = np.array(state["recent"], np.float64)
            seen = int(state["seen"])
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"the saved chart cannot be read ({error!r}): start without the State") from error
        if memory.shape != self._memory.shape or recent.shape != self._recent.shape:
            raise StateError(
                f"the saved chart has {memory.size} spans and {recent.size} recent windows, these settings make "
                f"{self._memory.size} and {self._recent.size}: start without the State"
            )
        self.seen, self._memory, self._metric, self._recent = seen, memory, metric, recent


@njit(cache=True, nogil=True)
def _judge(
    value: float, seen: int, kind: int, exponential: bool, rules: Any, memory: Any, metric: Any, recent: Floats
) -> tuple[float, int]:
    y = _on_scale(value, kind, metric)
    differences = np.empty(rules.size)
    _measure(y, seen, exponential, rules, memory, recent, differences)
    return _largest(differences, _least_variance(y, kind, metric), rules, memory)


@njit(cache=True, nogil=True)
def _go_through(
    values: Floats, statistics: Floats, seen: int, kind: int, exponential: bool, warm_up: int, limit: float,
    patience: int, rules: Any, memory: Any, metric: Any, recent: Floats,
) -> None:  # fmt: skip
    differences = np.empty(rules.size)
    for n in range(values.size):
        y = _on_scale(values[n], kind, metric)
        least = _least_variance(y, kind, metric)
        if seen >= warm_up:
            _measure(y, seen, exponential, rules, memory, recent, differences)
            statistics[n], _ = _largest(differences, least, rules, memory)
        for i in range(rules.size):
            rule, held = rules[i], memory[i]
            if seen < warm_up:
                _learn_warm_up(y, least, seen, warm_up, rule, held)
            else:
                old = recent[(seen - rule.gap) % recent.size] - held.mean
                _learn_difference(differences[i], old, least, limit, patience, rule, held)
            step = y - held.smooth
            held.smooth += rule.weight * step
            held.swing += rule.weight * (step * step - held.swing)
        _learn_metric(values[n], y, kind, metric)
        recent[seen % recent.size] = y
        seen += 1


@njit(cache=True, nogil=True)
def _measure(
    y: float, seen: int, exponential: bool, rules: Any, memory: Any, recent: Floats, differences: Floats
) -> None:
    """Differences of recent means, the value included, from their baselines."""
    for i in range(rules.size):
        rule, held = rules[i], memory[i]
        if exponential:
            differences[i] = held.smooth + rule.weight * (y - held.smooth) - held.mean
            continue
        total, place = y - held.mean, seen % recent.size
        for _ in range(min(rule.span - 1, seen)):
            place = (place if place > 0 else recent.size) - 1
            total += recent[place] - held.mean
        differences[i] = total / rule.span


@njit(cache=True, nogil=True)
def _largest(differences: Floats, least: float, rules: Any, memory: Any) -> tuple[float, int]:
    """Of the deviations, and its place."""
    largest, place = 0.0, 0
    for i in range(rules.size):
        variance = max(memory[i].variance, least * rules[i].share)
        if variance > 0.0:
            z = differences[i] / math.sqrt(variance)
            z /= rules[i].rise if z > 0.0 else rules[i].fall
            if abs(z) > abs(largest):
                largest, place = z, i
    return largest, place


@njit(cache=True, nogil=True)
def _learn_warm_up(y: float, least: float, seen: int, warm_up: int, rule: Any, held: Any) -> None:
    if seen == 0:
        held.smooth = y
    step = y - held.mean
    held.mean += step / (seen + 1)
    held.squares += step * (y - held.mean)
    if seen + 1 == warm_up:
        held.noise = max(held.squares / seen, least)
        held.variance = held.noise * rule.share


@njit(cache=True, nogil=True)
def _learn_difference(
    difference: float, old: float, least: float, limit: float, patience: int, rule: Any, held: Any
) -> None:
    held.noise, held.variance = max(held.noise, least), max(held.variance, least * rule.share)
    if abs(difference) > limit * math.sqrt(held.variance):
        held.beyond += 1
        if held.beyond > patience:  # the level of late, and its noise if that is greater, is the new normal
            grown = max(1.0, held.swing / held.noise) if held.noise > 0.0 else 1.0
            held.noise *= grown
            held.variance *= grown
            held.mean, held.beyond = held.smooth, 0
        return
    held.beyond = max(0, held.beyond - 5)
    held.variance = _toward(held.variance, difference)
    held.noise = _toward(held.noise, old)
    clip = _CLIP * math.sqrt(held.noise)
    held.mean += min(max(old, -clip), clip) / rule.memory


@njit(cache=True, nogil=True)
def _toward(variance: float, difference: float) -> float:
    square = min(difference * difference, _CLIP * _CLIP * variance) * _CLIPPED_VARIANCE
    return variance + (square - variance) / _VARIANCE_MEMORY


@njit(cache=True, nogil=True)
def _on_scale(value: float, kind: int, metric: Any) -> float:
    """Of a price, its return in units of the volatility; the value itself otherwise."""
    if kind != _PRICE:
        return value
    return value / math.sqrt(metric[0].volatility) if metric[0].volatility > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _least_variance(y: float, kind: int, metric: Any) -> float:
    """Keep a flat line from making the smallest change infinitely unusual."""
    if kind == _COUNT:
        return _LEAST_COUNT_VARIANCE
    if kind == _PRICE:
        return _LEAST_RETURN_VARIANCE
    least: float = _LEAST_OF_RANGE * (max(metric[0].high, y) - min(metric[0].low, y))
    return least * least


@njit(cache=True, nogil=True)
def _learn_metric(value: float, y: float, kind: int, metric: Any) -> None:
    held = metric[0]
    held.low, held.high = min(held.low, y), max(held.high, y)
    if kind == _PRICE and value != 0.0:  # a price that stands still says nothing of how far it moves
        square = value * value
        if held.moves >= _VOLATILITY_MEMORY:
            square = min(square, _CLIP * _CLIP * held.volatility) * _CLIPPED_VARIANCE
        held.moves = min(held.moves + 1.0, _VOLATILITY_MEMORY)
        held.volatility += (square - held.volatility) / held.moves
