"""Run one SELECT of somebody else's on a history, within bounds.

Six things keep it harmless. Only a single SELECT or EXPLAIN is let through, of which every function and
table was looked at before (:mod:`~tracewave_panel.stores.sql_check`); it runs in a read-only transaction;
the connection was opened without access to files, and locked; functions that build one huge value refuse to
(:mod:`~tracewave_panel.stores.sql_functions`), because DuckDB neither counts nor interrupts those; while it
runs the process may grow only so far; and it runs on a thread of its own, so that whoever asks has an answer
in time even when DuckDB does not listen at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Event

import duckdb
import pyarrow as pa

from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.stores.answer_table import to_table
from tracewave_panel.stores.running_query import CANCELLED, POLL, TOO_MUCH, RunningQuery

__all__ = ["PLACES", "Selects", "to_table"]

PLACES = 4
"""Queries of one history that run at the same time; others wait for their turn."""

_QUIET = 1.0  # seconds for which none begins after the writer found too little memory
_MUCH_USED, _MOST_USED = 0.5, 0.7  # parts of DuckDB's memory that queries may fill; the writer needs the rest
_USED = """
    SELECT current_setting('memory_limit'), coalesce(sum(memory_usage_bytes), 0)
    FROM duckdb_memory() WHERE tag NOT IN ('BASE_TABLE', 'METADATA', 'IN_MEMORY_TABLE')
"""
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


class Selects:
    """Answers SELECTs with cursors of one database, from any thread.

    Each sees the database as of its beginning, while the writer goes on. A query that is stopped
    is answered at once; should DuckDB not listen yet, it keeps its place until it has ended, so that
    those that do not listen cannot pile up.
    """

    def __init__(self, cursor: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._cursor = cursor
        self._running: set[RunningQuery] = set()
        self._changed = Condition()
        self._closed = False
        self._looked = 0.0
        self._quiet_until = 0.0

    @property
    def running(self) -> int:
        """Queries that have not ended, those among them that nobody waits for any more."""
        return len(self._running)

    def arrow(self, sql: str, *, max_rows: int, timeout: float, cancelled: Event | None = None) -> pa.Table:
        """Run one SELECT and return its rows.

        Raises
        ------
        QueryError
            When the SQL is wrong, not a single SELECT, takes longer than `timeout` seconds (in which it
            may have to wait for its turn), was cancelled, or gives more than `max_rows` rows.
        StoreError
            When the history is closed, or its disk fails.
        """
        deadline = time.monotonic() + timeout
        run = self._admit(sql, max_rows, timeout, cancelled or Event())
        return run.rows(deadline)

    def make_room(self, reason: str = TOO_MUCH) -> None:
        """Stop what runs, and begin nothing for a moment, so that the writer has DuckDB's memory or the file alone."""
        with self._changed:
            if not self._running:
                return
            self._quiet_until = time.monotonic() + _QUIET
            for run in self._running:
                run.stop(reason)
            self._changed.wait_for(lambda: not self._running, _QUIET)

    def close(self) -> None:
        """Stop what runs and refuse what comes; a stopped query ends with a QueryError."""
        with self._changed:
            self._closed = True
            running = tuple(self._running)
            self._changed.notify_all()
        for run in running:
            run.stop("the history was closed while the query ran; start the server again")

    def _admit(self, sql: str, max_rows: int, timeout: float, cancelled: Event) -> RunningQuery:
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._is_full and not self._closed and not cancelled.is_set():
                if time.monotonic() > deadline:
                    raise QueryError(
                        f"the query waited {timeout:g} s for its turn, because {len(self._running)} others run; "
                        "ask again later"
                    )
                self._changed.wait(POLL)
            if self._closed:
                raise StoreError("the history is closed; start the server again")
            if cancelled.is_set():
                raise QueryError(CANCELLED)
            try:
                run = RunningQuery(self._cursor(), sql, max_rows, timeout, cancelled, self._ended, self._relieve)
            except duckdb.Error as error:
                raise StoreError("history cannot be read at this moment; ask again in some seconds") from error
            self._running.add(run)
            run.start()
        return run

    @property
    def _is_full(self) -> bool:
        return len(self._running) >= PLACES or time.monotonic() < self._quiet_until

    def _relieve(self) -> None:
        """Stop the query that has run longest, or all, when too little of DuckDB's memory is left for the writer."""
        with self._changed:
            now = time.monotonic()
            if now - self._looked < POLL:
                return
            self._looked = now
        with suppress(duckdb.Error, StoreError), self._cursor() as cursor:  # it may be closed at this moment
            ((limit, used),) = cursor.execute(_USED).fetchall()
            number, unit = limit.split()
            share = used / (float(number) * _UNITS[unit])
            with self._changed:
                running = sorted(self._running, key=lambda run: run.begun)
            if share > _MUCH_USED and not (share < _MOST_USED and any(run.is_told_to_stop for run in running)):
                for run in running[:1] if share < _MOST_USED else running:
                    run.stop(TOO_MUCH)

    def _ended(self, run: RunningQuery) -> None:
        with self._changed:
            self._running.discard(run)
            self._changed.notify_all()
