"""Fewer points than there are windows, with every extreme kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Buckets"]

Numbers = npt.NDArray[np.float64]


class Buckets:
    """Neighbouring windows as one, so that at most `most` are left.

    Parameters
    ----------
    windows
        How many there are.
    most
        How many buckets may be drawn.

    Examples
    --------
    >>> buckets = Buckets(6, 3)
    >>> buckets.size, buckets.extremes(np.array([1.0, 9.0, 2.0, 2.0, 7.0, np.nan])).tolist()
    (2, [0, 1, 2, 4, 5])
    """

    def __init__(self, windows: int, most: int) -> None:
        self.size = max(1, -(-windows // most))
        self.starts = np.arange(0, windows, self.size)
        self._windows = windows

    def highest(self, values: Numbers) -> Numbers:
        """Largest value of each bucket; NaN where it has none."""
        filled = np.where(np.isnan(values), -np.inf, values)
        return self._known(np.maximum.reduceat(filled, self.starts)) if len(values) else values

    def lowest(self, values: Numbers) -> Numbers:
        """Smallest value of each bucket; NaN where it has none."""
        return -self.highest(-values)

    def extremes(self, values: Numbers) -> npt.NDArray[np.intp]:
        """Places, in order, of the lowest and the highest of each bucket, and of one that is no number."""
        if self.size == 1:
            return np.arange(self._windows)
        padded = np.full(len(self.starts) * self.size, np.nan)
        padded[: self._windows] = values
        table = padded.reshape(-1, self.size)
        missing = np.isnan(table)
        found = [
            np.argmin(np.where(missing, np.inf, table), axis=1),
            np.argmax(np.where(missing, -np.inf, table), axis=1),
            np.argmax(missing, axis=1),
        ]
        places = np.unique(np.concatenate([self.starts + each for each in found]))
        return places[places < self._windows]

    def any_of(self, masks: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
        """Whether a bucket holds a window of which any of the masks is true."""
        return np.logical_or.reduceat(np.logical_or.reduce(masks), self.starts)

    @staticmethod
    def _known(values: Numbers) -> Numbers:
        return np.where(np.isinf(values), np.nan, values)
