"""Rows of a foreign stream on their way to Events: counted, kept apart by id, and held to a number of series.

Every row ends in exactly one counter: ``events``, ``undecodable``, ``duplicates`` or ``skipped``.
"""

from __future__ import annotations

import logging
from collections import abc
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tracewave_panel.errors import ConfigError, FeedError
from tracewave_panel.model import Batch, Event
from tracewave_panel.sources.event_batches import EventBatches
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.row_values import is_blank, path_of, text_of, value_at

__all__ = ["OTHER", "Row", "Rows", "cut", "row_batches"]

OTHER = "other"
"""The series of what would be one series too many."""
IDS_KEPT = 65_536
_TOLD = 5  # complaints of each sort, then one for ten times as many
_UNSEEN_AFTER = 200  # rows

_logger = logging.getLogger(__name__)


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row as it was read: its number from 1 on, and its fields or why there are none."""

    number: int
    fields: Any = None
    fault: str = ""


class Rows:
    """Makes Events of rows, one after the other, and counts what does not become one.

    The first undecodable rows are logged with their place, then every tenth, hundredth and so on.

    Parameters
    ----------
    where
        What the rows are of, for words: a file or a host.
    counted
        What a row is called: ``line`` where its number is that of a line.
    only
        Field and text: rows with anything else there are skipped.

    Attributes
    ----------
    read
        Rows with fields so far; the id of an event that has none of its own holds this number.
    named
        Whether the row that was read last has an id.
    counters
        Totals by name.
    """

    def __init__(
        self, mapping: Mapping, where: str, *, counted: str = "row", only: abc.Mapping[str, str] | None = None
    ) -> None:
        self._mapping = mapping
        self._where = where
        self._counted = counted
        self._only = tuple((path_of(field), text) for field, text in (only or {}).items())
        self._series = dict.fromkeys(mapping.feed.series)
        self._ids: dict[str, None] = {}
        self._unseen = tuple((kind, path_of(field)) for kind, field in mapping.fields)
        self._id = path_of(mapping.id) if mapping.id else None
        self.read = 0
        self.named = False
        self.counters = dict.fromkeys(("events", "undecodable", "duplicates", "skipped", "canaries"), 0)

    @property
    def series(self) -> tuple[str, ...]:
        """Those seen so far, beginning with the declared ones."""
        return tuple(self._series)

    @property
    def ids(self) -> tuple[str, ...]:
        """The newest ids."""
        return tuple(self._ids)

    def go_on(self, series: Iterable[str], ids: Iterable[str]) -> None:
        """Know what an earlier run knew."""
        self._series.update(dict.fromkeys(series))
        self._ids.update(dict.fromkeys(ids))

    def event(self, row: Row, *, arrived_at: float | None = None) -> Event | None:
        """The Event of a row, or None when it is counted elsewhere."""
        if row.fault:
            self.undecodable(row.number, row.fault)
            return None
        fields = row.fields
        self.read += 1
        try:
            if self._left_out(fields):
                self.counters["skipped"] += 1
                return None
            event = self._mapping.event(fields, self.read, arrived_at=arrived_at)
        except FeedError as error:
            self.undecodable(row.number, str(error).removeprefix(f"row {self.read}").lstrip(",: "))
            return None
        if self._unseen:
            self._look_for_fields(fields)
        self.named = self._id is not None and not is_blank(value_at(fields, self._id))
        if self.named and self._seen(event.id):
            self.counters["duplicates"] += 1
            return None
        self.counters["events"] += 1
        return event if event.series in self._series else self._of_new_series(event, row.number)

    def _left_out(self, fields: Any) -> bool:
        if not self._only or not isinstance(fields, abc.Mapping):
            return False
        try:
            return any(text_of(value_at(fields, path), len(text) + 2) != text for path, text in self._only)
        except ValueError:
            return True

    def _seen(self, identity: str) -> bool:
        if identity in self._ids:
            return True
        self._ids[identity] = None
        if len(self._ids) > IDS_KEPT:
            del self._ids[next(iter(self._ids))]
        return False

    def undecodable(self, number: int, words: str) -> None:
        """Count a row that cannot be read; `words` say why."""
        self.counters["undecodable"] += 1
        count = self.counters["undecodable"]
        if count <= _TOLD or str(count).rstrip("0") == "1":
            _logger.warning("%s, %s %d: %s (%d left out so far)", self._where, self._counted, number, words, count)

    def _of_new_series(self, event: Event, number: int) -> Event:
        most = self._mapping.most_series
        if len(self._series) < most:
            self._series[event.series] = None
            return event
        if OTHER not in self._series:
            self._series[OTHER] = None
            _logger.warning(
                "%s, %s %d: series %r is one more than most_series = %d allows; it and what else is new goes to %r. "
                "Is %s a field with few values? If not, make it a dimension",
                *(self._where, self._counted, number, event.series, most, OTHER, self._mapping.series),
            )
        return msgspec.structs.replace(event, series=OTHER)

    def _look_for_fields(self, fields: abc.Mapping[str, Any]) -> None:
        """Say once which fields no row had so far, for they may be misspelt."""
        self._unseen = tuple((kind, path) for kind, path in self._unseen if value_at(fields, path) is None)
        if self.counters["events"] + 1 < _UNSEEN_AFTER:
            return
        for kind, path in self._unseen:
            known = ", ".join(map(str, list(fields)[:20]))
            _logger.warning(
                "%s: none of the first %d rows has a field %s (%s); this one has %s",
                *(self._where, _UNSEEN_AFTER, path.name, kind, known),
            )
        self._unseen = ()


def cut(rows: Iterable[Row], reader: Rows, batches: EventBatches) -> Iterator[Batch]:
    """Batches of rows that are all there, to the end."""
    counters = reader.counters
    for row in rows:
        duplicates = counters["duplicates"]
        undecodable = counters["undecodable"]
        event = reader.event(row)
        if event is not None:
            yield from batches.add(event)
        elif counters["undecodable"] > undecodable:
            batches.add_undecodable()
        elif counters["duplicates"] > duplicates:
            batches.add_duplicate()
    yield from batches.finish()


def row_batches(
    rows: Iterable[abc.Mapping[str, Any]], mapping: Mapping, *, lateness: float = 10.0, hole: float = 3600.0
) -> Iterator[Batch]:
    """Batches of rows that are all there: a file, a frame, a list. The event clock decides when windows close.

    Rows should be in the order of their times; see :class:`~tracewave_panel.sources.event_batches.EventBatches` for
    `lateness` and `hole`. Rows that are no events are counted in ``Batch.undecodable`` and the first few logged.

    Raises
    ------
    ConfigError
        When the mapping names no field for the time.

    Examples
    --------
    >>> rows = [{"at": 1767225600 + second, "country": "de"} for second in (0, 0, 1, 3)]
    >>> batches = list(row_batches(rows, Mapping(time="at", dimensions=["country"]), lateness=0.0))
    >>> [(batch.watermark - 1767225600, len(batch.events)) for batch in batches]
    [(0.0, 2), (1.0, 1), (3.0, 1)]
    """
    if not mapping.time:
        raise ConfigError("time: missing; rows that are all there need a field that says when each happened")
    numbered = (Row(number, fields) for number, fields in enumerate(rows, start=1))
    yield from cut(numbered, Rows(mapping, mapping.feed.title), EventBatches(lateness=lateness, hole=hole))
