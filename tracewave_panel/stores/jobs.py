"""Work that another thread wants done by the one that writes: asked for, waited for, given up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

import duckdb
import pyarrow as pa

from tracewave_panel.errors import StoreError
from tracewave_panel.stores.transaction import transaction

__all__ = ["Job"]

T = TypeVar("T")

_LAST_WAIT = 30.0  # for a commit that has begun and can no longer be taken back


class Job(Generic[T]):
    """One transaction, done once or not at all.

    Whoever waits too long takes it back: it is not begun, or stopped and undone. Only one that is
    being committed at that moment is waited for, so that its outcome is known.
    """

    def __init__(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> None:
        self._work = work
        self._future: Future[T] = Future()
        self._lock = Lock()
        self._running: duckdb.DuckDBPyConnection | None = None
        self._given_up = False
        self._committing = False

    def do(self, connection: duckdb.DuckDBPyConnection) -> BaseException | None:
        """Do it on the writer's thread; returns what it failed with, which whoever waits is told."""
        if not self._future.set_running_or_notify_cancel():
            return None
        with self._lock:
            self._running = connection
        try:
            with transaction(connection):
                done = self._work(connection)
                self._begin_commit()
        except BaseException as error:  # noqa: BLE001 - it is the waiting thread's, which it is given to
            self._end()
            self._future.set_exception(error)
            return error
        self._end()
        self._future.set_result(done)
        return None

    def refuse(self, reason: str) -> None:
        """Say that it will not be done."""
        if self._future.set_running_or_notify_cancel():
            self._future.set_exception(StoreError(reason))

    def result(self, timeout: float) -> T:
        """What it gave.

        Raises
        ------
        StoreError
            When it took longer than `timeout` seconds, was refused, or the history could not be written.
        """
        try:
            return self._wait(timeout)
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise StoreError(f"history could not be written: {str(error).splitlines()[0]}") from error

    def _wait(self, timeout: float) -> T:
        try:
            return self._future.result(timeout)
        except TimeoutError:
            if self._future.done() or self._kept():
                return self._future.result(_LAST_WAIT)
            raise StoreError(
                f"the history's writer did not come to it within {timeout:g} s; nothing of it was written, ask again"
            ) from None

    def _kept(self) -> bool:
        """Take it back; True when it is too late for that."""
        with self._lock:
            if self._committing:
                return True
            self._given_up = True
            if self._running:
                self._running.interrupt()
        self._future.cancel()
        return False

    def _begin_commit(self) -> None:
        with self._lock:
            if self._given_up:
                raise StoreError("nobody waits for it any more")
            self._committing = True

    def _end(self) -> None:
        # under the lock: an interrupt that came later would hit the writer's next transaction
        with self._lock:
            self._running = None
