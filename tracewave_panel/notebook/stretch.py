"""The part of a run that a plot shows, thinned where there are more windows than pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tracewave_panel.app.live_table import INNER, OUTER
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import Metric
from tracewave_panel.model import Quality

from .thinning import Buckets, Numbers

__all__ = ["MOST_POINTS", "Stretch", "moment"]

MOST_POINTS = 2_000
"""Buckets that a plot draws; each line has up to three points of a bucket."""

_FILLED = (Quality.BACKFILLED.value, Quality.REVISED.value)
_ALMOST = 1.5  # widths from one window to the next, beyond which there is none in between


class Stretch:
    """Windows of one metric as columns to draw.

    Attributes
    ----------
    ends
        First and last moment of the time axis.
    words
        What it shows, for a title.
    top
        Highest figure to draw, rounded up.
    """

    def __init__(
        self,
        windows: pd.DataFrame,
        metric: Metric,
        named: str,
        ends: tuple[pd.Timestamp, pd.Timestamp],
        most: int = MOST_POINTS,
    ) -> None:
        self.metric = metric
        self.ends = ends[0].tz_localize(None).to_datetime64(), ends[1].tz_localize(None).to_datetime64()
        self.width = float(windows["width"].iloc[0]) if len(windows) else 1.0
        table = _broken(windows, self.width)
        self.table = table
        self.times = pd.DatetimeIndex(table.index).tz_localize(None).to_numpy().astype("datetime64[ms]")
        self.buckets = Buckets(len(table), most)
        self.quality = table["quality"].astype("str").to_numpy()
        self.observed, self.expected = self.column("observed"), self.column("expected")
        spread = self.column("spread")
        self.low, self.high = (self.expected + side * INNER * spread for side in (-1, 1))
        self.lowest, self.highest = (self.expected + side * OUTER * spread for side in (-1, 1))
        if metric.kind != "price":
            self.low, self.lowest = np.maximum(self.low, 0), np.maximum(self.lowest, 0)
        reached = np.concatenate([self.observed, self.highest])
        known = reached[np.isfinite(reached)]
        self.top = float(known.max()) if len(known) and known.max() > 0 else 1.0
        self.words = _words(windows, named, self.width, self.buckets.size)

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> Numbers:
        """One column as floats."""
        return self.table[name].to_numpy(dtype=float, na_value=np.nan)

    def of(self, *qualities: str) -> Numbers:
        """What was observed in windows of these qualities, and NaN elsewhere."""
        return np.where(np.isin(self.quality, qualities), self.observed, np.nan)

    def line(self, values: Numbers, name: str = "value") -> dict[str, Any]:
        """Times and values to draw as a line."""
        places = self.buckets.extremes(values)
        return {"time": self.times[places], name: values[places]}

    def at_starts(self) -> npt.NDArray[np.datetime64]:
        """First moment of each bucket."""
        starts: npt.NDArray[np.datetime64] = self.times[self.buckets.starts]
        return starts

    def gaps(self) -> list[tuple[Any, Any]]:
        """First and last moment of each run of gap windows."""
        gap = np.concatenate([[False], self.quality == Quality.GAP.value, [False]])
        edges = np.flatnonzero(gap[1:] != gap[:-1])
        step = np.timedelta64(round(1000 * self.width), "ms")
        return [(self.times[first], self.times[last - 1] + step) for first, last in edges.reshape(-1, 2)]

    @property
    def backfilled(self) -> Numbers:
        """What was filled in after a gap."""
        return self.of(*_FILLED)


def moment(name: str, value: Any) -> pd.Timestamp | None:
    """A moment that a person gave, in UTC; without a zone it is taken as UTC.

    Raises
    ------
    ConfigError
        When it is none.
    """
    if value is None:
        return None
    try:
        stamp = pd.Timestamp(value, unit="s") if isinstance(value, int | float) else pd.Timestamp(value)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{name}={value!r} is no moment; write it as 2026-11-22 09:30, in UTC") from error
    if pd.isna(stamp):
        raise ConfigError(f"{name}={value!r} is no moment; write it as 2026-11-22 09:30, in UTC")
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def _broken(windows: pd.DataFrame, width: float) -> pd.DataFrame:
    """Rows of nothing where windows are missing altogether, so that no line is drawn across."""
    steps = windows.index.to_series().diff().dt.total_seconds().to_numpy()
    after = np.flatnonzero(steps > _ALMOST * width)
    if not len(after):
        return windows
    missing = pd.DatetimeIndex(windows.index)[after - 1] + pd.Timedelta(seconds=width)
    blank = pd.DataFrame(index=missing, columns=windows.columns).astype(
        {name: kind for name, kind in windows.dtypes.items() if kind == "float64" or str(kind) == "category"}
    )
    whole = pd.concat([windows.astype({"quality": "str"}), blank.assign(quality="", late=0, count=0)])
    return whole.sort_index(kind="stable")


def _words(windows: pd.DataFrame, named: str, width: float, size: int) -> str:
    if windows.empty:
        return f"{named}: no windows"
    first, last = windows.index[0], windows.index[-1] + pd.Timedelta(seconds=width)
    same_day = first.date() == last.date()
    until = last.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S")
    said = f"{named}   {first:%Y-%m-%d %H:%M:%S} to {until} UTC, windows of {width:g} s"
    if size > 1:
        said += f"; drawn: lowest and highest of every {size}, start= and end= show all"
    return said
