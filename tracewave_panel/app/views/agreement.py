"""The agreement strip: how many detectors fired, window by window, above the time axis."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from typing import Any

import panel as pn
from bokeh.models import FixedTicker, LinearAxis, LinearColorMapper, Range1d
from bokeh.transform import transform
from panel.viewable import Viewer

from tracewave_panel.app.sheet_row import SheetRow
from tracewave_panel.app.theme import paint, plain_axis
from tracewave_panel.app.timeline import Timeline

__all__ = ["Agreement"]

SHADES = tuple(f"--a-{agreeing}" for agreeing in range(6))


class Agreement(Viewer):
    """One cell a window: its height and its lightness say how many detectors agree."""

    def __init__(self, timeline: Timeline, **params: Any) -> None:
        super().__init__(**params)
        self._heights = Range1d(start=0, end=3.3)
        self._most = FixedTicker(ticks=[3])
        plot = timeline.plot(self._heights)
        shades = LinearColorMapper(palette=["#000000"] * len(SHADES), low=-0.5, high=len(SHADES) - 0.5)
        paint(shades, palette=SHADES)
        plot.quad(
            "start",
            "end",
            "height",
            0,
            source=timeline.table.source,
            line_color=None,
            fill_color=transform("fired", shades),
        )
        plot.add_layout(plain_axis(LinearAxis, ticker=self._most), "left")
        self._row = SheetRow(
            kind="agreement",
            heading="Agreement",
            subheading="detectors firing",
            plot=pn.pane.Bokeh(plot, sizing_mode="stretch_both"),
        )

    def tell(self, detectors: int) -> None:
        """Let the strip be as high as the number of detectors."""
        most = max(1, detectors)
        if self._most.ticks != [most]:
            self._most.ticks = [most]
            self._heights.end = most * 1.25

    def __panel__(self) -> SheetRow:
        return self._row
