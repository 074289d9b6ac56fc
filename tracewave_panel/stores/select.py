"""Run one SELECT of somebody else's on a history, within bounds.

Four things keep it harmless. Only a single SELECT or EXPLAIN is let through; it runs in a
read-only transaction, because a SELECT may carry an INSERT in its WITH and EXPLAIN ANALYZE runs
what it explains; the connection was opened without access to files, and locked; and while it runs
the process may grow only so far, because a value such as ``range(1000000000)``, a list of 8 GB, is not
counted towards DuckDB's memory limit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from threading import Event, Lock, Thread
from typing import Any

import duckdb
import pyarrow as pa

from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.ports import Table
from tracewave_panel.stores.headroom import Headroom

__all__ = ["Selects", "to_table"]

MAX_ANSWER = 256 * 1024 * 1024
"""Bytes of Arrow data in one answer."""

_ROWS_AT_ONCE = 10_000

# of the whole process: DuckDB's limit, an answer, and ample for what else goes on meanwhile
_HEADROOM = Headroom(3 << 30)


class Selects:
    """Answers SELECTs with cursors of one database, from any thread.

    Each sees the database as of its beginning, while the writer goes on. Memory is bounded by the
    connection's limit, except inside functions that build one huge value, such as ``range``,
    ``repeat`` and ``list_resize``: DuckDB neither counts nor interrupts those. They end when the
    process has grown by 3 GiB (on Linux); one that stays below may outlast the timeout by the time
    that its memory takes to fill.
    """

    def __init__(self, cursor: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._cursor = cursor
        self._running: set[_Run] = set()
        self._lock = Lock()
        self._closed = False

    def arrow(self, sql: str, *, max_rows: int, timeout: float) -> pa.Table:
        """Run one SELECT and return its rows.

        Raises
        ------
        QueryError
            When the SQL is wrong, not a single SELECT, takes longer than `timeout` seconds, or
            gives more than `max_rows` rows.
        StoreError
            When the history is closed, or its disk fails.
        """
        with self._lock:
            if self._closed:
                raise StoreError("the history is closed; start the server again")
            try:
                run = _Run(self._cursor(), timeout)
            except duckdb.Error as error:
                raise StoreError(f"history cannot be read at this moment: {error}") from error
            self._running.add(run)
        try:
            with _HEADROOM:
                return run.arrow(sql, max_rows)
        finally:
            run.close()
            with self._lock:
                self._running.discard(run)

    def close(self) -> None:
        """Stop what runs and refuse what comes; a stopped query ends with a QueryError."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for run in running:
            run.stop("the history was closed while the query ran; start the server again")


class _Run:
    """One query: its cursor and the thread that stops it."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, timeout: float) -> None:
        self._cursor = cursor
        self._timeout = timeout
        self._stopped = Event()
        self._ended = Event()
        self._reason = f"the query took longer than {timeout:g} s and was stopped; ask for less, or allow more time"
        self._guard = Thread(target=self._watch, name="tracewave-query-guard")

    def arrow(self, sql: str, max_rows: int) -> pa.Table:
        self._guard.start()
        try:
            statement = self._only_statement(sql)
            self._cursor.execute("BEGIN TRANSACTION READ ONLY")
            reader = self._cursor.sql(statement).to_arrow_reader(_ROWS_AT_ONCE)
            batches, rows, size = [], 0, 0
            for batch in reader:
                batches.append(batch)
                rows += batch.num_rows
                size += batch.nbytes
                if self._stopped.is_set():
                    raise QueryError(self._reason)
                if rows > max_rows:
                    raise QueryError(f"the answer has more than {max_rows} rows; add LIMIT, or aggregate")
                if size > MAX_ANSWER:
                    raise QueryError(f"the answer is larger than {MAX_ANSWER >> 20} MiB; add LIMIT, or aggregate")
            return pa.Table.from_batches(batches, reader.schema)
        except duckdb.OutOfMemoryException as error:
            said = str(error).splitlines()[0]
            raise QueryError(f"the query needs more memory than it may have; ask for less at once ({said})") from error
        except duckdb.FatalException as error:
            raise StoreError(f"history cannot be read at this moment: {error}") from error
        # Arrow's reader wraps what DuckDB says in OSError
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            said = self._reason if self._stopped.is_set() else str(error)
            raise QueryError(said) from error

    def stop(self, reason: str) -> None:
        self._reason = reason
        self._stopped.set()

    def close(self) -> None:
        self._ended.set()
        self._stopped.set()
        self._guard.join()
        with suppress(duckdb.Error):
            self._cursor.close()

    def _only_statement(self, sql: str) -> duckdb.Statement:
        statements = self._cursor.extract_statements(sql)
        if len(statements) != 1:
            raise QueryError(f"one SELECT is allowed at a time, and this has {len(statements)} statements")
        kind = statements[0].type
        if kind is duckdb.StatementType.MULTI:
            raise QueryError("a PIVOT must name its values: FROM t PIVOT (... FOR column IN ('a', 'b'))")
        if kind not in {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}:
            raise QueryError(f"only SELECT and EXPLAIN are allowed, and this is {kind.name}")
        return statements[0]

    def _watch(self) -> None:
        self._stopped.wait(self._timeout)
        self._stopped.set()
        # again and again: an interrupt that falls between two steps of a query is forgotten
        while not self._ended.wait(0.02):
            self._cursor.interrupt()


def to_table(arrow: pa.Table) -> Table:
    """Rows as Python values: aware datetimes in UTC, whole numbers as int, NULL as None.

    Raises
    ------
    QueryError
        When Python has no value for one of them, such as an infinite timestamp.
    """
    names: dict[str, None] = {}
    for name in arrow.column_names:
        unique, copy = name, 0
        while unique in names:
            copy += 1
            unique = f"{name}_{copy}"
        names[unique] = None
    columns = []
    for name, column in zip(names, arrow.columns, strict=True):
        try:
            values = column.to_pylist()
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise QueryError(f"column {name} cannot be shown; cast it to VARCHAR ({error})") from error
        convert = _CONVERSIONS.get(column.type.id)
        columns.append([None if value is None else convert(value) for value in values] if convert else values)
    return Table(tuple(names), tuple(zip(*columns, strict=True)))


def _from_decimal(value: Decimal) -> int | Decimal:
    return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else value


def _from_interval(value: pa.MonthDayNano) -> dt.timedelta | str:
    rest = dt.timedelta(days=value.days, microseconds=value.nanoseconds // 1000)
    return f"{value.months} months {rest}" if value.months else rest


_CONVERSIONS: dict[int, Any] = {
    pa.lib.Type_DECIMAL128: _from_decimal,
    pa.lib.Type_INTERVAL_MONTH_DAY_NANO: _from_interval,
    pa.lib.Type_TIMESTAMP: lambda value: value.astimezone(dt.UTC) if value.tzinfo else value,
}
