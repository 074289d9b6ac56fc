"""What a reader who was away does not know yet: by time, from memory and from the archive."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from tracewave_panel.api.broadcast import Broadcast
from tracewave_panel.api.stream_chunk import Chunk, advanced, news
from tracewave_panel.api.stream_forms import Missed, written
from tracewave_panel.api.stream_pieces import ToldAnomaly, ToldWindow, pieces, tell_anomaly, tell_windows
from tracewave_panel.api.stream_position import Position
from tracewave_panel.api.telling import moment
from tracewave_panel.errors import StoreError
from tracewave_panel.model import Analysis
from tracewave_panel.ports import Console

__all__ = ["Archived", "archived", "floor_of", "unknown_of"]

MOST = 3600
"""Windows of the archive that one reader is told; REST has all of them."""
LONGEST_EPISODE = 86400.0
"""Seconds before which an anomaly that was told meanwhile is not looked for."""
_PAGE = 1000
_HALF = 0.0005  # seconds: a window's start is a float, a cursor holds microseconds

logger = logging.getLogger(__name__)


class Archived(NamedTuple):
    """One message of the past, and where its reader stands then."""

    text: str
    position: Position


def unknown_of(chunk: Chunk, known: Position) -> tuple[tuple[ToldWindow, ...], tuple[ToldAnomaly, ...]]:
    """What of a chunk a reader does not know that knows everything up to a time.

    A run that goes on from a State tells the windows after it again; those have ends that the reader knows.
    """
    windows = tuple(
        window
        for window in chunk.windows
        if window.end > known.until or (window.revision and (window.revision > 1 or window.start > known.revised))
    )
    return windows, tuple(anomaly for anomaly in chunk.anomalies if anomaly.updated >= known.until)


def floor_of(chunk: Chunk) -> int | None:
    """Microseconds from which all windows are in this chunk or after it; None: it does not say."""
    if chunk.before.of_run(chunk.position) and chunk.before.until:
        return chunk.before.until
    return min((window.start for window in chunk.windows if not window.revision), default=None)


async def archived(broadcast: Broadcast, known: Position, chunk: Chunk, floor: int) -> AsyncIterator[Archived]:
    """What happened after `known` and before `floor`, as far as the archive holds it; what it does not is said."""
    console = broadcast.console
    width = max(1, *(window.end - window.start for window in chunk.windows))
    series = max(1, len(console.feed.series))
    begin = max(known.until, floor - MOST // series * width)
    try:
        async with broadcast.reading:
            windows, anomalies = await asyncio.to_thread(_read, console, begin, known.until, floor)
    except StoreError as error:
        logger.warning("a reader of the stream cannot be told what it missed: %s", error)
        windows, anomalies = [], []
    first = windows[0].start if windows else floor
    if first > known.until + width // 2:
        missed = None
        if known.of_run(chunk.position):
            expected = (chunk.before.analyses - known.analyses) / max(1, len(console.feed.metrics))
            missed = max(0, math.ceil(expected) - len(windows))
        if missed != 0:
            yield Archived(written(Missed(missed, _moment(known.until), _moment(first), str(known))), known)
    for piece in pieces(windows, anomalies, begin, in_order=True):
        known = replace(advanced(known, piece.windows, (), piece.until), analyses=known.analyses)
        yield Archived(news(piece.windows, piece.anomalies, known), known)


def _read(console: Console, begin: int, known: int, floor: int) -> tuple[Sequence[ToldWindow], Sequence[ToldAnomaly]]:
    store, labels = console.control.archive.store, console.control.labels()
    since, until = begin / 1e6 - _HALF, floor / 1e6 - _HALF
    analyses: list[Analysis] = []
    cursor = 0
    while (page := store.analyses(cursor, _PAGE, since=since, until=until)).items:
        analyses.extend(page.items)
        cursor = page.cursor
    anomalies: list[ToldAnomaly] = []
    cursor = 0
    while (told := store.anomalies(cursor, _PAGE, since=known / 1e6 - LONGEST_EPISODE, until=until)).items:
        anomalies.extend(tell_anomaly(anomaly, labels) for anomaly in told.items)
        cursor = told.cursor
    return (
        sorted(tell_windows(console.feed, analyses), key=lambda window: window.end),
        sorted(
            (anomaly for anomaly in anomalies if known <= anomaly.updated < floor),
            key=lambda anomaly: anomaly.updated,
        ),
    )


def _moment(microseconds: int) -> datetime:
    return moment(microseconds / 1e6)
