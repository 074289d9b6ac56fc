"""Everything that ``/metrics`` shows, for as long as the process lives and over several runs."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from threading import Lock

from prometheus_client import REGISTRY, CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.ports import RouteStatus

from .families import FAMILIES, PREFIX, WORK_EDGES, Family
from .figures import Figures, Key, Measured, added
from .histogram import Histogram
from .labels import MOST, OTHER, plain
from .tally import Tally

__all__ = ["Metrics"]

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_NOTICES = ("sent", "failed", "given_up", "held")
REASONS = ("failed", "left", OTHER, "refused", "silent", "slow", "stopped")
"""Why a WebSocket client went: told of from the start."""
_INFO = "build_info"


class Metrics(Collector):
    """Figures of the process as Prometheus asks for them; every method may be called from any thread.

    Runs follow each other: what an ended one counted is kept, so no counter falls. Whatever is
    bounded exists from the first scrape on, with the value 0.

    Parameters
    ----------
    registry
        Where to register, together with the process's and the platform's own collectors; None
        makes one.
    feed, detectors, sources, sinks
        What is told of before the first run.
    clock
        Seconds since the epoch.

    Attributes
    ----------
    registry

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.request("/api/windows", "GET", 200, 0.004)
    >>> metrics.registry.get_sample_value("tracewave_api_request_duration_seconds_count", {"route": "/api/windows"})
    1
    >>> b"tracewave_events_late_total 0.0" in metrics.render()
    True
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        feed: Feed = WIKIMEDIA,
        detectors: Sequence[str] = (),
        sources: Sequence[str] = ("recording", "synthetic", "wikimedia"),
        sinks: Sequence[str] = ("history", "notices", "page", "totals"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.registry = registry or CollectorRegistry()
        self._started = clock()
        self._feed = feed.name
        self._lock = Lock()
        self._run: Measured | None = None
        self._past = added((Tally(feed, detectors=detectors).figures(), _nothing(sources, sinks)))
        self._own: dict[Key, float] = {("events_dropped_total", "clients"): 0.0}
        self._answers: dict[Key, Histogram] = {}
        self._api_routes: set[str] = set()
        self._reasons: set[str] = set()
        self._clients = 0
        self._sessions: Callable[[], int] = int
        self._notices: Callable[[], Sequence[RouteStatus]] = tuple
        self.offer((OTHER, "GET"))
        for reason in REASONS:
            self._count_reason(reason, 0)
        self.registry.register(self)
        if self.registry is not REGISTRY:  # which has them already
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)

    # -- what is told to it

    def follow(self, run: Measured, feed: Feed | None = None) -> None:
        """Go over to another run; the totals of the one before are kept."""
        with self._lock:
            if feed is not None:
                self._feed = feed.name
            if self._run is not None:
                self._past = added((self._past, self._run.figures()))
            # where levels stood in an ended run, or of what might have run, says nothing any more
            self._past = self._past._replace(levels={})
            self._run = run

    def offer(self, *routes: tuple[str, str]) -> None:
        """Have routes of the API, as template and method, told of before they are asked for."""
        with self._lock:
            for route, method in routes:
                template = self._template(route)
                self._own.setdefault(("api_requests_total", template, method, "200"), 0.0)
                self._answers.setdefault(("api_request_duration_seconds", template), Histogram(WORK_EDGES))

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answer of the API.

        Parameters
        ----------
        route
            The template, such as ``/api/anomalies/{id}``; a path that a client made up is told as ``other``.
        seconds
            How long the answer took.
        """
        method = method if method in _METHODS else OTHER
        told = str(status) if 100 <= status <= 599 else OTHER
        with self._lock:
            template = self._template(route)
            key = "api_requests_total", template, method, told
            self._own[key] = self._own.get(key, 0.0) + 1.0
            self._answers.setdefault(("api_request_duration_seconds", template), Histogram(WORK_EDGES)).observe(seconds)

    def client_opened(self) -> None:
        """Count a WebSocket client that came."""
        with self._lock:
            self._clients += 1

    def client_closed(self, reason: str) -> None:
        """Count a WebSocket client that went; `reason` is one of few words, such as ``slow``."""
        with self._lock:
            self._clients = max(0, self._clients - 1)
            self._count_reason(reason, 1)

    def client_missed(self, messages: int) -> None:
        """Count messages that a slow client did not get."""
        with self._lock:
            self._own["events_dropped_total", "clients"] += messages

    def watch_sessions(self, read: Callable[[], int]) -> None:
        """Ask `read` how many pages are open."""
        self._sessions = read

    def watch_notices(self, read: Callable[[], Sequence[RouteStatus]]) -> None:
        """Ask `read` how the routes of notices stand, all counted since the process began."""
        self._notices = read

    def _template(self, route: str) -> str:
        if route not in self._api_routes:
            if plain(route) == OTHER or len(self._api_routes) >= MOST - 1:
                return OTHER
            self._api_routes.add(route)
        return route

    def _count_reason(self, reason: str, more: int) -> None:
        if reason not in self._reasons:
            if plain(reason) == OTHER or len(self._reasons) >= MOST - 1:
                reason = OTHER
            self._reasons.add(reason)
        key = "api_clients_closed_total", reason
        self._own[key] = self._own.get(key, 0.0) + more

    # -- what is told by it

    def render(self) -> bytes:
        """Everything on the registry, in Prometheus' text format; its type is ``CONTENT_TYPE``."""
        return generate_latest(self.registry)

    def describe(self) -> Iterable[Metric]:
        """Families without samples, by which a registry sees that names are taken."""
        return [_family(family) for family in FAMILIES]

    def collect(self) -> Iterator[Metric]:
        """Families with their samples, all read before the first is told."""
        figures, feed = self._figures()
        by_name: dict[str, list[Key]] = {}
        for key in (*figures.totals, *figures.levels, *figures.histograms):
            by_name.setdefault(key[0], []).append(key)
        for family in FAMILIES:
            keys = by_name.get(family.name) or ([] if family.labels else [(family.name,)])
            yield self._build(feed) if family.name == _INFO else _told(family, sorted(keys), figures)

    def _figures(self) -> tuple[Figures, str]:
        notices = _of_notices(self._notices()[:MOST])
        sessions = self._sessions()
        with self._lock:
            own = Figures(
                dict(self._own),
                {
                    ("start_time_seconds",): self._started,
                    ("sessions",): float(sessions),
                    ("api_clients",): float(self._clients),
                },
                {key: histogram.copy() for key, histogram in self._answers.items()},
            )
            run = () if self._run is None else (self._run.figures(),)
            return added((self._past, *run, own, notices)), self._feed

    def _build(self, feed: str) -> Metric:
        words = {"version": version("tracewave-panel"), "python": platform.python_version(), "feed": plain(feed)}
        return InfoMetricFamily(PREFIX + "build", FAMILIES[0].meaning, words)


def _nothing(sources: Sequence[str], sinks: Sequence[str]) -> Figures:
    of_sources = [family.name for family in FAMILIES if family.kind == "counter" and family.labels == ("source",)]
    totals: dict[Key, float] = {(name, source): 0.0 for name in of_sources for source in sources}
    totals |= {("sink_failures_total", sink): 0.0 for sink in sinks}
    totals["events_dropped_total", "history"] = 0.0
    return Figures(totals, {("source_up", source): 0.0 for source in sources}, {})


def _of_notices(routes: Sequence[RouteStatus]) -> Figures:
    totals: dict[Key, float] = {
        (f"notices_{what}_total", route.name): getattr(route, what) for route in routes for what in _NOTICES
    }
    return Figures(totals, {("notices_waiting", route.name): float(route.waiting) for route in routes}, {})


def _family(family: Family) -> Metric:
    name, meaning = PREFIX + family.name, family.meaning
    match family.kind:
        case "info":
            return InfoMetricFamily(name.removesuffix("_info"), meaning, labels=family.labels)
        case "counter":
            return CounterMetricFamily(name, meaning, labels=family.labels)
        case "gauge":
            return GaugeMetricFamily(name, meaning, labels=family.labels)
        case _:
            return HistogramMetricFamily(name, meaning, labels=family.labels)


def _told(family: Family, keys: Sequence[Key], figures: Figures) -> Metric:
    told = _family(family)
    for key in keys:
        if isinstance(told, HistogramMetricFamily):
            histogram = figures.histograms.get(key) or Histogram(family.edges)
            told.add_metric(key[1:], _buckets(histogram), histogram.total)
        elif isinstance(told, CounterMetricFamily | GaugeMetricFamily):
            held = figures.totals if family.kind == "counter" else figures.levels
            told.add_metric(key[1:], held.get(key, 0.0))
    return told


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    return list(zip(_edge_names(histogram.edges), histogram.counts.cumsum().tolist(), strict=True))


@lru_cache(maxsize=16)
def _edge_names(edges: tuple[float, ...]) -> tuple[str, ...]:
    return (*map(floatToGoString, edges), "+Inf")
