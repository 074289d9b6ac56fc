"""Views of history: the questions that are asked most, by name.

Those by minute and hour give what is rolled up and what is not yet as one.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tracewave_panel.core.detectors import DETECTORS
from tracewave_panel.feeds import Feed
from tracewave_panel.stores.columns import TableSchema, identifier, text
from tracewave_panel.stores.minutes import all_counts_by_hour, all_counts_by_minute, all_hours, all_minutes
from tracewave_panel.stores.wide_tables import Length, feature_words

__all__ = ["View", "views"]


class View(msgspec.Struct, frozen=True):
    """One view: what it is for, its columns' names and meanings in order, and its SELECT."""

    name: str
    comment: str
    columns: Mapping[str, str]
    select: str


def views(feed: Feed, tables: Mapping[str, TableSchema]) -> dict[str, View]:
    """Every view by name.

    Parameters
    ----------
    tables
        Whose words the views' columns share.
    """
    words = {name: {column.name: column.comment for column in table.columns} for name, table in tables.items()}
    every = (
        _rate(feed, "minute", all_minutes(feed), words["windows_by_minute"]),
        _rate(feed, "hour", all_hours(feed), words["windows_by_hour"]),
        _dimensions("minute", all_counts_by_minute(), words["dimension_counts_by_minute"]),
        _dimensions("hour", all_counts_by_hour(), words["dimension_counts_by_hour"]),
        _scores_wide(words["metrics"], words["windows"]),
        _anomalies_readable(words["anomalies"], words["labels"]),
        _anomalies_explained(words["anomalies"], words["contributions"]),
    )
    return {view.name: view for view in every}


def _rate(feed: Feed, length: Length, source: str, words: Mapping[str, str]) -> View:
    plain = {name: words[name] for name in ("missing", "peak", "late", "dropped")}
    rate = {"rate": "events a second over the seconds observed; NULL: all of it was missing"}
    columns = {name: words[name] for name in ("series", length, "events")} | rate | plain
    columns |= {each.name: each.comment for each in feature_words(feed) if each.name.lower() not in columns}
    taken = ", ".join(map(identifier, list(columns)[4:]))
    return View(
        f"rate_by_{length}",
        f"Events by {length} and a second, without gaps, the present {length} included.",
        columns,
        f"""
        SELECT series, {length}, events, events / nullif(seconds, 0) AS rate, {taken}
        FROM {source} ORDER BY {length}, series
        """,  # noqa: S608 - our own words and the feed's names, quoted
    )


def _dimensions(length: Length, source: str, words: Mapping[str, str]) -> View:
    columns = {name: words[name] for name in ("series", length, "dimension", "value")}
    return View(
        f"dimensions_by_{length}",
        f"Each dimension value's events by {length} and its share of that dimension, the present {length} included.",
        columns | {"events": words["count"], "share": "part of the events of its dimension, 0 to 1"},
        f"""
        SELECT series, {length}, dimension, value, count AS events,
               count / sum(count) OVER (PARTITION BY series, {length}, dimension) AS share
        FROM {source} ORDER BY {length}, series, dimension, events DESC, value
        """,  # noqa: S608 - our own words
    )


def _scores_wide(metrics: Mapping[str, str], windows: Mapping[str, str]) -> View:
    first = ("series", "start", "metric")
    judged = ("observed", "expected", "confidence", "evidence", "rarity", "severity", "alerting")
    scores = {name: f"score of {name}, 0 to 1; NULL: it abstains" for name in DETECTORS}
    columns = {
        **{name: metrics[name] for name in first},
        "quality": windows["quality"],
        **{name: metrics[name] for name in judged},
        "fired": "detectors that fired, by name",
        **scores,
    }
    wide = ", ".join(
        f"max(s.score) FILTER (s.warm AND s.detector = {text(name)}) AS {identifier(name)}" for name in scores
    )
    return View(
        "scores_wide",
        "One row a metric and window: observed, expected, who fired, and each detector's score in a column.",
        columns,
        f"""
        SELECT m.series, m.start, m.metric, w.quality, {", ".join(f"m.{name}" for name in judged)},
               string_agg(s.detector, ' ' ORDER BY s.detector) FILTER (s.fired) AS fired, {wide}
        FROM metrics m JOIN windows w USING (series, start) LEFT JOIN scores s USING (series, start, metric)
        GROUP BY ALL ORDER BY m.start, m.series, m.metric
        """,  # noqa: S608 - our own words
    )


def _anomalies_readable(anomalies: Mapping[str, str], labels: Mapping[str, str]) -> View:
    told = {name: anomalies[name] for name in ("severity", "kind", "series", "metric", "observed", "expected")}
    return View(
        "anomalies_readable",
        "Anomalies, newest first: lasting in seconds (NULL: open), the leading contributions, what a person says.",
        {
            "opened": anomalies["opened"],
            "closed": anomalies["closed"],
            "lasting": "seconds from opened to closed; NULL: still open",
            **told,
            "confidence": anomalies["confidence"],
            "agreeing": anomalies["agreeing"],
            "because": "contributions that lead, with their shares of the change",
            "title": anomalies["title"],
            "label": f"what a person says: {labels['verdict']}; NULL: nothing",
            "id": anomalies["id"],
        },
        """
        SELECT opened, closed, epoch(closed - opened) AS lasting, severity, kind, series, metric, observed, expected,
               round(confidence, 3) AS confidence, array_to_string(agreeing, ' ') AS agreeing, because, title,
               labels.verdict AS label, id
        FROM anomalies LEFT JOIN (
            SELECT anomaly_id, string_agg(printf('%s=%s (%.0f%%)', dimension, value, 100 * share), ', ' ORDER BY rank)
                   AS because
            FROM contributions WHERE named GROUP BY anomaly_id
        ) AS named ON named.anomaly_id = id LEFT JOIN labels ON labels.anomaly_id = id
        ORDER BY opened DESC, id
        """,
    )


def _anomalies_explained(anomalies: Mapping[str, str], contributions: Mapping[str, str]) -> View:
    whose = ("id", "opened", "closed", "severity", "title")
    what = ("rank", "dimension", "value", "observed", "expected")
    weighed = ("share", "significance", "named")
    return View(
        "anomalies_explained",
        "Anomalies with their contributions, one row each: what was different, the strongest first.",
        {
            **{name: anomalies[name] for name in whose},
            **{name: contributions[name] for name in what},
            "excess": "observed less expected",
            **{name: contributions[name] for name in weighed},
        },
        """
        SELECT a.id, a.opened, a.closed, a.severity, a.title, c.rank, c.dimension, c.value, c.observed, c.expected,
               c.observed - c.expected AS excess, c.share, c.significance, c.named
        FROM anomalies a JOIN contributions c ON c.anomaly_id = a.id
        ORDER BY a.opened DESC, a.id, c.rank
        """,
    )
