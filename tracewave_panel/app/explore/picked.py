"""The anomaly that a link names: its question, and what to say of it."""

from __future__ import annotations

from typing import Any

from tracewave_panel.app.wording import one_line
from tracewave_panel.errors import StoreError
from tracewave_panel.ports import Console
from tracewave_panel.ready_queries import query_of_anomaly

__all__ = ["picked"]


def picked(console: Console, anomaly_id: str) -> dict[str, Any]:
    """Return the title, severity and question of an anomaly; the title is the feed's and hostile.

    Raises
    ------
    StoreError
        When it is held neither in memory nor in history.
    """
    anomaly = console.store.anomaly(anomaly_id) or console.control.archive.store.anomaly(anomaly_id)
    if anomaly is None:
        raise StoreError("the anomaly of this link is not held here")
    query = query_of_anomaly(console.feed, anomaly.id, anomaly.opened, anomaly.closed)
    return {
        "id": anomaly_id,
        "title": one_line(anomaly.title),
        "severity": anomaly.severity.value if anomaly.severity.rank else "info",
        "opened": anomaly.opened,
        "closed": anomaly.closed,
        "values": [each.value for each in anomaly.contributions if each.named],
        "sql": query.sql,
        "teaches": query.teaches,
    }
