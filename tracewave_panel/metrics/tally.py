"""What a run's findings come to: counted once, for the Health page and for Prometheus alike.

Invariants
----------
- A window is counted by the feed's first metric, a gap by its first series.
- An episode is counted once for each severity that it was told with.
- Label values are the feed's series, the detectors given, and words of the model; nothing that an
  event holds becomes one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Event, Findings, Quality, Score, Severity, Window

from .families import LAG_EDGES, WORK_EDGES
from .figures import Figures, Key
from .histogram import Histogram
from .labels import OTHER, known

__all__ = ["Tally"]

_SEVERITIES = tuple(severity for severity in Severity if severity is not Severity.NONE)
_LAGS_HELD = 1000


class Tally:
    """Counts of one run. One thread takes findings in, any thread reads.

    Parameters
    ----------
    width
        Seconds that a window lasts.
    detectors
        Those that are told of before they first judge.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> from tracewave_panel.model import Status
    >>> tally = Tally(WIKIMEDIA)
    >>> tally.take(Findings(10.0, 9.0, Status.LIVE, undecodable=2))
    0
    >>> tally.figures().totals["events_undecodable_total",]
    2
    """

    def __init__(self, feed: Feed, *, width: float = 1.0, detectors: Sequence[str] = ()) -> None:
        self._first_metric = feed.metrics[0].name
        self._first_series = feed.series[0]
        self._series = known(feed.series)
        self._detectors = known(detectors) if detectors else None
        self._lock = Lock()
        self._totals: Counter[str] = Counter()
        self._events: Counter[str] = Counter(dict.fromkeys(feed.series[: len(self._series) - 1], 0))
        self._windows: Counter[tuple[str, Quality]] = Counter(
            {(series, quality): 0 for series in self._events for quality in Quality}
        )
        self._last_ends = dict.fromkeys(self._events, 0.0)
        self._fires: Counter[str] = Counter(dict.fromkeys(detectors, 0))
        self._scores: dict[tuple[str, str], tuple[Score, ...]] = {}
        self._reached: Counter[Severity] = Counter(dict.fromkeys(_SEVERITIES, 0))
        self._open: dict[str, Severity] = {}
        self._gaps = 0
        self._of_quality: Counter[Quality] = Counter()
        self._last_quality = Quality.OK
        self._last_gap_end = 0.0
        self._width = width
        self._event_lags, self._watermark_lags = Histogram(LAG_EDGES), Histogram(LAG_EDGES)
        self._lags: list[float] = []  # not binned yet: an array of few costs as much as one of many
        self._window_times = Histogram(WORK_EDGES)

    # -- what is taken in

    def take(self, findings: Findings) -> int:
        """Count what a batch gave, and return how many windows that were; under 0.3 us an event."""
        events = findings.events
        series = _by_series(events)
        windows = [each.window for each in findings.analyses if each.metric == self._first_metric]
        with self._lock:
            for name, count in series.items():
                self._events[self._series.get(name, OTHER)] += count
            self._lags += [event.arrived_at - event.occurred_at for event in events]
            if len(self._lags) >= _LAGS_HELD:
                self._bin_lags()
            self._watermark_lags.observe(findings.arrived_at - findings.watermark)
            for analysis in findings.analyses:
                self._look_at(analysis)
            for window in windows:
                self._count(window)
            opened = sum(map(self._follow, findings.anomalies))
            for total, more in (
                ("events", len(events)),
                ("windows", len(windows)),
                ("anomalies", opened),
                ("late", findings.late),
                ("dropped", findings.dropped),
                ("undecodable", findings.undecodable),
                ("duplicates", findings.duplicates),
            ):
                self._totals[total] += more
        return len(windows)

    def time_windows(self, seconds: float, windows: int) -> None:
        """Say how long each of some windows took."""
        with self._lock:
            self._window_times.observe(seconds, windows)

    def go_on_from(self, episodes: Iterable[Anomaly]) -> None:
        """Take over episodes that a State brought along, open and counted by the process that saw them open."""
        with self._lock:
            self._open |= {anomaly.id: anomaly.severity for anomaly in episodes if anomaly.closed is None}

    def _bin_lags(self) -> None:
        self._event_lags.observe_all(self._lags)
        self._lags.clear()

    def _look_at(self, analysis: Analysis) -> None:
        scores = analysis.scores
        if scores:
            self._scores[self._series.get(analysis.window.series, OTHER), analysis.metric] = scores
            for score in scores:
                if score.fired:
                    self._fires[score.detector] += 1

    def _count(self, window: Window) -> None:
        series = self._series.get(window.series, OTHER)
        self._windows[series, window.quality] += 1
        self._last_ends[series] = max(self._last_ends.get(series, 0.0), window.end)
        self._width = window.width
        if window.series != self._first_series:
            return
        windows = 1
        if window.revision == 0:
            gap, before = window.quality is Quality.GAP, self._last_quality is Quality.GAP
            self._gaps += gap and not before
            if gap and before:  # of a gap of over an hour only the ends are told
                windows += max(0, round((window.start - self._last_gap_end) / window.width))
            self._last_quality, self._last_gap_end = window.quality, window.end
        if window.revision < 2:
            self._of_quality[window.quality] += windows

    def _follow(self, anomaly: Anomaly) -> bool:
        """Count the severities of an episode; True when it opens."""
        held = self._open.get(anomaly.id)
        opens = anomaly.opened == anomaly.updated
        # one that a State brought along was counted by the process that saw it open
        if opens or (held is not None and anomaly.severity.rank > held.rank):
            self._reached[anomaly.severity] += 1
        if anomaly.closed is None:
            self._open[anomaly.id] = anomaly.severity
        else:
            self._open.pop(anomaly.id, None)
        return opens

    # -- what is told

    @property
    def totals(self) -> dict[str, int]:
        """Counts by the names that pages know; empty before the first findings."""
        with self._lock:
            return dict(self._totals)

    @property
    def gaps(self) -> int:
        """Stretches that the feed did not deliver."""
        return self._gaps

    def seconds_of(self, quality: Quality) -> float:
        """Length of the windows of a quality, each told first or for the second time."""
        return self._of_quality[quality] * self._width

    def judges(self) -> dict[str, tuple[int, float | None]]:
        """For each detector that was asked its fires, and the seconds until it judges everywhere (None: it does)."""
        with self._lock:
            left: dict[str, float | None] = {}
            for score in _each(self._scores.values()):
                before = left.setdefault(score.detector, None)
                if not score.warm:
                    left[score.detector] = max(before or 0.0, score.windows_left * self._width)
            return {name: (self._fires[name], seconds) for name, seconds in left.items()}

    def figures(self) -> Figures:
        """All of it, of one moment."""
        with self._lock:
            self._bin_lags()
            totals: dict[Key, float] = {
                ("events_late_total",): self._totals["late"],
                ("events_dropped_total", "buffer"): self._totals["dropped"],
                ("events_undecodable_total",): self._totals["undecodable"],
                ("events_duplicate_total",): self._totals["duplicates"],
                ("gaps_total",): self._gaps,
                ("gap_seconds_total",): self.seconds_of(Quality.GAP),
                **{("events_total", series): count for series, count in self._events.items()},
                **{("windows_total", series, quality.value): n for (series, quality), n in self._windows.items()},
                **{("anomalies_total", severity.value): self._reached[severity] for severity in _SEVERITIES},
            }
            for name, fires in self._fires.items():
                key = "detector_fires_total", self._detector(name)
                totals[key] = totals.get(key, 0) + fires
            open_now = Counter(self._open.values())
            levels: dict[Key, float] = {
                ("window_width_seconds",): self._width,
                **{("anomalies_open", severity.value): open_now[severity] for severity in _SEVERITIES},
                **{("last_window_timestamp_seconds", series): end for series, end in self._last_ends.items()},
                **{("detector_warm", name): warm for name, warm in self._warm().items()},
            }
            histograms: dict[Key, Histogram] = {
                ("event_lag_seconds",): self._event_lags.copy(),
                ("watermark_lag_seconds",): self._watermark_lags.copy(),
                ("window_duration_seconds",): self._window_times.copy(),
            }
        return Figures(totals, levels, histograms)

    def _warm(self) -> dict[str, int]:
        """1 for each detector that judges wherever it looked."""
        warm = dict.fromkeys(map(self._detector, self._fires), 0)
        seen: dict[str, list[bool]] = {}
        for score in _each(self._scores.values()):
            seen.setdefault(self._detector(score.detector), []).append(score.warm)
        return warm | {name: int(all(words)) for name, words in seen.items()}

    def _detector(self, name: str) -> str:
        return self._detectors.get(name, OTHER) if self._detectors else name


def _by_series(events: Sequence[Event]) -> Mapping[str, int]:
    names = {event.series for event in events}
    # most batches are of one series, and a set is made in a third of a count's time
    return dict.fromkeys(names, len(events)) if len(names) == 1 else Counter([event.series for event in events])


def _each(scores: Iterable[tuple[Score, ...]]) -> Iterable[Score]:
    return (score for judged in scores for score in judged)
