"""What is to become of one telling on one route: a pure rule over what is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tracewave_panel.model import Mute
from tracewave_panel.notify.hours import Hours
from tracewave_panel.notify.notice import Standing, Telling
from tracewave_panel.notify.routes import RouteSettings

__all__ = ["Known", "Rule", "silencing"]

_MAY_CHANGE = frozenset({None, Standing.MUTED, Standing.SNOOZED, Standing.HOURS})
_MAY_RETURN = frozenset({Standing.SNOOZED, Standing.HOURS})
_ON_ITS_WAY = frozenset({Standing.WAITING, Standing.SENT})


class Known(NamedTuple):
    """What the outbox knows when a telling comes.

    Attributes
    ----------
    standing, opening
        What became of this notice so far, and of that of the opening.
    recent
        Notices that the route took in the last hour.
    again
        Whether nothing new is told: a snooze ended, or hours may have begun.
    """

    standing: Standing | None
    opening: Standing | None
    recent: int
    again: bool = False


class Rule:
    """Decides for one route.

    Examples
    --------
    >>> rule = Rule(RouteSettings("ops", url="json://example.org"))
    >>> rule.route.name
    'ops'
    """

    def __init__(self, route: RouteSettings) -> None:
        self.route = route
        self._hours = Hours(route.hours, route.days, route.zone)

    def decide(self, telling: Telling, known: Known, mutes: Iterable[Mute], now: float) -> Standing | None:
        """``waiting`` to have it sent, the reason for which it is held back, or None to let it be."""
        route = self.route
        if telling.phase == "opened":
            if known.standing not in (_MAY_RETURN if known.again else _MAY_CHANGE) or not route.matches(*telling):
                return None
        elif known.standing is not None or not route.closing or known.opening not in _ON_ITS_WAY:
            return None
        decided = silencing(telling, mutes, now)
        if decided is None and not self._hours.hold(now):
            decided = Standing.HOURS
        if decided is None:
            decided = Standing.LIMIT if known.recent >= route.limit else Standing.WAITING
        return None if decided is known.standing else decided


def silencing(telling: Telling, mutes: Iterable[Mute], now: float) -> Standing | None:
    """Whether mutes hold notices of an episode back; a snooze is a mute of that episode alone."""
    found = [mute for mute in mutes if mute.silences(telling.anomaly, now)]
    if not found:
        return None
    return Standing.SNOOZED if any(mute.anomaly_id for mute in found) else Standing.MUTED
