"""The questions themselves; what is written with a dollar is filled in from the feed."""

from __future__ import annotations

import msgspec

__all__ = ["COMPARES", "DIFFERENT", "LATEST", "NEWEST", "QUERIES", "SHARE", "ReadyQuery"]


class ReadyQuery(msgspec.Struct, frozen=True):
    """One question.

    Attributes
    ----------
    name
        In addresses and on the command line: lower case, words joined by a hyphen.
    title
        The question in a few words.
    teaches
        One line: what is to be learned from asking it.
    sql
        One SELECT with comments.
    """

    name: str
    title: str
    teaches: str
    sql: str


LATEST = "(SELECT max(start) + INTERVAL 1 SECOND FROM windows)"
NEWEST = """
SELECT opened, coalesce(closed, (SELECT max(start) + INTERVAL 1 SECOND FROM windows)) AS until
    FROM anomalies ORDER BY opened DESC, id LIMIT 1
""".strip()
COMPARES = "Compare a stretch with the one before it: rates, not counts, since the two are not equally long."
DIFFERENT = """
-- What was different $when, against the hour before it.
WITH stretch AS (
    $stretch
), seconds AS (  -- gaps bring no events: they must not count as quiet time
    SELECT sum(width) FILTER (start >= opened) AS during, sum(width) FILTER (start < opened) AS before
    FROM windows, stretch
    WHERE start >= opened - INTERVAL 1 HOUR AND start < until AND quality <> 'gap'$only
), counts AS (
    SELECT dimension, value,
           sum(count) FILTER (start >= opened) AS during, sum(count) FILTER (start < opened) AS before
    FROM dimension_counts, stretch
    WHERE start >= opened - INTERVAL 1 HOUR AND start < until$only
    GROUP BY ALL
)
SELECT dimension || ' ' || value AS what,
       round(coalesce(counts.during, 0) / seconds.during, 2) AS rate,
       round(coalesce(counts.before, 0) / seconds.before, 2) AS usual,
       round(rate - coalesce(usual, 0), 2)                   AS excess
FROM counts, seconds
ORDER BY abs(excess) DESC NULLS LAST, what
LIMIT 40
"""
SHARE = ReadyQuery(
    "${share_name}-by-hour",
    "$Share by hour",
    "A roll-up answers at once what the windows would have to be read for; it is kept for ever.",
    """
-- $Share hour by hour: the part of the events whose $of is $value.
SELECT hour, series, round($share, 3) AS $share, round(rate, 1) AS rate
FROM   rate_by_hour
WHERE  hour > (SELECT max(hour) FROM rate_by_hour) - INTERVAL 7 DAY
ORDER  BY hour, series
""",
)
QUERIES = (
    ReadyQuery(
        "top-${places_name}",
        "Top ${places} now",
        "Begin with the newest rows: a limit in time keeps a question fast, however long the history is.",
        """
-- Where the $noun of the last ten minutes of history came from.
SELECT value AS $place_column,
       CAST(sum(events) AS BIGINT) AS $noun_column,
       round(100 * sum(events) / sum(sum(events)) OVER (), 1) AS percent
FROM   dimensions_by_minute
WHERE  dimension = $place_text
  AND  minute > (SELECT max(start) FROM windows) - INTERVAL 10 MINUTE
GROUP  BY value
ORDER  BY $noun_column DESC, $place_column
LIMIT  20
""",
    ),
    ReadyQuery(
        "busiest-minutes",
        "Busiest minutes",
        "A rate is events over the seconds that were really observed; the column missing says how many were not.",
        """
-- The minutes with the most $noun a second, and the rate of their strongest window.
SELECT minute, series, events, round(rate, 1) AS rate, round(peak, 1) AS peak, missing
FROM   rate_by_minute
WHERE  missing < 30  -- less than half a minute is no minute
ORDER  BY rate DESC NULLS LAST, minute
LIMIT  50
""",
    ),
    SHARE,
    ReadyQuery(
        "hours-and-${places_name}",
        "$Noun by hour and ${place}",
        "Three columns, a time, a name and a number, make a heat map; the largest names are picked first.",
        """
-- The day's $noun hour by hour, for the ${places} with the most of them.
WITH largest AS (
    SELECT value FROM dimensions_by_hour
    WHERE dimension = $place_text GROUP BY value ORDER BY sum(events) DESC, value LIMIT 18
)
SELECT hour, value AS $place_column, CAST(sum(events) AS BIGINT) AS $noun_column
FROM   dimensions_by_hour SEMI JOIN largest USING (value)
WHERE  dimension = $place_text
  AND  hour > (SELECT max(hour) FROM dimensions_by_hour) - INTERVAL 1 DAY
GROUP  BY ALL
ORDER  BY hour, $noun_column DESC, $place_column
""",
    ),
    ReadyQuery("newest-anomaly", "What was different in the newest anomaly", COMPARES, DIFFERENT),
    ReadyQuery(
        "raw-events",
        "Raw $noun behind the newest anomaly",
        "Raw events are kept for a day, everything counted from them for longer: ask while they are there.",
        """
-- The single $noun while the newest anomaly lasted, the newest of them first.
WITH newest AS (
    SELECT series, opened, coalesce(closed, (SELECT max(start) + INTERVAL 1 SECOND FROM windows)) AS until
    FROM anomalies ORDER BY opened DESC, id LIMIT 1
)
SELECT time, $columns, title, link
FROM   events
WHERE  time >= (SELECT opened FROM newest) AND time < (SELECT until FROM newest)$same_series
ORDER  BY time DESC
LIMIT  500
""",
    ),
    ReadyQuery(
        "anomalies-and-reasons",
        "Anomalies with their reasons",
        "One row for each reason: named ones passed the bar that keeps rare noise from leading.",
        """
-- What each anomaly is put down to: a part of the stream, and its share of the whole change.
SELECT opened, severity, title, dimension, value,
       round(observed, 2) AS observed, round(expected, 2) AS expected,
       round(excess, 2) AS excess, round(share, 3) AS share
FROM   anomalies_explained
WHERE  named
ORDER  BY opened DESC, id, rank
LIMIT  200
""",
    ),
    ReadyQuery(
        "anomalies-by-hour",
        "Anomalies by hour of day and severity",
        "If one hour of the day leads, the cause is likely a schedule: a bot, a backup, the opening of a market.",
        """
-- At which hours of the day (UTC) anomalies opened, by severity.
SELECT hour(opened) AS hour_of_day, severity, count(*) AS anomalies
FROM   anomalies
GROUP  BY ALL
ORDER  BY hour_of_day, severity
""",
    ),
    ReadyQuery(
        "labels",
        "Labels against severity",
        "Where people call an anomaly not real that was told as critical, a threshold wants tuning.",
        """
-- What people said of the anomalies, by the severity that they were told with.
SELECT severity, coalesce(labels.verdict, 'no label') AS label, count(*) AS anomalies,
       round(avg(confidence), 2) AS mean_confidence
FROM   anomalies LEFT JOIN labels ON anomaly_id = id
GROUP  BY ALL
ORDER  BY severity, label
""",
    ),
    ReadyQuery(
        "disagreement",
        "Where detectors disagree",
        "A score is NULL where a detector abstains: it says nothing, which is not the same as a zero.",
        """
-- Windows in which one detector is sure and another sees nothing.
SELECT start, series, round(observed, 1) AS observed, round(expected, 1) AS expected,
       round(greatest($detectors) - least($detectors), 2) AS apart,
       $rounded
FROM   scores_wide
WHERE  fired IS NOT NULL$metric
ORDER  BY apart DESC NULLS LAST, start DESC
LIMIT  100
""",
    ),
    ReadyQuery(
        "slowest-windows",
        "Slowest windows",
        "History does not keep how long a window took to judge (the Health page measures that): here slow is late.",
        """
-- Windows whose events came late or not whole: late ones belong to an earlier window,
-- dropped ones were shed by a full buffer, partial ones were cut off at an edge of a gap.
SELECT start, series, quality, count AS events, late, dropped,
       round(100.0 * late / nullif(count, 0), 1) AS percent_late
FROM   windows
WHERE  late > 0 OR dropped > 0 OR quality IN ('partial', 'revised')
ORDER  BY dropped DESC, late DESC, start DESC
LIMIT  100
""",
    ),
    ReadyQuery(
        "gaps",
        "Gaps, and what was not kept",
        "Two kinds of missing: what the feed did not deliver, and what came and could not be written down.",
        """
-- Every stretch that history cannot speak of, the newest first.
SELECT start, until, round(epoch(until - start), 1) AS seconds,
       'the feed did not deliver it' AS reason
FROM   gaps
UNION ALL BY NAME
SELECT start, until, round(epoch(until - start), 1) AS seconds, reason
FROM   not_kept
ORDER  BY start DESC
LIMIT  500
""",
    ),
)
