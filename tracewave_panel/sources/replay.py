"""A recording as a source: the live run again, at any speed, once or for ever."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Batch, Event, Mark, Origin
from tracewave_panel.ports import FeedState, SourceStatus
from tracewave_panel.sources.pace import Pace
from tracewave_panel.sources.recording import RecordingReader, seam
from tracewave_panel.sources.rolling_recording import RollingReader

__all__ = ["RecordingSource", "shifted"]

_log = logging.getLogger(__name__)


class RecordingSource:
    """Plays a recording. Its batches carry no position: a replay starts again from its beginning only.

    Untouched (no rebasing, first round) the batches are exactly the recorded ones. In every other case all times move
    by one whole multiple of `step`, and ids tell by how much, so that they stay unique. Where a round begins, what
    lies between the two watermarks is marked as ``gap``.

    Parameters
    ----------
    path
        The recording, or the folder of a rolling one.
    speed
        How many times as fast as it was recorded; None is as fast as the reader can.
    loop
        Whether to begin again when it ends, with time going on.
    rebase_to
        Moment (seconds) at which the recording shall seem to begin; it begins at most one `step` earlier.
    step
        Seconds, a whole multiple of the windows' width, so that every window holds the same events wherever the
        recording is moved to.

    Raises
    ------
    ConfigError
        When there is no such file, or the speed is not positive.
    RecordingError
        When the file is not a recording, or the folder holds none.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        speed: float | None = None,
        loop: bool = False,
        rebase_to: float | None = None,
        step: float = 1.0,
    ) -> None:
        self._reader = RollingReader(path) if Path(path).is_dir() else RecordingReader(path)
        self._pace = Pace(speed)
        self._loop = loop
        self._step = step
        self._shift = 0.0
        if rebase_to is not None:
            self._shift = math.floor((rebase_to - self._reader.header.started_at) / step) * step
        self._round = 1
        self._counters = {"events": 0, "undecodable": 0, "duplicates": 0, "reconnects": 0, "canaries": 0, "skipped": 0}
        self._enter("connecting")

    @property
    def origin(self) -> Origin:
        """Where the recorded events came from."""
        return self._reader.header.origin

    @property
    def feed(self) -> Feed:
        """Whose events were recorded; raises RecordingError when that is not known."""
        return self._reader.header.feed_in(self._reader.path)

    @property
    def damage(self) -> str | None:
        """What was wrong with the file, as far as it has been read."""
        return self._reader.damage

    @property
    def shift(self) -> float:
        """Seconds by which times are moved at present."""
        return self._shift

    async def batches(self, position: bytes = b"") -> AsyncGenerator[Batch, None]:
        """Iterate over the recorded batches from the start; a position is of no use here, and that is logged."""
        if position:
            _log.warning("%s is played from its start: a replay knows no position to go on from", self._reader.path)
        self._enter("replay")
        last: Batch | None = None
        while True:
            first: Batch | None = None
            reach = 0.0
            with contextlib.closing(iter(self._reader)) as recorded:
                for batch in recorded:
                    told = shifted(batch, self._shift)
                    if first is None:
                        first = batch
                        if last is not None:
                            told = msgspec.structs.replace(told, marks=seam(last, told) + told.marks)
                    reach = max(reach, batch.arrived_at - first.arrived_at, batch.watermark - first.watermark)
                    if not await self._pace.reach(told.arrived_at):
                        self._enter("ended")
                        return
                    self._count(told)
                    last = told
                    yield told
            if first is None or not self._loop:
                break
            self._shift += max(1, math.ceil(reach / self._step)) * self._step
            self._round += 1
        self._enter("ended")

    async def stop(self) -> None:
        """End the iteration before its next batch."""
        self._pace.stop()

    def status(self) -> SourceStatus:
        """Say how fast, in which round, and what was wrong with the file."""
        notes = [self._pace.words, f"loop {self._round}" if self._loop else "", self._reader.damage or ""]
        return SourceStatus(FeedState(self._word, ", ".join(filter(None, notes)), self._since), dict(self._counters))

    def _enter(self, word: str) -> None:
        self._word, self._since = word, time.time()

    def _count(self, batch: Batch) -> None:
        self._counters["events"] += len(batch.events)
        self._counters["undecodable"] += batch.undecodable
        self._counters["duplicates"] += batch.duplicates


def shifted(batch: Batch, seconds: float) -> Batch:
    """Move every time of a batch; ids of its events end in the shift, so that each round has its own."""
    if not seconds:
        return batch
    suffix = f"{seconds:+.15g}"
    return msgspec.structs.replace(
        batch,
        arrived_at=batch.arrived_at + seconds,
        watermark=batch.watermark + seconds,
        events=tuple(
            Event(
                event.time + seconds,
                event.occurred_at + seconds,
                event.arrived_at + seconds,
                event.series,
                event.id + suffix,
                event.dimensions,
                event.measures,
                event.actor,
                event.subject,
                event.title,
                event.link,
            )
            for event in batch.events
        ),
        marks=tuple(Mark(mark.start + seconds, mark.end + seconds, mark.quality) for mark in batch.marks),
        dropped=tuple(msgspec.structs.replace(loss, time=loss.time + seconds) for loss in batch.dropped),
    )
