"""The last half hour of a live feed, always on the disk, so that what was just seen can be kept after all.

A folder holds segments, each a recording of its own. Their names sort in the order they were written in: the run (the
process that wrote them, by the moment it began) and a number. A killed process leaves whole segments and one that can
be read up to about its last second.
"""

from __future__ import annotations

import logging
import math
import re
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import msgspec

from tracewave_panel.errors import ConfigError, RecordingError
from tracewave_panel.model import Batch
from tracewave_panel.sources.recording import RecordingHeader, RecordingReader, RecordingWriter, seam

__all__ = ["RollingReader", "RollingRecording", "as_recording", "newest", "segments"]

_REMEMBERED = 100_000
_LEVEL = 3  # a third of the default's time for an eighth more bytes

_name = re.compile(r"run-(\d{13})-\d{6}\.jsonl\.gz")

_log = logging.getLogger(__name__)


class RollingRecording:
    """Writes every batch into the newest segment of a folder, and deletes the oldest ones.

    Parameters
    ----------
    folder
        Made if need be. Nothing but segments in it is touched.
    header
        Of every segment, but for its ``started_at``.
    keep
        Seconds of data that stay; up to one segment more does.
    segment
        Seconds of data in one segment.
    max_bytes
        Size of all segments beyond which the oldest are deleted early.

    Raises
    ------
    ConfigError
        When the folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: Path | str,
        header: RecordingHeader,
        *,
        keep: float = 1800.0,
        segment: float = 60.0,
        max_bytes: int = 256 << 20,
    ) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"cannot make the folder {self._folder}: {error.strerror}; choose another one"
            raise ConfigError(msg) from error
        self._header = header
        self._keep = keep
        self._segment = segment
        self._max_bytes = max_bytes
        found = segments(self._folder)
        started_at = {reader.path: reader.header.started_at for reader in _readable(found)}
        self._closed = deque((path, started_at.get(path, -math.inf), path.stat().st_size) for path in found)
        self._earlier_run = int(_run(found[-1])) if found else 0
        self._run = ""
        self._number = 0
        self._writer: RecordingWriter | None = None
        self._started_at = -math.inf

    def write(self, batch: Batch) -> None:
        """Keep a batch.

        Raises
        ------
        StoreError
            When the disk refuses.
        """
        age = batch.arrived_at - self._started_at
        writer = self._writer
        if writer is None or not 0 <= age < self._segment or writer.size > self._max_bytes // 4:
            writer = self._begin(batch.arrived_at)
        writer.write(batch)

    def close(self) -> None:
        """Complete the newest segment; may be called again."""
        if self._writer is not None:
            self._writer.close()
            self._closed.append((self._writer.path, self._started_at, self._writer.size))
            self._writer = None

    def _begin(self, now: float) -> RecordingWriter:
        self.close()
        self._run = self._run or f"{max(self._earlier_run + 1, int(now * 1000)):013d}"
        self._number += 1
        path = self._folder / f"run-{self._run}-{self._number:06d}.jsonl.gz"
        header = msgspec.structs.replace(self._header, started_at=now)
        self._writer = RecordingWriter(path, header, level=_LEVEL)
        self._started_at = now
        self._prune(now)
        return self._writer

    def _prune(self, now: float) -> None:
        size = sum(size for _, _, size in self._closed)
        while self._closed:
            path, started_at, bytes_ = self._closed[0]
            if started_at + self._segment > now - self._keep and size <= self._max_bytes * 3 // 4:
                return
            path.unlink(missing_ok=True)
            self._closed.popleft()
            size -= bytes_


def segments(folder: Path | str) -> tuple[Path, ...]:
    """Segments in a folder in the order they were written in; empty when there are none."""
    folder = Path(folder)
    return tuple(sorted(path for path in folder.glob("run-*") if _name.fullmatch(path.name)))


def newest(folder: Path | str) -> tuple[Path, ...]:
    """Segments of the run that wrote last, which follow each other without a hole."""
    found = segments(folder)
    return tuple(path for path in found if _run(path) == _run(found[-1]))


class RollingReader:
    """All segments of a folder as one recording; each iteration reads them anew.

    Between two runs, and behind a damaged segment, the time that nobody told of is marked as ``gap``. Events that a
    later run had delivered to it once more are left out and counted as duplicates.

    Parameters
    ----------
    since
        Leave out batches that arrived before this moment (seconds).

    Raises
    ------
    RecordingError
        When there is nothing to read.

    Attributes
    ----------
    header
        Of the first segment, beginning at `since` if that is later.
    damage
        What was wrong with segments, as the last iteration found it; a segment that was killed, or is still written,
        counts. None while nothing was.
    """

    def __init__(self, folder: Path | str, *, since: float = -math.inf) -> None:
        self.path = Path(folder)
        self.damage: str | None = None
        self._since = since
        first = next(_readable(segments(folder)), None)
        if first is None:
            msg = f"nothing was recorded in {folder} yet: let Tracewave run on a live feed for a minute"
            raise RecordingError(msg)
        self.header = msgspec.structs.replace(first.header, started_at=max(since, first.header.started_at))

    def __iter__(self) -> Generator[Batch, None, None]:
        self.damage = None
        last: Batch | None = None
        delivered: deque[str] = deque(maxlen=_REMEMBERED)
        again: frozenset[str] = frozenset()
        run, follows = "", False
        for reader in _readable(segments(self.path)):
            if _run(reader.path) != run:
                run, again, follows = _run(reader.path), frozenset(delivered), False
            try:
                for batch in reader:
                    if batch.arrived_at < self._since:
                        continue
                    told = _once(batch, again)
                    if last is not None and not follows:
                        told = msgspec.structs.replace(told, marks=seam(last, told) + told.marks)
                    delivered.extend(event.id for event in told.events)
                    last, follows = told, True
                    yield told
            except ConfigError as error:  # deleted meanwhile, as the oldest are
                _log.warning("%s", error)
                follows = False
            if reader.damage:
                self.damage, follows = reader.damage, False


def as_recording(folder: Path | str, *, since: float = -math.inf) -> tuple[RecordingHeader, RollingReader]:
    """Header and batches of all segments of a folder, as :class:`RollingReader` reads them."""
    reader = RollingReader(folder, since=since)
    return reader.header, reader


def _once(batch: Batch, again: frozenset[str]) -> Batch:
    events = tuple(event for event in batch.events if event.id not in again) if again else batch.events
    if len(events) == len(batch.events):
        return batch
    duplicates = batch.duplicates + len(batch.events) - len(events)
    return msgspec.structs.replace(batch, events=events, duplicates=duplicates)


def _readable(paths: Iterable[Path]) -> Iterator[RecordingReader]:
    for path in paths:
        try:
            yield RecordingReader(path)
        except (ConfigError, RecordingError) as error:  # deleted meanwhile, or killed before its first line
            _log.warning("%s", error)


def _run(path: Path) -> str:
    return path.name.split("-")[1]
