"""One row of the sheet: a name on the left, a figure on the time axis, its figures on the right."""

from __future__ import annotations

from typing import ClassVar

import param
from panel.custom import JSComponent
from panel.viewable import Child

from .theme import asset

__all__ = ["SheetRow"]


class SheetRow(JSComponent):
    """Shows a plot with the figures of the window under the cursor, or of the last one.

    The figures come from the row that ``timeline.js`` announces, so a tick sends nothing for them.
    """

    kind = param.String(default="lane", doc="Which figures the row reads out: pulse, lane or agreement.")
    heading = param.String()
    subheading = param.String()
    hint = param.String(doc="What the row is, in a sentence, for who points at its name.")
    colour = param.String(default="--text-3", doc="Token of the row's line.")
    place = param.Integer(default=0, doc="Number of the detector's columns.")
    seconds = param.Number(default=1.0, doc="Length of a window; what a countdown is counted in.")
    reason = param.String(doc="Why the detector abstains; empty while it judges.")
    plot = Child()

    _esm = asset("components/sheet_row.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/sheet_row.css")]
