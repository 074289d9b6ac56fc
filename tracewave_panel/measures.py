"""What a run is measured by: taken down as findings pass, read from other threads at any time."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from tracewave_panel.buses.memory import MemoryBus
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Findings, Quality, Score
from tracewave_panel.stores.duckdb import DuckDBStore

__all__ = ["FileSize", "Measures", "in_milliseconds"]

REMEMBERED = 600
"""Windows whose times the quantiles are of."""
ASKED_EVERY = 10.0
"""Seconds between two looks at the size of a file."""


class Measures:
    """Totals and times of one run; its :meth:`take` is the graph's last sink.

    Parameters
    ----------
    feed
        A window is counted once, by the feed's first metric.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> from tracewave_panel.model import Status
    >>> measures = Measures(WIKIMEDIA)
    >>> measures.take(Findings(10.0, 9.0, Status.LIVE, undecodable=2))
    >>> measures.totals["undecodable"]
    2
    """

    def __init__(self, feed: Feed) -> None:
        self._first_metric = feed.metrics[0].name
        self._first_series = feed.series[0]
        self._totals: dict[str, int] = {}
        self._fired: Counter[str] = Counter()
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)
        self._of_quality: Counter[str] = Counter()
        self._gaps = 0
        self._last_quality = Quality.OK
        self._scores: tuple[Score, ...] = ()
        self._width = 1.0
        self._began: float | None = None
        self._watched: list[Callable[[], dict[str, float]]] = []

    def watch_bus(self, bus: MemoryBus, capacity: int) -> None:
        """Tell how many events wait, too."""
        self._watched.append(lambda: {"buffer_depth": bus.depth, "buffer_capacity": capacity})

    def watch_history(self, store: DuckDBStore, path: Path) -> None:
        """Tell what is committed to a history, how fast, and how big its file is, too."""
        size = FileSize(path)

        def gauges() -> dict[str, float]:
            known = {} if (held := size.bytes) is None else {"store_bytes": float(held)}
            return known | {"commits": store.commits} | in_milliseconds("commit", store.commit_seconds)

        self._watched.append(gauges)

    @property
    def totals(self) -> dict[str, int]:
        """Counts of this run, by name."""
        return dict(self._totals)

    def begin(self) -> None:
        """Say that a batch is about to go through the graph."""
        self._began = time.perf_counter()

    def take(self, findings: Findings) -> None:
        """Count what a batch gave, and how long it took to here since :meth:`begin`."""
        windows = 0
        for analysis in findings.analyses:
            windows += analysis.metric == self._first_metric
            self._look_at(analysis)
        for name, more in (
            ("events", len(findings.events)),
            ("windows", windows),
            ("anomalies", sum(anomaly.opened == anomaly.updated for anomaly in findings.anomalies)),
            ("late", findings.late),
            ("dropped", findings.dropped),
            ("undecodable", findings.undecodable),
            ("duplicates", findings.duplicates),
        ):
            self._totals[name] = self._totals.get(name, 0) + more
        if windows and self._began is not None:
            self._seconds.extend([(time.perf_counter() - self._began) / windows] * min(windows, REMEMBERED))
        self._began = None

    def _look_at(self, analysis: Analysis) -> None:
        for score in analysis.scores:
            if score.fired:
                self._fired[score.detector] += 1
        if analysis.scores:
            self._scores = analysis.scores
        window = analysis.window
        if window.series != self._first_series or analysis.metric != self._first_metric:
            return
        if window.revision == 0:
            self._gaps += window.quality is Quality.GAP and self._last_quality is not Quality.GAP
            self._last_quality = window.quality
        if window.quality is not Quality.OK and window.revision < 2:
            self._width = window.width
            self._of_quality[window.quality] += 1

    def gauges(self) -> dict[str, float]:
        """Figures by name; what is not known yet is left out.

        ``window_ms_median`` and ``window_ms_p99`` (milliseconds from a batch taken to its findings
        stored, for each window), ``fired_`` and a detector (judgements in which it fired),
        ``cold_`` and a detector (seconds until it judges; only while it abstains), ``gaps``, and the
        seconds told as ``gap_seconds``, ``revised_seconds`` (a gap whose events came after all),
        ``backfilled_seconds`` and ``partial_seconds``. Of a watched bus ``buffer_depth`` and
        ``buffer_capacity``, of a watched history ``commits``, ``commit_ms_...`` and ``store_bytes``.
        """
        gauges = in_milliseconds("window", self._seconds)
        for score in self._scores:
            gauges[f"fired_{score.detector}"] = self._fired[score.detector]
            if not score.warm:
                gauges[f"cold_{score.detector}"] = score.windows_left * self._width
        gauges["gaps"] = self._gaps
        gauges["anomalies"] = self._totals.get("anomalies", 0)
        for quality in (Quality.GAP, Quality.REVISED, Quality.BACKFILLED, Quality.PARTIAL):
            gauges[f"{quality}_seconds"] = self._of_quality[quality] * self._width
        for watched in self._watched:
            gauges |= watched()
        return gauges


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
