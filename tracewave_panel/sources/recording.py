"""Recordings: what a source handed over, kept in a file.

A recording is gzip over lines of JSON. The first line is a :class:`RecordingHeader`, every other one a
:class:`~tracewave_panel.model.Batch` without its position. The writer brings what it has to the disk about once a
second, so a file whose writer was killed, or is still at work, can be read up to that moment.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tracewave_panel.codec import decode_batch, to_json
from tracewave_panel.errors import ConfigError, RecordingError, StoreError
from tracewave_panel.feeds import FEEDS, Feed
from tracewave_panel.model import Batch, Mark, Origin, Quality
from tracewave_panel.sources.packed_lines import PackedLines

__all__ = [
    "FORMAT",
    "VERSION",
    "RecordingHeader",
    "RecordingReader",
    "RecordingWriter",
    "read_recording",
    "seam",
    "state_beside",
]

FORMAT = "tracewave-recording"
VERSION = 1

_FLUSH_EVERY = 1.0
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_log = logging.getLogger(__name__)


class RecordingHeader(msgspec.Struct, frozen=True, kw_only=True):
    """First line of a recording.

    Attributes
    ----------
    feed
        Name of the :class:`~tracewave_panel.feeds.Feed` whose events these are.
    described
        That feed itself, where it is not one that Tracewave knows.
    started_at
        Arrival clock at the first batch, seconds.
    ended_at
        Arrival clock at the last batch, if it was known when the header was written.
    licence
        Under what terms the data may be used, and where they come from.
    arrival
        How the arrival times came about: ``recorded``, or words on how they were reconstructed.
    note
        Anything else a person should know.
    seed, truth
        Of simulated recordings: the generator's seed, and the name of the file beside this one that tells what
        was planted.
    """

    feed: str
    origin: Origin
    started_at: float
    ended_at: float | None = None
    licence: str = ""
    arrival: str = "recorded"
    note: str = ""
    seed: int | None = None
    truth: str | None = None
    described: Feed | msgspec.UnsetType = msgspec.UNSET
    format: str = FORMAT
    version: int = VERSION

    def feed_in(self, path: Path | str) -> Feed:
        """The feed whose events are in the recording `path`.

        Raises
        ------
        RecordingError
            When it is not known, and not described either.
        """
        feed = FEEDS.get(self.feed) if self.described is msgspec.UNSET else self.described
        if feed is None:
            raise RecordingError(f"{path} is a recording of {self.feed!r}, a feed this version does not know")
        return feed


class RecordingWriter:
    """Writes one recording; the file is readable, up to about the last second, at any time.

    Parameters
    ----------
    path
        File to make. By custom its name ends in ``.jsonl.gz``.
    header
        First line of the file.
    overwrite
        Whether a file that exists may be replaced.
    level
        How hard it is packed, 1 to 9; -1 is what zlib takes for the best of both.

    Raises
    ------
    ConfigError
        When the file exists already, or cannot be made there.
    """

    def __init__(self, path: Path | str, header: RecordingHeader, *, overwrite: bool = False, level: int = -1) -> None:
        self.path = Path(path)
        try:
            self._file = self.path.open("wb" if overwrite else "xb", buffering=0)
        except FileExistsError as error:
            msg = f"the recording {self.path} exists already: choose another name or delete it first"
            raise ConfigError(msg) from error
        except OSError as error:
            msg = f"cannot make the recording {self.path}: {error.strerror}; choose a folder that can be written to"
            raise ConfigError(msg) from error
        self._size = 0
        self._gzip = zlib.compressobj(level, wbits=zlib.MAX_WBITS | 16)
        self._put(to_json(header) + b"\n")
        self.flush()

    @property
    def size(self) -> int:
        """Bytes on the disk so far."""
        return self._size

    def write(self, batch: Batch) -> None:
        """Add a batch; its position is left out, for it means nothing to a later reader.

        Raises
        ------
        StoreError
            When the disk refuses.
        """
        if batch.position:
            batch = msgspec.structs.replace(batch, position=b"")
        self._put(to_json(batch) + b"\n")
        if time.monotonic() - self._flushed_at >= _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Bring everything written so far to the file, readable for others."""
        self._store(self._gzip.flush(zlib.Z_SYNC_FLUSH))
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Complete the file; may be called again."""
        if not self._file.closed:
            try:
                self._store(self._gzip.flush())
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, line: bytes) -> None:
        self._store(self._gzip.compress(line))

    def _store(self, packed: bytes) -> None:
        self._size += len(packed)
        left = memoryview(packed)
        try:
            while left:  # an unbuffered write may take only a part
                left = left[self._file.write(left) :]
        except OSError as error:
            msg = f"cannot write to the recording {self.path}: {error.strerror}; make room, then record to a new file"
            raise StoreError(msg) from error


class RecordingReader:
    """Batches of one recording; each iteration reads the file anew, in constant memory.

    A file that is cut off or damaged is read up to that place: the iteration ends as if the recording did, a warning
    is logged, and `damage` says where and how much was read.

    Parameters
    ----------
    path
        A recording; one that was unpacked to plain lines is read too.

    Raises
    ------
    ConfigError
        When there is no such file, or it cannot be opened.
    RecordingError
        When it is not a recording, or not of a version that this Tracewave reads.

    Attributes
    ----------
    header
        The first line.
    damage
        What was wrong, as the last iteration found it; None while nothing was.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.damage: str | None = None
        self.header = self._read_header()

    def __iter__(self) -> Generator[Batch, None, None]:
        lines = PackedLines(self.path)
        damage, number, events, reached = "", 0, 0, self.header.started_at
        self.damage = None
        for line in lines:
            if number:
                try:
                    batch = decode_batch(line)
                except _UNREADABLE as error:
                    damage = f"the next line is no batch: {error}"
                    break
                events += len(batch.events)
                reached = batch.arrived_at
                yield batch
            number += 1
        if not damage and (lines.damage or lines.rest):
            damage = lines.damage or "the last line has no end"
        if damage:
            self.damage = (
                f"{self.path} is damaged after line {number}, at about byte {lines.position} of the file: {damage}. "
                f"Read {number - 1} batches with {events} events, up to {_words(reached)}."
            )
            _log.warning("%s", self.damage)

    def _read_header(self) -> RecordingHeader:
        lines = PackedLines(self.path)
        first = next(iter(lines), b"")
        try:
            header = msgspec.json.decode(first, type=RecordingHeader)
        except _UNREADABLE as error:
            reason = lines.damage or (f"its first line is no header: {error}" if lines.position else "it is empty")
            msg = f"{self.path} is not a Tracewave recording ({reason}); other files must be imported first"
            raise RecordingError(msg) from error
        if (header.format, header.version) != (FORMAT, VERSION):
            msg = (
                f"{self.path} is a {header.format} of version {header.version}, and this Tracewave reads {FORMAT} of "
                f"version {VERSION}: use the Tracewave that wrote it"
            )
            raise RecordingError(msg)
        return header


def read_recording(path: Path | str) -> tuple[RecordingHeader, RecordingReader]:
    """Header and batches of a recording; errors and damage as :class:`RecordingReader` has them."""
    reader = RecordingReader(path)
    return reader.header, reader


def state_beside(path: Path) -> Path:
    """Where the State lies that a recording may come with: detectors that have seen the time before it."""
    return path.with_name(path.name.removesuffix(".jsonl.gz") + ".state")


def seam(last: Batch, following: Batch) -> tuple[Mark, ...]:
    """Mark the time that nobody told of, between two batches that did not follow each other when they were made."""
    if following.watermark <= last.watermark:
        return ()
    return (Mark(last.watermark, following.watermark, Quality.GAP),)


def _words(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # a damaged number
        return f"{moment} s"
