"""The one thread that writes to a history: it commits what is queued, about once a second."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, Thread, main_thread
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, Label
from tracewave_panel.ports import SavedState
from tracewave_panel.stores.database import Database
from tracewave_panel.stores.jobs import Job
from tracewave_panel.stores.mending import FAILURES, SHORT_OF_MEMORY, Mending, first_line, is_of_values, is_writable
from tracewave_panel.stores.rows import StateNumber, Telling
from tracewave_panel.stores.shedding import NotKept, write_not_kept
from tracewave_panel.stores.takeover import Takeover
from tracewave_panel.stores.transaction import transaction
from tracewave_panel.stores.upkeep import Upkeep
from tracewave_panel.stores.waiting import Waiting
from tracewave_panel.stores.writer_figures import WriterFigures
from tracewave_panel.stores.writing import Work, write

__all__ = ["Writer"]

CLOSE_TIMEOUT = 10.0
"""Seconds that :meth:`Writer.close` waits for the thread."""

_CLOSED = "the history is closed; nothing of it was written"
_CLOSING_ATTEMPTS = 3
_COMMITS_TIMED = 600
_LONGEST_PAUSE = 5.0  # seconds between two tries while commits fail

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Writer(WriterFigures):
    """Queues without blocking; commits in order; keeps what a failed commit held.

    After a commit it notes what was not kept, does one job, and lets `upkeep` delete for a moment.
    While the disk fails it tries again, after five seconds at most, with the file opened anew where
    that may help; `labels` are written once more into a file that is another than before. Where
    memory is short, it has queries end by `make_room` and tries again at once.

    It ends when it is closed, and also when the main thread has ended without closing it: a
    history that nobody closed is still written, and the process still exits.
    """

    def __init__(
        self,
        database: Database,
        feed: Feed,
        *,
        commit_interval: float,
        queue_limit: int,
        upkeep: Upkeep | None = None,
        labels: Callable[[], Iterable[Label]] = tuple,
        make_room: Callable[..., object] = tuple,
    ) -> None:
        self.commits = 0
        self.failures = 0
        self.commit_seconds: deque[float] = deque(maxlen=_COMMITS_TIMED)
        self.last_error = ""
        self._database = database
        self._feed = feed
        self._commit_interval = self._pause = commit_interval
        self._upkeep = upkeep
        self._mending = Mending(database, make_room=make_room, labels=labels)
        self._changed = Condition()
        self._waiting = Waiting(queue_limit)
        self._jobs: deque[Job[Any]] = deque()
        self._failing_since: float | None = None
        self._busy_since: float | None = None
        self._hurry = False
        self._closing = False
        # Arrow loads pandas for its first array: a second now, but an error once the interpreter ends
        pa.array([0])
        self._thread = Thread(target=self._run, name="tracewave-history-writer")
        self._thread.start()

    def append(self, telling: Telling, takeover: Takeover | None = None) -> None:
        """Queue a telling; the oldest is shed when the queue is full."""
        with self._changed:
            self._waiting.add(telling, takeover)
            if self._waiting.many and not self._hurry:
                self._hurry = True
                self._changed.notify_all()

    def save_state(self, saved: SavedState, number: StateNumber) -> None:
        """Queue a State in place of one that still waits."""
        with self._changed:
            self._waiting.save_state(saved, number)

    def save_label(self, anomaly_id: str, label: Label | None) -> None:
        """Queue a label, or with None that it was taken back, in place of what still waits."""
        with self._changed:
            self._waiting.save_labels({anomaly_id: label})

    def note_missing(self, stretch: NotKept) -> None:
        """Queue that a stretch was not kept; it is written after the next commit."""
        with self._changed:
            self._waiting.note_missing(stretch)

    def last_telling(self, anomaly_id: str) -> Anomaly | None:
        """Last telling of an anomaly among what is not committed yet, or None."""
        with self._changed:
            return self._waiting.last_telling(anomaly_id)

    def run(self, job: Callable[[duckdb.DuckDBPyConnection], T], timeout: float) -> T:
        """Do `job` as a transaction of its own on the writer's thread, after what is queued, and return what it gave.

        The queue waits meanwhile, so a job should be short.

        Parameters
        ----------
        job
            Is given the connection within the transaction; nothing of it holds when it raises.
        timeout
            Seconds until it is given up, undone.

        Raises
        ------
        StoreError
            When it takes too long, what was queued before cannot be written, the history is
            closed, or the disk fails. Other errors of the job are raised as they are.
        """
        asked = Job(job)
        with self._changed:
            if self._closing or not self._thread.is_alive():
                raise StoreError(_CLOSED)
            self._jobs.append(asked)
            self._changed.notify_all()
        return asked.result(timeout)

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
        if self.backlog and not self._thread.is_alive():
            self._run()  # the thread ended with the main one, and more was told since
        if self.backlog:
            said = self.last_error or "the disk does not answer"
            raise StoreError(f"{self.backlog} appends could not be written to history: {said}")

    def _run(self) -> None:
        attempts = _CLOSING_ATTEMPTS
        while attempts:
            with self._changed:
                self._changed.wait_for(self._urgent, self._pause)
                self._hurry = False
                closing = self._closing or not main_thread().is_alive()
            try:
                attempts = self._turn(attempts, closing=closing)
            except MemoryError as error:  # between two transactions
                self._put_back(error)
                attempts -= closing
        with self._changed:
            self._closing = True
        self._refuse_jobs(_CLOSED)

    def _turn(self, attempts: int, *, closing: bool) -> int:
        """Commit what waits, and do what comes after that; attempts that are left."""
        with self._changed:
            work = self._waiting.take()
        if self._commit(work):
            self._write_missing()
            self._do_jobs(closing=closing)
            if not closing:
                self._forget_old()
            return 0 if closing and not self.backlog else _CLOSING_ATTEMPTS
        self._refuse_jobs(f"history cannot be written at this moment: {self.last_error}")
        if closing:
            attempts -= 1
            time.sleep(0.1)
        return attempts

    def _urgent(self) -> bool:
        # while commits fail the interval is kept, however full the queue is
        return self._closing or bool(self._jobs) or (self._hurry and not self.last_error)

    def _do_jobs(self, *, closing: bool) -> None:
        if closing:
            self._refuse_jobs(_CLOSED)
        elif self._jobs:  # one between two commits
            error = self._jobs.popleft().do(self._database.connection)
            if isinstance(error, (duckdb.Error, MemoryError)):
                self._mend(error)

    def _refuse_jobs(self, reason: str) -> None:
        while self._jobs:
            self._jobs.popleft().refuse(reason)

    def _commit(self, work: Work) -> bool:
        if not (work.tellings or work.saved or work.labels):
            self._failing_since = None  # what failed was given up
            return True
        began = time.perf_counter()
        self._busy_since = time.monotonic()
        try:
            self._database.check_place()
            write(self._database.connection, self._feed, work)
        except FAILURES as error:
            self._put_back(error)
            return False
        finally:
            self._busy_since = None
        with self._changed:
            self._waiting.done()
            self.commits += 1
            self.commit_seconds.append(time.perf_counter() - began)
            if self._failing_since is not None:
                _log.warning("history is written again")
            self.last_error = self._waiting.reason = ""
            self._failing_since = None
            self._pause = self._commit_interval
            self._changed.notify_all()
        return True

    def _put_back(self, error: Exception) -> None:
        words = self._mend(error)
        if not self.last_error:
            _log.warning("history is not written, findings wait: %s", words)
        with self._changed:
            self.last_error, self._waiting.reason = first_line(error), words
            self._waiting.put_back()
            self.failures += 1
            # each try may read a long log again
            self._pause = max(self._commit_interval, min(2 * self._pause, _LONGEST_PAUSE))
            if isinstance(error, SHORT_OF_MEMORY) and self._failing_since is None:
                self._pause = 0.0  # what queries held is free
            if self._failing_since is None:
                self._failing_since = time.monotonic()
            if is_of_values(error):
                lost = self._waiting.lose_unless(lambda telling: is_writable(self._feed, telling))
                _log.warning("%d appends that no history can hold are left out", lost)
            self._changed.notify_all()

    def _mend(self, error: BaseException) -> str:
        """Do what may help; why nothing can be written, in words."""
        words, labels = self._mending.after(error)
        with self._changed:
            self._waiting.save_labels(labels, newest=False)
        return words

    def _write_missing(self) -> None:
        with self._changed:
            missing = self._waiting.missing
        if not missing:
            return
        try:
            with transaction(self._database.connection):
                write_not_kept(self._database.connection, missing)
        except (duckdb.Error, MemoryError) as error:
            self._mend(error)
            return
        with self._changed:
            self._waiting.wrote_down(missing)

    def _forget_old(self) -> None:
        if self._upkeep is None:
            return
        try:
            self._upkeep.turn(self._database.connection)
        except (duckdb.Error, MemoryError) as error:  # the next commit says what ails the disk
            self._mend(error)
