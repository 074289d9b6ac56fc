"""Faults of the connection that must make no anomalies of their own.

The same stream of edits takes its :class:`~tracewave_panel.lab.route.Route` undisturbed, cut off again and again, and
stalled again and again. An anomaly of the rate or the mix counts as caused by the faults when it opens after the first
of them, unless one of its kind is open on the undisturbed route then or within `quiet` windows of then. Whatever opens
between two faults is counted too, so nothing depends on how long a fault is thought to act.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np

from tracewave_panel.core.episodes import EpisodeSettings
from tracewave_panel.core.feed_clock import FeedClock
from tracewave_panel.core.lane import LaneSettings
from tracewave_panel.errors import ConfigError
from tracewave_panel.lab.route import MOST_A_SECOND, Fault, Route
from tracewave_panel.model import Anomaly, AnomalyKind, Quality
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings, Traffic
from tracewave_panel.sources.synthetic_world import MIX, Columns, draw_edits

__all__ = ["FAULTS", "FaultKind", "FaultRow", "Poisson", "Stream", "fault_trials", "overdispersed", "schedule"]

_START = 1_767_225_600.0
_MINUTE = 60.0
_TOLD_WITHIN = 35.0  # seconds until silence is to be told


class FaultKind(msgspec.Struct, frozen=True):
    """A sort of fault: its shortest and longest in seconds, and whether the loss of the connection is known."""

    shortest: float
    longest: float
    known: bool


FAULTS: Mapping[str, FaultKind] = {
    "disconnect": FaultKind(5.0, 120.0, known=True),
    "stall": FaultKind(2.0, 20.0, known=False),
}


def schedule(
    shortest: float, longest: float, *, faults: int, seed: int, after: float, load: float = 0.0
) -> tuple[Fault, ...]:
    """Draw faults with 60 to 100 seconds between them, and time to deliver what has queued up.

    Parameters
    ----------
    after
        When the first begins.
    load
        Events a second as a share of what is delivered a second from a queue.

    Examples
    --------
    >>> [(fault.start, round(fault.length)) for fault in schedule(5.0, 120.0, faults=1, seed=1, after=400.0)]
    [(400.0, 43)]
    """
    rng = np.random.default_rng([seed, 1])
    drawn, start = [], after
    for _ in range(faults):
        drawn.append(Fault(start, rng.uniform(shortest, longest)))
        start += drawn[-1].length + rng.uniform(60.0, 100.0) + 1.5 * load * drawn[-1].length
    return tuple(drawn)


class Stream(Protocol):
    """Edits without end and without faults."""

    def block(self) -> Columns:
        """Make the edits that arrive in the next minute, in order of arrival."""
        ...


class Poisson:
    """Edits that come by pure chance at one rate: there is no scatter in which a fault's traces could hide.

    Parameters
    ----------
    rate
        Edits a second.
    start
        Seconds since the epoch.
    """

    def __init__(self, rate: float, seed: int, start: float) -> None:
        self._rng = np.random.default_rng([seed, 3])
        self._rate = rate
        self._until = start

    def block(self) -> Columns:
        """Make the edits that arrive in the next minute, in order of arrival."""
        begin, self._until = self._until, self._until + _MINUTE
        times = self._rng.uniform(begin, self._until, self._rng.poisson(self._rate * _MINUTE))
        return draw_edits(self._rng, np.sort(times), MIX)


def overdispersed(rate: float, seed: int, start: float) -> Stream:
    """Edits that scatter as real ones do (dispersion 8), with a daily cycle and harmless bot runs."""
    return Traffic(SyntheticSettings(seed=seed, rate=rate), start, iter(()))


class FaultRow(msgspec.Struct, frozen=True):
    """What one kind of fault did at one rate.

    Attributes
    ----------
    rate
        Edits a second.
    windows
        Judged from the first fault on.
    false_anomalies
        Of the rate or the mix, that the same stream without faults does not raise.
    plain_anomalies
        That the same stream raises over the same time without any fault.
    silent
        How often the feed was told as silent.
    silence_told_after
        Most seconds from the beginning of a fault of at least 35 s to that telling; infinite when one was not told,
        None when there was no such fault.
    partial
        Windows a fault that were told as partial.
    lost
        Events that arrived and were told in no window.
    """

    kind: str
    rate: float
    faults: int
    windows: int
    false_anomalies: int
    plain_anomalies: int
    silent: int
    silence_told_after: float | None
    partial: float
    lost: int


def fault_trials(
    lanes: LaneSettings,
    episodes: EpisodeSettings,
    *,
    faults: int = 200,
    rates: Sequence[float] = (0.5, 5.0, 30.0, 500.0),
    seed: int = 1,
    warm_up: float = 4_000.0,
    stream: Callable[[float, int, float], Stream] = Poisson,
    clock: Callable[[], FeedClock] = FeedClock,
    progress: Callable[[float, str], None] = lambda _done, _note: None,
) -> tuple[FaultRow, ...]:
    """Disturb streams of several rates with every kind of fault.

    The lag has median 1 s and 99th percentile 11 s.

    Parameters
    ----------
    faults
        Of each kind, at each rate.
    rates
        Events a second.
    warm_up
        Seconds before the first fault. By default all detectors speak then but those that need days.
    stream
        Made as ``stream(rate, seed, start)``.
    clock
        Of each route; another one shows what this one is worth.

    Returns
    -------
    tuple of FaultRow
        For each kind a row a rate.

    Raises
    ------
    ConfigError
        When the lanes are not for windows of one second, or there is no fault to make.
    """
    if lanes.width != 1.0 or faults < 1:
        raise ConfigError(f"cannot try {faults} faults on windows of {lanes.width:g} s: take at least one, and 1 s")
    rows: list[FaultRow] = []
    for number, rate in enumerate(rates):
        plain = Route(lanes, episodes, _START, clock=clock())
        routes = {}
        for name, kind in FAULTS.items():
            load, first = rate / MOST_A_SECOND, _START + warm_up
            planned = schedule(kind.shortest, kind.longest, faults=faults, seed=seed, after=first, load=load)
            routes[name] = Route(lanes, episodes, _START, planned, known=kind.known, clock=clock())
        edits, end = stream(rate, seed, _START), max(map(_end, routes.values()))
        while plain.now < end:
            progress((number + (plain.now - _START) / (end - _START)) / len(rates), f"{rate:g} edits a second")
            block = edits.block()
            plain.take(block)
            for route in routes.values():
                if route.now < _end(route):
                    route.take(block)
        rows += [_row(name, rate, route, plain, episodes.quiet) for name, route in routes.items()]
    return tuple(sorted(rows, key=lambda row: list(FAULTS).index(row.kind)))


def _end(route: Route) -> float:
    return route.faults[-1].end + 2 * _MINUTE


def _row(kind: str, rate: float, route: Route, plain: Route, quiet: int) -> FaultRow:
    route.flush()
    first, last = route.faults[0].start, route.now
    raised = [one.anomaly for one in route.raised.values() if one.anomaly.opened >= first]
    changes = [one for one in raised if one.kind is not AnomalyKind.FEED_SILENT]
    usual = [one.anomaly for one in plain.raised.values() if one.anomaly.kind is not AnomalyKind.FEED_SILENT]
    windows = [window for window in route.told if window.start >= first]
    return FaultRow(
        kind=kind,
        rate=rate,
        faults=len(route.faults),
        windows=sum(window.quality.judged for window in windows),
        false_anomalies=sum(not any(_same(one, other, quiet) for other in usual) for one in changes),
        plain_anomalies=sum(first <= one.opened < last for one in usual),
        silent=len(raised) - len(changes),
        silence_told_after=_silence_told_after(route),
        partial=sum(window.quality is Quality.PARTIAL for window in windows) / len(route.faults),
        lost=route.lost,
    )


def _same(raised: Anomaly, plain: Anomaly, quiet: int) -> bool:
    """Whether an anomaly opens while one of its kind lasts on the undisturbed route, or about then."""
    closed = math.inf if plain.closed is None else plain.closed
    return raised.kind is plain.kind and plain.opened - quiet <= raised.opened <= closed + quiet


def _silence_told_after(route: Route) -> float | None:
    silences = [one.told_at for one in route.raised.values() if one.anomaly.kind is AnomalyKind.FEED_SILENT]
    waits = [
        min((told_at - fault.start for told_at in silences if fault.start < told_at <= fault.end), default=math.inf)
        for fault in route.faults
        if fault.length >= _TOLD_WITHIN
    ]
    return max(waits, default=None)
