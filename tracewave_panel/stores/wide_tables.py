"""Tables whose columns depend on the feed most: raw events, and roll-ups of windows."""

from __future__ import annotations

from typing import Literal

from tracewave_panel.feeds import Feed
from tracewave_panel.stores.columns import Column, TableSchema

__all__ = ["Length", "events_table", "feature_words", "roll_up_tables"]

Length = Literal["minute", "hour"]
"""What windows are rolled up by."""

_ADDED_UP = {
    "rate": "events a second over the seconds observed",
    "distinct": "how many different in a window, on average; they do not add up",
    "share": "part of all events",
    "mean_abs": "mean over all events",
    "sum": "sum over all events",
    "last": "in the last window that has events",
}


def events_table(feed: Feed) -> TableSchema:
    """Raw events; texts are the feed's."""
    return TableSchema(
        "events",
        f"Raw events of {feed.title}, kept for a day. Key: id.",
        (
            Column(
                "time", "TIMESTAMPTZ", "when it counts: the window that holds this moment has it, unless it was late"
            ),
            Column("occurred_at", "TIMESTAMPTZ", "when it happened, as the feed says"),
            Column("arrived_at", "TIMESTAMPTZ", "when it was read here"),
            Column("series", "VARCHAR", "time series"),
            Column("id", "VARCHAR", "unique within the feed"),
            *(Column(name, "VARCHAR", f"dimension: {name}") for name in feed.dimensions),
            *(Column(name, "DOUBLE", f"measure: {name}") for name in feed.measures),
            Column(feed.actor, "VARCHAR", "who did it"),
            Column(feed.subject, "VARCHAR", "what it was done to"),
            Column("title", "VARCHAR", "words for a person; the feed's"),
            Column("link", "VARCHAR", "address for a person; the feed's"),
            Column("told", "BIGINT", "running number of the telling; what cursors count"),
        ),
    )


def feature_words(feed: Feed) -> tuple[Column, ...]:
    """A column for each feature, over more than one window."""
    words = {each.name: f"{each.fold} {each.of} {each.value}".strip() for each in feed.features}
    return tuple(Column(each.name, "DOUBLE", f"{words[each.name]}: {_ADDED_UP[each.fold]}") for each in feed.features)


def roll_up_tables(feed: Feed, length: Length) -> tuple[TableSchema, TableSchema]:
    """Windows and dimension counts of each minute or hour that is over."""
    key = (
        Column("series", "VARCHAR", "time series"),
        Column(length, "TIMESTAMPTZ", f"first moment of the {length}; a window counts to the one it starts in"),
    )
    ask = f"{length}s that are over, kept for ever"
    windows = TableSchema(
        f"windows_by_{length}",
        f"Windows rolled up: {ask}. Ask rate_by_{length}, which has the present one, too. Key: series, {length}.",
        (
            *key,
            Column("windows", "BIGINT", "windows, those of gaps among them"),
            Column("events", "BIGINT", "events"),
            Column("seconds", "DOUBLE", "seconds observed"),
            Column("missing", "DOUBLE", "seconds that gaps took"),
            Column("late", "BIGINT", "events among events that belong to an earlier window"),
            Column("dropped", "BIGINT", "events that a full buffer shed; not in events"),
            Column("peak", "DOUBLE", "events a second in the fullest window"),
            *feature_words(feed),
        ),
    )
    counts = TableSchema(
        f"dimension_counts_by_{length}",
        f"Dimension counts rolled up: {ask}. Ask dimensions_by_{length}. Key: series, {length}, dimension, value.",
        (
            *key,
            Column("dimension", "VARCHAR", "one of " + ", ".join(feed.dimensions)),
            Column("value", "VARCHAR", "one of its values"),
            Column("count", "BIGINT", "events"),
        ),
    )
    return windows, counts
