"""How far a short mean is from a slow baseline, in units of its own usual distance."""

from __future__ import annotations

import math
from collections import deque
from itertools import islice

import msgspec

from tracewave_panel.core.detectors.base import DetectorState

__all__ = ["Deviation", "DeviationSettings"]

_CLIP = 3.0
_CLIPPED_VARIANCE = 1.03  # repays what clipping a normal at 3 deviations takes from its variance
_VARIANCE_MEMORY = 3600.0


class DeviationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Scales and memories, all counted in windows.

    Attributes
    ----------
    span
        The recent mean is over so many windows; 0: exponential with `weight`.
    gap
        The baseline learns a window only when it is so many windows old, so that an incident
        is not measured against itself.
    memory
        Of the baseline's exponential mean.
    warm_up
        Windows seen before anything is said.
    limit
        Nothing is learned while the deviation is beyond it ...
    patience
        ... unless that has lasted so long that the level is accepted as the new normal.
    """

    span: int = 1
    weight: float = 0.05
    gap: int = 1
    memory: float = 120.0
    warm_up: int = 600
    limit: float = 4.0
    patience: int = 900

    def __post_init__(self) -> None:
        """Refuse settings under which no deviation can be formed."""
        least_warm_up = max(2, self.gap)  # the baseline learns a window that was seen
        for name, least in (("span", 0), ("gap", 1), ("memory", 1), ("warm_up", least_warm_up), ("patience", 1)):
            if not getattr(self, name) >= least:
                msg = f"{name} must be at least {least}, not {getattr(self, name)}"
                raise ValueError(msg)
        if not 0 < self.weight <= 1:
            msg = f"weight must be above 0 and at most 1, not {self.weight}"
            raise ValueError(msg)


class Deviation:
    """Standardised deviation of a recent mean from a winsorised exponential baseline.

    With ``span=1`` it is a z-score, with a longer span the z-score of a moving mean, with
    ``span=0`` an EWMA control chart (Roberts 1959) whose limits are learned instead of derived
    from independence. Baseline and variances learn values clipped at 3 deviations, and nothing
    while the deviation is beyond `limit`, so that an incident does not teach them.
    """

    def __init__(self, settings: DeviationSettings, least_variance: float = 1e-12) -> None:
        self.settings = settings
        self._least = least_variance
        span, weight = settings.span, settings.weight
        self._scale = 1.0 / span if span else weight / (2.0 - weight)  # of the recent mean's variance
        self.seen = 0
        self.mean = 0.0
        self.noise = 0.0  # variance of one value around the mean
        self._variance = 0.0  # of the recent mean around the baseline
        self._squares = 0.0  # of the warm-up
        self._smooth = 0.0  # recent mean, and the variance around it
        self._swing = 0.0
        self._held = 0
        self._recent: deque[float] = deque(maxlen=max(settings.span, settings.gap + 1))

    @property
    def windows_left(self) -> int:
        """Windows until there is a baseline."""
        left = self.settings.warm_up - self.seen
        return max(0, left)

    def z(self, value: float) -> float:
        """Deviation if `value` came next; 0 while there is no baseline."""
        if self.windows_left:
            return 0.0
        return self._difference(value) / math.sqrt(self._variance)

    def _difference(self, value: float) -> float:
        span, weight = self.settings.span, self.settings.weight
        if span == 0:
            return self._smooth + weight * (value - self._smooth) - self.mean
        if span == 1:
            return value - self.mean
        recent = [value, *islice(reversed(self._recent), span - 1)]
        return (sum(recent) - len(recent) * self.mean) / span

    def learn(self, value: float) -> None:
        """Take in the next value."""
        if self.windows_left:
            self._warm_up(value)
        else:
            self._learn_difference(self._difference(value))
        step = value - self._smooth
        self._smooth += self.settings.weight * step
        self._swing += self.settings.weight * (step * step - self._swing)
        self._recent.append(value)

    def _warm_up(self, value: float) -> None:
        self.seen += 1
        step = value - self.mean
        self.mean += step / self.seen
        self._squares += step * (value - self.mean)
        if self.seen == 1:
            self._smooth = value
        if not self.windows_left:
            self.noise = max(self._squares / (self.seen - 1), self._least)
            self._variance = self.noise * self._scale

    def _learn_difference(self, difference: float) -> None:
        settings = self.settings
        deviation = math.sqrt(self._variance)
        beyond = abs(difference) > settings.limit * deviation
        self._held = self._held + 1 if beyond else max(0, self._held - 5)
        if beyond:
            if self._held > settings.patience:
                self._accept()
            return
        self._variance = _toward(self._variance, difference, self._least * self._scale)
        old = self._recent[-settings.gap] - self.mean
        self.noise = _toward(self.noise, old, self._least)
        clip = _CLIP * math.sqrt(self.noise)
        self.mean += min(max(old, -clip), clip) / settings.memory

    def _accept(self) -> None:
        """Take the level of late, and its noise if that is greater, as the new normal."""
        grown = max(1.0, self._swing / self.noise)
        self.noise *= grown
        self._variance *= grown
        self.mean, self._held = self._smooth, 0

    def snapshot(self) -> DetectorState:
        """The memory as plain values."""
        return {
            "seen": self.seen,
            "values": [self.mean, self.noise, self._variance, self._squares, self._smooth, self._swing],
            "held": self._held,
            "recent": list(self._recent),
        }

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot."""
        self.seen, self._held = state["seen"], state["held"]
        self.mean, self.noise, self._variance, self._squares, self._smooth, self._swing = state["values"]
        self._recent = deque(state["recent"], maxlen=self._recent.maxlen)


def _toward(variance: float, difference: float, least: float) -> float:
    square = min(difference * difference, _CLIP * _CLIP * variance) * _CLIPPED_VARIANCE
    return max(least, variance + (square - variance) / _VARIANCE_MEMORY)
