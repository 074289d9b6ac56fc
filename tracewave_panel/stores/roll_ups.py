"""Minutes and hours that are over, kept up to date with every transaction on windows.

**Invariant.** Each minute before ``rolled_until`` (in ``meta``) is stored as its windows add up, each
hour before that of ``rolled_until`` as its minutes do. A minute that is told again is added up again,
unless some of its windows were deleted for their age: then it stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from tracewave_panel.feeds import Feed
from tracewave_panel.stores.columns import TIME
from tracewave_panel.stores.minutes import counts_by_hour, counts_by_minute, hours, minutes
from tracewave_panel.stores.transaction import transaction

__all__ = ["follow", "forget_from", "rolled_until", "settle", "settle_at_opening"]

MINUTE = 60_000_000
"""Microseconds."""
HOUR = 60 * MINUTE

_EVER = -(1 << 62)
_BY_MINUTE = ("windows_by_minute", "dimension_counts_by_minute")
_BY_HOUR = ("windows_by_hour", "dimension_counts_by_hour")


def follow(connection: duckdb.DuckDBPyConnection, feed: Feed, windows: pa.Table) -> None:
    """Roll up what the windows just written have ended, and add up again what they changed.

    Parameters
    ----------
    windows
        Their series and starts.
    """
    starts = windows["start"].cast(pa.int64()).to_numpy()
    of_windows = starts - starts % MINUTE
    rolled = rolled_until(connection)
    changed = of_windows < rolled
    if changed.any():
        _redo_minutes(connection, feed, windows.filter(pa.array(changed)), of_windows[changed], rolled)
    _roll(connection, feed, rolled, int(of_windows.max()))


def settle(connection: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    """Roll up all that is stored, the present minute too: its windows may be deleted before another is told."""
    ((newest,),) = connection.execute("SELECT epoch_us(max(start)) FROM windows").fetchall()
    if newest is not None:
        _roll(connection, feed, rolled_until(connection), newest - newest % MINUTE + MINUTE)


def settle_at_opening(connection: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    """Do :func:`settle` as a transaction of its own; a disk that fails is found out by the first commit."""
    with suppress(duckdb.Error), transaction(connection):
        settle(connection, feed)


def forget_from(connection: duckdb.DuckDBPyConnection, moment: int) -> None:
    """Take back what windows from a moment on, in microseconds, went into; before those are deleted."""
    minute = moment - moment % MINUTE
    rolled = rolled_until(connection)
    if rolled <= minute:
        return
    if minute < moment and not _is_whole(connection, minute):
        minute += MINUTE
    _delete_from(connection, _BY_MINUTE, "minute", minute)
    _delete_from(connection, _BY_HOUR, "hour", minute - minute % HOUR)
    _set_rolled(connection, minute)


def rolled_until(connection: duckdb.DuckDBPyConnection) -> int:
    """Where the minutes that are stored end, in microseconds."""
    found = connection.execute("SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'rolled_until'").fetchall()
    return int(found[0][0]) if found else _EVER


def _roll(connection: duckdb.DuckDBPyConnection, feed: Feed, rolled: int, until: int) -> None:
    if until <= rolled:
        return
    between = f"WHERE {_since('start', rolled)} AND start < {_moment(until)}"
    _insert(connection, _BY_MINUTE[0], minutes(feed, f"windows {between}"))
    _insert(connection, _BY_MINUTE[1], counts_by_minute(f"dimension_counts {between}"))
    first, last = rolled - rolled % HOUR, until - until % HOUR
    if first < last:
        over = f"WHERE {_since('minute', first)} AND minute < {_moment(last)}"
        _insert(connection, _BY_HOUR[0], hours(feed, f"windows_by_minute {over}"))
        _insert(connection, _BY_HOUR[1], counts_by_hour(f"dimension_counts_by_minute {over}"))
    _set_rolled(connection, until)


def _redo_minutes(
    connection: duckdb.DuckDBPyConnection, feed: Feed, windows: pa.Table, of_windows: np.ndarray[Any, Any], rolled: int
) -> None:
    """Add up again the minutes that windows belong to, and the hours of those."""
    first, after = int(of_windows.min()), int(of_windows.max()) + MINUTE
    _touch(connection, "minute", zip(windows["series"].to_pylist(), of_windows.tolist(), strict=True))
    between = f"WHERE {_since('start', first)} AND start < {_moment(after)}"
    whole = connection.execute(
        f"""
        SELECT series, epoch_us(minute) FROM touched JOIN (
            SELECT series, date_trunc('minute', start) AS minute, count(*) AS there FROM windows {between} GROUP BY ALL
        ) USING (series, minute) LEFT JOIN windows_by_minute USING (series, minute)
        WHERE there >= coalesce(windows_by_minute.windows, 0)
        """  # noqa: S608 - numbers only
    ).fetchall()
    _touch(connection, "minute", whole)
    of_minute = "date_trunc('minute', start)"
    _redo(connection, _BY_MINUTE[0], "minute", minutes(feed, _touched("windows", of_minute, "minute", between)))
    counts = counts_by_minute(_touched("dimension_counts", of_minute, "minute", between))
    _redo(connection, _BY_MINUTE[1], "minute", counts)

    over = rolled - rolled % HOUR
    _touch(connection, "hour", ((series, minute - minute % HOUR) for series, minute in whole if minute < over))
    between = f"WHERE {_since('minute', first - first % HOUR)} AND minute < {_moment(after + HOUR)}"
    of_hour = "date_trunc('hour', minute)"
    _redo(connection, _BY_HOUR[0], "hour", hours(feed, _touched("windows_by_minute", of_hour, "hour", between)))
    counts = counts_by_hour(_touched("dimension_counts_by_minute", of_hour, "hour", between))
    _redo(connection, _BY_HOUR[1], "hour", counts)


def _touch(connection: duckdb.DuckDBPyConnection, key: str, told: Iterable[tuple[str, int]]) -> None:
    """Have `touched` hold these series and moments, each once."""
    touched = list(dict.fromkeys(told))
    series = pa.array([each for each, _ in touched], pa.string())
    connection.register("touched", pa.table({"series": series, key: pa.array([each for _, each in touched], TIME)}))


def _redo(connection: duckdb.DuckDBPyConnection, table: str, key: str, select: str) -> None:
    connection.execute(
        f"DELETE FROM {table} USING touched "  # noqa: S608 - our own names
        f"WHERE {table}.series = touched.series AND {table}.{key} = touched.{key}"
    )
    _insert(connection, table, select)


def _touched(table: str, moment: str, key: str, between: str) -> str:
    """Rows of a table that belong to a minute or hour that is touched, as a source for a SELECT."""
    return (
        f"(SELECT * FROM (FROM {table} {between}) AS all_rows SEMI JOIN touched "  # noqa: S608 - our own names
        f"ON all_rows.series = touched.series AND {moment} = touched.{key})"
    )


def _is_whole(connection: duckdb.DuckDBPyConnection, minute: int) -> bool:
    """Whether all windows are there that a minute was added up from."""
    ((whole,),) = connection.execute(
        f"""
        SELECT (SELECT count(*) FROM windows WHERE {_since("start", minute)} AND start < {_moment(minute + MINUTE)})
            >= (SELECT coalesce(sum(windows), 0) FROM windows_by_minute WHERE minute = {_moment(minute)})
        """  # noqa: S608 - numbers only
    ).fetchall()
    return bool(whole)


def _delete_from(connection: duckdb.DuckDBPyConnection, tables: Sequence[str], key: str, moment: int) -> None:
    for table in tables:
        connection.execute(f"DELETE FROM {table} WHERE {key} >= {_moment(moment)}")  # noqa: S608 - our own names


def _insert(connection: duckdb.DuckDBPyConnection, table: str, select: str) -> None:
    connection.execute(f"INSERT INTO {table} BY NAME {select}")


def _set_rolled(connection: duckdb.DuckDBPyConnection, moment: int) -> None:
    connection.execute("DELETE FROM meta WHERE key = 'rolled_until'")
    connection.execute("INSERT INTO meta VALUES ('rolled_until', ?)", [str(moment)])


def _since(column: str, moment: int) -> str:
    return "true" if moment <= _EVER + HOUR else f"{column} >= {_moment(moment)}"


def _moment(micros: int) -> str:
    return f"make_timestamptz({micros}::BIGINT)"
