"""The last lines of the log, for the Health page. What they say may come from the feed: hostile text."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from .wording import one_line

__all__ = ["LogLine", "LogLines"]

KEPT = 50
LONGEST = 300
OURS = "tracewave_panel"


class LogLine(NamedTuple):
    """One record: seconds since the epoch, name of the level, of the logger, and its words on one line."""

    time: float
    level: str
    logger: str
    words: str


class LogLines(logging.Handler):
    """Holds the last 50 records: warnings and worse of everyone, and what Tracewave tells.

    Examples
    --------
    >>> lines = LogLines()
    >>> lines.handle(logging.makeLogRecord({"name": "tracewave_panel.feed", "levelno": 20, "msg": "connected"}))
    True
    >>> lines.lines[0].words
    'connected'
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[LogLine] = deque(maxlen=KEPT)
        self._undo: list[Callable[[], None]] = []
        self.number = 0
        self.addFilter(lambda record: record.levelno >= logging.WARNING or _is_ours(record.name))

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """What is held, the oldest first."""
        return tuple(self._lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; never fails, since it is called wherever anything logs."""
        try:
            words = record.getMessage()
        except Exception:  # noqa: BLE001 (a format and its values that do not agree are somebody's mistake elsewhere)
            words = str(record.msg)
        if record.exc_info and record.exc_info[1] is not None:
            words = f"{words}: {record.exc_info[1]!r}"
        name = record.name.removeprefix(f"{OURS}.")
        self._lines.append(LogLine(record.created, record.levelname, one_line(name, 60), one_line(words, LONGEST)))
        self.number += 1

    def install(self) -> None:
        """Listen to the root logger, once however often it is asked; Tracewave's own loggers tell from INFO on.

        Whoever listened before hears what was heard before: no more lines in a terminal, and none lost.
        """
        root, ours = logging.getLogger(), logging.getLogger(OURS)
        if self in root.handlers:
            return
        if not root.handlers and logging.lastResort is not None:
            root.addHandler(logging.lastResort)
            self._undo.append(partial(root.removeHandler, logging.lastResort))
        before, level = ours.getEffectiveLevel(), ours.level
        if before > logging.INFO:

            def as_before(record: logging.LogRecord) -> bool:
                return record.levelno >= before or not _is_ours(record.name)

            for handler in tuple(root.handlers):
                handler.addFilter(as_before)
                self._undo.append(partial(handler.removeFilter, as_before))
            ours.setLevel(logging.INFO)
            self._undo.append(partial(ours.setLevel, level))
        root.addHandler(self)
        self._undo.append(partial(root.removeHandler, self))

    def remove(self) -> None:
        """Stop listening, and leave the loggers as they were."""
        while self._undo:
            self._undo.pop()()


def _is_ours(name: str) -> bool:
    return name == OURS or name.startswith(f"{OURS}.")
