"""A clock for data without arrival times: files, frames, benchmark rows.

Invariants
----------
- The watermark never goes back. It is the largest believed stamp less the allowed lateness.
- Every stamp gets one time, in the order in which they came; however they are cut into calls, the times are the same.
- No single stamp, however wrong, moves the watermark: a jump ahead is believed when the next three agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

__all__ = ["EventClock", "EventClockState"]

_WITNESSES = 3


class EventClockState(msgspec.Struct, frozen=True):
    """All that an :class:`EventClock` holds between two calls."""

    latest: float | None
    held: tuple[float, ...]


class EventClock:
    """Turn stamps, in file order, into times and a watermark.

    While a jump is in doubt, the stamp in question and those behind it are held back, three at most: a call may return
    fewer or more times than it was given stamps. Times come in the order of the stamps, so a caller keeps its events in
    a queue and takes one from it for each time. :meth:`finish` returns what is left.

    A jump that is not believed counts at the position that the data had reached. A stamp that lies behind keeps its
    own time; whoever folds it calls it late.

    Parameters
    ----------
    lateness
        Seconds by which a stamp may lie behind the largest one and still be in time.
    jump
        Seconds ahead from which a stamp must be confirmed.

    Examples
    --------
    >>> clock = EventClock(lateness=10.0)
    >>> clock.receive([100.0, 101.0, 99.0, 9e9, 102.0])
    [100.0, 101.0, 99.0, 101.0, 102.0]
    >>> clock.watermark
    92.0
    """

    def __init__(self, lateness: float = 10.0, jump: float = 3600.0) -> None:
        self._lateness = lateness
        self._jump = jump
        self._latest: float | None = None
        self._held: tuple[float, ...] = ()

    @property
    def latest(self) -> float:
        """Largest believed stamp, seconds; minus infinity before the first."""
        return -math.inf if self._latest is None else self._latest

    @property
    def watermark(self) -> float:
        """Nothing earlier is still expected, seconds; minus infinity before the first believed stamp."""
        return self.latest - self._lateness

    def receive(self, stamps: Sequence[float]) -> list[float]:
        """Take in the next stamps (finite seconds); return the times that are settled by now."""
        return self._settle((*self._held, *stamps), ended=False)

    def finish(self) -> list[float]:
        """Return the times of what is still held, when no more stamps come."""
        return self._settle(self._held, ended=True)

    def snapshot(self) -> EventClockState:
        """Return all that :meth:`restore` needs to go on from here."""
        return EventClockState(self._latest, self._held)

    def restore(self, state: EventClockState) -> None:
        """Go on from a snapshot taken with the same settings."""
        self._latest, self._held = state.latest, state.held

    def _settle(self, stamps: tuple[float, ...], *, ended: bool) -> list[float]:
        times: list[float] = []
        for at, stamp in enumerate(stamps):
            if self._latest is None or stamp > self._latest + self._jump:
                believed = self._believed(stamp, stamps[at + 1 : at + 1 + _WITNESSES])
                if believed is None and not ended:
                    self._held = stamps[at:]
                    return times
                if self._latest is None:
                    self._latest = stamp if believed is not False else stamps[at + 1]
                elif believed:
                    self._latest = stamp
                times.append(self._latest)
            else:
                self._latest = max(self._latest, stamp)
                times.append(stamp)
        self._held = ()
        return times

    def _believed(self, stamp: float, following: tuple[float, ...]) -> bool | None:
        """Ask the stamps that follow; None while they are too few to say."""
        if self._latest is not None and any(other < stamp - self._jump for other in following):
            return False
        if len(following) < _WITNESSES:
            return None
        if self._latest is not None:
            return True
        # the very first stamp is the odd one when the others agree without it
        nearest, farthest = min(following), max(following)
        agree = farthest - nearest <= self._jump
        return not agree or nearest - self._jump <= stamp <= farthest + self._jump
