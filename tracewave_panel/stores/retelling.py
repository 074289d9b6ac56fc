"""Rows of the tables back to the nouns: analyses and anomalies in the order in which they were told.

Every cursor given must be in a transaction.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Generic, NamedTuple, TypeVar

import duckdb
import msgspec
import pyarrow as pa

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Label, Mark, Quality, Window
from tracewave_panel.ports import Page
from tracewave_panel.stores.ranges import Range
from tracewave_panel.stores.rows import micros
from tracewave_panel.stores.shedding import Numbers

__all__ = ["Told", "paged", "read_analyses", "read_anomalies", "read_anomaly", "read_gaps", "read_labels"]

T = TypeVar("T")
Row = dict[str, Any]

_FAR = 9e12  # seconds: beyond every moment that a column holds

_METRICS = """
    SELECT * REPLACE (epoch_us(start) AS start) FROM metrics WHERE told > $after {within} ORDER BY told LIMIT $limit
"""
_WINDOWS = "SELECT * REPLACE (epoch_us(start) AS start) FROM windows SEMI JOIN page USING (series, start)"
_COUNTS = "SELECT * REPLACE (epoch_us(start) AS start) FROM dimension_counts SEMI JOIN page USING (series, start)"
# by rowid: in the order of writing, which is that of the detectors
_SCORES = """
    SELECT * REPLACE (epoch_us(start) AS start) FROM scores SEMI JOIN page USING (series, start, metric)
    ORDER BY scores.rowid
"""
_WINDOW_CONTRIBUTIONS = """
    SELECT * REPLACE (epoch_us(start) AS start) FROM window_contributions SEMI JOIN page USING (series, start, metric)
    ORDER BY rank
"""
_ANOMALIES = """
    SELECT * REPLACE (epoch_us(opened) / 1e6 AS opened, epoch_us(peaked) / 1e6 AS peaked,
                      epoch_us(updated) / 1e6 AS updated, epoch_us(closed) / 1e6 AS closed)
    FROM anomalies
"""
_ANOMALIES_TOLD = _ANOMALIES + "WHERE told > $after {within} ORDER BY told LIMIT $limit"
_WITHIN = "AND {column} >= make_timestamptz($since) AND {column} < make_timestamptz($until)"
_NEWEST = "SELECT coalesce(max(told), 0) AS newest FROM {table} WHERE told > $after"
_CONTRIBUTIONS = """
    SELECT * REPLACE (
        [{'id': s.id, 'time': epoch_us(s.time) / 1e6, 'title': s.title, 'link': s.link} FOR s IN samples] AS samples
    )
    FROM contributions SEMI JOIN page USING (anomaly_id) ORDER BY rank
"""
# a gap begins a stretch when it begins after the end of all before it
_GAPS = """
    SELECT epoch_us(min(start)) / 1e6 AS begin, epoch_us(max(until)) / 1e6 AS end
    FROM (
        SELECT start, until, count(*) FILTER (begins) OVER (ORDER BY start, until) AS stretch
        FROM (
            SELECT start, until, start > max(until) OVER (
                ORDER BY start, until ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS begins
            FROM gaps WHERE start < until
        )
    )
    GROUP BY stretch
    HAVING max(until) > make_timestamptz($since) AND min(start) < make_timestamptz($until)
        AND $since::BIGINT < $until::BIGINT
    ORDER BY begin
"""
_LABELS = """
    SELECT * REPLACE (epoch_us(labelled_at) / 1e6 AS labelled_at) FROM labels ORDER BY labels.labelled_at, anomaly_id
"""


class Told(NamedTuple, Generic[T]):
    """Items with their numbers in the order of telling, and the number of the last one looked at (0: none)."""

    numbered: list[tuple[int, T]]
    looked: int


def paged(told: Told[T], after: int, newest: int, lost: Numbers) -> Page[T]:
    """Page of what was read after a cursor, of which `lost` were given up; `newest` is the last number told."""
    cursor = told.looked or min(after, newest)
    return Page(tuple(item for _, item in told.numbered), cursor, lost.between(after, cursor))


def read_analyses(
    cursor: duckdb.DuckDBPyConnection, feed: Feed, after: int, limit: int, within: Range
) -> Told[Analysis]:
    """First `limit` analyses told after a number, of windows that start within a range."""
    metrics, looked = _told(cursor, "metrics", _METRICS, "start", after, limit, within)
    if not metrics:
        return Told([], looked)
    page = {
        "series": pa.array([row["series"] for row in metrics], pa.string()),
        "start": pa.array([row["start"] for row in metrics], pa.timestamp("us", "UTC")),
        "metric": pa.array([row["metric"] for row in metrics], pa.string()),
    }
    cursor.register("page", pa.table(page))
    counts: dict[tuple[Any, ...], dict[str, int]] = defaultdict(dict)
    for row in _rows(cursor, _COUNTS):
        counts[row["series"], row["start"], row["dimension"]][row["value"]] = row["count"]
    windows = {}
    for row in _rows(cursor, _WINDOWS):
        key = (row["series"], row["start"])
        features = tuple(row[feature.name] for feature in feed.features)
        by_dimension = tuple(counts[*key, name] for name in feed.dimensions)
        read = {**row, "start": row["start"] / 1e6, "features": features, "dimension_counts": by_dimension}
        windows[key] = msgspec.convert(read, Window)
    scores = _by_metric(_rows(cursor, _SCORES))
    contributions = _by_metric(_rows(cursor, _WINDOW_CONTRIBUTIONS))
    told = []
    for row in metrics:
        key = (row["series"], row["start"])
        of_metric = {"scores": scores[*key, row["metric"]], "contributions": contributions[*key, row["metric"]]}
        told.append((row["told"], msgspec.convert({**row, **of_metric, "window": windows[key]}, Analysis)))
    return Told(told, looked)


def read_anomalies(cursor: duckdb.DuckDBPyConnection, after: int, limit: int, within: Range) -> Told[Anomaly]:
    """First `limit` last tellings after a number, of anomalies opened within a range."""
    rows, looked = _told(cursor, "anomalies", _ANOMALIES_TOLD, "opened", after, limit, within)
    anomalies = _explained(cursor, rows)
    return Told([(row["told"], anomaly) for row, anomaly in zip(rows, anomalies, strict=True)], looked)


def read_anomaly(cursor: duckdb.DuckDBPyConnection, anomaly_id: str) -> Anomaly | None:
    """Last telling of one anomaly, or None."""
    if not _is_text(anomaly_id):
        return None
    return next(iter(_explained(cursor, _rows(cursor, _ANOMALIES + "WHERE id = $id", {"id": anomaly_id}))), None)


def read_gaps(cursor: duckdb.DuckDBPyConnection, within: Range) -> tuple[Mark, ...]:
    """Whole stretches that overlap a range, in order of time; gaps that touch are one."""
    return tuple(Mark(row["begin"], row["end"], Quality.GAP) for row in _rows(cursor, _GAPS, _ends(within)))


def read_labels(cursor: duckdb.DuckDBPyConnection) -> list[Label]:
    """Labels in the order in which they were given."""
    return msgspec.convert(_rows(cursor, _LABELS), list[Label])


def _told(
    cursor: duckdb.DuckDBPyConnection, table: str, sql: str, column: str, after: int, limit: int, within: Range
) -> tuple[list[Row], int]:
    """First `limit` rows told after a number, and the number of the last row looked at."""
    ends = {} if within.endless else _ends(within)
    clause = _WITHIN.format(column=column) if ends else ""
    rows = _rows(cursor, sql.format(within=clause), {"after": after, "limit": limit, **ends})
    if ends and len(rows) < limit:
        return rows, _rows(cursor, _NEWEST.format(table=table), {"after": after})[0]["newest"]
    return rows, rows[-1]["told"] if rows else 0


def _ends(within: Range) -> dict[str, int | None]:
    """Both ends in microseconds; None, which nothing compares with, for one that is no number."""
    ends = {
        "since": -_FAR if within.since is None else within.since,
        "until": _FAR if within.until is None else within.until,
    }
    return {name: micros(min(max(end, -_FAR), _FAR)) for name, end in ends.items()}


def _explained(cursor: duckdb.DuckDBPyConnection, rows: list[Row]) -> list[Anomaly]:
    """Anomalies of these rows, with their contributions."""
    if not rows:
        return []
    cursor.register("page", pa.table({"anomaly_id": pa.array([row["id"] for row in rows], pa.string())}))
    contributions = defaultdict(list)
    for row in _rows(cursor, _CONTRIBUTIONS):
        contributions[row["anomaly_id"]].append(row)
    return [msgspec.convert({**row, "contributions": contributions[row["id"]]}, Anomaly) for row in rows]


def _rows(cursor: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any] | None = None) -> list[Row]:
    rows: list[Row] = cursor.sql(sql, params=parameters).to_arrow_table().to_pylist()
    return rows


def _is_text(value: str) -> bool:
    """Whether a column could hold it: half of a surrogate pair is in no text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _by_metric(rows: list[Row]) -> dict[tuple[Any, ...], list[Row]]:
    grouped = defaultdict(list)
    for row in rows:
        grouped[row["series"], row["start"], row["metric"]].append(row)
    return grouped
