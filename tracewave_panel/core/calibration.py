"""What a statistic or an amount of evidence means: its chance on ordinary windows, and once in how many.

A :class:`Reference` is made from clean windows, frozen and versioned. It is never learned from windows inside an
episode: a tail that is fitted on the fly hides what it should see.

::

    statistic -> Tail -> p -> score = min(1, -log10(p) / 10)
    evidence of the detectors that spoke -> Returns -> windows between two ordinary episodes
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np

from tracewave_panel.core.detectors.base import FIRE_SCORE, Floats
from tracewave_panel.model import Score

__all__ = [
    "LEAST_MEAN_EXCESS",
    "REFERENCE_VERSION",
    "DetectorTable",
    "Reference",
    "Returns",
    "Tail",
    "calibrated",
    "spoke",
    "subsets",
]

REFERENCE_VERSION = 1
_LEAST_LOG10 = -300.0
_POINTS = 120
_SHAPES = (0.0, 0.3)  # no end point: a bounded tail would read p = 0
_LEVELS = 80
_TRUSTED_EPISODES = 12
LEAST_MEAN_EXCESS = 0.2
"""Of peaks of evidence: a few that lie close together must not make the next one impossible."""


class Tail(msgspec.Struct, frozen=True):
    """Chance of a statistic at least so large on an ordinary window.

    Empirical up to the last point and generalised Pareto beyond it (Pickands 1975; Hosking and Wallis 1987)::

        P(X >= x) = P(X >= u) (1 + shape (x - u) / scale)^(-1 / shape)

    Attributes
    ----------
    at, log10_p
        Rising statistics, and the falling logarithm of their chance.
    shape, scale
        Of what lies beyond the last of them.

    Examples
    --------
    >>> tail = Tail.fitted(np.arange(10_000.0), share=0.01)
    >>> round(tail.log10(5_000.0), 2), tail.log10(20_000.0) < -4
    (-0.3, True)
    """

    at: tuple[float, ...]
    log10_p: tuple[float, ...]
    shape: float
    scale: float

    @classmethod
    def fitted(
        cls, sample: Floats, *, share: float = 1e-3, shapes: tuple[float, float] = _SHAPES, of: int | None = None
    ) -> Tail:
        """Fit a tail to a sample.

        Parameters
        ----------
        share
            Part of the sample that the generalised Pareto distribution is fitted to.
        shapes
            Least and greatest shape.
        of
            How many statistics the sample holds the largest of; all of them if not given.
        """
        total = len(sample) if of is None else of
        ordered = np.sort(np.asarray(sample, dtype=np.float64))[::-1]
        beyond = min(max(2, round(share * total)), len(ordered) - 1)
        start = float(ordered[beyond])
        excess = ordered[:beyond] - start
        # probability-weighted moments: a mean, and one in which large excesses count less
        mean = float(excess.mean())
        weighted = float((excess * (np.arange(1, beyond + 1) - 0.35) / beyond).mean())
        shape = 2.0 - mean / (mean - 2.0 * weighted) if mean > 2.0 * weighted else shapes[1]
        shape = min(max(shape, shapes[0]), shapes[1])
        scale = max(mean * (1.0 - shape), 1e-9 * max(1.0, abs(start)))
        ranks = np.unique(np.geomspace(beyond, len(ordered) - 1, _POINTS).astype(np.int64))
        at = np.unique(ordered[ranks])
        as_large = np.searchsorted(-ordered, -at, side="right")  # equal ones included
        log10_p = np.log10(np.minimum(as_large + 1.0, total + 1.0) / (total + 1.0))
        return cls(tuple(at.tolist()), tuple(log10_p.tolist()), shape, scale)

    def log10(self, statistic: float) -> float:
        """Logarithm of the chance of a statistic at least as large."""
        at = self.at
        if statistic > at[-1]:
            return max(self.log10_p[-1] + self._beyond(statistic), _LEAST_LOG10)
        if statistic <= at[0]:
            return self.log10_p[0] if statistic == at[0] else 0.0
        after = bisect_left(at, statistic)
        low, high = at[after - 1], at[after]
        part = (statistic - low) / (high - low)
        return self.log10_p[after - 1] + part * (self.log10_p[after] - self.log10_p[after - 1])

    def _beyond(self, statistic: float) -> float:
        y = (statistic - self.at[-1]) / self.scale
        if abs(self.shape) < 1e-6:
            return -y / math.log(10.0)
        base = 1.0 + self.shape * y
        return -math.log10(base) / self.shape if base > 0.0 else _LEAST_LOG10

    def log10_many(self, statistics: Floats) -> Floats:
        """`log10` of many at once; NaN stays NaN."""
        result = np.interp(statistics, self.at, self.log10_p)
        result[statistics < self.at[0]] = 0.0
        beyond = np.flatnonzero(statistics > self.at[-1])
        result[beyond] = [self.log10(float(statistics[i])) for i in beyond]
        result[np.isnan(statistics)] = np.nan
        return np.asarray(result)


class DetectorTable(msgspec.Struct, frozen=True):
    """How often a detector's statistic is at least so far up, and for a two-sided one so far down.

    Attributes
    ----------
    settings
        Of the detector that the statistics came from, as text: with others the table says nothing.
    """

    settings: str
    up: Tail
    down: Tail | None = None

    @classmethod
    def fitted(cls, statistics: Floats, *, two_sided: bool, settings: str) -> DetectorTable:
        """Make the table of clean statistics, shape (n,)."""
        return cls(settings, Tail.fitted(statistics), Tail.fitted(-statistics) if two_sided else None)

    def log10(self, statistic: float) -> float:
        """Logarithm of the chance of a statistic this extreme; two-sided: twice that of the nearer end."""
        if self.down is None:
            return self.up.log10(statistic)
        return min(0.0, min(self.up.log10(statistic), self.down.log10(-statistic)) + math.log10(2.0))

    def log10_many(self, statistics: Floats) -> Floats:
        """`log10` of many at once; NaN stays NaN."""
        if self.down is None:
            return self.up.log10_many(statistics)
        nearer = np.minimum(self.up.log10_many(statistics), self.down.log10_many(-statistics))
        return np.asarray(np.minimum(0.0, nearer + math.log10(2.0)))


class Returns(msgspec.Struct, frozen=True):
    """How many ordinary windows lie between two episodes whose evidence reaches a level.

    Attributes
    ----------
    level, log10_windows
        Rising evidence, and the logarithm of the windows between two episodes that reach it.
    slope
        By how much that logarithm rises with each unit of evidence beyond the last level.
    """

    level: tuple[float, ...]
    log10_windows: tuple[float, ...]
    slope: float

    @classmethod
    def fitted(cls, groups: Sequence[Sequence[Floats]], quiet: int) -> Returns:
        """Count the episodes of clean evidence at many levels; of several groups the one with most alarms holds.

        A count is taken as one standard error higher than it is, so that a budget is rather kept than not.

        Parameters
        ----------
        groups
            For each kind of clean stream its runs; a run is the evidence of its windows in order, shape (n,).
        quiet
            Windows below the level that end an episode.
        """
        peak = max(float(run.max(initial=0.0)) for runs in groups for run in runs)
        levels = np.linspace(0.0, max(peak, 1.0) * 1.5, _LEVELS + 1)[1:]
        curves = [cls._curve(runs, levels, quiet) for runs in groups]
        log10_windows = np.maximum.accumulate(np.min(curves, axis=0))
        slope = float((log10_windows[-1] - log10_windows[-9]) / (levels[-1] - levels[-9]))
        return cls(tuple(levels.tolist()), tuple(log10_windows.tolist()), max(slope, 0.05))

    @staticmethod
    def _curve(runs: Sequence[Floats], levels: Floats, quiet: int) -> Floats:
        """Counted as long as there are enough episodes, then exponential in the excess of their peaks."""
        windows = sum(map(len, runs))
        counts = np.array([sum(len(episode_peaks(run, float(level), quiet)) for run in runs) for level in levels])
        enough = np.flatnonzero(counts >= _TRUSTED_EPISODES)
        last = int(enough[-1]) if len(enough) else int(counts.argmax())
        start = float(levels[last])
        peaks = np.concatenate([episode_peaks(run, start, quiet) for run in runs])
        mean_excess = max(float((peaks - start).mean()), LEAST_MEAN_EXCESS) if len(peaks) else 1.0
        curve = np.log10(windows / np.maximum(counts + np.sqrt(counts), 1.0))
        curve[last + 1 :] = curve[last] + (levels[last + 1 :] - start) / mean_excess / math.log(10.0)
        # at low levels episodes run into each other, which makes them few, not rare
        return np.asarray(np.minimum.accumulate(curve[::-1])[::-1])

    def windows(self, evidence: float) -> float:
        """Windows between two ordinary episodes with at least this evidence; 0 when there is none."""
        if evidence <= 0.0:
            return 0.0
        return float(10.0 ** min(self._log10(evidence), 300.0))

    def _log10(self, evidence: float) -> float:
        level = self.level
        if evidence >= level[-1]:
            return self.log10_windows[-1] + self.slope * (evidence - level[-1])
        if evidence <= level[0]:
            return self.log10_windows[0]
        after = bisect_left(level, evidence)
        part = (evidence - level[after - 1]) / (level[after] - level[after - 1])
        return self.log10_windows[after - 1] + part * (self.log10_windows[after] - self.log10_windows[after - 1])

    def windows_many(self, evidence: Floats) -> Floats:
        """`windows` of many at once."""
        exponent = np.interp(evidence, self.level, self.log10_windows)
        beyond = np.maximum(evidence - self.level[-1], 0.0)
        return np.asarray(np.where(evidence > 0.0, 10.0 ** np.minimum(exponent + self.slope * beyond, 300.0), 0.0))


def episode_peaks(evidence: Floats, level: float, quiet: int) -> Floats:
    """Largest evidence of each run of windows at or above `level` with fewer than `quiet` below it in between."""
    at = np.flatnonzero(evidence >= level)
    if not len(at):
        return np.zeros(0)
    starts = np.flatnonzero(np.diff(at, prepend=at[0] - quiet - 1) > quiet)
    return np.asarray(np.maximum.reduceat(evidence[at], starts))


class Reference(msgspec.Struct, frozen=True):
    """Tables of one feed, frozen.

    Attributes
    ----------
    version
        Of this form; another is refused.
    feed, width
        Feed and window width in seconds that it was made for.
    made_of
        What the windows were, in words.
    windows
        How many.
    ensemble
        Ensemble settings that make evidence, as text; with others the returns say nothing.
    tables
        By metric and detector.
    returns
        By metric and by the detectors that spoke, see :func:`spoke`.
    """

    version: int
    feed: str
    width: float
    made_of: str
    windows: int
    ensemble: str
    tables: Mapping[str, Mapping[str, DetectorTable]]
    returns: Mapping[str, Mapping[str, Returns]]


def spoke(detectors: Sequence[str]) -> str:
    """Key of the detectors that did not abstain.

    Examples
    --------
    >>> spoke(["zscore", "ewma"])
    'ewma+zscore'
    """
    return "+".join(sorted(detectors))


def subsets(detectors: Sequence[str]) -> list[tuple[str, ...]]:
    """Every choice of at least one detector."""
    return [chosen for size in range(1, len(detectors) + 1) for chosen in combinations(detectors, size)]


def calibrated(score: Score, log10_p: float) -> Score:
    """Give a score another p; `log10_p` at most 0.

    Examples
    --------
    >>> calibrated(Score("zscore", 5.3), -8.0).score
    0.8
    """
    strength = min(1.0, -log10_p / 10.0) or 0.0
    return Score(
        score.detector,
        score.statistic,
        10.0**log10_p,
        strength,
        strength >= FIRE_SCORE,
        score.direction,
        score.expected,
        score.spread,
        span=score.span,
    )
