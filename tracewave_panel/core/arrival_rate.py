"""How many events a second a feed brings, and how long a silence can still be chance."""

from __future__ import annotations

from math import inf

import msgspec

__all__ = ["ArrivalRate"]

CHANCE = 14.0  # expected events missing: probability exp(-14), about one in a million, on a Poisson feed
MEMORY = 120.0  # seconds
MEMORY_EVENTS = 50  # a slow feed remembers longer
FIRST_EVENTS = 20
SHORTEST = 10.0  # seconds between two estimates


class ArrivalRate(msgspec.Struct):
    """A running mean of events a second.

    Events are counted whenever they come and taken in only when nothing is outstanding, so that a
    backlog balances the silence before it.

    Attributes
    ----------
    per_second
        The estimate; 0 while unknown.
    events, since
        What was counted since when; -inf while a stretch with missing events lies in between.
    age
        Seconds the estimate rests on.

    Examples
    --------
    >>> rate = ArrivalRate()
    >>> rate.learn(0.0)
    >>> rate.events += 50
    >>> rate.learn(10.0)
    >>> rate.per_second, rate.chance_silence
    (5.0, 2.8)
    """

    per_second: float = 0.0
    events: int = 0
    since: float = -inf
    age: float = 0.0

    @property
    def chance_silence(self) -> float:
        """Seconds of silence beyond chance; infinite while the rate is unknown."""
        return max(0.5, CHANCE / self.per_second) if self.per_second else inf

    @property
    def usual_silence(self) -> float:
        """Seconds of silence that need no second look: at most four events are missing."""
        return min(max(0.5, 4.0 / self.per_second), 2.0) if self.per_second else 0.5

    def learn(self, now: float) -> None:
        """Take in what was counted before `now`."""
        if self.since == -inf:
            self.since, self.events = now, 0
            return
        elapsed = now - self.since
        if elapsed < SHORTEST or (not self.per_second and self.events < FIRST_EVENTS):
            return
        memory = max(MEMORY, MEMORY_EVENTS / self.per_second) if self.per_second else MEMORY
        self.age = min(self.age + elapsed, memory)
        self.per_second += (self.events / elapsed - self.per_second) * min(1.0, elapsed / self.age)
        self.since, self.events = now, 0

    def forget(self) -> None:
        """Leave out the time up to the next `learn`: events of it are missing."""
        self.since = -inf
