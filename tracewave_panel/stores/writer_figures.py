"""What can be asked of a history's writer at any time, from any thread."""

from __future__ import annotations

import time

from tracewave_panel.stores.shedding import Numbers
from tracewave_panel.stores.upkeep import Upkeep
from tracewave_panel.stores.waiting import Waiting

__all__ = ["WriterFigures"]

_PATIENCE = 3.0  # seconds of failing commits before a page says so
_LONG_COMMIT = 15.0  # a checkpoint of a big file takes some


class WriterFigures:
    """Figures over what the writer holds; it sets the attributes."""

    _waiting: Waiting
    _upkeep: Upkeep | None
    _failing_since: float | None
    _busy_since: float | None

    @property
    def backlog(self) -> int:
        """Tellings, States and labels that are not committed yet."""
        return len(self._waiting)

    @property
    def shed(self) -> int:
        """Tellings that were given up."""
        return self._waiting.shed

    @property
    def not_kept(self) -> int:
        """Windows that were given up."""
        return self._waiting.not_kept

    @property
    def kept_since(self) -> float | None:
        """Start of the oldest window, as last looked at."""
        return self._upkeep.kept_since if self._upkeep else None

    @property
    def lost_analyses(self) -> Numbers:
        """Running numbers of the analyses that were given up."""
        return self._waiting.lost_analyses

    @property
    def lost_anomalies(self) -> Numbers:
        """Running numbers of the anomalies that were given up."""
        return self._waiting.lost_anomalies

    @property
    def lost_events(self) -> Numbers:
        """Running numbers of the raw events that were given up."""
        return self._waiting.lost_events

    @property
    def trouble(self) -> str:
        """Why nothing has been written for some seconds, in words; empty when it has, or nothing waits."""
        now = time.monotonic()
        failing, busy = self._failing_since, self._busy_since
        if failing is not None and now - failing >= _PATIENCE:
            return self._waiting.reason
        if busy is not None and now - busy >= _LONG_COMMIT:
            return f"the disk has not answered for {now - busy:.0f} s"
        return ""
