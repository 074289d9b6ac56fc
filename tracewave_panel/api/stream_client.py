"""One client of the stream: tells it what it does not know, in its own time, and never more than it takes."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from starlette.websockets import WebSocket

from tracewave_panel.api.broadcast import Broadcast
from tracewave_panel.api.stream_chunk import Chunk, news
from tracewave_panel.api.stream_forms import Heartbeat, Hello, RunBegins, Thinned, now, written
from tracewave_panel.api.stream_pieces import ToldAnomaly, tell_anomaly
from tracewave_panel.api.stream_position import Position
from tracewave_panel.api.stream_resume import archived, floor_of, unknown_of
from tracewave_panel.api.telling import moment
from tracewave_panel.errors import StoreError
from tracewave_panel.metrics import Metrics

__all__ = ["Close", "Pace", "StreamClient"]

SLOW, TRY_AGAIN = 4008, 1013


class Pace(Struct, frozen=True):
    """How long clients are waited for.

    Attributes
    ----------
    heartbeat
        Seconds of silence after which the line is shown to work.
    unread
        Seconds after which a client that takes nothing is closed.
    thin_windows, thin_seconds
        A client that is behind by more windows than this, and by more seconds, skips to the newest.
    kept
        Windows that a client which was away is told from memory.
    look
        Seconds between two looks into the store.
    """

    heartbeat: float = 10.0
    unread: float = 10.0
    thin_windows: int = 60
    thin_seconds: float = 2.0
    kept: int = 1000
    look: float = 0.1


class Close(NamedTuple):
    """How the server ends a connection, and the word under which that is counted."""

    code: int
    reason: str
    word: str


class _SlowError(Exception):
    """The client took nothing."""


class StreamClient:
    """Follows the broadcast from a position on.

    Invariant: `position` is what the client knows once it has read everything written; every message carries it.

    Parameters
    ----------
    after
        What the client knows; ``oldest``: nothing; None: everything.
    """

    def __init__(
        self, websocket: WebSocket, broadcast: Broadcast, after: Position | str | None, *, pace: Pace, metrics: Metrics
    ) -> None:
        self._websocket, self._broadcast, self._pace, self._metrics = websocket, broadcast, pace, metrics
        self._resumed, self._by_time = False, False
        self._number, self._position = broadcast.number, broadcast.position
        self._greeting: tuple[ToldAnomaly, ...] = ()
        if after is None:
            self._greeting = broadcast.open_anomalies()
        elif not isinstance(after, Position):
            self._begin_at(broadcast.oldest)
        elif not self._resume(after):
            self._begin_at(broadcast.begun)
        self._goal = broadcast.number
        self._total = broadcast.total_at(self._number)

    def _resume(self, after: Position) -> bool:
        number = self._broadcast.number_at(after)
        if number is None and not after.leads_to(self._broadcast.position):
            return False
        self._resumed, self._by_time, self._position = True, True, after
        self._number = self._broadcast.oldest if number is None else number
        return True

    def _begin_at(self, number: int) -> None:
        self._number = number
        chunks = self._broadcast.between(number, self._broadcast.number)
        if chunks:
            self._position = chunks[0].before
        kept = {anomaly.id for chunk in chunks for anomaly in chunk.anomalies}
        self._greeting = tuple(each for each in self._broadcast.open_anomalies() if each.id not in kept)

    async def talk(self) -> Close:
        """Tell the client everything, until it cannot go on."""
        broadcast = self._broadcast
        try:
            await self._greet()
            while not broadcast.failure:
                chunk = broadcast.after(self._number)
                if chunk is None:
                    if not await broadcast.changed(self._number, self._pace.heartbeat):
                        await self._send(written(Heartbeat(now(), str(self._position))))
                elif self._is_behind(chunk):
                    await self._thin(chunk)
                else:
                    await self._tell(chunk)
                    self._number, self._total = chunk.number, chunk.total
        except _SlowError:
            reason = f"nothing was read for {self._pace.unread:g} s; come back with your cursor and read faster"
            return Close(SLOW, reason, "slow")
        except StoreError as error:
            return Close(TRY_AGAIN, _short(str(error)), "failed")
        return Close(TRY_AGAIN, _short(broadcast.failure), "failed")

    async def _greet(self) -> None:
        console, position = self._broadcast.console, self._position
        chunk = self._broadcast.after(self._number)
        begun = chunk.before if chunk else self._broadcast.position
        hello = Hello(
            version("tracewave-panel"),
            console.feed.name,
            begun.origin,
            begun.run,
            self._resumed,
            self._pace.heartbeat,
            str(position),
        )
        await self._send(written(hello))
        if self._greeting:
            await self._send(news((), self._greeting, position))

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._pace.unread):
                await self._websocket.send_text(text)
        except TimeoutError:
            raise _SlowError from None

    # -- what comes next

    async def _tell(self, chunk: Chunk) -> None:
        if chunk.kind == "run":
            await self._begin_run(chunk.position)
        elif self._by_time and not self._knows_all_before(chunk):
            await self._tell_unknown(chunk)
        else:
            self._by_time = False
            self._position = chunk.position
            await self._send(chunk.text)

    async def _begin_run(self, begun: Position) -> None:
        """Go over to another run; where time goes on, what is known by time stays known."""
        self._by_time = begun.leads_to(self._position)
        self._position = self._kept_known(begun) if self._by_time else begun
        await self._send(written(RunBegins(begun.run, begun.origin, str(self._position))))

    def _knows_all_before(self, chunk: Chunk) -> bool:
        return (chunk.before.of_run(self._position) and chunk.before == self._position) or (
            not self._position.until and not self._position.revised
        )

    async def _tell_unknown(self, chunk: Chunk) -> None:
        floor = floor_of(chunk)
        if floor is not None and floor > self._position.until:
            async for told in archived(self._broadcast, self._position, chunk, floor):
                self._position = told.position
                await self._send(told.text)
            self._position = replace(self._position, until=max(floor, self._position.until))
        windows, anomalies = unknown_of(chunk, self._position)
        self._by_time = chunk.position.until < self._position.until or floor is None
        self._position = self._kept_known(chunk.position)
        if windows or anomalies:
            await self._send(news(windows, anomalies, self._position))

    def _kept_known(self, position: Position) -> Position:
        known = self._position
        return replace(position, until=max(position.until, known.until), revised=max(position.revised, known.revised))

    # -- slow clients

    def _is_behind(self, chunk: Chunk) -> bool:
        if chunk.number > self._number + 1:
            return True
        if self._number < self._goal or chunk.kind == "run":
            return False  # it was away, and is told what it missed
        late = asyncio.get_running_loop().time() - chunk.told_at > self._pace.thin_seconds
        return late and self._broadcast.total - self._total > self._pace.thin_windows

    async def _thin(self, chunk: Chunk) -> None:
        """Skip to the newest chunk of this run; anomalies come along."""
        broadcast = self._broadcast
        if not chunk.before.of_run(self._position):
            await self._begin_run(chunk.before)
        lost = chunk.number > self._number + 1
        skipped = broadcast.between(chunk.number - 1, broadcast.number)
        ends = next((place for place, each in enumerate(skipped) if each.kind == "run"), len(skipped))
        skipped = skipped[:ends]
        last = skipped[-1] if skipped else None
        anomalies = {each.id: each for each in self._lost_anomalies(chunk.before)} if lost else {}
        for each in skipped:
            for anomaly in each.anomalies:
                anomalies.pop(anomaly.id, None)
                anomalies[anomaly.id] = anomaly
        windows = [window for each in skipped for window in each.windows]
        count = (last or chunk).total - self._total
        self._number, self._total = last.number if last else chunk.number - 1, (last or chunk).total
        self._position = self._kept_known(last.position if last else chunk.before)
        self._metrics.client_missed(max(1, len(skipped)))
        since = min((window.start for window in windows), default=None)
        until = max((window.end for window in windows), default=None)
        thinned = Thinned(
            count,
            None if since is None else moment(since / 1e6),
            None if until is None else moment(until / 1e6),
            tuple(anomaly.form for anomaly in anomalies.values()),
            str(self._position),
        )
        await self._send(written(thinned))

    def _lost_anomalies(self, before: Position) -> list[ToldAnomaly]:
        """Tellings that fell out of the ring before this client was told them."""
        control, store = self._broadcast.console.control, self._broadcast.console.store
        known = self._position.anomalies if before.of_run(self._position) else 0
        labels = control.labels()
        return [tell_anomaly(anomaly, labels) for anomaly in store.anomalies(known, 10_000).items]


def _short(reason: str) -> str:
    """As much of a reason as a close frame holds."""
    return reason.encode()[:120].decode(errors="ignore")
