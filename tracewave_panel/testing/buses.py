"""Whether a bus keeps the promises of its port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tracewave_panel.model import Batch, Dropped, Event, Mark, Quality, Status
from tracewave_panel.ports import Bus
from tracewave_panel.testing.promise import promise, same

__all__ = ["check_bus"]

START = 1_700_000_000.0


async def check_bus(make_bus: Callable[[], Bus], *, patience: float = 10.0) -> None:
    """Check that a bus keeps the promises of :class:`~tracewave_panel.ports.Bus`.

    Once with a subscriber that keeps up and once with one that comes late.

    Parameters
    ----------
    make_bus
        Gives a new, empty bus each time it is called; in a running event loop.
    patience
        Seconds within which everything must be delivered.

    Raises
    ------
    AssertionError
        When a promise is broken, saying which.
    """
    batches = [_bus_batch(number) for number in range(60)]
    for late in (0.0, 0.05):
        async with asyncio.timeout(patience):
            received = await _through(make_bus(), batches, late)
        _check_delivery(batches, received)


async def _through(bus: Bus, batches: Sequence[Batch], late: float) -> list[Batch]:
    async def consume() -> list[Batch]:
        await asyncio.sleep(late)
        received = []
        async for batch in bus.subscribe():
            received.append(batch)
            await bus.acknowledge(batch)
        return received

    consumer = asyncio.create_task(consume())
    for batch in batches:
        await bus.publish(batch)
    await bus.close()
    return await consumer


def _check_delivery(sent: Sequence[Batch], received: Sequence[Batch]) -> None:
    events = [event for batch in sent for event in batch.events]
    delivered = [event for batch in received for event in batch.events]
    kept = set(delivered)
    promise(len(kept) == len(delivered), "an event was delivered twice")
    same("order of the events delivered", delivered, [event for event in events if event in kept])
    dropped = sum(loss.count for batch in received for loss in batch.dropped)
    dropped -= sum(loss.count for batch in sent for loss in batch.dropped)
    same("events delivered and events said to be dropped, together", len(delivered) + dropped, len(events))
    same("marks", [mark for batch in received for mark in batch.marks], [mark for b in sent for mark in b.marks])
    for name in ("undecodable", "duplicates"):
        same(f"total of {name}", *(sum(getattr(batch, name) for batch in side) for side in (received, sent)))
    watermarks = [batch.watermark for batch in received]
    same("order of watermarks", watermarks, sorted(watermarks))
    last = received[-1]
    same("end of the stream", (last.watermark, last.position), (sent[-1].watermark, sent[-1].position))


def _bus_batch(number: int) -> Batch:
    start = START + number
    return Batch(
        arrived_at=start + 1.0,
        watermark=start + 1.0,
        status=Status.LIVE if number % 7 else Status.CATCH_UP,
        events=tuple(
            Event(start + i / 10, start, start + i / 10, "checked", f"{number}-{i}", ("v",), (1.0,), title="\u00e9 <b>")
            for i in range(number % 10)
        ),
        marks=(Mark(start, start + 1.0, Quality.PARTIAL),) if number % 5 == 0 else (),
        dropped=(Dropped("checked", start, 2),) if number % 11 == 0 else (),
        undecodable=number % 3,
        duplicates=number % 2,
        position=b"%d" % number,
    )
