"""Windows in which nothing unusual happens, for detectors to learn from."""

from __future__ import annotations

import math
import random

from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.model import Window

__all__ = ["ordinary_windows", "plain_window"]

START = 1_700_000_000.0


def ordinary_windows(count: int, *, rate: float = 30.0, seed: int = 1, feed: Feed = WIKIMEDIA) -> list[Window]:
    """Windows of one second in which nothing unusual happens: over-dispersed counts around a rate.

    Examples
    --------
    >>> [window.count for window in ordinary_windows(3)] == [window.count for window in ordinary_windows(3)]
    True
    """
    source = random.Random(seed)  # noqa: S311 (a fixed series, not a secret)
    windows = []
    for second in range(count):
        mean = rate * source.gammavariate(8.0, 1.0 / 8.0)
        events = max(0, round(source.gauss(mean, math.sqrt(mean))))
        windows.append(plain_window(second, events, feed, source.uniform(0.9, 1.1)))
    return windows


def plain_window(second: int, events: int, feed: Feed = WIKIMEDIA, mix: float = 1.0) -> Window:
    """One window of `events` events whose shares and means are the usual ones times `mix`."""
    usual = {"rate": float(events), "distinct": round(0.8 * events * mix), "share": 0.3 * mix, "mean_abs": 100.0 * mix}
    return Window(
        series="checked",
        start=START + second,
        width=1.0,
        count=events,
        features=tuple(float(usual[feature.fold]) if events else 0.0 for feature in feed.features),
        dimension_counts=tuple({"value": events} for _ in feed.dimensions),
    )
