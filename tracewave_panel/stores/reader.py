"""Answers from a history, each out of one transaction of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from tracewave_panel.codec import decode_packed
from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Label, Mark
from tracewave_panel.ports import SavedState
from tracewave_panel.stores import retelling
from tracewave_panel.stores.database import Database
from tracewave_panel.stores.ranges import Range
from tracewave_panel.stores.retelling import Told

__all__ = ["Reader"]


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

    def state(self) -> SavedState | None:
        """Return the newest State, or None.

        Raises
        ------
        StateError
            When its bytes are damaged.
        """
        with self._transaction() as cursor:
            rows = cursor.execute("SELECT saved FROM states ORDER BY told DESC LIMIT 1").fetchall()
        return decode_packed(rows[0][0], SavedState) if rows else None

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            with self._database.cursor() as cursor:
                cursor.begin()
                yield cursor
        except duckdb.Error as error:
            raise StoreError(f"history cannot be read: {error}") from error
