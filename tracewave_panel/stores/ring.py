"""The in-memory store: bounded, thread-safe, and what the live page reads."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from threading import Lock
from typing import Generic, TypeVar

from tracewave_panel.errors import StoreError
from tracewave_panel.model import Analysis, Anomaly, Event, Findings, Label, Mark
from tracewave_panel.ports import Page, SavedState
from tracewave_panel.stores.labels import Labels, unknown_anomaly
from tracewave_panel.stores.ranges import Range, stretches

__all__ = ["RingStore"]

T = TypeVar("T")


class RingStore:
    """Keeps the newest findings in memory, and the last State.

    One thread may write while others read. A cursor is the running number of the last item
    read, starting at 0; a cursor from the future is answered with an empty page that leads back
    to the present. What falls out is counted in :attr:`~tracewave_panel.ports.Page.missed`.

    Of an anomaly only the last telling is kept, in the place of its number: a reader that
    follows closely sees every telling, a slow one sees where each episode stands now.

    A page of a range leads on to the newest number when it is not full: whoever asks on with its
    cursor gets each item of the range once. Its `missed` counts all that was let go after the
    cursor, since nobody knows any more what of it lay in the range.

    Parameters
    ----------
    analyses, events
        How many of each are kept. The default holds a quarter of an hour of four metrics
        at a window a second.
    anomalies
        How many ids are kept: those told last.
    labels
        How many are kept: those given last.
    gaps
        How many are kept: those told last. Told again with the same start, a gap takes the place
        of its last telling.

    Raises
    ------
    StoreError
        By every method after :meth:`close`.

    Examples
    --------
    >>> from tracewave_panel.model import Event, Findings, Status
    >>> store = RingStore(events=2)
    >>> edits = tuple(Event(time=t, occurred_at=t, arrived_at=t, series="edits", id=str(t)) for t in (1.0, 2.0, 3.0))
    >>> store.append(Findings(arrived_at=3.0, watermark=3.0, status=Status.LIVE, events=edits))
    >>> page = store.events()
    >>> [event.id for event in page.items], page.cursor, page.missed
    (['2.0', '3.0'], 3, 1)
    >>> store.events(after=page.cursor).items
    ()
    """

    def __init__(
        self, *, analyses: int = 3600, anomalies: int = 200, events: int = 5000, labels: int = 1000, gaps: int = 1000
    ) -> None:
        self._sizes = (analyses, anomalies, events)
        self._most_labels = labels
        self._most_gaps = gaps
        self._lock = Lock()
        self._closed = False
        self._empty()

    def _empty(self) -> None:
        analyses, anomalies, events = self._sizes
        self._analyses: _Ring[Analysis] = _Ring(analyses)
        self._anomalies = _LastTellings(anomalies)
        self._events: _Ring[Event] = _Ring(events)
        self._state: SavedState | None = None
        self._labels = Labels(most=self._most_labels)
        self._gaps: dict[float, Mark] = {}

    def append(self, findings: Findings) -> None:
        """Keep what one batch gave; about a tenth of a microsecond an item."""
        with self._lock:
            self._check_open()
            self._analyses.extend(findings.analyses)
            self._events.extend(findings.events)
            for anomaly in findings.anomalies:
                self._anomalies.tell(anomaly)
            for gap in findings.gaps:
                self._gaps.pop(gap.start, None)
                self._gaps[gap.start] = gap
                if len(self._gaps) > self._most_gaps:
                    del self._gaps[next(iter(self._gaps))]

    def analyses(
        self, after: int = 0, limit: int = 1000, *, since: float | None = None, until: float | None = None
    ) -> Page[Analysis]:
        """Analyses of windows that start within ``[since, until)``, appended after the cursor, oldest first."""
        within = Range(since, until)
        with self._lock:
            self._check_open()
            page = self._analyses.page(after, limit if within.endless else self._sizes[0])
        return page if within.endless else _first_within(page, limit, within)

    def anomalies(
        self, after: int = 0, limit: int = 1000, *, since: float | None = None, until: float | None = None
    ) -> Page[Anomaly]:
        """Last telling of each anomaly opened within ``[since, until)`` that was told after the cursor, in that order.

        A range is asked of the opening that the last telling names.
        """
        with self._lock:
            self._check_open()
            return self._anomalies.page(after, limit, Range(since, until))

    def anomaly(self, anomaly_id: str) -> Anomaly | None:
        """Last telling of one anomaly; None when it was never told or let go."""
        with self._lock:
            self._check_open()
            return self._anomalies.last(anomaly_id)

    def gaps(self, *, since: float | None = None, until: float | None = None) -> tuple[Mark, ...]:
        """Gaps that overlap ``[since, until)``, whole and in order of time; those that touch are one."""
        with self._lock:
            self._check_open()
            held = tuple(self._gaps.values())
        within = Range(since, until)
        return tuple(gap for gap in stretches(held) if within.overlaps(gap))

    def events(self, after: int = 0, limit: int = 1000) -> Page[Event]:
        """Raw events appended after the cursor, oldest first."""
        with self._lock:
            self._check_open()
            return self._events.page(after, limit)

    def save_state(self, saved: SavedState) -> None:
        """Keep a State in place of the one before."""
        with self._lock:
            self._check_open()
            self._state = saved

    def load_state(self) -> SavedState | None:
        """Return the last State, or None."""
        with self._lock:
            self._check_open()
            return self._state

    def label(self, label: Label) -> None:
        """Keep a label in place of the one before; one of an anomaly that is not held is refused."""
        with self._lock:
            self._check_open()
            if label.anomaly_id not in self._labels and self._anomalies.last(label.anomaly_id) is None:
                raise unknown_anomaly(label.anomaly_id)
            self._labels.give(label)

    def unlabel(self, anomaly_id: str, at: float) -> None:
        """Take back a label that was given at or before `at`."""
        with self._lock:
            self._check_open()
            self._labels.take_back(anomaly_id, at)

    def labels(self) -> tuple[Label, ...]:
        """Labels that hold, in the order in which they were given."""
        with self._lock:
            self._check_open()
            return self._labels.all()

    def restore_labels(self, labels: Iterable[Label]) -> None:
        """Take in labels of an earlier run, in their order; their anomalies may be told later."""
        with self._lock:
            self._check_open()
            for label in labels:
                self._labels.give(label)

    def clear(self) -> None:
        """Forget everything and count from 0 again; readers must start over."""
        with self._lock:
            self._check_open()
            self._empty()

    def close(self) -> None:
        """Refuse further calls; what was kept is let go with the store."""
        with self._lock:
            self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the in-memory store is closed; make a new RingStore")


class _Ring(Generic[T]):
    """Item number n (from 1) lies in slot ``(n - 1) % size``, so a page costs only what it holds."""

    def __init__(self, size: int) -> None:
        self._slots: list[T] = []
        self._size = size
        self._total = 0

    def extend(self, items: Sequence[T]) -> None:
        filling = self._size - len(self._slots)
        self._slots.extend(items[:filling])
        number = self._total + min(filling, len(items))
        for item in items[filling:]:
            self._slots[number % self._size] = item
            number += 1
        self._total = number

    def page(self, after: int, limit: int) -> Page[T]:
        oldest = self._total - len(self._slots)
        first = min(max(after, oldest), self._total)
        last = min(first + limit, self._total)
        start, stop = first % self._size, last - first + first % self._size
        items = self._slots[start:stop]
        if stop > self._size:
            items += self._slots[: stop - self._size]
        return Page(tuple(items), last, max(0, first - after))


class _LastTellings:
    """Tellings by id in order of their number; a new telling moves its id to the end."""

    REMEMBERED = 10_000  # numbers of forgotten tellings, so that `missed` can be exact

    def __init__(self, size: int) -> None:
        self._tellings: dict[str, tuple[int, Anomaly]] = {}
        self._forgotten: deque[int] = deque(maxlen=self.REMEMBERED)
        self._size = size
        self._total = 0

    def last(self, anomaly_id: str) -> Anomaly | None:
        _, anomaly = self._tellings.get(anomaly_id, (0, None))
        return anomaly

    def tell(self, anomaly: Anomaly) -> None:
        self._total += 1
        self._tellings.pop(anomaly.id, None)
        self._tellings[anomaly.id] = (self._total, anomaly)
        if len(self._tellings) > self._size:
            number, _ = self._tellings.pop(next(iter(self._tellings)))
            self._forgotten.append(number)

    def page(self, after: int, limit: int, within: Range) -> Page[Anomaly]:
        if after >= self._total:
            return Page((), self._total)
        fitting = (told for told in self._tellings.values() if told[0] > after and within.holds(told[1].opened))
        taken = list(islice(fitting, limit))
        cursor = self._total if len(taken) < limit else taken[-1][0] if taken else after
        missed = len(self._forgotten) - bisect_right(self._forgotten, after)
        return Page(tuple(anomaly for _, anomaly in taken), cursor, missed)


def _first_within(page: Page[Analysis], limit: int, within: Range) -> Page[Analysis]:
    """Of a page that reaches to the newest analysis, the first `limit` of a range."""
    before = page.cursor - len(page.items)
    fitting = (told for told in enumerate(page.items, before + 1) if within.holds(told[1].window.start))
    taken = list(islice(fitting, limit))
    cursor = page.cursor if len(taken) < limit else taken[-1][0] if taken else before
    return Page(tuple(analysis for _, analysis in taken), cursor, page.missed)
