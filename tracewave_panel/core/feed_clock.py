"""When did an event happen, and when may a window be judged? A clock that survives disconnects and stalls.

Invariants:

- An event counts at a time in ``[floor, now]``. In settled live status both ends are `now`.
- The watermark never goes back, never passes `now`, and passes `floor` only over a stretch told as ``gap``.
- Silence moves nothing: the watermark moves to a moment that an event or a proof of life confirms.

Events that come after a silence or a disconnect may have waited in a queue: each would have arrived between
`floor` (the last arrival before) and now. So its lag is drawn from the feed's own lags under that condition,
and the counts follow those of undisturbed arrivals, up to both seams.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import inf

import msgspec

from tracewave_panel.core.arrival_rate import ArrivalRate
from tracewave_panel.core.backlog import Backlog
from tracewave_panel.core.lag_distribution import LagDistribution
from tracewave_panel.core.settling import Settling
from tracewave_panel.core.telling import Telling
from tracewave_panel.model import Mark, Quality, Status

__all__ = ["FeedClock", "FeedClockState"]

OLDEST, NEWEST = 30 * 86_400.0, 3_600.0  # a stamp further behind or ahead of now says nothing
CERTAIN = 4.0  # times the silence beyond chance: a fault even if the rate fell to a quarter
STOPPED = 5.0  # seconds without a tick: the process was suspended or restored, which is no silence of the feed
SEAM = 0.5  # seconds on both sides of the switch to counting on arrival
INSTANT = 0.001  # seconds that mark the window they lie in
SAMPLED = 8.0  # lags a second that are learned


class FeedClock(msgspec.Struct, kw_only=True):
    """Turns arrivals, occurrences and connection marks into event times, a watermark and a status.

    Pure: the caller supplies the time, in seconds, UTC. A feed starts in catch-up, since its first
    connection may deliver a backlog, and is live with the first usual lag. `status` is ``live``,
    ``catch_up`` (from the fault until the backlog is used up) or ``gap``.

    Parameters
    ----------
    patience
        Seconds without a sign of life before missing time is told as ``gap``. A slow feed that is
        connected gets at least 14 mean distances between events.

    Examples
    --------
    >>> clock = FeedClock(patience=20.0)
    >>> clock.receive(100.0, [99.5, 99.7])
    [100.0, 100.0]
    >>> clock.watermark, clock.status.value
    (100.0, 'live')
    """

    patience: float = 30.0
    status: Status = Status.CATCH_UP
    _now: float = -inf
    _last: float = -inf  # event or proof of life
    _heard: float = inf  # the same, or the loss of the connection: patience counts from here
    _down: bool = False
    _floor: float = -inf
    _stamp: float = -inf  # of the last queued event with a sensible one
    _until_sample: int = 1
    _settling: Settling | None = None
    _backlog: Backlog | None = msgspec.field(default_factory=Backlog.first)
    _rate: ArrivalRate = msgspec.field(default_factory=ArrivalRate)
    _lags: LagDistribution = msgspec.field(default_factory=LagDistribution)
    _telling: Telling = msgspec.field(default_factory=Telling)

    @property
    def watermark(self) -> float:
        """Nothing earlier is still expected; -inf until something is known."""
        return self._telling.watermark

    @property
    def lag(self) -> float:
        """Median seconds from occurrence to arrival, as learned."""
        return self._lags.quantile(0.5)

    def receive(self, now: float, occurred: Sequence[float]) -> list[float]:
        """Count events that arrived at `now` and occurred at the given times; return ``Event.time`` of each, in order.

        None lies above `now`; one below the watermark belongs to a window told as ``gap``.
        """
        now = self._time_passes(now)
        if len(occurred):
            self._sign_of_life(now)
        if self._all_usual(now, occurred):
            return [now] * len(occurred)
        return [self._time_of(now, stamp) for stamp in occurred]

    def tick(self, now: float) -> None:
        """Let time pass without an event."""
        self._time_passes(now)

    def alive(self, now: float) -> None:
        """Take a proof of life, such as an uncounted event: the silence is a true zero unless queued events follow."""
        now = self._time_passes(now)
        self._sign_of_life(now)
        if self._backlog is not None:
            self._backlog.proven_at = now

    def disconnected(self, now: float) -> None:
        """Note that the connection is lost: what comes next may be a backlog."""
        if now - self._now > STOPPED:
            self._heard = now
        now = self._time_passes(now)
        if not self._down:
            self._down = True
            self._heard = now
            self._expect_backlog().interrupted = True

    def connected(self, now: float, *, resumes: bool) -> None:
        """Note that a connection stands again; with ``resumes=False`` what was missed will not come."""
        now = self._time_passes(now)
        self._down = False
        if resumes or self.watermark == -inf:
            self._expect_backlog().returned(now, interrupted=True)
        else:
            self._go_on_after_gap(now)

    def lost(self, now: float) -> None:
        """Note that events between the last one before `now` and now are missing and will not come."""
        now = self._time_passes(now)
        if self.watermark == -inf:
            return
        if self._backlog is None or self._down or not self._backlog.received:
            self._go_on_after_gap(now)
        else:
            self._telling.mark(self.watermark, min(now, self._stamp + self._lags.quantile(0.99)), Quality.GAP)

    def take_marks(self) -> tuple[Mark, ...]:
        """Marks since the last call. Hand them out no later than the watermark read with them."""
        return self._telling.take()

    def snapshot(self) -> FeedClockState:
        """Copy everything that is needed to go on exactly from here."""
        return FeedClockState(copy.deepcopy(self))

    @classmethod
    def restore(cls, state: FeedClockState) -> FeedClock:
        """Go on from a snapshot. The time since its last arrival is a fault: say `disconnected`, `connected`."""
        return copy.deepcopy(state.clock)

    def _time_passes(self, now: float) -> float:
        """Guard the clock, end what ends by itself, and lose patience."""
        rounded = round(now, 6)
        if rounded > now:
            rounded = round(rounded - 1e-6, 6)
        now = self._now = max(self._now, rounded)
        if self._settling and self._settling.over(now):
            self._settling = None
            self._confirm(self._last)
        if self._backlog and not self._down and self._backlog.proven_empty(now):
            self._caught_up(self._last)
        if self._settled and now - self._last > CERTAIN * self._rate.chance_silence:
            self._expect_backlog()
        slow = self._rate.chance_silence if self._rate.per_second and not self._down else 0.0
        if now - self._heard > max(self.patience, slow):
            self._tell_gap(now)
        return now

    @property
    def _settled(self) -> bool:
        return self._backlog is None and self._settling is None

    def _tell_gap(self, now: float) -> None:
        """Give up waiting, until the feed comes back."""
        if self.watermark == -inf:
            self._telling.confirm(self._last)
        if self.watermark > -inf:
            self._expect_backlog().last_at = inf
            self.status = Status.GAP
            self._rate.forget()
            self._telling.gap(now)

    def _sign_of_life(self, now: float) -> None:
        """Judge the silence that an event or a proof of life ends."""
        self._down = False
        silence = now - self._last
        if silence == 0:
            return
        self._last = self._heard = now
        if self._backlog is not None:
            self.status = Status.CATCH_UP
            if self._backlog.last_at == inf or silence > self._rate.usual_silence:
                self._backlog.returned(now)
        elif self._settling is None:
            self._rate.learn(now)
            if silence > self._rate.usual_silence:
                self._settling = Settling(now, silence)
            else:
                self._confirm(now)

    def _all_usual(self, now: float, occurred: Sequence[float]) -> bool:
        """Whether every one counts on arrival and none is looked at; if so, they are taken."""
        count = len(occurred)
        if not count or not self._settled or count >= self._until_sample:
            return False
        if now - max(occurred) <= -NEWEST or now - min(occurred) >= OLDEST:
            return False
        self._rate.events += count
        self._until_sample -= count
        return True

    def _time_of(self, now: float, stamp: float) -> float:
        """Time at which one event counts; learn from it."""
        self._rate.events += 1
        sensible = -NEWEST < now - stamp < OLDEST
        if self._backlog is None and self._settling is None:
            self._until_sample -= sensible
            if not self._until_sample:
                self._until_sample = max(1, int(self._rate.per_second / SAMPLED))
                self._look_at_lag(now, now - stamp)
            return now
        if sensible:
            self._stamp = stamp
        if self._backlog is not None:
            self._take_queued(self._backlog, now, stamp, sensible)
        elif self._settling is not None and sensible:
            if self._settling.waited(now, self._rate.chance_silence):
                self._expect_backlog().returned(now)
            else:
                self._look_at_lag(now, now - stamp)
        waited = self._stamp > -inf and not self._settled
        return self._lags.arrival(self._stamp, self._floor, now) if waited else now

    def _take_queued(self, backlog: Backlog, now: float, stamp: float, sensible: bool) -> None:
        if backlog.take(now, stamp, sensible=sensible):
            self._follow(backlog, now)
        if backlog.drained:
            self._caught_up(now)
        elif backlog.stuck(now):
            if not backlog.hits:
                self._lags.relearn(backlog.lags)
            self._caught_up(now)

    def _look_at_lag(self, now: float, lag: float) -> None:
        """Learn a lag, unless it tells of a stall that no silence announced."""
        if self._lags.stalled(lag):
            self._expect_backlog().returned(now)
        elif self._settling is None and now >= self._lags.undisturbed_from:
            self._lags.learn(lag)

    def _expect_backlog(self) -> Backlog:
        """Start to catch up from the last confirmed moment, if that has not begun."""
        if self._backlog is None:
            received = self._settling.events if self._settling else 0
            self._backlog = Backlog.after(self._floor, self._rate, self._lags, received)
            self._settling = None
            self.status = Status.CATCH_UP
            self._telling.partial_until = self._floor + INSTANT
        return self._backlog

    def _follow(self, backlog: Backlog, now: float) -> None:
        """Raise floor and watermark to where the backlog has come."""
        position = min(round(backlog.position(self._lags.spread(0.95)), 6), now)
        if position <= self._floor:
            return
        if self._floor == -inf:
            self._telling.confirm(position)
            self._telling.partial_until = position + self._lags.quantile(0.99)
        elif position - self._floor > backlog.longest_pause(self._rate, self._lags):
            self._telling.mark(self._floor, position + self._lags.spread(0.99), Quality.GAP)
        self._floor = position
        self._telling.fill(position)

    def _caught_up(self, now: float) -> None:
        """Count on arrival again."""
        backlog = self._expect_backlog()
        first = self.watermark == -inf
        if first or backlog.received or backlog.interrupted:
            self._telling.mark(now - SEAM, now + SEAM, Quality.PARTIAL)
            if not first:
                for start, end in backlog.missing(self._floor, now, self._rate, self._lags):
                    self._telling.mark(start, end, Quality.GAP)
                    self._rate.forget()
                self._telling.fill(now)
        self._live(now)

    def _go_on_after_gap(self, now: float) -> None:
        """Tell everything up to `now` as gap; what comes next counts on arrival."""
        self._telling.gap(now)
        self._rate.forget()
        self._live(now)

    def _live(self, now: float) -> None:
        self.status = Status.LIVE
        self._backlog = self._settling = None
        self._last = self._heard = now
        self._confirm(now)
        self._lags.disturbed_until(now)
        if self._rate.since == -inf:
            self._rate.learn(now)

    def _confirm(self, now: float) -> None:
        """Let every event up to a moment have come."""
        self._floor = now
        self._telling.confirm(now)


class FeedClockState(msgspec.Struct, frozen=True):
    """A FeedClock at one moment, shared with no other: what a State keeps of it."""

    clock: FeedClock
