"""What a Mapping may not say: names that are none, that clash, or that name what is not there."""

from __future__ import annotations

import re
from collections import abc
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tracewave_panel.core.detectors import DETECTORS
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import FEEDS, Feed
from tracewave_panel.sources.row_values import nearest

if TYPE_CHECKING:
    from tracewave_panel.sources.mapping import Mapping

__all__ = ["OF_EVENTS", "OF_WINDOWS", "check_feed", "check_mapping", "is_name", "named"]

MOST_NAMES = 20
"""Dimensions, measures, features or metrics of a feed."""
_WORDS = 60
_SERIES = 120
_name = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_feed_name = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
OF_EVENTS = frozenset(
    ("time", "occurred_at", "arrived_at", "series", "id", "actor_name", "subject_name", "title", "link", "told")
)
"""Columns that a history of events has of its own."""
OF_WINDOWS = frozenset(
    (
        *("series", "start", "width", "quality", "revision", "count", "late", "dropped", "told", "time"),
        *("minute", "hour", "windows", "events", "seconds", "missing", "peak"),
        *("metric", "observed", "expected", "spread", "confidence", "evidence", "rarity", "severity", "alerting"),
        *DETECTORS,
    )
)
"""Columns that histories and tables of windows have of their own."""


def is_name(name: str) -> bool:
    """Whether it can name a column: a letter, then letters, digits or _, 40 at most."""
    return _name.fullmatch(name) is not None


def check_mapping(mapping: Mapping) -> None:
    """Refuse what makes no feed; raises ConfigError."""
    _check_words(mapping)
    _check_columns(mapping)
    _check_series(mapping)


def check_feed(mapping: Mapping) -> None:
    """Refuse features and metrics that cannot be; raises ConfigError."""
    _check_features(mapping, mapping.feed)
    _check_metrics(mapping.feed)


def named(given: Any, kind: str) -> dict[str, str]:
    """A table of name and field, or a list of fields, as a table; raises ConfigError."""
    if isinstance(given, str) or not isinstance(given, abc.Mapping | Sequence):
        raise ConfigError(f"{kind}: a table of name = field or a list of fields is wanted, not {given!r}")
    pairs = (
        given.items() if isinstance(given, abc.Mapping) else [(str(field).rpartition(".")[2], field) for field in given]
    )
    named: dict[str, str] = {}
    for name, field in pairs:
        if not isinstance(field, str) or not field:
            raise ConfigError(f"{kind}: {name}: the name of a field is wanted, not {field!r}")
        if name in named:
            raise ConfigError(f"{kind}: two are called {name}; write {kind} as a table of name = field")
        named[name] = field
    if len(named) > MOST_NAMES:
        raise ConfigError(f"{kind}: {len(named)} are too many; {MOST_NAMES} are allowed")
    return named


def _check_words(mapping: Mapping) -> None:
    if not _feed_name.fullmatch(mapping.name):
        raise ConfigError(
            f"name: {mapping.name!r} is no name of a feed: a letter, then letters, digits, _ or -, 40 at most"
        )
    if mapping.name in FEEDS:
        raise ConfigError(f"name: {mapping.name} is a feed that Tracewave knows already; choose another")
    for kind in ("title", "noun"):
        words = getattr(mapping, kind)
        if len(words) > _WORDS or not (words.isprintable()):
            raise ConfigError(f"{kind}: at most 60 characters on one line are wanted")
    if not mapping.noun:
        raise ConfigError("noun: say what is counted, such as orders")


def _check_columns(mapping: Mapping) -> None:
    """Refuse dimensions and measures that cannot be columns of history beside each other."""
    seen: dict[str, str] = {}
    for kind in ("dimensions", "measures"):
        for name in getattr(mapping, kind):
            _check_name(kind, name)
            if name.lower() in OF_EVENTS:
                raise ConfigError(f"{kind}: {name} is what history calls a column of its own; choose another name")
            if name.lower() in seen:
                other = seen[name.lower()]
                raise ConfigError(f"{kind}: {name} clashes with {other}: history has one column of that name")
            seen[name.lower()] = f"{name} of {kind}"
    for kind in ("place", "who"):
        name = getattr(mapping, kind)
        if name and name not in mapping.dimensions:
            raise ConfigError(f"{kind}: no dimension is called {name!r}; {nearest(name, mapping.dimensions)}")


def _check_name(kind: str, name: str) -> None:
    """Refuse what is no name of a column."""
    if not is_name(name):
        words = "a letter, then letters, digits or _, 40 at most"
        raise ConfigError(f"{kind}: {name!r} is no name: {words}; write {kind} as a table of name = field")


def _check_series(mapping: Mapping) -> None:
    if not 1 <= mapping.most_series <= 1000:
        raise ConfigError(f"most_series: from 1 to 1000 are allowed, not {mapping.most_series}")
    if mapping.series and not mapping.series_names:
        raise ConfigError(
            "series_names: missing; list the series to be told from the start, the first of which a page shows, "
            f'such as series_names = ["a value of {mapping.series}"]'
        )
    if mapping.series_names and not mapping.series:
        raise ConfigError("series_names: of no use without series, the field that says which series a row belongs to")
    names = mapping.series_names
    if len(set(names)) < len(names) or not all(names) or any(len(name) > _SERIES for name in names):
        raise ConfigError(f"series_names: different names of 1 to {_SERIES} characters are wanted")
    if len(names) > mapping.most_series:
        raise ConfigError(f"series_names: {len(names)} are more than most_series allows ({mapping.most_series})")


def _check_features(mapping: Mapping, feed: Feed) -> None:
    _check_names("features", [feature.name for feature in feed.features], OF_WINDOWS)
    for feature in feed.features:
        where = f"features: {feature.name}"
        allowed: Iterable[str] = {
            "share": feed.dimensions,
            "distinct": [kind for kind in ("actor", "subject") if getattr(mapping, kind)],
            "rate": (),
        }.get(feature.fold, feed.measures)
        if feature.fold == "rate":
            if feature.of or feature.value:
                raise ConfigError(f"{where}: a rate counts all events; it has no `of` and no `value`")
        elif feature.of not in allowed:
            kind = {"share": "dimension", "distinct": "actor or subject"}.get(feature.fold, "measure")
            near = nearest(feature.of, allowed)
            raise ConfigError(f"{where}: {feature.fold} is of a {kind} of this feed, not of {feature.of!r}; {near}")
        if (feature.fold == "share") != bool(feature.value):
            raise ConfigError(f"{where}: `value` says which value a share is of, and belongs to a share alone")
        if feature.name.lower() == "rate" and feature.fold != "rate":
            raise ConfigError(f"{where}: history calls the events a second so; choose another name")


def _check_metrics(feed: Feed) -> None:
    _check_names("metrics", [metric.name for metric in feed.metrics], frozenset())
    features = [feature.name for feature in feed.features]
    for metric in feed.metrics:
        if metric.feature not in features:
            near = nearest(metric.feature, features)
            raise ConfigError(f"metrics: {metric.name}: no feature is called {metric.feature!r}; {near}")
        for kind in ("unit", "noun"):
            words: str = getattr(metric, kind)
            if not words or len(words) > _WORDS or not words.isprintable():
                raise ConfigError(f"metrics: {metric.name}: {kind}: 1 to 60 characters on one line are wanted")


def _check_names(kind: str, names: Sequence[str], reserved: abc.Set[str]) -> None:
    if len(names) > MOST_NAMES:
        raise ConfigError(f"{kind}: {len(names)} are too many; {MOST_NAMES} are allowed")
    for position, name in enumerate(names):
        _check_name(kind, name)
        if name.lower() in reserved:
            raise ConfigError(f"{kind}: {name} is what history calls a column of its own; choose another name")
        if name.lower() in (other.lower() for other in names[:position]):
            raise ConfigError(f"{kind}: two are called {name}; history has one column of that name")
