"""What all sessions of a process share: the store is read once, however many pages look at it.

Invariants: `number` grows with every look that brought something to tell; a row, a telling or an
event carries the number of its look, so a session that remembers one number can ask for what is
newer. A slow session asks less often and gets more at a time; nothing waits for it.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Protocol

import msgspec

from tracewave_panel.model import Analysis, Anomaly, Event, Window
from tracewave_panel.ports import Console

from .event_rows import event_row
from .frames import Frame, columns_of
from .header import header, totals
from .last_hour import LastHour, Usual
from .live_table import MILLISECONDS, SPAN, Row, row_of
from .notices import Said
from .state import News, Reader
from .vitals import Vitals
from .wording import one_line

__all__ = ["Board", "Since", "Sleeper"]

LOOK_EVERY = 0.2
"""Seconds in which the store is read at most once."""
NOTE_EVERY = 1.0
"""Seconds in which pages are told at most once that only the words after the status word changed."""
LIST_EVERY, LIST_ALONE = 0.7, 2.0
"""Seconds between two lists of raw events beside a window that is told anyway, and without one."""
SAMPLE_EVERY = 1.0
EPISODES = 60
EVENTS = 12


class Since(msgspec.Struct, frozen=True):
    """What is newer than a number.

    Attributes
    ----------
    number
        To ask with the next time.
    last
        The last window told, if there is a newer one.
    anomalies
        Last tellings of the episodes that were told since.
    """

    number: int
    last: Analysis | None
    anomalies: tuple[Anomaly, ...]


class Sleeper(Protocol):
    """A session that wants to know when there is something new."""

    @property
    def restless(self) -> bool:
        """Whether it is to be woken each second all the same."""
        ...

    def wake(self) -> None:
        """Have it look soon; called from the server's loop."""
        ...


class Board:
    """Follows one pipeline for every page of this process.

    Parameters
    ----------
    console
        The pipeline.
    clock
        Monotonic seconds, for how often the store is read.

    Attributes
    ----------
    event_rows
        The newest raw events in words, newest first.
    said
        Labels and mutes that hold.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.vitals = Vitals(console.control)
        self.sleepers: set[Sleeper] = set()
        self._sampled = float("-inf")
        self._clock = clock
        self._lock = Lock()
        self.number = 0
        self._begin()

    def _begin(self) -> None:
        """Forget the last run, but not how far was counted: sessions go on asking from there."""
        self.run = self.console.control.run
        self.missed = 0
        self.detectors = self.console.control.detectors
        self.header = self._told_header = header(self.console, ())
        self.totals: tuple[tuple[str, str], ...] = ()
        self.said = Said()
        self._reader = Reader(self.console)
        self._hour = LastHour(self.console.feed)
        self._rows: deque[tuple[int, Analysis, Row]] = deque()
        self._tellings: dict[str, tuple[int, Anomaly]] = {}
        self._open: dict[str, Anomaly] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._unlisted = False
        self.event_rows: list[tuple[str, ...]] = []
        self._frames: dict[tuple[int, bool, bool], str] = {}
        self._looked = self._bumped = self._listed = float("-inf")

    @property
    def usual(self) -> Usual:
        """What the last hour usually brought."""
        return self._hour.usual()

    def tick(self) -> None:
        """Look, wake the sessions if there is something new, and sample the vital signs once a second."""
        number, run = self.number, self.run
        self.look()
        new = (number, run) != (self.number, self.run)
        sampling = self._looked - self._sampled >= SAMPLE_EVERY
        if sampling:
            self._sampled = self._looked
            self.vitals.sample(time.time())
        for sleeper in tuple(self.sleepers):
            if new or (sampling and sleeper.restless):
                sleeper.wake()

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
            news = self._reader.read()
            said = Said.to(self.console.control)
            if news.analyses or news.anomalies or said != self.said:
                self._bump(now)
            self._take(news)
            self.said = said
            self._head(now)
            self._list(now)

    def _bump(self, now: float) -> None:
        self.number += 1
        self._bumped = now
        self._frames.clear()

    def _take(self, news: News) -> None:
        self.missed += news.missed
        self._take_windows(news.analyses)
        self._take_anomalies(news.anomalies)
        if news.events:
            self._events.extend(news.events[-EVENTS:])
            self._unlisted = True
            self.vitals.take_lags([event.arrived_at - event.occurred_at for event in news.events])

    def _head(self, now: float) -> None:
        """Ask how things stand; a status word is told at once, the words after it once a second."""
        self.header = said = header(self.console, self._open.values())
        new_word = said.word != self._told_header.word
        if said != self._told_header and (new_word or now - self._bumped >= NOTE_EVERY):
            self._bump(now)
        if self._bumped == now:
            self._told_header = said
        self.totals = totals(self.console, self.missed)

    def _list(self, now: float) -> None:
        """Put the newest raw events into words: seldom enough to be read, and with windows where they come."""
        told, waited = self._bumped == now, now - self._listed
        if not self._unlisted or waited < (LIST_EVERY if told else LIST_ALONE):
            return
        self._listed, self._unlisted = now, False
        self.event_rows = [event_row(self.console.feed, event) for event in reversed(self._events)]
        if not told:
            self._bump(now)

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
            # one that is open stays, however many came after it
            newest = sorted(self._tellings.values(), key=lambda told: (told[1].closed is None, told[1].opened))
            self._tellings = {anomaly.id: (number, anomaly) for number, anomaly in newest[-EPISODES:]}

    def since(self, number: int) -> Since:
        """Everything newer than `number`; everything held, from 0."""
        with self._lock:
            newer = bool(self._rows) and self._rows[-1][0] > number
            return Since(
                number=self.number,
                last=self._rows[-1][1] if newer else None,
                anomalies=tuple(anomaly for at, anomaly in self._tellings.values() if at > number),
            )

    def rows(self, number: int = 0) -> list[Row]:
        """Rows of the windows told after `number`, in that order."""
        with self._lock:
            return self._newer(number)

    def _newer(self, number: int) -> list[Row]:
        rows: list[Row] = []
        for at, _, row in reversed(self._rows):
            if at <= number:
                break
            rows.append(row)
        return rows[::-1]

    def frame(self, number: int, *, plots: bool = True, paused: bool = False) -> str:
        """What a page that knows everything up to `number` is to be told now.

        Parameters
        ----------
        plots
            Whether the page has the plots, which need the windows.
        paused
            Whether they are held back, and only counted.
        """
        with self._lock:
            asked = (number, plots, paused)
            if asked not in self._frames:
                self._frames[asked] = self._frame(number, plots=plots, paused=paused).text
            return self._frames[asked]

    def _frame(self, number: int, *, plots: bool, paused: bool) -> Frame:
        frame = Frame(self.number, header=self.header, totals=self.totals)
        if not plots:
            last = self._rows[-1][1] if self._rows else None
            return msgspec.structs.replace(frame, now=(last.window.end * MILLISECONDS, last.observed) if last else None)
        newer = self._newer(number)
        if paused:
            return msgspec.structs.replace(frame, waiting=len(newer), detectors=self.detectors)
        columns, held = columns_of(newer)
        return msgspec.structs.replace(
            frame,
            rows=columns,
            held=held,
            detectors=self.detectors,
            reasons=self._reasons(),
            events=self.event_rows,
            waiting=0,
        )

    def _reasons(self) -> dict[str, str]:
        scores = self._rows[-1][1].scores if self._rows else ()
        return {score.detector: "" if score.warm else one_line(score.reason) or "not ready" for score in scores}

    def windows(self) -> tuple[Window, ...]:
        """Windows of the last quarter of an hour in their last telling, by time."""
        with self._lock:
            last = {analysis.window.start: analysis.window for _, analysis, _ in self._rows}
        return tuple(last[start] for start in sorted(last))

    def in_episodes(self) -> frozenset[float]:
        """Starts of the held windows that belong to an episode."""
        with self._lock:
            spans = [(anomaly.opened, anomaly.closed or math.inf) for _, anomaly in self._tellings.values()]
            starts = {analysis.window.start for _, analysis, _ in self._rows}
        return frozenset(start for start in starts if any(opened <= start < closed for opened, closed in spans))

    def events_between(self, start: float, end: float) -> tuple[Event, ...]:
        """Raw events of ``[start, end)`` seconds that the store still holds, in the order they came."""
        page = self.console.store.events(limit=1_000_000)
        return tuple(event for event in page.items if start <= event.time < end)
