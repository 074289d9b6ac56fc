"""The agreement strip: how many detectors fired, window by window, above the time axis."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from bokeh.models import FixedTicker, LinearAxis, LinearColorMapper, Range1d
from bokeh.plotting import figure
from bokeh.transform import transform

from tracewave_panel.app.theme import paint, plain_axis

from .timeline import Timeline

__all__ = ["agreement"]

SHADES = tuple(f"--a-{agreeing}" for agreeing in range(6))


def agreement(timeline: Timeline, detectors: int) -> figure:
    """One cell a window: its height and its lightness say how many of so many detectors agree."""
    most = max(1, detectors)
    plot = timeline.plot(Range1d(start=0, end=most * 1.25))
    shades = LinearColorMapper(palette=["#000000"] * len(SHADES), low=-0.5, high=len(SHADES) - 0.5)
    paint(shades, palette=SHADES)
    colour = transform("fired", shades)
    plot.quad("start", "end", "height", 0, source=timeline.table, line_color=None, fill_color=colour)
    plot.add_layout(plain_axis(LinearAxis, ticker=FixedTicker(ticks=[most])), "left")
    return plot
