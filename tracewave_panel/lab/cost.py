"""What a window costs live: every detector of a lane, calibration, evidence and learning, on one core."""

from __future__ import annotations

import time

import msgspec

from tracewave_panel.core.lane import Lane, LaneSettings
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.lab.simulated import simulated
from tracewave_panel.model import Window
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings

__all__ = ["WindowCost", "window_cost"]

_MONDAY = 1_767_571_200.0
_WARM = 12_000
_ROUNDS, _WINDOWS = 7, 1000


class WindowCost(msgspec.Struct, frozen=True):
    """Microseconds of CPU a (series, metric) window: of all, and of each detector by itself."""

    lane: float
    detectors: dict[str, float]


def window_cost(lanes: LaneSettings) -> WindowCost:
    """Measure a lane after 12,000 windows; the least disturbed of seven rounds of a thousand counts."""
    made = simulated(SyntheticSettings(seed=950), _MONDAY, _WARM + _ROUNDS * _WINDOWS)
    windows = [
        Window("edits", start, 1.0, int(features[0]), tuple(features), ())
        for start, features in zip(made.starts.tolist(), made.features.tolist(), strict=True)
    ]
    alone = {
        name: _cost(msgspec.structs.replace(lanes, detectors={name: lanes.detectors[name]}), windows)
        for name in lanes.detectors
    }
    return WindowCost(_cost(lanes, windows), alone)


def _cost(lanes: LaneSettings, windows: list[Window]) -> float:
    lane = Lane(WIKIMEDIA, WIKIMEDIA.metrics[0], lanes)
    for window in windows[:_WARM]:
        lane.learn(window)
    least = float("inf")
    for first in range(_WARM, len(windows), _WINDOWS):
        begun = time.process_time()
        for window in windows[first : first + _WINDOWS]:
            lane.judge(window)
            lane.learn(window)
        least = min(least, time.process_time() - begun)
    return least / _WINDOWS * 1e6
