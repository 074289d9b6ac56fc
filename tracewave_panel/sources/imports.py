"""Other people's captures, made into recordings: in file order, in constant memory, nothing dropped in silence.

Such files have no arrival clock. Events count at their own times, by the
:class:`~tracewave_panel.core.event_clock.EventClock`, and the arrival times are reconstructed as the running maximum of
those, which the header says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import msgspec

from tracewave_panel.errors import FeedError, RecordingError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Batch, Event, Origin
from tracewave_panel.sources import recent_change
from tracewave_panel.sources.druid_rows import decode_row
from tracewave_panel.sources.event_batches import EventBatches
from tracewave_panel.sources.packed_lines import PackedLines
from tracewave_panel.sources.recording import RecordingHeader, RecordingWriter
from tracewave_panel.sources.sse import ServerSentEvent, SseParser

__all__ = ["KINDS", "ImportReport", "Progress", "import_druid", "import_eventstreams", "import_sse"]

KINDS = ("edit", "new", "log")
"""Types of change that are counted, as the live source counts them."""

Progress: TypeAlias = Callable[[float, int], None]
"""Called now and then with the part of the file that was read, 0 to 1, and the events so far."""

_PROGRESS_EVERY = 2000
_ARRIVAL = "reconstructed: the running maximum of the events' own times"
_EVENTSTREAMS_LICENCE = (
    "Wikimedia EventStreams; the terms are those of whoever published the capture. Holds editors' names and addresses."
)
_DRUID_LICENCE = (
    "Apache-2.0: the Wikipedia edits of 12 September 2015, sampled, of the Apache Druid tutorial. Holds editors' names "
    "and addresses."
)


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import made of a file.

    Attributes
    ----------
    rows
        Rows or frames read: the sum of the four counts that follow.
    events
        Written to the recording.
    undecodable
        Rows that could not be read.
    canaries
        Synthetic events that only prove that a stream is alive; left out.
    skipped
        Changes of kinds that were not asked for, and frames that are no changes; left out.
    started_at, ended_at
        Times of the first and the last batch, seconds.
    damage
        Why the file could be read only up to some place; None when all of it was read.
    """

    path: Path
    rows: int
    events: int
    undecodable: int
    canaries: int
    skipped: int
    batches: int
    started_at: float
    ended_at: float
    damage: str | None = None


class _LeftOut(StrEnum):
    UNDECODABLE = "undecodable"
    CANARY = "canaries"
    SKIPPED = "skipped"


def import_druid(source: Path | str, target: Path | str, *, progress: Progress | None = None) -> ImportReport:
    """Import rows of the Druid Wikipedia tutorial (JSON lines with ``time``, ``channel``, ``page``, ...).

    Raises
    ------
    ConfigError
        When the source cannot be opened, or the target exists or cannot be made.
    RecordingError
        When the source holds no event at all.
    StoreError
        When the disk refuses the recording.
    """
    lines = PackedLines(source)
    rows = (_druid_event(line, number) for number, line in enumerate(_filled(lines), start=1))
    return _import(lines, rows, Path(target), _DRUID_LICENCE, progress)


def import_eventstreams(
    source: Path | str, target: Path | str, *, kinds: Collection[str] = KINDS, progress: Progress | None = None
) -> ImportReport:
    """Import ``recentchange`` events, one JSON object a line, plain or packed with gzip or xz.

    Changes whose kind is not in `kinds` are left out and counted. Errors as :func:`import_druid` has them.
    """
    lines = PackedLines(source)
    rows = (_change_event(line, kinds) for line in _filled(lines))
    return _import(lines, rows, Path(target), _EVENTSTREAMS_LICENCE, progress)


def import_sse(
    source: Path | str, target: Path | str, *, kinds: Collection[str] = KINDS, progress: Progress | None = None
) -> ImportReport:
    """Import a raw capture of an EventStreams connection; otherwise as :func:`import_eventstreams`."""
    lines = PackedLines(source)
    return _import(lines, _sse_events(lines, kinds), Path(target), _EVENTSTREAMS_LICENCE, progress)


def _filled(lines: PackedLines) -> Iterator[bytes]:
    for line in lines:
        if line.strip():
            yield line
    if lines.rest.strip():  # the last line may have no end
        yield lines.rest


def _druid_event(line: bytes, number: int) -> Event | _LeftOut:
    try:
        return _event(decode_row(line, number))
    except FeedError:
        return _LeftOut.UNDECODABLE


def _change_event(data: bytes, kinds: Collection[str]) -> Event | _LeftOut:
    try:
        change = recent_change.decode(data)
    except FeedError:
        return _LeftOut.UNDECODABLE
    if change.canary:
        return _LeftOut.CANARY
    return _event(change) if change.type in kinds else _LeftOut.SKIPPED


def _sse_events(lines: PackedLines, kinds: Collection[str]) -> Iterator[Event | _LeftOut]:
    parser = SseParser()
    for text in lines.texts():
        for frame in parser.feed(text):
            yield _frame_event(frame, kinds)
    for frame in parser.feed(b"\n\n"):  # a capture may end right behind its last event
        yield _frame_event(frame, kinds)


def _frame_event(frame: ServerSentEvent, kinds: Collection[str]) -> Event | _LeftOut:
    if frame.skipped_bytes:
        return _LeftOut.UNDECODABLE
    return _change_event(frame.data, kinds) if frame.event == "message" else _LeftOut.SKIPPED


def _event(change: recent_change.RecentChange) -> Event | _LeftOut:
    occurred_at = recent_change.occurrence_time(change)
    if occurred_at is None:  # nothing says where in time it belongs
        return _LeftOut.UNDECODABLE
    return recent_change.to_event(change, time=occurred_at, arrived_at=occurred_at)


def _import(
    lines: PackedLines, rows: Iterable[Event | _LeftOut], target: Path, licence: str, progress: Progress | None
) -> ImportReport:
    reading = _Reading(lines, rows, progress)
    batches = reading.batches()
    first = last = next(batches, None)
    if first is None or last is None:
        found = ", ".join(f"{count} {left_out}" for left_out, count in reading.left_out.items())
        reason = f" ({lines.damage})" if lines.damage else ""
        msg = f"{lines.path} holds no event of this format: {found}{reason}; check the file and the format"
        raise RecordingError(msg)
    header = RecordingHeader(
        feed=WIKIMEDIA.name,
        origin=Origin.IMPORTED,
        started_at=first.arrived_at,
        licence=licence,
        arrival=_ARRIVAL,
        note=f"imported from {lines.path.name}",
    )
    written = 0
    with RecordingWriter(target, header) as recording:
        for last in chain((first,), batches):
            recording.write(last)
            written += 1
    if progress is not None:
        progress(1.0, reading.events)
    return ImportReport(
        path=target,
        rows=reading.events + sum(reading.left_out.values()),
        events=reading.events,
        undecodable=reading.left_out[_LeftOut.UNDECODABLE],
        canaries=reading.left_out[_LeftOut.CANARY],
        skipped=reading.left_out[_LeftOut.SKIPPED],
        batches=written,
        started_at=first.arrived_at,
        ended_at=last.arrived_at,
        damage=lines.damage or None,
    )


class _Reading:
    """Rows on their way into batches, and what was left out of them."""

    def __init__(self, lines: PackedLines, rows: Iterable[Event | _LeftOut], progress: Progress | None) -> None:
        self._lines = lines
        self._rows = rows
        self._progress = progress
        self.events = 0
        self.left_out = dict.fromkeys(_LeftOut, 0)

    def batches(self) -> Iterator[Batch]:
        cut = EventBatches()
        for number, row in enumerate(self._rows, start=1):
            if isinstance(row, Event):
                self.events += 1
                yield from cut.add(row)
            else:
                self.left_out[row] += 1
                if row is _LeftOut.UNDECODABLE:
                    cut.add_undecodable()
            if self._progress is not None and number % _PROGRESS_EVERY == 0:
                self._progress(self._lines.position / self._lines.path.stat().st_size, self.events)
        yield from cut.finish()
