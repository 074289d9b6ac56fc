"""The one time axis: pulse, lanes and agreement are drawn on it."""

from __future__ import annotations

from typing import Any

from bokeh.models import CategoricalColorMapper, FixedTicker, Range1d, VStrip
from bokeh.plotting import figure
from bokeh.transform import transform

from .live_table import MILLISECONDS, EpisodeTable, LiveTable
from .theme import paint, plain_figure

__all__ = ["Timeline"]

SEVERITIES = ("info", "warning", "critical")
VIEW = 5 * 60.0  # seconds shown at first


class Timeline:
    """Range, ticks and overlays that the figures of a session share.

    The page's ``timeline.js`` moves the range and sets the ticks, and ``sheet.js`` lays cursor, brush, gaps,
    episodes' names and the figures of the axis over all rows: none of that is sent, and none of it draws a plot again.

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
        self.ticker = FixedTicker(ticks=[], name="time-ticks")

    def plot(self, y_range: Range1d) -> figure:
        """Return a figure on this axis with the episodes tinted."""
        plot = plain_figure(self.range, y_range, self.ticker, [])
        self._tint_episodes(plot)
        return plot

    def _tint_episodes(self, plot: figure) -> None:
        strips = VStrip(x0="start", x1="end", line_color=None, fill_color=self._severity_tint())
        plot.add_glyph(self.episodes.source, strips, level="underlay")

    def _severity_tint(self) -> Any:
        mapper = CategoricalColorMapper(factors=list(SEVERITIES), palette=["#000000"] * len(SEVERITIES))
        paint(mapper, palette=tuple(f"--{severity}-tint" for severity in SEVERITIES))
        return transform("severity", mapper)
