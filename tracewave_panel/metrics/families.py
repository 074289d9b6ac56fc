"""Every metric there is: name, type, labels, unit and meaning. ``docs/metrics.md`` shows the same table."""

from __future__ import annotations

from typing import Literal, NamedTuple

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

__all__ = ["CONTENT_TYPE", "FAMILIES", "PREFIX", "Family"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
PREFIX = "tracewave_"

_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8)
LAG_EDGES = (
    *(0.001, 0.002, 0.005),
    *(round(step * scale, 6) for scale in (0.01, 0.1, 1.0) for step in _STEPS),
    *(10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
)
"""Seconds; from 10 ms to 10 s no edge is more than a third above the one before."""
WORK_EDGES = tuple(round(step * scale, 7) for scale in (1e-4, 1e-3, 1e-2, 1e-1, 1.0) for step in (1, 2, 5))
"""Seconds that computing takes: 0.1 ms to 5 s in 1-2-5 steps."""


class Family(NamedTuple):
    """One metric: `name` without the prefix, `edges` of its buckets if it is a histogram."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()


def _counter(name: str, unit: str, meaning: str, *labels: str) -> Family:
    return Family(name, "counter", unit, meaning, labels)


def _gauge(name: str, unit: str, meaning: str, *labels: str) -> Family:
    return Family(name, "gauge", unit, meaning, labels)


def _histogram(name: str, meaning: str, *labels: str, edges: tuple[float, ...] = WORK_EDGES) -> Family:
    return Family(name, "histogram", "seconds", meaning, labels, edges)


FAMILIES = (
    Family("build_info", "info", "", "What runs; always 1", ("version", "python", "feed")),
    _gauge("start_time_seconds", "seconds", "When this process began to measure, in seconds since the epoch"),
    # -- events
    _counter("events_total", "events", "Events that went through the graph", "series"),
    _counter("events_late_total", "events", "Events that came after their window had closed; counted in the open one"),
    _counter(
        "events_dropped_total",
        "events",
        "What was let go: events shed by a full buffer (or by that of a recorded run), appends that "
        "history gave up, and messages that slow clients did not get",
        "place",
    ),
    _counter("events_undecodable_total", "events", "Events that were not the shape that was promised"),
    _counter("events_duplicate_total", "events", "Events that had been seen before; counted once"),
    _counter("gaps_total", "gaps", "Stretches that the feed did not deliver, by the feed's first series"),
    _counter("gap_seconds_total", "seconds", "Length of those stretches; what comes after all is not taken back"),
    # -- sources
    _counter("source_messages_total", "messages", "Messages read, with those skipped, repeated or failed", "source"),
    _counter("source_messages_failed_total", "messages", "Messages that could not be read: not decodable", "source"),
    _counter("source_reconnects_total", "connections", "Connections made after the first", "source"),
    _counter(
        "source_refusals_total", "answers", "Connections refused by the server, as when asked too often", "source"
    ),
    _gauge("source_up", "boolean", "1 while the source that runs delivers, live, catching up or in replay", "source"),
    # -- time
    _histogram("watermark_lag_seconds", "From a batch's watermark to its arrival, a batch", edges=LAG_EDGES),
    _histogram("event_lag_seconds", "From an event's occurrence to its arrival, an event", edges=LAG_EDGES),
    _gauge(
        "last_window_timestamp_seconds",
        "seconds",
        "End of the newest window, in seconds since the epoch by the feed's time; 0 before the first",
        "series",
    ),
    # -- buffer
    _gauge("buffer_events", "events", "Events that wait between the feed and the graph"),
    _gauge("buffer_capacity_events", "events", "Most events that may wait there"),
    # -- windows and detectors
    _counter("windows_total", "windows", "Windows told, those told again (revised) included", "series", "quality"),
    _histogram("window_duration_seconds", "From a batch taken to its findings in every store, a window"),
    _gauge("window_width_seconds", "seconds", "Length of a window"),
    _counter("detector_fires_total", "judgements", "Judgements in which the detector fired", "detector"),
    _gauge("detector_warm", "boolean", "1 once the detector judges every metric of every series", "detector"),
    # -- anomalies
    _counter("anomalies_total", "episodes", "Episodes, once for each severity that they were told with", "severity"),
    _gauge("anomalies_open", "episodes", "Episodes that are open, by the severity told last", "severity"),
    # -- store
    _counter("store_commits_total", "commits", "Transactions written to history"),
    _counter("store_commit_failures_total", "commits", "Transactions that failed; each is tried again"),
    _histogram("store_commit_duration_seconds", "How long a transaction took, a commit"),
    _gauge(
        "store_last_commit_timestamp_seconds",
        "seconds",
        "When history was last written, in seconds since the epoch; 0 before the first time and where none is kept",
    ),
    _gauge("store_backlog", "appends", "Appends and States that history has not written yet"),
    _gauge("store_bytes", "bytes", "Size of the history on disk; 0 where none is kept"),
    _counter("sink_failures_total", "calls", "Findings that a sink of the graph failed to take", "sink"),
    # -- pages and API
    _gauge("sessions", "sessions", "Pages that are open"),
    _counter("api_requests_total", "requests", "Requests answered by the API", "route", "method", "status"),
    _histogram("api_request_duration_seconds", "How long the API took to answer, a request", "route"),
    _gauge("api_clients", "clients", "WebSocket clients that are connected"),
    _counter("api_clients_closed_total", "clients", "WebSocket clients that left or were closed", "reason"),
    # -- notices
    _counter("notices_sent_total", "notices", "Notices that arrived", "route"),
    _counter("notices_failed_total", "tries", "Tries to send a notice that failed", "route"),
    _counter("notices_given_up_total", "notices", "Notices let go after too many tries", "route"),
    _counter("notices_held_total", "notices", "Notices held back by a mute, the rate limit or the hour", "route"),
    _gauge("notices_waiting", "notices", "Notices still to be sent", "route"),
)
