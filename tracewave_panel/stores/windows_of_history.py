"""Windows of a history, read back for detectors to learn from."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Quality, Window
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.rows import micros, seconds

__all__ = ["PastWindows"]

_AT_ONCE = 5_000
_MOST_ROWS = 10_000_000
_QUALITIES = {quality.value: quality for quality in Quality}
_JUDGED = ", ".join(f"'{name}'" for name, quality in _QUALITIES.items() if quality.judged)


class PastWindows:
    """The newest windows of a history that may be learned from.

    Left out are windows of another width, windows that were not judged, and those inside an
    episode of their series. An episode that was never closed, because its run was killed, is
    taken to last until its level would have become the new normal.

    Parameters
    ----------
    width
        Of the windows, in seconds.
    limit
        Windows of a series at most.
    counted
        About so many of the newest come with their dimension counts, which take nearly all of the
        reading; the others' are empty. Baselines that fade need no more.
    acceptance
        Windows after which a level is the new normal.

    Raises
    ------
    QueryError, StoreError
        By every method, when the history cannot be read.
    """

    def __init__(
        self, store: DuckDBStore, feed: Feed, *, width: float, limit: int, counted: int, acceptance: int
    ) -> None:
        self._store = store
        self._feed = feed
        self._width = width
        self._counted = counted
        self._fits = f"width = {width!r}::DOUBLE AND quality IN ({_JUDGED})"
        self._starts = self._read_starts(limit)
        self._episodes = self._read_episodes(acceptance * width) if self._starts else {}

    def __len__(self) -> int:
        """How many moments there are windows of, before those inside episodes are left out."""
        return len(self._starts)

    def teach(
        self,
        learn: Callable[[Sequence[Window]], int],
        *,
        within: float,
        stopped: Callable[[], bool] = lambda: False,
    ) -> int:
        """Hand all windows to `learn`, some thousand at once, oldest first.

        When that would take longer than `within` seconds, windows in the middle are left out: the
        newest are always learned, last.

        Parameters
        ----------
        learn
            Returns how many of the windows were learned.
        stopped
            Asked now and then; True ends it early.

        Returns
        -------
        int
            How many windows were learned.
        """
        ends = time.monotonic() + within
        learned = place = measured = 0
        while place < len(self._starts) and not stopped():
            starts = self._starts[place : place + _AT_ONCE]
            place += len(starts)
            learned += learn(self._read(starts, counts=len(self._starts) - place < self._counted))
            now = time.monotonic()
            if not measured:  # the first are slow: they wait for what the detectors compile
                began, measured = now, 1
                continue
            measured += len(starts)
            fitting = int(measured * max(0.0, ends - now) / (now - began))
            place = max(place, len(self._starts) - max(fitting, _AT_ONCE))
        return learned

    def _read_starts(self, limit: int) -> list[int]:
        rows = self._rows(
            f"SELECT DISTINCT epoch_us(start) AS start FROM windows WHERE {self._fits} "  # noqa: S608 - our own words
            f"ORDER BY start DESC LIMIT {limit:d}"
        )
        return [start for (start,) in rows][::-1]

    def _read_episodes(self, longest: float) -> dict[str, tuple[list[int], list[int]]]:
        """Of each series when episodes begin, and until when there is one from then on, in microseconds."""
        rows = self._rows(
            f"""
            SELECT series, epoch_us(opened),
                   coalesce(epoch_us(closed), greatest(epoch_us(updated), epoch_us(opened) + {micros(longest)}))
            FROM anomalies ORDER BY opened
            """  # noqa: S608 - numbers only
        )
        episodes: dict[str, tuple[list[int], list[int]]] = {}
        for series, opened, until in rows:
            begins, ends = episodes.setdefault(series, ([], []))
            begins.append(opened)
            ends.append(max(until, ends[-1]) if ends else until)
        return episodes

    def _read(self, starts: Sequence[int], *, counts: bool) -> list[Window]:
        between = f"start BETWEEN {self._moment(starts[0], -0.5)} AND {self._moment(starts[-1], 0.5)}"
        features = ", ".join(f'"{feature.name}"' for feature in self._feed.features)
        rows = self._rows(
            f"SELECT series, epoch_us(start) AS start, count, late, quality, {features} "  # noqa: S608 - our own names
            f"FROM windows WHERE {self._fits} AND {between} ORDER BY start, series"
        )
        counted = self._read_counts(between) if counts else {}
        uncounted: tuple[dict[str, int], ...] = ({},) * len(self._feed.dimensions)
        return [
            Window(
                series,
                seconds(start),
                self._width,
                count,
                tuple(values),
                counted.get((series, start), uncounted),
                late=late,
                quality=_QUALITIES[quality],
            )
            for series, start, count, late, quality, *values in rows
            if not self._in_episode(series, start)
        ]

    def _read_counts(self, between: str) -> dict[tuple[str, int], tuple[dict[str, int], ...]]:
        rows = self._rows(
            "SELECT series, epoch_us(start) AS start, dimension, value, count "  # noqa: S608 - numbers only
            f"FROM dimension_counts WHERE {between}"
        )
        places = {name: place for place, name in enumerate(self._feed.dimensions)}
        counted: dict[tuple[str, int], tuple[dict[str, int], ...]] = {}
        for series, start, dimension, value, count in rows:
            of_window = counted.get((series, start))
            if of_window is None:
                of_window = counted[series, start] = tuple([{} for _ in places])
            of_window[places[dimension]][value] = count
        return counted

    def _in_episode(self, series: str, start: int) -> bool:
        begins, ends = self._episodes.get(series, ([], []))
        begun = bisect_right(begins, start)
        return begun > 0 and start < ends[begun - 1]

    def _moment(self, start: int, windows: float) -> str:
        return f"to_timestamp({seconds(start) + windows * self._width!r})"

    def _rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        table = self._store.query_arrow(sql, max_rows=_MOST_ROWS)
        # by way of numpy, which makes Python values several times as fast as Arrow does
        return zip(*(column.to_numpy().tolist() for column in table.columns), strict=True)
