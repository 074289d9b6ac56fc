"""How simulated events arrive: read ten times a second over a connection that may stall or break.

Times, watermarks, marks and statuses are made by the same :class:`~tracewave_panel.core.feed_clock.FeedClock` as those
of a live feed. Whatever the feed, its events are made a minute at a time, as arrays.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count, repeat
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tracewave_panel.core.feed_clock import FeedClock
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Batch, Event
from tracewave_panel.sources.synthetic_incidents import Planted

__all__ = ["READS_A_SECOND", "Block", "Connection", "Maker", "StreamSettings"]

READS_A_SECOND = 10


class Block(Protocol):
    """Events in order of arrival, as arrays of one length in seconds."""

    @property
    def arrived_at(self) -> NDArray[np.float64]:
        """When each arrives if nothing disturbs it."""
        ...

    @property
    def occurred_at(self) -> NDArray[np.float64]:
        """When each happened."""
        ...

    def event(self, position: int, *, id: str, time: float, arrived_at: float) -> Event:  # noqa: A002
        """Make the Event of one position."""
        ...


class Maker(Protocol):
    """Makes events without end, a block at a time.

    Attributes
    ----------
    most_a_read
        How many events fit into one read; a heap takes several.
    heartbeat
        Seconds between two proofs of life that the feed sends while it stands; infinite: it sends none.
    until
        Up to where events were made, seconds.
    """

    most_a_read: int
    heartbeat: float
    until: float

    @property
    def planted(self) -> Sequence[Planted]:
        """What of the planned has begun so far, or begins within the last block."""
        ...

    @property
    def active(self) -> Sequence[Planted]:
        """What of it may touch the last block."""
        ...

    def block(self) -> Block:
        """Make the events of the next stretch of time."""
        ...


class StreamSettings(Protocol):
    """What a simulated feed is made from."""

    @property
    def seed(self) -> int:
        """The same seed and start give the same stream."""
        ...

    @property
    def speed(self) -> float | None:
        """How many times faster than real the source runs; None: as fast as it can."""
        ...

    @property
    def feed(self) -> Feed:
        """The feed that it imitates."""
        ...

    @property
    def event(self) -> str:
        """What one event is called."""
        ...

    @property
    def rate(self) -> float:
        """Mean events a second."""
        ...

    def planned(self, start: float) -> Iterator[Planted]:
        """Say what is planted in a stream from `start` on, in order of start."""
        ...

    def maker(self, start: float, planned: Iterator[Planted]) -> Maker:
        """Begin a stream at `start`."""
        ...


class Connection:
    """Reads made events as far as stalls and disconnects let it.

    Attributes
    ----------
    clock
        The feed clock that all of it went through.
    reconnects
        How often the connection came back.
    """

    def __init__(self, maker: Maker, start: float) -> None:
        self.maker = maker
        self.clock = FeedClock()
        self.reconnects = 0
        self._start = start
        self._number = 0
        self._queue: deque[tuple[float, Block, int]] = deque()
        self._read_at = start
        self._heartbeat = start + maker.heartbeat
        self._down = False

    def batches(self) -> Iterator[Batch | None]:
        """Give a batch a read, for ever; None while the clock knows no time yet."""
        self.clock.connected(self._start, resumes=False)
        for reads in count(1):
            now = round(self._start + reads / READS_A_SECOND, 3)
            while self.maker.until < now:
                block = self.maker.block()
                self._queue.extend(zip(block.arrived_at.tolist(), repeat(block), count()))
            events = self._read(now)
            self.clock.tick(now)
            yield self._batch(now, events) if math.isfinite(self.clock.watermark) else None

    def _batch(self, now: float, events: list[Event]) -> Batch:
        marks = self.clock.take_marks()
        return Batch(now, self.clock.watermark, self.clock.status, tuple(events), marks)

    def _read(self, now: float) -> list[Event]:
        active = {one.kind for one in self.maker.active if one.start < now <= one.end}
        if "reconnect_backlog" in active:
            self.clock.disconnected(now)
            self._down = True
            return []
        if self._down:
            self._down = False
            self.reconnects += 1
            self.clock.connected(now, resumes=True)
        if "feed_stall" in active:
            return []
        events = self._take(now)
        if "outage" in active or now >= self._heartbeat:
            self.clock.alive(now)
            self._heartbeat = now + self.maker.heartbeat
        return events

    def _take(self, now: float) -> list[Event]:
        taken: list[tuple[float, Block, int]] = []
        while self._queue and self._queue[0][0] <= now and len(taken) < self.maker.most_a_read:
            taken.append(self._queue.popleft())
        if not taken:
            return []
        late = taken[0][0] <= now - 1 / READS_A_SECOND
        self._read_at = now if late else max(self._read_at, taken[-1][0])
        times = self.clock.receive(self._read_at, [float(block.occurred_at[at]) for _, block, at in taken])
        events = []
        for (_, block, at), time in zip(taken, times, strict=True):
            self._number += 1
            id_ = f"{int(self._start):x}-{self._number:x}"
            events.append(block.event(at, id=id_, time=time, arrived_at=self._read_at))
        return events
