"""What a run is measured by: taken down as findings pass, read from other threads at any time."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from tracewave_panel.buses.memory import MemoryBus
from tracewave_panel.feeds import Feed
from tracewave_panel.metrics import Figures, Histogram, Key, Tally
from tracewave_panel.metrics.families import WORK_EDGES
from tracewave_panel.model import Anomaly, Findings, Quality
from tracewave_panel.ports import SourceStatus
from tracewave_panel.stores.progress import Written

__all__ = ["FileSize", "Measures", "in_milliseconds"]

REMEMBERED = 600
"""Windows whose times the quantiles are of."""
ASKED_EVERY = 10.0
"""Seconds between two looks at the size of a file."""
_DELIVERING = frozenset({"live", "catching_up", "replay"})
_UNREADABLE = ("undecodable", "oversized")
_READ = ("events", "canaries", "skipped", "duplicates", *_UNREADABLE)
_SHED: Key = ("events_dropped_total", "buffer")
_Read = tuple[dict[Key, float], dict[Key, float]]


class Measures:
    """Totals and times of one run; its :meth:`take` is the graph's last sink.

    Pages ask for :attr:`totals` and :meth:`gauges`; Prometheus, through
    :class:`~tracewave_panel.metrics.Metrics`, for :meth:`figures`. Both come from one count.

    Parameters
    ----------
    feed
        A window is counted once, by the feed's first metric.
    width
        Seconds that a window lasts.
    detectors
        Those that are told of before they first judge.
    clock
        Seconds since the epoch.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> from tracewave_panel.model import Status
    >>> measures = Measures(WIKIMEDIA)
    >>> measures.take(Findings(10.0, 9.0, Status.LIVE, undecodable=2))
    >>> measures.totals["undecodable"]
    2
    >>> measures.figures().totals["events_undecodable_total",]
    2
    """

    def __init__(
        self,
        feed: Feed,
        *,
        width: float = 1.0,
        detectors: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tally = Tally(feed, width=width, detectors=detectors)
        self._clock = clock
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)
        self._began: float | None = None
        self._watched: list[Callable[[], dict[str, float]]] = []
        self._read: list[Callable[[], _Read]] = []
        self._shed: Callable[[], int] = int
        self._commits: _Commits | None = None

    def watch_source(self, name: str, status: Callable[[], SourceStatus]) -> None:
        """Tell what a source read, too, under its short name."""

        def read() -> _Read:
            told = status()
            count = Counter(told.counters)
            return {
                ("source_messages_total", name): sum(count[what] for what in _READ),
                ("source_messages_failed_total", name): sum(count[what] for what in _UNREADABLE),
                ("source_reconnects_total", name): count["reconnects"],
                ("source_refusals_total", name): count["refusals"],
            }, {("source_up", name): float(told.state.word in _DELIVERING)}

        self._read.append(read)

    def watch_sinks(self, failures: Mapping[str, int]) -> None:
        """Tell how often each sink of the graph failed, too."""
        self._read.append(lambda: ({("sink_failures_total", name): failed for name, failed in failures.items()}, {}))

    def watch_bus(self, bus: MemoryBus, capacity: int) -> None:
        """Tell how many events wait, too."""
        self._watched.append(lambda: {"buffer_depth": bus.depth, "buffer_capacity": capacity})

        self._read.append(lambda: ({}, {("buffer_events",): bus.depth, ("buffer_capacity_events",): capacity}))
        self._shed = lambda: bus.dropped

    def watch_history(self, store: Written, path: Path) -> None:
        """Tell what is committed to a history, how fast, and how big its file is, too."""
        size = FileSize(path)
        self._commits = commits = _Commits(store, self._clock)

        def gauges() -> dict[str, float]:
            known = {} if (held := size.bytes) is None else {"store_bytes": float(held)}
            if (since := store.kept_since) is not None:
                known["store_since"] = since
            return known | {"commits": store.commits} | in_milliseconds("commit", store.commit_seconds)

        def read() -> _Read:
            return {
                ("store_commits_total",): commits.seen,
                ("store_commit_failures_total",): store.failures,
                ("events_dropped_total", "history"): store.shed,
            }, {
                ("store_last_commit_timestamp_seconds",): commits.last,
                ("store_backlog",): store.backlog,
                ("store_bytes",): float(size.bytes or 0),
            }

        self._watched.append(gauges)
        self._read.append(read)

    def go_on_from(self, episodes: Iterable[Anomaly]) -> None:
        """Take over episodes that a State brought along: they are open, and were counted before."""
        self._tally.go_on_from(episodes)

    @property
    def totals(self) -> dict[str, int]:
        """Counts of this run, by name."""
        return self._tally.totals

    def begin(self) -> None:
        """Say that a batch is about to go through the graph."""
        self._began = time.perf_counter()

    def take(self, findings: Findings) -> None:
        """Count what a batch gave, and how long it took to here since :meth:`begin`."""
        began, self._began = self._began, None
        taken = time.perf_counter()
        windows = self._tally.take(findings)
        if windows and began is not None:
            each = (taken - began) / windows
            self._seconds.extend([each] * min(windows, REMEMBERED))
            self._tally.time_windows(each, windows)
        if self._commits:
            self._commits.look()

    def gauges(self) -> dict[str, float]:
        """Figures by name; what is not known yet is left out.

        ``window_ms_median`` and ``window_ms_p99`` (milliseconds from a batch taken to its findings
        stored, for each window), ``fired_`` and a detector (judgements in which it fired),
        ``cold_`` and a detector (seconds until it judges; only while it abstains), ``gaps``, and the
        seconds told as ``gap_seconds``, ``revised_seconds`` (a gap whose events came after all),
        ``backfilled_seconds`` and ``partial_seconds``. Of a watched bus ``buffer_depth`` and
        ``buffer_capacity``, of a watched history ``commits``, ``commit_ms_...``, ``store_bytes`` and
        ``store_since`` (start of the oldest window kept, epoch seconds).
        """
        gauges = in_milliseconds("window", self._seconds)
        for name, (fired, seconds) in self._tally.judges().items():
            gauges[f"fired_{name}"] = fired
            if seconds is not None:
                gauges[f"cold_{name}"] = seconds
        gauges["gaps"] = self._tally.gaps
        gauges["anomalies"] = self.totals.get("anomalies", 0)
        for quality in (Quality.GAP, Quality.REVISED, Quality.BACKFILLED, Quality.PARTIAL):
            gauges[f"{quality}_seconds"] = self._tally.seconds_of(quality)
        for watched in self._watched:
            gauges |= watched()
        return gauges

    def figures(self) -> Figures:
        """Figures for Prometheus, of this run; see :class:`~tracewave_panel.metrics.figures.Measured`."""
        if self._commits:
            self._commits.look()
        counted = self._tally.figures()
        # what a buffer sheds is told by the window that lacks it, and here even while none closes
        counted.totals[_SHED] = max(counted.totals[_SHED], self._shed())
        for read in self._read:
            totals, levels = read()
            for key, more in totals.items():
                counted.totals[key] = counted.totals.get(key, 0) + more
            counted.levels.update(levels)
        if self._commits:
            counted.histograms["store_commit_duration_seconds",] = self._commits.times
        return counted


class _Commits:
    """Follows a store's commits, of which it remembers the last 600 only: when the last was, and how long each took."""

    def __init__(self, store: Written, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self.times = Histogram(WORK_EDGES)  # replaced, not changed: whoever reads it holds one moment
        self.seen = 0
        self.last = 0.0

    def look(self) -> None:
        """Take in what was committed since the last look."""
        with self._lock:
            fresh = self._store.commits - self.seen
            if fresh:
                times = self.times.copy()
                times.observe_all(tuple(self._store.commit_seconds)[-fresh:])
                self.times = times
                self.seen += fresh
                self.last = self._clock()


def in_milliseconds(what: str, seconds: Collection[float]) -> dict[str, float]:
    """Median and 99th of some times, named ``what_ms_...``; nothing of no times.

    >>> in_milliseconds("commit", (0.002, 0.001, 0.003))["commit_ms_median"]
    2.0
    """
    taken = tuple(seconds)  # in one step: the thread that measures goes on
    if not taken:
        return {}
    median, p99 = 1000 * np.quantile(taken, (0.5, 0.99))
    return {f"{what}_ms_median": float(median), f"{what}_ms_p99": float(p99)}


class FileSize:
    """Size of a history file with its write-ahead log, asked of the disk now and then.

    Parameters
    ----------
    clock
        Seconds that only grow.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = (path, path.with_name(f"{path.name}.wal"))
        self._clock = clock
        self._asked = -ASKED_EVERY
        self._bytes: int | None = None

    @property
    def bytes(self) -> int | None:
        """Bytes on disk, at most ten seconds old; None where there is no file."""
        now = self._clock()
        if now - self._asked >= ASKED_EVERY:
            self._asked = now
            try:
                self._bytes = self._files[0].stat().st_size + _size_of(self._files[1])
            except OSError:
                self._bytes = None
        return self._bytes


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it comes and goes with every checkpoint
        return 0
