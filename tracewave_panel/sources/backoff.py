"""How long to wait before trying again: exponential back-off with full jitter.

After "Exponential Backoff And Jitter" (Marc Brooker, AWS Architecture Blog, 2015): the wait is
uniform between nothing and a ceiling that doubles with each failure, so that clients which were cut
off together do not come back together.
"""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random

__all__ = ["Backoff", "parse_retry_after"]


class Backoff:
    """Waits that grow with each failure in a row.

    Parameters
    ----------
    base
        Ceiling of the first wait, in seconds.
    cap
        Ceiling that is never passed, in seconds.
    longest_request
        Most seconds that a server's ``Retry-After`` can ask for; a wrong date must not end a feed.

    Examples
    --------
    >>> backoff = Backoff(random=Random(1), base=1.0, cap=60.0)
    >>> [round(backoff.next_wait(), 2) for _ in range(4)]
    [0.13, 1.69, 3.06, 2.04]
    """

    def __init__(
        self, *, random: Random, base: float = 0.5, cap: float = 60.0, longest_request: float = 3600.0
    ) -> None:
        self._random = random
        self._first_ceiling = min(base, cap)
        self._cap = cap
        self._longest_request = longest_request
        self._ceiling = self._first_ceiling

    def next_wait(self, retry_after: float | None = None) -> float:
        """Seconds to wait after one more failure, on top of what the server asked for."""
        jitter = self._random.uniform(0.0, self._ceiling)
        self._ceiling = min(self._cap, self._ceiling * 2)
        return min(retry_after or 0.0, self._longest_request) + jitter

    def reset(self) -> None:
        """Start anew after a healthy connection."""
        self._ceiling = self._first_ceiling


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds that a ``Retry-After`` header asks to wait: it is a number of seconds or an HTTP date.

    None when it is neither.

    Examples
    --------
    >>> parse_retry_after("120", now=0.0), parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=15.0)
    (120.0, 45.0)
    """
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
