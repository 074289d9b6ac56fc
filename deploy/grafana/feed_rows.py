"""Panels on the feed, its windows and what was found in them."""

# ruff: noqa: INP001 (a script and its parts, no package)

from __future__ import annotations

from grafana_foundation_sdk.models import units
from panels import AMBER, HERE, RED, TEAL, Panel, Query, now, quantiles, rate, recent

__all__ = ["FEED_ROWS"]

FEED_ROWS: dict[str, tuple[Panel, ...]] = {
    "Feed": (
        Panel(
            "Events a second",
            "Events that went through the pipeline. The number to know the feed by: Wikimedia gives 20 to 60.",
            units.EventsPerSecond,
            (Query(rate("events_total")),),
            figure=True,
            width=4,
        ),
        Panel(
            "Sources connected",
            "Whether each source hears its feed at this moment. Down is ordinary for the seconds of a reconnect.",
            units.NoUnit,
            (Query(now("source_up", "source"), "{{source}}"),),
            figure=True,
            words={"0": ("down", RED), "1": ("up", TEAL)},
            width=4,
        ),
        Panel(
            "Dropped in 5 minutes",
            "What was shed, by place, and should be 0: events at the buffer, appends at history, and messages to "
            "API clients that are too slow to be sent everything.",
            units.Short,
            (Query(recent("events_dropped_total", "place"), "{{place}}"),),
            figure=True,
            amber=1,
            red=100,
            width=8,
        ),
        Panel(
            "Watermark behind now, p99",
            "How far the watermark is behind the arrival of events for one batch in a hundred: how old the page is.",
            units.Seconds,
            (quantiles("watermark_lag_seconds")[-1],),
            figure=True,
            amber=1,
            red=5,
            width=4,
        ),
        Panel(
            "Event lag, p99",
            "Time from when an event happened to when it arrived here, for one event in a hundred; the feed's own "
            "delay.",
            units.Seconds,
            (quantiles("event_lag_seconds")[-1],),
            figure=True,
            amber=5,
            red=30,
            width=4,
        ),
        Panel(
            "Received against processed",
            "Messages that sources received (of every kind) against events that went through the pipeline. The lines "
            "keep their distance; when the lower one falls away, events wait or are dropped.",
            units.EventsPerSecond,
            (Query(rate("source_messages_total"), "received"), Query(rate("events_total"), "processed")),
        ),
        Panel(
            "Events by series",
            "Events a second of each series: one for Wikimedia, one a symbol for trades. A silent series is no fault.",
            units.EventsPerSecond,
            (Query(rate("events_total", "series"), "{{series}}"),),
        ),
        Panel(
            "Messages by source",
            "What each source received, and what of it could not be used. Failures beside a flowing feed mean that "
            "its form has changed.",
            units.MessagesPerSecond,
            (
                Query(rate("source_messages_total", "source"), "{{source}} received"),
                Query(rate("source_messages_failed_total", "source"), "{{source}} failed"),
            ),
        ),
        Panel(
            "Watermark lag",
            "Arrival of a batch less the watermark, median and tail. It grows while the feed is cut off or catches up.",
            units.Seconds,
            quantiles("watermark_lag_seconds"),
            red=5,
        ),
        Panel(
            "Event lag",
            "Arrival less occurrence of each event, median and tail; buckets from 1 ms to 60 s show the tail as it is.",
            units.Seconds,
            quantiles("event_lag_seconds"),
        ),
        Panel(
            "Reconnects and refusals in 5 minutes",
            "Connections that were made anew, and those that the feed refused. Wikimedia ends each after a quarter of "
            "an hour; more than five is a storm. Refusals are mostly a rate limit (429) or a feed that is away (503).",
            units.Short,
            (
                Query(recent("source_reconnects_total", "source"), "{{source}} reconnected"),
                Query(recent("source_refusals_total", "source"), "{{source}} refused"),
            ),
            bars=True,
            red=5,
        ),
        Panel(
            "Late, duplicate and unreadable events",
            "In five minutes: events that came after their window closed (folded into the open one), that came twice "
            "(counted once) and that could not be decoded (missing everywhere).",
            units.Short,
            (
                Query(recent("events_late_total"), "late"),
                Query(recent("events_duplicate_total"), "duplicate"),
                Query(recent("events_undecodable_total"), "unreadable"),
            ),
        ),
        Panel(
            "Gaps",
            "Stretches that the feed did not deliver: how many in five minutes, and their seconds. Gaps are hatched "
            "on the page, never learned from.",
            units.Short,
            (Query(recent("gaps_total"), "gaps"), Query(recent("gap_seconds_total"), "seconds told as gap")),
            bars=True,
        ),
        Panel(
            "Buffer",
            "Events that wait between feed and pipeline, and how many may. It fills when the pipeline is slower than "
            "the feed; when it is full the oldest are dropped.",
            units.Short,
            (Query(now("buffer_events"), "waiting"), Query(now("buffer_capacity_events"), "capacity")),
        ),
    ),
    "Windows and detectors": (
        Panel(
            "Window time against width, p99",
            "Share of a window's width that judging and storing it takes, for one window in a hundred. At 100 % the "
            "pipeline no longer keeps up.",
            units.PercentUnit,
            (
                Query(
                    f"{quantiles('window_duration_seconds')[-1].expression}"
                    f" / max(tracewave_window_width_seconds{{{HERE}}})"
                ),
            ),
            figure=True,
            amber=0.5,
            red=0.8,
            width=6,
        ),
        Panel(
            "Since the last window",
            "Time since the end of the newest window of each series. Grows with a stalled pipeline, and for up to "
            "the patience (30 s) with a feed that is cut off.",
            units.Seconds,
            (
                Query(
                    f"time() - max by (series) (tracewave_last_window_timestamp_seconds{{{HERE}}})",
                    "{{series}}",
                ),
            ),
            figure=True,
            amber=10,
            red=60,
            width=6,
        ),
        Panel(
            "Detectors ready",
            "Whether each detector has seen enough to judge. A seasonal one takes days from a cold start.",
            units.NoUnit,
            (Query(f"min by (detector) (tracewave_detector_warm{{{HERE}}})", "{{detector}}"),),
            figure=True,
            words={"0": ("warming up", AMBER), "1": ("ready", TEAL)},
            width=12,
        ),
        Panel(
            "Window time",
            "Time from a batch taken to its findings stored, a window; median and tail.",
            units.Seconds,
            quantiles("window_duration_seconds"),
        ),
        Panel(
            "Windows by quality",
            "Windows told, a second. Only ok and backfilled ones are learned from and alarmed on; partial ones lost "
            "events or were cut, gap ones were not delivered, revised ones were told again.",
            units.OpsPerSecond,
            (Query(rate("windows_total", "quality"), "{{quality}}"),),
        ),
        Panel(
            "Detector fires in 5 minutes",
            "Judgements in which each detector fired. One that fires alone and often needs another threshold.",
            units.Short,
            (Query(recent("detector_fires_total", "detector"), "{{detector}}"),),
            bars=True,
        ),
    ),
    "Anomalies": (
        Panel(
            "Anomalies in 5 minutes",
            "Episodes of any severity; one that rises to a higher severity is counted at each.",
            units.Short,
            (Query(recent("anomalies_total")),),
            figure=True,
            amber=1,
            red=10,
            height=8,
        ),
        Panel(
            "Anomalies by severity",
            "Episodes that reached each severity, in five minutes.",
            units.Short,
            (Query(recent("anomalies_total", "severity"), "{{severity}}"),),
            bars=True,
        ),
        Panel(
            "Open anomalies",
            "Episodes that go on at this moment, by severity.",
            units.Short,
            (Query(now("anomalies_open", "severity"), "{{severity}}"),),
        ),
    ),
}
