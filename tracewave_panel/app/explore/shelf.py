"""Answers that are held so that they can be downloaded whole."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import pyarrow as pa

__all__ = ["Shelf"]


class Shelf:
    """The last answer of each who asked, as long as there is room; those held longest are let go first.

    Parameters
    ----------
    most
        Bytes of all answers; a single larger one is held all the same.

    Examples
    --------
    >>> shelf = Shelf(most=20)
    >>> for by in "abc":
    ...     shelf.put(by, pa.table({"number": [1]}))
    >>> [by for by in "abc" if shelf.get(by)]
    ['b', 'c']
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[object, pa.Table] = OrderedDict()
        self._lock = Lock()

    def put(self, by: object, answer: pa.Table) -> None:
        """Hold it in place of the answer before."""
        with self._lock:
            self._answers.pop(by, None)
            self._answers[by] = answer
            while len(self._answers) > 1 and sum(each.nbytes for each in self._answers.values()) > self._most:
                self._answers.popitem(last=False)

    def get(self, by: object) -> pa.Table | None:
        """Return the last answer, if it is still held."""
        with self._lock:
            return self._answers.get(by)

    def drop(self, by: object) -> None:
        """Hold nothing for it any longer."""
        with self._lock:
            self._answers.pop(by, None)
