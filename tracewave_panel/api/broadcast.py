"""Follows the store once for all clients of the stream.

Invariants: chunks are numbered without a hole, and the ring holds the newest of them; a chunk begins where the one
before ended; its text is encoded once, however many clients get it. Everything here belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections import deque
from itertools import islice

from msgspec.structs import replace

from tracewave_panel.api.stream_chunk import Chunk, ChunkKind, advanced, news
from tracewave_panel.api.stream_forms import Missed, RunBegins, written
from tracewave_panel.api.stream_pieces import Piece, ToldAnomaly, ToldWindow, pieces, tell_anomaly, tell_windows
from tracewave_panel.api.stream_position import Position
from tracewave_panel.errors import StoreError
from tracewave_panel.model import Analysis
from tracewave_panel.ports import Console

__all__ = ["Broadcast"]

KEPT = 1000
"""Windows that a client which was away is told again from memory."""
AT_ONCE = 1000
_FAR = 2**62

logger = logging.getLogger(__name__)


class _StoreBeganAnewError(Exception):
    """The store was emptied while it was read."""


class Broadcast:
    """Looks into the store while somebody listens, and keeps what it saw last for those who come back.

    Parameters
    ----------
    kept
        Windows that are kept.
    every
        Seconds between two looks.
    """

    def __init__(self, console: Console, *, kept: int = KEPT, every: float = 0.1) -> None:
        self.console = console
        self.failure = ""
        self.total = 0
        self.reading = asyncio.Semaphore(2)
        self._kept = kept
        self._every = every
        self._process = secrets.token_hex(4)
        self._chunks: deque[Chunk] = deque()
        self._number = 0
        self._position: Position | None = None
        self._open: dict[str, ToldAnomaly] = {}
        self._listeners = 0
        self._following: asyncio.Task[None] | None = None
        self._bell = asyncio.Event()

    # -- listeners

    def enter(self) -> None:
        """Take in a listener; the first one begins the following.

        Raises
        ------
        StoreError
            When the store cannot be read.
        """
        if self._following is None:
            self.failure = ""
            self._look(fresh=True)
            self._following = asyncio.get_running_loop().create_task(self._follow())
        self._listeners += 1

    def leave(self) -> None:
        """Let a listener go; with the last one the following ends, and what is kept stays."""
        self._listeners -= 1
        if not self._listeners and self._following is not None:
            self._following.cancel()
            self._following = None

    async def changed(self, number: int, within: float) -> bool:
        """Wait for a chunk after that number, or for a failure; False when none came `within` seconds."""
        if self._number > number or self.failure:
            return True
        bell = self._bell
        try:
            async with asyncio.timeout(within):
                await bell.wait()
        except TimeoutError:
            return False
        return True

    async def _follow(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._every)
                self._look()
        except StoreError as error:
            self._fail(str(error))
        except Exception:
            logger.exception("the stream's reader failed")
            self._fail("the stream's reader failed")

    def _fail(self, words: str) -> None:
        self.failure, self._following = words, None
        self._ring()

    def _ring(self) -> None:
        self._bell.set()
        self._bell = asyncio.Event()

    # -- what is kept

    @property
    def number(self) -> int:
        """Number of the newest chunk; 0 before the first."""
        return self._number

    @property
    def position(self) -> Position:
        """Where a reader stands that knows everything."""
        assert self._position is not None, "nobody has entered yet"
        return self._position

    @property
    def oldest(self) -> int:
        """Number after which everything kept follows."""
        return self._chunks[0].number - 1 if self._chunks else self._number

    @property
    def begun(self) -> int:
        """Number after which everything kept of the present run follows."""
        numbers = (chunk.number for chunk in self._chunks if chunk.before.of_run(self.position))
        return next(numbers, self._number + 1) - 1

    def open_anomalies(self) -> tuple[ToldAnomaly, ...]:
        """Last tellings of the episodes of this run that are open."""
        return tuple(self._open.values())

    def after(self, number: int) -> Chunk | None:
        """The first chunk that is kept after that number."""
        place = max(0, number - self.oldest)
        return self._chunks[place] if place < len(self._chunks) else None

    def total_at(self, number: int) -> int:
        """How many windows had been told with the chunk of that number."""
        chunk = self.after(number)
        return chunk.total - len(chunk.windows) if chunk else self.total

    def between(self, number: int, last: int) -> list[Chunk]:
        """Chunks that are kept after `number`, up to and with `last`."""
        begin = max(0, number - self.oldest)
        return list(islice(self._chunks, begin, max(begin, last - self.oldest)))  # a deque has no slices

    def number_at(self, position: Position) -> int | None:
        """Number after which a reader of that position goes on; None: the ring does not reach back to it."""
        known = (position.analyses, position.anomalies)
        chunks = [chunk for chunk in self._chunks if chunk.position.of_run(position)]
        if not chunks:
            here = self.position.of_run(position) and self.position.analyses <= position.analyses
            return self._number if here else None
        first = chunks[0]
        if first.before.of_run(position) and first.before.analyses > position.analyses:
            return None
        number = first.number - 1
        for chunk in chunks:
            if chunk.position.analyses > known[0] or chunk.position.anomalies > known[1]:
                break
            number = chunk.number
        return number

    # -- reading

    def _look(self, *, fresh: bool = False) -> None:
        """Take in what the store got since the last look; `fresh`: nobody has waited for it."""
        before = self._number
        control = self.console.control
        run = control.run
        if self._position is None or self._position.run != run:
            self._begin(run)
        try:
            position, analyses, anomalies, missed = self._read(self.position, fresh=fresh)
        except _StoreBeganAnewError:
            return
        if control.run != run:
            return  # what was read may be of either run: the next look reads it again
        if missed and fresh:
            self._chunks.clear()
            position = replace(position, until=0)  # what lies before these windows is not known here
        elif missed:
            self._miss(position, missed)
        self._position = position
        for piece in pieces(tell_windows(self.console.feed, analyses), anomalies, position.until):
            self._tell(piece)
        if self._number != before:
            self._ring()

    def _begin(self, run: int) -> None:
        known, self._open = self._position, {}
        self._position = Position(self.console.control.origin, self._process, run)
        if known is not None:
            told = RunBegins(run, self._position.origin, str(self._position))
            self._add("run", known, self._position, written(told))

    def _read(self, position: Position, *, fresh: bool) -> tuple[Position, list[Analysis], list[ToldAnomaly], int]:
        """Everything after a position, and how many analyses in between are gone.

        Analyses and tellings are read in turns until neither has more: of what was appended together neither half is
        ahead of the other.
        """
        store, labels = self.console.store, self.console.control.labels()
        analyses: list[Analysis] = []
        anomalies: list[ToldAnomaly] = []
        missed, first, told = 0, position.analyses, position.anomalies
        if fresh:
            most = self._kept * max(1, len(self.console.feed.metrics))
            begin = max(first, store.analyses(_FAR, 1).cursor - most)
            missed, first = begin - first, begin
        number = first
        while True:
            page = store.analyses(number, AT_ONCE)
            if page.cursor < number:
                raise _StoreBeganAnewError
            if page.missed and analyses:
                return replace(position, analyses=first), analyses, anomalies, missed  # the next look tells of that
            missed, first = missed + page.missed, first + page.missed
            analyses.extend(page.items)
            number = page.cursor
            telling = store.anomalies(told, 1)
            if telling.cursor < told:
                raise _StoreBeganAnewError
            told = telling.cursor
            anomalies.extend(tell_anomaly(anomaly, labels, told) for anomaly in telling.items)
            if not page.items and not telling.items:
                return replace(position, analyses=first), analyses, anomalies, missed

    def _miss(self, position: Position, missed: int) -> None:
        windows = math.ceil(missed / max(1, len(self.console.feed.metrics)))
        logger.warning("clients of the stream missed %d windows: the store let them go before they were read", windows)
        self.total += windows
        self._add("missed", self.position, position, written(Missed(windows, None, None, str(position))))

    def _tell(self, piece: Piece) -> None:
        before = self.position
        self._position = position = advanced(before, piece.windows, piece.anomalies, piece.until)
        self.total += len(piece.windows)
        for anomaly in piece.anomalies:
            self._open.pop(anomaly.id, None)
            if anomaly.is_open:
                self._open[anomaly.id] = anomaly
        text = news(piece.windows, piece.anomalies, position)
        self._add("news", before, position, text, piece.windows, piece.anomalies)

    def _add(
        self,
        kind: ChunkKind,
        before: Position,
        position: Position,
        text: str,
        windows: tuple[ToldWindow, ...] = (),
        anomalies: tuple[ToldAnomaly, ...] = (),
    ) -> None:
        self._number += 1
        now = asyncio.get_running_loop().time()
        self._chunks.append(Chunk(self._number, kind, before, position, now, self.total, text, windows, anomalies))
        while len(self._chunks) > self._kept or self.total - self._chunks[0].total > self._kept:
            self._chunks.popleft()
