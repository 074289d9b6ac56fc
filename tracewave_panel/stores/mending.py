"""What a history's writer does about an error before it tries again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import duckdb
import pyarrow as pa

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Label
from tracewave_panel.stores.database import Database
from tracewave_panel.stores.database_words import why
from tracewave_panel.stores.rows import Telling, to_arrow

__all__ = ["FAILURES", "SHORT_OF_MEMORY", "Mending", "first_line", "is_of_values", "is_writable"]

_OF_VALUES = (ValueError, TypeError, OverflowError, pa.ArrowException)

SHORT_OF_MEMORY = (MemoryError, duckdb.OutOfMemoryException)
"""What passes once others have given theirs back."""

FAILURES = (StoreError, duckdb.Error, OSError, MemoryError, *_OF_VALUES)
"""What writing may fail with."""

_REOPENED = (duckdb.FatalException, duckdb.ConnectionException, StoreError)
"""After what the file is opened anew."""

_ANEW = "history is opened anew after a fault of its disk; ask again in a moment"

_log = logging.getLogger(__name__)


def is_of_values(error: BaseException) -> bool:
    """Whether rows hold values that no column can; trying again would not help.

    >>> is_of_values(OverflowError()), is_of_values(MemoryError()), is_of_values(pa.ArrowMemoryError())
    (True, False, False)
    """
    return isinstance(error, _OF_VALUES) and not isinstance(error, MemoryError)


def is_writable(feed: Feed, telling: Telling) -> bool:
    """Whether a telling's values fit the columns."""
    try:
        to_arrow(feed, [telling], {})
    except FAILURES as error:
        return not is_of_values(error)
    return True


class Mending:
    """Does what may help: has queries end where memory is short, and opens the file anew.

    Parameters
    ----------
    database
        What is opened anew.
    make_room
        Has queries end, so that what they hold is free; given why, where that is not for memory.
    labels
        Those to be written once more into a file that is another than before.
    """

    def __init__(
        self, database: Database, *, make_room: Callable[..., object], labels: Callable[[], Iterable[Label]]
    ) -> None:
        self._database = database
        self._make_room = make_room
        self._labels = labels

    def after(self, error: BaseException) -> tuple[str, dict[str, Label]]:
        """Mend what `error` tells of.

        Returns
        -------
        tuple
            Why nothing can be written at this moment, in words, and labels that another file lacks.
        """
        said = first_line(error)
        words = said if isinstance(error, StoreError) else f"{why(repr(error))} ({said})"
        if isinstance(error, SHORT_OF_MEMORY):
            _log.warning("history needs the memory that queries hold; they are stopped")
            self._make_room()
            return words, {}
        if not isinstance(error, _REOPENED):
            return words, {}
        self._make_room(_ANEW)  # the file is not released before its queries have ended
        try:
            # while the disk is still full, or the file gone, this fails and is tried again after the next commit
            another = self._database.reopen()
        except StoreError as failed:
            return str(failed), {}
        return words, {label.anomaly_id: label for label in self._labels()} if another else {}


def first_line(error: BaseException) -> str:
    """What an error says, without where in DuckDB's source it arose."""
    return (str(error) or type(error).__name__).splitlines()[0]
