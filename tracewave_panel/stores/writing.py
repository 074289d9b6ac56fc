"""One transaction on a history: everything in it holds, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb
import msgspec
import pyarrow as pa

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Label
from tracewave_panel.ports import SavedState
from tracewave_panel.stores import roll_ups, schema
from tracewave_panel.stores.backfill import only_missing
from tracewave_panel.stores.rows import StateNumber, Telling, WindowKey, label_rows, state_rows, to_arrow
from tracewave_panel.stores.takeover import Takeover, forget
from tracewave_panel.stores.transaction import transaction

__all__ = ["Work", "write"]

STATES_KEPT = 3


class Work(msgspec.Struct, frozen=True):
    """What one transaction writes, in this order.

    Attributes
    ----------
    takeover
        First forget what a killed run told.
    state_number
        Running numbers of `saved`.
    labels
        By anomaly; None: it was taken back.
    """

    takeover: Takeover | None = None
    tellings: Sequence[Telling] = ()
    saved: SavedState | None = None
    state_number: StateNumber = StateNumber(0, 0)
    labels: Mapping[str, Label | None] = {}


def write(connection: duckdb.DuckDBPyConnection, feed: Feed, work: Work) -> None:
    """Write `work` and commit; on any error nothing of it is written."""
    with transaction(connection):
        if work.takeover is not None:
            forget(connection, work.takeover)
        for tellings in _together(work.tellings):
            _write_tellings(connection, feed, tellings)
        if work.labels:
            _write_labels(connection, feed, work.labels)
        if work.saved is not None:
            _insert(connection, "states", state_rows(feed, work.saved, work.state_number))
            connection.execute("DELETE FROM states WHERE told <= ?", [work.state_number.told - STATES_KEPT])


def _together(tellings: Sequence[Telling]) -> Iterator[Sequence[Telling]]:
    """Tellings in their order, as many at once as can be; those of what history lacks alone."""
    ordinary: list[Telling] = []
    for telling in tellings:
        if telling.missing_only is None:
            ordinary.append(telling)
            continue
        if ordinary:
            yield ordinary
            ordinary = []
        yield (telling,)
    if ordinary:
        yield ordinary


def _write_tellings(connection: duckdb.DuckDBPyConnection, feed: Feed, tellings: Sequence[Telling]) -> None:
    if tellings[0].missing_only is not None:
        tellings = (only_missing(connection, tellings[0]),)
    rows = to_arrow(feed, tellings, _stored_revisions(connection, tellings))
    if "windows" in rows:
        _delete_windows(connection, rows["windows"].select(["series", "start"]))
    if "anomalies" in rows:
        _stage(connection, rows["anomalies"].select(["id"]))
        connection.execute("DELETE FROM anomalies USING staged WHERE anomalies.id = staged.id")
        connection.execute("DELETE FROM contributions USING staged WHERE anomaly_id = staged.id")
    if "gaps" in rows:
        _stage(connection, rows["gaps"].select(["start"]))
        connection.execute("DELETE FROM gaps USING staged WHERE gaps.start = staged.start")
    told_before = max(telling.told_before for telling in tellings)
    if "events" in rows and told_before:
        _delete_events(connection, rows["events"].select(["id", "occurred_at"]), told_before)
    for table, arrow in rows.items():
        _insert(connection, table, arrow)
    if "windows" in rows:
        roll_ups.follow(connection, feed, rows["windows"].select(["series", "start"]))


def _delete_windows(connection: duckdb.DuckDBPyConnection, keys: pa.Table) -> None:
    _stage(connection, keys)
    told_before = "SELECT 1 FROM windows SEMI JOIN staged USING (series, start) LIMIT 1"
    if not connection.execute(told_before).fetchall():
        return
    for table in ("windows", *schema.DEPENDANTS):
        connection.execute(
            f"DELETE FROM {table} USING staged "  # noqa: S608 - our own table names
            f"WHERE {table}.series = staged.series AND {table}.start = staged.start"
        )


def _delete_events(connection: duckdb.DuckDBPyConnection, keys: pa.Table, told_before: int) -> None:
    """Delete events of earlier runs that are told again."""
    _stage(connection, keys)
    connection.execute(
        "DELETE FROM events USING staged WHERE events.told <= ? AND events.id <> '' "
        "AND events.id = staged.id AND events.occurred_at = staged.occurred_at",
        [told_before],
    )


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


def _stage(connection: duckdb.DuckDBPyConnection, arrow: pa.Table) -> None:
    connection.register("staged", arrow)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, arrow: pa.Table) -> None:
    _stage(connection, arrow)
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM staged")  # noqa: S608 - our own table names
