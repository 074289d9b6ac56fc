"""Raw events: the newest as they come, or those of a brushed range."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.theme import asset
from tracewave_panel.app.wording import MINUS, clock, one_line, web_address
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Event

__all__ = ["Events"]

EVERY = 1.0  # seconds between two messages of new events, at least
ALL_BUT = 0.99  # a late event belongs to another window than its time says: counts differ by a few
WORDS = {"wikimedia": ("wiki", "editor", "title", "bytes", "diff")}
WIKI = re.compile(r"(\w[\w-]*)\.(wik\w+)\.org")


class EventList(JSComponent):
    """A table whose every cell is set by ``textContent``; only http(s) links become links."""

    heading = param.String()
    columns = param.String(default="[]", doc="JSON of the column names; the last one names the links.")
    brushed = param.String(default="", doc="JSON of count and words of the brushed range; empty without one.")
    events = param.String(default="[]", doc="JSON of the rows, newest first.")

    _esm = asset("components/events.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/events.css")]


class Events(Viewer):
    """A dozen events of a feed: when, where, who, what, how much, and its address.

    Parameters
    ----------
    feed
        Names the columns.
    clock
        Monotonic seconds, for how often new events are sent.
    """

    LIMIT = 12

    def __init__(self, feed: Feed, clock: Callable[[], float] = time.monotonic, **params: Any) -> None:
        super().__init__(**params)
        measure = feed.measures[0].replace("_", " ") if feed.measures else ""
        words = WORDS.get(feed.name, (feed.dimensions[0] if feed.dimensions else "", "who", "title", measure, "open"))
        self._signed = feed.metrics[0].noun == "edits"
        self._clock = clock
        self._sent = float("-inf")
        self._newest: tuple[Event, ...] = ()
        self._brushed = False
        self._list = EventList(
            heading=f"Raw {feed.metrics[0].noun}", columns=msgspec.json.encode(("time", *words)).decode()
        )

    def tell(self, events: Sequence[Event]) -> None:
        """Take in new events, oldest first, and send the newest at most once a second.

        Call it with nothing new too: what was held back is sent then. While a range is shown,
        new events wait.
        """
        if events:
            known = {event.id: event for event in (*self._newest, *events[-self.LIMIT :])}
            self._newest = tuple(known.values())[-self.LIMIT :]
        now = self._clock()
        if not self._brushed and now - self._sent >= EVERY:
            self._send(self._newest, now)

    def show_range(self, events: Sequence[Event] | None, total: int | None = None) -> None:
        """Show the newest events of a range instead, until called with None.

        Parameters
        ----------
        events
            Those of the range that are still held, in any order.
        total
            How many there were, as the windows counted them; None when that is not known.
        """
        self._brushed = events is not None
        if events is None:
            self._list.brushed = ""
            self._send(self._newest, self._clock())
            return
        held = len(events)
        gone = total is not None and held < ALL_BUT * total
        count = f"{held:,} of {total:,} still held" if gone else f"{held:,}"
        self._list.brushed = msgspec.json.encode({"count": count, "gone": gone}).decode()
        newest = heapq.nlargest(self.LIMIT, events, key=lambda event: event.time)
        self._send(newest[::-1], self._clock())

    def _send(self, events: Sequence[Event], now: float) -> None:
        rows = msgspec.json.encode([self._row(event) for event in reversed(events)]).decode()
        if rows != self._list.events:
            self._sent = now
            self._list.events = rows

    def _row(self, event: Event) -> tuple[str, ...]:
        amount = ""
        if event.measures:
            amount = f"{event.measures[0]:{'+' if self._signed else ''},.0f}".replace("-", MINUS)
        place = event.dimensions[0] if event.dimensions else ""
        return (
            clock(event.time),
            one_line(_short(place), 60),
            one_line(event.actor, 60),
            one_line(event.title or event.subject),
            amount,
            web_address(event.link),
        )

    def __panel__(self) -> EventList:
        return self._list


def _short(place: str) -> str:
    """Short name of a wiki; any other place as it is."""
    host = WIKI.fullmatch(place)
    if not host:
        return place
    name, project = host.groups()
    if project == "wikimedia":
        return name
    return project if name == "www" else name + project.replace("wikipedia", "wiki")
