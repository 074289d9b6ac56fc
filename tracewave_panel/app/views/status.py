"""The header's line: how fast, how much is open, and an honest word on the connection."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.header import Header
from tracewave_panel.app.theme import asset
from tracewave_panel.feeds import Feed

__all__ = ["Status"]


class StatusLine(JSComponent):
    """Says what the server last said; the page itself adds STALE and OFFLINE, which no server can."""

    unit = param.String()
    header = param.String(default="{}", doc="JSON of a Header: one value, so that it arrives as a whole or not at all.")
    now = param.List(default=[], doc="End in ms and rate of the last window, where no plots are.")
    reload = param.Boolean(default=False, doc="Whether the page is to be loaded again.")

    _esm = asset("components/status.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/status.css")]


class Status(Viewer):
    """The header's line of a session."""

    def __init__(self, feed: Feed, header: Header, **params: Any) -> None:
        super().__init__(**params)
        self._told = header
        self._line = StatusLine(unit=feed.metrics[0].unit, header=_json(header))

    def tell(self, header: Header, now: tuple[float, float] | None = None) -> None:
        """Say how things stand; sends nothing when that is as before."""
        if header != self._told:
            self._told = header
            self._line.header = _json(header)
        if now is not None:
            self._line.now = list(now)

    def start_over(self) -> None:
        """Have the page loaded again: what it shows is of another run."""
        self._line.reload = True

    def __panel__(self) -> StatusLine:
        return self._line


def _json(header: Header) -> str:
    return msgspec.json.encode(header).decode()
