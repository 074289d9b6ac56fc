"""What a forest is shown of a window, as compiled loops: a row of floats.

A second's features are noisy, and one outlier would squeeze a range that is scaled to it. So
:class:`Standardised` shows the forest recent means, each as its deviation from its own slow baseline
in units of its usual deviation, with what is within the dead zone cut off::

    row = sign(z) * max(0, |z| - dead_zone),  z = (recent - baseline) / deviation

Ordinary windows then lie near the origin, where all mass gathers, and an incident where there is none.
:class:`History` shows the recent past of a single value instead.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tracewave_panel.core.detectors.base import DetectorState, Floats
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import Feed

__all__ = ["History", "Rows", "Standardised"]

_COUNT, _SHARE, _MEAN, _SIZE, _RETURN, _LEVEL = range(6)
_KIND_OF_FOLD = {"rate": _COUNT, "distinct": _COUNT, "share": _SHARE, "mean_abs": _MEAN, "sum": _SIZE, "last": _LEVEL}
_CLIP = 3.0
_CLIPPED_VARIANCE = 1.03  # repays what clipping a normal at 3 deviations takes from its variance
_VARIANCE_MEMORY = 3600.0
# of one value of a kind: a feature that never moved does not make its first move infinitely unusual
_LEAST_VARIANCE = np.array([0.5, 1e-3, 1e-3, 1e-3, 1e-12, 1e-12])
_PAST = 10

_MEMORY = np.dtype([(name, "f8") for name in ("value", "weight", "price", "mean", "squares", "variance")])
"""What is learned of a feature.

Exponential means of its weighted values and of the weights, the last price, the baseline, its squares in the
warm-up, and the variance of the recent mean around it.
"""


class Rows(Protocol):
    """Makes a row of the features of a window and of what came before it."""

    columns: int

    def look(self, features: Floats) -> Floats:
        """The row of a window that came next; shape (columns,)."""
        ...

    def go_through(self, features: Floats) -> Floats:
        """Look at, then learn, each window in turn; shapes (n, features) in, (n, columns) out."""
        ...

    def snapshot(self) -> DetectorState:
        """The memory as plain values."""
        ...

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot, or raise StateError when it is of other rows."""
        ...


class Standardised:
    """Deviations of all features of a feed from their baselines; zeros in the warm-up.

    Counts are variance-stabilised, shares and means weighted by the events they are of, sizes taken
    as logarithms and prices as log returns.

    Parameters
    ----------
    span
        Windows of the exponential recent means.
    memory
        Windows of the baselines' exponential means.
    warm_up
        Windows whose plain means and variances the baselines start from.
    """

    def __init__(self, feed: Feed, *, span: float, memory: float, warm_up: int, dead_zone: float) -> None:
        features = sorted(feed.features, key=lambda feature: feature.name)
        prices = {metric.feature for metric in feed.metrics if metric.kind == "price"}
        kinds = [_RETURN if one.name in prices else _KIND_OF_FOLD[one.fold] for one in features]
        self.columns = len(features)
        self._order = np.array([feed.feature_index(one.name) for one in features])
        self._kinds = np.array(kinds)
        self._rate = next((place for place, one in enumerate(features) if one.fold == "rate"), -1)
        self._settings = (2.0 / (span + 1.0), float(memory), warm_up, float(dead_zone))
        self._seen = 0
        self._memory: Any = np.zeros(len(features), _MEMORY)

    def look(self, features: Floats) -> Floats:
        """The row of a window that came next; shape (columns,)."""
        row = np.zeros(self.columns)
        _look(features[self._order], row, self._kinds, self._rate, self._seen, self._settings, self._memory)
        return row

    def go_through(self, features: Floats) -> Floats:
        """Look at, then learn, each window in turn; shapes (n, features) in, (n, columns) out."""
        rows = np.zeros((len(features), self.columns))
        values = np.ascontiguousarray(features[:, self._order])
        _go_through(values, rows, self._kinds, self._rate, self._seen, self._settings, self._memory)
        self._seen += len(features)
        return rows

    def snapshot(self) -> DetectorState:
        """The memory as plain values."""
        return {"seen": self._seen, "features": [list(one) for one in self._memory.tolist()]}

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot, or raise StateError when it is of other rows."""
        if len(state.get("features", ())) != self.columns:
            raise StateError(f"the saved trees did not watch {self.columns} features: start without the State")
        self._seen = state["seen"]
        self._memory = np.array([tuple(one) for one in state["features"]], _MEMORY)


class History:
    """Change, mean and deviation of the last ten values of one feature, and the value: in this order.

    Parameters
    ----------
    index
        Place of the feature.
    """

    columns = 4

    def __init__(self, index: int) -> None:
        self._index = index
        self._past: Floats = np.zeros(0)

    def look(self, features: Floats) -> Floats:
        """The row of a window that came next; shape (columns,)."""
        _, rows = self._rows(features[None, :])
        return rows.ravel()

    def go_through(self, features: Floats) -> Floats:
        """Look at, then learn, each window in turn; shapes (n, features) in, (n, columns) out."""
        values, rows = self._rows(features)
        self._past = values[-_PAST:]
        return rows

    def _rows(self, features: Floats) -> tuple[Floats, Floats]:
        values = np.concatenate([self._past, features[:, self._index]])
        rows = np.zeros((len(features), self.columns))
        _past_of_each(values, rows)
        return values, rows

    def snapshot(self) -> DetectorState:
        """The memory as plain values."""
        return {"past": self._past.tolist()}

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot, or raise StateError when it is of other rows."""
        if "past" not in state:
            raise StateError("the saved trees did not watch the history of one value: start without the State")
        self._past = np.array(state["past"], np.float64)


Settings = tuple[float, float, int, float]


@njit(cache=True, nogil=True)
def _on_scale(x: float, kind: int, price: float) -> float:
    if kind == _COUNT:
        return 2.0 * math.sqrt(max(x, 0.0) + 0.375)
    if kind in (_MEAN, _SIZE):
        return math.copysign(math.log1p(abs(x)), x)
    if kind == _RETURN:
        return math.log(x / price) if x > 0.0 and price > 0.0 else 0.0
    return x


@njit(cache=True, nogil=True)
def _recent(
    values: Floats, j: int, kinds: NDArray[np.int64], rate: int, seen: int, share: float, memory: Any
) -> tuple[float, float, float]:
    """Exponential means of weighted values and of weights, and the recent mean on the scale it is judged on."""
    kind, share = kinds[j], max(share, 1.0 / (seen + 1))
    weighted = rate >= 0 and kind in (_SHARE, _MEAN)
    weight = values[rate] if weighted else 1.0
    held = memory[j]
    weights = held["weight"] + share * (weight - held["weight"])
    value = held["value"] + share * (weight * _on_scale(values[j], kind, held["price"]) - held["value"])
    recent = value / weights if weights > 0.0 else 0.0
    if kind == _SHARE:
        recent = math.asin(math.sqrt(min(max(recent, 0.0), 1.0)))
    return value, weights, recent


@njit(cache=True, nogil=True)
def _look(
    values: Floats, row: Floats, kinds: NDArray[np.int64], rate: int, seen: int, settings: Settings, memory: Any
) -> None:
    share, _, warm_up, dead_zone = settings
    if seen < warm_up:
        return
    for j in range(values.size):
        _, _, recent = _recent(values, j, kinds, rate, seen, share, memory)
        z = (recent - memory[j]["mean"]) / math.sqrt(memory[j]["variance"])
        row[j] = math.copysign(max(0.0, abs(z) - dead_zone), z)


@njit(cache=True, nogil=True)
def _learn(values: Floats, kinds: NDArray[np.int64], rate: int, seen: int, settings: Settings, memory: Any) -> None:
    share, slowness, warm_up, _ = settings
    for j in range(values.size):
        value, weights, recent = _recent(values, j, kinds, rate, seen, share, memory)
        held = memory[j]
        held["value"], held["weight"] = value, weights
        if values[j] > 0.0:
            held["price"] = values[j]
        least = _LEAST_VARIANCE[kinds[j]] * share / (2.0 - share)
        step = recent - held["mean"]
        if seen < warm_up:
            held["mean"] += step / (seen + 1)
            held["squares"] += step * (recent - held["mean"])
            held["variance"] = max(least, held["squares"] / max(seen, 1))
        else:
            clip = _CLIP * math.sqrt(held["variance"])
            step = min(max(step, -clip), clip)
            variance = held["variance"] + (step * step * _CLIPPED_VARIANCE - held["variance"]) / _VARIANCE_MEMORY
            held["variance"] = max(least, variance)
            held["mean"] += step / slowness


@njit(cache=True, nogil=True)
def _go_through(
    values: Floats, rows: Floats, kinds: NDArray[np.int64], rate: int, seen: int, settings: Settings, memory: Any
) -> None:
    for i in range(len(values)):
        _look(values[i], rows[i], kinds, rate, seen, settings, memory)
        _learn(values[i], kinds, rate, seen, settings, memory)
        seen += 1


@njit(cache=True, nogil=True)
def _past_of_each(values: Floats, rows: Floats) -> None:
    """Fill the rows of the last values."""
    before = len(values) - len(rows)
    for i in range(len(rows)):
        at = before + i
        past = values[max(0, at + 1 - _PAST) : at + 1]
        mean = _sum(past) / past.size
        rows[i, 0] = values[at] - values[max(0, at - 1)]
        rows[i, 1] = mean
        rows[i, 2] = math.sqrt(_sum((past - mean) ** 2) / past.size)
        rows[i, 3] = values[at]


@njit(cache=True, nogil=True)
def _sum(values: Floats) -> float:
    """Sum of at most fifteen values in numpy's order of additions, so that a flat past has numpy's deviation."""
    total, after = 0.0, 0
    if values.size >= 8:
        pairs = (values[0] + values[1], values[2] + values[3], values[4] + values[5], values[6] + values[7])
        total, after = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3]), 8
    for i in range(after, values.size):
        total += values[i]
    return total
