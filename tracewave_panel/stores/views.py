"""Views of history: the questions that are asked most, by name."""

__all__ = ["VIEWS"]

VIEWS = {
    "rate_by_minute": (
        "Events a minute and a second, without gaps; missing is the seconds that gaps took from the minute.",
        """
        SELECT series, date_trunc('minute', start) AS minute,
               CAST(sum(count) AS BIGINT) AS events,
               sum(count) / sum(width) FILTER (quality <> 'gap') AS rate,
               coalesce(sum(width) FILTER (quality = 'gap'), 0) AS missing
        FROM windows GROUP BY ALL ORDER BY minute, series
        """,
    ),
    "dimension_shares_by_minute": (
        "Each dimension value's events in a minute and its share of that dimension.",
        """
        SELECT series, date_trunc('minute', start) AS minute, dimension, value,
               CAST(sum(count) AS BIGINT) AS events,
               sum(count) / sum(sum(count)) OVER (PARTITION BY series, minute, dimension) AS share
        FROM dimension_counts GROUP BY series, minute, dimension, value
        ORDER BY minute, series, dimension, events DESC, value
        """,
    ),
    "scores_wide": (
        "One row a metric and window: observed, expected, who fired, and every warm detector's score.",
        """
        SELECT m.series, m.start, m.metric, w.quality, m.observed, m.expected, m.confidence, m.severity, m.alerting,
               string_agg(s.detector, ' ' ORDER BY s.detector) FILTER (s.fired) AS fired,
               string_agg(printf('%s=%.3f', s.detector, s.score), ' ' ORDER BY s.detector) FILTER (s.warm) AS scores
        FROM metrics m JOIN windows w USING (series, start) LEFT JOIN scores s USING (series, start, metric)
        GROUP BY ALL ORDER BY m.start, m.series, m.metric
        """,
    ),
    "anomalies_readable": (
        "Anomalies, newest first: lasting in seconds (NULL: open), the leading contributions, what a person says.",
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
    ),
}
"""What a view is for, and its SELECT."""
