"""The labels that hold, in memory: one an anomaly, in the order in which they were given."""

from __future__ import annotations

from collections.abc import Iterable

from tracewave_panel.errors import StoreError
from tracewave_panel.model import Label

__all__ = ["Labels", "unknown_anomaly"]


class Labels:
    """Labels by anomaly; not safe from several threads at once.

    Parameters
    ----------
    most
        How many are kept, those given last; None keeps all, for people give few.
    """

    def __init__(self, labels: Iterable[Label] = (), *, most: int | None = None) -> None:
        self._by_anomaly: dict[str, Label] = {}
        self._most = most
        for label in labels:
            self.give(label)

    def __contains__(self, anomaly_id: str) -> bool:
        return anomaly_id in self._by_anomaly

    def give(self, label: Label) -> None:
        """Keep a label in place of the one before."""
        self._by_anomaly.pop(label.anomaly_id, None)
        self._by_anomaly[label.anomaly_id] = label
        if self._most is not None and len(self._by_anomaly) > self._most:
            del self._by_anomaly[next(iter(self._by_anomaly))]

    def take_back(self, anomaly_id: str, at: float) -> bool:
        """Let go of a label given at or before `at`; whether there was one."""
        held = self._by_anomaly.get(anomaly_id)
        if held is None or held.labelled_at > at:
            return False
        del self._by_anomaly[anomaly_id]
        return True

    def all(self) -> tuple[Label, ...]:
        """Every label that holds."""
        return tuple(self._by_anomaly.values())


def unknown_anomaly(anomaly_id: str) -> StoreError:
    """Return the error for a label that belongs to nothing."""
    return StoreError(f"there is no anomaly {anomaly_id!r} to label; load the page again to see those that there are")
