"""The Live page's sheet for a notebook: pulse, a lane a detector and agreement, on one time axis."""

# mypy: allow-untyped-calls
# HoloViews types no constructor.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd

from tracewave_panel.app.live_table import FIRE
from tracewave_panel.app.theme import detector_look

from .colours import severity_colour
from .dress import Hook, Strip, dressed, on_strips
from .lanes import agreement, lane
from .pulse import HIGHEST, LOWEST, pulse
from .stretch import Stretch

__all__ = ["sheet"]

PULSE, LANE, AGREEMENT = 270, 66, 92  # pixels


def sheet(
    stretch: Stretch, detectors: Sequence[str], anomalies: pd.DataFrame, colours: Mapping[str, str], follow: Hook
) -> Any:
    """Layout of one column; `anomalies` are those of the stretch."""
    tints: list[Strip] = [
        (_naive(episode.opened), _naive(episode.closed), colours[f"{severity_colour(str(episode.severity))}-tint"])
        for episode in anomalies.itertuples()
    ]
    hatched: list[Strip] = [(start, end, colours["--hatch-ground"]) for start, end in stretch.gaps()]
    ground = on_strips(hatched, tints, colours["--hatch"])

    def options(height: int, dress: Hook, **more: Any) -> dict[str, Any]:
        return {
            "backend": "bokeh", "responsive": True, "height": height, "hooks": [dress, ground, follow],
            "show_grid": True, "xlabel": "", "ylabel": "", "xaxis": None, "xlim": stretch.ends, "padding": 0,
            "active_tools": ["xbox_zoom"], **more,
        }  # fmt: skip

    metric = stretch.metric
    heading = "Events a second" if metric.unit == "events/s" else f"{metric.name.capitalize()}\n{metric.unit}".strip()
    dress = dressed(colours, name=heading, strong=True)
    limits = (LOWEST * stretch.top, HIGHEST * stretch.top)
    drawn = pulse(stretch, anomalies, colours)
    rows = [
        drawn.opts(**options(PULSE, dress, ylim=limits, title=stretch.words, show_legend=True, legend_position="top"))
    ]
    for name in detectors:
        look = detector_look(name)
        dress = dressed(colours, name=look.name, ticks=(FIRE, 1), floor=-0.08)
        drawn = lane(stretch, name, colours[look.colour], colours)
        rows.append(drawn.opts(**options(LANE, dress, ylim=(-0.08, 1.16))))
    most = max(1, len(detectors))
    dress = dressed(colours, name="Agreement", ticks=(most,), strong=True)
    drawn = agreement(stretch, detectors, colours)
    rows.append(drawn.opts(**options(AGREEMENT, dress, ylim=(0, 1.25 * most), xaxis="bottom")))
    return hv.Layout(rows).cols(1).opts(backend="bokeh", shared_axes=True, merge_tools=True, toolbar="above")


def _naive(moment: Any) -> Any:
    return np.datetime64(moment.tz_localize(None))
