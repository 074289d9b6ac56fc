"""What a detector is, and the arithmetic that several share."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Direction, Score, Window

__all__ = ["ArrayDetector", "Detector", "DetectorState", "Floats", "Scale", "abstain", "score_of_deviation"]

Floats = NDArray[np.float64]
DetectorState = dict[str, Any]
"""A detector's memory as plain values: numbers, lists, bytes."""

FIRE_SCORE = 0.5
_TAIL_FREEDOM = 30.0
_TAIL_CORRECTION = (8.0 * _TAIL_FREEDOM + 1.0) / (8.0 * _TAIL_FREEDOM + 3.0)


class Detector(Protocol):
    """Scores one metric of one series, window by window.

    Made as ``Detector(feed, metric, settings)``. `score_one` changes nothing; `learn_one` is
    called after it by the analyzer alone, with windows that may be learned from. The same windows
    give the same scores on every machine. The p of a score is a safe default: the analyzer reads
    another from the statistic where it has a reference for it.

    Attributes
    ----------
    name
        In settings, scores and references.
    two_sided
        Whether the statistic is signed (rises above 0, falls below); otherwise only a large one
        is unusual.
    """

    name: str
    two_sided: bool

    def score_one(self, window: Window) -> Score:
        """Judge a window against what was learned before it."""
        ...

    def learn_one(self, window: Window) -> None:
        """Learn a window."""
        ...

    def snapshot(self) -> DetectorState:
        """The memory, to go on from."""
        ...

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot of a detector with the same settings."""
        ...


class ArrayDetector(Detector, Protocol):
    """A detector that also judges many windows in one call, for the lab and for calibration."""

    def score_many(self, features: Floats, starts: Floats) -> Floats:
        """Score, then learn, one window after the other: what `score_one` and `learn_one` would do.

        Parameters
        ----------
        features
            Of n windows that are judged, in order; shape (n, features of the feed).
        starts
            Of these windows, seconds; shape (n,).

        Returns
        -------
        Floats
            Their statistics, shape (n,); NaN where the detector abstains.
        """
        ...


class Scale:
    """The scale on which a metric is watched.

    Counts are variance-stabilised, ``y = 2 sqrt(x + 3/8)`` (Anscombe 1948), which makes the noise
    of a Poisson count about 1 at every rate; other values are taken as they are.
    """

    def __init__(self, feed: Feed, metric: Metric) -> None:
        self._index = feed.feature_index(metric.feature)
        self._counts = metric.kind == "count"

    def value(self, window: Window) -> float:
        """The metric of a window, on this scale."""
        value = window.features[self._index]
        return 2.0 * math.sqrt(value * window.width + 0.375) if self._counts else value

    def values(self, features: Floats, width: float) -> Floats:
        """The metric of windows by their features, shape (n, features of the feed): the same bits as `value`."""
        values = np.ascontiguousarray(features[:, self._index], np.float64)
        return 2.0 * np.sqrt(values * width + 0.375) if self._counts else values

    def back(self, mean: float, deviation: float, width: float) -> tuple[float, float]:
        """Mean and standard deviation on this scale in the metric's own unit."""
        if not self._counts:
            return mean, deviation
        return max(0.0, (mean * mean / 4.0 - 0.375) / width), deviation * mean / 2.0 / width


def abstain(name: str, windows_left: int) -> Score:
    """The word of a detector that has not seen enough."""
    noun = "window" if windows_left == 1 else "windows"
    return Score(name, warm=False, reason=f"learning, {windows_left} {noun} left", windows_left=windows_left)


def score_of_deviation(
    name: str,
    z: float,
    *,
    statistic: float | None = None,
    two_sided: bool = True,
    direction: Direction = 0,
    expected: float | None = None,
    spread: float | None = None,
    span: int = 0,
) -> Score:
    """Score of a standardised deviation, by the tail of Student's t with 30 degrees of freedom.

    The deviation is itself the detector's statistic unless another is given.

    The t tail is a provisional reference, heavier than the normal one because the variance is
    itself estimated and counts are over-dispersed: it reads one in 100,000 at 5.3 instead of 4.4.
    Computed by the normal approximation of Wallace (1959), which is within 3 % of it up to 8.

    Examples
    --------
    >>> score_of_deviation("zscore", 5.4).fired, round(score_of_deviation("zscore", 8.0).score, 2)
    (True, 0.82)
    """
    normal = _TAIL_CORRECTION * math.sqrt(_TAIL_FREEDOM * math.log1p(z * z / _TAIL_FREEDOM) / 2.0)
    p = math.erfc(normal) if two_sided else math.erfc(math.copysign(normal, z)) / 2.0
    p = max(p, 1e-300)
    score = min(1.0, max(0.0, -math.log10(p) / 10.0))
    told = z if statistic is None else statistic
    return Score(name, told, p, score, score >= FIRE_SCORE, direction, expected, spread, span=span)
