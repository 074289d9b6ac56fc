"""How long after it happened an event of this feed arrives: an empirical distribution, drawn from under conditions."""

from __future__ import annotations

from bisect import bisect_right
from math import exp, inf, log
from statistics import NormalDist

import msgspec

__all__ = ["LagDistribution"]

SAMPLES = 1024
REFRESH = 100  # new samples between two sortings; also how many make a feed known
UNDISTURBED = 2.0  # seconds after a fault in which no lag is learned
LATE_RUN = 12  # lags in a row above the 90th percentile: the server stalled behind a living connection
GOLDEN = 0.6180339887498949  # multiples of it, less their whole part, fill [0, 1) evenly: a sequence in place of chance
NOTHING = 1e-6  # knots: so little between two lags says nothing about where in between


def _default_knots() -> list[float]:
    """Log-normal quantiles with median 1 s and 99th percentile 11 s, what busy public feeds show."""
    normal = NormalDist(0.0, log(11.0) / NormalDist().inv_cdf(0.99))
    return [exp(normal.inv_cdf((index + 0.5) / 257)) for index in range(257)]


class LagDistribution(msgspec.Struct):
    """The last lags of a feed, in seconds; a default until enough are known.

    Attributes
    ----------
    samples
        A ring of the newest lags; `oldest` is the next to be replaced.
    knots
        Sorted lags, equally probable steps of the distribution function, linear in between.
    fresh
        Samples that `knots` do not show yet.
    undisturbed_from
        Moment from which lags are the usual ones again.
    late_run
        Long lags in a row, by which a stall is noticed.
    turn
        Arrivals drawn so far.

    Examples
    --------
    >>> lags = LagDistribution()
    >>> round(lags.quantile(0.5), 3), round(lags.quantile(0.99), 1)
    (1.0, 10.3)
    >>> 4.0 < lags.draw(0.3, 4.0, 5.0) < 5.0
    True
    """

    samples: list[float] = []
    oldest: int = 0
    fresh: int = 0
    knots: list[float] = msgspec.field(default_factory=_default_knots)
    undisturbed_from: float = -inf
    late_run: int = 0
    turn: int = 0

    @property
    def known(self) -> bool:
        """Whether the distribution is the feed's own."""
        return len(self.samples) > self.fresh

    def learn(self, lag: float) -> None:
        """Take in the lag of one event that came undisturbed."""
        if len(self.samples) < SAMPLES:
            self.samples.append(lag)
        else:
            self.samples[self.oldest] = lag
            self.oldest = (self.oldest + 1) % SAMPLES
        self.fresh += 1
        if self.fresh == REFRESH:
            self.knots = sorted(self.samples)
            self.fresh = 0

    def stalled(self, lag: float) -> bool:
        """Count long lags in a row; say whether they are too many for chance."""
        self.late_run = self.late_run + 1 if lag > self.quantile(0.9) + 0.1 else 0
        return self.late_run >= LATE_RUN and self.known

    def disturbed_until(self, now: float) -> None:
        """Note the end of a fault."""
        self.undisturbed_from = now + UNDISTURBED
        self.late_run = 0

    def relearn(self, lags: list[float]) -> None:
        """Forget the past: the feed's lag has changed to these (at least two)."""
        self.samples = list(lags)
        self.oldest = self.fresh = 0
        self.knots = sorted(lags)

    def quantile(self, share: float) -> float:
        """Lag that a share of the events does not exceed."""
        return self._lag_at(share * (len(self.knots) - 1))

    def spread(self, share: float) -> float:
        """How far a quantile lies above the median."""
        return self.quantile(share) - self.quantile(0.5)

    def arrival(self, stamp: float, floor: float, now: float) -> float:
        """Time at which the next event that occurred at `stamp` arrived, when that was in ``[floor, now]``."""
        self.turn += 1
        time = round(stamp + self.draw(self.turn * GOLDEN % 1.0, floor - stamp, now - stamp), 6)
        return floor if time < floor else min(time, now)

    def draw(self, share: float, low: float, high: float) -> float:
        """Quantile `share` of the lags between `low` and `high`; the nearest end where none lies there."""
        below = self._place(low)
        within = self._place(high) - below
        if within < NOTHING:
            return min(max(self.quantile(0.5), low), high)
        return self._lag_at(below + share * within)

    def _lag_at(self, place: float) -> float:
        index = min(int(place), len(self.knots) - 2)
        low = self.knots[index]
        return low + (place - index) * (self.knots[index + 1] - low)

    def _place(self, lag: float) -> float:
        """Rank of a lag among the knots, with a fraction."""
        knots = self.knots
        index = bisect_right(knots, lag)
        if not index:
            return 0.0
        if index == len(knots):
            return index - 1.0
        low = knots[index - 1]
        return index - 1 + (lag - low) / (knots[index] - low)
