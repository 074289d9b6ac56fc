"""History on disk: one file, one writer thread, one commit a second."""

from __future__ import annotations

import threading
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import msgspec
import pyarrow as pa

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Event, Findings, Mark, Origin
from tracewave_panel.ports import Page, SavedState, Table
from tracewave_panel.stores import roll_ups
from tracewave_panel.stores.backfill import Filled
from tracewave_panel.stores.database import Database
from tracewave_panel.stores.filled import await_filled
from tracewave_panel.stores.labels import Labels
from tracewave_panel.stores.labels_of_history import LabelsOfHistory
from tracewave_panel.stores.numbering import Numbering, Past
from tracewave_panel.stores.progress import WritingProgress
from tracewave_panel.stores.ranges import Range
from tracewave_panel.stores.reader import Reader
from tracewave_panel.stores.retelling import paged
from tracewave_panel.stores.rows import Filling, StateNumber
from tracewave_panel.stores.select import Selects, to_table
from tracewave_panel.stores.takeover import Awaited
from tracewave_panel.stores.upkeep import Upkeep
from tracewave_panel.stores.writer import Writer

__all__ = ["DuckDBStore"]


class DuckDBStore(WritingProgress, LabelsOfHistory):
    """Keeps findings in a DuckDB file, and answers SQL about them while it writes.

    :meth:`append` and :meth:`save_state` only queue. A writer thread commits what is queued once
    every `commit_interval`; all of one append becomes visible and durable in one transaction, and
    a State in that of the appends before it or a later one. Readers see whole transactions. When
    a commit fails, its findings stay queued and are tried again; over `queue_limit` the oldest
    are shed and counted.

    **Keys.** A window is told under (series, start) and holds its newest revision; what was
    stored of it in any table is replaced whole. An anomaly holds its last telling.

    **Going on after a kill.** A run that goes on from a State tells every window that ends after
    the State's watermark again. So the first windows appended after :meth:`load_state` take over:
    in their transaction every window, gap and anomaly that begins at or after them is forgotten,
    as far as the State does not cover it. Anomalies that were open before are told again under
    their ids. A run that loads a State and then starts afresh takes nothing over, because its
    windows begin after what is stored. Without a State nothing is taken over: what a run told that
    was killed before its first State stays, an anomaly that it left open included.

    **Labels** outlive their anomalies: they stay when one is forgotten, to be told again under its id.

    **Raw events** told after the State was saved are forgotten in the same transaction, those of
    the run that goes on are not. Events of an earlier run that are told again under their ids
    replace it. The samples of windows and of their contributions are not stored; those of an
    anomaly's are. Anomalies superseded by a later telling, and windows by a later revision, are
    not missed.

    A page of a range leads on to the newest number that is committed when it is not full: whoever
    asks on with its cursor gets each item of the range once. Its `missed` counts all that was shed
    on the way to its cursor, whether or not it lay in the range. Moments of a range count to the
    microsecond, as those that are stored do.

    Parameters
    ----------
    path
        The file; its folder is made if need be.
    feed
        Names the columns; a file of another feed is refused.
    origin
        Written into ``meta`` of a new file.
    commit_interval
        Seconds between commits.
    queue_limit
        Findings that wait at most; beyond a tenth of it the writer does not wait for its second.
    memory_limit
        What queries and writing may use together, in DuckDB's words.
    upkeep
        Deletes what is too old; None keeps everything.
    keep_events
        Seconds for which `upkeep` keeps raw events; 0: they are only counted.

    Raises
    ------
    StoreError
        When the file cannot be opened, and by every method after :meth:`close`.
    """

    def __init__(
        self,
        path: Path,
        feed: Feed,
        *,
        origin: Origin = Origin.LIVE,
        commit_interval: float = 1.0,
        queue_limit: int = 10_000,
        memory_limit: str = "1GB",
        upkeep: Upkeep | None = None,
        keep_events: float = 86_400.0,
    ) -> None:
        self.path = path
        self._feed = feed
        self._database = Database(path, feed, origin=origin, memory_limit=memory_limit)
        self._selects = Selects(self._database.cursor)
        self._state: SavedState | None = None
        self._state_events = 0
        self._filled: set[str] = set()
        self._lock = Lock()
        self._closed = False
        self._reader = Reader(self._database, feed)
        self._labels = Labels(self._reader.labels())
        past = Past(*self._database.last_told(), *self._reader.last_event())
        self._numbers = Numbering(past, events=keep_events > 0)
        self._awaited = Awaited(past.events)
        roll_ups.settle_at_opening(self._database.connection, feed)
        self._writer = Writer(
            self._database,
            feed,
            commit_interval=commit_interval,
            queue_limit=queue_limit,
            upkeep=upkeep,
            labels=self.labels,
            make_room=self._selects.make_room,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, findings: Findings) -> None:
        """Queue what one batch gave; never waits for the disk."""
        with self._lock:
            self._check_open()
            telling = self._numbers.telling(findings)
            if telling is not None:
                self._writer.append(telling, self._awaited.told(findings.analyses))

    def analyses(
        self, after: int = 0, limit: int = 1000, *, since: float | None = None, until: float | None = None
    ) -> Page[Analysis]:
        """Analyses of windows that start within ``[since, until)``, committed after the cursor, oldest first."""
        self._check_open_now()
        told = self._reader.analyses(after, limit, Range(since, until))
        return paged(told, after, self._numbers.analyses, self._writer.lost_analyses)

    def anomalies(
        self, after: int = 0, limit: int = 1000, *, since: float | None = None, until: float | None = None
    ) -> Page[Anomaly]:
        """Last committed telling of each anomaly opened within ``[since, until)`` that was told after the cursor.

        In order of telling. A range is asked of the opening that the last telling names.
        """
        self._check_open_now()
        told = self._reader.anomalies(after, limit, Range(since, until))
        return paged(told, after, self._numbers.anomalies, self._writer.lost_anomalies)

    def anomaly(self, anomaly_id: str) -> Anomaly | None:
        """Last telling of one anomaly, seen as soon as it was appended; None when there is none."""
        self._check_open_now()
        return self._writer.last_telling(anomaly_id) or self._reader.anomaly(anomaly_id)

    def gaps(self, *, since: float | None = None, until: float | None = None) -> tuple[Mark, ...]:
        """Committed gaps that overlap ``[since, until)``, whole and in order of time; those that touch are one."""
        self._check_open_now()
        return self._reader.gaps(Range(since, until))

    def events(self, after: int = 0, limit: int = 1000) -> Page[Event]:
        """Raw events committed after the cursor, in the order of telling; those too old to be kept are missed."""
        self._check_open_now()
        if not self._numbers.keeps_events:
            return Page((), self._numbers.events, max(0, self._numbers.events - after))
        stored = self._reader.events(after, limit)
        page = paged(stored.told, max(after, stored.gone), self._numbers.events, self._writer.lost_events)
        return msgspec.structs.replace(page, missed=page.missed + stored.expired) if stored.expired else page

    def backfill(self, findings: Findings, timeout: float = 60.0) -> Filled:
        """Write of `findings` what history lacks, and return how much that was once it is committed.

        That is windows which are absent or a gap, anomalies whose id is absent and that opened within
        windows it wrote, and events whose id is absent. Gaps are not written, nothing is taken over.
        A later telling of an anomaly that was filled in replaces it.

        Raises
        ------
        StoreError
            When that takes longer than `timeout` seconds, or nothing can be written.
        """
        filling = Filling(self._filled)
        with self._lock:
            self._check_open()
            telling = self._numbers.telling(findings, filling)
            if telling is None:
                return Filled(0, 0, 0)
            self._writer.append(telling)
        return await_filled(self._writer, filling, timeout)

    def save_state(self, saved: SavedState) -> None:
        """Queue a State; it is committed together with every append before it."""
        with self._lock:
            self._check_open()
            takeover = self._awaited.saving()
            if takeover is not None:
                self._writer.append(self._numbers.nothing(saved.saved_at), takeover)
            self._state, self._state_events = saved, self._numbers.events
            self._numbers.states += 1
            self._writer.save_state(saved, StateNumber(self._numbers.states, self._state_events))

    def load_state(self) -> SavedState | None:
        """Return the newest State; the windows appended next take over (see the class).

        Raises
        ------
        StateError
            When its bytes are damaged.
        """
        with self._lock:
            self._check_open()
            if self._state is None:
                self._state, self._state_events = self._reader.state()
            self._awaited.loaded(self._state, self._state_events)
            return self._state

    def start_afresh(self) -> None:
        """Say that the run does not go on from the State it loaded: nothing is taken over."""
        with self._lock:
            self._check_open()
            self._awaited.loaded(None, 0)

    def query(
        self, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0, cancelled: threading.Event | None = None
    ) -> Table:
        """Run one SELECT or EXPLAIN; times come back as aware datetimes in UTC.

        Raises
        ------
        QueryError
            When the SQL is wrong, not a single SELECT, takes longer than `timeout` seconds, was
            cancelled, or gives more than `max_rows` rows.
        """
        return to_table(self.query_arrow(sql, max_rows=max_rows, timeout=timeout, cancelled=cancelled))

    def query_arrow(
        self, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0, cancelled: threading.Event | None = None
    ) -> pa.Table:
        """Run one SELECT or EXPLAIN and return an Arrow table; raises as :meth:`query` does."""
        return self._selects.arrow(sql, max_rows=max_rows, timeout=timeout, cancelled=cancelled)

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until everything appended and saved so far is durable.

        Raises
        ------
        StoreError
            When that takes longer than `timeout` seconds.
        """
        self._check_open_now()
        self._writer.flush(timeout)

    def close(self) -> None:
        """Stop queries, commit what is left and release the file; a second call does nothing.

        Raises
        ------
        StoreError
            When something could not be written.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._selects.close()
        try:
            self._writer.close()
        finally:
            self._database.close()

    def _check_open_now(self) -> None:
        with self._lock:
            self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the history is closed; open it again with DuckDBStore")
