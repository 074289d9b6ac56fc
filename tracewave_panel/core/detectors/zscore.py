"""Rolling z-score of a metric."""

from __future__ import annotations

from typing import ClassVar

from tracewave_panel.core.detectors.base import DetectorState, Floats, abstain, score_of_deviation
from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.core.detectors.watched import Watched
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Score, Window

__all__ = ["ZScore"]


class ZScore:
    """Distance of moving means from baselines of the last minutes, in their own usual distances.

    The largest of several spans is told: the shortest sees a sharp change at once, the longest a
    small one that lasts. See :mod:`~tracewave_panel.core.detectors.deviation_loops` for the arithmetic.
    """

    name = "zscore"
    two_sided = True
    defaults = DeviationSettings()
    _exponential: ClassVar[bool] = False

    def __init__(self, feed: Feed, metric: Metric, settings: DeviationSettings = defaults) -> None:
        # numba takes seconds to import, so it is when the first chart is made
        from tracewave_panel.core.detectors.deviation_loops import Deviations  # noqa: PLC0415

        self.settings = settings
        self._watched = Watched(feed, metric)
        self._deviations = Deviations(settings, exponential=self._exponential, kind=metric.kind)
        self._told = self._place_told(settings)

    @staticmethod
    def _place_told(settings: DeviationSettings) -> int:
        """Place of the span whose baseline is told as the expectation: the shortest."""
        return settings.spans.index(min(settings.spans))

    def score_one(self, window: Window) -> Score:
        """Judge a window against what was learned before it."""
        left = self.settings.warm_up - self._deviations.seen
        if left > 0:
            return abstain(self.name, left)
        z, span = self._deviations.judge(self._watched.value(window))
        expected, spread = self._watched.back(*self._deviations.band(self._told), window.width)
        return score_of_deviation(
            self.name, z, direction=1 if z > 0 else -1 if z < 0 else 0, expected=expected, spread=spread, span=span
        )

    def learn_one(self, window: Window) -> None:
        """Learn a window."""
        self._deviations.learn(self._watched.value(window))
        self._watched.learn(window)

    def score_many(self, features: Floats, starts: Floats) -> Floats:
        """Score, then learn, windows in order: shapes (n, features of the feed) and (n,) in, statistics (n,) out."""
        return self._deviations.go_through(self._watched.values(features, starts))

    def snapshot(self) -> DetectorState:
        """The memory, to go on from."""
        return self._deviations.snapshot() | {"watched": self._watched.snapshot()}

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot.

        Raises
        ------
        StateError
            When the snapshot is of other spans or gaps.
        """
        self._deviations.restore(state)
        self._watched.restore(state["watched"])
