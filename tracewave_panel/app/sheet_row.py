"""One row of the sheet: a name on the left, a figure on the time axis, its figures on the right."""

from __future__ import annotations

from typing import ClassVar

import param
from panel.custom import Child, JSComponent

from .theme import asset

__all__ = ["SheetRow"]


class SheetRow(JSComponent):
    """Shows a plot with the figures of the window under the cursor, or of the last one.

    The figures come from the row that ``timeline.js`` announces, so a tick sends nothing for them.
    """

    kind = param.Selector(default="lane", objects=["pulse", "lane", "agreement"], doc="Which figures the row reads out.")
    heading = param.String()
    subheading = param.String()
    colour = param.String(default="--text-3", doc="Token of the row's line.")
    place = param.Integer(default=0, doc="Number of the detector's columns.")
    width = param.Number(default=1.0, doc="Seconds of a window; what a countdown is counted in.")  # type: ignore[assignment]
    reason = param.String(doc="Why the detector abstains; empty while it judges.")
    plot = Child()

    _esm = asset("components/sheet_row.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/sheet_row.css")]
