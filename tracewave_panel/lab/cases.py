"""What is planted to see whether it is found, and the rows of figures that come of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["CASES", "Case", "CleanRow", "Detection", "RecallRow"]


class Case(msgspec.Struct, frozen=True):
    """One kind and size of incident.

    Attributes
    ----------
    length
        Seconds.
    dimensions
        Of which each incident draws a culprit.
    everywhere
        Whether it is planted at every dispersion; otherwise only at the first.
    """

    kind: str
    effect: float
    length: float
    dimensions: tuple[str, ...] = ()
    everywhere: bool = False

    @property
    def title(self) -> str:
        """In words, such as ``surge x2, 60 s``."""
        return f"{self.kind.replace('_', ' ')} x{self.effect:g}, {self.length:g} s"


_BOTH = ("wiki", "actor")
CASES = (
    Case("surge", 3.0, 60, _BOTH),
    Case("surge", 2.0, 60, _BOTH, everywhere=True),
    Case("surge", 1.5, 60, _BOTH, everywhere=True),
    Case("surge", 1.25, 60, _BOTH),
    Case("drop", 0.75, 60),
    Case("drop", 0.5, 60, everywhere=True),
    Case("drop", 0.25, 60),
    Case("outage", 0.0, 60),
    Case("burst", 5.0, 3, _BOTH, everywhere=True),
    Case("flash_crowd", 2.0, 300),
    Case("surge", 1.25, 600, _BOTH),
    Case("drift", 1.5, 1800),
)


class CleanRow(msgspec.Struct, frozen=True):
    """Episodes a day on clean streams of one dispersion.

    Attributes
    ----------
    days
        Watched, with warm detectors.
    episodes_a_day
        By detector; the ensemble's under ``ensemble``.
    without
        The ensemble's when a detector is missing, by detector.
    cold
        The ensemble's from a cold start on, over the first days of the same streams.
    """

    dispersion: float
    days: float
    episodes_a_day: Mapping[str, float]
    without: Mapping[str, float]
    cold: float


class Detection(msgspec.Struct, frozen=True):
    """What one detector, or the ensemble, makes of the incidents of one case.

    Attributes
    ----------
    recall
        Share of the incidents with an alert before their end, or 10 s after the end of short ones.
    delay, late
        Median and 95th percentile of the seconds to the first alert, of those found.
    chance
        Recall in stretches of the same length without incident: what alarming all day would score.
    """

    recall: float
    delay: float | None
    late: float | None
    chance: float


class RecallRow(msgspec.Struct, frozen=True):
    """One case at one dispersion."""

    case: Case
    dispersion: float
    incidents: int
    by: Mapping[str, Detection]
