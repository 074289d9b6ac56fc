"""From the bytes of a Wikimedia stream, stamped where they were read, to batches: all but the network.

Every event the server sends ends in exactly one counter: ``events`` (handed over), ``skipped`` (of a
kind that is not counted), ``canaries``, ``duplicates``, ``undecodable`` or ``oversized``.
"""

from __future__ import annotations

import logging
import math
from itertools import repeat

from tracewave_panel.codec import pack
from tracewave_panel.core.feed_clock import FeedClock
from tracewave_panel.errors import FeedError
from tracewave_panel.model import Batch, Event, Quality
from tracewave_panel.sources.recent_change import RecentChange, decode, event_at, occurrence_time
from tracewave_panel.sources.sse import ServerSentEvent, SseParser
from tracewave_panel.sources.wikimedia_position import ResumePoint, decode_position

__all__ = ["WikimediaIntake"]

_logger = logging.getLogger(__name__)
_SECONDS_BETWEEN_COMPLAINTS = 20.0
_NEVER = -math.inf  # tells the clock nothing; its arrival would tell that there is no lag


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
        place = self.place
        lost, progress = place.lost, self.progress
        fresh: list[RecentChange] = []
        stamps: list[float] = []
        failure = self._sort(self._parser.feed(chunk), now, fresh, stamps)
        self.counters["lost"], self.counters["offset_holes"] = place.lost, place.offset_holes
        if place.lost > lost:
            self.clock.lost(now)
        if fresh:
            self._admit(fresh, stamps, now)
        elif self.progress > progress:
            self.clock.alive(now)
        if failure is not None:
            raise FeedError(f"the stream told of an error: {failure.data[:200].decode('utf-8', 'replace')}")

    def _sort(
        self, read: list[ServerSentEvent], now: float, fresh: list[RecentChange], stamps: list[float]
    ) -> ServerSentEvent | None:
        """Add those that count to `fresh` and their occurrence to `stamps`; return what ends the stream, if any."""
        for told in read:
            if told.event == "error":
                return told
            if told.id:
                self.place.last_id = told.id
            change = self._decoded(told, now)
            if change is None:
                self.place.unreadable()
                continue
            occurred_at = occurrence_time(change) or _NEVER
            if not self.place.is_new(change, occurred_at):
                self.counters["duplicates"] += 1
            elif change.canary:
                self.counters["canaries"] += 1
            elif change.type not in self._kinds:
                self.counters["skipped"] += 1
            else:
                fresh.append(change)
                stamps.append(occurred_at)
        return None

    def _decoded(self, told: ServerSentEvent, now: float) -> RecentChange | None:
        if told.skipped_bytes:
            self.counters["oversized"] += 1
            self._complain(f"an event of {told.skipped_bytes:,} bytes was skipped", now)
            return None
        try:
            return decode(told.data)
        except FeedError as error:
            self.counters["undecodable"] += 1
            self._complain(str(error), now)
            return None

    def _complain(self, what: str, now: float) -> None:
        if now - self._complained_at >= _SECONDS_BETWEEN_COMPLAINTS:
            self._complained_at = now
            total = self.counters["undecodable"] + self.counters["oversized"]
            _logger.warning("%s (%d such events so far)", what, total)

    def _admit(self, fresh: list[RecentChange], stamps: list[float], now: float) -> None:
        times = self.clock.receive(now, stamps)
        occurred = stamps if min(stamps) > _NEVER else [now if stamp == _NEVER else stamp for stamp in stamps]
        self._events += map(event_at, fresh, times, repeat(now), occurred)
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
