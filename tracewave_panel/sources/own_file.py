"""A whole file of rows as a source: read once, on the event clock, at any speed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from pathlib import Path

from tracewave_panel.errors import ConfigError, FeedError
from tracewave_panel.model import Batch, Origin
from tracewave_panel.ports import FeedState, SourceStatus
from tracewave_panel.sources.event_batches import EventBatches
from tracewave_panel.sources.feed_file import FeedFile, read_of
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_local import parser_of
from tracewave_panel.sources.own_rows import Row, Rows, cut
from tracewave_panel.sources.pace import Pace
from tracewave_panel.sources.packed_lines import PackedLines

__all__ = ["OwnFile", "file_batches"]


class OwnFile:
    """Plays a file of NDJSON or CSV, plain or packed with gzip or xz; its batches carry no position.

    Parameters
    ----------
    described
        The feed's TOML file, as it was read.
    speed
        How many times as fast as it happened; None is as fast as possible.

    Raises
    ------
    ConfigError
        When the file cannot be opened, or the speed is not positive.
    """

    def __init__(
        self,
        described: FeedFile,
        *,
        speed: float | None = None,
    ) -> None:
        self._path = Path(described.read.file)
        try:
            with self._path.open("rb"):
                pass
        except OSError as error:
            raise ConfigError(
                f"{described.path}: [read] file: {self._path} cannot be read ({error.strerror})"
            ) from error
        self._reading = _Reading(described)
        self._pace = Pace(speed)
        self._enter("connecting", "")

    @property
    def origin(self) -> Origin:
        """Imported."""
        return Origin.IMPORTED

    async def batches(self, position: bytes = b"") -> AsyncGenerator[Batch, None]:  # noqa: ARG002 - there is none
        """Iterate over the batches from the start.

        Raises
        ------
        ConfigError
            When the file has not the columns that the mapping names.
        FeedError
            When no row of it can be read.
        """
        self._enter("replay", self._pace.words)
        with contextlib.closing(self._reading.batches()) as read:
            for batch in read:
                if not await self._pace.reach(batch.arrived_at):
                    self._enter("ended", "stopped")
                    return
                yield batch
        self._enter("ended", self._reading.words)

    async def stop(self) -> None:
        """End the iteration before its next batch."""
        self._pace.stop()

    def status(self) -> SourceStatus:
        """Say how fast, and what became of the rows."""
        return SourceStatus(FeedState(self._word, self._note, self._since), dict(self._reading.counters))

    def _enter(self, word: str, note: str) -> None:
        self._word, self._note, self._since = word, note, time.time()


class _Reading:
    """One pass through a file."""

    def __init__(self, described: FeedFile) -> None:
        self._described = described
        read = described.read
        self._name = Path(read.file).name
        self._lines = PackedLines(read.file)
        self._rows = Rows(described.mapping, self._name, counted="line", only=read.only)
        self.counters = self._rows.counters
        self.counters["reconnects"] = 0

    @property
    def words(self) -> str:
        """What became of it."""
        counts = ", ".join(f"{self.counters[name]:,} {name}" for name in ("undecodable", "duplicates", "skipped"))
        damage = f"; it could be read only in part: {self._lines.damage}" if self._lines.damage else ""
        return f"all of {self._name} was read: {self.counters['events']:,} events, {counts}{damage}"

    def batches(self) -> Generator[Batch, None, None]:
        read = self._described.read
        yield from cut(self._read_rows(), self._rows, EventBatches(lateness=read.lateness, hole=read.hole))
        if not self.counters["events"]:
            raise FeedError(
                f"{self._name}: no row of {self.counters['undecodable'] + self.counters['skipped']} became an event; "
                f"what is wrong with the first ones was logged: check [event] in {self._described.path}"
            )

    def _read_rows(self) -> Iterator[Row]:
        parser = parser_of(self._described.read, self._described.mapping, self._name)
        for text in self._lines.texts():
            yield from parser.feed(text)
        yield from parser.finish()


def file_batches(
    path: Path | str, mapping: Mapping, *, lateness: float = 10.0, hole: float = 3600.0
) -> Iterator[Batch]:
    """Batches of a file of NDJSON or CSV, plain or packed, as its name says; as :func:`~.own_rows.row_batches`.

    Raises
    ------
    ConfigError
        When it cannot be opened, its name does not tell the format, or it has not the columns that are named.
    FeedError
        When no row of it can be read.
    """
    read = read_of(path, lateness=lateness, hole=hole)
    return _Reading(FeedFile(Path(path), read, mapping)).batches()
