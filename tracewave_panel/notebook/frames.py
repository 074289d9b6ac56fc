"""Tables of a run as pandas DataFrames, with the right dtypes.

Times are datetimes in UTC, measurements float64 with NaN for what nobody knows, counts int64, and words of a short
list categories.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tracewave_panel.app.wording import web_address
from tracewave_panel.model import Anomaly, AnomalyKind, Contribution, Mark, Quality, Severity, Verdict

from .rows import Rows

__all__ = [
    "anomaly_frame",
    "contribution_frame",
    "count_frame",
    "event_frame",
    "gap_frame",
    "sample_frame",
    "score_frame",
    "window_frame",
]

_JUDGED = [quality.value for quality in Quality if quality.judged]
_SAID = ("confidence", "evidence", "rarity", "severity", "alerting", "direction", "provisional", "verdict")
_SHAPE = ("quality", "count", "late", "dropped", "revision", "width")
_EPISODE = (
    *("id", "series", "metric", "kind", "opened", "peaked", "closed", "severity", "title", "observed", "expected"),
    *("confidence", "evidence", "rarity", "provisional", "direction", "verdict", "completeness", "quality"),
    *("agreeing", "quiet", "abstained"),
)
_KINDS: dict[str, type[StrEnum]] = {
    "severity": Severity,
    "quality": Quality,
    "verdict": Verdict,
    "kind": AnomalyKind,
}
_ORDERED = {"severity"}
_DETECTORS = ("agreeing", "quiet", "abstained")


def window_frame(rows: Rows, series: str, metric: str) -> pd.DataFrame:
    """One metric of one series, a row a window, indexed by its start.

    What nobody observed (in a gap), expected, or judged is NaN.
    """
    windows = _pandas(rows.read("windows", series)).drop(columns="series")
    metrics = _pandas(rows.read("metrics", series, metric)).drop(columns=["series", "metric", "completeness"])
    frame = windows.set_index("start").join(metrics.set_index("start")).sort_index().rename_axis("time")
    quality = frame["quality"]
    judged, gap = quality.isin(_JUDGED), quality == Quality.GAP.value
    frame.loc[gap, "observed"] = np.nan
    frame.loc[~judged, ["confidence", "evidence", "rarity"]] = np.nan
    scores = _by_detector(rows, series, metric, frame.index[judged.to_numpy()])
    columns: dict[str, Any] = {name: frame[name] for name in ("observed", "expected", "spread")}
    columns |= {name: scored.reindex(frame.index) for name, scored in scores.items()}
    columns |= {name: frame[name] for name in (*_SAID, *_SHAPE)}
    for feature in rows.feed.features:
        values = frame[f"feature {feature.name}"].astype("float64").mask(gap)
        columns[f"feature_{feature.name}" if feature.name in columns else feature.name] = values
    return _worded(pd.DataFrame(columns, index=frame.index)).astype(
        {"alerting": "bool", "provisional": "bool", "direction": "int64"}
    )


def _by_detector(rows: Rows, series: str, metric: str, judged: pd.Index[Any]) -> dict[str, pd.Series[float]]:
    """Scores of each detector where it was warm and the window judged."""
    scores = _pandas(rows.read("scores", series, metric), columns=("start", "detector", "score", "warm"))
    scores = scores[scores["warm"].to_numpy(dtype=bool)]
    found = {}
    for name in rows.detectors:
        of_detector = scores[scores["detector"] == name]
        scored = pd.Series(of_detector["score"].to_numpy(dtype=float), index=pd.DatetimeIndex(of_detector["start"]))
        found[name] = scored[scored.index.isin(judged)] if len(judged) else scored.iloc[:0]
    return found


def score_frame(rows: Rows) -> pd.DataFrame:
    """Each detector's word on each metric of each window, a row each; what an abstaining one did not say is NaN."""
    scores = _pandas(rows.read("scores")).rename(columns={"start": "time"})
    cold = ~scores["warm"].to_numpy(dtype=bool)
    scores.loc[cold, ["statistic", "p", "score"]] = np.nan
    kinds = {"fired": "bool", "warm": "bool", "direction": "int64", "windows_left": "int64", "span": "int64"}
    first = ["time", "series", "metric", "detector"]
    ordered = scores[[*first, *(name for name in scores.columns if name not in first)]].astype(kinds)
    _categorize(ordered, series=(), metric=(), detector=rows.detectors, reason=())
    return ordered.sort_values(first, kind="stable", ignore_index=True)


def anomaly_frame(anomalies: Iterable[Anomaly]) -> pd.DataFrame:
    """Episodes, the newest first, indexed by id; times in UTC, ``closed`` is NaT while it is open."""
    newest_first = sorted(anomalies, key=lambda anomaly: anomaly.opened, reverse=True)
    rows = [[_cell(getattr(anomaly, name)) for name in _EPISODE] for anomaly in newest_first]
    table = pd.DataFrame(rows, columns=list(_EPISODE)).set_index("id")
    table.index = table.index.astype("str")
    for name in ("opened", "peaked", "closed"):
        table[name] = _moments(table[name])
    numbers = ("observed", "expected", "confidence", "evidence", "rarity", "completeness")
    kinds = dict.fromkeys(numbers, "float64") | {"provisional": "bool", "direction": "int64", "title": "str"}
    return _worded(
        table.astype(kinds | dict.fromkeys(("series", "metric"), "category") | dict.fromkeys(_DETECTORS, "str"))
    )


def event_frame(rows: Rows) -> pd.DataFrame:
    """Raw events, as far as they are kept, in order of arrival."""
    held = rows.events()
    table = _pandas(held.rows)
    _categorize(table, series=(), **dict.fromkeys(rows.feed.dimensions, ()))
    table.attrs["missed"] = held.missed
    return table


def gap_frame(gaps: Sequence[Mark]) -> pd.DataFrame:
    """Stretches that the feed did not deliver."""
    table = pd.DataFrame(
        [(gap.start, gap.end, gap.end - gap.start) for gap in gaps], columns=["start", "until", "seconds"]
    )
    return table.assign(start=_moments(table["start"]), until=_moments(table["until"])).astype({"seconds": "float64"})


def count_frame(rows: Rows) -> pd.DataFrame:
    """How often each value of each dimension occurred in each window, a row each."""
    counts = _pandas(rows.read("dimension_counts")).rename(columns={"start": "time"})
    ordered = counts[["time", "series", "dimension", "value", "count"]].astype({"count": "int64"})
    _categorize(ordered, series=(), dimension=rows.feed.dimensions, value=())
    first = ["time", "series", "dimension", "count", "value"]
    return ordered.sort_values(first, ascending=[True, True, True, False, True], ignore_index=True)


def contribution_frame(contributions: Sequence[Contribution]) -> pd.DataFrame:
    """Contributions by rank, with the excess of each."""
    table = pd.DataFrame(
        [
            (part.dimension, part.value, part.observed, part.expected, part.observed - part.expected, part.share,
             part.significance, part.named)
            for part in contributions
        ],
        columns=["dimension", "value", "observed", "expected", "excess", "share", "significance", "named"],
        index=pd.RangeIndex(1, len(contributions) + 1, name="rank"),
    )  # fmt: skip
    numbers = dict.fromkeys(("observed", "expected", "excess", "share", "significance"), "float64")
    return table.astype({**numbers, "dimension": "category", "value": "str", "named": "bool"})


def sample_frame(contributions: Sequence[Contribution]) -> pd.DataFrame:
    """Events of the contributions, a row for each contribution that an event belongs to."""
    rows = [
        (rank, sample.id, sample.time, sample.title, web_address(sample.link))
        for rank, part in enumerate(contributions, 1)
        for sample in part.samples
    ]
    table = pd.DataFrame(rows, columns=["rank", "id", "time", "title", "link"])
    words = dict.fromkeys(("id", "title", "link"), "str")
    return table.assign(time=_moments(table["time"])).astype({**words, "rank": "int64"})


def _categorize(table: pd.DataFrame, **words: Sequence[str]) -> None:
    """Columns as categories: those of a known list in its order, others sorted."""
    for name, known in words.items():
        column = table[name].astype("category")
        found = set(column.cat.categories)
        order = [word for word in known if word in found]
        table[name] = column.cat.set_categories([*order, *sorted(found.difference(order))])


def _pandas(table: pa.Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    frame: pd.DataFrame = (table.select(list(columns)) if columns else table).to_pandas()
    return frame


def _moments(seconds: pd.Series[Any]) -> pd.Series[Any]:
    micros = (seconds.astype("float64") * 1e6).round()
    return pd.to_datetime(micros.astype("Int64"), unit="us", utc=True).astype("datetime64[us, UTC]")


def _worded(table: pd.DataFrame) -> pd.DataFrame:
    """Words of a short list as categories, severities in their order."""
    for name, kind in _KINDS.items():
        if name in table:
            words = pd.CategoricalDtype([str(word.value) for word in kind], ordered=name in _ORDERED)
            table[name] = table[name].astype("str").astype(words)
    return table


def _cell(value: Any) -> Any:
    """A field of an Anomaly as a table shows it."""
    return ", ".join(value) if isinstance(value, tuple) else value.value if isinstance(value, Enum) else value
