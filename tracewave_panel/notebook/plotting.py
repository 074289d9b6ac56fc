"""What `plot` of a run and of an explanation do before anything is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from tracewave_panel.errors import ConfigError

from .frame import Theme
from .inline import shown_inline
from .sheet import sheet
from .stretch import Stretch, moment
from .theming import followed, ground_of

if TYPE_CHECKING:
    from .run import Run

__all__ = ["plot"]


def plot(run: Run, start: Any, end: Any, theme: Theme) -> Any:
    """The sheet of a run between two moments."""
    since, until = moment("start", start), moment("end", end)
    if since is not None and until is not None and not since < until:
        raise ConfigError(f"start={start!r} is not before end={end!r}")
    shown_inline()
    windows = run.windows
    if since is not None:
        windows = windows[windows.index >= since]
    if until is not None:
        windows = windows[windows.index < until]
    series, metric = run.selected
    of = next(each for each in run.feed.metrics if each.name == metric)
    width = pd.Timedelta(seconds=float(windows["width"].iloc[-1]) if len(windows) else 1.0)
    first = since or (windows.index[0] if len(windows) else until or pd.Timestamp(0, tz="UTC"))
    last = until or (windows.index[-1] + width if len(windows) else first + width)
    stretch = Stretch(windows, of, f"{run.feed.title}, {series}", (first, last))
    told = run.anomalies
    told = told[(told["series"] == series) & ((told["metric"] == metric) | (told["kind"] == "feed_silent"))]
    told = told.assign(closed=told["closed"].fillna(last))
    told = told[(told["closed"] > first) & (told["opened"] < last)]
    return sheet(stretch, run.detectors, told, ground_of(theme), followed(theme))
