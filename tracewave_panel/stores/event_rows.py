"""Raw events to rows of ``events`` and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Event
from tracewave_panel.stores.columns import TIME, identifier
from tracewave_panel.stores.wide_tables import events_table

__all__ = ["event_rows", "events_of", "select_events"]

_TIMES = ("time", "occurred_at", "arrived_at")
_FAR = 9.2e12  # seconds: beyond every moment that a column holds


def event_rows(feed: Feed, events: Sequence[Event], numbers: Sequence[int]) -> pa.Table:
    """Rows of ``events`` with their running numbers.

    What no column holds is left out of it: half a character becomes a question mark, and a time
    that is none NULL. An event that lacks dimensions or measures has NULL in their place.
    """
    columns: dict[str, Any] = {
        "time": _times([event.time for event in events]),
        "occurred_at": _times([event.occurred_at for event in events]),
        "arrived_at": _times([event.arrived_at for event in events]),
        "series": _texts([event.series for event in events]),
        "id": _texts([event.id for event in events]),
        feed.actor: _texts([event.actor for event in events]),
        feed.subject: _texts([event.subject for event in events]),
        "title": _texts([event.title for event in events]),
        "link": _texts([event.link for event in events]),
        "told": pa.array(numbers, pa.int64()),
    }
    columns.update(zip(feed.dimensions, _dimensions([event.dimensions for event in events], feed), strict=True))
    measures = _columns([event.measures for event in events], len(feed.measures))
    columns.update((name, pa.array(values, pa.float64())) for name, values in zip(feed.measures, measures, strict=True))
    return events_table(feed).arrow_of(columns)


def select_events(feed: Feed) -> str:
    """SELECT of what :func:`events_of` reads; a WHERE may follow."""
    times = ", ".join(f"epoch_us({name}) / 1e6 AS {name}" for name in _TIMES)
    texts = ", ".join(map(identifier, ("series", "id", feed.actor, feed.subject, "title", "link")))
    named = "".join(f", {identifier(name)}" for name in (*feed.dimensions, *feed.measures))
    return f"SELECT told, {times}, {texts}{named} FROM events "  # noqa: S608 - the feed's names, quoted


def events_of(feed: Feed, rows: pa.Table) -> list[tuple[int, Event]]:
    """Events and their running numbers, of what :func:`select_events` gave."""
    told, *columns = (column.to_pylist() for column in rows.columns)
    times, texts, named = columns[:3], columns[3:9], columns[9:]
    dimensions = _rows(named[: len(feed.dimensions)], len(told))
    measures = _rows(named[len(feed.dimensions) :], len(told))
    whole = ([math.nan if moment is None else moment for moment in column] for column in times)
    series, identity, actor, subject, title, link = texts
    in_order = (*whole, series, identity, dimensions, measures, actor, subject, title, link)
    return list(zip(told, map(Event, *in_order), strict=True))


def _times(moments: list[float]) -> pa.Array:
    seconds = np.array(moments, dtype=np.float64)
    known = np.abs(seconds) < _FAR  # false of what is no number
    micros = np.rint(np.where(known, seconds, 0.0) * 1e6).astype(np.int64)
    return pa.array(micros, pa.int64(), mask=~known).cast(TIME)


def _texts(texts: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        whole = [text and text.encode(errors="replace").decode() for text in texts]
        return pa.array(whole, pa.string())


def _dimensions(rows: list[tuple[str, ...]], feed: Feed) -> Iterable[pa.Array]:
    """Columns; of rows, most of which repeat another, each different one is read once."""
    different = dict.fromkeys(rows)
    places = dict(zip(different, range(len(different)), strict=True))
    taken = pa.array(list(map(places.__getitem__, rows)), pa.int64())
    return [_texts(values).take(taken) for values in _columns(list(different), len(feed.dimensions))]


def _columns(rows: list[tuple[Any, ...]], width: int) -> Iterable[Sequence[Any]]:
    """Tuples by column; NULL where one is too short."""
    if all(length == width for length in set(map(len, rows))):
        return [list(map(itemgetter(at), rows)) for at in range(width)]
    padded = zip_longest(*rows, [None] * width)
    return [column[:-1] for column, _ in zip(padded, range(width), strict=False)]


def _rows(columns: list[list[Any]], count: int) -> Iterable[tuple[Any, ...]]:
    """Columns by row; what is NULL is left out."""
    if not columns:
        return [()] * count
    rows = zip(*columns, strict=True)
    if None not in chain(*columns):
        return rows
    return (tuple(value for value in row if value is not None) for row in rows)
