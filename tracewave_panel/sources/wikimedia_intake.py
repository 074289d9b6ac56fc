"""From the bytes of a Wikimedia stream, stamped where they were read, to batches: all but the network.

Every event the server sends ends in exactly one counter: ``events`` (handed over), ``skipped`` (of a
kind that is not counted), ``canaries``, ``duplicates``, ``undecodable`` or ``oversized``.
"""

from __future__ import annotations

import logging
import math

from tracewave_panel.codec import pack
from tracewave_panel.core.feed_clock import FeedClock
from tracewave_panel.errors import FeedError
from tracewave_panel.model import Batch, Event, Quality
from tracewave_panel.sources.recent_change import RecentChange, decode, occurrence_time, to_event
from tracewave_panel.sources.sse import ServerSentEvent, SseParser
from tracewave_panel.sources.wikimedia_position import ResumePoint, decode_position

__all__ = ["WikimediaIntake"]

_logger = logging.getLogger(__name__)
_SECONDS_BETWEEN_COMPLAINTS = 20.0


class WikimediaIntake:
    """Parses, sorts, counts and times what a connection reads.

    Parameters
    ----------
    kinds
        Types of change that become events; others are proof of life.
    max_event_bytes
        Larger events are skipped and told.
    patience
        Seconds of silence that the feed clock bears before it tells a gap.
    position
        ``Batch.position`` of an earlier run.

    Attributes
    ----------
    clock
        The feed clock: watermark, status, lag.
    place
        Where the stream would be resumed.
    counters
        Totals since the start.

    Raises
    ------
    StateError
        When `position` is damaged or of another version.
    """

    def __init__(self, *, kinds: tuple[str, ...], max_event_bytes: int, patience: float, position: bytes = b"") -> None:
        saved = decode_position(position) if position else None
        self.clock = FeedClock(patience=patience) if saved is None else FeedClock.restore(saved.clock)
        self.place = ResumePoint(saved)
        self.counters = dict.fromkeys(
            (
                "events", "bytes", "undecodable", "oversized", "duplicates", "canaries", "skipped",
                "reconnects", "refusals", "lost", "offset_holes", "gaps",
            ),
            0,
        )  # fmt: skip
        self._kinds = frozenset(kinds)
        self._max_event_bytes = max_event_bytes
        self._parser = SseParser(max_event_bytes)
        self._events: list[Event] = []
        self._undecodable_told = self._duplicates_told = 0
        self._complained_at = float("-inf")

    @property
    def waiting(self) -> int:
        """Events that no batch has taken yet."""
        return len(self._events)

    @property
    def progress(self) -> int:
        """Events the stream gave that were not known yet; grows only on a healthy connection."""
        return self.counters["events"] + self.counters["skipped"] + self.counters["canaries"]

    @property
    def retry(self) -> float:
        """Seconds that the stream itself asks to wait before a reconnect."""
        return self._parser.retry or 0.0

    def connected(self, now: float, *, resumes: bool) -> None:
        """Note that a connection stands; `resumes`: from where the last one ended."""
        self._parser = SseParser(self._max_event_bytes)
        if resumes:
            self.place.resumed()
        self.clock.connected(now, resumes=resumes)

    def take(self, chunk: bytes, now: float) -> None:
        """Take in bytes that were read at `now`.

        Raises
        ------
        FeedError
            When the stream itself tells of an error; what came before it is kept.
        """
        self.counters["bytes"] += len(chunk)
        lost, progress = self.place.lost, self.progress
        fresh: list[tuple[RecentChange, float]] = []
        failure: ServerSentEvent | None = None
        for told in self._parser.feed(chunk):
            if told.event == "error":
                failure = told
                break
            self.place.last_id = told.id or self.place.last_id
            change = self._read(told, now)
            if change is not None:
                self._sort(change, fresh)
        self.counters["lost"], self.counters["offset_holes"] = self.place.lost, self.place.offset_holes
        if self.place.lost > lost:
            self.clock.lost(now)
        if fresh:
            self._admit(fresh, now)
        elif self.progress > progress:
            self.clock.alive(now)
        if failure is not None:
            raise FeedError(f"the stream told of an error: {failure.data[:200].decode('utf-8', 'replace')}")

    def _sort(self, change: RecentChange, fresh: list[tuple[RecentChange, float]]) -> None:
        occurred_at = occurrence_time(change)
        if occurred_at is None:
            occurred_at = -math.inf  # tells the clock nothing; its arrival would tell that there is no lag
        if not self.place.is_new(change, occurred_at):
            self.counters["duplicates"] += 1
        elif change.canary:
            self.counters["canaries"] += 1
        elif change.type not in self._kinds:
            self.counters["skipped"] += 1
        else:
            fresh.append((change, occurred_at))

    def _read(self, told: ServerSentEvent, now: float) -> RecentChange | None:
        if told.skipped_bytes:
            self.counters["oversized"] += 1
            self._complain(f"an event of {told.skipped_bytes:,} bytes was skipped", now)
        else:
            try:
                return decode(told.data)
            except FeedError as error:
                self.counters["undecodable"] += 1
                self._complain(str(error), now)
        self.place.unreadable()
        return None

    def _complain(self, what: str, now: float) -> None:
        if now - self._complained_at >= _SECONDS_BETWEEN_COMPLAINTS:
            self._complained_at = now
            total = self.counters["undecodable"] + self.counters["oversized"]
            _logger.warning("%s (%d such events so far)", what, total)

    def _admit(self, fresh: list[tuple[RecentChange, float]], now: float) -> None:
        times = self.clock.receive(now, [occurred_at for _, occurred_at in fresh])
        for (change, _), time in zip(fresh, times, strict=True):
            self._events.append(to_event(change, time, now))
        self.counters["events"] += len(fresh)

    def batch(self, now: float, *, with_position: bool) -> Batch | None:
        """What came since the last batch, and how far time has moved.

        None before anything was ever received: there is no time yet, and nothing to go on from.
        """
        self.clock.tick(now)
        if not math.isfinite(self.clock.watermark):
            return None
        marks = self.clock.take_marks()
        self.counters["gaps"] += sum(mark.quality is Quality.GAP for mark in marks)
        undecodable = self.counters["undecodable"] + self.counters["oversized"]
        duplicates = self.counters["duplicates"]
        batch = Batch(
            arrived_at=now,
            watermark=self.clock.watermark,
            status=self.clock.status,
            events=tuple(self._events),
            marks=marks,
            undecodable=undecodable - self._undecodable_told,
            duplicates=duplicates - self._duplicates_told,
            position=pack(self.place.position(self.clock.snapshot())) if with_position else b"",
        )
        self._events.clear()
        self._undecodable_told, self._duplicates_told = undecodable, duplicates
        return batch
