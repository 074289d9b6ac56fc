"""The footer: what was late, dropped or unreadable. Nothing is lost without a figure."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.theme import asset

__all__ = ["Counters"]


class CounterLine(JSComponent):
    """Names and totals on one line."""

    totals = param.String(default="[]", doc="JSON of pairs of name and figure.")

    _esm = asset("components/counters.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/counters.css")]


class Counters(Viewer):
    """Totals of the pipeline and of its source."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._told: tuple[tuple[str, str], ...] = ()
        self._line = CounterLine()

    def tell(self, totals: tuple[tuple[str, str], ...]) -> None:
        """Show pairs of name and figure; sends nothing when they are as before."""
        if totals != self._told:
            self._told = totals
            self._line.totals = msgspec.json.encode(totals).decode()

    def __panel__(self) -> CounterLine:
        return self._line
