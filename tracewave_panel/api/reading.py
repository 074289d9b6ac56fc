"""What was found: windows, scores, anomalies and gaps, from the store with the longest memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Protocol, TypeVar

from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from tracewave_panel.api.answers import AnomalyDetailForm, AnomalyPage, GapList, ScoresPage, WindowPage
from tracewave_panel.api.cursors import Listing, OtherEpochError, decode_cursor, encode_cursor
from tracewave_panel.api.described import described, told
from tracewave_panel.api.problems import RefusalError
from tracewave_panel.api.questions import AnomalyQuery, RangeQuery, WindowQuery, read_query
from tracewave_panel.api.telling import anomaly_form, gap_form, scores_form, seconds, window_forms, window_key
from tracewave_panel.api.vicinity import detail
from tracewave_panel.model import Analysis, Anomaly
from tracewave_panel.ports import Console, Page

__all__ = ["AnomalyId", "add_reading"]

T = TypeVar("T")
AnomalyId = Annotated[str, Path(min_length=1, max_length=200, description="As an anomaly told it: its id.")]

_LOOKS = 20  # pages of the store that one request may go through for what it filters


class _Read(Protocol[T]):
    def __call__(
        self, after: int, limit: int, *, since: float | None = None, until: float | None = None
    ) -> Page[T]: ...


def add_reading(app: FastAPI, console: Console) -> None:
    """Add the addresses under which findings are read."""
    reading = _Reading(console)
    window_query = partial(described, query=WindowQuery, refuses=(400, 410))
    app.add_api_route("/api/windows", reading.windows, **window_query(WindowPage))
    app.add_api_route("/api/scores", reading.scores, **window_query(ScoresPage))
    app.add_api_route(
        "/api/anomalies", reading.anomalies, **described(AnomalyPage, query=AnomalyQuery, refuses=(400, 410))
    )
    app.add_api_route(
        "/api/anomalies/{anomaly_id}", reading.anomaly, **described(AnomalyDetailForm, refuses=(404, 422))
    )
    app.add_api_route("/api/gaps", reading.gaps, **described(GapList, query=RangeQuery))


class _Reading:
    def __init__(self, console: Console) -> None:
        self._console = console

    def windows(self, request: Request) -> Response:
        """Windows in the order in which they were told, each with a judgement for each metric."""
        asked = read_query(WindowQuery, request)
        store, epoch = self._console.control.archive
        metrics = len(self._console.feed.metrics)
        after = _after(asked.cursor, "windows", epoch)
        found = _follow(store.analyses, after, asked.limit * metrics, asked, _of_series(asked))
        items, cursor = found.items, found.cursor
        if found.more:
            items, cursor = _whole_windows(items, cursor, metrics)
        return told(
            WindowPage(
                window_forms(self._console.feed, items),
                encode_cursor("windows", cursor, epoch),
                math.ceil(found.missed / metrics),
                found.more,
            )
        )

    def scores(self, request: Request) -> Response:
        """What each detector said of each metric of each window, in the order in which they were told."""
        asked = read_query(WindowQuery, request)
        store, epoch = self._console.control.archive
        found = _follow(store.analyses, _after(asked.cursor, "scores", epoch), asked.limit, asked, _of_series(asked))
        items = tuple(map(scores_form, found.items))
        return told(ScoresPage(items, encode_cursor("scores", found.cursor, epoch), found.missed, found.more))

    def anomalies(self, request: Request) -> Response:
        """Anomalies in the order in which they were last told: one that grows or closes comes again."""
        asked = read_query(AnomalyQuery, request)
        store, epoch = self._console.control.archive

        def wanted(anomaly: Anomaly) -> bool:
            return (
                asked.series in {"", anomaly.series}
                and anomaly.severity.rank >= asked.severity.rank
                and (asked.open is None or (anomaly.closed is None) == (asked.open == "true"))
            )

        found = _follow(store.anomalies, _after(asked.cursor, "anomalies", epoch), asked.limit, asked, wanted)
        labels = self._console.control.labels()
        items = tuple(anomaly_form(anomaly, labels.get(anomaly.id)) for anomaly in found.items)
        return told(AnomalyPage(items, encode_cursor("anomalies", found.cursor, epoch), found.missed, found.more))

    def anomaly(self, request: Request, anomaly_id: AnomalyId) -> Response:  # noqa: ARG002 (FastAPI hands it over)
        """One anomaly with the scores of the windows around it, the raw events of its time, its label and its mutes."""
        found = detail(self._console, anomaly_id)
        if found is None:
            raise RefusalError(404, "there is no such anomaly, or it was let go; /api/anomalies lists those held")
        return told(found)

    def gaps(self, request: Request) -> Response:
        """Stretches that the feed did not deliver and that overlap the stretch asked for, oldest first."""
        asked = read_query(RangeQuery, request)
        gaps = self._console.control.archive.store.gaps(since=_seconds(asked.since), until=_seconds(asked.until))
        newest = gaps[-asked.limit :]
        return told(GapList(tuple(map(gap_form, newest)), len(gaps) - len(newest)))


def _after(cursor: str, listing: Listing, epoch: str) -> int:
    try:
        return decode_cursor(cursor, listing, epoch)
    except OtherEpochError:
        raise _ended() from None
    except ValueError as error:
        raise RefusalError(400, str(error)) from None


def _ended() -> RefusalError:
    words = "the numbers that this cursor counts in ended with an earlier run; start over without a cursor"
    return RefusalError(410, words)


def _of_series(asked: WindowQuery) -> Callable[[Analysis], bool]:
    return lambda analysis: asked.series in {"", analysis.window.series}


class _Found(Page[T], frozen=True):
    """A page of what was wanted; `more` says that the store held more when it was read."""

    more: bool = False


def _follow(read: _Read[T], after: int, limit: int, asked: WindowQuery, wanted: Callable[[T], bool]) -> _Found[T]:
    """Read on until so many wanted items are found, or the store ends, or enough was looked through.

    Raises
    ------
    RefusalError
        When the cursor lies beyond the store's end.
    """
    since, until = _seconds(asked.since), _seconds(asked.until)
    items: list[T] = []
    cursor, missed = after, 0
    for _ in range(_LOOKS):
        room = limit - len(items)
        page = read(cursor, room, since=since, until=until)
        if page.cursor < cursor:  # told of more than there is: the history that it counts in was removed
            raise _ended()
        cursor, missed = page.cursor, missed + page.missed
        items.extend(filter(wanted, page.items))
        if len(page.items) < room:
            return _Found(tuple(items), cursor, missed)
        if len(items) >= limit:
            break
    more = bool(read(cursor, 1, since=since, until=until).items)
    return _Found(tuple(items), cursor, missed, more)


def _whole_windows(items: tuple[Analysis, ...], cursor: int, metrics: int) -> tuple[tuple[Analysis, ...], int]:
    """Without the last window where its other metrics are still to come: the next page has it whole."""
    last = [analysis for analysis in items[-metrics:] if window_key(analysis) == window_key(items[-1])] if items else []
    if len(last) in {0, metrics, len(items)}:
        return items, cursor
    return items[: -len(last)], cursor - len(last)


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else seconds(at)
