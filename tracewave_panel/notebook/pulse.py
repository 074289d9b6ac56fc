"""The pulse for a notebook: observed against expected, and what happened, told by shape and colour."""

# mypy: allow-untyped-calls
# HoloViews types no constructor.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
from bokeh.models import CustomJS, HoverTool

from tracewave_panel.app.wording import length, one_line

from .colours import severity_colour
from .stretch import Stretch

__all__ = ["HIGHEST", "LOWEST", "SHAPES", "TICK", "pulse"]

SHAPES = {"info": "circle", "warning": "triangle", "critical": "diamond"}
LOWEST, HIGHEST = -0.1, 1.26
"""Ends of the axis, as parts of the highest figure: room for what lies below and above the line."""
TICK = "@tick"
"""Marker of late windows."""
_DRAW_TICK = """
export default (args, obj, {r}) => {
  const path = new Path2D();
  path.moveTo(0, -r);
  path.lineTo(0, r);
  return path;
};
"""
_SIZES = {"info": 9, "warning": 11, "critical": 15}  # pixels; shapes that look equally large
_RAIL, _NAMES, _LATE = 1.09, 1.19, -0.055  # where episodes are drawn, where they are named, where late windows are
_PIXELS, _LETTER, _FEWEST = 880, 6.0, 7  # of a usual plot, of a letter, and letters that say something
_FACTS = (
    *("observed", "expected", "lowest", "highest", "count", "late", "dropped", "confidence", "rarity", "severity"),
    "quality",
)
_TOLD = [
    ("", "@title"), ("opened", "@time{%F %T} UTC"), ("observed", "@observed{0,0.00}"),
    ("expected", "@expected{0,0.00}"), ("confidence", "@confidence{0.00}"), ("once in", "@rarity{0.00} days"),
    ("id", "@id"),
]  # fmt: skip


def pulse(stretch: Stretch, anomalies: pd.DataFrame, colours: Mapping[str, str]) -> Any:
    """Overlay of band, lines, marks and the episodes' rail."""
    return hv.Overlay(
        [
            *_expected(stretch, colours),
            *_observed(stretch, colours),
            _late(stretch, colours),
            *_episodes(stretch, anomalies, colours),
            _names(stretch, anomalies, colours),
            _facts(stretch),
        ]
    )


def _expected(stretch: Stretch, colours: Mapping[str, str]) -> list[Any]:
    buckets, times = stretch.buckets, stretch.at_starts()
    bands = [
        hv.Area(
            {"time": times, "low": buckets.lowest(low), "high": buckets.highest(high)},
            "time",
            ["low", "high"],
            label=label,
        ).opts(backend="bokeh", color=colours[token][:7], fill_alpha=_alpha(colours[token]), line_alpha=0)
        for low, high, token, label in (
            (stretch.lowest, stretch.highest, "--band-outer", ""),
            (stretch.low, stretch.high, "--band-inner", "expected"),
        )
    ]
    line = hv.Curve(stretch.line(stretch.expected), "time", "value")
    return [*bands, line.opts(backend="bokeh", color=colours["--expected"], line_width=1)]


def _observed(stretch: Stretch, colours: Mapping[str, str]) -> list[Any]:
    line = hv.Curve(stretch.line(stretch.of("ok")), "time", "value", label="observed")
    drawn = [line.opts(backend="bokeh", color=colours["--live"], line_width=1.6)]
    if np.isfinite(stretch.backfilled).any():
        filled = hv.Curve(stretch.line(stretch.backfilled), "time", "value", label="backfilled")
        drawn.append(filled.opts(backend="bokeh", color=colours["--backfill"], line_width=1.6, line_dash=[2, 3]))
    partial = stretch.of("partial")
    if np.isfinite(partial).any():
        points = stretch.line(partial)
        shown = np.isfinite(points["value"])
        rings = hv.Scatter({name: each[shown] for name, each in points.items()}, "time", "value", label="partial")
        drawn.append(
            rings.opts(
                backend="bokeh", size=5, fill_alpha=0, line_color=colours["--partial"], color=colours["--partial"]
            )
        )
    return drawn


def _late(stretch: Stretch, colours: Mapping[str, str]) -> Any:
    late = np.add.reduceat(stretch.column("late"), stretch.buckets.starts) if len(stretch) else np.array([])
    times = stretch.at_starts()[late > 0]
    ticks = hv.Scatter({"time": times, "value": np.full(len(times), _LATE * stretch.top)}, "time", "value",
                       label="late" if len(times) else "")  # fmt: skip
    return ticks.opts(backend="bokeh", size=7, color=colours["--text-3"], hooks=[_upright])


def _upright(plot: Any, _: Any) -> None:
    """Have the marks stand, in the legend too, which turns none."""
    glyph = plot.handles["glyph"]
    glyph.defs, glyph.marker = {TICK: CustomJS(code=_DRAW_TICK)}, TICK


def _episodes(stretch: Stretch, anomalies: pd.DataFrame, colours: Mapping[str, str]) -> list[Any]:
    drawn: list[Any] = []
    for severity, shape in SHAPES.items():
        of = anomalies[anomalies["severity"].astype("str") == severity]
        if of.empty:
            continue
        colour = colours[severity_colour(severity)]
        opened = of["opened"].dt.tz_localize(None).to_numpy()
        closed = of["closed"].dt.tz_localize(None).to_numpy()
        rail = np.full(len(of), _RAIL * stretch.top)
        drawn.append(
            hv.Segments((opened, rail, closed, rail)).opts(backend="bokeh", color=colour, line_width=3),
        )
        told = {
            "time": opened,
            "value": rail,
            "title": [one_line(title, 90) for title in of["title"]],
            "id": of.index.to_numpy(dtype=object),
            **{name: of[name].to_numpy(dtype=float) for name in ("observed", "expected", "confidence", "rarity")},
        }
        # HoloViews takes tools with the same words for one, and leaves all but the first without it
        hover = HoverTool(tooltips=[*_TOLD, ("severity", severity)], formatters={"@time": "datetime"})
        marks = hv.Scatter(told, "time", [name for name in told if name != "time"], label=severity)
        drawn.append(
            marks.opts(
                backend="bokeh",
                marker=shape,
                size=_SIZES[severity],
                color=colour,
                line_color=colours["--panel"],
                tools=[hover],
            )
        )
    return drawn


def _names(stretch: Stretch, anomalies: pd.DataFrame, colours: Mapping[str, str]) -> Any:
    """Titles of the episodes and lengths of the gaps, as far as there is room before the next one."""
    first, last = stretch.ends
    told = [
        (max(opened.tz_localize(None).to_datetime64(), first), one_line(title, 90))
        for opened, title in zip(anomalies["opened"], anomalies["title"], strict=True)
    ]
    told += [(start, f"gap {length((end - start) / np.timedelta64(1, 's'))}") for start, end in stretch.gaps()]
    told.sort(key=lambda each: each[0])
    ends = [*(moment for moment, _ in told[1:]), last][: len(told)]
    fitting = [
        int((end - moment) / (last - first) * _PIXELS / _LETTER) for (moment, _), end in zip(told, ends, strict=True)
    ]
    shown = [
        (moment, _NAMES * stretch.top, one_line(words, room))
        for (moment, words), room in zip(told, fitting, strict=True)
        if room >= min(_FEWEST, len(words))
    ]
    labels = hv.Labels(shown, ["time", "value"], "words")
    return labels.opts(backend="bokeh", text_align="left", text_font_size="11px", text_color=colours["--text-2"])


def _facts(stretch: Stretch) -> Any:
    """Points that are not seen and tell what is exactly known of the window under the pointer."""
    places = stretch.buckets.extremes(stretch.observed)
    places = places[stretch.quality[places] != ""]
    table = stretch.table.iloc[places]
    facts: dict[str, Any] = {"time": stretch.times[places], "value": np.nan_to_num(stretch.observed[places])}
    for name in _FACTS:
        known = {"lowest": stretch.lowest, "highest": stretch.highest}.get(name)
        facts[name] = known[places] if known is not None else table[name].astype(object).to_numpy()
    for name in ("observed", "expected", "confidence", "rarity"):
        facts[name] = facts[name].astype(float)
    hover = HoverTool(
        mode="vline",
        tooltips=[("window", "@time{%F %T} UTC"), ("observed", "@observed{0,0.00}"), ("expected", "@expected{0,0.00}"),
                  ("band", "@lowest{0,0.00} to @highest{0,0.00}"), ("events", "@count, @late late, @dropped dropped"),
                  ("confidence", "@confidence{0.00}"), ("once in", "@rarity{0.000} days"), ("severity", "@severity"),
                  ("quality", "@quality")],
        formatters={"@time": "datetime"},
    )  # fmt: skip
    points = hv.Scatter(facts, "time", [name for name in facts if name != "time"])
    return points.opts(backend="bokeh", size=8, alpha=0, hover_alpha=0.9, tools=[hover], color="#888888")


def _alpha(colour: str) -> float:
    return int(colour[7:] or "ff", 16) / 255
