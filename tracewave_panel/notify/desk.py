"""Turns tellings into notices: asks each route's rule, draws the picture once, and fills the outbox."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Mute
from tracewave_panel.notify.deciding import Known, Rule
from tracewave_panel.notify.delivery import Delivery, Tally
from tracewave_panel.notify.notice import HELD, Links, Standing, Telling, make_notice
from tracewave_panel.notify.outbox import Outbox
from tracewave_panel.notify.picture import draw_pulse
from tracewave_panel.notify.pulse import Point

__all__ = ["Desk", "Lane"]

logger = logging.getLogger(__name__)


class Lane(NamedTuple):
    """A route at work: its rule, its figures, what sends for it, and whether that shows pictures."""

    rule: Rule
    tally: Tally
    delivery: Delivery
    pictures: bool


class Desk:
    """Belongs to one thread.

    Raises
    ------
    StoreError
        By every method, when the outbox cannot be read or written; the same call may be made again.
    """

    def __init__(
        self, lanes: Sequence[Lane], outbox: Outbox, feed: Feed, links: Links, clock: Callable[[], float]
    ) -> None:
        self._lanes, self._outbox, self._feed, self._links, self._clock = lanes, outbox, feed, links, clock
        self._units = {metric.name: metric.unit for metric in feed.metrics}

    def handle(self, telling: Telling, points: Sequence[Point], mutes: Sequence[Mute], *, again: bool = False) -> None:
        """Decide on a telling for every route."""
        now, picture = self._clock(), None
        anomaly, origin = telling
        for lane in self._lanes:
            route = lane.rule.route
            if origin not in route.origins:
                continue
            standing = self._outbox.standing(anomaly.id, telling.phase, route.name)
            opening = None if telling.phase == "opened" else self._outbox.standing(anomaly.id, "opened", route.name)
            known = Known(standing, opening, self._outbox.recent(route.name, now), again)
            decided = lane.rule.decide(telling, known, mutes, now)
            if decided is None:
                continue
            if decided is not Standing.WAITING:
                self._outbox.hold(anomaly.id, telling.phase, route.name, decided, now)
                lane.tally.add(held=int(standing not in HELD))
                continue
            if lane.pictures and picture is None:
                picture = self._picture(telling, points)
            shown = picture or b"" if lane.pictures else b""
            held = self._outbox.held(route.name, anomaly.id)
            self._outbox.put(
                make_notice(telling, route.name, self._feed, self._links, held=held, picture=shown, now=now)
            )
            lane.tally.add(waiting=1)
            lane.delivery.wake()
        if not again:  # the last: a telling that is handled once more has to find it as it was
            self._outbox.remember_episode(telling, now)

    def look_again(self, points: Callable[[str, str], Sequence[Point]], mutes: Sequence[Mute]) -> None:
        """Decide once more on open episodes of which a snooze or the hours held a notice back."""
        for telling in self._outbox.held_episodes():
            anomaly = telling.anomaly
            self.handle(telling, points(anomaly.series, anomaly.metric), mutes, again=True)

    def _picture(self, telling: Telling, points: Sequence[Point]) -> bytes:
        anomaly, origin = telling
        try:
            return draw_pulse(anomaly, points, origin, self._units.get(anomaly.metric, ""))
        except (OSError, ValueError, ArithmeticError):  # a notice without a picture is better than none
            logger.exception("no picture could be drawn for notices of %s", anomaly.id)
            return b""
