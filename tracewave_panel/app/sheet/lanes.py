"""The detectors: one lane each, with its score and its threshold."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from bokeh.models import FixedTicker, LinearAxis, Range1d
from bokeh.models.annotations.geometry import Span
from bokeh.plotting import figure

from tracewave_panel.app.live_table import FIRE
from tracewave_panel.app.theme import paint, plain_axis

from .timeline import Timeline

__all__ = ["lane"]

LOWEST, HIGHEST = -0.08, 1.16  # of a lane: room for the line at 0 and for the figure at 1


def lane(timeline: Timeline, place: int, colour: str) -> figure:
    """Score of the detector at `place`, with its threshold; `colour` is its token."""
    plot = timeline.plot(Range1d(start=LOWEST, end=HIGHEST))
    plot.add_layout(plain_axis(LinearAxis, ticker=FixedTicker(ticks=[FIRE, 1])), "left")
    area = plot.varea("start", FIRE, f"above_{place}", source=timeline.table, fill_alpha=0.3)
    line = plot.line("start", f"score_{place}", source=timeline.table, line_width=1.4, line_join="round")
    threshold = Span(location=FIRE, dimension="width", line_dash=[4, 3])
    plot.add_layout(threshold)
    paint(area.glyph, fill_color=colour)
    paint(line.glyph, line_color=colour)
    paint(threshold, line_color="--text-3")
    return plot
