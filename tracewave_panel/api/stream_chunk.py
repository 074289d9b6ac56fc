"""One message for all clients, and what it takes to tell a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from tracewave_panel.api.stream_forms import News, written
from tracewave_panel.api.stream_pieces import ToldAnomaly, ToldWindow
from tracewave_panel.api.stream_position import Position

__all__ = ["Chunk", "ChunkKind", "advanced", "news"]

ChunkKind = Literal["news", "run", "missed"]


class Chunk(Struct, frozen=True):
    """What happened between two looks.

    Attributes
    ----------
    number
        One more than that of the chunk before.
    kind
        ``news``; ``run``: another run began; ``missed``: the store let go of something before it was read.
    before, position
        Where a reader stands before it and after.
    told_at
        The loop's time of the look.
    total
        Windows told so far, those in here among them.
    text
        The message.
    """

    number: int
    kind: ChunkKind
    before: Position
    position: Position
    told_at: float
    total: int
    text: str
    windows: tuple[ToldWindow, ...] = ()
    anomalies: tuple[ToldAnomaly, ...] = ()


def advanced(
    position: Position, windows: Sequence[ToldWindow], anomalies: Sequence[ToldAnomaly], until: int
) -> Position:
    """Where a reader stands that was at `position` and read these."""
    revised = max((window.start for window in windows if window.revision), default=0)
    return replace(
        position,
        analyses=position.analyses + sum(window.analyses for window in windows),
        anomalies=max((position.anomalies, *(anomaly.cursor for anomaly in anomalies))),
        until=max(position.until, until),
        revised=max(position.revised, revised),
    )


def news(windows: Sequence[ToldWindow], anomalies: Sequence[ToldAnomaly], position: Position) -> str:
    """The message of a chunk."""
    told = News(tuple(window.form for window in windows), tuple(anomaly.form for anomaly in anomalies), str(position))
    return written(told)
