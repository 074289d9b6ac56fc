"""Raw events: the newest as they come, or those of a brushed range."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.event_rows import event_row
from tracewave_panel.app.theme import asset
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Event

__all__ = ["Events"]

ALL_BUT = 0.99  # a late event belongs to another window than its time says: counts differ by a few
WORDS = {"wikimedia": ("wiki", "editor", "title", "bytes", "diff")}


class EventList(JSComponent):
    """A table whose every cell is set by ``textContent``; only http(s) links become links."""

    heading = param.String()
    columns = param.String(default="[]", doc="JSON of the column names; the last one names the links.")
    events = param.String(default="[]", doc="JSON of the newest rows at first, newest first; frames bring the later.")
    brushed = param.String(default="", doc="JSON of count, words and rows of the brushed range; empty without one.")

    _esm = asset("components/events.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/events.css")]


class Events(Viewer):
    """A dozen events of a feed: when, where, who, what, how much, and its address.

    Parameters
    ----------
    feed
        Names the columns.
    newest
        Rows to begin with, newest first.
    """

    LIMIT = 12

    def __init__(self, feed: Feed, newest: Sequence[Sequence[str]] = (), **params: Any) -> None:
        super().__init__(**params)
        measure = feed.measures[0].replace("_", " ") if feed.measures else ""
        words = WORDS.get(feed.name, (feed.dimensions[0] if feed.dimensions else "", "who", "title", measure, "open"))
        self._feed = feed
        self._list = EventList(
            heading=f"Raw {feed.metrics[0].noun}", columns=_json(("time", *words)), events=_json(newest)
        )

    def show_range(self, events: Sequence[Event] | None, total: int | None = None) -> None:
        """Show the newest events of a range instead, until called with None.

        Parameters
        ----------
        events
            Those of the range that are still held, in any order.
        total
            How many there were, as the windows counted them; None when that is not known.
        """
        if events is None:
            self._list.brushed = ""
            return
        held = len(events)
        gone = total is not None and held < ALL_BUT * total
        count = f"{held:,} of {total:,} still held" if gone else f"{held:,}"
        newest = heapq.nlargest(self.LIMIT, events, key=lambda event: event.time)
        rows = [event_row(self._feed, event) for event in newest]
        self._list.brushed = _json({"count": count, "gone": gone, "events": rows})

    def __panel__(self) -> EventList:
        return self._list


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
