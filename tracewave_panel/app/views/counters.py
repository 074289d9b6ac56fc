"""The footer: what was late, dropped or unreadable. Nothing is lost without a figure."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.state import Console
from tracewave_panel.app.theme import asset

__all__ = ["Counters"]


class CounterLine(JSComponent):
    """Names and totals on one line."""

    totals = param.String(default="[]", doc="JSON of pairs of name and figure.")

    _esm = asset("components/counters.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/counters.css")]


class Counters(Viewer):
    """Totals of the pipeline and of its source."""

    def __init__(self, console: Console, **params: Any) -> None:
        super().__init__(**params)
        self._control = console.control
        self._missed = 0
        self._line = CounterLine()

    def tell(self, missed: int) -> None:
        """Ask for the totals; `missed` is what this session was too slow to read."""
        self._missed += missed
        source = self._control.source_status()
        counters = {**source.counters, **self._control.counters()}
        totals = [("Lag median", f"{source.lag:.1f} s")] if source.lag is not None else []
        events, late = counters.get("events", 0), counters.get("late", 0)
        totals.append(("Late", f"{100 * late / events:.1f} %" if events else "0"))
        totals += [
            (name.capitalize(), f"{counters.get(name, 0):,}") for name in ("dropped", "undecodable", "reconnects")
        ]
        totals += [("Store failures", f"{counters['store_failures']:,}")] if counters.get("store_failures") else []
        totals += [("Not shown here", f"{self._missed:,}")] if self._missed else []
        self._line.totals = msgspec.json.encode(totals).decode()

    def __panel__(self) -> CounterLine:
        return self._line
