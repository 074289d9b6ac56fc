"""Findings to rows of the tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from tracewave_panel.codec import pack
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Contribution, Label, Mark, Window
from tracewave_panel.ports import SavedState
from tracewave_panel.stores import schema

__all__ = ["Telling", "WindowKey", "label_rows", "micros", "seconds", "state_rows", "to_arrow"]

WindowKey = tuple[str, int]
"""Series and start in microseconds."""


class Telling(msgspec.Struct, frozen=True):
    """What history keeps of one Findings; events are not among it.

    Attributes
    ----------
    analysis_number, anomaly_number
        Running number of the first of each.
    """

    analyses: tuple[Analysis, ...]
    anomalies: tuple[Anomaly, ...]
    gaps: tuple[Mark, ...]
    recorded_at: float
    analysis_number: int
    anomaly_number: int


def micros(time: float) -> int | None:
    """Whole microseconds since the epoch; None for a time that is no number."""
    return round(time * 1e6) if math.isfinite(time) else None


def seconds(time: int | None) -> float:
    """Float seconds from whole microseconds; NaN from None."""
    return math.nan if time is None else time / 1e6


def to_arrow(feed: Feed, tellings: Iterable[Telling], revisions: Mapping[WindowKey, int]) -> dict[str, pa.Table]:
    """Rows that hold after `tellings`, by table; every key once, its last telling.

    Parameters
    ----------
    revisions
        What history holds already of these windows; a lower revision is left out.
    """
    collected = _Collected(dict(revisions))
    for telling in tellings:
        collected.add(telling)
    rows = collected.rows(feed)
    return {name: table.arrow(rows[name]) for name, table in schema.tables(feed).items() if rows.get(name)}


def state_rows(feed: Feed, saved: SavedState, number: int) -> pa.Table:
    """One row of ``states``."""
    packed = pack(saved)
    return schema.tables(feed)["states"].arrow(
        [(micros(saved.saved_at), micros(saved.watermark), len(packed), packed, number)]
    )


def label_rows(feed: Feed, labels: Iterable[Label]) -> pa.Table:
    """Rows of ``labels``.

    Raises
    ------
    ValueError
        When a text or time is none that a column holds.
    """
    rows = [(label.anomaly_id, label.verdict, micros(label.labelled_at), label.by) for label in labels]
    if any(row[2] is None for row in rows):
        raise ValueError("a label was given at no time")
    return schema.tables(feed)["labels"].arrow(rows)


class _Collected:
    """The last telling of each key."""

    def __init__(self, revisions: dict[WindowKey, int]) -> None:
        self._revisions = revisions
        self._windows: dict[WindowKey, Window] = {}
        self._analyses: dict[tuple[WindowKey, str], tuple[int, Analysis]] = {}
        self._anomalies: dict[str, tuple[int, Anomaly]] = {}
        self._gaps: dict[int | None, tuple[Mark, float]] = {}

    def add(self, telling: Telling) -> None:
        for number, analysis in enumerate(telling.analyses, telling.analysis_number):
            window = analysis.window
            start = micros(window.start)
            if start is None:
                raise ValueError(f"a window of {window.series} starts at {window.start}")
            key = (window.series, start)
            if window.revision >= self._revisions.get(key, 0):
                self._revisions[key] = window.revision
                self._windows[key] = window
                self._analyses[key, analysis.metric] = (number, analysis)
        for number, anomaly in enumerate(telling.anomalies, telling.anomaly_number):
            self._anomalies[anomaly.id] = (number, anomaly)
        for gap in telling.gaps:
            self._gaps[micros(gap.start)] = (gap, telling.recorded_at)

    def rows(self, feed: Feed) -> dict[str, list[tuple[Any, ...]]]:
        rows: dict[str, list[tuple[Any, ...]]] = {
            "windows": [_window_row(key, window, feed) for key, window in self._windows.items()],
            "metrics": [],
            "scores": [],
            "dimension_counts": [
                (*key, dimension, value, count)
                for key, window in self._windows.items()
                for dimension, counts in zip(feed.dimensions, window.dimension_counts, strict=True)
                for value, count in counts.items()
            ],
            "window_contributions": [],
            "anomalies": [_anomaly_row(number, anomaly) for number, anomaly in self._anomalies.values()],
            "contributions": [
                (anomaly.id, *row)
                for _, anomaly in self._anomalies.values()
                for row in _contribution_rows(anomaly.contributions, sampled=True)
            ],
            "gaps": [(start, micros(gap.end), micros(recorded_at)) for start, (gap, recorded_at) in self._gaps.items()],
        }
        for (key, metric), (number, analysis) in self._analyses.items():
            metric_key = (*key, metric)
            rows["metrics"].append((*metric_key, *_judgement(analysis), analysis.spread, analysis.alerting, number))
            rows["window_contributions"] += [(*metric_key, *row) for row in _contribution_rows(analysis.contributions)]
            rows["scores"] += [(*metric_key, *msgspec.structs.astuple(score)) for score in analysis.scores]
        return rows


def _window_row(key: WindowKey, window: Window, feed: Feed) -> tuple[Any, ...]:
    if len(window.features) != len(feed.features):
        raise ValueError(f"a window of {window.series} has {len(window.features)} features, not {len(feed.features)}")
    counts = (window.count, window.late, window.dropped)
    return (*key, window.width, window.quality.value, window.revision, *counts, *window.features)


def _judgement(judged: Analysis | Anomaly) -> tuple[Any, ...]:
    return (
        judged.observed,
        judged.expected,
        judged.confidence,
        judged.evidence,
        judged.rarity,
        judged.provisional,
        judged.severity.value,
        judged.direction,
        judged.verdict.value,
        judged.completeness,
    )


def _anomaly_row(number: int, anomaly: Anomaly) -> tuple[Any, ...]:
    return (
        anomaly.id,
        anomaly.series,
        anomaly.metric,
        anomaly.kind.value,
        micros(anomaly.opened),
        micros(anomaly.peaked),
        micros(anomaly.updated),
        None if anomaly.closed is None else micros(anomaly.closed),
        *_judgement(anomaly),
        anomaly.agreeing,
        anomaly.quiet,
        anomaly.abstained,
        anomaly.quality.value,
        anomaly.title,
        number,
    )


def _contribution_rows(contributions: Iterable[Contribution], *, sampled: bool = False) -> list[tuple[Any, ...]]:
    """A row each; samples are kept with anomalies alone, since windows repeat them."""
    rows = []
    for rank, each in enumerate(contributions, 1):
        *fields, samples = msgspec.structs.astuple(each)
        told = [{**msgspec.structs.asdict(sample), "time": micros(sample.time)} for sample in samples]
        rows.append((rank, *fields, told) if sampled else (rank, *fields))
    return rows
