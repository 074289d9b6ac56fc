"""Findings kept in memory as the tables of history: what a replay and a live view are read from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Event, Findings, Mark, Window
from tracewave_panel.ports import Page
from tracewave_panel.stores.ranges import stretches

from .rows import NUMBER, RawEvents, event_rows

__all__ = ["Collected", "read_all"]

T = TypeVar("T")
_PAGE = 1_000
_PACKED_AT = 5_000  # analyses; as columns they take a tenth of the memory
_TIME = pa.timestamp("us", "UTC")
_WINDOW = ("width", "quality", "revision", "count", "late", "dropped")
_METRIC = (
    *("observed", "expected", "spread", "confidence", "evidence", "rarity", "provisional", "severity", "alerting"),
    *("direction", "verdict", "completeness"),
)
_SCORE = (
    *("detector", "statistic", "p", "score", "fired", "direction", "expected", "spread", "warm", "reason"),
    *("windows_left", "span"),
)
_OPTIONAL = frozenset({"expected", "spread"})
_Numbered = tuple[int, Analysis]


class Collected:
    """Takes findings and gives them back as columns; of a window told again the last telling holds.

    Parameters
    ----------
    feed, detectors
        Name the columns.
    most_events
        The newest so many raw events are kept; 0 keeps none.

    Attributes
    ----------
    watermark
        How far the findings reach.
    events_seen
        How many raw events there were.
    """

    def __init__(self, feed: Feed, detectors: Sequence[str], *, most_events: int) -> None:
        self.feed = feed
        self.detectors = tuple(detectors)
        self.watermark = 0.0
        self._packed: list[dict[str, pa.Table]] = []
        self._waiting: list[_Numbered] = []
        self._numbers: dict[tuple[str, float], _Telling] = {}
        self._superseded: set[int] = set()
        self._told = 0
        self._anomalies: dict[str, Anomaly] = {}
        self._gaps: dict[float, Mark] = {}
        self._events: deque[Event] = deque(maxlen=most_events)
        self.events_seen = 0

    def take(self, findings: Findings) -> None:
        """Keep what one batch gave."""
        self.watermark = findings.watermark
        self.add(findings.analyses, findings.anomalies, findings.gaps)
        self._events.extend(findings.events)
        self.events_seen += len(findings.events)

    def add(
        self,
        analyses: Iterable[Analysis] = (),
        anomalies: Iterable[Anomaly] = (),
        gaps: Iterable[Mark] = (),
        events: Sequence[Event] = (),
        missed: int = 0,
    ) -> None:
        """Keep items of each sort; `missed` events are known to be gone."""
        for analysis in analyses:
            number = self._number(analysis)
            if number is not None:
                self._waiting.append((number, analysis))
        if len(self._waiting) >= _PACKED_AT:
            self._packed.append({name: build(self.feed, self._waiting) for name, build in _TABLES.items()})
            self._waiting = []
        self._anomalies.update({anomaly.id: anomaly for anomaly in anomalies})
        self._gaps.update({gap.start: gap for gap in gaps})
        self._events.extend(events)
        self.events_seen += len(events) + missed

    def read(self, table: str, series: str | None = None, metric: str | None = None) -> pa.Table:
        """Rows of ``windows``, ``metrics``, ``scores`` or ``dimension_counts``, perhaps of one series and metric."""
        parts = [packed[table] for packed in self._packed]
        whole = pa.concat_tables([*parts, _TABLES[table](self.feed, self._waiting)]).unify_dictionaries()
        keep = np.isin(whole[NUMBER].to_numpy(), list(self._superseded), invert=True)
        for name, wanted in (("series", series), ("metric", metric)):
            if wanted is not None and name in whole.column_names:
                keep &= pa.compute.equal(whole[name], wanted).to_numpy()
        return whole.filter(pa.array(keep)).drop_columns([NUMBER])

    def series(self) -> tuple[str, ...]:
        """Names, in the order in which they were first seen."""
        return tuple(dict.fromkeys(series for series, _ in self._numbers))

    def anomalies(self) -> tuple[Anomaly, ...]:
        """Last telling of each episode."""
        return tuple(self._anomalies.values())

    def gaps(self) -> tuple[Mark, ...]:
        """Stretches that the feed did not deliver, in order of time; those that touch are one."""
        return tuple(stretches(tuple(self._gaps.values())))

    def events(self) -> RawEvents:
        """The newest raw events."""
        return RawEvents(event_rows(self.feed, self._events), self.event_counts()[1])

    def event_counts(self) -> tuple[int, int]:
        """How many raw events are kept, and how many more there were."""
        return len(self._events), self.events_seen - len(self._events)

    def _number(self, analysis: Analysis) -> int | None:
        """Number of the window's telling; None where a later one is held."""
        window = analysis.window
        key = (window.series, window.start)
        told = self._numbers.get(key)
        if told is not None and window.revision < told.revision:
            return None
        if told is None or window.revision > told.revision or analysis.metric in told.metrics:
            if told is not None:
                self._superseded.add(told.number)
            told = self._numbers[key] = _Telling(self._told, window.revision)
            self._told += 1
        told.metrics += (analysis.metric,)
        return told.number


def read_all(read: _Read[T]) -> tuple[list[T], int]:
    """Everything that a store holds of one sort, and how much it let go before."""
    items: list[T] = []
    cursor = missed = 0
    while True:
        page = read(after=cursor, limit=_PAGE)
        items += page.items
        cursor, missed = page.cursor, missed + page.missed
        if len(page.items) < _PAGE:
            return items, missed


class _Read(Protocol[T]):
    def __call__(self, after: int = 0, limit: int = 1000) -> Page[T]: ...


class _Telling:
    """Of one window: its number, and the metrics that were told under it."""

    __slots__ = ("metrics", "number", "revision")

    def __init__(self, number: int, revision: int) -> None:
        self.number, self.revision = number, revision
        self.metrics: tuple[str, ...] = ()


def _windows(feed: Feed, told: Sequence[_Numbered]) -> pa.Table:
    by_number: dict[int, Window] = {number: analysis.window for number, analysis in told}
    windows = list(by_number.values())
    columns = _keys(windows, by_number) | _fields(windows, _WINDOW)
    features = zip(*(window.features for window in windows), strict=True) if windows else [()] * len(feed.features)
    named = zip(feed.features, features, strict=True)
    return pa.table(columns | {f"feature {each.name}": pa.array(values, pa.float64()) for each, values in named})


def _metrics(_: Feed, told: Sequence[_Numbered]) -> pa.Table:
    analyses = [analysis for _, analysis in told]
    keys = _keys([analysis.window for analysis in analyses], [number for number, _ in told])
    return pa.table(keys | {"metric": _names(analyses, "metric")} | _fields(analyses, _METRIC))


def _scores(_: Feed, told: Sequence[_Numbered]) -> pa.Table:
    scores = [score for _, analysis in told for score in analysis.scores]
    times = [len(analysis.scores) for _, analysis in told]
    keys = _keys([analysis.window for _, analysis in told], [number for number, _ in told])
    metrics = {"metric": _names([analysis for _, analysis in told], "metric")}
    repeat = np.repeat(np.arange(len(told)), times)
    repeated = {name: column.take(pa.array(repeat)) for name, column in (keys | metrics).items()}
    return pa.table(repeated | _fields(scores, _SCORE))


def _counts(feed: Feed, told: Sequence[_Numbered]) -> pa.Table:
    by_number: dict[int, Window] = {number: analysis.window for number, analysis in told}
    windows = list(by_number.values())
    repeat: list[int] = []
    dimensions: list[str] = []
    values: list[str] = []
    counts: list[int] = []
    for place, window in enumerate(windows):
        for dimension, counted in zip(feed.dimensions, window.dimension_counts, strict=True):
            dimensions += [dimension] * len(counted)
            values += counted.keys()
            counts += counted.values()
            repeat += [place] * len(counted)
    taken = pa.array(repeat, pa.int64())
    columns = {name: column.take(taken) for name, column in _keys(windows, by_number).items()}
    columns |= {"dimension": _text(dimensions), "value": _text(values), "count": pa.array(counts, pa.int64())}
    return pa.table(columns)


_TABLES: dict[str, Callable[[Feed, Sequence[_Numbered]], pa.Table]] = {
    "windows": _windows,
    "metrics": _metrics,
    "scores": _scores,
    "dimension_counts": _counts,
}


def _keys(windows: Sequence[Window], numbers: Iterable[int]) -> dict[str, pa.Array]:
    starts = np.array(_values(windows, "start"), dtype=float)
    return {
        NUMBER: pa.array(list(numbers), pa.int64()),
        "series": _names(windows, "series"),
        "start": pa.array(np.round(starts * 1e6).astype("int64")).cast(_TIME),
    }


def _fields(items: Sequence[Any], names: Iterable[str]) -> dict[str, pa.Array]:
    return {name: _typed(name, items) for name in names}


def _typed(name: str, items: Sequence[Any]) -> pa.Array:
    values = _values(items, name)
    kind = _TYPES[name]
    return _text(values) if kind is None else pa.array(values, kind)


_TYPES: dict[str, pa.DataType | None] = {
    **dict.fromkeys(("detector", "reason", "quality", "severity", "verdict")),
    **dict.fromkeys(("provisional", "alerting", "fired", "warm"), pa.bool_()),
    **dict.fromkeys(("revision", "count", "late", "dropped", "windows_left", "span", "direction"), pa.int64()),
    **dict.fromkeys(("width", "observed", "expected", "spread", "confidence", "evidence", "rarity"), pa.float64()),
    **dict.fromkeys(("completeness", "statistic", "p", "score"), pa.float64()),
}


def _values(items: Sequence[Any], name: str) -> list[Any]:
    found: Iterator[Any] = map(attrgetter(name), items)
    return list(found)


def _names(items: Sequence[Any], name: str) -> pa.Array:
    return _text(_values(items, name))


def _text(values: Sequence[str]) -> pa.Array:
    return pa.array(values, pa.string()).dictionary_encode()
