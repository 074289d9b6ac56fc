"""Findings to rows of the tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from tracewave_panel.codec import pack
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Contribution, Event, Label, Mark, Window
from tracewave_panel.ports import SavedState
from tracewave_panel.stores import schema
from tracewave_panel.stores.event_rows import event_rows
from tracewave_panel.stores.window_rows import judgement, metric_tables, window_tables

__all__ = [
    "Filling",
    "StateNumber",
    "Telling",
    "WindowKey",
    "label_rows",
    "micros",
    "seconds",
    "state_rows",
    "to_arrow",
]

WindowKey = tuple[str, int]
"""Series and start in microseconds."""


class Filling:
    """How a telling of what history lacks went.

    Attributes
    ----------
    ids
        Anomalies that were filled in, now or before: a later telling of one replaces it.
    written
        New windows, anomalies and events, once it was written; the last try holds.
    """

    def __init__(self, ids: set[str]) -> None:
        self.ids = ids
        self.written: tuple[int, int, int] | None = None


class Telling(msgspec.Struct, frozen=True):
    """What history keeps of one Findings.

    Attributes
    ----------
    analysis_number, anomaly_number, event_number
        Running number of the first of each.
    told_before
        Events up to this number are an earlier run's, and may be told again under their ids; 0: none are.
    missing_only
        Where to say what was written; given, only what history lacks is.
    """

    analyses: tuple[Analysis, ...]
    anomalies: tuple[Anomaly, ...]
    gaps: tuple[Mark, ...]
    recorded_at: float
    analysis_number: int
    anomaly_number: int
    events: tuple[Event, ...] = ()
    event_number: int = 1
    told_before: int = 0
    missing_only: Filling | None = None


class StateNumber(NamedTuple):
    """Running number of a State, and that of the last event told before it."""

    told: int
    events: int


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
    return collected.tables(feed)


def state_rows(feed: Feed, saved: SavedState, number: StateNumber) -> pa.Table:
    """One row of ``states``."""
    packed = pack(saved)
    return schema.tables(feed)["states"].arrow(
        [(micros(saved.saved_at), micros(saved.watermark), len(packed), packed, *number)]
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
        self._events: list[Event] = []
        self._event_numbers: list[int] = []

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
        self._events += telling.events
        self._event_numbers += range(telling.event_number, telling.event_number + len(telling.events))

    def tables(self, feed: Feed) -> dict[str, pa.Table]:
        tables = schema.tables(feed)
        rows: dict[str, pa.Table] = {}
        if self._windows:
            rows |= window_tables(feed, tables, self._windows)
            rows |= metric_tables(tables, self._analyses)
        told = self._anomalies.values()
        few = {
            "anomalies": [_anomaly_row(number, anomaly) for number, anomaly in told],
            "contributions": [(anomaly.id, *row) for _, anomaly in told for row in _sampled(anomaly.contributions)],
            "gaps": [(start, micros(gap.end), micros(recorded_at)) for start, (gap, recorded_at) in self._gaps.items()],
        }
        rows |= {name: tables[name].arrow(of_table) for name, of_table in few.items() if of_table}
        if self._events:
            rows["events"] = event_rows(feed, self._events, self._event_numbers)
        return {name: of_table for name, of_table in rows.items() if of_table.num_rows}


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
        *judgement(anomaly),
        anomaly.agreeing,
        anomaly.quiet,
        anomaly.abstained,
        anomaly.quality.value,
        anomaly.title,
        number,
    )


def _sampled(contributions: Iterable[Contribution]) -> list[tuple[Any, ...]]:
    """A row each, with its samples: those of windows, which repeat them, are left out."""
    rows = []
    for rank, each in enumerate(contributions, 1):
        *fields, samples = msgspec.structs.astuple(each)
        told = [{**msgspec.structs.asdict(sample), "time": micros(sample.time)} for sample in samples]
        rows.append((rank, *fields, told))
    return rows
