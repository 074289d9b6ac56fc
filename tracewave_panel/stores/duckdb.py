"""History on disk: one file, one writer thread, one commit a second."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TypeVar

import pyarrow as pa

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Event, Findings, Label, Mark, Origin
from tracewave_panel.ports import Page, SavedState, Table
from tracewave_panel.stores.database import Database
from tracewave_panel.stores.labels import Labels, unknown_anomaly
from tracewave_panel.stores.progress import WritingProgress
from tracewave_panel.stores.ranges import Range
from tracewave_panel.stores.reader import Reader
from tracewave_panel.stores.retelling import Told
from tracewave_panel.stores.rows import Telling, label_rows
from tracewave_panel.stores.select import Selects, to_table
from tracewave_panel.stores.writer import Numbers, Writer
from tracewave_panel.stores.writing import takeover_of

__all__ = ["DuckDBStore"]

T = TypeVar("T")


class DuckDBStore(WritingProgress):
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

    Raw events are not stored: :meth:`events` says how many were missed. Nor are the samples of
    windows and of their contributions; those of an anomaly's are. Anomalies superseded by a
    later telling, and windows by a later revision, are not missed.

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
    ) -> None:
        self._feed = feed
        self._database = Database(path, feed, origin=origin, memory_limit=memory_limit)
        self._selects = Selects(self._database.cursor)
        self._analysis_number, self._anomaly_number, self._state_number = self._database.last_told()
        self._event_number = 0
        self._state: SavedState | None = None
        self._awaited: SavedState | None = None
        self._lock = Lock()
        self._closed = False
        self._reader = Reader(self._database, feed)
        self._labels = Labels(self._reader.labels())
        self._writer = Writer(self._database, feed, commit_interval=commit_interval, queue_limit=queue_limit)

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
            self._event_number += len(findings.events)
            if not (findings.analyses or findings.anomalies or findings.gaps):
                return
            telling = Telling(
                findings.analyses,
                findings.anomalies,
                findings.gaps,
                findings.arrived_at,
                self._analysis_number + 1,
                self._anomaly_number + 1,
            )
            self._analysis_number += len(findings.analyses)
            self._anomaly_number += len(findings.anomalies)
            takeover = takeover_of(self._awaited, findings.analyses) if self._awaited else None
            if takeover is not None:
                self._awaited = None
            self._writer.append(telling, takeover)

    def analyses(
        self, after: int = 0, limit: int = 1000, *, since: float | None = None, until: float | None = None
    ) -> Page[Analysis]:
        """Analyses of windows that start within ``[since, until)``, committed after the cursor, oldest first."""
        self._check_open_now()
        told = self._reader.analyses(after, limit, Range(since, until))
        return _page(told, after, self._analysis_number, self._writer.lost_analyses)

    def anomalies(
        self, after: int = 0, limit: int = 1000, *, since: float | None = None, until: float | None = None
    ) -> Page[Anomaly]:
        """Last committed telling of each anomaly opened within ``[since, until)`` that was told after the cursor.

        In order of telling. A range is asked of the opening that the last telling names.
        """
        self._check_open_now()
        told = self._reader.anomalies(after, limit, Range(since, until))
        return _page(told, after, self._anomaly_number, self._writer.lost_anomalies)

    def anomaly(self, anomaly_id: str) -> Anomaly | None:
        """Last telling of one anomaly, seen as soon as it was appended; None when there is none."""
        self._check_open_now()
        return self._writer.last_telling(anomaly_id) or self._reader.anomaly(anomaly_id)

    def gaps(self, *, since: float | None = None, until: float | None = None) -> tuple[Mark, ...]:
        """Committed gaps that overlap ``[since, until)``, whole and in order of time; those that touch are one."""
        self._check_open_now()
        return self._reader.gaps(Range(since, until))

    def events(self, after: int = 0, limit: int = 1000) -> Page[Event]:  # noqa: ARG002 - there is nothing to limit
        """Nothing: raw events are not stored, only counted."""
        with self._lock:
            self._check_open()
            return Page((), self._event_number, max(0, self._event_number - after))

    def save_state(self, saved: SavedState) -> None:
        """Queue a State; it is committed together with every append before it."""
        with self._lock:
            self._check_open()
            self._state = saved
            self._state_number += 1
            self._writer.save_state(saved, self._state_number)

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
                self._state = self._reader.state()
            self._awaited = self._state
            return self._state

    def label(self, label: Label) -> None:
        """Queue a label; one of an anomaly that was never told here is refused."""
        with self._lock:
            self._check_open()
            known = label.anomaly_id in self._labels
        if not known and self.anomaly(label.anomaly_id) is None:
            raise unknown_anomaly(label.anomaly_id)
        self.restore_labels((label,))

    def unlabel(self, anomaly_id: str, at: float) -> None:
        """Queue that a label which was given at or before `at` holds no longer."""
        with self._lock:
            self._check_open()
            if self._labels.take_back(anomaly_id, at):
                self._writer.save_label(anomaly_id, None)

    def labels(self) -> tuple[Label, ...]:
        """Labels that hold, those of earlier runs and those not yet committed among them."""
        with self._lock:
            self._check_open()
            return self._labels.all()

    def restore_labels(self, labels: Iterable[Label]) -> None:
        """Queue labels whose anomalies may be told later.

        Raises
        ------
        StoreError
            When one holds what no column can.
        """
        given = tuple(labels)
        try:
            label_rows(self._feed, given)
        except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
            raise StoreError(f"a label cannot be kept in history: {error}") from error
        with self._lock:
            self._check_open()
            for label in given:
                self._labels.give(label)
                self._writer.save_label(label.anomaly_id, label)

    def query(self, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0) -> Table:
        """Run one SELECT or EXPLAIN; times come back as aware datetimes in UTC.

        Raises
        ------
        QueryError
            When the SQL is wrong, not a single SELECT, takes longer than `timeout` seconds, or
            gives more than `max_rows` rows.
        """
        return to_table(self.query_arrow(sql, max_rows=max_rows, timeout=timeout))

    def query_arrow(self, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0) -> pa.Table:
        """Run one SELECT or EXPLAIN and return an Arrow table; raises as :meth:`query` does."""
        return self._selects.arrow(sql, max_rows=max_rows, timeout=timeout)

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


def _page(told: Told[T], after: int, newest: int, lost: Numbers) -> Page[T]:
    cursor = told.looked or min(after, newest)
    return Page(tuple(item for _, item in told.numbered), cursor, lost.between(after, cursor))
