"""What arrives after a fault: how far it has come, and when it is used up."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import msgspec

from tracewave_panel.core.arrival_rate import ArrivalRate
from tracewave_panel.core.lag_distribution import LagDistribution
from tracewave_panel.core.settling import SETTLING

__all__ = ["Backlog"]

REMEMBERED = 64  # events
TOLERANCE = 0.1  # seconds by which a usual lag may have grown over a new connection
PROGRESS = 0.5  # seconds of lag that a shrinking backlog loses ...
PATIENCE = 10.0  # ... within this time
TREND = 16  # events whose median lag shows the progress
EXPECTED, FEWEST = 16.0, 0.25  # less than this share of so many expected events is not the whole backlog
USELESS = 8  # stamps in a row that make no sense
QUIET = 5.0  # seconds after which a proof of life shows that a resumed feed had nothing in its queue


class Backlog(msgspec.Struct):
    """The last events of a backlog that is being delivered in the order of arrival at the server.

    It is over when the lag of several recent events is as small as usual: the queue is empty. It is
    also over when the lag no longer shrinks, for then that lag is the feed's new one.

    Attributes
    ----------
    start
        Arrival of the last event before the fault; -inf for a feed's first connection.
    among, needed, usual
        Over when `needed` of the last `among` lags are at most `usual` seconds.
    every
        Events between two looks at the position.
    received
        Events since the fault, those with a useless stamp included.
    taken, useless
        Events with a sensible stamp, and useless ones in a row.
    stamps, lags, hits
        The last occurrences and lags, and how many of `among` lags are usual.
    best, best_at, since_best
        Smallest median lag, when it was reached, and events since.
    last_at
        When the last event or the return of the connection was; inf while the feed is silent.
    proven_at
        Last proof of life.
    interrupted
        Whether the connection was known to be lost.
    """

    start: float
    among: int
    needed: int
    usual: float
    every: int
    received: int = 0
    taken: int = 0
    useless: int = 0
    stamps: list[float] = []
    lags: list[float] = []
    hits: int = 0
    best: float = inf
    best_at: float = -inf
    since_best: int = 0
    last_at: float = inf
    proven_at: float = -inf
    interrupted: bool = False

    @classmethod
    def first(cls) -> Backlog:
        """Expect a feed's first connection: one usual lag shows that it is live."""
        return cls(-inf, among=8, needed=1, usual=LagDistribution().quantile(0.5) + TOLERANCE, every=8)

    @classmethod
    def after(cls, start: float, rate: ArrivalRate, lags: LagDistribution, received: int = 0) -> Backlog:
        """Expect a backlog of a feed. The faster the feed, the sharper its end can be seen."""
        share = min(max(8.0 / max(rate.per_second, 1.0), 0.1), 0.5)
        among = int(min(max(rate.per_second / 4.0, 8.0), REMEMBERED))
        return cls(
            start,
            among=among,
            needed=max(2, round(0.6 * share * among)),
            usual=lags.quantile(share) + TOLERANCE,
            every=int(min(max(rate.per_second, 1.0), 16.0)),
            received=received,
        )

    def returned(self, now: float, *, interrupted: bool = False) -> None:
        """Note that the feed sends again after a silence, in which no progress could be made."""
        self.interrupted |= interrupted
        self.last_at = now
        self.lags = []
        self.hits = self.since_best = 0
        self.best, self.best_at = inf, now

    def take(self, now: float, stamp: float, *, sensible: bool) -> bool:
        """Take in one event and its occurrence; say whether it is time to look at the position."""
        self.received += 1
        self.last_at = now
        if not sensible:
            self.useless += 1
            return False
        stamps, lags = self.stamps, self.lags
        lag = now - stamp
        stamps.append(stamp)
        lags.append(lag)
        self.useless = 0
        self.hits += lag <= self.usual
        if len(lags) > self.among:
            self.hits -= lags[-self.among - 1] <= self.usual
        if len(lags) > REMEMBERED:
            del lags[0]
        if len(stamps) > REMEMBERED:
            del stamps[0]
        self.since_best += 1
        self.taken += 1
        if self.taken % self.every:
            return False
        recent = sorted(lags[-TREND:])[len(lags[-TREND:]) // 2]
        if recent < self.best - PROGRESS:
            self.best, self.best_at, self.since_best = recent, now, 0
        return True

    @property
    def drained(self) -> bool:
        """Whether the queue is empty, or the stamps cannot say when it is."""
        return self.hits >= self.needed or self.useless >= USELESS

    def proven_empty(self, now: float) -> bool:
        """Whether a proof of life came and no queued event has followed for a moment."""
        wait = QUIET if self.interrupted or self.received else SETTLING
        return self.proven_at >= self.last_at and now - self.last_at >= wait

    def stuck(self, now: float) -> bool:
        """Whether the lag has stopped shrinking although events come."""
        return self.since_best >= TREND and now - self.best_at > PATIENCE

    def position(self, spread: float) -> float:
        """Time before which no queued event arrived; -inf while too few came to tell.

        A lower quartile, so that a few wrong stamps, or a second stream that lags behind the
        first, do not matter.
        """
        if len(self.stamps) < USELESS:
            return -inf
        return sorted(self.stamps)[len(self.stamps) // 4] - spread

    def longest_pause(self, rate: ArrivalRate, lags: LagDistribution) -> float:
        """Seconds between two positions, or two stamps in order, beyond chance."""
        return rate.chance_silence + lags.spread(0.99) + 2 * self.every / max(rate.per_second, 1.0)

    def missing(
        self, since: float, until: float, rate: ArrivalRate, lags: LagDistribution
    ) -> list[tuple[float, float]]:
        """Stretches of which the backlog should have brought events and did not.

        All of it when too few came at all, else every hole among the last stamps that is longer
        than chance and the spread of the lags.
        """
        if not rate.per_second:
            return []
        expected = rate.per_second * (until - self.start)
        if expected >= EXPECTED and self.received < FEWEST * expected:
            return [(self.start, until)]
        longest, spread = self.longest_pause(rate, lags), lags.spread(0.99)
        edges = [since, *sorted(stamp for stamp in self.stamps if since < stamp < until), until]
        return [(a, min(b + spread, until)) for a, b in pairwise(edges) if b - a > longest]
