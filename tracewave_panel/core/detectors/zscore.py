"""Rolling z-score of a metric."""

from __future__ import annotations

import math

from tracewave_panel.core.detectors.base import DetectorState, Scale, abstain, score_of_deviation
from tracewave_panel.core.detectors.deviation import Deviation, DeviationSettings
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Score, Window

__all__ = ["ZScore"]


class ZScore:
    """Distance of each window from a baseline of the last minutes, in standard deviations.

    Quickest on sharp changes; blind to slow ones. See
    :class:`~tracewave_panel.core.detectors.deviation.Deviation` for the arithmetic.
    """

    name = "zscore"
    defaults = DeviationSettings(span=1, gap=1, memory=120.0)

    def __init__(self, feed: Feed, metric: Metric, settings: DeviationSettings = defaults) -> None:
        self._scale = Scale(feed, metric)
        self._deviation = Deviation(settings, self._scale.least_variance)

    def score_one(self, window: Window) -> Score:
        """Judge a window against what was learned before it."""
        deviation = self._deviation
        if deviation.windows_left:
            return abstain(self.name, deviation.windows_left)
        z = deviation.z(self._scale.value(window))
        expected, spread = self._scale.back(deviation.mean, math.sqrt(deviation.noise), window.width)
        return score_of_deviation(
            self.name, z, direction=1 if z > 0 else -1 if z < 0 else 0, expected=expected, spread=spread
        )

    def learn_one(self, window: Window) -> None:
        """Learn a window."""
        self._deviation.learn(self._scale.value(window))

    def snapshot(self) -> DetectorState:
        """The memory, to go on from."""
        return self._deviation.snapshot()

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot."""
        self._deviation.restore(state)
