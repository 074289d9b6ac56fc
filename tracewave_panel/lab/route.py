"""The way of a stream of edits through a connection with faults: feed clock, windows, analyzer and episodes.

Edits go through the windows by the group, with one Event in the place of those that count in one window and were read
since the last one closed. A window's features are then made of the edits whose groups it tells. That is the way of
single Events, many times faster; a test holds both equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from tracewave_panel.core.analyzer import Analyzer, AnalyzerSettings
from tracewave_panel.core.episodes import Episodes, EpisodeSettings
from tracewave_panel.core.feed_clock import FeedClock
from tracewave_panel.core.lane import LaneSettings
from tracewave_panel.core.windows import TumblingWindows
from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.lab.simulated import features_of
from tracewave_panel.model import Anomaly, Batch, Event, Window
from tracewave_panel.sources.synthetic_connection import READS_A_SECOND
from tracewave_panel.sources.synthetic_world import Columns, join

__all__ = ["MOST_A_SECOND", "Fault", "Raised", "Route"]

MOST_A_SECOND = 4_000
_BLOCK = 60  # seconds of a block of edits
_GROUPS = Feed("groups", "Groups of edits", ("group",), (), (), (), WIKIMEDIA.series, place="group", who="group")
_NO_COUNTS: tuple[Mapping[str, int], ...] = tuple({} for _ in WIKIMEDIA.dimensions)


class Fault(msgspec.Struct, frozen=True):
    """A stretch of time in which nothing can be read, in seconds."""

    start: float
    length: float

    @property
    def end(self) -> float:
        """From when on it can, beginning with what has queued up."""
        return self.start + self.length


class Raised(msgspec.Struct):
    """An anomaly as it was told last, and when it was told first."""

    told_at: float
    anomaly: Anomaly


class Route:
    """From edits as they would arrive undisturbed to anomalies.

    Edits are read ten times a second, at most 4,000 a second; what cannot be read stands in a queue.

    Parameters
    ----------
    lanes
        For windows of one second.
    start
        When the connection stands first, in whole seconds since the epoch.
    faults
        In order of time.
    known
        Whether the loss of the connection is known, as that of a broken one is.
    clock
        A new one.

    Attributes
    ----------
    now
        Up to where the stream was taken in.
    told
        Every window as the analyzer got it, without its counts by dimension and of late edits.
    raised
        By the anomaly's id.
    """

    def __init__(
        self,
        lanes: LaneSettings,
        episodes: EpisodeSettings,
        start: float,
        faults: Sequence[Fault] = (),
        *,
        known: bool = False,
        clock: FeedClock | None = None,
    ) -> None:
        self.now = start
        self.faults = tuple(faults)
        self.told: list[Window] = []
        self.raised: dict[str, Raised] = {}
        self._known = known
        self._to_come = list(reversed(self.faults))
        self._down = False
        self._clock = clock or FeedClock()
        self._clock.connected(start, resumes=True)
        self._windows = TumblingWindows(_GROUPS)
        self._next_end = -math.inf
        self._analyzer = Analyzer(WIKIMEDIA, AnalyzerSettings(lanes=lanes, acceptance=episodes.acceptance))
        self._episodes = Episodes(WIKIMEDIA, episodes)
        self._edits: Columns | None = (
            None  # in order: those in a group, those that only have a time, those in the queue
        )
        self._group = np.zeros(0, np.int64)
        self._times: list[float] = []
        self._groups = 0

    @property
    def lost(self) -> int:
        """Edits that were read and told in no window so far."""
        return len(self._group) + len(self._times)

    def take(self, block: Columns) -> None:
        """Take in the edits of the next minute, in order of arrival."""
        self._edits = block if self._edits is None else join([self._edits, block])
        reads = [round(self.now + (read + 1) / READS_A_SECOND, 3) for read in range(_BLOCK * READS_A_SECOND)]
        arrived = np.searchsorted(self._edits.arrived_at, reads, side="right").tolist()
        occurred_at = self._edits.occurred_at.tolist()
        clock, at = self._clock, self.lost
        told: list[tuple[float, Window]] = []
        for now, until in zip(reads, arrived, strict=True):
            read = [] if self._disturbed(now) else occurred_at[at : min(until, at + MOST_A_SECOND // READS_A_SECOND)]
            at += len(read)
            if read:
                self._times += clock.receive(now, read)
            else:
                clock.tick(now)
            # what is told does not depend on how the events between two ends of windows are cut into batches
            if clock.watermark >= self._next_end and math.isfinite(clock.watermark):
                told += [(now, window) for window in self._close(now)]
        self.now = reads[-1]
        self._judge(told)

    def flush(self) -> None:
        """Tell what is still open."""
        told = self._close(self.now) + self._windows.flush()
        self._judge([(self.now, window) for window in told])

    def _disturbed(self, now: float) -> bool:
        """Say whether nothing can be read, and tell the clock of its beginning and end if that is known."""
        while self._to_come and now > self._to_come[-1].end:
            self._to_come.pop()
        was_down, self._down = self._down, bool(self._to_come) and now > self._to_come[-1].start
        if self._known and self._down and not was_down:
            self._clock.disconnected(now)
        if self._known and was_down and not self._down:
            self._clock.connected(now, resumes=True)
        return self._down

    def _close(self, now: float) -> list[Window]:
        """Group what was read since the last batch, and send it with the watermark."""
        starts, firsts, which = np.unique(np.floor(self._times), return_index=True, return_inverse=True)
        order = np.argsort(firsts)  # the window of the very first event is the first of all
        events = tuple(
            Event(start, start, now, _GROUPS.series[0], group, (group,))
            for group, start in zip(map(str, (self._groups + order).tolist()), starts[order].tolist(), strict=True)
        )
        self._group = np.concatenate([self._group, self._groups + which])
        self._groups += len(starts)
        self._times.clear()
        watermark = self._clock.watermark
        self._next_end = math.floor(watermark) + 1.0
        return self._windows.push(Batch(now, watermark, self._clock.status, events, self._clock.take_marks()))

    def _judge(self, told: Sequence[tuple[float, Window]]) -> None:
        made = self._features([window for _, window in told])
        for (now, window), features in zip(told, made, strict=True):
            seen = msgspec.structs.replace(
                window, count=int(features[0]), features=features, dimension_counts=_NO_COUNTS, late=0, samples=()
            )
            self.told.append(seen)
            for analysis in self._analyzer.analyze(seen):
                for anomaly in self._episodes.follow(analysis):
                    self.raised.setdefault(anomaly.id, Raised(now, anomaly)).anomaly = anomaly

    def _features(self, told: Sequence[Window]) -> list[tuple[float, ...]]:
        """Features of the windows, whose edits are then forgotten; those of a revision are of what it adds."""
        if not told or self._edits is None:
            return []
        first = int(self._group.min(initial=self._groups))
        row_of = np.full(self._groups - first, -1)
        for row, window in enumerate(told):
            for group in map(int, window.dimension_counts[0]):
                if group >= first:  # else a revision tells it once more
                    row_of[group - first] = row
        rows = row_of[self._group - first]
        left = np.ones(len(self._edits.cell), bool)
        left[: len(rows)] = rows < 0
        features = features_of(self._edits.take(~left), rows[rows >= 0], len(told))
        self._edits, self._group = self._edits.take(left), self._group[rows < 0]
        return [tuple(row) for row in features.tolist()]
