"""What a feed clock has told the windows: the watermark, and the marks on the way to it."""

from __future__ import annotations

from math import inf

import msgspec

from tracewave_panel.model import Mark, Quality

__all__ = ["Telling"]


class Telling(msgspec.Struct):
    """A watermark that never goes back, and marks that are given before it passes them.

    Attributes
    ----------
    watermark
        Seconds, UTC; -inf until something is known.
    partial_until
        What a backlog fills is ``partial`` before this time, ``backfilled`` after it.
    marks
        Not yet taken.

    Examples
    --------
    >>> telling = Telling(watermark=10.0)
    >>> telling.gap(12.0)
    >>> telling.gap(13.0)
    >>> telling.watermark, telling.take()
    (13.0, (Mark(start=10.0, end=13.0, quality=<Quality.GAP: 'gap'>),))
    """

    watermark: float = -inf
    partial_until: float = -inf
    marks: list[Mark] = []

    def confirm(self, until: float) -> None:
        """Move the watermark over a stretch that is as it seems."""
        self.watermark = max(self.watermark, until)

    def gap(self, until: float) -> None:
        """Move the watermark over a stretch whose events are missing."""
        self.mark(self.watermark, until, Quality.GAP)
        self.confirm(until)

    def fill(self, until: float) -> None:
        """Move the watermark over a stretch filled from a backlog."""
        self.mark(self.watermark, min(until, self.partial_until), Quality.PARTIAL)
        self.mark(max(self.watermark, self.partial_until), until, Quality.BACKFILLED)
        self.confirm(until)

    def mark(self, start: float, end: float, quality: Quality) -> None:
        """Mark what lies between, as far as the watermark has not passed it."""
        start = max(start, self.watermark)
        if end <= start:
            return
        if self.marks and self.marks[-1].quality is quality and self.marks[-1].end == start:
            start = self.marks.pop().start
        self.marks.append(Mark(start, end, quality))

    def take(self) -> tuple[Mark, ...]:
        """Hand out the marks since the last call."""
        marks, self.marks = tuple(self.marks), []
        return marks
