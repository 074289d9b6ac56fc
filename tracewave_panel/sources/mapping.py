"""What the fields of a foreign row mean: a Mapping from any NDJSON, CSV, message or dict to Events and their Feed."""

from __future__ import annotations

from collections import abc
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal

import msgspec
from msgspec.structs import force_setattr

from tracewave_panel.errors import FeedError
from tracewave_panel.feeds import Feature, Feed, Metric
from tracewave_panel.model import Event
from tracewave_panel.sources.mapping_checks import OF_EVENTS, OF_WINDOWS, check_feed, check_mapping, is_name, named
from tracewave_panel.sources.row_values import (
    Path,
    TimeFormat,
    is_blank,
    moment_of,
    number_of,
    path_of,
    text_of,
    value_at,
)

__all__ = ["Mapping"]

UNKNOWN = "unknown"
"""What stands for a blank dimension or series."""
SHORT, LONG, LINK = 120, 300, 2000
"""Most characters of a value, of words for a person, and of a web address."""


class Mapping(msgspec.Struct, frozen=True, kw_only=True, dict=True, forbid_unknown_fields=True):
    """Which fields of a row are the time, the dimensions and the measures of an Event.

    A field is named as it stands in the row; ``user.country`` is the field ``country`` within ``user`` unless a field
    has that very name, and ``tags.0`` the first of a list. How values become text, numbers and moments is written down
    in :mod:`tracewave_panel.sources.row_values`.

    Attributes
    ----------
    name, title
        Of the feed: what history and metrics know it by, and what a person reads.
    noun
        What is counted, for the words of the default metric: ``orders`` gives ``orders/s``.
    time, time_format
        Field of when it happened. Without one an event happens when it arrives, which only a live stream has.
    series, series_names
        Field that says which series a row belongs to, and the series to be told from the start on; the first of them is
        what a page shows. Without a field there is one series, named like the feed.
    most_series
        Most series, since each costs a window a second for ever: what is more goes to the series ``other``.
    id
        Field that duplicates are found by.
    dimensions, measures
        Name to field, or a list of fields, each of which is named by what follows its last dot.
    actor, subject
        Fields of who did it and to what: counted, never broken down by.
    label, link
        Fields of an event's words and web address for a person.
    place, who
        The dimensions that read as "on ..." and as "by ..." in a title. A title names any other as "in ...".
    blank_measures
        ``refuse`` (the row is undecodable) or ``zero``: what is done with a measure that is absent, null or empty.
    features, metrics
        Of a window, and those that detectors watch. By default the rate, the different actors and subjects and the sum
        of each measure, of which the rate is watched.

    Raises
    ------
    ConfigError
        When names are missing, clash, or name something that is not there.

    Examples
    --------
    >>> mapping = Mapping(name="orders", time="at", dimensions=["user.country"], measures={"euros": "amount"})
    >>> mapping.feed.dimensions, [feature.name for feature in mapping.feed.features]
    (('country',), ['rate', 'euros'])
    >>> event = mapping.event({"at": 1767225600, "user": {"country": "de"}, "amount": "9.50"}, 1)
    >>> event.occurred_at, event.dimensions, event.measures
    (1767225600.0, ('de',), (9.5,))
    """

    name: str = "own"
    title: str = ""
    noun: str = "events"
    time: str = ""
    time_format: TimeFormat = "auto"
    series: str = ""
    series_names: tuple[str, ...] = ()
    most_series: int = 50
    id: str = ""
    dimensions: dict[str, str] | list[str] = msgspec.field(default_factory=dict)
    measures: dict[str, str] | list[str] = msgspec.field(default_factory=dict)
    actor: str = ""
    subject: str = ""
    label: str = ""
    link: str = ""
    place: str = ""
    who: str = ""
    blank_measures: Literal["refuse", "zero"] = "refuse"
    features: tuple[Feature, ...] = ()
    metrics: tuple[Metric, ...] = ()

    def __post_init__(self) -> None:
        """Bring lists to tables, and refuse what makes no feed."""
        for kind in ("dimensions", "measures"):
            force_setattr(self, kind, named(getattr(self, kind), kind))
        for kind in ("features", "metrics", "series_names"):
            force_setattr(self, kind, tuple(getattr(self, kind)))
        check_mapping(self)
        check_feed(self)

    @cached_property
    def feed(self) -> Feed:
        """The feed that this describes."""
        features = self.features or tuple(self._default_features())
        metrics = self.metrics or (Metric("rate", "rate", f"{self.noun}/s", self.noun),)
        return Feed(
            name=self.name,
            title=self.title or self.name.replace("_", " ").capitalize(),
            dimensions=tuple(self.dimensions),
            measures=tuple(self.measures),
            features=features,
            metrics=metrics,
            series=self.series_names if self.series else (self.name,),
            place=self.place,
            who=self.who,
            actor=self._column("actor"),
            subject=self._column("subject"),
        )

    def _column(self, kind: Literal["actor", "subject"]) -> str:
        """Name of the actor's or subject's column of history: that of its field where nothing else has it."""
        name, other = _word(getattr(self, kind)), _word(self.subject if kind == "actor" else self.actor)
        taken = {each.lower() for each in (*self.dimensions, *self.measures, *OF_EVENTS, other)}
        return name if is_name(name) and name.lower() not in taken else f"{kind}_name"

    def _default_features(self) -> abc.Iterator[Feature]:
        yield Feature("rate", "rate")
        for kind in ("actor", "subject"):
            if getattr(self, kind):
                yield Feature(_plural(self._column(kind).removesuffix("_name")), "distinct", kind)
        for measure in self.measures:
            taken = measure.lower() in OF_WINDOWS or measure.lower() == "rate"
            yield Feature(f"{measure}_sum" if taken else measure, "sum", measure)

    @cached_property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """What is read of a row: meanings in words, each with its field."""
        plain = ("time", "series", "id", "actor", "subject", "label", "link")
        named = [
            (f"{kind[:-1]} {name}", field) for kind in ("dimensions", "measures") for name, field in self._of(kind)
        ]
        return tuple((kind, getattr(self, kind)) for kind in plain if getattr(self, kind)) + tuple(named)

    def _of(self, kind: str) -> Iterable[tuple[str, str]]:
        held: dict[str, str] = getattr(self, kind)
        return held.items()

    @cached_property
    def _paths(self) -> _Paths:
        return _Paths(
            **{name: path_of(getattr(self, name)) for name in _Paths.__struct_fields__[:7]},
            dimensions=tuple((name, path_of(field)) for name, field in self._of("dimensions")),
            measures=tuple((name, path_of(field)) for name, field in self._of("measures")),
        )

    def event(self, row: abc.Mapping[str, Any], number: int, *, arrived_at: float | None = None) -> Event:
        """Make the Event of a row; its three times are the one that the row says.

        A dimension or series that is blank is ``unknown``. Text is cut after 120 characters, words for a person after
        300; a link that is no web address of at most 2,000 is left out.

        Parameters
        ----------
        number
            Of the row, from 1 on; ``row 1`` is the id of one that has none.
        arrived_at
            Stands for the time where the mapping names no field for it.

        Raises
        ------
        FeedError
            When the row is no event, with the row, the field and what is wrong with it.
        """
        if not isinstance(row, abc.Mapping):
            raise FeedError(f"row {number}: a {type(row).__name__}, where an object with fields is wanted")
        what, field = "row", ""
        paths = self._paths
        try:
            what, field = "time", self.time
            moment = self._moment(row, arrived_at)
            what, field = "series", self.series
            series = (text_of(value_at(row, paths.series), SHORT) or UNKNOWN) if field else self.name
            dimensions = []
            for name, path in paths.dimensions:
                what, field = f"dimension {name}", path.name
                dimensions.append(text_of(value_at(row, path), SHORT) or UNKNOWN)
            measures = []
            for name, path in paths.measures:
                what, field = f"measure {name}", path.name
                value = value_at(row, path)
                blank = self.blank_measures == "zero" and is_blank(value)
                measures.append(0.0 if blank else number_of(value))
            texts = []
            for kind, path, limit in paths.texts:
                what, field = kind, path.name
                texts.append(text_of(value_at(row, path), limit) if field else "")
        except ValueError as error:
            raise FeedError(f"row {number}, {what} (field {field}): {error}") from None
        identity, actor, subject, title, link = texts
        return Event(
            time=moment,
            occurred_at=moment,
            arrived_at=moment,
            series=series,
            id=identity or f"row {number}",
            dimensions=tuple(dimensions),
            measures=tuple(measures),
            actor=actor,
            subject=subject,
            title=title or subject,
            link=link if link.startswith(("https://", "http://")) and not link.endswith("…") else "",
        )

    def _moment(self, row: abc.Mapping[str, Any], arrived_at: float | None) -> float:
        if self.time:
            return moment_of(value_at(row, self._paths.time), self.time_format)
        if arrived_at is None:
            raise ValueError("the mapping says no field for the time, which only rows of a live stream can do without")
        return arrived_at


class _Paths(msgspec.Struct, frozen=True, dict=True):
    time: Path
    series: Path
    id: Path
    actor: Path
    subject: Path
    label: Path
    link: Path
    dimensions: tuple[tuple[str, Path], ...]
    measures: tuple[tuple[str, Path], ...]

    @cached_property
    def texts(self) -> tuple[tuple[str, Path, int], ...]:
        return (
            ("id", self.id, LONG),
            ("actor", self.actor, SHORT),
            ("subject", self.subject, LONG),
            ("label", self.label, LONG),
            ("link", self.link, LINK),
        )


def _word(field: str) -> str:
    """What a field holds, in one word: ``user`` of ``user.name``."""
    parts = field.split(".")
    return parts[-2] if len(parts) > 1 and parts[-1].lower() in {"name", "id"} else parts[-1]


def _plural(name: str) -> str:
    return name if name.endswith("s") else f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
