"""EWMA control chart of a metric."""

from __future__ import annotations

from typing import ClassVar

from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.feeds import Feed, Metric

__all__ = ["EwmaChart"]


class EwmaChart(ZScore):
    """Distance of exponentially weighted means from their baselines, in their own usual distances.

    Sees small changes that last, later than a z-score sees large ones (Roberts 1959).
    """

    name = "ewma"
    defaults = DeviationSettings(
        spans=(10, 30, 60),
        gaps=(20, 20, 30),
        memories=(60.0, 60.0, 60.0),
        rises=(1.05, 0.95, 1.05),
        falls=(0.97, 0.87, 0.85),
    )
    _exponential: ClassVar[bool] = True

    def __init__(self, feed: Feed, metric: Metric, settings: DeviationSettings = defaults) -> None:
        super().__init__(feed, metric, settings)

    @staticmethod
    def _place_told(settings: DeviationSettings) -> int:
        """Place of the span that learns latest: it stands still while it fires, so an incident moves it least."""
        return settings.gaps.index(max(settings.gaps))
