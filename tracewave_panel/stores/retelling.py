"""Rows of the tables back to analyses and anomalies, in the order in which they were told."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Label, Window

__all__ = ["read_analyses", "read_anomalies", "read_labels"]

Row = dict[str, Any]

_METRICS = """
    SELECT * REPLACE (epoch_us(start) AS start) FROM metrics WHERE told > $after ORDER BY told LIMIT $limit
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
    FROM anomalies WHERE told > $after ORDER BY told LIMIT $limit
"""
_CONTRIBUTIONS = """
    SELECT * REPLACE (
        [{'id': s.id, 'time': epoch_us(s.time) / 1e6, 'title': s.title, 'link': s.link} FOR s IN samples] AS samples
    )
    FROM contributions SEMI JOIN page USING (anomaly_id) ORDER BY rank
"""

_LABELS = """
    SELECT * REPLACE (epoch_us(labelled_at) / 1e6 AS labelled_at) FROM labels ORDER BY labels.labelled_at, anomaly_id
"""


def read_analyses(cursor: duckdb.DuckDBPyConnection, feed: Feed, after: int, limit: int) -> list[tuple[int, Analysis]]:
    """Numbers and analyses told after a number, oldest first; `cursor` must be in a transaction."""
    metrics = _rows(cursor, _METRICS, {"after": after, "limit": limit})
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
    return told


def read_anomalies(cursor: duckdb.DuckDBPyConnection, after: int, limit: int) -> list[tuple[int, Anomaly]]:
    """Numbers and last tellings told after a number, oldest first; `cursor` must be in a transaction."""
    anomalies = _rows(cursor, _ANOMALIES, {"after": after, "limit": limit})
    cursor.register("page", pa.table({"anomaly_id": pa.array([row["id"] for row in anomalies], pa.string())}))
    contributions = defaultdict(list)
    for row in _rows(cursor, _CONTRIBUTIONS):
        contributions[row["anomaly_id"]].append(row)
    return [
        (row["told"], msgspec.convert({**row, "contributions": contributions[row["id"]]}, Anomaly)) for row in anomalies
    ]


def read_labels(cursor: duckdb.DuckDBPyConnection) -> list[Label]:
    """Labels in the order in which they were given."""
    return msgspec.convert(_rows(cursor, _LABELS), list[Label])


def _rows(cursor: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, int] | None = None) -> list[Row]:
    rows: list[Row] = cursor.sql(sql, params=parameters).to_arrow_table().to_pylist()
    return rows


def _by_metric(rows: list[Row]) -> dict[tuple[Any, ...], list[Row]]:
    grouped = defaultdict(list)
    for row in rows:
        grouped[row["series"], row["start"], row["metric"]].append(row)
    return grouped
