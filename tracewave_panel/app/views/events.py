"""The newest raw events, as they came."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

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


class EventList(JSComponent):
    """A table whose every cell is set by ``textContent``; only http(s) links become links."""

    heading = param.String()
    columns = param.String(default="[]", doc="JSON of the column names.")
    events = param.String(default="[]", doc="JSON of the rows, newest first.")

    _esm = asset("components/events.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/events.css")]


class Events(Viewer):
    """The last dozen events of a feed: when, where, who, what, how much, and its address."""

    LIMIT = 12

    def __init__(self, feed: Feed, **params: Any) -> None:
        super().__init__(**params)
        measure = feed.measures[0].replace("_", " ") if feed.measures else ""
        columns = ["time", feed.dimensions[0], "who", "title", measure, ""]
        self._rows: tuple[tuple[str, ...], ...] = ()
        self._list = EventList(heading=f"Newest {feed.metrics[0].noun}", columns=msgspec.json.encode(columns).decode())

    def tell(self, events: tuple[Event, ...]) -> None:
        """Put the newest on top; sends nothing when there are none."""
        if events:
            self._rows = (*(_row(event) for event in reversed(events)), *self._rows)[: self.LIMIT]
            self._list.events = msgspec.json.encode(self._rows).decode()

    def __panel__(self) -> EventList:
        return self._list


def _row(event: Event) -> tuple[str, ...]:
    measure = f"{event.measures[0]:+,.0f}".replace("-", MINUS) if event.measures else ""
    return (
        clock(event.time),
        one_line(event.dimensions[0] if event.dimensions else "", 60),
        one_line(event.actor, 60),
        one_line(event.title or event.subject),
        measure,
        web_address(event.link),
    )
