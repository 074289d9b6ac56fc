"""One SELECT on a thread of its own, stopped in time."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import duckdb
import pyarrow as pa

from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.stores.headroom import Headroom
from tracewave_panel.stores.sql_check import check
from tracewave_panel.stores.sql_functions import BOUNDED
from tracewave_panel.stores.sql_words import in_words

__all__ = ["CANCELLED", "POLL", "TOO_MUCH", "RunningQuery"]

MAX_ANSWER = 256 * 1024 * 1024
"""Bytes of Arrow data in one answer."""

CANCELLED = "the query was cancelled"
TOO_MUCH = "the query needs more memory than it may have; ask for less at once, or later"
POLL = 0.02
"""Seconds between looks at a running query."""

_ROWS_AT_ONCE = 2048
_PATIENCE = 0.025  # seconds after which a query that was told to stop is left to end by itself
_NICENESS, _MOST_NICE = 10, 19

# of the whole process: DuckDB's limit, answers, and ample for what else goes on meanwhile
_HEADROOM = Headroom(3 << 30)


class RunningQuery(Thread):
    """One query, and what its asker does meanwhile."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        sql: str,
        max_rows: int,
        timeout: float,
        cancelled: Event,
        ended: Callable[[RunningQuery], None],
        relieve: Callable[[], None],
    ) -> None:
        super().__init__(name="tracewave-query")
        self._cursor, self._sql, self._max_rows, self._timeout = cursor, sql, max_rows, timeout
        self._cancelled, self._tell_ended, self._relieve = cancelled, ended, relieve
        self.begun = time.monotonic()
        self._reason = ""
        self._done = Event()
        self._answer: Any = None
        self._error: Exception | None = None

    # -- by the asker's thread

    def rows(self, deadline: float) -> pa.Table:
        """Rows, as soon as they are there."""
        while not self._done.wait(POLL):
            if self._cancelled.is_set():
                self.stop(CANCELLED)
            elif time.monotonic() > deadline:
                self.stop(
                    f"the query took longer than {self._timeout:g} s and was stopped; ask for less, or allow more"
                )
            elif _HEADROOM.tight:
                self.stop(TOO_MUCH)
            else:
                self._relieve()
            if self._reason and not self._heeds():
                Thread(target=self._go_on_stopping, name="tracewave-query-stop").start()
                raise QueryError(self._reason)
        if self._reason:
            raise QueryError(self._reason)
        if self._error:
            raise self._error
        return self._answer

    @property
    def is_told_to_stop(self) -> bool:
        """Whether it is about to end, for a reason of ours."""
        return bool(self._reason)

    def stop(self, reason: str) -> None:
        """Have it end with these words, unless it has been told others."""
        self._reason = self._reason or reason

    def _heeds(self) -> bool:
        self._interrupt()
        return self._done.wait(_PATIENCE)

    def _go_on_stopping(self) -> None:
        # again and again: an interrupt that falls between two steps of a query is forgotten
        while not self._done.wait(POLL):
            self._interrupt()

    def _interrupt(self) -> None:
        with suppress(duckdb.Error):  # it may have ended in this moment, and closed its cursor
            self._cursor.interrupt()

    # -- by its own

    def run(self) -> None:
        """Run the query and keep what it gave."""
        _give_way()
        try:
            with _HEADROOM:
                self._answer = self._asked()
        except Exception as error:  # noqa: BLE001 (raised in the asker's thread)
            self._error = self._told(error)
        finally:
            with suppress(duckdb.Error):
                self._cursor.close()
            self._tell_ended(self)
            self._done.set()

    def _told(self, error: Exception) -> Exception:
        # Arrow's reader wraps what DuckDB says in OSError
        if not isinstance(error, (duckdb.Error, pa.ArrowException, OSError, MemoryError)):
            return error
        told: StoreError = StoreError("history cannot be read at this moment; ask again in some seconds")
        if not isinstance(error, duckdb.FatalException):
            told = QueryError(in_words(error, tables=self._tables, secrets=self._secrets()))
        told.__cause__ = error
        return told

    def _asked(self) -> pa.Table:
        checked = check(self._cursor, self._sql)
        for name in checked.bounded:
            self._cursor.execute(f"CREATE TEMP MACRO {name} {', '.join(BOUNDED[name])}")
        self._cursor.execute("BEGIN TRANSACTION READ ONLY")
        # closed, because one that a raised error holds open keeps the file from being opened again
        with self._reader(checked.statement) as reader:
            batches, rows, size = [], 0, 0
            for batch in reader:
                batches.append(batch)
                rows += batch.num_rows
                size += batch.nbytes
                if self._reason:
                    break
                if rows > self._max_rows:
                    raise QueryError(f"the answer has more than {self._max_rows} rows; add LIMIT, or aggregate")
                if size > MAX_ANSWER:
                    raise QueryError(f"the answer is larger than {MAX_ANSWER >> 20} MiB; add LIMIT, or aggregate")
            return pa.Table.from_batches(batches, reader.schema)

    def _reader(self, statement: duckdb.Statement) -> Any:
        try:
            return self._cursor.sql(statement).to_arrow_reader(_ROWS_AT_ONCE)
        except (duckdb.BinderException, duckdb.CatalogException):
            self._cursor.execute(statement)  # fails as well, and says at which place of which line
            raise

    def _tables(self) -> list[str]:
        names: list[str] = []
        with suppress(duckdb.Error), self._cursor.cursor() as cursor:
            sql = "SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views() WHERE NOT internal"
            names = [name for (name,) in cursor.execute(sql).fetchall()]
        return names

    def _secrets(self) -> list[str]:
        secrets: list[str] = []
        with suppress(duckdb.Error), self._cursor.cursor() as cursor:
            paths = cursor.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
            secrets = [secret for (path,) in paths for secret in (path, str(Path(path).parent)) if len(secret) > 1]
        return secrets


def _give_way() -> None:
    """Let every other thread of the process go first, as far as the system can."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            niceness = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS
            os.setpriority(os.PRIO_PROCESS, thread, min(niceness, _MOST_NICE))
