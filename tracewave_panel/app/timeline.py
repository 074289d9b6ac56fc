"""The one time axis: pulse, lanes and agreement are drawn on it, with one cursor through all of them."""

from __future__ import annotations

from typing import Any

from bokeh.models import (
    CategoricalColorMapper,
    CrosshairTool,
    DatetimeTicker,
    PanTool,
    Range1d,
    VStrip,
    WheelZoomTool,
)
from bokeh.models.annotations.geometry import Span
from bokeh.plotting import figure
from bokeh.transform import transform

from .live_table import MILLISECONDS, EpisodeTable, LiveTable
from .theme import paint, plain_figure

__all__ = ["SEVERITIES", "Timeline"]

SEVERITIES = ("info", "warning", "critical")
VIEW = 5 * 60.0  # seconds shown at first


class Timeline:
    """Range, cursor and overlays that the figures of a session share.

    The page's ``timeline.js`` moves the range with time until somebody pans or zooms.

    Parameters
    ----------
    table, episodes
        What is drawn.
    now
        Right edge of the first picture, seconds since the epoch.
    """

    def __init__(self, table: LiveTable, episodes: EpisodeTable, now: float) -> None:
        self.table = table
        self.episodes = episodes
        end = (now if table.end is None else table.end) * MILLISECONDS
        self.range = Range1d(start=end - VIEW * MILLISECONDS, end=end, name="time-range")
        self.ticker = DatetimeTicker(desired_num_ticks=8, num_minor_ticks=0)
        self._cursor = Span(dimension="height", location_units="data", line_alpha=0.75, name="time-cursor")
        paint(self._cursor, line_color="--text")

    def plot(self, y_range: Range1d) -> figure:
        """Return a figure on this axis that pans, zooms with Ctrl and the wheel, and shows the cursor."""
        wheel = WheelZoomTool(dimensions="width", modifiers={"ctrl": True})
        crosshair = CrosshairTool(dimensions="height", overlay=self._cursor)
        tools = [PanTool(dimensions="width"), wheel, crosshair]
        plot = plain_figure(self.range, y_range, self.ticker, tools)
        plot.toolbar.active_scroll = wheel
        self._mark_gaps(plot)
        self._tint_episodes(plot)
        return plot

    def _mark_gaps(self, plot: figure) -> None:
        strips = VStrip(
            x0="gap",
            x1="end",
            line_color=None,
            hatch_pattern="right_diagonal_line",
            hatch_scale=11,
            hatch_weight=1.2,
            hatch_alpha=0.75,
        )
        paint(strips, fill_color="--hatch-ground", hatch_color="--hatch")
        plot.add_glyph(self.table.source, strips, level="underlay")

    def _tint_episodes(self, plot: figure) -> None:
        strips = VStrip(x0="start", x1="end", line_color=None, fill_color=self.severity_colour(tint=True))
        plot.add_glyph(self.episodes.source, strips, level="underlay")

    def severity_colour(self, *, tint: bool = False) -> Any:
        """Colour by the column ``severity`` of the episodes."""
        mapper = CategoricalColorMapper(factors=list(SEVERITIES), palette=["#000000"] * len(SEVERITIES))
        paint(mapper, palette=tuple(f"--{severity}{'-tint' * tint}" for severity in SEVERITIES))
        return transform("severity", mapper)
