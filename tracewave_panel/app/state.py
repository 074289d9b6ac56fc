"""How far a running pipeline has been read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from tracewave_panel.model import Analysis, Anomaly, Event
from tracewave_panel.ports import Console, Page

__all__ = ["News", "Reader"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class News:
    """What the store took in since the last look, in the order it was appended.

    Attributes
    ----------
    analyses
        Those of the first metric of the first series of the feed: what the Live page draws.
    anomalies
        Tellings; the last one of an id holds.
    events
        Raw events.
    missed
        Analyses and tellings that the store had already let go when the session asked.
    """

    analyses: tuple[Analysis, ...]
    anomalies: tuple[Anomaly, ...]
    events: tuple[Event, ...]
    missed: int = 0


class _Read(Protocol[T]):
    def __call__(self, after: int = 0, limit: int = 1000) -> Page[T]: ...


class Reader:
    """Follows one store by cursor.

    Parameters
    ----------
    console
        The pipeline to follow.
    """

    PAGE = 1000

    def __init__(self, console: Console) -> None:
        self._store = console.store
        self._series = console.feed.series[0]
        self._metric = console.feed.metrics[0].name
        self._analyses = self._anomalies = self._events = 0

    def read(self) -> News:
        """Everything new since the last call; everything the store holds on the first.

        Raises
        ------
        StoreError
            When the store is closed.
        """
        analyses, self._analyses, missed_analyses = self._follow(self._store.analyses, self._analyses)
        anomalies, self._anomalies, missed_anomalies = self._follow(self._store.anomalies, self._anomalies)
        events, self._events, _ = self._follow(self._store.events, self._events)
        return News(
            analyses=tuple(
                analysis
                for analysis in analyses
                if analysis.metric == self._metric and analysis.window.series == self._series
            ),
            anomalies=tuple(anomalies),
            events=tuple(events),
            missed=missed_analyses + missed_anomalies,
        )

    def _follow(self, read: _Read[T], cursor: int) -> tuple[list[T], int, int]:
        """Page through one kind of item until the store has no more."""
        items: list[T] = []
        missed = 0
        while True:
            page = read(after=cursor, limit=self.PAGE)
            items.extend(page.items)
            missed += page.missed
            cursor = page.cursor
            if len(page.items) < self.PAGE:
                return items, cursor, missed
