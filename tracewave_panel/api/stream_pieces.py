"""Findings as clients of the stream get them: encoded once, and cut where a reader may stop and go on by time.

Invariant: a piece ends only where the next window ends later than every window so far, so that "everything up to
this end" and "everything up to this piece" are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Raw

from tracewave_panel.api.stream_position import to_microseconds
from tracewave_panel.api.telling import anomaly_form, seconds, window_forms
from tracewave_panel.codec import to_json
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Label

__all__ = ["Piece", "ToldAnomaly", "ToldWindow", "pieces", "tell_anomaly", "tell_windows"]

PIECE = 25
"""Windows after which a piece ends as soon as it may."""


class ToldWindow(NamedTuple):
    """A window's form; times in microseconds UTC, and how many analyses it was made of."""

    start: int
    end: int
    revision: int
    analyses: int
    form: Raw


class ToldAnomaly(NamedTuple):
    """An anomaly's form; the start of the window it was told with in microseconds UTC, and the store's cursor."""

    id: str
    updated: int
    is_open: bool
    cursor: int
    form: Raw


class Piece(NamedTuple):
    """What goes out together, and the end of the newest window so far."""

    windows: tuple[ToldWindow, ...]
    anomalies: tuple[ToldAnomaly, ...]
    until: int


def tell_windows(feed: Feed, analyses: Iterable[Analysis]) -> list[ToldWindow]:
    """Windows in the order in which they were told."""
    return [
        ToldWindow(
            to_microseconds(seconds(form.start)),
            to_microseconds(seconds(form.end)),
            form.revision,
            len(form.judgements),
            Raw(to_json(form)),
        )
        for form in window_forms(feed, analyses)
    ]


def tell_anomaly(anomaly: Anomaly, labels: Mapping[str, Label], cursor: int = 0) -> ToldAnomaly:
    """One telling, with the label that holds now."""
    form = anomaly_form(anomaly, labels.get(anomaly.id))
    return ToldAnomaly(anomaly.id, to_microseconds(anomaly.updated), anomaly.closed is None, cursor, Raw(to_json(form)))


def pieces(
    windows: Sequence[ToldWindow], anomalies: Iterable[ToldAnomaly], until: int, *, in_order: bool = False
) -> Iterator[Piece]:
    """Cut findings into pieces; each telling goes with the window it was made from, never before an earlier one.

    Parameters
    ----------
    until
        End of the newest window before these.
    in_order
        Whether the windows are in order of time; else a later revision may be of any time before.
    """
    waiting = list(anomalies)
    first = 0
    for place, window in enumerate(windows):
        if in_order or window.revision == 0:
            until = max(until, window.end)
        following = windows[place + 1] if place + 1 < len(windows) else None
        if following is None:
            break
        if place + 1 - first >= PIECE and (in_order or following.revision == 0) and following.end > until:
            told = 0
            while told < len(waiting) and waiting[told].updated < until:
                told += 1
            yield Piece(tuple(windows[first : place + 1]), tuple(waiting[:told]), until)
            first, waiting = place + 1, waiting[told:]
    if first < len(windows) or waiting:
        yield Piece(tuple(windows[first:]), tuple(waiting), until)
