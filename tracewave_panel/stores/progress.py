"""How the writing of a history goes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from tracewave_panel.stores.shedding import NotKept
from tracewave_panel.stores.writer import Writer

__all__ = ["WritingProgress", "Written"]


class Written(Protocol):
    """What can be measured of whatever keeps a history; read from any thread."""

    @property
    def commits(self) -> int:
        """Transactions that were committed."""
        ...

    @property
    def commit_seconds(self) -> Collection[float]:
        """How long each of the last commits took."""
        ...

    @property
    def failures(self) -> int:
        """Commits that failed."""
        ...

    @property
    def backlog(self) -> int:
        """Appends that are not committed yet."""
        ...

    @property
    def shed(self) -> int:
        """Appends that were given up."""
        ...

    @property
    def kept_since(self) -> float | None:
        """Start of the oldest window that is kept; None: that is not known."""
        ...


class WritingProgress:
    """Figures of a writer, for the store that owns it; read from any thread."""

    _writer: Writer

    @property
    def commits(self) -> int:
        """Transactions that were committed."""
        return self._writer.commits

    @property
    def commit_seconds(self) -> Collection[float]:
        """How long each of the last commits took."""
        return self._writer.commit_seconds

    @property
    def failures(self) -> int:
        """Commits that failed; each is tried again."""
        return self._writer.failures

    @property
    def last_error(self) -> str:
        """Why the last commit failed; empty when it did not."""
        return self._writer.last_error

    @property
    def trouble(self) -> str:
        """Why nothing has been written for some seconds, in words; empty when all is well."""
        return self._writer.trouble

    @property
    def not_kept(self) -> int:
        """Windows that were given up by this process."""
        return self._writer.not_kept

    @property
    def kept_since(self) -> float | None:
        """Start of the oldest window that is kept, as last looked at; None: that is not known."""
        return self._writer.kept_since

    def note_missing(self, stretch: NotKept) -> None:
        """Queue a stretch that the feed delivered and that was not kept, for the table ``not_kept``."""
        self._writer.note_missing(stretch)

    @property
    def backlog(self) -> int:
        """Appends and States that are not committed yet."""
        return self._writer.backlog

    @property
    def shed(self) -> int:
        """Appends that were given up because the queue was full or a value cannot be stored."""
        return self._writer.shed
