"""What the seasonal detector remembers of one metric: the day, the week and the residuals of late."""

from __future__ import annotations

import math

import numpy as np

from tracewave_panel.core.detectors.base import DetectorState, Floats
from tracewave_panel.core.detectors.seasonal_loops import (
    BEGIN,
    FULL,
    HIGH,
    LEVEL,
    LOW,
    PLAIN,
    SLOT,
    SPAN,
    WARM_UP,
    go_through,
    judge_next,
)
from tracewave_panel.errors import StateError

__all__ = ["Residuals"]

_DAY = 86_400.0


class Residuals:
    """Memory of the day, the week and recent residuals of one metric.

    Parameters
    ----------
    spans
        Of the recent means, windows.
    week
        Whether to learn the time of week too.
    slot, rate, memory, settle, clip, smooth, plain
        As :class:`~tracewave_panel.core.detectors.seasonal.SeasonalSettings` has them.
    least
        Variance of an ordinary value, at least.
    """

    def __init__(
        self, spans: tuple[int, ...], *, week: bool, slot: float, rate: float, memory: float, settle: float,
        clip: float, least: float, smooth: int, plain: bool,
    ) -> None:  # fmt: skip
        self.seen = 0
        self._rule: Floats = np.array(
            [slot, rate, memory, settle, clip, least, smooth, plain, 1.0 / _variance_left(clip), 1.0, 0.0, 0.0]
        )
        slots = int(_DAY / slot)
        self._day, self._week = _slots(slots), _slots(7 * slots if week else 0)
        self._spans: Floats = np.zeros((len(spans), 6))
        self._spans[:, SPAN] = spans
        self._held: Floats = np.zeros(12)
        self._held[LOW], self._held[HIGH] = math.inf, -math.inf
        self._recent: Floats = np.zeros(max(spans))  # a ring of residuals
        self._one: Floats = np.zeros(2)  # value and start that come alone

    def set_width(self, width: float, warm_up: int) -> None:
        """Fit the rules to the width of the windows, seconds, and to the windows of the warm-up."""
        rule = self._rule
        rule[FULL] = 1.0 if rule[PLAIN] else max(1.0, round(rule[SLOT] / width))
        rule[WARM_UP] = warm_up
        rule[BEGIN] = min(_DAY / width, warm_up / 2.0)

    def judge(self, value: float, start: float) -> tuple[float, int, float, float]:
        """Statistic and span of the largest difference if `value` came next, and level and spread there."""
        statistic, place, level = judge_next(
            value, start, self.seen, self._rule, self._day, self._week, self._spans, self._held
        )
        span, _, baseline, noise, *_ = self._spans[place].tolist()
        return statistic, int(span), level + baseline, math.sqrt(noise)

    def learn(self, value: float, start: float) -> None:
        """Take in the next value."""
        self._one[:] = value, start
        self._go_through(self._one[:1], self._one[1:], self._one[2:])

    def go_through(self, values: Floats, starts: Floats) -> Floats:
        """Judge, then learn, each of n values in turn; the statistics, NaN in the warm-up."""
        statistics = np.full(values.size, math.nan)
        self._go_through(values, np.ascontiguousarray(starts, np.float64), statistics)
        return statistics

    def _go_through(self, values: Floats, starts: Floats, statistics: Floats) -> None:
        go_through(
            values, starts, statistics, self.seen, self._rule, self._day, self._week, self._spans, self._held,
            self._recent,
        )  # fmt: skip
        self.seen += values.size

    def snapshot(self) -> DetectorState:
        """The memory as plain values."""
        return {
            "seen": self.seen,
            "tables": [table.astype("<f8").tobytes() for table in (self._day, self._week)],
            "spans": self._spans.tolist(),
            "held": self._held.tolist(),
            "recent": self._recent.astype("<f8").tobytes(),
        }

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot.

        Raises
        ------
        StateError
            When the snapshot is of other slots or spans.
        """
        day, week, recent = (
            np.frombuffer(packed, dtype="<f8").astype(np.float64) for packed in (*state["tables"], state["recent"])
        )
        spans = np.array(state["spans"], dtype=np.float64)
        saved, made = (
            (tables[0].size, tables[1].size, rows[:, SPAN].tolist())
            for tables, rows in (((day, week), spans), ((self._day, self._week), self._spans))
        )
        if saved != made:
            raise StateError(
                f"the saved day, week and spans are of sizes {saved}, these settings make {made}: "
                "start without the State"
            )
        self.seen, self._spans, self._recent = state["seen"], spans, recent
        self._day, self._week = day.reshape(self._day.shape), week.reshape(self._week.shape)
        self._held = np.array(state["held"], dtype=np.float64)


def _variance_left(clip: float) -> float:
    """Variance of a standard normal that was clipped at so many deviations; 0: it was not."""
    if clip == 0.0:
        return 1.0
    beyond = math.erfc(clip / math.sqrt(2.0))
    return 1.0 - beyond - clip * math.sqrt(2.0 / math.pi) * math.exp(-clip * clip / 2.0) + clip * clip * beyond


def _slots(number: int) -> Floats:
    """Make a table of slots of which nothing is known: means, visits, levels."""
    table = np.zeros((3, number))
    table[LEVEL] = math.nan
    return table
