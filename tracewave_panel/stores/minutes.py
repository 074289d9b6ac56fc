"""SQL that makes minutes of windows, and hours of minutes.

A minute that is over is stored once (:mod:`~tracewave_panel.stores.roll_ups`); ``rolled_until`` in
``meta`` is where the stored ones end. What starts later is added up when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracewave_panel.feeds import Feature, Feed
from tracewave_panel.stores.columns import identifier

__all__ = [
    "ROLLED_UNTIL",
    "all_counts_by_hour",
    "all_counts_by_minute",
    "all_hours",
    "all_minutes",
    "counts_by_hour",
    "counts_by_minute",
    "hours",
    "minutes",
]

ROLLED_UNTIL = """(
    SELECT coalesce(max(make_timestamptz(CAST(value AS BIGINT))), TIMESTAMPTZ '-infinity')
    FROM meta WHERE key = 'rolled_until'
)"""
_ROLLED_HOURS = f"date_trunc('hour', {ROLLED_UNTIL})"
_SEEN = "FILTER (quality <> 'gap')"


def minutes(feed: Feed, source: str) -> str:
    """Rows of ``windows_by_minute`` out of windows."""
    features = _features(feed.features, _of_windows)
    return f"""
        SELECT series, date_trunc('minute', start) AS minute, count(*) AS windows, CAST(sum(count) AS BIGINT) AS events,
               coalesce(sum(width) {_SEEN}, 0) AS seconds, coalesce(sum(width) FILTER (quality = 'gap'), 0) AS missing,
               CAST(sum(late) AS BIGINT) AS late, CAST(sum(dropped) AS BIGINT) AS dropped,
               max(count / width) {_SEEN} AS peak{features}
        FROM {source} GROUP BY series, date_trunc('minute', start)
    """  # noqa: S608 - our own words and the feed's names, quoted


def hours(feed: Feed, source: str) -> str:
    """Rows of ``windows_by_hour`` out of minutes."""
    features = _features(feed.features, _of_minutes)
    return f"""
        SELECT series, date_trunc('hour', minute) AS hour, CAST(sum(windows) AS BIGINT) AS windows,
               CAST(sum(events) AS BIGINT) AS events, sum(seconds) AS seconds, sum(missing) AS missing,
               CAST(sum(late) AS BIGINT) AS late, CAST(sum(dropped) AS BIGINT) AS dropped, max(peak) AS peak{features}
        FROM {source} GROUP BY series, date_trunc('hour', minute)
    """  # noqa: S608 - our own words and the feed's names, quoted


def counts_by_minute(source: str) -> str:
    """Rows of ``dimension_counts_by_minute`` out of counts of windows."""
    return _counts("minute", "start", source)


def counts_by_hour(source: str) -> str:
    """Rows of ``dimension_counts_by_hour`` out of counts of minutes."""
    return _counts("hour", "minute", source)


def all_minutes(feed: Feed, since: str = "") -> str:
    """Minutes, stored or not, as a source for a SELECT; `since` may leave out stored ones."""
    unrolled = minutes(feed, f"windows WHERE start >= {ROLLED_UNTIL}")
    return f"(SELECT * FROM windows_by_minute {since} UNION ALL BY NAME ({unrolled}))"  # noqa: S608 - our own


def all_hours(feed: Feed) -> str:
    """Hours, stored or not."""
    unrolled = hours(feed, all_minutes(feed, f"WHERE minute >= {_ROLLED_HOURS}"))
    return f"(SELECT * FROM windows_by_hour UNION ALL BY NAME ({unrolled}))"  # noqa: S608 - our own


def all_counts_by_minute(since: str = "") -> str:
    """Counts by minute, stored or not; `since` may leave out stored ones."""
    unrolled = counts_by_minute(f"dimension_counts WHERE start >= {ROLLED_UNTIL}")
    return f"(SELECT * FROM dimension_counts_by_minute {since} UNION ALL BY NAME ({unrolled}))"  # noqa: S608 - our own


def all_counts_by_hour() -> str:
    """Counts by hour, stored or not."""
    unrolled = counts_by_hour(all_counts_by_minute(f"WHERE minute >= {_ROLLED_HOURS}"))
    return f"(SELECT * FROM dimension_counts_by_hour UNION ALL BY NAME ({unrolled}))"  # noqa: S608 - our own


def _counts(length: str, moment: str, source: str) -> str:
    return f"""
        SELECT series, date_trunc('{length}', {moment}) AS {length}, dimension, value,
               CAST(sum(count) AS BIGINT) AS count
        FROM {source} GROUP BY series, date_trunc('{length}', {moment}), dimension, value
    """  # noqa: S608 - our own words


def _features(features: Iterable[Feature], added_up: dict[str, str]) -> str:
    return "".join(
        f", {added_up[each.fold].format(identifier(each.name))} AS {identifier(each.name)}" for each in features
    )


_MEAN_OF_WINDOWS = f"sum({{0}} * width) {_SEEN} / sum(width) {_SEEN}"
_MEAN_OF_EVENTS = (
    f"CASE WHEN count(*) {_SEEN} > 0 THEN coalesce(sum({{0}} * count) {_SEEN} / nullif(sum(count) {_SEEN}, 0), 0) END"
)
_of_windows = {
    "rate": _MEAN_OF_WINDOWS,
    "distinct": _MEAN_OF_WINDOWS,
    "share": _MEAN_OF_EVENTS,
    "mean_abs": _MEAN_OF_EVENTS,
    "sum": f"sum({{0}}) {_SEEN}",
    "last": "arg_max({0}, start) FILTER (count > 0)",
}
_of_minutes = {
    "rate": "sum({0} * seconds) / nullif(sum(seconds) FILTER ({0} IS NOT NULL), 0)",
    "distinct": "sum({0} * seconds) / nullif(sum(seconds) FILTER ({0} IS NOT NULL), 0)",
    "share": "CASE WHEN count({0}) > 0 THEN coalesce(sum({0} * events) / nullif(sum(events), 0), 0) END",
    "mean_abs": "CASE WHEN count({0}) > 0 THEN coalesce(sum({0} * events) / nullif(sum(events), 0), 0) END",
    "sum": "sum({0})",
    "last": "arg_max({0}, minute) FILTER (events > 0)",
}
