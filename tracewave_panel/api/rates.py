"""How soon an address may ask again after a wrong token. No clock of its own."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["WrongTokens"]

_MOST = 10_000  # addresses remembered: those that came last


@dataclass
class _Tries:
    wrong: int = 0
    until: float = 0.0
    known: set[str] = field(default_factory=set)


class WrongTokens:
    """Makes an address that presents wrong tokens wait twice as long each time.

    Meanwhile only tokens that were right from there before are let through, so that a neighbour
    behind the same address is not locked out, and a guess that happens to be right tells nothing.

    Parameters
    ----------
    clock
        Monotonic seconds.
    free
        Wrong tokens that cost nothing.
    longest
        The longest wait, in seconds.
    """

    FORGOTTEN = 600.0
    """Seconds without a wrong token after which all is forgiven."""

    def __init__(self, *, clock: Callable[[], float], free: int = 5, longest: float = 60.0) -> None:
        self._clock, self._free, self._longest = clock, free, longest
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def wait(self, address: str, holder: str | None) -> int:
        """Seconds to wait for whoever presents a token from there; `holder` is its name, if it is right."""
        tries = self._tries.get(address)
        now = self._clock()
        if tries is None or now >= tries.until or holder in tries.known:
            return 0
        return max(1, math.ceil(tries.until - now))

    def right(self, address: str, holder: str) -> None:
        """Remember that this token is at home there."""
        tries = self._of(address)
        if len(tries.known) < 100:
            tries.known.add(holder)

    def wrong(self, address: str) -> None:
        """Count a wrong token."""
        tries, now = self._of(address), self._clock()
        if now - tries.until > self.FORGOTTEN:
            tries.wrong = 0
        tries.wrong += 1
        over = tries.wrong - self._free
        tries.until = now + (min(self._longest, 2.0**over / 2) if over > 0 else 0.0)

    def _of(self, address: str) -> _Tries:
        tries = self._tries.pop(address, None) or _Tries(until=self._clock())
        self._tries[address] = tries
        if len(self._tries) > _MOST:
            self._tries.popitem(last=False)
        return tries
