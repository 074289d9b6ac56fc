"""A live stream of one's own as a source: whatever its link reads, on the feed clock."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from random import Random

from tracewave_panel.errors import FeedError, RefusedError
from tracewave_panel.model import Batch, Origin, Status
from tracewave_panel.ports import FeedState, SourceStatus
from tracewave_panel.sources.backoff import Backoff
from tracewave_panel.sources.feed_file import ReadSettings
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_intake import OwnIntake
from tracewave_panel.sources.own_link import Ending, Link
from tracewave_panel.sources.own_rows import Row

__all__ = ["OwnSource"]

_logger = logging.getLogger(__name__)

_WORDS = {Status.LIVE: "live", Status.CATCH_UP: "catching_up", Status.GAP: "gap"}


class OwnSource:
    """Batches of rows that a link reads; fulfils :class:`~tracewave_panel.ports.Source`.

    Parameters
    ----------
    link
        Where rows come from.
    clock
        Arrival clock: seconds since the epoch.
    random
        Spreads reconnects.
    room
        Events that may wait for the next batch; then nothing more is read until it is taken.
    after
        Seconds for which time goes on after the end of all rows, so that the last windows close.
    """

    def __init__(
        self,
        link: Link,
        mapping: Mapping,
        read: ReadSettings,
        *,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
        room: int = 20_000,
        after: float = 6.5,
    ) -> None:
        self._link, self._mapping, self._read = link, mapping, read
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._room = room
        self._after = 0.0 if self.waits else after
        self._intake = self._new_intake(b"")
        self._connections = 0
        self._connected = False
        self._ended = False
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._reason = "not started yet"
        self._lag: float | None = None
        self._state = FeedState("connecting", self._reason, clock())

    def _new_intake(self, position: bytes) -> OwnIntake:
        where, counted = self._link.where, self._link.counted
        began = self._clock()
        return OwnIntake(self._mapping, self._read, where, counted=counted, began=began, position=position)

    @property
    def origin(self) -> Origin:
        """Live."""
        return Origin.LIVE

    @property
    def waits(self) -> bool:
        """Whether its rows are on their own clock and can wait for who reads them."""
        return self._read.clock == "event"

    async def batches(self, position: bytes = b"") -> AsyncGenerator[Batch, None]:
        """Iterate over batches; see :class:`~tracewave_panel.ports.Source`.

        Raises
        ------
        ConfigError
            When the rows cannot be what the mapping describes, such as CSV without its columns.
        StateError
            When `position` is damaged or of another version.
        """
        intake = self._intake = self._new_intake(position)
        if position:
            intake.clock.disconnected(self._clock())
        self._ended = False
        self._note(f"connecting to {self._link.where}")
        reader = asyncio.create_task(self._read_on(), name="own stream reader")
        reader.add_done_callback(lambda _: self._wake.set())
        checkpoint_at = -math.inf  # the first batch has one, so that no window is ever stored before a State
        over_at = math.inf
        try:
            while True:
                now = self._clock()
                if reader.done() and over_at == math.inf:
                    reader.result()
                    over_at = now + self._after
                    intake.clock.alive(now)  # the end is told by what was read: nothing is on its way
                elif over_at < math.inf and intake.clock.status is Status.LIVE:
                    intake.clock.alive(now)
                over = now >= over_at
                finished = self._stopping.is_set() or over
                if finished:
                    await _cancel(reader)
                    intake.finish()
                    self._ended = True
                batches = intake.batches(now, with_position=finished or now >= checkpoint_at)
                self._drained.set()
                self._refresh()
                for batch in batches:
                    if batch.position:
                        checkpoint_at = now + self._read.checkpoint_interval
                    yield batch
                if finished:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._read.batch_interval):
                        await (self._wake if over_at == math.inf else self._stopping).wait()
        finally:
            await _cancel(reader)
            self._ended = True
            self._refresh()

    async def stop(self) -> None:
        """Ask the iterator to end after one last batch with a position; there is none if nothing ever came."""
        self._stopping.set()
        self._wake.set()

    def status(self) -> SourceStatus:
        """Say how things stand; safe to call from any thread."""
        return SourceStatus(self._state, dict(self._intake.counters), self._lag)

    async def _read_on(self) -> None:
        """Follow the link, again after each ending that is not for good."""
        intake, read, link = self._intake, self._read, self._link
        backoff = Backoff(random=self._random, base=read.retry_base, cap=read.retry_cap)
        said = ""
        while True:
            progress = intake.rows.read
            try:
                ending = await link.follow(self)
            except RefusedError as error:
                intake.counters["refusals"] += 1
                ending = Ending(str(error), wait=error.retry_after)
            except FeedError as error:
                ending = Ending(str(error))
            if ending.final:
                self._note(f"{ending.words}; {intake.counters['events']:,} events were read")
                return
            if self._connected:
                self._connected = False
                intake.clock.disconnected(self._clock())
            if intake.rows.read > progress:
                backoff.reset()
            wait = backoff.next_wait(ending.wait)
            self._note(f"{ending.words}; trying again in {wait:.1f} s")
            level = logging.INFO if ending.words == said else logging.WARNING
            _logger.log(level, "%s", self._reason)
            said = ending.words
            await asyncio.sleep(wait)

    # -- Receiver

    @property
    def resume(self) -> str:
        """From where the link is to go on."""
        return self._intake.resume

    def connected(self, *, resumes: bool) -> None:
        """Note that the link reads."""
        self._connected = True
        self._intake.counters["reconnects"] += self._connections > 0
        self._connections += 1
        self._intake.clock.connected(self._clock(), resumes=resumes)
        self._note("")

    def take(self, rows: Sequence[Row], *, resume: str = "") -> None:
        """Take in rows that came at this moment."""
        self._intake.take(rows, self._clock())
        self._intake.resume = resume

    def alive(self) -> None:
        """Take a proof that the silence is one."""
        self._intake.clock.alive(self._clock())

    async def room(self) -> None:
        """Wait until the events that wait are taken, if they are many."""
        while self._intake.waiting >= self._room:
            self._drained.clear()
            await self._drained.wait()

    # -- words

    def _note(self, note: str) -> None:
        self._reason = note
        self._refresh()

    def _refresh(self) -> None:
        """Bring the state up to date; its `since` moves only when word or note change."""
        clock, timed = self._intake.clock, self._intake.timed
        own_clock = self._read.clock == "event"
        self._lag = clock.lag if timed and not own_clock else None
        note = self._reason
        if self._ended:
            word = "ended"
        elif self._connected and not timed:
            word, note = "connecting", f"connected to {self._link.where}; nothing has come yet"
        elif self._connected:
            word = "live" if own_clock else _WORDS[clock.status]
            note = "connected, but no rows come" if word == "gap" else ""
        elif self._connections:
            word = "gap" if clock.status is Status.GAP else "reconnecting"
        else:
            word = "connecting"
        if (word, note) != (self._state.word, self._state.note):
            self._state = FeedState(word, note, self._clock())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at here, raised where the iterator sees it
