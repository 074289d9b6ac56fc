"""What the page tells the server: where it is, whether it is paused, what is brushed."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from typing import ClassVar

import param
from panel.custom import JSComponent

from tracewave_panel.app.theme import asset

__all__ = ["Navigator"]


class Navigator(JSComponent):
    """Shows nothing; ``frame.js`` and ``timeline.js`` set its values through ``tw.server``."""

    page = param.String(default="live", doc="Name of the page that is shown.")
    ready = param.Boolean(default=False, doc="Whether the page has its document: what is told before may be lost.")
    paused = param.Boolean(default=False)
    brush = param.List(
        default=[], item_type=(int, float), doc="Start and end of the brushed range in milliseconds, or empty."
    )

    _esm = asset("components/navigator.js")
    _stylesheets: ClassVar[list[str]] = []
