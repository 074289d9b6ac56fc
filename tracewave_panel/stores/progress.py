"""How the writing of a history goes."""

from __future__ import annotations

from collections.abc import Collection

from tracewave_panel.stores.writer import Writer

__all__ = ["WritingProgress"]


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
    def backlog(self) -> int:
        """Appends and States that are not committed yet."""
        return self._writer.backlog

    @property
    def shed(self) -> int:
        """Appends that were given up because the queue was full or a value cannot be stored."""
        return self._writer.shed
