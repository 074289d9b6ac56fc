"""Answers from a history, each out of one transaction of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import duckdb

from tracewave_panel.codec import decode_packed
from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Event, Label, Mark
from tracewave_panel.ports import SavedState
from tracewave_panel.stores import retelling
from tracewave_panel.stores.database import Database
from tracewave_panel.stores.event_rows import events_of, select_events
from tracewave_panel.stores.ranges import Range
from tracewave_panel.stores.retelling import Told
from tracewave_panel.stores.takeover import expired, read_told_again

__all__ = ["Reader", "Stored"]


_LAST_EVENT = """
    SELECT (SELECT max(told) FROM events), (SELECT max(events) FROM states),
           (SELECT epoch_us(max(occurred_at)) / 1e6 FROM events)
"""


class Stored(NamedTuple):
    """Raw events.

    Attributes
    ----------
    gone
        Running number of the last one that is too old to be stored.
    expired
        How many up to that were asked for.
    """

    told: Told[Event]
    gone: int
    expired: int


class Reader:
    """Reads what is committed, from any thread, beside the writer.

    Raises
    ------
    StoreError
        By every method, when the history cannot be read.
    """

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    def analyses(self, after: int, limit: int, within: Range) -> Told[Analysis]:
        """First `limit` analyses told after a number, of windows that start within a range."""
        with self._transaction() as cursor:
            return retelling.read_analyses(cursor, self._feed, after, limit, within)

    def anomalies(self, after: int, limit: int, within: Range) -> Told[Anomaly]:
        """First `limit` last tellings after a number, of anomalies opened within a range."""
        with self._transaction() as cursor:
            return retelling.read_anomalies(cursor, after, limit, within)

    def anomaly(self, anomaly_id: str) -> Anomaly | None:
        """Last telling of one anomaly, or None."""
        with self._transaction() as cursor:
            return retelling.read_anomaly(cursor, anomaly_id)

    def gaps(self, within: Range) -> tuple[Mark, ...]:
        """Whole stretches that overlap a range, in order of time."""
        with self._transaction() as cursor:
            return retelling.read_gaps(cursor, within)

    def labels(self) -> list[Label]:
        """Labels in the order in which they were given."""
        with self._transaction() as cursor:
            return retelling.read_labels(cursor)

    def events(self, after: int, limit: int) -> Stored:
        """First `limit` raw events told after a number, and how many after it are too old to be stored."""
        with self._transaction() as cursor:
            sql = select_events(self._feed) + "WHERE told > $after ORDER BY told LIMIT $limit"
            rows = cursor.sql(sql, params={"after": after, "limit": limit}).to_arrow_table()
            numbered = events_of(self._feed, rows)
            ((oldest,),) = cursor.execute("SELECT min(told) FROM events").fetchall()
            told_again = read_told_again(cursor)
        looked = numbered[-1][0] if numbered else 0
        return Stored(Told(numbered, looked), (oldest or 1) - 1, expired(after, oldest, told_again))

    def last_event(self) -> tuple[int, float]:
        """Running number of the last event that was told, and when the newest of those stored occurred (-inf: none)."""
        with self._transaction() as cursor:
            ((told, saved, occurred),) = cursor.execute(_LAST_EVENT).fetchall()
        return max(told or 0, saved or 0), -math.inf if occurred is None else occurred

    def state(self) -> tuple[SavedState | None, int]:
        """Return the newest State, or None, and the running number of the last event told before it.

        Raises
        ------
        StateError
            When its bytes are damaged.
        """
        with self._transaction() as cursor:
            rows = cursor.execute("SELECT saved, events FROM states ORDER BY told DESC LIMIT 1").fetchall()
        return (decode_packed(rows[0][0], SavedState), rows[0][1]) if rows else (None, 0)

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            with self._database.cursor() as cursor:
                cursor.begin()
                yield cursor
        except duckdb.Error as error:
            raise StoreError(f"history cannot be read: {error}") from error
