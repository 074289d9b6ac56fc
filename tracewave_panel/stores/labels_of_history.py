"""What people say of anomalies, kept in a history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from threading import Lock

import pyarrow as pa

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, Label
from tracewave_panel.stores.labels import Labels, unknown_anomaly
from tracewave_panel.stores.rows import label_rows
from tracewave_panel.stores.writer import Writer

__all__ = ["LabelsOfHistory"]


class LabelsOfHistory(ABC):
    """Labels, for the store whose writer keeps them."""

    _feed: Feed
    _labels: Labels
    _lock: Lock
    _writer: Writer

    @abstractmethod
    def anomaly(self, anomaly_id: str) -> Anomaly | None:
        """Last telling of one anomaly."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raise StoreError when the store is closed."""

    def label(self, label: Label) -> None:
        """Queue a label; one of an anomaly that was never told here is refused."""
        with self._lock:
            self._check_open()
            known = label.anomaly_id in self._labels
        if not known and self.anomaly(label.anomaly_id) is None:
            raise unknown_anomaly(label.anomaly_id)
        self.restore_labels((label,))

    def unlabel(self, anomaly_id: str, at: float) -> None:
        """Queue that a label which was given at or before `at` holds no longer."""
        with self._lock:
            self._check_open()
            if self._labels.take_back(anomaly_id, at):
                self._writer.save_label(anomaly_id, None)

    def labels(self) -> tuple[Label, ...]:
        """Labels that hold, those of earlier runs and those not yet committed among them."""
        with self._lock:
            self._check_open()
            return self._labels.all()

    def restore_labels(self, labels: Iterable[Label]) -> None:
        """Queue labels whose anomalies may be told later.

        Raises
        ------
        StoreError
            When one holds what no column can.
        """
        given = tuple(labels)
        try:
            label_rows(self._feed, given)
        except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
            raise StoreError(f"a label cannot be kept in history: {error}") from error
        with self._lock:
            self._check_open()
            for label in given:
                self._labels.give(label)
                self._writer.save_label(label.anomaly_id, label)
