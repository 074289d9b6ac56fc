"""The pulse: what was observed against what was expected."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from bokeh.models import BasicTicker, LinearAxis, NumeralTickFormatter, Range1d
from bokeh.models.annotations.geometry import Span
from bokeh.plotting import figure

from tracewave_panel.app.theme import paint, plain_axis, plain_grid

from .timeline import Timeline

__all__ = ["pulse"]

HEIGHT, ABOVE, BELOW = 224, 26, 19  # pixels: all, of them the episode rail above and the quality rail below
FIRST_TOP = 100.0  # events a second, until the page knows better
LATE = (5, 12)  # pixels from the bottom between which a late window's tick lies


def pulse(timeline: Timeline) -> figure:
    """Observed line and expected band; a tick below for a window that holds late events.

    ``timeline.js`` sets the range of values so that both rails keep their pixels at every height.
    """
    pixel = FIRST_TOP / (HEIGHT - ABOVE - BELOW)
    plot = timeline.plot(Range1d(start=-BELOW * pixel, end=FIRST_TOP + ABOVE * pixel, name="pulse-range"))
    plot.extra_y_ranges = {"pixels": Range1d(start=0, end=HEIGHT, name="pulse-pixels")}
    ticker = BasicTicker(desired_num_ticks=4, num_minor_ticks=0)
    formatter = NumeralTickFormatter(format="0.[0]a")
    plot.add_layout(plain_axis(LinearAxis, ticker=ticker, formatter=formatter), "left")
    plot.add_layout(plain_grid(1, ticker))
    _draw_expected(plot, timeline)
    _draw_observed(plot, timeline)
    _draw_late(plot, timeline)
    return plot


def _draw_expected(plot: figure, timeline: Timeline) -> None:
    source = timeline.table
    outer = plot.varea("start", "lowest", "highest", source=source)
    inner = plot.varea("start", "low", "high", source=source)
    line = plot.line("start", "expected", source=source, line_width=1)
    paint(outer.glyph, fill_color="--band-outer")
    paint(inner.glyph, fill_color="--band-inner")
    paint(line.glyph, line_color="--expected")


def _draw_observed(plot: figure, timeline: Timeline) -> None:
    source = timeline.table
    line = plot.line("start", "line", source=source, line_width=1.6, line_join="round")
    filled = plot.line("start", "backfilled", source=source, line_width=1.6, line_dash=[2, 3])
    rings = plot.scatter("start", "partial", source=source, size=4.5, fill_alpha=0, line_width=1.2)
    paint(line.glyph, line_color="--live")
    paint(filled.glyph, line_color="--backfill")
    paint(rings.glyph, line_color="--partial")


def _draw_late(plot: figure, timeline: Timeline) -> None:
    source = timeline.table
    ticks = plot.segment("late_at", LATE[0], "late_at", LATE[1], source=source, y_range_name="pixels")
    ticks.glyph.line_width = 1.4
    zero = Span(location=0, dimension="width")
    plot.add_layout(zero)
    paint(zero, line_color="--line-strong")
    paint(ticks.glyph, line_color="--text-3")
