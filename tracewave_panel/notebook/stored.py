"""A stretch of history as the rows of a run: each table is one SELECT, in pages where answers are bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from tracewave_panel.answers import settled
from tracewave_panel.core.detectors import DETECTORS
from tracewave_panel.errors import QueryError
from tracewave_panel.feeds import FEEDS, Feature, Feed, Metric
from tracewave_panel.model import Anomaly, Mark, Quality
from tracewave_panel.stores.ranges import stretches

from .rows import RawEvents, event_columns

__all__ = ["Stored", "feed_of"]

MOST_ROWS = 5_000_000
"""Rows of one table of a stretch."""

Ask = Callable[..., pa.Table]
_SORTED = {
    "windows": ("start", "series", "start, series"),
    "metrics": ("start", "series", "start, series, metric"),
    # rows of a window in the order of writing, which is that of the detectors
    "scores": ("start", "series", "start, series, metric, scores.rowid"),
    "dimension_counts": ("start", "series", "start, series, dimension, count DESC, value"),
}
_ANOMALIES = """
    SELECT * REPLACE (epoch_us(opened) / 1e6 AS opened, epoch_us(peaked) / 1e6 AS peaked,
                      epoch_us(updated) / 1e6 AS updated, epoch_us(closed) / 1e6 AS closed)
    FROM anomalies WHERE opened < {until} AND coalesce(closed, updated) >= {since} ORDER BY told
"""
_CONTRIBUTIONS = """
    SELECT * REPLACE (
        [{{'id': s.id, 'time': epoch_us(s.time) / 1e6, 'title': s.title, 'link': s.link}} FOR s IN samples] AS samples
    )
    FROM contributions
    WHERE anomaly_id IN (SELECT id FROM anomalies WHERE opened < {until} AND coalesce(closed, updated) >= {since})
    ORDER BY anomaly_id, rank
"""


class Stored:
    """Fulfils :class:`~tracewave_panel.notebook.rows.Rows` for ``[since, until)`` of a history.

    Parameters
    ----------
    ask
        Runs one SELECT and gives its rows; takes ``max_rows``.
    page
        Rows of one answer at most.
    since, until
        In seconds since the epoch.
    most_events
        The newest so many raw events.
    """

    def __init__(self, ask: Ask, feed: Feed, since: float, until: float, *, page: int, most_events: int) -> None:
        self.feed = feed
        self._ask = ask
        self._page = page
        self._most_events = most_events
        self._ends = {"since": _moment(since), "until": _moment(until)}
        self._since, self._until = since, until
        self._detectors: tuple[str, ...] | None = None

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of those that judged, those that ship with Tracewave first and in their order."""
        if self._detectors is None:
            found = self._names_of("detector", "scores")
            known = [name for name in DETECTORS if name in found]
            self._detectors = (*known, *(name for name in found if name not in known))
        return self._detectors

    def read(self, table: str, series: str | None = None, metric: str | None = None) -> pa.Table:
        """Rows of a table, perhaps of one series and metric."""
        *_, order = _SORTED[table]
        wanted = [self._within("start")]
        wanted += [f"series = {_text(series)}"] if series is not None else []
        wanted += [f"metric = {_text(metric)}"] if metric is not None and table != "windows" else []
        select = self._selected(table)
        rows = self._all(f"SELECT {select} FROM {table} WHERE {' AND '.join(wanted)} ORDER BY {order}", table)  # noqa: S608
        words = [name for name in rows.column_names if pa.types.is_string(rows.schema.field(name).type)]
        for name in words:
            rows = rows.set_column(rows.column_names.index(name), name, rows[name].dictionary_encode())
        return rows

    def _selected(self, table: str) -> str:
        if table != "windows":
            return "* EXCLUDE (told)" if table == "metrics" else "*"
        features = (f"{_name(each.name)} AS {_name('feature ' + each.name)}" for each in self.feed.features)
        return ", ".join(("series, start, width, quality, revision, count, late, dropped", *features))

    def series(self) -> tuple[str, ...]:
        """Names of the series there are windows of."""
        return self._names_of("series", "windows")

    def anomalies(self) -> tuple[Anomaly, ...]:
        """Episodes that overlap the stretch, as they were told last."""
        parts: dict[str, list[dict[str, Any]]] = {}
        for row in self._all(_CONTRIBUTIONS.format(**self._ends), "contributions").to_pylist():
            parts.setdefault(row["anomaly_id"], []).append(row)
        rows = self._all(_ANOMALIES.format(**self._ends), "anomalies").to_pylist()
        told = [{**row, "contributions": parts.get(row["id"], [])} for row in rows]
        return tuple(msgspec.convert(each, Anomaly) for each in told)

    def gaps(self) -> tuple[Mark, ...]:
        """Stretches that the feed did not deliver, in order of time; those that touch are one."""
        since, until = self._ends["since"], self._ends["until"]
        rows = self._all(
            "SELECT epoch_us(start) / 1e6 AS start, epoch_us(until) / 1e6 AS until FROM gaps "  # noqa: S608
            f"WHERE start < {until} AND until > {since} ORDER BY gaps.start",
            "gaps",
        )
        return tuple(stretches([Mark(row["start"], row["until"], Quality.GAP) for row in rows.to_pylist()]))

    def events(self) -> RawEvents:
        """The newest raw events of the stretch, as far as history still has them."""
        names = ", ".join(map(_name, event_columns(self.feed)))
        _, missed = self.event_counts()
        where = f"WHERE {self._within('time')} ORDER BY told, time OFFSET {missed}"
        return RawEvents(self._all(f"SELECT {names} FROM events {where}", "events"), missed)  # noqa: S608 - our own words

    def event_counts(self) -> tuple[int, int]:
        """How many raw events :meth:`events` gives, and how many more there are."""
        (count,) = self._column(f"SELECT count(*) FROM events WHERE {self._within('time')}")  # noqa: S608 - our own
        kept = min(int(count), self._most_events)
        return kept, int(count) - kept

    def _within(self, column: str) -> str:
        return f"{column} >= {self._ends['since']} AND {column} < {self._ends['until']}"

    def _column(self, sql: str) -> tuple[Any, ...]:
        return tuple(self._ask(sql, max_rows=self._page).column(0).to_pylist())

    def _names_of(self, column: str, table: str) -> tuple[str, ...]:
        within = self._within("start")
        return self._column(f"SELECT DISTINCT {column} FROM {table} WHERE {within} ORDER BY {column}")  # noqa: S608 - our own

    def _all(self, sql: str, table: str) -> pa.Table:
        parts: list[pa.Table] = []
        rows = 0
        while not parts or parts[-1].num_rows == self._page:
            if rows >= MOST_ROWS:
                raise QueryError(
                    f"this stretch has more than {MOST_ROWS:,} rows of {table}; take a shorter one, or ask for less "
                    "with query(), as in FROM rate_by_minute"
                )
            paged = f"SELECT * FROM ({sql}) LIMIT {self._page} OFFSET {rows}"  # noqa: S608
            parts.append(settled(self._ask(paged, max_rows=self._page)))
            rows += parts[-1].num_rows
        return pa.concat_tables(parts)


def feed_of(ask: Ask) -> Feed:
    """What a history is of: a feed that this version knows, or one read from the history itself."""
    meta: Mapping[str, str] = dict(ask("SELECT key, value FROM meta", max_rows=1000).to_pandas().to_numpy().tolist())
    name = meta.get("feed", "")
    features = msgspec.json.decode(meta.get("features", "[]"), type=list[str])
    dimensions = tuple(msgspec.json.decode(meta.get("dimensions", "[]"), type=list[str]))
    known = FEEDS.get(name)
    if known and known.dimensions == dimensions and [each.name for each in known.features] == features:
        return known
    events = ask("SELECT * FROM events LIMIT 0", max_rows=1)
    measures = tuple(each.name for each in events.schema if pa.types.is_floating(each.type))
    *_, actor, subject, _title, _link, _told = events.column_names
    metrics = ask("SELECT DISTINCT metric FROM metrics ORDER BY metric", max_rows=1000).column(0).to_pylist()
    series = ask("SELECT DISTINCT series FROM windows ORDER BY series", max_rows=1000).column(0).to_pylist()
    return Feed(
        name=name,
        title=name.replace("_", " ").capitalize(),
        dimensions=dimensions,
        measures=measures,
        features=tuple(Feature(each, "rate" if each == "rate" else "last") for each in features),
        metrics=tuple(
            Metric(each, each, "events/s" if each == "rate" else "", "events") for each in metrics or features[:1]
        ),
        series=tuple(series) or (name,),
        place="",
        who="",
        actor=actor,
        subject=subject,
    )


def _moment(seconds: float) -> str:
    return f"make_timestamptz({round(seconds * 1e6)}::BIGINT)"


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
