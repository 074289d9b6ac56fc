"""How far the latest windows are from what is usual at this time of day and of week."""

from __future__ import annotations

import math

import msgspec

from tracewave_panel.core.detectors.base import DetectorState, Floats, score_of_deviation
from tracewave_panel.core.detectors.watched import Watched
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Direction, Score, Window

__all__ = ["Seasonal", "SeasonalSettings"]

_DAY = 86_400.0


class SeasonalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Slots of the day, spans and memories; these are counted in windows.

    Attributes
    ----------
    slot
        Seconds; a whole number of them makes a day.
    smooth
        So many slots to either side bear on a slot's level, and levels are interpolated between
        slots; 0: each stands alone.
    day_rate
        Part of the way that a slot goes to the mean of its latest visit.
    week
        Whether to learn offsets of the time of week too. They are used after two weeks, while they
        foretell better.
    spans
        Recent means are over so many windows.
    memory
        Of the slow baseline.
    settle
        Memory of the usual size of differences.
    clip
        What is learned after the warm-up is clipped at so many deviations; 0: nothing is.
    days, warm_up
        Days' worth of windows, and windows, seen before anything is said.
    plain
        Slots learn each window at once, and means vary as those of independent windows do: for
        feeds with about one window a slot.
    """

    slot: float = 300.0
    smooth: int = 12
    day_rate: float = 0.3
    week: bool = True
    spans: tuple[int, ...] = (600,)
    memory: float = 86_400.0
    settle: float = 86_400.0
    clip: float = 2.0
    days: float = 3.0
    warm_up: int = 3600
    plain: bool = False

    def __post_init__(self) -> None:
        """Refuse settings under which no difference can be formed."""
        if not (self.slot > 0 and (_DAY / self.slot).is_integer()):
            raise ValueError(f"slot must be a whole part of a day of 86400 s, not {self.slot}")
        if not 0 <= 2 * self.smooth < _DAY / self.slot:
            raise ValueError(f"smooth must be at least 0 and span less than a day, not {self.smooth}")
        if not 0 < self.day_rate <= 1:
            raise ValueError(f"day_rate must be above 0 and at most 1, not {self.day_rate}")
        if not self.spans or min(self.spans) < 1:
            raise ValueError(f"spans must hold at least one number of windows from 1 up, not {self.spans}")
        for name, least in (
            ("memory", 1), ("settle", 1), ("clip", 0), ("days", 0), ("warm_up", max(self.spans) + 2)
        ):  # fmt: skip
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least {least} and finite, not {getattr(self, name)}")


class Seasonal:
    """Deviation of recent means from what the time of day, and of week, foretells.

    Sees what lasts and what creeps: a drift over half an hour that shorter memories learn as
    normal. See :mod:`~tracewave_panel.core.detectors.seasonal_loops` for the arithmetic.
    """

    name = "seasonal"
    two_sided = True
    defaults = SeasonalSettings()

    def __init__(self, feed: Feed, metric: Metric, settings: SeasonalSettings = defaults) -> None:
        # numba takes a second to import, so it is when the first detector is made
        from tracewave_panel.core.detectors.seasonal_memory import Residuals  # noqa: PLC0415

        self.settings = settings
        self._watched = Watched(feed, metric)
        self._residuals = Residuals(
            settings.spans,
            week=settings.week,
            slot=settings.slot,
            smooth=settings.smooth,
            rate=settings.day_rate,
            memory=settings.memory,
            settle=settings.settle,
            clip=settings.clip,
            least=self._watched.least_variance,
            plain=settings.plain,
        )

    def _warm_up(self, width: float) -> int:
        return max(self.settings.warm_up, math.ceil(self.settings.days * _DAY / width))

    def score_one(self, window: Window) -> Score:
        """Judge a window against what was learned before it."""
        width = self._watched.width or window.width
        left = self._warm_up(width) - self._residuals.seen
        if left > 0:
            reason = f"learning the day, {_duration(left * width)} left"
            return Score(self.name, warm=False, reason=reason, windows_left=left)
        z, span, level, deviation = self._residuals.judge(self._watched.value(window), window.start)
        expected, spread = self._watched.back(level, deviation, window.width)
        direction: Direction = 1 if z > 0 else -1 if z < 0 else 0
        return score_of_deviation(self.name, z, direction=direction, expected=expected, spread=spread, span=span)

    def learn_one(self, window: Window) -> None:
        """Learn a window."""
        if not self._residuals.seen:
            self._set_width(window.width)
        self._residuals.learn(self._watched.value(window), window.start)
        self._watched.learn(window)

    def score_many(self, features: Floats, starts: Floats) -> Floats:
        """Score, then learn, windows in order: shapes (n, features of the feed) and (n,) in, statistics (n,) out."""
        values = self._watched.values(features, starts)
        if not self._residuals.seen:
            self._set_width(self._watched.width)
        return self._residuals.go_through(values, starts)

    def _set_width(self, width: float) -> None:
        self._residuals.set_width(width, self._warm_up(width))

    def snapshot(self) -> DetectorState:
        """The memory, to go on from."""
        return self._residuals.snapshot() | {"watched": self._watched.snapshot()}

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot.

        Raises
        ------
        StateError
            When the snapshot is of other slots or spans.
        """
        self._residuals.restore(state)
        self._watched.restore(state["watched"])
        if self._watched.width:
            self._set_width(self._watched.width)


def _duration(seconds: float) -> str:
    """Two largest units of a length of time, rounded up to a minute."""
    minutes = math.ceil(seconds / 60.0)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
