"""A lane over arrays of windows: the same scores, evidence, rarity and alerts as live, many thousand times a second.

Detectors run the compiled loops that the live ones run; what follows them is :mod:`~tracewave_panel.core.lane` by
the column. A test holds both equal, over gaps too.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from tracewave_panel.core.calibration import DetectorTable, Returns, spoke
from tracewave_panel.core.detectors.base import FIRE_SCORE, ArrayDetector, Floats
from tracewave_panel.core.ensemble import EnsembleSettings
from tracewave_panel.core.episodes import EpisodeSettings
from tracewave_panel.core.lane import LaneSettings, made_of, returns_of, tables_of
from tracewave_panel.feeds import Feed, Metric

__all__ = ["Judged", "evidence_of", "judge", "openings", "statistics_of"]

_DAY = 86_400.0
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


class Judged(msgspec.Struct, frozen=True):
    """What a lane says of n judged windows; every array has shape (n,).

    Attributes
    ----------
    statistics, log10_p
        By detector; NaN where it abstained.
    evidence, rarity, confidence
        As in an Analysis; rarity in days.
    alerting
        Whether the ensemble's rule calls the window anomalous.
    """

    statistics: Mapping[str, Floats]
    log10_p: Mapping[str, Floats]
    evidence: Floats
    rarity: Floats
    confidence: Floats
    alerting: Flags

    def fired(self, detector: str) -> Flags:
        """Windows that a detector calls unusual on its own."""
        return np.asarray(self.log10_p[detector] <= -10.0 * FIRE_SCORE)


def statistics_of(
    feed: Feed, metric: Metric, settings: LaneSettings, features: Floats, starts: Floats
) -> dict[str, Floats]:
    """Statistics of every detector of a lane that starts cold.

    Parameters
    ----------
    features
        Of the windows that are judged, in order; shape (n, features of the feed).
    starts
        Of these windows, seconds; shape (n,).
    """
    statistics = {}
    for name, (make, parameters) in settings.detectors.items():
        detector: ArrayDetector = make(feed, metric, parameters)
        statistics[name] = detector.score_many(features, starts)
    return statistics


def judge(feed: Feed, metric: Metric, settings: LaneSettings, features: Floats, starts: Floats) -> Judged:
    """Judge windows with a lane that starts cold and has a reference for all its detectors.

    Raises
    ------
    ValueError
        When the reference lacks a table, or the settings judge one direction only.
    """
    ensemble = settings.ensemble
    if ensemble.direction != "both" or ensemble.minimum_change:
        raise ValueError("arrays are judged in both directions and at any size of change")
    reference = settings.reference_of(feed.name)
    tables = tables_of(reference, metric.name, {name: made_of(of) for name, (_, of) in settings.detectors.items()})
    missing = settings.detectors.keys() - tables.keys()
    if missing:
        raise ValueError(f"the reference has no table for {', '.join(sorted(missing))} with these settings")
    returns = returns_of(reference, metric.name, tables, ensemble)
    return combine_many(statistics_of(feed, metric, settings, features, starts), tables, returns, settings)


def combine_many(
    statistics: Mapping[str, Floats],
    tables: Mapping[str, DetectorTable],
    returns: Mapping[str, Returns],
    settings: LaneSettings,
) -> Judged:
    """Judge windows by the statistics of their detectors."""
    ensemble = settings.ensemble
    log10_p = {name: tables[name].log10_many(values) for name, values in statistics.items()}
    evidence = evidence_of(log10_p, ensemble)
    rarity = np.zeros(len(evidence))
    names = list(statistics)
    warm = np.array([~np.isnan(statistics[name]) for name in names])
    bits = (warm * (1 << np.arange(len(names)))[:, None]).sum(axis=0)
    for mask in np.unique(bits):
        chosen = [name for i, name in enumerate(names) if mask >> i & 1]
        at = np.flatnonzero(bits == mask)
        key = spoke(chosen)
        if key in returns:
            rarity[at] = returns[key].windows_many(evidence[at]) * settings.width / _DAY
    confidence, strongest = _agreement(log10_p)
    if ensemble.rule == "agreement":
        alerting = (confidence >= ensemble.minimum_confidence) | (strongest >= ensemble.strong_single)
    elif ensemble.minimum_evidence is not None:
        alerting = (evidence > 0.0) & (evidence >= ensemble.minimum_evidence)
    else:
        alerting = rarity * ensemble.alarm_budget >= 1.0
    return Judged(statistics, log10_p, evidence, rarity, confidence, alerting)


def evidence_of(log10_p: Mapping[str, Floats], settings: EnsembleSettings) -> Floats:
    """Evidence of each window, as :class:`~tracewave_panel.core.ensemble.Evidence` sums it."""
    total = np.zeros(len(next(iter(log10_p.values()))))
    for name, values in log10_p.items():
        single = np.minimum(-np.nan_to_num(values, nan=0.0), settings.most)
        if settings.hold > 1:
            padded = np.concatenate([np.zeros(settings.hold - 1), single])
            single = np.lib.stride_tricks.sliding_window_view(padded, settings.hold).max(axis=1)
            single = np.where(np.isnan(values), 0.0, single)
        total += settings.weights.get(name, 1.0) * np.maximum(single - settings.usual, 0.0)
    if settings.growth:
        asked = settings.growth * np.log10(np.arange(1, len(total) + 1) / 1000.0)
        total = np.where(total > 0.0, total - asked, 0.0)
    return np.asarray(np.maximum(total, 0.0))


def _agreement(log10_p: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Confidence, and the highest score that fired."""
    scores = np.minimum(1.0, -np.array(list(log10_p.values())) / 10.0)
    fired = np.where(scores >= FIRE_SCORE, scores, 0.0)
    available = (~np.isnan(scores)).sum(axis=0)
    return np.nansum(fired, axis=0) / np.maximum(available, 1), np.nanmax(fired, axis=0, initial=0.0)


def openings(alerting: Flags, settings: EpisodeSettings) -> list[tuple[int, int]]:
    """First and last alerting window of each episode, as :class:`~tracewave_panel.core.episodes.Episodes` forms them.

    Examples
    --------
    >>> openings(np.array([0, 1, 1, 0, 0, 1], dtype=bool), EpisodeSettings(quiet=3))
    [(1, 5)]
    """
    firsts, lasts = _openings(alerting, settings.quiet, settings.acceptance, settings.cooldown)
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


@njit(cache=True, nogil=True)
def _openings(alerting: Flags, quiet: int, acceptance: int, cooldown: int) -> tuple[Indices, Indices]:
    firsts, lasts = np.empty(len(alerting), np.int64), np.empty(len(alerting), np.int64)
    count, last_opening = 0, -cooldown
    is_open = accepted = False
    for window in range(len(alerting)):
        if accepted:
            accepted = alerting[window]
        elif is_open:
            if alerting[window]:
                lasts[count - 1] = window
            accepted_now = window - firsts[count - 1] + 1 >= acceptance
            if accepted_now or window - lasts[count - 1] >= quiet:
                is_open, accepted = False, accepted_now and alerting[window]
        elif alerting[window] and window - last_opening >= cooldown:
            firsts[count] = lasts[count] = last_opening = window
            is_open = True
            count += 1
    return firsts[:count], lasts[:count]
