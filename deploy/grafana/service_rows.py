"""Panels on history, API, notices and the process."""

# ruff: noqa: INP001 (a script and its parts, no package)

from __future__ import annotations

from grafana_foundation_sdk.models import units
from panels import HERE, RED, TEAL, Panel, Query, now, quantiles, rate, recent

__all__ = ["SERVICE_ROWS"]

SERVICE_ROWS: dict[str, tuple[Panel, ...]] = {
    "History": (
        Panel(
            "Since the last commit",
            "Time since findings were last made durable; about a second when all is well.",
            units.Seconds,
            (Query(f"time() - max(tracewave_store_last_commit_timestamp_seconds{{{HERE}}})"),),
            figure=True,
            amber=10,
            red=60,
            width=6,
        ),
        Panel(
            "Failed commits in 5 minutes",
            "Commits that the disk refused. What was not written waits and is tried again.",
            units.Short,
            (Query(recent("store_commit_failures_total")),),
            figure=True,
            red=1,
            width=6,
        ),
        Panel(
            "Waiting to be written",
            "Findings that wait for a commit. Grows while commits fail; the oldest are shed when there are too many.",
            units.Short,
            (Query(now("store_backlog")),),
            figure=True,
            amber=100,
            red=1000,
            width=6,
        ),
        Panel(
            "Size of history",
            "Bytes of the database and its write-ahead log.",
            units.BytesIEC,
            (Query(now("store_bytes")),),
            figure=True,
            width=6,
        ),
        Panel(
            "Commits",
            "Commits a second, and those that failed.",
            units.OpsPerSecond,
            (Query(rate("store_commits_total"), "done"), Query(rate("store_commit_failures_total"), "failed")),
        ),
        Panel(
            "Commit time",
            "How long a commit takes, median and tail. A slow disk shows here first.",
            units.Seconds,
            quantiles("store_commit_duration_seconds"),
        ),
        Panel(
            "Failures by sink",
            "In five minutes: findings that one of the pipeline's sinks failed to take. The others got them.",
            units.Short,
            (Query(recent("sink_failures_total", "sink"), "{{sink}}"),),
            bars=True,
        ),
    ),
    "Pages and API": (
        Panel(
            "Open pages and API clients",
            "Sessions of the dashboard, and WebSocket clients of the API.",
            units.Short,
            (Query(now("sessions"), "pages"), Query(now("api_clients"), "API clients")),
        ),
        Panel(
            "Requests by status",
            "Answers of the API a second. 401 and 403 are callers without a fitting token, 429 callers held back for "
            "their rate, 5xx faults of the server.",
            units.RequestsPerSecond,
            (Query(rate("api_requests_total", "status"), "{{status}}"),),
        ),
        Panel(
            "Requests by route",
            "What is asked for, a second.",
            units.RequestsPerSecond,
            (Query(rate("api_requests_total", "method, route"), "{{method}} {{route}}"),),
        ),
        Panel(
            "Request time",
            "How long the API takes to answer, median and tail over all routes.",
            units.Seconds,
            quantiles("api_request_duration_seconds"),
        ),
        Panel(
            "Request time by route, p99",
            "The slowest answer in a hundred of each route.",
            units.Seconds,
            (quantiles("api_request_duration_seconds", "route")[-1]._replace(legend="{{route}}"),),
        ),
        Panel(
            "Clients closed in 5 minutes",
            "WebSocket clients that went or were closed, by reason. Those too slow are told so by the code.",
            units.Short,
            (Query(recent("api_clients_closed_total", "reason"), "{{reason}}"),),
            bars=True,
        ),
    ),
    "Notices": (
        Panel(
            "Notices in 5 minutes",
            "Notices by route: delivered, attempts that failed (each is tried again), given up for good, and held "
            "back by a mute or the rate limit.",
            units.Short,
            tuple(
                Query(recent(f"notices_{name}_total", "route"), f"{{{{route}}}} {word}")
                for name, word in (
                    ("sent", "sent"),
                    ("failed", "failed attempts"),
                    ("given_up", "given up"),
                    ("held", "held"),
                )
            ),
            bars=True,
            width=12,
        ),
        Panel(
            "Notices waiting",
            "Notices that wait for another attempt or their turn, by route. Kept over a restart.",
            units.Short,
            (Query(now("notices_waiting", "route"), "{{route}}"),),
            width=12,
        ),
    ),
    "Process": (
        Panel(
            "Version",
            "What runs: Tracewave's version, Python's, and the feed.",
            units.NoUnit,
            (Query(f"tracewave_build_info{{{HERE}}}", "{{version}}, Python {{python}}, {{feed}}"),),
            figure=True,
            named=True,
            width=9,
        ),
        Panel(
            "Uptime",
            "Time since the process began.",
            units.Seconds,
            (Query(f"time() - min(tracewave_start_time_seconds{{{HERE}}})"),),
            figure=True,
            width=5,
        ),
        Panel(
            "Read by Prometheus",
            "Whether Prometheus could read the metrics last time; without it everything else here is old.",
            units.NoUnit,
            (Query(f'min(up{{{HERE}, job="tracewave"}})'),),
            figure=True,
            words={"0": ("no", RED), "1": ("yes", TEAL)},
            width=5,
        ),
        Panel(
            "Window width",
            "Length of the tumbling windows, as set.",
            units.Seconds,
            (Query(f"max(tracewave_window_width_seconds{{{HERE}}})"),),
            figure=True,
            width=5,
        ),
        Panel(
            "Processor",
            "Cores used; feed and pipeline use one thread, pages another.",
            units.Short,
            (Query(f"sum(rate(process_cpu_seconds_total{{{HERE}}}[$__rate_interval]))", "cores"),),
        ),
        Panel(
            "Memory",
            "Resident memory. Level after the first minutes; a slope over hours is a leak.",
            units.BytesIEC,
            (Query(f"sum(process_resident_memory_bytes{{{HERE}}})", "resident"),),
        ),
        Panel(
            "Open files",
            "File descriptors in use, connections among them, and how many may be.",
            units.Short,
            (
                Query(f"sum(process_open_fds{{{HERE}}})", "open"),
                Query(f"sum(process_max_fds{{{HERE}}})", "allowed"),
            ),
        ),
    ),
}
