"""How plots of notebooks look: the console's ground, lines and letters on what HoloViews draws."""

# mypy: allow-untyped-calls
# HoloViews and Bokeh type no constructor.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, DatetimeTickFormatter, VStrip
from bokeh.models.annotations.geometry import Span

from tracewave_panel.app.theme import MONO, SANS

__all__ = ["Hook", "Strip", "dressed", "dressed_bars", "on_strips"]

LEFT, RIGHT, STANDOFF = 152, 14, 38  # pixels beside the plots: names and figures of the axes
Hook = Callable[[Any, Any], None]
Strip = tuple[Any, Any, str]
"""First moment, last moment, and colour."""

_CLOCK = DatetimeTickFormatter(
    milliseconds="%H:%M:%S.%3N", seconds="%H:%M:%S", minsec="%H:%M:%S", minutes="%H:%M:%S", hourmin="%H:%M",
    hours="%H:%M", days="%d %b", months="%b %Y", years="%Y",
)  # fmt: skip


def dressed(
    colours: Mapping[str, str], *, name: str, ticks: Sequence[float] = (), floor: float = 0.0, strong: bool = False
) -> Hook:
    """Paint a figure on the time axis, write its name to the left of it, and draw a line at its floor."""

    def dress(plot: Any, _: Any) -> None:
        figure = plot.state
        _paint(figure, colours)
        figure.min_border_left, figure.min_border_right = LEFT, RIGHT
        figure.min_border_top = figure.min_border_bottom = 0
        axis = figure.yaxis[0]
        axis.axis_label, axis.axis_label_orientation = name, "horizontal"
        # of all figures alike, however wide their ticks' figures are
        axis.axis_label_standoff, axis.axis_label_standoff_mode = STANDOFF, "axis"
        axis.axis_label_text_font_size, axis.axis_label_text_font_style = "12px", "bold"
        axis.axis_label_text_color = colours["--text"]
        if ticks:
            axis.ticker = list(ticks)
            figure.ygrid.visible = False
        figure.xaxis.formatter = _CLOCK.clone()
        if "floor" not in plot.handles:
            colour = colours["--line-strong" if strong else "--line"]
            plot.handles["floor"] = Span(location=floor, dimension="width", line_color=colour, level="underlay")
            figure.add_layout(plot.handles["floor"])

    return dress


def dressed_bars(colours: Mapping[str, str]) -> Hook:
    """Paint a figure of bars."""

    def dress(plot: Any, _: Any) -> None:
        _paint(plot.state, colours)
        plot.state.yaxis.major_label_text_color = colours["--text-2"]
        plot.state.yaxis.major_label_text_font = SANS
        plot.state.yaxis.major_label_text_font_size = "12px"

    return dress


def _paint(figure: Any, colours: Mapping[str, str]) -> None:
    figure.background_fill_color = figure.border_fill_color = colours["--panel"]
    figure.outline_line_color = None
    # seen through the seams between frame and border, which no fill covers whole
    figure.styles = {"background-color": colours["--panel"]}
    figure.toolbar.autohide = True
    for axis in figure.axis:
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = None
        axis.major_label_text_font, axis.major_label_text_font_size = MONO, "10px"
        axis.axis_label_text_font, axis.axis_label_text_font_size = SANS, "11px"
        axis.axis_label_text_font_style = "normal"
        axis.major_label_text_color = axis.axis_label_text_color = colours["--text-3"]
    for grid in figure.grid:
        grid.grid_line_color = colours["--grid"]
    figure.title.text_color, figure.title.text_font = colours["--text-2"], SANS
    figure.title.text_font_size, figure.title.text_font_style = "12px", "normal"
    for legend in figure.legend:
        legend.background_fill_alpha, legend.border_line_alpha = 0, 0
        legend.label_text_color, legend.label_text_font = colours["--text-2"], SANS
        legend.label_text_font_size, legend.orientation, legend.ncols = "11px", "horizontal", "auto"
        legend.margin = legend.padding = 2
        legend.spacing = 12


def on_strips(gaps: Sequence[Strip], tints: Sequence[Strip], hatch: str) -> Hook:
    """Draw stretches of time under a figure: gaps hatched, episodes tinted."""

    def draw(plot: Any, _: Any) -> None:
        if "strips" in plot.handles:
            return
        plot.handles["strips"] = [
            _strips(plot.state, tints, fill_color="colour"),
            _strips(plot.state, gaps, fill_color="colour", hatch_pattern="right_diagonal_line", hatch_color=hatch,
                    hatch_scale=7, hatch_weight=1, hatch_alpha=0.8),
        ]  # fmt: skip

    return draw


def _strips(figure: Any, strips: Sequence[Strip], **look: Any) -> Any:
    starts, ends, shades = zip(*strips, strict=True) if strips else ((), (), ())
    moments = {"start": np.array(starts, "datetime64[ms]"), "end": np.array(ends, "datetime64[ms]")}
    source = ColumnDataSource({name: each.astype("int64").astype(float) for name, each in moments.items()})
    source.data["colour"] = np.array(shades, dtype=object)
    glyph = VStrip(x0="start", x1="end", line_color=None, **look)
    return figure.add_glyph(source, glyph, level="underlay")
