"""Lanes for a notebook: a detector's score with its threshold, and how many agree."""

# mypy: allow-untyped-calls
# HoloViews types no constructor.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import holoviews as hv
import numpy as np
from bokeh.models import HoverTool

from tracewave_panel.app.live_table import FIRE
from tracewave_panel.app.theme import detector_look

from .stretch import Stretch

__all__ = ["agreement", "lane"]

_CELL = 0.08  # height of a cell where nobody fired


def lane(stretch: Stretch, detector: str, colour: str, colours: Mapping[str, str]) -> Any:
    """Score of one detector from 0 to 1, filled where it is above its threshold."""
    scores = stretch.column(detector)
    line = stretch.line(scores, "score")
    above = {"time": line["time"], "least": np.full(len(line["time"]), FIRE), "above": np.fmax(line["score"], FIRE)}
    hover = HoverTool(
        mode="vline",
        tooltips=[("window", "@time{%F %T} UTC"), (detector, "@score{0.000}")],
        formatters={"@time": "datetime"},
    )
    curve = hv.Curve(line, "time", "score").opts(backend="bokeh", color=colour, line_width=1.4, tools=[hover])
    filled = hv.Area(above, "time", ["least", "above"]).opts(
        backend="bokeh", color=colour, fill_alpha=0.3, line_alpha=0
    )
    threshold = hv.HLine(FIRE).opts(backend="bokeh", color=colours["--text-3"], line_dash=[4, 3], line_width=1)
    drawn = [filled, curve, threshold]
    if len(stretch) and not np.isfinite(scores).any():
        said = hv.Text(stretch.times[0], 0.85, f"{detector_look(detector).name} abstains throughout", halign="left")
        drawn.append(said.opts(backend="bokeh", text_color=colours["--text-3"], text_font_size="11px"))
    return hv.Overlay(drawn)


def agreement(stretch: Stretch, detectors: Sequence[str], colours: Mapping[str, str]) -> Any:
    """One cell a window: its height and lightness say how many detectors fire."""
    scores = np.array([stretch.column(name) for name in detectors]).reshape(len(detectors), len(stretch))
    known = np.isfinite(scores).any(axis=0)
    fired = np.where(known, (np.nan_to_num(scores) >= FIRE).sum(axis=0), np.nan)
    highest = stretch.buckets.highest(fired)
    starts = stretch.at_starts()
    step = np.timedelta64(round(1000 * stretch.width * stretch.buckets.size), "ms")
    shown = np.isfinite(highest)
    cells = {
        "time": starts[shown], "bottom": np.zeros(shown.sum()), "end": starts[shown] + step,
        "agreeing": np.fmax(highest[shown], _CELL), "fired": highest[shown],
    }  # fmt: skip
    hover = HoverTool(
        tooltips=[("from", "@time{%F %T} UTC"), ("detectors firing", "@fired")], formatters={"@time": "datetime"}
    )
    shades = [colours[f"--a-{number}"] for number in range(6)]
    drawn = hv.Rectangles(cells, ["time", "bottom", "end", "agreeing"], "fired")
    return hv.Overlay(
        [drawn.opts(backend="bokeh", color="fired", cmap=shades, clim=(-0.5, 5.5), tools=[hover], hooks=[_closed])]
    )


def _closed(plot: Any, _: Any) -> None:
    """Cells have lines of their own colour, without which the ground is seen between them."""
    glyph = plot.handles["glyph"]
    glyph.line_color, glyph.line_width = glyph.fill_color, 1
