"""What a history gave up: how much, under which running numbers, and of which stretch of time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from threading import Lock
from typing import NamedTuple

import duckdb

from tracewave_panel.model import Analysis

__all__ = ["NotKept", "Numbers", "covering", "write_not_kept"]


class NotKept(NamedTuple):
    """A stretch that the feed delivered and history did not keep.

    Attributes
    ----------
    start, until
        Seconds since the epoch: from the first window's start to the last one's end.
    windows
        How many were not kept; 0 where only raw events are missing.
    reason
        Why, in words.
    """

    start: float
    until: float
    windows: int
    reason: str

    def joined(self, other: NotKept) -> NotKept:
        """Both as one stretch, for the reason of this one."""
        start, until = min(self.start, other.start), max(self.until, other.until)
        return NotKept(start, until, self.windows + other.windows, self.reason)


def covering(analyses: Iterable[Analysis], reason: str) -> NotKept | None:
    """Stretch that the windows of `analyses` cover; None of none.

    Those that are told again count only when there are no others: history may hold them as they were.
    """
    windows = [analysis.window for analysis in analyses]
    windows = [window for window in windows if not window.revision] or windows
    windows = [window for window in windows if math.isfinite(window.start)]
    if not windows:
        return None
    count = len({(window.series, window.start) for window in windows})
    return NotKept(min(window.start for window in windows), max(window.end for window in windows), count, reason)


def write_not_kept(connection: duckdb.DuckDBPyConnection, stretches: Iterable[NotKept]) -> None:
    """Insert stretches into ``not_kept``, within the caller's transaction."""
    connection.executemany(
        "INSERT INTO not_kept (start, until, windows, reason) VALUES (make_timestamptz(?), make_timestamptz(?), ?, ?)",
        [(round(each.start * 1e6), round(each.until * 1e6), each.windows, each.reason) for each in stretches],
    )


class Numbers:
    """A set of running numbers, kept as stretches."""

    def __init__(self) -> None:
        self._stretches: list[tuple[int, int]] = []
        self._lock = Lock()

    def add(self, first: int, count: int) -> None:
        """Take in `count` numbers from `first` on, which is higher than any before."""
        with self._lock:
            stop = first + count
            if self._stretches and self._stretches[-1][1] == first:
                first = self._stretches.pop()[0]
            if stop > first:
                self._stretches.append((first, stop))

    def between(self, after: int, upto: int) -> int:
        """How many are greater than `after` and not greater than `upto`."""
        with self._lock:
            return sum(max(0, min(stop, upto + 1) - max(first, after + 1)) for first, stop in self._stretches)
