"""Contributions as signed bars."""

# mypy: allow-untyped-calls
# HoloViews types no constructor.

from __future__ import annotations

from typing import Any

import holoviews as hv
import numpy as np
from bokeh.models import HoverTool

from tracewave_panel.app.wording import one_line
from tracewave_panel.model import Anomaly

from .colours import severity_colour
from .dress import dressed_bars
from .frame import Theme
from .inline import shown_inline
from .theming import followed, ground_of

__all__ = ["bars"]

_BAR, _FRAME = 26, 84  # pixels


def bars(anomaly: Anomaly, theme: Theme) -> Any:
    """A bar a contribution, the strongest on top."""
    shown_inline()
    colours = ground_of(theme)
    parts = anomaly.contributions
    excess = np.array([part.observed - part.expected for part in parts], dtype=float)
    places = np.arange(len(parts), 0, -1, dtype=float)
    strong = colours[severity_colour(anomaly.severity.value)]
    table: dict[str, Any] = {
        "from": np.minimum(excess, 0), "low": places - 0.34, "excess": np.maximum(excess, 0), "high": places + 0.34,
        "dimension": [part.dimension for part in parts], "word": [one_line(part.value, 80) for part in parts],
        "observed": [part.observed for part in parts], "expected": [part.expected for part in parts],
        "change": excess, "share": [100 * part.share for part in parts],
        "significance": [part.significance for part in parts],
        "shade": [strong if part.named else colours["--text-3"] for part in parts],
    }  # fmt: skip
    hover = HoverTool(
        tooltips=[("@dimension", "@word"), ("observed", "@observed{0,0.00} a second"),
                  ("expected", "@expected{0,0.00} a second"), ("excess", "@change{+0,0.00} a second"),
                  ("share of the change", "@share{0.0} %"), ("significance", "@significance{0.0}")],
    )  # fmt: skip
    ticks = [
        (place, one_line(f"{part.dimension}  {part.value}", 44)) for place, part in zip(places, parts, strict=True)
    ]
    ticks = ticks or [(1.0, "no contributions")]
    drawn = hv.Rectangles(table, ["from", "low", "excess", "high"], list(table)[4:])
    said = one_line(anomaly.title, 90)
    left, right = 1.08 * excess.min(initial=0), 1.08 * excess.max(initial=0)
    right = right if left < right else 1.0
    return hv.Overlay(
        [drawn.opts(backend="bokeh", color="shade", line_alpha=0, tools=[hover]), hv.VLine(0).opts(
            backend="bokeh", color=colours["--line-strong"], line_width=1)]
    ).opts(
        backend="bokeh", responsive=True, min_width=320, height=_FRAME + _BAR * max(1, len(parts)), yticks=ticks,
        title=said, xlabel="events a second more or fewer than expected", ylabel="", show_legend=False, toolbar=None,
        xlim=(left, right), ylim=(0.4, len(parts) + 0.6), show_grid=False,
        hooks=[dressed_bars(colours), followed(theme)],
    )  # fmt: skip
