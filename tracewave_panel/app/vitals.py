"""How the process, the feed and the store do: an hour at a point in ten seconds, a day in totals."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import psutil
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from tracewave_panel.model import Mute
from tracewave_panel.ports import Control, RouteStatus, SourceStatus

from .happenings import FeedLog, Happening
from .log_lines import LogLines

__all__ = ["HOUR", "POINT", "Histogram", "Vitals"]

POINT = 10.0
"""Seconds that one point covers."""
HOUR = 3600.0
POINTS = 360
PERIOD = 1.0
"""Seconds after which the loop is to call :meth:`Vitals.sample` again; what is over is its delay."""
LAGS = 10_000
BIN, BINS = 600.0, 144
QUANTILES = (0.5, 0.95, 0.99)
PEAKS = frozenset({"buffer_depth", "commit_ms_p99", "window_ms_p99", "loop_delay"})
"""Levels of which a point holds the highest value, not the last."""
GROWING = ("fired_", "gap_seconds", "gaps", "commits", "revised_seconds", "backfilled_seconds", "partial_seconds")
LOWEST_LAG, HIGHEST_LAG, LAG_BINS = 0.1, 100.0, 48


class Point(Struct):
    """Ten seconds: when they ended, how long they were, what grew by how much, and where the levels stood."""

    time: float
    seconds: float
    grown: defaultdict[str, float]
    levels: dict[str, float]


class Histogram(Struct, frozen=True):
    """How many lags lie between each two edges, which are in seconds; their median, 95th and 99th."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    events: int
    quantiles: tuple[float, ...]


class Vitals:
    """One a process; not for several threads at once.

    Parameters
    ----------
    control
        The pipeline to ask.
    memory, processor_time
        Bytes that the process holds, and seconds that it has computed.

    Attributes
    ----------
    sessions
        Pages open; whoever opens one counts it here.
    session_seconds
        Seconds of computing that pages cost since the start.
    status
        What the source said last.
    routes, mutes
        How the routes of notices stood then, and the mutes that held.
    log
        The last lines of the log; empty until somebody installs it.
    """

    def __init__(
        self,
        control: Control,
        *,
        memory: Callable[[], float] | None = None,
        processor_time: Callable[[], float] = time.process_time,
    ) -> None:
        self.sessions = 0
        self.session_seconds = 0.0
        self.now = self.since = math.nan
        self.status: SourceStatus | None = None
        self.routes: tuple[RouteStatus, ...] = ()
        self.mutes: tuple[Mute, ...] = ()
        self.log = LogLines()
        self.levels: dict[str, float] = {}
        self._control = control
        self._memory = memory or _resident_bytes(psutil.Process())
        self._processor_time = processor_time
        self._log = FeedLog()
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._bins: deque[tuple[int, defaultdict[str, float]]] = deque(maxlen=BINS + 1)
        self._totals: dict[str, float] = {}
        self._grown: defaultdict[str, float] = defaultdict(float)
        self._recent: deque[tuple[float, dict[str, float]]] = deque(maxlen=int(POINT / PERIOD) + 1)
        self._point = Point(math.nan, 0.0, defaultdict(float), {})
        self._point_began = math.nan
        self._delays: deque[float] = deque(maxlen=600)
        self._lags: NDArray[np.float64] = np.zeros(LAGS)
        self._lags_taken = self._lags_of_points = 0
        self._made: dict[str, tuple[float, str]] = {}

    # -- what is told

    def spent(self, seconds: float) -> None:
        """Add what one look of one page cost, in seconds of computing."""
        self.session_seconds += seconds

    def take_lags(self, values: ArrayLike) -> None:
        """Take in the lags of events, in seconds from occurrence to arrival; the last 10,000 are held."""
        lags = np.asarray(values, np.float64).ravel()
        lags = lags[np.isfinite(lags)][-LAGS:]
        self._lags[(self._lags_taken + np.arange(len(lags))) % LAGS] = lags
        self._lags_taken += len(lags)

    def sample(self, now: float) -> None:
        """Look at everything; for once a second, `now` being seconds since the epoch."""
        if math.isnan(self.since):
            self.since = self._point_began = now
        else:
            self._delays.append(max(0.0, now - self.now - PERIOD))
        self.now = now
        control = self._control
        self.status = control.source_status()
        self.routes, self.mutes = control.routes(), control.mutes()
        counters, gauges = control.counters(), control.gauges()
        self.levels = {name: value for name, value in gauges.items() if not name.startswith(GROWING)}
        self.levels |= {"sessions": self.sessions, "memory_bytes": self._memory()}
        if self._delays:
            self.levels["loop_delay"] = 1000 * float(np.quantile(self._delays, 0.99))
        self._grow(_totals_of(self.status, counters, gauges) | self._own_totals())
        self._log.follow(now, control.run, self.status.state, self._grown, self.status.notice)
        self._fill_point(now)

    def _own_totals(self) -> dict[str, float]:
        return {"session_seconds": self.session_seconds, "processor_seconds": self._processor_time()}

    def _grow(self, totals: Mapping[str, float]) -> None:
        number = int(self.now // BIN)
        if not self._bins or self._bins[-1][0] != number:
            self._bins.append((number, defaultdict(float)))
        for name, total in totals.items():
            before = self._totals.get(name)
            # what began before the first look belongs to no second of ours; a new run begins at nought
            more = 0.0 if before is None and not self._recent else total - (before or 0.0)
            more = total if more < 0 else more
            for counts in (self._grown, self._point.grown, self._bins[-1][1]):
                counts[name] += more
        self._totals = dict(totals)
        self._recent.append((self.now, dict(self._grown)))

    def _fill_point(self, now: float) -> None:
        for name, value in self.levels.items():
            held = self._point.levels.get(name, -math.inf)
            self._point.levels[name] = max(held, value) if name in PEAKS else value
        if now // POINT == self._point_began // POINT:
            return
        self._point.time, self._point.seconds = now, now - self._point_began
        fresh = min(LAGS, self._lags_taken - self._lags_of_points)
        if fresh:
            lags = self._lags[(self._lags_taken - 1 - np.arange(fresh)) % LAGS]
            self._point.levels |= dict(zip(("lag_median", "lag_p95", "lag_p99"), _quantiles(lags), strict=True))
        elif self.status and self.status.lag is not None and not self._lags_taken:
            self._point.levels["lag_median"] = self.status.lag
        self._lags_of_points = self._lags_taken
        self._points.append(self._point)
        self._point, self._point_began = Point(math.nan, 0.0, defaultdict(float), {}), now

    # -- what is asked

    @property
    def times(self) -> list[float]:
        """Ends of the points of the last hour, in seconds since the epoch."""
        return [point.time for point in self._held()]

    def _held(self) -> list[Point]:
        return [point for point in self._points if point.time > self.now - HOUR]

    def hour(self, name: str) -> list[float]:
        """A level at each point; nan where it was not known."""
        return [point.levels.get(name, math.nan) for point in self._held()]

    def growth(self, name: str) -> list[float]:
        """By how much a total grew in each point."""
        return [point.grown.get(name, math.nan) for point in self._held()]

    def rates(self, name: str) -> list[float]:
        """By how much a total grew a second, in each point."""
        return [
            point.grown[name] / point.seconds if name in point.grown and point.seconds else math.nan
            for point in self._held()
        ]

    def rate(self, name: str) -> float:
        """By how much a total grew a second over the last ten; nan where that is not known."""
        (begin, first), (end, last) = (self._recent[0], self._recent[-1]) if self._recent else ((0.0, {}), (0.0, {}))
        return (last[name] - first.get(name, 0.0)) / (end - begin) if name in last and end > begin else math.nan

    def day(self, name: str) -> float:
        """By how much a total grew in the last 24 hours, or since the start; nan where that is not known."""
        if name not in self._grown:
            return math.nan
        first = int(self.now // BIN) - BINS
        return sum(counts.get(name, 0.0) for number, counts in self._bins if number > first)

    def once(self, name: str, make: Callable[[], str]) -> str:
        """What `make` gives under `name`: made once a sample, however many pages ask."""
        at, made = self._made.get(name, (math.nan, ""))
        if at != self.now:
            made = make()
            self._made[name] = (self.now, made)
        return made

    @property
    def totals(self) -> Sequence[str]:
        """Names of what grows."""
        return tuple(self._grown)

    @property
    def happenings(self) -> tuple[Happening, ...]:
        """What happened to the feed in the last day, the newest last."""
        return tuple(self._log.happenings)

    def histogram(self) -> Histogram | None:
        """Lags of the last 10,000 events; None before the first."""
        held = self._lags[: min(self._lags_taken, LAGS)]
        if not len(held):
            return None
        edges = np.geomspace(LOWEST_LAG, HIGHEST_LAG, LAG_BINS + 1)
        counts, _ = np.histogram(np.clip(held, LOWEST_LAG, HIGHEST_LAG), edges)
        return Histogram(tuple(edges.tolist()), tuple(counts.tolist()), len(held), tuple(_quantiles(held)))


def _totals_of(status: SourceStatus, counters: Mapping[str, int], gauges: Mapping[str, float]) -> dict[str, float]:
    """What only grows within a run, by name."""
    totals: dict[str, float] = {name: value for name, value in gauges.items() if name.startswith(GROWING)}
    totals |= {name: value for name, value in counters.items() if name != "waiting"}
    failures = [value for name, value in counters.items() if name.endswith("_failures")]
    totals["events_in"] = status.counters.get("events", counters.get("events", 0))
    if failures:
        totals["sink_failures"] = sum(failures)
    if "reconnects" in status.counters:
        totals["reconnects"] = status.counters["reconnects"]
    return totals


def _quantiles(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.quantile(values, QUANTILES)]


def _resident_bytes(process: psutil.Process) -> Callable[[], float]:
    return lambda: float(process.memory_info().rss)
