"""What a history's writer has still to commit, within bounds of memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from tracewave_panel.model import Anomaly, Label
from tracewave_panel.ports import SavedState
from tracewave_panel.stores.rows import StateNumber, Telling
from tracewave_panel.stores.shedding import NotKept, Numbers, covering
from tracewave_panel.stores.takeover import Takeover
from tracewave_panel.stores.writing import Work

__all__ = ["Waiting"]

EVENTS_LIMIT = 200_000
"""Raw events that wait at most: about 250 MB, ten seconds of 20,000 a second."""

_NOTHING = Work()


class Waiting:
    """Tellings in their order, the newest State and the newest word on each label.

    It has no lock: whoever owns it lets one thread at a time in. Over `limit` tellings the oldest
    is shed: counted, and remembered as a stretch that is not kept. Raw events are shed before that,
    over `EVENTS_LIMIT`.
    """

    def __init__(self, limit: int) -> None:
        self.shed = 0
        self.not_kept = 0
        self.lost_analyses = Numbers()
        self.lost_anomalies = Numbers()
        self.lost_events = Numbers()
        self.reason = ""
        self._limit = limit
        self._queue: deque[Telling] = deque()
        self._events = 0  # of all tellings, those taken among them
        self._saved: SavedState | None = None
        self._state_number = StateNumber(0, 0)
        self._takeover: Takeover | None = None
        self._labels: dict[str, Label | None] = {}
        self._missing: dict[str, NotKept] = {}
        self._taken = _NOTHING

    def __len__(self) -> int:
        """Tellings, States and labels that are not committed, those taken among them."""
        return len(self._queue) + (self._saved is not None) + len(self._labels) + _size(self._taken)

    @property
    def many(self) -> bool:
        """Whether over a tenth of what may wait does."""
        return len(self._queue) * 10 > self._limit

    def add(self, telling: Telling, takeover: Takeover | None) -> None:
        """Take in a telling."""
        if takeover is not None:
            self._takeover = takeover
        self._queue.append(telling)
        self._events += len(telling.events)
        self._bound()

    def save_state(self, saved: SavedState, number: StateNumber) -> None:
        """Take in a State in place of one that still waits."""
        self._saved, self._state_number = saved, number

    def save_labels(self, labels: Mapping[str, Label | None], *, newest: bool = True) -> None:
        """Take in labels in place of those that wait, or when they are not the newest behind those."""
        self._labels = {**self._labels, **labels} if newest else {**labels, **self._labels}

    def last_telling(self, anomaly_id: str) -> Anomaly | None:
        """Last telling of an anomaly, or None."""
        told = (
            anomaly
            for telling in reversed((*self._taken.tellings, *self._queue))
            for anomaly in reversed(telling.anomalies)
        )
        return next((anomaly for anomaly in told if anomaly.id == anomaly_id), None)

    def take(self) -> Work:
        """All that waits; it still counts until it is :meth:`done` or :meth:`put_back`."""
        self._taken = Work(self._takeover, tuple(self._queue), self._saved, self._state_number, self._labels)
        self._queue.clear()
        self._takeover = self._saved = None
        self._labels = {}
        return self._taken

    def done(self) -> None:
        """Let go of what was taken: it is committed."""
        self._events -= sum(len(telling.events) for telling in self._taken.tellings)
        self._taken = _NOTHING

    def put_back(self) -> None:
        """Put what was taken before what came since."""
        work, self._taken = self._taken, _NOTHING
        self._queue.extendleft(reversed(work.tellings))
        if self._saved is None:
            self._saved, self._state_number = work.saved, work.state_number
        if self._takeover is None:
            self._takeover = work.takeover
        self.save_labels(work.labels, newest=False)
        self._bound()

    def lose_unless(self, writable: Callable[[Telling], bool]) -> int:
        """Shed what can never be written; returns how many that were."""
        before, self._queue = self._queue, deque()
        for telling in before:
            if writable(telling):
                self._queue.append(telling)
            else:
                self._lose(telling, "it held a value that no column can")
        return len(before) - len(self._queue)

    def note_missing(self, stretch: NotKept) -> None:
        """Remember a stretch that was not kept; those of one reason that wait are one."""
        self.not_kept += stretch.windows
        said = self._missing.get(stretch.reason)
        self._missing[stretch.reason] = said.joined(stretch) if said else stretch

    @property
    def missing(self) -> tuple[NotKept, ...]:
        """Stretches that are not written down yet."""
        return tuple(self._missing.values())

    def wrote_down(self, stretches: tuple[NotKept, ...]) -> None:
        """Forget stretches, unless they have grown since."""
        for stretch in stretches:
            if self._missing.get(stretch.reason) == stretch:
                del self._missing[stretch.reason]

    def _bound(self) -> None:
        because = f"more waited than memory may hold: {self.reason or 'the disk was too slow'}"
        while len(self._queue) + len(self._taken.tellings) > self._limit:
            self._lose(self._queue.popleft(), because)
        if self._events > EVENTS_LIMIT:
            self._lose_events(because)

    def _lose_events(self, because: str) -> None:
        """Let the oldest raw events go; windows are few and stay."""
        over = self._events - EVENTS_LIMIT
        for place, telling in enumerate(self._queue):
            if over <= 0:
                break
            if telling.events:
                over -= len(telling.events)
                self._queue[place] = msgspec.structs.replace(telling, events=())
                self._lost_events(telling, f"raw events alone; {because}")

    def _lost_events(self, telling: Telling, reason: str) -> None:
        self._events -= len(telling.events)
        self.lost_events.add(telling.event_number, len(telling.events))
        times = [event.time for event in telling.events if math.isfinite(event.time)]
        if times:
            self.note_missing(NotKept(min(times), max(times), 0, reason))

    def _lose(self, telling: Telling, reason: str) -> None:
        self.shed += 1
        self.lost_analyses.add(telling.analysis_number, len(telling.analyses))
        self.lost_anomalies.add(telling.anomaly_number, len(telling.anomalies))
        if telling.events:
            self._lost_events(telling, reason)
        if stretch := covering(telling.analyses, reason):
            self.note_missing(stretch)


def _size(work: Work) -> int:
    return len(work.tellings) + (work.saved is not None) + len(work.labels)
