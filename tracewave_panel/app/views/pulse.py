"""The pulse: what was observed against what was expected."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from typing import Any

import panel as pn
from bokeh.core.properties import value
from bokeh.models import BasicTicker, LinearAxis, NumeralTickFormatter, Range1d, Scatter, Text
from bokeh.models.annotations.geometry import Span
from bokeh.plotting import figure
from panel.viewable import Viewer

from tracewave_panel.app.sheet_row import SheetRow
from tracewave_panel.app.theme import SANS, paint, plain_axis, plain_grid
from tracewave_panel.app.timeline import SEVERITIES, Timeline
from tracewave_panel.feeds import Feed

__all__ = ["Pulse"]

HEADROOM, FOOTROOM = 1.14, -0.05  # of the tallest value: the episode rail above, the quality rail below
RAIL, MARKS, BASE = 0.925, 0.963, 0.0  # where they lie, as parts of the frame's height
MARKERS = ("circle", "triangle", "diamond")


class Pulse(Viewer):
    """Observed line and expected band, episodes above, the windows' quality below."""

    def __init__(self, feed: Feed, timeline: Timeline, **params: Any) -> None:
        super().__init__(**params)
        metric = feed.metrics[0]
        self._timeline = timeline
        plot = timeline.plot(Range1d(start=100 * FOOTROOM, end=100 * HEADROOM, name="pulse-range"))
        plot.extra_y_ranges = {"rail": Range1d(start=0, end=1)}
        ticker = BasicTicker(desired_num_ticks=5, num_minor_ticks=0)
        formatter = NumeralTickFormatter(format="0.[0]a")
        plot.add_layout(plain_axis(LinearAxis, ticker=ticker, formatter=formatter), "left")
        plot.add_layout(plain_grid(1, ticker))
        self._draw_expected(plot)
        self._draw_observed(plot)
        self._draw_quality(plot)
        self._draw_episodes(plot)
        self._row = SheetRow(
            kind="pulse",
            heading=metric.name.capitalize() if metric.unit != "events/s" else "Events a second",
            subheading="bands: one and 2.5 spreads around the expected",
            plot=pn.pane.Bokeh(plot, sizing_mode="stretch_both"),
        )

    def _draw_expected(self, plot: figure) -> None:
        source = self._timeline.table.source
        outer = plot.varea("start", "lowest", "highest", source=source)
        inner = plot.varea("start", "low", "high", source=source)
        line = plot.line("start", "expected", source=source, line_width=1)
        paint(outer.glyph, fill_color="--band-outer")
        paint(inner.glyph, fill_color="--band-inner")
        paint(line.glyph, line_color="--expected")

    def _draw_observed(self, plot: figure) -> None:
        source = self._timeline.table.source
        line = plot.line("start", "line", source=source, line_width=1.6, line_join="round")
        filled = plot.line("start", "backfilled", source=source, line_width=1.6, line_dash=[2, 3])
        rings = plot.scatter("start", "partial", source=source, size=4.5, fill_alpha=0, line_width=1.2)
        paint(line.glyph, line_color="--live")
        paint(filled.glyph, line_color="--backfill")
        paint(rings.glyph, line_color="--partial")

    def _draw_quality(self, plot: figure) -> None:
        """Below the zero line: a tick for a window with late events, an open box for windows filled in later."""
        source = self._timeline.table.source
        boxes = plot.quad(
            "stale", "end", 0.033, 0.006, source=source, y_range_name="rail", line_alpha=0, fill_alpha=0.45
        )
        ticks = plot.segment("late_at", 0.004, "late_at", 0.035, source=source, y_range_name="rail", line_width=1.4)
        zero = Span(location=0, dimension="width")
        plot.add_layout(zero)
        paint(zero, line_color="--line-strong")
        paint(boxes.glyph, fill_color="--backfill")
        paint(ticks.glyph, line_color="--text-3")

    def _draw_episodes(self, plot: figure) -> None:
        """Above: a bar in the severity's colour, its shape, and the name where there is room for it."""
        timeline, source = self._timeline, self._timeline.episodes.source
        colour = timeline.severity_colour()
        plot.quad(
            "start", "end", RAIL + 0.01, RAIL, source=source, y_range_name="rail", line_color=None, fill_color=colour
        )
        for severity, marker in zip(SEVERITIES, MARKERS, strict=True):
            mark = Scatter(
                x=f"mark_{severity}",
                y=MARKS,
                marker=marker,
                size=10,
                line_width=2,
                fill_alpha=float(severity != "info"),
            )
            paint(mark, line_color=f"--{severity}", fill_color=f"--{severity}")
            plot.add_glyph(source, mark, y_range_name="rail")
        name = Text(
            x="start",
            y=MARKS,
            text="label",
            text_align="align",
            x_offset="offset",
            text_baseline="middle",
            text_font=value(SANS),
            text_font_size="11px",
        )
        paint(name, text_color="--text")
        plot.add_glyph(source, name, y_range_name="rail")

    def __panel__(self) -> SheetRow:
        return self._row
