"""How often somebody may do something."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Rate"]


class Rate:
    """Allows each of many a burst at first, and then so many a second.

    What is remembered is bounded: beyond `most` who asked last stays.

    Parameters
    ----------
    burst
        How many are allowed at once.
    each
        Seconds until one more is.
    most
        How many are remembered.
    clock
        Seconds that only go on.

    Examples
    --------
    >>> now = 0.0
    >>> rate = Rate(burst=2, each=10.0, clock=lambda: now)
    >>> [rate.wait("ada"), rate.wait("ada"), rate.wait("ada"), rate.wait("bob")]
    [0.0, 0.0, 10.0, 0.0]
    >>> now = 10.0
    >>> rate.wait("ada")
    0.0
    """

    def __init__(
        self, *, burst: int, each: float, most: int = 4096, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._each, self._most, self._clock = burst, each, most, clock
        self._full: OrderedDict[str, float] = OrderedDict()  # when each has the whole burst again

    def wait(self, who: str) -> float:
        """Seconds to wait; 0: go on, and it is counted."""
        now = self._clock()
        full = max(self._full.get(who, now), now) + self._each
        over = full - now - self._burst * self._each
        if over > 1e-9:
            return over
        self._full[who] = full
        self._full.move_to_end(who)
        while len(self._full) > self._most:
            self._full.popitem(last=False)
        return 0.0

    def forgive(self, who: str) -> None:
        """Forget what was counted."""
        self._full.pop(who, None)
