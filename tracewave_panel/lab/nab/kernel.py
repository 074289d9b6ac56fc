"""The scan of one file at many thresholds, as compiled loops."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["opened_rows", "tally"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@njit(cache=True, nogil=True)
def opened_rows(scores: Floats, threshold: float, cooldown: int, first: int) -> Counts:
    """Rows, from `first` on, that open an alert."""
    opened = np.empty(max(0, scores.size - first), np.int64)
    alerts, silent_until = 0, first
    for row in range(first, scores.size):
        if row >= silent_until and scores[row] >= threshold:
            opened[alerts] = row
            alerts += 1
            silent_until = row + cooldown
    return opened[:alerts]


@njit(cache=True, nogil=True)
def tally(
    scores: Floats, thresholds: Floats, cooldown: int, first: int, worth: Floats, window: Counts
) -> tuple[Floats, Counts]:
    """Worth (of windows hit, of false alarms) and counts (of the same) at each threshold; shapes (k, 2)."""
    worths, counts = np.zeros((thresholds.size, 2)), np.zeros((thresholds.size, 2), np.int64)
    for k in range(thresholds.size):
        last_hit = -1
        for row in opened_rows(scores, thresholds[k], cooldown, first):
            if window[row] < 0:
                worths[k, 1] += worth[row]
                counts[k, 1] += 1
            elif window[row] != last_hit:  # the first alert in a window is its best, later ones are free
                last_hit = window[row]
                worths[k, 0] += worth[row]
                counts[k, 0] += 1
    return worths, counts
