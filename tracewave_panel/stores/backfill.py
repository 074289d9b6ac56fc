"""Of a telling only what history lacks, so that the same one again changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import msgspec
import pyarrow as pa

from tracewave_panel.model import Analysis, Anomaly, Event, Quality, Window
from tracewave_panel.stores.columns import TIME
from tracewave_panel.stores.rows import Filling, Telling, micros

__all__ = ["Filled", "only_missing"]


class Filled(NamedTuple):
    """How many were new to history."""

    windows: int
    anomalies: int
    events: int


def only_missing(connection: duckdb.DuckDBPyConnection, telling: Telling) -> Telling:
    """Keep windows that are absent or a gap, anomalies that opened within those, and events that are absent.

    What is kept is counted in the telling's `missing_only`. Gaps never fill anything.
    """
    filling = telling.missing_only or Filling(set())
    analyses = _lacking_windows(connection, telling.analyses)
    windows = {(analysis.window.series, analysis.window.start): analysis.window for analysis in analyses}
    anomalies, new = _lacking_anomalies(connection, telling.anomalies, tuple(windows.values()), filling.ids)
    events = _lacking_events(connection, telling.events)
    filling.written = (len(windows), new, len(events))
    return msgspec.structs.replace(telling, analyses=analyses, anomalies=anomalies, gaps=(), events=events)


def _lacking_windows(connection: duckdb.DuckDBPyConnection, analyses: Sequence[Analysis]) -> tuple[Analysis, ...]:
    told = [each for each in analyses if each.window.quality is not Quality.GAP]
    keys = [(each.window.series, micros(each.window.start)) for each in told]
    lacking = _lacking(
        connection,
        {"series": pa.array([key[0] for key in keys], pa.string()), "start": pa.array([key[1] for key in keys], TIME)},
        "(SELECT series, start FROM windows WHERE quality <> 'gap')",
    )
    return tuple(told[place] for place in lacking)


def _lacking_anomalies(
    connection: duckdb.DuckDBPyConnection, anomalies: Sequence[Anomaly], windows: Sequence[Window], filled: set[str]
) -> tuple[tuple[Anomaly, ...], int]:
    """Anomalies to write, and how many of them are new: the others grew since they were filled in."""
    told = [each for each in anomalies if each.id in filled or any(_opened_in(each, window) for window in windows)]
    connection.register("staged", pa.table({"id": pa.array([each.id for each in told], pa.string())}))
    held = "SELECT id, epoch_us(updated), closed IS NOT NULL FROM anomalies SEMI JOIN staged USING (id)"
    stored = {identity: (updated, closed) for identity, updated, closed in connection.execute(held).fetchall()}
    lacking = [each for each in told if each.id not in stored or (each.id in filled and _grew(each, *stored[each.id]))]
    new = {each.id for each in lacking if each.id not in stored}
    filled |= new
    return tuple(lacking), len(new)


def _grew(anomaly: Anomaly, updated: int, closed: bool) -> bool:
    return ((micros(anomaly.updated) or 0), anomaly.closed is not None) > (updated, closed)


def _lacking_events(connection: duckdb.DuckDBPyConnection, events: Sequence[Event]) -> tuple[Event, ...]:
    """Events whose id is absent; those without an id are known by their series and moment."""
    lacking = _lacking(
        connection,
        {
            "id": pa.array([each.id for each in events], pa.string()),
            "series": pa.array([each.series for each in events], pa.string()),
            "occurred_at": pa.array([micros(each.occurred_at) for each in events], TIME),
        },
        "events",
    )
    return tuple(events[place] for place in lacking)


def _opened_in(anomaly: Anomaly, window: Window) -> bool:
    return anomaly.series == window.series and window.start <= anomaly.opened < window.end


def _lacking(connection: duckdb.DuckDBPyConnection, keys: dict[str, pa.Array], source: str) -> list[int]:
    """Places of the keys that a table does not hold, in their order."""
    staged = pa.table({**keys, "place": pa.array(range(len(next(iter(keys.values())))), pa.int64())})
    if not staged.num_rows:
        return []
    connection.register("staged", staged)
    found = connection.execute(
        f"SELECT place FROM staged ANTI JOIN {source} AS held USING ({', '.join(keys)}) ORDER BY place"  # noqa: S608 - our own
    )
    return [place for (place,) in found.fetchall()]
