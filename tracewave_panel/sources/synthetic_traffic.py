"""Simulated edits as they would arrive on a faultless feed, minute by minute.

The rate of a second is ``rate * daily cycle * exp(slow random walk)``; the count is Poisson around it times a gamma
factor of mean 1, so that its variance is ``mean + mean ** 2 / dispersion``, as it is of real edits. Harmless bot runs,
about four an hour, are part of an ordinary day.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.sources.synthetic_incidents import FAULTS, Incident, Planted, Timetable, plan
from tracewave_panel.sources.synthetic_world import MIX, VALUES, Columns, culprit_mask, draw_edits, join

__all__ = ["SyntheticSettings", "Traffic"]

_BLOCK = 60
_DAY = 86_400
_WALK_SPREAD, _WALK_MEMORY = 0.12, 600.0
_BOT_RUNS_A_BLOCK = 4 * _BLOCK / 3600
_PAGES_A_SECOND = 100
_RUN_PAGES = 3_000_000


class SyntheticSettings(msgspec.Struct, frozen=True):
    """What may be set of simulated edits.

    Attributes
    ----------
    seed
        The same seed and start give the same stream.
    rate
        Mean edits a second.
    dispersion
        Of the counts; the smaller, the more they scatter.
    incidents
        What is planted; None: a mix of everything, for ever.
    every
        Mean seconds between two incidents of that mix.
    speed
        How many times faster than real the source runs; None: as fast as it can.
    """

    feed: ClassVar[Feed] = WIKIMEDIA
    event: ClassVar[str] = "edit"

    seed: int = 1
    rate: float = 30.0
    dispersion: float = 8.0
    incidents: tuple[Incident, ...] | None = None
    every: float = 240.0
    speed: float | None = 1.0

    def __post_init__(self) -> None:
        if not (self.seed >= 0 and self.rate > 0 and self.dispersion > 0 and self.every > 0):
            raise ConfigError(
                f"cannot simulate with seed {self.seed}, rate {self.rate}, dispersion {self.dispersion} and an "
                f"incident every {self.every} s: the seed must not be negative, the others must be positive"
            )

    def planned(self, start: float) -> Iterator[Planted]:
        """Say what is planted in a stream from `start` on, in order of start."""
        return plan(self.incidents, start, self.seed, self.every)

    def maker(self, start: float, planned: Iterator[Planted]) -> Traffic:
        """Begin a stream at `start`."""
        return Traffic(self, start, planned)


class _BotRun(NamedTuple):
    start: float
    end: float
    rate: float
    shares: NDArray[np.float64]
    editor: int


class Traffic(Timetable):
    """Endless edits of one seed and start.

    Parameters
    ----------
    start
        Seconds since the epoch, whole.
    planned
        What will be planted, in order of start; taken as time comes to it.

    Attributes
    ----------
    until
        Up to where edits were made, seconds.
    """

    most_a_read = 400
    heartbeat = math.inf

    def __init__(self, settings: SyntheticSettings, start: float, planned: Iterator[Planted]) -> None:
        super().__init__(planned)
        self._settings = settings
        self._rng = np.random.default_rng([settings.seed, int(start)])
        self._walk = self._rng.normal(0, _WALK_SPREAD)
        self._runs: list[_BotRun] = []
        self.until = start

    def block(self) -> Columns:
        """Make the edits of the next minute, in order of arrival."""
        begin, self.until = self.until, self.until + _BLOCK
        self.take_up(begin, self.until)
        incidents = [one for one in self.active if one.kind not in FAULTS]
        seconds = np.arange(begin, self.until, dtype=np.float64)
        expected = self._expected(seconds)
        layers = [draw_edits(self._rng, self._times(seconds, self._scatter(expected)), MIX)]
        layers += self._bot_runs(seconds)
        layers += [self._rise(one, seconds, expected) for one in incidents if one.effect > 1]
        edits = join(layers)
        for one in incidents:
            if one.effect < 1:
                edits = self._thinned(edits, one)
        return edits.take(np.argsort(edits.arrived_at, kind="stable"))

    def _expected(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        shocks = self._rng.normal(0, _WALK_SPREAD * math.sqrt(2 / _WALK_MEMORY), len(seconds))
        walk = np.empty(len(seconds))
        for i, shock in enumerate(shocks):
            self._walk += shock - self._walk / _WALK_MEMORY
            walk[i] = self._walk
        day = 2 * np.pi * (seconds % _DAY) / _DAY
        daily = (
            1 - 0.35 * np.sin(day) - 0.05 * np.sin(2 * day)
        )  # least at six in the morning, most at six in the evening
        return np.asarray(self._settings.rate * daily * np.exp(walk))

    def _scatter(self, expected: NDArray[np.float64]) -> NDArray[np.int64]:
        dispersion = self._settings.dispersion
        factors = self._rng.gamma(dispersion, 1 / dispersion, len(expected))
        return np.asarray(self._rng.poisson(factors * expected))

    def _times(self, seconds: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.repeat(seconds, counts) + self._rng.random(int(counts.sum()))

    def _bot_runs(self, seconds: NDArray[np.float64]) -> list[Columns]:
        for start in self._rng.uniform(seconds[0], seconds[-1], self._rng.poisson(_BOT_RUNS_A_BLOCK)):
            wiki = VALUES["wiki"][self._rng.choice(MIX.shape[0], p=MIX.sum((1, 2)))]
            length = math.exp(self._rng.normal(4.5, 1))
            rate = self._settings.rate * self._rng.uniform(0.03, 0.15)
            shares = MIX * culprit_mask({"wiki": wiki, "actor": "bot"})
            self._runs.append(_BotRun(start, start + length, rate, shares, int(self._rng.integers(5000, 9000))))
        self._runs = [run for run in self._runs if run.end > seconds[0]]
        return [
            self._by_one(
                self._rng.poisson(run.rate * _overlap(run, seconds)), run.shares, run.editor, run.start, seconds
            )
            for run in self._runs
        ]

    def _by_one(
        self,
        counts: NDArray[np.int64],
        shares: NDArray[np.float64],
        editor: int,
        since: float,
        seconds: NDArray[np.float64],
    ) -> Columns:
        first_page = _RUN_PAGES + editor * _PAGES_A_SECOND + int(max(0.0, seconds[0] - since)) * _PAGES_A_SECOND
        return draw_edits(self._rng, self._times(seconds, counts), shares, run=(editor, first_page))

    def _rise(self, planted: Planted, seconds: NDArray[np.float64], expected: NDArray[np.float64]) -> Columns:
        age = np.maximum(0, seconds + 0.5 - planted.start)
        length = planted.end - planted.start
        course = np.ones(len(seconds))
        if planted.kind == "drift":
            course = age / length
        elif planted.kind == "flash_crowd":
            course = np.minimum(1, age / 5) * np.exp(-2 * age / length)
        extra = expected * (planted.effect - 1) * course * _overlap(planted, seconds)
        counts = self._scatter(extra)
        shares = MIX * culprit_mask(planted.culprit)
        if planted.kind == "bot_burst":
            return self._by_one(counts, shares, 9000 + int(planted.start) % 997, planted.start, seconds)
        return draw_edits(self._rng, self._times(seconds, counts), shares)

    def _thinned(self, edits: Columns, planted: Planted) -> Columns:
        inside = (edits.arrived_at >= planted.start) & (edits.arrived_at < planted.end)
        touched = inside & culprit_mask(planted.culprit).ravel()[edits.cell]
        return edits.take(~touched | (self._rng.random(len(touched)) < planted.effect))


def _overlap(span: _BotRun | Planted, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part of each second that lies within the span."""
    return np.asarray(np.clip(np.minimum(seconds + 1, span.end) - np.maximum(seconds, span.start), 0, 1))
