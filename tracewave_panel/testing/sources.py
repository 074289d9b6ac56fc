"""Whether a source keeps the promises of its port, whatever its feed brings."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.model import Batch, Event, Mark, Origin, Quality, Status
from tracewave_panel.ports import Source, SourceStatus
from tracewave_panel.testing.promise import promise, same

__all__ = ["check_source"]

T = TypeVar("T")

SOON = 1.0  # seconds
WORDS = {"connecting", "live", "catching_up", "reconnecting", "gap", "replay", "ended"}
COUNTERS = ("events", "undecodable", "duplicates", "reconnects", "canaries", "skipped")
MARKED = {Quality.PARTIAL, Quality.GAP, Quality.BACKFILLED}


async def check_source(
    make_source: Callable[[], Source],
    *,
    feed: Feed = WIKIMEDIA,
    resumes: bool = True,
    batches: int = 20,
    patience: float = 10.0,
) -> None:
    """Check that a source keeps the promises of :class:`~tracewave_panel.ports.Source`.

    Of the feed it is asked only that it goes on: what happens in it does not matter.

    Parameters
    ----------
    make_source
        Gives a new source each time it is called; in a running event loop. Its feed has to bring at least twice
        `batches` batches.
    feed
        Whose dimensions and measures the events must have.
    resumes
        Whether batches carry positions to go on from, as those of a live feed do; a replay's carry none.
    batches
        How many to look at; the more there are, the more is found.
    patience
        Seconds within which so many must come.

    Raises
    ------
    AssertionError
        When a promise is broken, saying which.
    """
    promises = _SourcePromises(make_source, feed, resumes, batches, patience)
    await promises.tells_a_story_that_holds_and_ends_it_when_asked()
    await promises.ends_while_a_batch_is_awaited()
    for taken in (0, 1, batches):
        await promises.closes_after(taken)
    await promises.closes_after_a_cancelled_wait()
    if resumes:
        await promises.goes_on_from_a_position()


class _SourcePromises:
    def __init__(
        self, make_source: Callable[[], Source], feed: Feed, resumes: bool, batches: int, patience: float
    ) -> None:
        self._make_source = make_source
        self._feed = feed
        self._resumes = resumes
        self._batches = batches
        self._patience = patience

    async def tells_a_story_that_holds_and_ends_it_when_asked(self) -> None:
        source = self._make_source()
        promise(isinstance(source, Source), f"{source!r} has not all methods of a Source")
        promise(isinstance(source.origin, Origin), f"its origin is {source.origin!r}")
        before = await _status(source, "before the iteration")
        story = _Story(self._feed)
        async with aclosing(source.batches()) as iterator:
            await self._follow(iterator, story)
            during = await _status(source, "during the iteration")
            await _soon(source.stop(), "stop()")
            last = await _soon(_rest(iterator), "the end of the iteration after stop()")
            for batch in last:
                story.take(batch)
        promise(len(last) <= 1, f"after stop() there came {len(last)} batches, not one last")
        if self._resumes:
            promise(story.position != b"", "the last batch, after stop(), carries no position")
        after = await _status(source, "after the iteration")
        for earlier, later in ((before, during), (during, after)):
            for name in COUNTERS:
                counts = earlier.counters[name], later.counters[name]
                promise(counts[0] <= counts[1], f"the counter {name} went from {counts[0]} back to {counts[1]}")
        told = after.counters["events"]
        promise(told >= len(story.ids), f"{len(story.ids)} events were handed over and status() counts {told}")

    async def ends_while_a_batch_is_awaited(self) -> None:
        source = self._make_source()
        async with aclosing(source.batches()) as iterator:
            await self._follow(iterator, _Story(self._feed), batches=1)
            waiting = asyncio.ensure_future(_rest(iterator))
            await asyncio.sleep(0)
            await _soon(source.stop(), "stop() while a batch is awaited")
            await _soon(waiting, "the end of the iteration after stop() while a batch is awaited")

    async def closes_after(self, taken: int) -> None:
        when = f"after {taken} batches" if taken else "before the first batch was asked for"
        others = asyncio.all_tasks()
        source = self._make_source()
        iterator = source.batches()
        await self._follow(iterator, _Story(self._feed), batches=taken)
        await _soon(iterator.aclose(), f"aclose() {when}")
        await _status(source, f"after aclose() {when}")
        await _nothing_left(others, f"aclose() {when}")

    async def closes_after_a_cancelled_wait(self) -> None:
        others = asyncio.all_tasks()
        source = self._make_source()
        iterator = source.batches()
        waiting = asyncio.ensure_future(anext(iterator))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting}, timeout=SOON)
        promise(waiting.done(), f"the wait for a batch, once cancelled, takes over {SOON:g} s to end")
        await _soon(iterator.aclose(), "aclose() after a cancelled wait for the first batch")
        await _status(source, "after aclose() after a cancelled wait for the first batch")
        await _nothing_left(others, "aclose() after a cancelled wait for the first batch")

    async def goes_on_from_a_position(self) -> None:
        story = _Story(self._feed)
        first = self._make_source()
        async with aclosing(first.batches()) as iterator:
            await self._follow(iterator, story)
            await first.stop()
            for batch in await _soon(_rest(iterator), "the end of the iteration after stop()"):
                story.take(batch)
        async with aclosing(self._make_source().batches(story.position)) as iterator:
            await self._follow(iterator, story)

    async def _follow(self, iterator: AsyncGenerator[Batch, None], story: _Story, batches: int | None = None) -> None:
        """Take so many batches into a story."""
        wanted = self._batches if batches is None else batches
        deadline = time.monotonic() + self._patience
        for number in range(wanted):
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    story.take(await anext(iterator))
            except (TimeoutError, StopAsyncIteration):
                lacking = f"only {number} of {wanted} batches came, and {self._patience:g} s were given"
                raise AssertionError(f"{lacking}; let its feed bring more") from None


class _Story:
    """What batches told so far; each one taken in must fit to those before."""

    def __init__(self, feed: Feed) -> None:
        self.watermark = -math.inf
        self.position = b""
        self.ids: set[str] = set()
        self._feed = feed
        self._handed_over = self._arrived = -math.inf

    def take(self, batch: Batch) -> None:
        promise(isinstance(batch, Batch), f"{batch!r} is no Batch")
        promise(isinstance(batch.status, Status), f"the status of a batch is {batch.status!r}")
        promise(isinstance(batch.position, bytes), f"the position of a batch is {batch.position!r}, not bytes")
        self._handed_over = _not_earlier("arrived_at", self._handed_over, batch.arrived_at)
        for mark in batch.marks:
            self._check_mark(mark)
        for event in batch.events:
            self._check_event(event)
        latest = max((event.arrived_at for event in batch.events), default=-math.inf)
        promise(latest <= batch.arrived_at, f"an event arrived at {latest}, after its batch at {batch.arrived_at}")
        self.watermark = _not_earlier("watermark", self.watermark, batch.watermark)
        self.position = batch.position

    def _check_mark(self, mark: Mark) -> None:
        promise(mark.quality in MARKED, f"{mark} is neither partial nor gap nor backfilled")
        promise(-math.inf < mark.start < mark.end < math.inf, f"{mark} is no stretch of time")
        promise(mark.end > self.watermark, f"{mark} comes after the watermark has passed its end: {self.watermark}")

    def _check_event(self, event: Event) -> None:
        promise(isinstance(event, Event), f"{event!r} is no Event")
        for name in ("dimensions", "measures"):
            found, wanted = len(getattr(event, name)), len(getattr(self._feed, name))
            same(f"number of {name} of {event.id!r}", found, wanted)
        promise(math.isfinite(event.time), f"the time of {event.id!r} is {event.time}")
        self._arrived = _not_earlier(f"arrival of {event.id!r}", self._arrived, event.arrived_at)
        promise(event.id not in self.ids, f"{event.id!r} is handed over twice")
        self.ids.add(event.id)


def _not_earlier(what: str, before: float, now: float) -> float:
    promise(math.isfinite(now), f"{what} is {now}")
    promise(now >= before, f"{what} goes back from {before} to {now}")
    return now


async def _status(source: Source, when: str) -> SourceStatus:
    """Status as another thread gets it."""
    status = await _soon(asyncio.to_thread(source.status), f"status() {when}")
    promise(isinstance(status, SourceStatus), f"status() {when} is {status!r}")
    promise(status.state.word in WORDS, f"the state {when} is {status.state.word!r}, none of {sorted(WORDS)}")
    for name in COUNTERS:
        promise(status.counters.get(name, -1) >= 0, f"status() {when} has no counter {name}: {status.counters}")
    promise(status.lag is None or math.isfinite(status.lag), f"the lag {when} is {status.lag}")
    return status


async def _soon(work: Coroutine[Any, Any, T] | asyncio.Future[T], what: str) -> T:
    try:
        return await asyncio.wait_for(work, SOON)
    except TimeoutError:
        raise AssertionError(f"{what} takes over {SOON:g} s") from None


async def _rest(iterator: AsyncGenerator[Batch, None]) -> list[Batch]:
    batches = []
    async for batch in iterator:
        batches.append(batch)
        await asyncio.sleep(0)  # a source that never waits must not keep time limits from passing
    return batches


async def _nothing_left(others: set[asyncio.Task[Any]], when: str) -> None:
    """Wait for every task that is not among `others`."""
    left = asyncio.all_tasks() - others
    if left:
        _, left = await asyncio.wait(left, timeout=SOON)
    names = sorted(task.get_name() for task in left)
    promise(not left, f"{when} leaves tasks that still run after {SOON:g} s: {', '.join(names)}")
