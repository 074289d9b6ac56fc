"""Hours of the day and days of the week, in the time of a place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["DAYS", "Hours"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d|24:00)")


class Hours:
    """When something is wanted.

    Parameters
    ----------
    hours
        Such as ``08:00-18:00``; an end before the start lies on the next day; empty: all day.
    days
        Days of the week on which those hours begin; empty: every day.
    zone
        Name of a time zone, such as ``Europe/Lisbon``.

    Raises
    ------
    ValueError
        When one of them cannot be read.

    Examples
    --------
    >>> night = Hours("22:00-06:00", ("fri",), "UTC")
    >>> saturday_at_five = 1_700_283_600.0
    >>> night.hold(saturday_at_five), night.hold(saturday_at_five + 3600)
    (True, False)
    """

    def __init__(self, hours: str = "", days: Sequence[str] = (), zone: str = "UTC") -> None:
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"zone: no time zone is called {zone!r}; write it as Europe/Lisbon or UTC") from error
        for day in days:
            if day not in DAYS:
                raise ValueError(f"days: no day is called {day!r}; there are {', '.join(DAYS)}")
        self._days = frozenset(DAYS.index(day) for day in days) or frozenset(range(7))
        self._start, self._end = _minutes(hours)

    def hold(self, now: float) -> bool:
        """Whether the moment `now` (seconds since the epoch) lies within."""
        local = datetime.fromtimestamp(now, UTC).astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        if self._start < self._end:
            return self._start <= minute < self._end and local.weekday() in self._days
        if minute >= self._start:
            return local.weekday() in self._days
        return minute < self._end and (local - timedelta(days=1)).weekday() in self._days


def _minutes(hours: str) -> tuple[int, int]:
    if not hours:
        return 0, _DAY
    found = _FORM.fullmatch(hours)
    if not found:
        raise ValueError(f"hours: {hours!r} is not a stretch of a day; write it as 08:00-18:00")
    start = int(found[1]) * 60 + int(found[2])
    hour, minute = found[3].split(":")
    end = int(hour) * 60 + int(minute)
    if start == end:
        raise ValueError("hours: start and end are the same; leave hours out for the whole day")
    return start, end
