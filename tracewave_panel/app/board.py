"""What all sessions of a process share: the store is read once, however many pages look at it.

Invariants: `number` grows with every look that brought something; a row, a telling or an event
carries the number of its look, so a session that remembers one number can ask for what is newer.
A slow session asks less often and gets more at a time; nothing waits for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Lock

import msgspec

from tracewave_panel.model import Analysis, Anomaly, Event, Label, Window

from .header import Header, header, totals
from .last_hour import LastHour, Usual
from .live_table import MILLISECONDS, SPAN, Row, row_of
from .state import Console, News, Reader
from .vitals import Vitals

__all__ = ["Board", "Since"]

LOOK_EVERY = 0.2
"""Seconds in which the store is read at most once."""
EPISODES = 60
EVENTS = 12


class Since(msgspec.Struct, frozen=True):
    """What is newer than a number.

    Attributes
    ----------
    number
        To ask with the next time.
    rows, detectors
        Windows as rows of the live table, and the detectors that their columns are numbered by.
    last
        The last window told, if there is a newer one.
    anomalies
        Last tellings of the episodes that were told since.
    events
        The newest raw events, if there are newer ones.
    """

    number: int
    rows: tuple[Row, ...]
    detectors: tuple[str, ...]
    last: Analysis | None
    anomalies: tuple[Anomaly, ...]
    events: tuple[Event, ...]


class Board:
    """Follows one pipeline for every page of this process.

    Parameters
    ----------
    console
        The pipeline.
    clock
        Monotonic seconds, for how often the store is read.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.vitals = Vitals(console.control)
        self._clock = clock
        self._lock = Lock()
        self._begin()

    def _begin(self) -> None:
        self.run = self.console.control.run
        self.number = 0
        self.missed = 0
        self.detectors: tuple[str, ...] = ()
        self.header: Header = header(self.console, ())
        self.totals: tuple[tuple[str, str], ...] = ()
        self.labels: dict[str, Label] = {}
        self._reader = Reader(self.console)
        self._hour = LastHour(self.console.feed)
        self._rows: deque[tuple[int, Analysis, Row]] = deque()
        self._tellings: dict[str, tuple[int, Anomaly]] = {}
        self._open: dict[str, Anomaly] = {}
        self._events: tuple[int, tuple[Event, ...]] = (0, ())
        self._looked = float("-inf")

    @property
    def usual(self) -> Usual:
        """What the last hour usually brought."""
        return self._hour.usual()

    @property
    def now(self) -> tuple[float, float] | None:
        """End in milliseconds and metric of the last window; None before the first."""
        if not self._rows:
            return None
        last = self._rows[-1][1]
        return last.window.end * MILLISECONDS, last.observed

    def tick(self) -> None:
        """Once a second, with or without sessions: sample the vital signs."""
        self.look()
        self.vitals.sample(time.time())

    def look(self) -> None:
        """Read what is new in the store, unless that was just done.

        Raises
        ------
        StoreError
            When the store is closed.
        """
        with self._lock:
            now = self._clock()
            if now - self._looked < LOOK_EVERY:
                return
            if self.run != self.console.control.run:
                self._begin()
            self._looked = now
            self._take(self._reader.read())
            self.labels = dict(self.console.control.labels())
            self.header = header(self.console, self._open.values())
            self.totals = totals(self.console, self.missed)

    def _take(self, news: News) -> None:
        self.missed += news.missed
        if not (news.analyses or news.anomalies or news.events):
            return
        self.number += 1
        self._take_windows(news.analyses)
        self._take_anomalies(news.anomalies)
        if news.events:
            newest = (*self._events[1], *news.events[-EVENTS:])[-EVENTS:]
            self._events = (self.number, newest)
            self.vitals.take_lags([event.arrived_at - event.occurred_at for event in news.events])

    def _take_windows(self, analyses: Iterable[Analysis]) -> None:
        for analysis in analyses:
            names = tuple(score.detector for score in analysis.scores)
            if names and names != self.detectors:
                self.detectors = tuple(dict.fromkeys((*self.detectors, *names)))
            self._rows.append((self.number, analysis, row_of(self.console.feed, analysis, self.detectors)))
            self._hour.take(analysis)
        while self._rows and self._rows[0][1].window.start <= self._rows[-1][1].window.start - SPAN:
            self._rows.popleft()

    def _take_anomalies(self, anomalies: Iterable[Anomaly]) -> None:
        for anomaly in anomalies:
            self._tellings[anomaly.id] = (self.number, anomaly)
            if anomaly.closed is None:
                self._open[anomaly.id] = anomaly
            else:
                self._open.pop(anomaly.id, None)
        if len(self._tellings) > EPISODES:
            newest = sorted(self._tellings.values(), key=lambda telling: telling[1].opened)[-EPISODES:]
            self._tellings = {anomaly.id: (number, anomaly) for number, anomaly in newest}

    def since(self, number: int) -> Since:
        """Everything newer than `number`; everything held, from 0."""
        with self._lock:
            rows: list[Row] = []
            for at, _, row in reversed(self._rows):
                if at <= number:
                    break
                rows.append(row)
            told, events = self._events
            return Since(
                number=self.number,
                rows=tuple(reversed(rows)),
                detectors=self.detectors,
                last=self._rows[-1][1] if rows else None,
                anomalies=tuple(anomaly for at, anomaly in self._tellings.values() if at > number),
                events=events if told > number else (),
            )

    def waiting(self, number: int) -> int:
        """How many windows are newer than `number`."""
        with self._lock:
            return sum(at > number for at, _, _ in self._rows)

    def windows(self) -> tuple[Window, ...]:
        """Windows of the last quarter of an hour in their last telling, by time."""
        with self._lock:
            last = {analysis.window.start: analysis.window for _, analysis, _ in self._rows}
        return tuple(last[start] for start in sorted(last))

    def events_between(self, start: float, end: float) -> tuple[Event, ...]:
        """Raw events of ``[start, end)`` seconds that the store still holds, in the order they came."""
        page = self.console.store.events(limit=1_000_000)
        return tuple(event for event in page.items if start <= event.time < end)
