"""The one time axis: pulse, lanes and agreement are drawn on it, with one cursor through all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import CategoricalColorMapper, ColumnDataSource, FixedTicker, Range1d, VStrip
from bokeh.plotting import figure
from bokeh.transform import transform

from tracewave_panel.app.live_table import columns
from tracewave_panel.app.theme import paint, plain_figure
from tracewave_panel.feeds import Feed

__all__ = ["SEVERITIES", "Timeline"]

SEVERITIES = ("info", "warning", "critical")
EPISODE = ("id", "start", "end", "severity", "title")


class Timeline:
    """Table, range, ticks and tints that the figures of the sheet share.

    The page fills and moves all of them: ``frames.js`` the table, ``timeline.js`` the range and the ticks, and
    ``sheet.js`` lays cursor, brush, gaps, episodes' names and the figures of the axis over all rows. None of that
    is sent by figure, and most of it draws no plot again.

    Parameters
    ----------
    feed, detectors
        Name the table's columns.
    """

    def __init__(self, feed: Feed, detectors: Sequence[str]) -> None:
        self.table = ColumnDataSource(data={name: [] for name in columns(feed, detectors)}, name="live-table")
        self._episodes = ColumnDataSource(data={name: [] for name in EPISODE}, name="episodes")
        self._range = Range1d(start=0, end=1, name="time-range")
        self._ticker = FixedTicker(ticks=[], name="time-ticks")

    def plot(self, y_range: Range1d) -> figure:
        """Return a figure on this axis with the episodes tinted."""
        plot = plain_figure(self._range, y_range, self._ticker, [])
        strips = VStrip(x0="start", x1="end", line_color=None, fill_color=_severity_tint())
        plot.add_glyph(self._episodes, strips, level="underlay")
        return plot


def _severity_tint() -> Any:
    mapper = CategoricalColorMapper(factors=list(SEVERITIES), palette=["#000000"] * len(SEVERITIES))
    paint(mapper, palette=tuple(f"--{severity}-tint" for severity in SEVERITIES))
    return transform("severity", mapper)
