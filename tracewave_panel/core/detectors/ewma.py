"""EWMA control chart of a metric."""

from __future__ import annotations

from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.feeds import Feed, Metric

__all__ = ["EwmaChart"]


class EwmaChart(ZScore):
    """Distance of an exponentially weighted mean from the baseline, in its own usual distances.

    Sees small changes that last, later than a z-score sees large ones (Roberts 1959).
    """

    name = "ewma"
    defaults = DeviationSettings(span=0, weight=0.05, gap=20, memory=60.0)

    def __init__(self, feed: Feed, metric: Metric, settings: DeviationSettings = defaults) -> None:
        super().__init__(feed, metric, settings)
