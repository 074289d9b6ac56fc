"""Figures of one moment, by name and label values: what is added up over runs and put into families."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from .histogram import Histogram
from .labels import plain_key

__all__ = ["Figures", "Key", "Measured"]

Key = tuple[str, ...]
"""Name of a family without the prefix, then its label values in order."""


class Figures(NamedTuple):
    """What was counted up to a moment, where the levels stood, and how long things took."""

    totals: dict[Key, float]
    levels: dict[Key, float]
    histograms: dict[Key, Histogram]


class Measured(Protocol):
    """A run that can be asked for its figures at any time, from any thread."""

    def figures(self) -> Figures:
        """Figures since the run began: totals only grow."""
        ...


def added(parts: Iterable[Figures]) -> Figures:
    """Totals and histograms added up; of levels the last one told holds. Label values are made plain."""
    totals: dict[Key, float] = {}
    levels: dict[Key, float] = {}
    histograms: dict[Key, Histogram] = {}
    for part in parts:
        for key, value in part.totals.items():
            name = plain_key(key)
            totals[name] = totals.get(name, 0.0) + value
        levels.update((plain_key(key), value) for key, value in part.levels.items())
        for key, histogram in part.histograms.items():
            name = plain_key(key)
            histograms[name] = histograms[name].plus(histogram) if name in histograms else histogram
    return Figures(totals, levels, histograms)
