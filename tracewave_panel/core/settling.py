"""The moment after a silence that may have been chance, or a short stall whose few queued events now come."""

from __future__ import annotations

import msgspec

__all__ = ["SETTLING", "Settling"]

SETTLING = 1.0  # seconds in which a short stall's queue has come
QUICK, QUICKLY = 6, 8.0  # so many events within one 8th of the silence before them: they had waited


class Settling(msgspec.Struct):
    """When a silence ended, how many seconds it was long, and how many events came since."""

    since: float
    silence: float
    events: int = 0

    def over(self, now: float) -> bool:
        """Whether a queue would have come by now."""
        return now - self.since >= min(SETTLING, self.silence)

    def waited(self, now: float, chance_silence: float) -> bool:
        """Count one more event; say whether with it the silence turns out to have been a stall.

        At any steady rate, six events within an eighth of the silence before them have a
        probability under ``(1 / 8) ** 5``.
        """
        self.events += 1
        quick = now - self.since <= self.silence / QUICKLY
        return quick and self.events == QUICK and self.silence > chance_silence
