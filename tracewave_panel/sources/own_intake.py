"""From rows, stamped where they were read, to batches of a live stream of one's own: all but the reading."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from tracewave_panel.codec import decode_packed, pack
from tracewave_panel.core.feed_clock import FeedClock, FeedClockState
from tracewave_panel.errors import StateError
from tracewave_panel.model import Batch, Event, Quality
from tracewave_panel.sources.event_batches import EventBatches
from tracewave_panel.sources.feed_file import ReadSettings
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_rows import Row, Rows

__all__ = ["OwnIntake"]

_FORMAT = "own/1"
_IDS_SAVED = 4096


class _AnyPosition(msgspec.Struct):
    format: str


class _Position(msgspec.Struct, frozen=True):
    format: str
    resume: str
    series: tuple[str, ...]
    ids: tuple[str, ...]
    clock: FeedClockState


class OwnIntake:
    """Makes events of rows, and puts them on the arrival clock or on their own.

    Parameters
    ----------
    began
        Moment of the start, seconds; rows without an id get one that begins with it.
    position
        ``Batch.position`` of an earlier run. On the event clock there is none.

    Attributes
    ----------
    clock
        The feed clock; of no meaning where rows are on their own.
    resume
        From where the link would go on.
    counters
        Totals since the start.

    Raises
    ------
    StateError
        When `position` is damaged or of another source or version.
    """

    def __init__(
        self,
        mapping: Mapping,
        read: ReadSettings,
        where: str,
        *,
        counted: str = "row",
        began: float = 0.0,
        position: bytes = b"",
    ) -> None:
        self.rows = Rows(mapping, where, counted=counted, only=read.only)
        self.resume = ""
        self.clock = FeedClock(patience=read.patience)
        self._cut = EventBatches(lateness=read.lateness, hole=read.hole) if read.clock == "event" else None
        if position and self._cut is None:
            saved = _decoded(position)
            self.rows.go_on(saved.series, saved.ids)
            self.resume = saved.resume
            self.clock = FeedClock.restore(saved.clock)
        self.counters = self.rows.counters
        self.counters.update(dict.fromkeys(("reconnects", "refusals", "gaps"), 0))
        self._prefix = f"{round(began * 1000):x}-"
        self._events: list[Event] = []
        self._ready: list[Batch] = []
        self._told = (0, 0)  # undecodable, duplicates

    @property
    def waiting(self) -> int:
        """Events that no batch has taken yet."""
        return len(self._events) + sum(len(batch.events) for batch in self._ready)

    @property
    def timed(self) -> bool:
        """Whether anything came that tells the time."""
        return self._cut is not None or math.isfinite(self.clock.watermark)

    def take(self, rows: Sequence[Row], now: float) -> None:
        """Take in rows that were read at `now`."""
        fresh = []
        for row in rows:
            event = self.rows.event(row, arrived_at=now)
            if event is not None:
                own = event.id if self.rows.named else f"{self._prefix}{self.rows.read}"
                fresh.append(msgspec.structs.replace(event, arrived_at=now, id=own))
        if self._cut is not None:
            for event in fresh:
                self._ready.extend(self._cut.add(event))
        elif fresh:
            times = self.clock.receive(now, [event.occurred_at for event in fresh])
            self._events += [
                msgspec.structs.replace(event, time=time) for event, time in zip(fresh, times, strict=True)
            ]
        elif rows:
            self.clock.alive(now)

    def finish(self) -> None:
        """Say that no more rows will come; what is left makes one batch."""
        if self._cut is not None:
            left = [*self._ready, *self._cut.finish()]
            self._cut = EventBatches()
            self._ready = [_joined(left)] if left else []

    def batches(self, now: float, *, with_position: bool) -> list[Batch]:
        """What came since the last call, and how far time has moved; none before there is a time."""
        if self._cut is not None:
            ready, self._ready = self._ready, []
            if ready:
                ready[-1] = self._counted(ready[-1])
            return ready
        self.clock.tick(now)
        if not math.isfinite(self.clock.watermark):
            return []
        marks = self.clock.take_marks()
        self.counters["gaps"] += sum(mark.quality is Quality.GAP for mark in marks)
        batch = Batch(
            arrived_at=now,
            watermark=self.clock.watermark,
            status=self.clock.status,
            events=tuple(self._events),
            marks=marks,
            position=self._position() if with_position else b"",
        )
        self._events.clear()
        return [self._counted(batch)]

    def _counted(self, batch: Batch) -> Batch:
        """The batch with what came to nothing since the last one."""
        undecodable, duplicates = self.counters["undecodable"], self.counters["duplicates"]
        told, self._told = self._told, (undecodable, duplicates)
        return msgspec.structs.replace(batch, undecodable=undecodable - told[0], duplicates=duplicates - told[1])

    def _position(self) -> bytes:
        ids = self.rows.ids[-_IDS_SAVED:]
        return pack(_Position(_FORMAT, self.resume, self.rows.series, ids, self.clock.snapshot()))


def _joined(batches: Sequence[Batch]) -> Batch:
    return msgspec.structs.replace(
        batches[-1],
        events=tuple(event for batch in batches for event in batch.events),
        marks=tuple(mark for batch in batches for mark in batch.marks),
    )


def _decoded(position: bytes) -> _Position:
    found = decode_packed(position, _AnyPosition).format
    if found != _FORMAT:
        raise StateError(
            f"the saved position is of the form {found!r} and this version reads {_FORMAT!r}: "
            "start without a position; what happened meanwhile is then missing",
        )
    return decode_packed(position, _Position)
