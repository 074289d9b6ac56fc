"""Asking off the event loop: few questions at a time in a process, and few answers held for download."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from tracewave_panel.answers import settled
from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.ports import History

from .answer import shown
from .catalogue import NO_HISTORY
from .shelf import Shelf

__all__ = ["HELD", "MOST_ROWS", "SECONDS", "Answer", "Question", "beside"]

AT_ONCE = 2
"""Questions that run at a time in the process; others wait their turn."""
MOST_ROWS = 10_000
SECONDS = 10.0
MOST_BYTES = 32 << 20
"""Of one answer."""

T = TypeVar("T")

# Of the process, as the history is; their threads are begun with the first question.
_ASKING = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tracewave-explore")
_BESIDE = ThreadPoolExecutor(1, thread_name_prefix="tracewave-explore-beside")
HELD = Shelf(256 << 20)


def beside(work: Callable[[], T]) -> Future[T]:
    """Do small work, such as reading the schema, on a thread that no question holds up."""
    return _BESIDE.submit(work)


class Answer(NamedTuple):
    """What a page shows of an answer, when it was there, and how many seconds that took; the whole is held."""

    shown: dict[str, Any]
    at: float
    seconds: float


class Question:
    """One SELECT on its way.

    Parameters
    ----------
    history
        Who is asked; None: nobody.
    by
        Who asks; holds one answer at a time.
    begun
        Called on the thread when the question's turn has come.
    """

    def __init__(self, history: History | None, sql: str, by: object, begun: Callable[[], None]) -> None:
        self._history = history
        self._sql = sql
        self._by = by
        self._begun = begun
        self._cancelled = threading.Event()
        self.answered: Future[Answer] = _ASKING.submit(self._ask)

    def cancel(self) -> None:
        """Stop it, or see to it that it does not begin."""
        self._cancelled.set()

    def _ask(self) -> Answer:
        if self._cancelled.is_set():
            raise QueryError("the query was cancelled")
        if self._history is None:
            raise StoreError(NO_HISTORY)
        self._begun()
        began = time.perf_counter()
        answer: Any = self._history.query_arrow(
            self._sql, max_rows=MOST_ROWS, timeout=SECONDS, cancelled=self._cancelled
        )
        seconds = time.perf_counter() - began
        if answer.nbytes > MOST_BYTES:
            raise QueryError(f"the answer is larger than {MOST_BYTES >> 20} MB; ask for fewer rows or columns")
        answer = settled(answer)
        told = Answer(shown(answer), time.time(), seconds)
        if not self._cancelled.is_set():
            HELD.put(self._by, answer)
        return told
