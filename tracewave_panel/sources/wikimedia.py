"""The live Wikimedia feed: every edit on every wiki, from EventStreams.

The server ends every connection after a quarter of an hour, so reconnecting is ordinary: each time
it is asked to go on at the next offset of each topic. Nothing here ever waits for the network
before it yields a batch, because time must move on whatever the feed does.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from random import Random
from typing import cast

import httpx
import msgspec

from tracewave_panel.errors import FeedError
from tracewave_panel.model import Batch, Origin, Status
from tracewave_panel.ports import FeedState, SourceStatus
from tracewave_panel.sources.backoff import Backoff
from tracewave_panel.sources.event_stream import EventStream, refusal, start_time, user_agent
from tracewave_panel.sources.wikimedia_intake import WikimediaIntake

__all__ = ["WikimediaSettings", "WikimediaSource", "probe"]

_logger = logging.getLogger(__name__)

_PURPOSE = "watches the rate of edits for anomalies"
_NOT_UNDERSTOOD = frozenset({400, 404})
_READABLE = 1.5  # seconds
_WORDS = {Status.LIVE: "live", Status.CATCH_UP: "catching_up", Status.GAP: "gap"}


class WikimediaSettings(msgspec.Struct, frozen=True):
    """What may be set of the Wikimedia source. Times are in seconds.

    Attributes
    ----------
    contact
        E-mail or web address of whoever runs this; Wikimedia asks for it. The project's when empty.
    kinds
        Types of change that are counted; the others only prove that the feed is alive.
    connect_timeout, idle_timeout
        Longest wait for the server, and for the next byte before the connection is given up.
    since
        Where to begin without a position: an ISO time, or how long ago (``10m``); empty: now.
    patience
        Longest silence before the missing time is told as a gap.
    checkpoint_interval, batch_interval
        Between two positions, and between two batches.
    retry_base, retry_cap
        Ceilings of the first and of any wait before a reconnect.
    """

    url: str = "https://stream.wikimedia.org/v2/stream/recentchange"
    contact: str = ""
    kinds: tuple[str, ...] = ("edit", "new", "log")
    connect_timeout: float = 10.0
    idle_timeout: float = 15.0
    since: str = ""
    patience: float = 30.0
    max_event_bytes: int = 1 << 20
    checkpoint_interval: float = 60.0
    batch_interval: float = 0.1
    retry_base: float = 0.5
    retry_cap: float = 60.0


class WikimediaSource:
    """Batches of Wikimedia changes; fulfils :class:`~tracewave_panel.ports.Source`.

    The first batch comes once anything was received, for before that there is no time to tell;
    :meth:`status` says meanwhile what is tried. From then on batches come at least every
    ``batch_interval``, connected or not.

    Parameters
    ----------
    clock
        Arrival clock: seconds since the epoch.
    random
        Spreads the reconnects of many readers.
    room
        Events that may wait for the next batch; then nothing more is read until it is taken.

    Raises
    ------
    ConfigError
        When the url, the contact or `since` cannot be used.
    """

    def __init__(
        self,
        settings: WikimediaSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
        room: int = 20_000,
    ) -> None:
        self._settings = settings or WikimediaSettings()
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._room = room
        self._since = start_time(self._settings.since, clock())
        self._stream = _event_stream(self._settings)
        self._intake = self._new_intake(b"")
        self._connections = 0
        self._connected = False
        self._behind_at = -math.inf
        self._ended = False
        self._stopping = False
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._reason = "not started yet"
        self._lag: float | None = None
        self._state = FeedState("connecting", self._reason, clock())

    def _new_intake(self, position: bytes) -> WikimediaIntake:
        settings = self._settings
        return WikimediaIntake(
            kinds=settings.kinds,
            max_event_bytes=settings.max_event_bytes,
            patience=settings.patience,
            position=position,
        )

    @property
    def origin(self) -> Origin:
        """Live."""
        return Origin.LIVE

    async def batches(self, position: bytes = b"") -> AsyncGenerator[Batch, None]:
        """Iterate over batches; see :class:`~tracewave_panel.ports.Source`.

        Raises
        ------
        StateError
            When `position` is damaged or of another version.
        RefusedError
            When the server knows no such stream.
        """
        intake = self._intake = self._new_intake(position)
        if position:
            intake.clock.disconnected(self._clock())
        self._ended = False
        self._note(f"connecting to {self._stream.host}")
        reader = asyncio.create_task(self._read(), name="wikimedia reader")
        reader.add_done_callback(lambda _: self._wake.set())
        checkpoint_at = -math.inf  # the first batch has one, so that no window is ever stored before a State
        try:
            while True:
                finished = self._stopping or reader.done()
                if finished:
                    await _cancel(reader)
                    self._ended = True
                now = self._clock()
                batch = intake.batch(now, with_position=finished or now >= checkpoint_at)
                self._drained.set()
                self._refresh()
                if batch is not None:
                    if batch.position:
                        checkpoint_at = now + self._settings.checkpoint_interval
                    yield batch
                if finished:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.batch_interval):
                        await self._wake.wait()
        finally:
            await _cancel(reader)
            self._ended = True
            self._refresh()
        if not reader.cancelled():
            reader.result()

    async def stop(self) -> None:
        """Ask the iterator to end after one last batch with a position; there is none if nothing ever came."""
        self._stopping = True
        self._wake.set()

    def status(self) -> SourceStatus:
        """Say how things stand; safe to call from any thread."""
        return SourceStatus(self._state, dict(self._intake.counters), self._lag)

    async def _read(self) -> None:
        intake, settings = self._intake, self._settings
        backoff = Backoff(random=self._random, base=settings.retry_base, cap=settings.retry_cap)
        while True:
            progress = intake.progress
            reason, asked = await self._follow()
            if intake.progress > progress:
                backoff.reset()
            wait = backoff.next_wait(asked)
            self._note(f"{reason}; trying again in {wait:.1f} s")
            _logger.info("%s", self._reason)
            await asyncio.sleep(wait)

    async def _follow(self) -> tuple[str, float | None]:
        """Read one connection to its end; return why it ended, and the wait that the server asks for."""
        intake = self._intake
        last_event_id = intake.place.last_event_id()
        try:
            async with self._stream.connect(last_event_id=last_event_id, since=self._since) as response:
                refused = refusal(response, self._clock())
                if refused is None:
                    await self._receive(response, resumes=bool(last_event_id))
                    return f"{self._stream.host} closed the stream", intake.retry
        except FeedError as error:
            return str(error), intake.retry
        finally:
            if self._connected:
                self._connected = False
                intake.clock.disconnected(self._clock())
        intake.counters["refusals"] += 1
        if response.status_code in _NOT_UNDERSTOOD:
            if not last_event_id:
                raise refused
            intake.place.forget_place()
            self._since = ""
            return f"{refused}; going on from now, what was missed is lost", None
        return str(refused), refused.retry_after

    async def _receive(self, response: httpx.Response, *, resumes: bool) -> None:
        intake = self._intake
        self._connected = True
        intake.counters["reconnects"] += self._connections > 0
        self._connections += 1
        intake.connected(self._clock(), resumes=resumes)
        self._note("")
        # httpx returns a generator and calls it an iterator
        async with aclosing(cast(AsyncGenerator[bytes], response.aiter_bytes())) as chunks:
            async for chunk in chunks:
                intake.take(chunk, self._clock())
                while intake.waiting >= self._room:
                    self._drained.clear()
                    await self._drained.wait()

    def _note(self, note: str) -> None:
        self._reason = note
        self._refresh()

    def _refresh(self) -> None:
        """Bring the state up to date; its `since` moves only when word or note change."""
        clock = self._intake.clock
        timed = math.isfinite(clock.watermark)
        self._lag = clock.lag if timed else None
        note = self._reason
        if self._ended:
            word = "ended"
        elif self._connected and not timed:
            word, note = "connecting", f"connected to {self._stream.host}; nothing has come yet"
        elif self._connected:
            word = _WORDS[clock.status]
            note = "connected, but no events come" if clock.status is Status.GAP else ""
            if word == "catching_up" or self._state.word in {"reconnecting", "gap"}:
                self._behind_at = self._clock()
            if word == "live" and self._clock() - self._behind_at < _READABLE:
                word = "catching_up"  # held long enough to be read
        elif self._connections:
            word = "gap" if clock.status is Status.GAP else "reconnecting"
        else:
            word = "connecting"
        if (word, note) != (self._state.word, self._state.note):
            self._state = FeedState(word, note, self._clock())


async def probe(settings: WikimediaSettings, timeout: float = 10.0) -> str | None:  # noqa: ASYNC109 - one limit for all
    """Try the feed: None when it can be reached and streams events, else why not, in words.

    Parameters
    ----------
    timeout
        Most seconds for the answer and the first byte.
    """
    stream = _event_stream(settings)
    try:
        async with asyncio.timeout(timeout), stream.connect() as response:
            refused = refusal(response, time.time())
            if refused is not None:
                return str(refused)
            async for _ in response.aiter_bytes():
                return None
    except TimeoutError:
        return f"{stream.host} did not answer within {timeout:g} s"
    except FeedError as error:
        return str(error)
    return f"{stream.host} closed the stream at once"


def _event_stream(settings: WikimediaSettings) -> EventStream:
    return EventStream(
        settings.url,
        agent=user_agent(settings.contact, _PURPOSE),
        connect_timeout=settings.connect_timeout,
        idle_timeout=settings.idle_timeout,
    )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at here, raised where the iterator ends
