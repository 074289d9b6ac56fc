"""The one thread that writes to a history: it commits what is queued, about once a second."""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import suppress
from threading import Condition, Lock, Thread, main_thread

import duckdb
import pyarrow as pa

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, Label
from tracewave_panel.ports import SavedState
from tracewave_panel.stores.database import Database
from tracewave_panel.stores.rows import Telling, to_arrow
from tracewave_panel.stores.writing import Work, write

__all__ = ["Numbers", "Writer"]

CLOSE_TIMEOUT = 10.0
"""Seconds that :meth:`Writer.close` waits for the thread."""

_CLOSING_ATTEMPTS = 3
_COMMITS_TIMED = 600

_UNWRITABLE = (ValueError, TypeError, OverflowError, pa.ArrowException)
"""What rows raise whose values no column can hold; trying again would not help."""

_log = logging.getLogger(__name__)


class Writer:
    """Queues without blocking; commits in order; keeps what a failed commit held.

    It ends when it is closed, and also when the main thread has ended without closing it: a
    history that nobody closed is still written, and the process still exits.
    """

    def __init__(self, database: Database, feed: Feed, *, commit_interval: float, queue_limit: int) -> None:
        self.commits = 0
        self.failures = 0
        self.shed = 0
        self.commit_seconds: deque[float] = deque(maxlen=_COMMITS_TIMED)
        self.last_error = ""
        self.lost_analyses = Numbers()
        self.lost_anomalies = Numbers()
        self._database = database
        self._feed = feed
        self._commit_interval = commit_interval
        self._queue_limit = queue_limit
        self._changed = Condition()
        self._queue: deque[Telling] = deque()
        self._writing = 0
        self._saved: SavedState | None = None
        self._state_number = 0
        self._takeover: int | None = None
        self._labels: dict[str, Label | None] = {}
        self._work = Work(None, (), None, 0)
        self._hurry = False
        self._closing = False
        # Arrow loads pandas for its first array: a second now, but an error once the interpreter ends
        pa.array([0])
        self._thread = Thread(target=self._run, name="tracewave-history-writer")
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Tellings, States and labels that are not committed yet."""
        return len(self._queue) + self._writing + (self._saved is not None) + len(self._labels)

    def append(self, telling: Telling, takeover: int | None = None) -> None:
        """Queue a telling; the oldest is shed when the queue is full."""
        with self._changed:
            if takeover is not None:
                self._takeover = takeover
            self._queue.append(telling)
            if len(self._queue) + self._writing > self._queue_limit:
                self._lose(self._queue.popleft())
            if len(self._queue) * 10 > self._queue_limit and not self._hurry:
                self._hurry = True
                self._changed.notify_all()

    def save_state(self, saved: SavedState, number: int) -> None:
        """Queue a State in place of one that still waits."""
        with self._changed:
            self._saved, self._state_number = saved, number

    def save_label(self, anomaly_id: str, label: Label | None) -> None:
        """Queue a label, or with None that it was taken back, in place of what still waits."""
        with self._changed:
            self._labels[anomaly_id] = label

    def last_telling(self, anomaly_id: str) -> Anomaly | None:
        """Last telling of an anomaly among what is not committed yet, or None."""
        with self._changed:
            waiting = (*self._work.tellings, *self._queue)
        told = (anomaly for telling in reversed(waiting) for anomaly in reversed(telling.anomalies))
        return next((anomaly for anomaly in told if anomaly.id == anomaly_id), None)

    def flush(self, timeout: float) -> None:
        """Wait until everything queued is committed.

        Raises
        ------
        StoreError
            When that takes longer than `timeout` seconds.
        """
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self.backlog, timeout):
                raise StoreError(f"history is not written yet: {self.backlog} appends wait; {self.last_error}")

    def close(self) -> None:
        """Commit what is left and end the thread.

        Raises
        ------
        StoreError
            When something could not be written.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_TIMEOUT)
        if self.backlog:
            said = self.last_error or "the disk does not answer"
            raise StoreError(f"{self.backlog} appends could not be written to history: {said}")

    def _run(self) -> None:
        attempts = _CLOSING_ATTEMPTS
        while attempts:
            with self._changed:
                self._changed.wait_for(self._urgent, self._commit_interval)
                self._hurry = False
                closing = self._closing or not main_thread().is_alive()
                work = self._take()
            if self._commit(work):
                attempts = 0 if closing and not self.backlog else _CLOSING_ATTEMPTS
            elif closing:
                attempts -= 1
                time.sleep(0.1)

    def _urgent(self) -> bool:
        # while commits fail the interval is kept, however full the queue is
        return self._closing or (self._hurry and not self.last_error)

    def _take(self) -> Work:
        work = Work(self._takeover, tuple(self._queue), self._saved, self._state_number, self._labels)
        self._queue.clear()
        self._writing = len(work.tellings) + (work.saved is not None) + len(work.labels)
        self._takeover = self._saved = None
        self._labels = {}
        self._work = work
        return work

    def _commit(self, work: Work) -> bool:
        if not self._writing:
            return True
        began = time.perf_counter()
        try:
            write(self._database.connection, self._feed, work)
        except (duckdb.Error, OSError, *_UNWRITABLE) as error:
            self._put_back(work, error)
            return False
        with self._changed:
            self._writing = 0
            self._work = Work(None, (), None, 0)
            self.commits += 1
            self.commit_seconds.append(time.perf_counter() - began)
            self.last_error = ""
            self._changed.notify_all()
        return True

    def _put_back(self, work: Work, error: Exception) -> None:
        said = str(error).splitlines()[0]
        if isinstance(error, duckdb.FatalException | duckdb.ConnectionException):
            # a disk that was full during a checkpoint; while it still is, this fails and is tried again
            with suppress(StoreError):
                self._database.reopen()
        if not self.last_error:
            _log.warning("history is not written, findings wait: %s", said)
        with self._changed:
            self._queue.extendleft(reversed(work.tellings))
            if self._saved is None:
                self._saved, self._state_number = work.saved, work.state_number
            if self._takeover is None:
                self._takeover = work.takeover
            self._labels = {**work.labels, **self._labels}
            self._writing = 0
            self.failures += 1
            self.last_error = said
            if isinstance(error, _UNWRITABLE):
                self._lose_unwritable()
            while len(self._queue) > self._queue_limit:
                self._lose(self._queue.popleft())
            self._changed.notify_all()

    def _lose_unwritable(self) -> None:
        writable = deque(telling for telling in self._queue if self._is_writable(telling))
        _log.warning("%d appends that no history can hold are left out", len(self._queue) - len(writable))
        self._queue = writable

    def _is_writable(self, telling: Telling) -> bool:
        try:
            to_arrow(self._feed, [telling], {})
        except _UNWRITABLE:
            self._lose(telling)
            return False
        return True

    def _lose(self, telling: Telling) -> None:
        self.shed += 1
        self.lost_analyses.add(telling.analysis_number, len(telling.analyses))
        self.lost_anomalies.add(telling.anomaly_number, len(telling.anomalies))


class Numbers:
    """A set of running numbers, kept as stretches."""

    def __init__(self) -> None:
        self._stretches: list[tuple[int, int]] = []
        self._lock = Lock()

    def add(self, first: int, count: int) -> None:
        """Take in `count` numbers from `first` on, which is higher than any before."""
        with self._lock:
            stop = first + count
            if self._stretches and self._stretches[-1][1] == first:
                first = self._stretches.pop()[0]
            if stop > first:
                self._stretches.append((first, stop))

    def between(self, after: int, upto: int) -> int:
        """How many are greater than `after` and not greater than `upto`."""
        with self._lock:
            return sum(max(0, min(stop, upto + 1) - max(first, after + 1)) for first, stop in self._stretches)
