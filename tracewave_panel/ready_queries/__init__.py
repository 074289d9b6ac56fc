"""Questions worth asking of a history, each with what it teaches: for the Explore page, the command and the notebooks.

They are plain text in the names of the history's tables and views, with those of the feed filled in.
"""

from __future__ import annotations

import datetime as dt
import re
from string import Template

import msgspec

from tracewave_panel.core.detectors import DETECTORS
from tracewave_panel.feeds import Feed

from .questions import COMPARES, DIFFERENT, LATEST, NEWEST, QUERIES, SHARE, ReadyQuery

__all__ = ["ReadyQuery", "query_of_anomaly", "ready_queries"]

_RESERVED = re.compile(
    "all|analyse|analyze|and|any|array|as|asc|asymmetric|both|case|cast|check|collate|column|constraint|create|"
    "default|deferrable|desc|describe|distinct|do|else|end|except|false|fetch|for|foreign|from|group|having|in|"
    "initially|intersect|into|lambda|lateral|leading|limit|not|null|offset|on|only|or|order|pivot|placing|"
    "primary|qualify|references|returning|select|show|some|summarize|symmetric|table|then|to|trailing|true|union|"
    "unique|unpivot|using|variadic|when|where|window|with"
)
"""Words that DuckDB takes for a name only between quotes."""


def ready_queries(feed: Feed) -> tuple[ReadyQuery, ...]:
    """Return the questions that fit a feed, the one to begin with first.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> ready_queries(WIKIMEDIA)[0].title
    'Top wikis now'
    """
    names = _names(feed)
    fitting = (each for each in QUERIES if "share" in names or each is not SHARE)
    return tuple(_filled(each, names) for each in fitting if names["place"] or "$place" not in each.sql)


def query_of_anomaly(feed: Feed, anomaly_id: str, opened: float, closed: float | None) -> ReadyQuery:
    """Return the question what was different while one anomaly lasted, against the hour before it.

    Parameters
    ----------
    feed
        Whose history is asked.
    anomaly_id
        As in ``anomalies.id``; it may hold any characters.
    opened, closed
        Epoch seconds; `closed` None: it is still open.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> print(query_of_anomaly(WIKIMEDIA, "edits-rate-0", 0.0, 60.0).sql.splitlines()[0])
    -- What was different while the anomaly lasted, against the hour before it.
    """
    until = LATEST if closed is None else _moment(closed)
    series = f"(SELECT series FROM anomalies WHERE id = {_text(anomaly_id)})" if len(feed.series) > 1 else ""  # noqa: S608 - quoted
    names = {
        "when": "while the anomaly lasted",
        "stretch": f"SELECT {_moment(opened)} AS opened,\n           {until} AS until",
        "only": f"\n      AND series = {series}" if series else "",
    }
    return _filled(ReadyQuery("anomaly", "The picked anomaly", COMPARES, DIFFERENT), names)


def _names(feed: Feed) -> dict[str, str]:
    """What is filled in: as words, as a column, and as a text of SQL."""
    noun, many = _plain(feed.metrics[0].noun), len(feed.series) > 1
    place = feed.place or next(iter(feed.dimensions), "")
    names = {
        "place": _plain(place),
        "places": _plural(_plain(place) or "part"),
        "places_name": _hyphened(_plural(_plain(place) or "part")),
        "place_column": _column(place),
        "place_text": _text(place),
        "noun": noun,
        "Noun": noun.capitalize(),
        "noun_column": _column(noun),
        "columns": ", ".join(map(_column, (*dict.fromkeys(filter(None, (place, feed.who))), feed.actor, feed.subject))),
        "detectors": ", ".join(DETECTORS),
        "rounded": ",\n       ".join(f"round({name}, 2) AS {name}" for name in DETECTORS),
        "metric": f"\n  AND  metric = {_text(feed.metrics[0].name)}" if len(feed.metrics) > 1 else "",
        "same_series": "\n  AND  series = (SELECT series FROM newest)" if many else "",
        "when": "in the newest anomaly",
        "stretch": NEWEST,
        "only": "\n      AND series = (SELECT series FROM anomalies ORDER BY opened DESC, id LIMIT 1)" if many else "",
    }
    share = next((feature for feature in feed.features if feature.fold == "share"), None)
    if share:
        names |= {
            "share": _column(share.name),
            "share_name": _hyphened(share.name),
            "Share": _plain(share.name).capitalize(),
            "of": _plain(share.of),
            "value": _plain(share.value),
        }
    return names


def _filled(query: ReadyQuery, names: dict[str, str]) -> ReadyQuery:
    fields = msgspec.structs.astuple(query)
    return ReadyQuery(*(Template(text).safe_substitute(names).strip("\n") for text in fields))


def _moment(seconds: float) -> str:
    words = dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(sep=" ").replace("+00:00", "+00")
    return f"TIMESTAMPTZ '{words}'"


def _text(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


def _column(name: str) -> str:
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and not _RESERVED.fullmatch(name)
    return name if plain else '"' + name.replace('"', '""') + '"'


def _plain(name: str) -> str:
    """Words for a title or a comment, which a line end would close."""
    return " ".join(name.replace("_", " ").split())


def _plural(words: str) -> str:
    """Several of them, as regular nouns have it.

    >>> _plural("country"), _plural("delivery day"), _plural("branch")
    ('countries', 'delivery days', 'branches')
    """
    if re.search("[^aeiou]y$", words):
        return f"{words[:-1]}ies"
    return f"{words}es" if re.search("(s|x|z|ch|sh)$", words) else f"{words}s"


def _hyphened(name: str) -> str:
    return "-".join(re.findall(r"[^\W_]+", name.lower())) or "part"
