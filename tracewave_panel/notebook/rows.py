"""What tables and plots of a run are made from, wherever the run comes from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import pyarrow as pa

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, Event, Mark

__all__ = ["NUMBER", "RawEvents", "Rows", "event_columns", "event_rows"]

NUMBER = "telling"
"""Column of tables in the making: which telling of its window a row belongs to."""
_TIME = pa.timestamp("us", "UTC")


class RawEvents(NamedTuple):
    """Raw events as a table, and how many more there were."""

    rows: pa.Table
    missed: int


class Rows(Protocol):
    """Tables of findings under the names and columns of history; features are named ``feature NAME``."""

    @property
    def feed(self) -> Feed:
        """What they are findings of."""
        ...

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of those that judged, in order."""
        ...

    def read(self, table: str, series: str | None = None, metric: str | None = None) -> pa.Table:
        """Rows of ``windows``, ``metrics``, ``scores`` or ``dimension_counts``, perhaps of one series and metric."""
        ...

    def series(self) -> tuple[str, ...]:
        """Names of the series there are windows of."""
        ...

    def anomalies(self) -> tuple[Anomaly, ...]:
        """Last telling of each episode."""
        ...

    def gaps(self) -> tuple[Mark, ...]:
        """Stretches that the feed did not deliver, in order of time."""
        ...

    def events(self) -> RawEvents:
        """Raw events, as far as they are kept."""
        ...

    def event_counts(self) -> tuple[int, int]:
        """How many raw events :meth:`events` gives, and how many more there were."""
        ...


def event_columns(feed: Feed) -> tuple[str, ...]:
    """Names of the columns of raw events, in order."""
    who = (feed.actor, feed.subject)
    return (
        "time",
        "occurred_at",
        "arrived_at",
        "series",
        "id",
        *feed.dimensions,
        *feed.measures,
        *who,
        "title",
        "link",
    )


def event_rows(feed: Feed, events: Iterable[Event]) -> pa.Table:
    """Raw events as a table, under the names that history has for them."""
    held = tuple(events)
    columns: dict[str, pa.Array] = {}
    for name in ("time", "occurred_at", "arrived_at"):
        columns[name] = pa.array([round(getattr(event, name) * 1e6) for event in held], pa.int64()).cast(_TIME)
    for name in ("series", "id"):
        columns[name] = pa.array([getattr(event, name) for event in held], pa.string())
    for place, name in enumerate(feed.dimensions):
        columns[name] = pa.array([event.dimensions[place] for event in held], pa.string())
    for place, name in enumerate(feed.measures):
        columns[name] = pa.array([event.measures[place] for event in held], pa.float64())
    for name, field in ((feed.actor, "actor"), (feed.subject, "subject"), ("title", "title"), ("link", "link")):
        columns[name] = pa.array([getattr(event, field) for event in held], pa.string())
    return pa.table(columns)
