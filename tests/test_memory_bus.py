"""The bus in memory: what it sheds it counts, what moves time it keeps, and it stays usable."""

from __future__ import annotations

import asyncio
import pkgutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel.buses import BUSES
from tracewave_panel.buses.memory import MemoryBus
from tracewave_panel.model import Batch, Dropped, Event, Mark, Quality
from tracewave_panel.testing import check_bus


def batch(number: int, events: int = 0, **more) -> Batch:
    made = tuple(Event(number + i / 1000, 0.0, 0.0, "odd" if i % 2 else "even", f"{number}-{i}") for i in range(events))
    return Batch(float(number), float(number), events=made, position=b"%d" % number, **more)


async def rest(bus: MemoryBus) -> list[Batch]:
    """Close the bus and take what it holds."""
    await bus.close()
    return [held async for held in bus.subscribe()]


def ids(batches) -> list[str]:
    return [event.id for held in batches for event in held.events]


@pytest.mark.parametrize("name", BUSES)
@pytest.mark.parametrize("capacity", [10, 15, 100_000])
@pytest.mark.parametrize("shed", [True, False])
async def test_every_bus_keeps_its_promises(name, capacity, shed):
    await check_bus(lambda: pkgutil.resolve_name(BUSES[name])(capacity, shed=shed))


class _LosesEvents(MemoryBus):
    async def publish(self, batch):
        await super().publish(Batch(batch.arrived_at, batch.watermark, marks=batch.marks, position=batch.position))


class _LosesMarks(MemoryBus):
    async def publish(self, batch):
        if not batch.marks:
            await super().publish(batch)


class _TurnsRound(MemoryBus):
    async def publish(self, batch):
        await super().publish(batch)
        self._batches.reverse()


@pytest.mark.parametrize("broken", [_LosesEvents, _LosesMarks, _TurnsRound])
async def test_contract_check_finds_a_broken_promise(broken):
    with pytest.raises(AssertionError):
        await check_bus(lambda: broken(shed=False))


async def test_contract_check_does_not_wait_for_ever_for_a_bus_that_never_ends():
    class NeverEnds(MemoryBus):
        async def close(self):
            pass

    with pytest.raises(TimeoutError):
        await check_bus(lambda: NeverEnds(shed=False), patience=0.2)


async def test_full_live_bus_sheds_exactly_the_oldest_events_and_says_which_second_and_series():
    bus = MemoryBus(5, shed=True)
    for number in (1, 2, 3):
        await bus.publish(batch(number, 3))
    held = await rest(bus)
    assert ids(held) == ["2-1", "2-2", "3-0", "3-1", "3-2"]
    assert [loss for part in held for loss in part.dropped] == [
        Dropped("even", 1.0, 2),
        Dropped("odd", 1.0, 1),
        Dropped("even", 2.0, 1),
    ]
    assert bus.dropped == 4


async def test_batch_larger_than_the_bus_keeps_its_newest_events():
    bus = MemoryBus(5, shed=True)
    await bus.publish(batch(1, 12))
    (held,) = await rest(bus)
    assert [event.id for event in held.events] == [f"1-{i}" for i in range(7, 12)]
    assert sum(loss.count for loss in held.dropped) == bus.dropped == 7


async def test_losses_of_a_source_are_kept_and_added_to():
    bus = MemoryBus(1, shed=True)
    await bus.publish(batch(1, 2, dropped=(Dropped("even", 1.0, 9), Dropped("even", 1.0, 1), Dropped("odd", 0.0, 5))))
    await bus.publish(batch(2, 1, dropped=(Dropped("even", 1.0, 100),)))
    losses = [loss for part in await rest(bus) for loss in part.dropped]
    assert losses == [
        Dropped("even", 1.0, 11),
        Dropped("odd", 0.0, 5),
        Dropped("odd", 1.0, 1),
        Dropped("even", 1.0, 100),
    ]


async def test_marks_watermarks_and_totals_survive_shedding():
    bus = MemoryBus(4, shed=True)
    for number in range(1, 30):
        mark = (Mark(number - 1.0, float(number), Quality.PARTIAL),)
        await bus.publish(batch(number, 2, marks=mark, undecodable=1, duplicates=2))
    held = await rest(bus)
    assert [mark.end for part in held for mark in part.marks] == [float(number) for number in range(1, 30)]
    assert (held[-1].watermark, held[-1].position) == (29.0, b"29")
    assert sum(part.undecodable for part in held) == 29
    assert sum(part.duplicates for part in held) == 58


@given(st.integers(1, 12), st.lists(st.integers(0, 9) | st.none(), max_size=40))
@settings(max_examples=100, deadline=None)
def test_live_bus_delivers_or_counts_every_event_in_order(capacity, steps):
    """A number publishes so many events, None takes a batch if there is one."""

    async def scenario() -> None:
        bus = MemoryBus(capacity, shed=True)
        published, taken = [], []
        subscription = bus.subscribe()
        for number, events in enumerate(steps):
            if events is None:
                if bus._batches:
                    taken.append(await anext(subscription))
                continue
            published.append(batch(number, events))
            await bus.publish(published[-1])
            assert bus.depth <= capacity
            assert len(bus._batches) <= capacity + 1
            assert bus.depth == sum(len(held.events) for held in bus._batches)
        await bus.close()
        taken += [held async for held in subscription]
        delivered = ids(taken)
        assert delivered == [identity for identity in ids(published) if identity in set(delivered)]
        lost = sum(loss.count for held in taken for loss in held.dropped)
        assert len(delivered) + lost == len(ids(published))
        assert lost == bus.dropped
        watermarks = [held.watermark for held in taken]
        assert watermarks == sorted(watermarks)
        if published:
            assert watermarks[-1] == published[-1].watermark

    asyncio.run(scenario())


@pytest.mark.parametrize("events", [0, 1, 50])
async def test_bus_stays_bounded_while_its_subscriber_stands_still(events):
    bus = MemoryBus(20, shed=True)
    for number in range(1000):
        await bus.publish(batch(number, events))
    assert bus.depth <= 20
    assert len(bus._batches) <= 21
    held = await rest(bus)
    assert len(ids(held)) + bus.dropped == 1000 * events
    assert held[-1].watermark == 999.0


@pytest.mark.parametrize("events", [0, 1, 50])
async def test_replay_waits_for_its_subscriber_instead_of_shedding(events):
    bus = MemoryBus(20, shed=False)

    async def replay() -> None:
        for number in range(200):
            await bus.publish(batch(number, events))
        await bus.close()

    publisher = asyncio.create_task(replay())
    await asyncio.sleep(0.01)
    assert not publisher.done()
    assert bus.depth <= max(20, events)
    received = []
    async for held in bus.subscribe():
        received.append(held)
        assert bus.depth <= max(20, events)
    await publisher
    assert received == [batch(number, events) for number in range(200)]
    assert bus.dropped == 0


async def test_subscriber_waits_for_a_batch():
    bus = MemoryBus(shed=True)
    subscriber = asyncio.create_task(anext(bus.subscribe()))
    await asyncio.sleep(0.01)
    assert not subscriber.done()
    await bus.publish(batch(1))
    assert await subscriber == batch(1)


async def test_close_ends_a_waiting_subscriber():
    bus = MemoryBus(shed=True)
    waiting = asyncio.create_task(rest_of(bus))
    await asyncio.sleep(0.01)
    await bus.close()
    assert await asyncio.wait_for(waiting, 1.0) == []


async def rest_of(bus: MemoryBus) -> list[Batch]:
    return [held async for held in bus.subscribe()]


async def test_close_lets_a_waiting_publisher_go_and_loses_nothing():
    bus = MemoryBus(2, shed=False)
    await bus.publish(batch(1, 2))
    waiting = asyncio.create_task(bus.publish(batch(2, 2)))
    await asyncio.sleep(0.01)
    held = await rest(bus)
    await asyncio.wait_for(waiting, 1.0)
    assert ids(held) == ["1-0", "1-1", "2-0", "2-1"]


async def test_cancelled_publisher_leaves_the_bus_usable_and_its_batch_out():
    bus = MemoryBus(2, shed=False)
    await bus.publish(batch(1, 2))
    waiting = asyncio.create_task(bus.publish(batch(2, 2)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    subscription = bus.subscribe()
    assert await anext(subscription) == batch(1, 2)
    await asyncio.wait_for(bus.publish(batch(3, 2)), 1.0)
    assert await anext(subscription) == batch(3, 2)
    assert bus.depth == 0


async def test_publisher_cancelled_while_the_bus_closes_does_not_hold_up_the_end():
    bus = MemoryBus(2, shed=False)
    await bus.publish(batch(1, 2))
    waiting = asyncio.create_task(bus.publish(batch(2, 2)))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(bus.close())
    waiting.cancel()
    async with asyncio.timeout(1.0):
        assert ids(await rest_of(bus)) in (["1-0", "1-1"], ["1-0", "1-1", "2-0", "2-1"])
    await closing


async def test_cancelled_subscriber_leaves_the_bus_usable_for_the_next():
    bus = MemoryBus(shed=True)
    waiting = asyncio.create_task(anext(bus.subscribe()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(bus.publish(batch(1, 1)), 1.0)
    assert await asyncio.wait_for(anext(bus.subscribe()), 1.0) == batch(1, 1)


async def test_acknowledging_changes_nothing():
    bus = MemoryBus(shed=True)
    await bus.publish(batch(1, 1))
    await bus.acknowledge(batch(1, 1))
    assert bus.depth == 1
