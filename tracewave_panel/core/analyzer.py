"""Score, combine, explain, then learn: the only place where all four meet."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tracewave_panel.core.detectors.base import Detector, DetectorState
from tracewave_panel.core.ensemble import EnsembleSettings, combine
from tracewave_panel.core.explain import Baseline, BaselineState, Explanation, explain
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Analysis, Direction, Score, Window

__all__ = ["Analyzer", "AnalyzerSettings", "AnalyzerState"]


class AnalyzerSettings(msgspec.Struct, frozen=True):
    """What one analyzer is made of.

    Attributes
    ----------
    detectors
        Class and settings of each, by name, in the order in which they are shown.
    explained
        An alarm is explained over its windows so far, at most so many.
    acceptance
        After so many alerting windows in a row the level is learned as the new normal.
    """

    detectors: Mapping[str, tuple[Any, Any]]
    ensemble: EnsembleSettings = EnsembleSettings()
    baseline_memory: float = 1800.0
    explained: int = 60
    acceptance: int = 900


class Alarm(msgspec.Struct):
    """Alerting windows in a row: their counts so far, and how they were explained."""

    counts: list[dict[str, int]] = []
    windows: int = 0
    alerting: int = 0
    explained: int = 0
    direction: Direction = 0
    told: Explanation = Explanation()

    def gather(self, window: Window) -> None:
        """Add a window to the counts."""
        self.windows += 1
        self.counts = self.counts or [{} for _ in window.dimension_counts]
        for gathered, counts in zip(self.counts, window.dimension_counts, strict=True):
            for value, count in counts.items():
                gathered[value] = gathered.get(value, 0) + count


class LaneState(msgspec.Struct, frozen=True):
    """What the detectors of one metric of one series have learned, and what settings made them."""

    detectors: Mapping[str, tuple[str, DetectorState]]
    alarm: Alarm


class AnalyzerState(msgspec.Struct, frozen=True):
    """Everything the analyzer has learned, as plain values."""

    baselines: Mapping[str, BaselineState]
    lanes: tuple[tuple[str, str, LaneState], ...]


class _Lane:
    """Detectors of one metric of one series, and the alarm they are in."""

    def __init__(self, feed: Feed, metric: Metric, settings: AnalyzerSettings) -> None:
        self.metric = metric
        self.index = feed.feature_index(metric.feature)
        self.detectors: dict[str, Detector] = {
            name: make(feed, metric, parameters) for name, (make, parameters) in settings.detectors.items()
        }
        self.made_of = {name: repr(parameters) for name, (_, parameters) in settings.detectors.items()}
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
        self._lanes: dict[str, list[_Lane]] = {}
        for series in feed.series:
            self._lanes_of(series)

    def _lanes_of(self, series: str) -> list[_Lane]:
        if series not in self._lanes:
            self._lanes[series] = [_Lane(self._feed, metric, self._settings) for metric in self._feed.metrics]
            self._baselines[series] = Baseline(len(self._feed.dimensions), self._settings.baseline_memory)
        return self._lanes[series]

    def analyze(self, window: Window) -> list[Analysis]:
        """One Analysis a metric; detectors and baselines learn the window afterwards."""
        lanes = self._lanes_of(window.series)
        if not window.quality.judged:
            return [Analysis(lane.metric.name, window, window.features[lane.index]) for lane in lanes]
        analyses = [self._judge(lane, window) for lane in lanes]
        for lane in lanes:
            for detector in lane.detectors.values():
                detector.learn_one(window)
        if all(lane.alarm.alerting in {0, self._settings.acceptance} for lane in lanes):
            self._baselines[window.series].learn(window.dimension_counts, window.width)
        return analyses

    def _judge(self, lane: _Lane, window: Window) -> Analysis:
        scores = tuple([detector.score_one(window) for detector in lane.detectors.values()])
        combined = combine(scores, self._settings.ensemble)
        told = Explanation()
        if combined.alerting:
            told = self._explain(lane, window, combined.direction)
        elif lane.alarm.windows:
            lane.alarm = Alarm()
        band = _band(scores)
        return Analysis(
            metric=lane.metric.name,
            window=window,
            observed=window.features[lane.index],
            expected=band.expected if band else None,
            spread=band.spread if band else None,
            scores=scores,
            confidence=combined.confidence,
            rarity=combined.rarity,
            severity=combined.severity,
            alerting=combined.alerting,
            direction=combined.direction,
            verdict=told.verdict,
            contributions=told.contributions,
            completeness=told.completeness,
        )

    def _explain(self, lane: _Lane, window: Window, direction: Direction) -> Explanation:
        """Explain the alarm over its windows so far, anew each time they have grown by a quarter."""
        alarm = lane.alarm
        alarm.alerting = min(alarm.alerting + 1, self._settings.acceptance)
        if alarm.windows < self._settings.explained:
            alarm.gather(window)
        if alarm.windows >= 1.25 * alarm.explained or direction != alarm.direction:
            baseline, seconds = self._baselines[window.series], alarm.windows * window.width
            alarm.told = explain(self._feed.dimensions, alarm.counts, baseline, seconds, direction)
            alarm.explained, alarm.direction = alarm.windows, direction
        return alarm.told

    def snapshot(self) -> AnalyzerState:
        """Everything learned so far."""
        return AnalyzerState(
            baselines={series: baseline.snapshot() for series, baseline in self._baselines.items()},
            lanes=tuple(
                (
                    series,
                    lane.metric.name,
                    LaneState(
                        {name: (lane.made_of[name], held.snapshot()) for name, held in lane.detectors.items()},
                        copy.deepcopy(lane.alarm),
                    ),
                )
                for series, lanes in self._lanes.items()
                for lane in lanes
            ),
        )

    def restore(self, state: AnalyzerState) -> None:
        """Go on from a snapshot; a detector that is new, or has other settings now, starts cold."""
        for series, metric, saved in state.lanes:
            for lane in self._lanes_of(series):
                if lane.metric.name == metric:
                    for name, detector in lane.detectors.items():
                        made_of, learned = saved.detectors.get(name, ("", {}))
                        if made_of == lane.made_of[name]:
                            detector.restore(learned)
                    lane.alarm = copy.deepcopy(saved.alarm)
        for series, baseline in state.baselines.items():
            self._lanes_of(series)
            self._baselines[series].restore(baseline)


def _band(scores: Sequence[Score]) -> Score | None:
    """The score whose expectation is shown: the last, which by default is the control chart's.

    Its baseline learns late and stands still while it fires, so an incident moves it least.
    """
    return next((score for score in reversed(scores) if score.expected is not None), None)
