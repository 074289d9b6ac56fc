"""The header's line: how fast, how much is open, and an honest word on the connection."""

from __future__ import annotations

from typing import ClassVar

import param
from panel.custom import JSComponent

from tracewave_panel.app.theme import asset

__all__ = ["StatusLine"]


class StatusLine(JSComponent):
    """Says what the server last said; the page itself adds STALE and OFFLINE, which no server can."""

    unit = param.String()
    header = param.String(default="{}", doc="JSON of the Header as it was at first; frames bring the later ones.")

    _esm = asset("components/status.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/status.css")]
