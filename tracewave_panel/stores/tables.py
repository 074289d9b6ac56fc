"""The tables of history, for one feed: names, columns and their meanings.

Keys are kept by the writer, which deletes what it tells again in the same transaction; there are
no indexes to hold in memory. Times are TIMESTAMPTZ in UTC, lengths are seconds.
"""

from __future__ import annotations

from tracewave_panel.feeds import Feature, Feed
from tracewave_panel.stores.columns import SAMPLES, Column, TableSchema
from tracewave_panel.stores.wide_tables import events_table, roll_up_tables

__all__ = ["DEPENDANTS", "tables"]

DEPENDANTS = ("metrics", "scores", "dimension_counts", "window_contributions")
"""Tables whose rows belong to a window, by series and start."""

_WINDOW_KEY = (
    Column("series", "VARCHAR", "time series"),
    Column("start", "TIMESTAMPTZ", "first moment of the window"),
)
_METRIC_KEY = (*_WINDOW_KEY, Column("metric", "VARCHAR", "feature that the detectors watch"))
_JUDGEMENT = (
    Column("observed", "DOUBLE", "the metric"),
    Column("expected", "DOUBLE", "what the detectors expected; NULL: nobody knew"),
    Column("confidence", "DOUBLE", "scores of the detectors that fired over the number available, 0 to 1"),
    Column("evidence", "DOUBLE", "what the detectors' p say beyond the usual, in powers of ten, weighted and added up"),
    Column("rarity", "DOUBLE", "days between two ordinary episodes with at least this evidence"),
    Column(
        "provisional", "BOOLEAN", "whether p and rarity rest on a safe default, not on what this feed was seen to do"
    ),
    Column("severity", "VARCHAR", "none, info, warning or critical"),
    Column("direction", "TINYINT", "1 a rise, -1 a fall, 0 the mix alone"),
    Column("verdict", "VARCHAR", "what the explanation concluded: culprit, global or none"),
    Column("completeness", "DOUBLE", "share of the change that the named contributions account for"),
)
_CONTRIBUTION = (
    Column("rank", "BIGINT", "1 is the strongest"),
    Column("dimension", "VARCHAR", "which dimension"),
    Column("value", "VARCHAR", "which of its values"),
    Column("observed", "DOUBLE", "events of this value a second"),
    Column("expected", "DOUBLE", "events of this value a second by its baseline"),
    Column("share", "DOUBLE", "part of the whole change; negative: it went the other way"),
    Column("significance", "DOUBLE", "signed root of G, about standard normal when the mix did not change"),
    Column("named", "BOOLEAN", "whether it passed the bar that keeps rare noise from leading"),
)
_TOLD = Column("told", "BIGINT", "running number of the telling; what cursors count")


def tables(feed: Feed) -> dict[str, TableSchema]:
    """Every table by name, in the order in which they are created."""
    features = tuple(Column(feature.name, "DOUBLE", _feature(feature)) for feature in feed.features)
    schemas = (
        TableSchema(
            "windows",
            f"Tumbling windows of {feed.title}, kept for 90 days. Key: series, start; the newest revision holds.",
            (
                *_WINDOW_KEY,
                Column("width", "DOUBLE", "length in seconds"),
                Column("quality", "VARCHAR", "ok and backfilled are judged; partial, gap and revised are only shown"),
                Column("revision", "BIGINT", "0 at first; more when a gap was told again with late events"),
                Column("count", "BIGINT", "events"),
                Column("late", "BIGINT", "events among count that belong to an earlier window"),
                Column("dropped", "BIGINT", "events that a full buffer shed; not in count"),
                *features,
            ),
        ),
        TableSchema(
            "metrics",
            "What the ensemble said of each metric of each window. Key: series, start, metric.",
            (
                *_METRIC_KEY,
                *_JUDGEMENT,
                Column("spread", "DOUBLE", "about one standard deviation around expected, in the metric's unit"),
                Column("alerting", "BOOLEAN", "whether the ensemble calls the window anomalous"),
                _TOLD,
            ),
        ),
        TableSchema(
            "scores",
            "Each detector's word on each metric of each window. Key: series, start, metric, detector.",
            (
                *_METRIC_KEY,
                Column("detector", "VARCHAR", "name of the detector"),
                Column("statistic", "DOUBLE", "the detector's own number"),
                Column("p", "DOUBLE", "chance of a statistic this extreme on an ordinary window"),
                Column("score", "DOUBLE", "min(1, -log10(p) / 10): 0.5 is one in 100,000"),
                Column("fired", "BOOLEAN", "whether the detector alone calls the window unusual"),
                Column("direction", "TINYINT", "1 a rise, -1 a fall, 0 cannot say"),
                Column("expected", "DOUBLE", "what it expected of the metric, if it expects a value"),
                Column("spread", "DOUBLE", "about one standard deviation around expected, in the metric's unit"),
                Column("warm", "BOOLEAN", "false: it abstains"),
                Column("reason", "VARCHAR", "why it abstains"),
                Column("windows_left", "BIGINT", "windows it needs until it is warm"),
                Column("span", "BIGINT", "over how many windows it looked; 0: that is not said"),
            ),
        ),
        TableSchema(
            "dimension_counts",
            "How often each dimension value occurred in a window. Key: series, start, dimension, value.",
            (
                *_WINDOW_KEY,
                Column("dimension", "VARCHAR", "one of " + ", ".join(feed.dimensions)),
                Column("value", "VARCHAR", "one of its values"),
                Column("count", "BIGINT", "events"),
            ),
        ),
        TableSchema(
            "window_contributions",
            "What explains the change of a metric in a window. Key: series, start, metric, rank.",
            (*_METRIC_KEY, *_CONTRIBUTION),
        ),
        TableSchema(
            "anomalies",
            "Episodes, as last told; judgement columns are those of the peak. Key: id.",
            (
                Column("id", "VARCHAR", "derived from series, metric, kind and opened"),
                Column("series", "VARCHAR", "time series"),
                Column("metric", "VARCHAR", "feature that the detectors watch"),
                Column("kind", "VARCHAR", "rate_up, rate_down, mix_shift or feed_silent"),
                Column("opened", "TIMESTAMPTZ", "start of the first alerting window"),
                Column("peaked", "TIMESTAMPTZ", "start of the strongest window"),
                Column("updated", "TIMESTAMPTZ", "start of the window that this telling was made from"),
                Column("closed", "TIMESTAMPTZ", "end of the last alerting window; NULL: still open"),
                *_JUDGEMENT,
                Column("agreeing", "VARCHAR[]", "detectors that fired at the peak"),
                Column("quiet", "VARCHAR[]", "detectors that were warm and did not"),
                Column("abstained", "VARCHAR[]", "detectors that were not warm"),
                Column("quality", "VARCHAR", "quality of the peak window"),
                Column("title", "VARCHAR", "one line for a person; holds text from the feed"),
                _TOLD,
            ),
        ),
        TableSchema(
            "contributions",
            "What explains an anomaly, at its peak. Key: anomaly_id, rank.",
            (
                Column("anomaly_id", "VARCHAR", "anomalies.id"),
                *_CONTRIBUTION,
                Column("samples", SAMPLES, "up to three of its events, the newest last; title and link are the feed's"),
            ),
        ),
        TableSchema(
            "labels",
            "What people say of anomalies; stays when an anomaly is told again. Key: anomaly_id.",
            (
                Column("anomaly_id", "VARCHAR", "anomalies.id; the anomaly need not be stored"),
                Column("verdict", "VARCHAR", "real or not_real"),
                Column("labelled_at", "TIMESTAMPTZ", "when it was given"),
                Column("by", "VARCHAR", "who gave it, as far as that is known"),
            ),
        ),
        TableSchema(
            "gaps",
            "Stretches of time that the feed did not deliver. Key: start.",
            (
                Column("start", "TIMESTAMPTZ", "first missing moment"),
                Column("until", "TIMESTAMPTZ", "first moment after the gap"),
                Column("recorded_at", "TIMESTAMPTZ", "when it was found out"),
            ),
        ),
        TableSchema(
            "not_kept",
            "Stretches that the feed delivered and history did not keep: a full disk, a locked file, a full queue.",
            (
                Column("start", "TIMESTAMPTZ", "first moment that is not kept"),
                Column("until", "TIMESTAMPTZ", "first moment that is kept again"),
                Column("windows", "BIGINT", "windows that were not kept"),
                Column("reason", "VARCHAR", "why, in words"),
            ),
        ),
        events_table(feed),
        *(table for each in ("minute", "hour") for table in roll_up_tables(feed, each)),
        TableSchema(
            "states",
            "The newest few saved States, from which a stopped run goes on.",
            (
                Column("saved_at", "TIMESTAMPTZ", "when it was saved"),
                Column("watermark", "TIMESTAMPTZ", "windows that end after this are told again"),
                Column("bytes", "BIGINT", "size"),
                Column("saved", "BLOB", "State and source position, msgpack"),
                _TOLD,
                Column("events", "BIGINT", "highest events.told when it was saved; later ones are told again"),
            ),
        ),
        TableSchema(
            "meta",
            "What this file is: schema_version, feed, features, dimensions, origin; rolled_until is in microseconds.",
            (Column("key", "VARCHAR", "name"), Column("value", "VARCHAR", "value")),
        ),
    )
    return {schema.name: schema for schema in schemas}


def _feature(feature: Feature) -> str:
    return f"feature: {feature.fold} {feature.of} {feature.value}".strip()
