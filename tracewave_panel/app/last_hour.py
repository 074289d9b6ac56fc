"""What is usual: the figures of the calm windows of the last hour. One a process; all sessions show the same."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis

__all__ = ["HOUR", "LastHour", "Typical", "Usual"]

HOUR = 3600.0
EVERY = 10.0  # seconds of the feed between two looks at the whole hour
FEWEST = 30  # calm windows; before that nothing is called usual
ENOUGH = 0.95  # part of the hour that counts as all of it: a short gap does not take the hour away
EDGE = 0.01  # part of the calm windows that lies below `low`, and as much above `high`


class Typical(msgspec.Struct, frozen=True):
    """Median of a feature, and the stretch that holds 98 of 100 calm windows; in the feature's unit."""

    median: float
    low: float
    high: float


class Usual(msgspec.Struct, frozen=True):
    """What is usual by name of the feature; one that is missing is not known yet.

    Attributes
    ----------
    seconds
        Over how long was looked: the judged windows, calm or not. At most an hour.
    """

    seconds: float = 0.0
    features: Mapping[str, Typical] = {}

    @property
    def whole(self) -> bool:
        """Whether it rests on the hour."""
        return self.seconds >= HOUR


class LastHour:
    """Takes analyses as they come and keeps what is usual, bounded to an hour of windows.

    Calm is a window in which no detector fired. Windows that were not judged are left out: what
    they hold is not all that happened. A share, a mean or a price counts where something happened.

    Each window has one slot by its time, so one that is told again, or late, finds its place. A
    feed that starts over at an earlier time needs a new one.

    Parameters
    ----------
    feed
        Names the features; the windows of its first series are looked at.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> from tracewave_panel.model import Window
    >>> hour = LastHour(WIKIMEDIA)
    >>> for at in range(720):
    ...     window = Window("edits", float(at), 1.0, 41, (41.0, 35.0, 24.0, 0.4, 0.1, 300.0), ())
    ...     hour.take(Analysis("rate", window, 41.0))
    >>> usual = hour.usual()
    >>> usual.seconds, usual.whole, usual.features["rate"].median
    (720.0, False, 41.0)
    """

    def __init__(self, feed: Feed) -> None:
        self._series = feed.series[0]
        self._names = tuple(feature.name for feature in feed.features)
        # A share, a mean and a price are 0 where nothing happened, which says nothing of them.
        self._of_events = np.array([feature.fold in {"share", "mean_abs", "last"} for feature in feed.features])
        self._width = 0.0
        self._starts: NDArray[np.float64] = np.empty(0)
        self._values: NDArray[np.float64] = np.empty((0, len(self._names)))
        self._calm: NDArray[np.bool_] = np.empty(0, dtype=bool)
        self._newest = -math.inf
        self._told = -math.inf
        self._usual = Usual()

    def take(self, analysis: Analysis) -> None:
        """Take in one metric of a window; about three microseconds."""
        window = analysis.window
        if window.series != self._series or not window.quality.judged or len(window.features) != len(self._names):
            return
        if window.width != self._width:
            self._make_room(window.width)
        if window.start <= self._newest - HOUR:
            return
        slot = round(window.start / self._width) % len(self._starts)
        # Another metric of the same window may have fired.
        others = bool(self._calm[slot]) or self._starts[slot] != window.start
        self._calm[slot] = others and not any(score.fired for score in analysis.scores)
        self._starts[slot] = window.start
        self._values[slot] = window.features
        if not window.count:
            self._values[slot, self._of_events] = math.nan
        self._newest = max(self._newest, window.start)

    def usual(self) -> Usual:
        """What is usual; looked up anew, in under a millisecond, at most every ten seconds of the feed."""
        if self._newest >= self._told + (EVERY if self._usual.features else self._width):
            self._told = self._newest
            self._usual = self._look()
        return self._usual

    def _make_room(self, width: float) -> None:
        rows = math.ceil(HOUR / width)
        self._width = width
        self._starts = np.full(rows, -math.inf)
        self._values = np.zeros((rows, len(self._names)))
        self._calm = np.zeros(rows, dtype=bool)
        self._newest = self._told = -math.inf

    def _look(self) -> Usual:
        held = self._starts > self._newest - HOUR
        seconds = float(np.count_nonzero(held)) * self._width
        calm = self._values[held & self._calm]
        features = {}
        for name, values in zip(self._names, calm.T, strict=True):
            ordered = np.sort(values[~np.isnan(values)])
            if len(ordered) >= FEWEST:
                edge, middle = int(EDGE * len(ordered)), len(ordered) // 2
                median = (ordered[middle] + ordered[-middle - 1]) / 2.0
                features[name] = Typical(float(median), float(ordered[edge]), float(ordered[-edge - 1]))
        return Usual(HOUR if seconds >= ENOUGH * HOUR else seconds, features)
