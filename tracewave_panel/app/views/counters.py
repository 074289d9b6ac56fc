"""The footer: what was late, dropped or unreadable. Nothing is lost without a figure."""

from __future__ import annotations

from typing import ClassVar

import param
from panel.custom import JSComponent

from tracewave_panel.app.theme import asset

__all__ = ["CounterLine"]


class CounterLine(JSComponent):
    """Names and totals on one line."""

    totals = param.String(default="[]", doc="JSON of pairs of name and figure, as at first; frames bring the later.")

    _esm = asset("components/counters.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/counters.css")]
