"""A feed without a reference learns its own: the largest statistics it showed outside episodes and gaps."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from itertools import pairwise

import msgspec
import numpy as np

from tracewave_panel.core.calibration import LEAST_MEAN_EXCESS, DetectorTable, Returns, Tail

__all__ = ["OwnHistory", "OwnHistorySettings", "OwnHistoryState"]

_OWN = "own history"
_FEWEST_PEAKS = 5


class OwnHistorySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a feed's own statistics become its tables.

    Attributes
    ----------
    after
        Windows outside episodes and gaps before the first table is made.
    refit
        Windows between two tables.
    largest
        How many statistics a side are held. When `after` has passed twice, every other one is forgotten,
        so that old windows fade.
    share
        Part of all windows that the tail is fitted to.
    shapes
        Least and greatest shape of the generalised Pareto tail.
    """

    after: int = 86_400
    refit: int = 21_600
    largest: int = 3_000
    share: float = 0.005
    shapes: tuple[float, float] = (0.0, 0.3)

    def __post_init__(self) -> None:
        """Refuse tables that could never be made."""
        if self.after < 50 or self.refit < 1 or self.largest < 100:
            raise ValueError("after must be at least 50 windows, refit at least 1, largest at least 100")
        if not 0.0 < self.share <= 0.1 or self.shapes[0] > self.shapes[1]:
            raise ValueError("share must be above 0 and at most 0.1, the least shape not above the greatest")


class Largest(msgspec.Struct):
    """The largest of all values seen, in rising order, and how many were seen."""

    values: list[float] = []
    seen: int = 0

    def take(self, value: float, most: int) -> None:
        """Take in a value."""
        self.seen += 1
        if len(self.values) < most:
            insort(self.values, value)
        elif value > self.values[0]:
            insort(self.values, value)
            del self.values[0]

    def thin(self) -> None:
        """Forget half."""
        self.values = self.values[1::2]
        self.seen //= 2


class OwnHistoryState(msgspec.Struct, frozen=True):
    """An own history as plain values."""

    up: Mapping[str, Largest]
    down: Mapping[str, Largest]
    peaks: Largest
    block: tuple[int, float]
    tables: Mapping[str, DetectorTable]
    returns: Returns | None


class OwnHistory:
    """Tables of one metric of one series, refitted now and then from what it showed.

    Evidence is counted by blocks of `quiet` windows: as an episode may reach into two of them, it is
    rather thought too common than too rare.

    Parameters
    ----------
    two_sided
        For each detector whether falls are unusual too.
    quiet
        Windows that separate two episodes.
    """

    def __init__(self, settings: OwnHistorySettings, two_sided: Mapping[str, bool], quiet: int) -> None:
        self._settings = settings
        self._quiet = quiet
        self._up = {name: Largest() for name in two_sided}
        self._down = {name: Largest() for name, both in two_sided.items() if both}
        self._peaks = Largest()
        self._block: tuple[int, float] = (0, 0.0)
        self.tables: dict[str, DetectorTable] = {}
        self.returns: Returns | None = None

    def windows_left(self, detector: str) -> int:
        """Windows until the detector's first table."""
        return max(0, self._settings.after - self._up[detector].seen) if detector not in self.tables else 0

    def learn(self, detector: str, statistic: float) -> None:
        """Take in what a detector said of a window outside episodes."""
        settings = self._settings
        up, down = self._up[detector], self._down.get(detector)
        up.take(statistic, settings.largest)
        if down is not None:
            down.take(-statistic, settings.largest)
        if up.seen >= settings.after and (up.seen - settings.after) % settings.refit == 0:
            self.tables[detector] = DetectorTable(_OWN, self._tail(up), None if down is None else self._tail(down))
            if up.seen >= 2 * settings.after and len(up.values) == settings.largest:
                for side in (up, down):
                    if side is not None:
                        side.thin()

    def _tail(self, side: Largest) -> Tail:
        settings = self._settings
        return Tail.fitted(np.array(side.values), share=settings.share, shapes=settings.shapes, of=side.seen)

    def learn_evidence(self, evidence: float) -> None:
        """Take in the evidence of a window outside episodes, once there are tables."""
        count, highest = self._block
        count, highest = count + 1, max(highest, evidence)
        if count < self._quiet:
            self._block = (count, highest)
            return
        self._block = (0, 0.0)
        peaks = self._peaks
        peaks.take(highest, self._settings.largest)
        first = max(20, self._settings.after // self._quiet)
        if peaks.seen >= first and (peaks.seen - first) % max(1, self._settings.refit // self._quiet) == 0:
            self.returns = _returns(peaks, self._quiet)

    def snapshot(self) -> OwnHistoryState:
        """Everything learned so far."""
        return OwnHistoryState(
            up={name: _copied(side) for name, side in self._up.items()},
            down={name: _copied(side) for name, side in self._down.items()},
            peaks=_copied(self._peaks),
            block=self._block,
            tables=dict(self.tables),
            returns=self.returns,
        )

    def restore(self, state: OwnHistoryState) -> None:
        """Go on from a snapshot; detectors that are new start without a past."""
        for held, saved in ((self._up, state.up), (self._down, state.down)):
            held.update({name: _copied(saved[name]) for name in held if name in saved})
        self._peaks, self._block = _copied(state.peaks), state.block
        self.tables = {name: table for name, table in state.tables.items() if name in self._up}
        self.returns = state.returns


def _copied(side: Largest) -> Largest:
    return Largest(list(side.values), side.seen)


def _returns(peaks: Largest, quiet: int) -> Returns:
    """Windows between two blocks that reach each of the largest peaks; exponential beyond (Gumbel's tail)."""
    ordered = peaks.values
    windows = peaks.seen * quiet
    rising: dict[float, float] = {}
    for rank, peak in enumerate(ordered):
        if peak > 0.0:
            rising.setdefault(peak, float(np.log10(windows / (len(ordered) - rank))))
    if len(rising) < _FEWEST_PEAKS:
        return Returns((1.0, 2.0), (float(np.log10(windows)), float(np.log10(windows)) + 1.0), 1.0)
    level = list(rising)
    top = level[-max(_FEWEST_PEAKS, len(level) // 10) :]
    mean_excess = max(float(np.mean(top)) - top[0], LEAST_MEAN_EXCESS)
    thinned = level[:: max(1, len(level) // 100)]
    if thinned[-1] != level[-1]:
        thinned.append(level[-1])
    assert all(low < high for low, high in pairwise(thinned))
    return Returns(tuple(thinned), tuple(rising[one] for one in thinned), 1.0 / mean_excess / float(np.log(10.0)))
