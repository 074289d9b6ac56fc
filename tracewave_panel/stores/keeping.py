"""History that is kept whenever its disk lets it: opened at once, or later while the run goes on."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from threading import Event, Lock, Thread

from tracewave_panel.errors import StoreError
from tracewave_panel.model import Findings, Label
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.open_history import OpenHistory
from tracewave_panel.stores.shedding import NotKept, covering

__all__ = ["RETRY", "Keeping"]

RETRY = 5.0
"""Seconds between two tries to open a history that cannot be."""
HELD_FINDINGS, HELD_EVENTS = 1000, 50_000
"""What waits for that at most; older findings are given up, and their stretch is noted."""

_CLOSE_TIMEOUT = 20.0

logger = logging.getLogger(__name__)


class Keeping:
    """What a run tells its history through, whether or not one is open.

    While none can be opened the newest findings wait, and opening is tried again every `retry`
    seconds; then they are stored, and what did not fit is noted as not kept. A State that the
    file holds is not gone back to: nothing that it covers is told or forgotten again.

    Parameters
    ----------
    opened
        Opens the history; raises StoreError when it cannot.
    labels
        Labels given meanwhile, which a history that is opened late does not know.
    retry
        Seconds between two tries.

    Attributes
    ----------
    history
        None while none is open, and after the end.
    late
        Set when it was opened after the beginning; whoever acts on that clears it.
    """

    def __init__(
        self,
        opened: Callable[[], OpenHistory],
        *,
        labels: Callable[[], Collection[Label]] = tuple,
        retry: float = RETRY,
    ) -> None:
        self.history: OpenHistory | None = None
        self._store: DuckDBStore | None = None
        self.late = Event()
        self._opened, self._labels, self._retry = opened, labels, retry
        self._reason = ""
        self._failures = self._shed = 0
        self._held: deque[Findings] = deque()
        self._held_events = 0
        self._missing: NotKept | None = None
        self._lock = Lock()
        self._ending = Event()
        self._thread: Thread | None = None
        self._try()
        self._thread = Thread(target=self._look_after, name="tracewave-history-keeper")
        self._thread.start()

    @property
    def note(self) -> str:
        """Why history is not being kept at this moment, in words; empty when it is."""
        history = self.history
        if history is None:
            return self._reason and f"History is not being kept: {self._reason}"
        trouble = history.store.trouble
        return trouble and f"History is not being kept: {trouble}; what is found waits in memory"

    def append(self, findings: Findings) -> None:
        """Queue what one batch gave; never waits for the disk."""
        with self._lock:
            if self.history:
                self.history.store.append(findings)
                return
            self._held.append(findings)
            self._held_events += len(findings.events)
            while len(self._held) > HELD_FINDINGS or self._held_events > HELD_EVENTS:
                self._give_up(self._held.popleft())

    def close(self) -> None:
        """Stop trying, write what is left, and release the folder.

        Raises
        ------
        StoreError
            When something could not be written.
        """
        self._ending.set()
        if self._thread:
            self._thread.join(_CLOSE_TIMEOUT)
        with self._lock:
            history, self.history = self.history, None
        if history:
            history.close()

    # -- figures, as of a store; they stay after the end

    @property
    def commits(self) -> int:
        """Transactions that were committed."""
        return self._store.commits if self._store else 0

    @property
    def commit_seconds(self) -> Collection[float]:
        """How long each of the last commits took."""
        return self._store.commit_seconds if self._store else ()

    @property
    def failures(self) -> int:
        """Commits that failed, and tries to open the file that did."""
        return self._failures + (self._store.failures if self._store else 0)

    @property
    def backlog(self) -> int:
        """What is not committed yet."""
        return len(self._held) + (self._store.backlog if self._store else 0)

    @property
    def shed(self) -> int:
        """Appends that were given up."""
        return self._shed + (self._store.shed if self._store else 0)

    @property
    def not_kept(self) -> int:
        """Windows of this run that were given up."""
        before = self._missing.windows if self._missing else 0
        return before + (self._store.not_kept if self._store else 0)

    @property
    def kept_since(self) -> float | None:
        """Start of the oldest window that is kept, as last looked at."""
        return self._store.kept_since if self._store else None

    # -- opening

    def _look_after(self) -> None:
        while not self._ending.wait(self._retry):
            if self.history is None:
                self._try()
            else:
                self.history.see_to_socket()

    def _try(self) -> None:
        try:
            history = self._opened()
        except StoreError as error:
            self._failures += 1
            if self._reason != str(error):
                logger.error("history is not being kept: %s", error)  # noqa: TRY400 (the words are for the person who runs it)
            self._reason = str(error)
            return
        late = bool(self._thread)
        try:
            self._begin_with(history)
        except StoreError as error:
            self._reason = str(error)
            history.close()
            return
        if late:
            logger.warning("history is kept now")
            self.late.set()

    def _begin_with(self, history: OpenHistory) -> None:
        store = history.store
        known = {label.anomaly_id: label for label in store.labels()}
        fresh = [label for label in self._labels() if label != known.get(label.anomaly_id)]
        if fresh:
            store.restore_labels(fresh)
        with self._lock:
            for findings in self._held:
                store.append(findings)
            self._held.clear()
            if self._missing:
                store.note_missing(self._missing)
                self._missing = None
            self._reason = ""
            self.history, self._store = history, store

    def _give_up(self, findings: Findings) -> None:
        self._shed += 1
        self._held_events -= len(findings.events)
        if stretch := covering(findings.analyses, self._reason):
            self._missing = stretch.joined(self._missing) if self._missing else stretch
