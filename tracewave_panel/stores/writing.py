"""One transaction on a history: everything in it holds, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import duckdb
import msgspec
import pyarrow as pa

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Label
from tracewave_panel.ports import SavedState
from tracewave_panel.stores import schema
from tracewave_panel.stores.rows import Telling, WindowKey, label_rows, micros, state_rows, to_arrow

__all__ = ["Work", "takeover_of", "write"]

STATES_KEPT = 3

_OF_WINDOWS = ("windows", *schema.DEPENDANTS)


class Work(msgspec.Struct, frozen=True):
    """What one transaction writes, in this order.

    Attributes
    ----------
    takeover
        Microseconds: first forget what a killed run told from here on.
    state_number
        Running number of `saved`.
    labels
        By anomaly; None: it was taken back.
    """

    takeover: int | None
    tellings: Sequence[Telling]
    saved: SavedState | None
    state_number: int
    labels: Mapping[str, Label | None] = {}


def takeover_of(saved: SavedState, analyses: Sequence[Analysis]) -> int | None:
    """Microseconds from which the run that loaded `saved` tells again; None when no window of `analyses` says it."""
    windows = [analysis.window for analysis in analyses if analysis.window.revision == 0]
    if not windows:
        return None
    first = min(windows, key=lambda window: window.start)
    return micros(first.start if first.end > saved.watermark else saved.watermark)


def write(connection: duckdb.DuckDBPyConnection, feed: Feed, work: Work) -> None:
    """Write `work` and commit; on any error nothing of it is written."""
    with _transaction(connection):
        if work.takeover is not None:
            _forget_from(connection, work.takeover)
        _write_tellings(connection, feed, work.tellings)
        if work.labels:
            _write_labels(connection, feed, work.labels)
        if work.saved is not None:
            _insert(connection, "states", state_rows(feed, work.saved, work.state_number))
            connection.execute("DELETE FROM states WHERE told <= ?", [work.state_number - STATES_KEPT])


def _write_tellings(connection: duckdb.DuckDBPyConnection, feed: Feed, tellings: Sequence[Telling]) -> None:
    rows = to_arrow(feed, tellings, _stored_revisions(connection, tellings))
    if "windows" in rows:
        _stage(connection, rows["windows"].select(["series", "start"]))
        for table in _OF_WINDOWS:
            connection.execute(
                f"DELETE FROM {table} USING staged "  # noqa: S608 - our own table names
                f"WHERE {table}.series = staged.series AND {table}.start = staged.start"
            )
    if "anomalies" in rows:
        _stage(connection, rows["anomalies"].select(["id"]))
        connection.execute("DELETE FROM anomalies USING staged WHERE anomalies.id = staged.id")
        connection.execute("DELETE FROM contributions USING staged WHERE anomaly_id = staged.id")
    if "gaps" in rows:
        _stage(connection, rows["gaps"].select(["start"]))
        connection.execute("DELETE FROM gaps USING staged WHERE gaps.start = staged.start")
    for table, arrow in rows.items():
        _insert(connection, table, arrow)


def _write_labels(connection: duckdb.DuckDBPyConnection, feed: Feed, labels: Mapping[str, Label | None]) -> None:
    _stage(connection, pa.table({"anomaly_id": pa.array(list(labels), pa.string())}))
    connection.execute("DELETE FROM labels USING staged WHERE labels.anomaly_id = staged.anomaly_id")
    given = [label for label in labels.values() if label is not None]
    if given:
        _insert(connection, "labels", label_rows(feed, given))


def _stored_revisions(connection: duckdb.DuckDBPyConnection, tellings: Sequence[Telling]) -> dict[WindowKey, int]:
    """Revisions above 0 that history holds of the windows told."""
    starts = [analysis.window.start for telling in tellings for analysis in telling.analyses]
    if not starts:
        return {}
    found = connection.execute(
        "SELECT series, epoch_us(start), revision FROM windows "
        "WHERE revision > 0 AND start BETWEEN to_timestamp(?) AND to_timestamp(?)",
        [min(starts) - 1, max(starts) + 1],
    )
    return {(series, start): revision for series, start, revision in found.fetchall()}


def _forget_from(connection: duckdb.DuckDBPyConnection, takeover: int) -> None:
    for table in (*_OF_WINDOWS, "gaps"):
        connection.execute(f"DELETE FROM {table} WHERE epoch_us(start) >= ?", [takeover])  # noqa: S608 - our own
    connection.execute(
        "DELETE FROM contributions USING anomalies WHERE anomaly_id = id AND epoch_us(opened) >= ?", [takeover]
    )
    connection.execute("DELETE FROM anomalies WHERE epoch_us(opened) >= ?", [takeover])


def _stage(connection: duckdb.DuckDBPyConnection, arrow: pa.Table) -> None:
    connection.register("staged", arrow)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, arrow: pa.Table) -> None:
    _stage(connection, arrow)
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM staged")  # noqa: S608 - our own table names


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        with suppress(duckdb.Error):
            connection.rollback()
        raise
