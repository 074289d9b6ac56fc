"""The last quarter of an hour of each metric of each series, for the picture in a notice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from tracewave_panel.model import Analysis, Quality

__all__ = ["Point", "Pulse", "in_order"]

LENGTH = 900.0
"""Seconds that a picture shows; with wide windows more, so that there are at least `LEAST` of them."""
LEAST = 60
MOST = 10_000


class Point(NamedTuple):
    """One window: seconds since the epoch, seconds, and the metric's unit."""

    start: float
    width: float
    observed: float
    expected: float | None
    spread: float | None
    gap: bool


class Pulse:
    """Takes in analyses, a microsecond each; belongs to one thread."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], deque[Point]] = {}

    def take(self, analysis: Analysis) -> None:
        """Keep what a picture needs of it."""
        window = analysis.window
        key = (window.series, analysis.metric)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = deque(maxlen=MOST)
        start, width = window.start, window.width
        line.append(
            Point(start, width, analysis.observed, analysis.expected, analysis.spread, window.quality is Quality.GAP)
        )
        oldest = start - max(LENGTH, LEAST * width)
        while line[0].start < oldest:
            line.popleft()

    def copy(self, series: str, metric: str) -> tuple[Point, ...]:
        """What is kept, as it came; some microseconds."""
        return tuple(self._lines.get((series, metric), ()))

    def clear(self) -> None:
        """Forget everything: another run begins."""
        self._lines.clear()


def in_order(points: Iterable[Point]) -> list[Point]:
    """Oldest first; of a window that was told again the last telling."""
    return sorted({point.start: point for point in points}.values())
