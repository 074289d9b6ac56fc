"""A bounded queue within one event loop."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable

import msgspec

from tracewave_panel.model import Batch, Dropped

__all__ = ["MemoryBus"]


class MemoryBus:
    """Carries batches from a task that publishes to one that subscribes.

    Parameters
    ----------
    capacity
        Most events held, and about most batches, since empty ones are held too.
    shed
        A live feed sheds the oldest events when the bus is full, and says so in
        ``Batch.dropped``; a replay (False) makes the publisher wait instead.

    Notes
    -----
    Batches that were emptied are joined, so that a subscriber that stands still for ever costs
    bounded memory too: their watermarks and marks stay, positions in between go.
    """

    def __init__(self, capacity: int = 20_000, *, shed: bool) -> None:
        self._capacity = capacity
        self._shed = shed
        self._batches: deque[Batch] = deque()
        self._events = 0
        self._emptied = 0  # batches at the left end that hold no events because they were shed
        self._waiting = 0  # publishers, for room
        self._closed = False
        self._changed = asyncio.Condition()
        self.dropped = 0

    @property
    def depth(self) -> int:
        """Events that wait."""
        return self._events

    async def publish(self, batch: Batch) -> None:
        """Hand over a batch; waits for room unless the bus sheds."""
        async with self._changed:
            if not self._shed:
                await self._room_for(batch)
            self._batches.append(batch)
            self._events += len(batch.events)
            while self._shed and self._overfull() and self._emptied < len(self._batches):
                self._shed_oldest()
            self._changed.notify_all()

    async def _room_for(self, batch: Batch) -> None:
        self._waiting += 1
        try:
            await self._changed.wait_for(lambda: self._closed or not self._batches or self._fits(batch))
        finally:
            self._waiting -= 1
            self._changed.notify_all()

    def _fits(self, batch: Batch) -> bool:
        return self._events + len(batch.events) <= self._capacity and len(self._batches) < self._capacity

    def _overfull(self) -> bool:
        return self._events > self._capacity or len(self._batches) > self._capacity + 1

    def _shed_oldest(self) -> None:
        """Shed what is too much of the oldest batch that holds events, or all of it when batches are too many."""
        batch = self._batches[self._emptied]
        excess = self._events - self._capacity
        cut = min(excess, len(batch.events)) if excess > 0 else len(batch.events)
        self._events -= cut
        self.dropped += cut
        lost = _lost(batch.dropped)
        lost.update((event.series, float(math.floor(event.time))) for event in batch.events[:cut])
        left = msgspec.structs.replace(batch, events=batch.events[cut:], dropped=_as_dropped(lost))
        if left.events:
            self._batches[self._emptied] = left
        elif self._emptied:
            self._batches[0] = _join(self._batches[0], left)
            del self._batches[1]
        else:
            self._batches[0] = left
            self._emptied = 1

    async def subscribe(self) -> AsyncIterator[Batch]:
        """Iterate over batches in order, until the bus is closed and empty."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._batches or (self._closed and not self._waiting))
                if not self._batches:
                    return
                batch = self._batches.popleft()
                self._events -= len(batch.events)
                self._emptied = max(0, self._emptied - 1)
                self._changed.notify_all()
            yield batch

    async def acknowledge(self, batch: Batch) -> None:
        """Do nothing: what left this bus is gone."""

    async def close(self) -> None:
        """End the subscription once what was published has been delivered."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()


def _join(first: Batch, second: Batch) -> Batch:
    """One empty batch with the effect of two, the second being the newer."""
    return msgspec.structs.replace(
        second,
        marks=first.marks + second.marks,
        dropped=_as_dropped(_lost(first.dropped + second.dropped)),
        undecodable=first.undecodable + second.undecodable,
        duplicates=first.duplicates + second.duplicates,
    )


def _lost(dropped: Iterable[Dropped]) -> Counter[tuple[str, float]]:
    lost: Counter[tuple[str, float]] = Counter()
    for loss in dropped:
        lost[loss.series, loss.time] += loss.count
    return lost


def _as_dropped(lost: Counter[tuple[str, float]]) -> tuple[Dropped, ...]:
    return tuple(Dropped(series, time, count) for (series, time), count in sorted(lost.items()))
