"""What changed: who made the difference in a brushed range."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.theme import asset
from tracewave_panel.app.wording import MINUS, clock, figure, length, one_line
from tracewave_panel.core.brushed import RangeChange
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Contribution, Verdict

__all__ = ["Changed"]

FINE = 1.0  # events a second below which two digits follow the point


class ChangeTable(JSComponent):
    """A table whose every cell is set by ``textContent``; its button clears the brush."""

    ranking = param.String(default="", doc="JSON of what is shown; empty while nothing is brushed.")

    _esm = asset("components/changed.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/changed.css")]


class Changed(Viewer):
    """The ranking of the brushed range, or how to get one."""

    def __init__(self, feed: Feed, **params: Any) -> None:
        super().__init__(**params)
        self._noun = feed.metrics[0].noun
        self._table = ChangeTable()

    # A view of ours is never served alone, which is what Panel's own `show` is for.
    def show(self, change: RangeChange | None) -> None:  # type: ignore[override]
        """Show the ranking of a range, or that nothing is brushed; sends nothing when that is shown already."""
        self._table.ranking = "" if change is None else msgspec.json.encode(self._said(change)).decode()

    def _said(self, change: RangeChange) -> dict[str, Any]:
        return {
            "range": f"{clock(change.start)} to {clock(change.end)}",
            "accounted": _accounted(change),
            "conclusion": change.reason or _conclusion(change, self._noun),
            "nothing": bool(change.reason),
            "rests": _rests(change),
            "rows": _rows(change.rows),
        }

    def __panel__(self) -> ChangeTable:
        return self._table


def _rows(rows: Sequence[Contribution]) -> list[dict[str, Any]]:
    largest = max((max(row.observed, row.expected) for row in rows), default=0.0)
    digits = 2 if largest < FINE else 1
    return [
        {
            "dimension": one_line(row.dimension.replace("_", " "), 40),
            "value": one_line(row.value, 80) or "(empty)",
            "usual": f"{row.expected:,.{digits}f}",
            "seen": f"{row.observed:,.{digits}f}",
            "excess": row.observed - row.expected,
            "signed": _signed(row.observed - row.expected, digits),
            "named": row.named,
        }
        for row in rows
    ]


def _signed(value: float, digits: int) -> str:
    text = f"{abs(value):,.{digits}f}"
    return text if not float(text.replace(",", "")) else f"{'+' if value > 0 else MINUS}{text}"


def _accounted(change: RangeChange) -> list[str]:
    """Figure and words for the right of the heading."""
    if change.reason:
        return ["", ""]
    if change.verdict is Verdict.CULPRIT:
        return [f"{100 * change.completeness:.0f} %", "accounted for" if change.direction else "of the shift"]
    return ["", "global" if change.verdict is Verdict.GLOBAL else "as usual"]


def _conclusion(change: RangeChange, noun: str) -> str:
    """What the rows do not say by themselves; nothing where named values lead a rise or a fall."""
    against = f"{_rate(change.observed)} {noun} a second, usually {_rate(change.usual)}"
    if change.verdict is Verdict.GLOBAL:
        moved = "rose" if change.direction > 0 else "fell"
        return f"Everything {moved} alike: {against}. No single slice stands out."
    if change.verdict is Verdict.NONE:
        if not change.judged:
            return "The mix is as usual. The total says nothing: every window of it is partial."
        return f"As usual: {against}, and the mix did not change."
    if not change.direction:
        return f"The total is as usual, the mix is not: {against}."
    return ""


def _rate(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.2f}" if value < FINE else figure(value)


def _rests(change: RangeChange) -> str:
    """What the figures rest on, and what of the range they leave out."""
    parts = []
    if change.windows and change.rows:
        parts.append(f"usual of {change.windows:,} windows, {clock(change.since)} to {clock(change.until)}")
    if change.missing:
        parts.append(f"{length(change.missing)} of the range lost in gaps")
    if change.partial and change.rows:
        parts.append(f"{length(change.partial)} partial: rates may be too low")
    return "; ".join(parts)
