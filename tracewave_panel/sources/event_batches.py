"""Batches from events that carry no arrival time, about one for every second of their own time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import msgspec

from tracewave_panel.core.event_clock import EventClock
from tracewave_panel.model import Batch, Event, Mark, Quality

__all__ = ["EventBatches"]


class EventBatches:
    """Put events, in file order, on the event clock and cut them into batches.

    ``arrived_at`` becomes the running maximum of the times. Quiet time gets an empty batch now and then, so that the
    watermark moves; a hole that no quiet explains is marked as ``gap`` instead.

    Parameters
    ----------
    lateness
        Seconds by which an event may lie behind the newest and still be in time.
    hole
        Seconds without any event from which data is taken to be missing; a jump ahead of this length must also be
        confirmed by the three events that follow it.
    sign_of_life
        Seconds between two batches of quiet time.
    """

    def __init__(self, *, lateness: float = 10.0, hole: float = 3600.0, sign_of_life: float = 10.0) -> None:
        self._clock = EventClock(lateness, hole)
        self._lateness = lateness
        self._hole = hole
        self._sign_of_life = sign_of_life
        self._waiting: deque[Event] = deque()
        self._events: list[Event] = []
        self._marks: tuple[Mark, ...] = ()
        self._undecodable = self._duplicates = 0
        self._arrived = -math.inf

    def add(self, event: Event) -> Iterator[Batch]:
        """Take in the next event, which counts at its ``occurred_at``; give the batches that are complete by now."""
        self._waiting.append(event)
        for time in self._clock.receive((event.occurred_at,)):
            yield from self._place(self._waiting.popleft(), time)

    def add_undecodable(self) -> None:
        """Count a row that could not be read; the next batch tells of it."""
        self._undecodable += 1

    def add_duplicate(self) -> None:
        """Count a row that had been seen before; the next batch tells of it."""
        self._duplicates += 1

    def finish(self) -> Iterator[Batch]:
        """Give what is left. The last batch moves the watermark to the largest time seen."""
        for time in self._clock.finish():
            yield from self._place(self._waiting.popleft(), time)
        if math.isfinite(self._arrived):
            yield self._batch(watermark=self._arrived)

    def _place(self, event: Event, time: float) -> Iterator[Batch]:
        arrived = max(self._arrived, time)
        if self._events and math.floor(arrived) > math.floor(self._arrived):
            yield self._batch()
        if arrived - self._arrived <= self._hole:
            while arrived - self._arrived > self._sign_of_life:
                self._arrived += self._sign_of_life
                yield self._batch()
        elif math.isfinite(self._arrived):
            self._marks += (Mark(self._arrived, arrived, Quality.GAP),)
        self._arrived = arrived
        self._events.append(msgspec.structs.replace(event, time=time, arrived_at=arrived))

    def _batch(self, watermark: float | None = None) -> Batch:
        batch = Batch(
            arrived_at=self._arrived,
            watermark=self._arrived - self._lateness if watermark is None else watermark,
            events=tuple(self._events),
            marks=self._marks,
            undecodable=self._undecodable,
            duplicates=self._duplicates,
        )
        self._events, self._marks = [], ()
        self._undecodable = self._duplicates = 0
        return batch
