"""An anomaly with what lies around it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from tracewave_panel.api.answers import AnomalyDetailForm
from tracewave_panel.api.telling import anomaly_form, event_form, mute_form, scores_form, window_forms
from tracewave_panel.model import Analysis, Anomaly, Event, Mute
from tracewave_panel.ports import Console, Store

__all__ = ["detail", "find"]

BEFORE, AFTER = 60, 30
"""Windows shown before it opened and after it closed."""
MOST_WINDOWS = 1000
MOST_EVENTS = 200
_PAGE = 1000
_LOOKS = 10  # pages: an episode that an earlier process left open has no end


def find(console: Console, anomaly_id: str) -> Anomaly | None:
    """Last telling of an anomaly: on disk, or, where that is behind by a second, in memory."""
    return console.store.anomaly(anomaly_id) or console.control.archive.store.anomaly(anomaly_id)


def detail(console: Console, anomaly_id: str) -> AnomalyDetailForm | None:
    """All that is held of one anomaly; None when that is nothing.

    Raises
    ------
    StoreError
        When a store cannot be read.
    """
    anomaly = find(console, anomaly_id)
    if anomaly is None:
        return None
    analyses, windows_left_out = _around(console.control.archive.store, anomaly)
    if not analyses:
        analyses, windows_left_out = _around(console.store, anomaly)
    events = [event for event in _events(console.store) if _within(event, anomaly)]
    return AnomalyDetailForm(
        anomaly=anomaly_form(anomaly, console.control.labels().get(anomaly.id)),
        windows=window_forms(console.feed, analyses),
        scores=tuple(map(scores_form, analyses)),
        windows_left_out=windows_left_out,
        events=tuple(event_form(console.feed, event) for event in events[-MOST_EVENTS:]),
        events_left_out=max(0, len(events) - MOST_EVENTS),
        mutes=tuple(mute_form(mute) for mute in console.control.mutes() if _silences(mute, anomaly)),
    )


def _around(store: Store, anomaly: Anomaly) -> tuple[list[Analysis], int]:
    """Analyses of its series around it, a window's together, and how many windows beyond the most were found."""
    first = store.analyses(0, 1, since=anomaly.opened, until=anomaly.updated + 1.0).items
    width = first[0].window.width if first else 1.0
    since = anomaly.opened - BEFORE * width
    until = None if anomaly.closed is None else anomaly.closed + AFTER * width
    found: dict[tuple[float, int], list[Analysis]] = {}
    cursor, left_out = 0, 0
    for _ in range(_LOOKS):
        page = store.analyses(cursor, _PAGE, since=since, until=until)
        for analysis in page.items:
            window = analysis.window
            if window.series != anomaly.series:
                continue
            if len(found) < MOST_WINDOWS or (window.start, window.revision) in found:
                found.setdefault((window.start, window.revision), []).append(analysis)
            else:
                left_out += analysis.metric == anomaly.metric
        if len(page.items) < _PAGE:
            break
        cursor = page.cursor
    return [analysis for _, told in sorted(found.items()) for analysis in told], left_out


def _events(store: Store) -> Iterator[Event]:
    cursor = 0
    while (page := store.events(cursor, _PAGE)).items:
        yield from page.items
        cursor = page.cursor


def _within(event: Event, anomaly: Anomaly) -> bool:
    until = math.inf if anomaly.closed is None else anomaly.closed
    return event.series == anomaly.series and anomaly.opened <= event.time < until


def _silences(mute: Mute, anomaly: Anomaly) -> bool:
    return mute.silences(anomaly, time.time())
