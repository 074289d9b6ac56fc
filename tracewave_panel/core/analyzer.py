"""Score, combine, explain, then learn: the only place where all four meet."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from tracewave_panel.core.explain import Baseline, BaselineState, Explanation, Gathered, explain
from tracewave_panel.core.lane import Lane, LaneSettings, LaneState
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Analysis, Direction, Score, Window

__all__ = ["Analyzer", "AnalyzerSettings", "AnalyzerState"]

_LOOKED_BACK = 30
_LULL = 10
_SAMPLED = 4  # as many windows as a Gathered holds samples of


class AnalyzerSettings(msgspec.Struct, frozen=True):
    """What one analyzer is made of.

    Attributes
    ----------
    band
        Detector whose expectation is shown. The control chart's baseline learns late and stands still while
        it fires, so an incident moves it least.
    explained
        An alarm is explained over its windows so far, at most so many.
    acceptance
        After so many alerting windows in a row the level is learned as the new normal.
    """

    lanes: LaneSettings
    band: str = "ewma"
    baseline_memory: float = 1800.0
    explained: int = 60
    acceptance: int = 900


class Alarm(msgspec.Struct):
    """Alerting windows in a row, but for short lulls: their counts so far, and how they were explained."""

    gathered: Gathered = msgspec.field(default_factory=Gathered)
    alerting: int = 0
    lull: int = 0
    explained: int = 0
    direction: Direction = 0
    told: Explanation = Explanation()


class AnalyzerState(msgspec.Struct, frozen=True):
    """Everything the analyzer has learned, as plain values."""

    baselines: Mapping[str, BaselineState]
    recent: Mapping[str, tuple[Window, ...]]
    lanes: tuple[tuple[str, str, LaneState, Alarm], ...]


class _Watched(Lane):
    """A lane and the alarm it is in."""

    def __init__(self, feed: Feed, metric: Metric, settings: LaneSettings) -> None:
        super().__init__(feed, metric, settings)
        self.alarm = Alarm()


class Analyzer:
    """Judge windows of a feed, one at a time, in order.

    Windows that are not judged (``partial``, ``gap``, ``revised``) come back as an Analysis without
    scores, and nothing learns from them. The explaining baseline learns from windows that do not
    alert, so an incident is never explained against itself.
    """

    def __init__(self, feed: Feed, settings: AnalyzerSettings) -> None:
        self._feed = feed
        self._settings = settings
        self._baselines: dict[str, Baseline] = {}
        self._recent: dict[str, deque[Window]] = {}
        self._lanes: dict[str, list[_Watched]] = {}
        for series in feed.series:
            self._lanes_of(series)

    def _lanes_of(self, series: str) -> list[_Watched]:
        if series not in self._lanes:
            self._lanes[series] = [_Watched(self._feed, metric, self._settings.lanes) for metric in self._feed.metrics]
            self._baselines[series] = Baseline(len(self._feed.dimensions), self._settings.baseline_memory)
            self._recent[series] = deque(maxlen=_LOOKED_BACK)
        return self._lanes[series]

    def analyze(self, window: Window) -> list[Analysis]:
        """One Analysis a metric; detectors and baselines learn the window afterwards."""
        lanes = self._lanes_of(window.series)
        if not window.quality.judged:
            told = _without_samples(window)
            return [Analysis(lane.metric.name, told, window.features[lane.index]) for lane in lanes]
        analyses = [self._judge(lane, window) for lane in lanes]
        self._learn(window)
        return analyses

    def learn(self, window: Window) -> None:
        """Learn a window that was judged before, and say nothing of it."""
        if window.quality.judged:
            self._learn(window)

    def _learn(self, window: Window) -> None:
        lanes = self._lanes_of(window.series)
        for lane in lanes:
            lane.learn(window)
        if all(lane.alarm.alerting in {0, self._settings.acceptance} for lane in lanes):
            self._baselines[window.series].learn(window.dimension_counts, window.width)
        recent = self._recent[window.series]
        recent.append(window)
        if len(recent) > _SAMPLED:
            recent[-_SAMPLED - 1] = _without_samples(recent[-_SAMPLED - 1])

    def _judge(self, lane: _Watched, window: Window) -> Analysis:
        judged = lane.judge(window)
        combined = judged.combined
        band = _band(judged.scores, self._settings.band)
        told = Explanation()
        if combined.alerting:
            if not lane.alarm.alerting:
                self._look_back(lane, window, judged.scores, band, combined.direction)
            told = self._explain(lane, window, combined.direction)
        elif lane.alarm.alerting:
            lane.alarm.lull += 1
            if lane.alarm.lull >= _LULL:
                lane.alarm = Alarm()
        return Analysis(
            metric=lane.metric.name,
            window=_without_samples(window),
            observed=window.features[lane.index],
            expected=band.expected if band else None,
            spread=band.spread if band else None,
            scores=judged.scores,
            confidence=combined.confidence,
            evidence=judged.evidence,
            rarity=judged.rarity,
            severity=combined.severity,
            alerting=combined.alerting,
            direction=combined.direction,
            verdict=told.verdict,
            contributions=told.contributions,
            completeness=told.completeness,
            provisional=judged.provisional,
        )

    def _look_back(
        self, lane: _Watched, window: Window, scores: Sequence[Score], band: Score | None, direction: Direction
    ) -> None:
        """Begin the alarm among the windows that the strongest detector looked at: where the change is clearest."""
        seen = list(self._recent[window.series])[::-1][: _looked_at(scores) - 1]
        taken = len(seen)
        if band is not None and band.expected is not None and direction:
            total, clearest = 0.0, -math.inf
            for back, past in enumerate([window, *seen]):
                total += direction * (past.features[lane.index] - band.expected)
                if total / math.sqrt(back + 1) > clearest:
                    taken, clearest = back, total / math.sqrt(back + 1)
        for past in reversed(seen[:taken]):
            lane.alarm.gathered.add(past)

    def _explain(self, lane: _Watched, window: Window, direction: Direction) -> Explanation:
        """Explain the alarm over its windows so far, anew each time they have grown by a quarter."""
        alarm, gathered = lane.alarm, lane.alarm.gathered
        alarm.alerting, alarm.lull = min(alarm.alerting + 1, self._settings.acceptance), 0
        if gathered.windows < self._settings.explained:
            gathered.add(window)
        if gathered.windows >= 1.25 * alarm.explained or direction != alarm.direction:
            alarm.told = explain(self._feed.dimensions, gathered, self._baselines[window.series], direction)
            alarm.explained, alarm.direction = gathered.windows, direction
        return alarm.told

    def snapshot(self) -> AnalyzerState:
        """Everything learned so far."""
        return AnalyzerState(
            baselines={series: baseline.snapshot() for series, baseline in self._baselines.items()},
            recent={series: tuple(windows) for series, windows in self._recent.items()},
            lanes=tuple(
                (series, lane.metric.name, lane.snapshot(), copy.deepcopy(lane.alarm))
                for series, lanes in self._lanes.items()
                for lane in lanes
            ),
        )

    def restore(self, state: AnalyzerState) -> None:
        """Go on from a snapshot; a detector that is new, or has other settings now, starts cold."""
        for series, metric, saved, alarm in state.lanes:
            for lane in self._lanes_of(series):
                if lane.metric.name == metric:
                    lane.restore(saved)
                    lane.alarm = copy.deepcopy(alarm)
        for series, baseline in state.baselines.items():
            self._lanes_of(series)
            self._baselines[series].restore(baseline)
            self._recent[series] = deque(state.recent.get(series, ()), maxlen=_LOOKED_BACK)


def _looked_at(scores: Sequence[Score]) -> int:
    """Over how many windows the strongest detector that says so looked, as far back as windows are kept."""
    said = [score for score in scores if score.warm and score.span]
    return min(min(said, key=lambda score: (score.p, score.span)).span, _LOOKED_BACK + 1) if said else 1


def _without_samples(window: Window) -> Window:
    """The window as it is told and kept: samples serve explanations only."""
    return msgspec.structs.replace(window, samples=()) if window.samples else window


def _band(scores: Sequence[Score], preferred: str) -> Score | None:
    """The score whose expectation is shown: that of the preferred detector if it has one."""
    expecting = [score for score in scores if score.expected is not None]
    return next((score for score in expecting if score.detector == preferred), expecting[0] if expecting else None)
