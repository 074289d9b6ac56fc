"""The values that a detector of one metric sees, from single windows or from arrays: the same bits."""

from __future__ import annotations

import math

import numpy as np

from tracewave_panel.core.detectors.base import DetectorState, Floats, Scale
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Window

__all__ = ["Watched"]

_LEAST_COUNT_VARIANCE = 0.5  # stabilised counts have about 1, less when they are few
_LEAST_VARIANCE = 1e-12


class Watched:
    """A metric on its scale, prices as log returns: 0 where nothing was traded.

    Attributes
    ----------
    width
        Of the windows, seconds; 0 before the first one was learned.
    least_variance
        Of an ordinary value. A flat line does not make the smallest change infinitely unusual.
    """

    def __init__(self, feed: Feed, metric: Metric) -> None:
        self.width = 0.0
        self.least_variance = _LEAST_COUNT_VARIANCE if metric.kind == "count" else _LEAST_VARIANCE
        self._scale = Scale(feed, metric)
        self._is_price = metric.kind == "price"
        self._price = 0.0  # the last one

    def value(self, window: Window) -> float:
        """What a window would add."""
        value = self._scale.value(window)
        return self._return(value) if self._is_price else value

    def learn(self, window: Window) -> None:
        """Take in a window."""
        self.width = window.width
        if self._is_price:
            self._price = self._scale.value(window) or self._price

    def values(self, features: Floats, starts: Floats) -> Floats:
        """Take in windows in order: shapes (n, features of the feed) and (n,) in, values (n,) out.

        They are as wide as those before, or else as the shortest step between two of them.
        """
        if not self.width:
            steps = np.diff(starts)
            self.width = round(float(steps[steps > 0].min()), 6) if np.any(steps > 0) else 1.0
        values = self._scale.values(features, self.width)
        if self._is_price:
            for i, price in enumerate(values.tolist()):
                values[i] = self._return(price)
                self._price = price or self._price
        return values

    def _return(self, price: float) -> float:
        return math.log(price / self._price) if price > 0.0 and self._price > 0.0 else 0.0

    def back(self, mean: float, deviation: float, width: float) -> tuple[float, float]:
        """Mean and standard deviation of values in the metric's own unit."""
        if self._is_price:
            return self._price * math.exp(mean), self._price * deviation
        return self._scale.back(mean, deviation, width)

    def snapshot(self) -> DetectorState:
        """The memory as plain values."""
        return {"width": self.width, "price": self._price}

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot."""
        self.width, self._price = state["width"], state["price"]
