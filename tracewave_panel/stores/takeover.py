"""A run that goes on from a State: what the killed one told after it is forgotten, to be told again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from tracewave_panel.model import Analysis
from tracewave_panel.ports import SavedState
from tracewave_panel.stores import roll_ups, schema
from tracewave_panel.stores.rows import micros

__all__ = ["Awaited", "Takeover", "expired", "forget", "read_told_again"]


class Takeover(NamedTuple):
    """What to forget.

    Attributes
    ----------
    start
        Windows, gaps and anomalies from here on, in microseconds; None: none.
    watermark
        The State's, in microseconds.
    events_after, events_upto
        Raw events by their running numbers: told after the State was saved, and before this run.
    """

    start: int | None
    watermark: int | None
    events_after: int
    events_upto: int


class Awaited:
    """A State that was loaded, until its run says by what it tells whether it goes on from it.

    Parameters
    ----------
    events_upto
        Running number of the last event that was told before this run.
    """

    def __init__(self, events_upto: int) -> None:
        self._events_upto = events_upto
        self._saved: SavedState | None = None
        self._events = 0

    def loaded(self, saved: SavedState | None, events: int) -> None:
        """Await what follows `saved`, before which so many events were told; None: await nothing."""
        self._saved, self._events = saved, events

    def told(self, analyses: Sequence[Analysis]) -> Takeover | None:
        """What is told again from these analyses on; None when no window among them says it, or none is awaited."""
        windows = [analysis.window for analysis in analyses if analysis.window.revision == 0]
        if self._saved is None or not windows:
            return None
        first = min(windows, key=lambda window: window.start)
        watermark = self._saved.watermark
        start = micros(first.start if first.end > watermark else watermark)
        if start is None:
            return None
        self._saved = None
        return Takeover(start, micros(watermark), self._events, self._events_upto)

    def saving(self) -> Takeover | None:
        """What is told again when another State follows before any window: raw events alone."""
        if self._saved is None or self._events >= self._events_upto:
            return None
        takeover = Takeover(None, None, self._events, self._events_upto)
        self._events = self._events_upto
        return takeover


def forget(connection: duckdb.DuckDBPyConnection, takeover: Takeover) -> None:
    """Delete what `takeover` says, within the caller's transaction.

    Raw events have no window to go by: a late one is older than the window it counts in. All that
    were told after the State go, when the run goes on from it: when its windows follow on the
    State's watermark, or overlap what the killed run told.
    """
    if takeover.events_upto > takeover.events_after and _goes_on(connection, takeover):
        _forget_events(connection, takeover.events_after, takeover.events_upto)
    if takeover.start is None:
        return
    roll_ups.forget_from(connection, takeover.start)
    for table in ("windows", *schema.DEPENDANTS, "gaps"):
        connection.execute(f"DELETE FROM {table} WHERE epoch_us(start) >= ?", [takeover.start])  # noqa: S608 - our own
    connection.execute(
        "DELETE FROM contributions USING anomalies WHERE anomaly_id = id AND epoch_us(opened) >= ?", [takeover.start]
    )
    connection.execute("DELETE FROM anomalies WHERE epoch_us(opened) >= ?", [takeover.start])


def _goes_on(connection: duckdb.DuckDBPyConnection, takeover: Takeover) -> bool:
    start, watermark, *events = takeover
    if start is None or watermark is None or start <= watermark:
        return True
    ((overlap,),) = connection.execute(
        """
        SELECT EXISTS (FROM windows WHERE epoch_us(start) >= $start)
            OR EXISTS (FROM events WHERE told > $after AND told <= $upto AND epoch_us(time) >= $start)
        """,
        {"start": start, "after": events[0], "upto": events[1]},
    ).fetchall()
    return bool(overlap)


def read_told_again(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Numbers of events that were forgotten last, when those before them are not stored: after, upto."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'events_told_again'").fetchall()
    after, upto = map(int, found[0][0].split()) if found else (0, 0)
    return after, upto


def expired(after: int, oldest: int | None, told_again: tuple[int, int]) -> int:
    """How many events after a number are older than the oldest stored; those told again under others do not count.

    Examples
    --------
    >>> expired(2, 10, (5, 7)), expired(12, 10, (5, 7)), expired(0, None, (0, 0))
    (5, 0, 0)
    """
    if oldest is None:
        return 0
    first, last = max(after, told_again[0]), min(oldest - 1, told_again[1])
    return max(0, oldest - 1 - after) - max(0, last - first)


def _forget_events(connection: duckdb.DuckDBPyConnection, after: int, upto: int) -> None:
    connection.execute("DELETE FROM events WHERE told > ? AND told <= ?", [after, upto])
    connection.execute("DELETE FROM meta WHERE key = 'events_told_again'")
    connection.execute("INSERT INTO meta VALUES ('events_told_again', ?)", [f"{after} {upto}"])
