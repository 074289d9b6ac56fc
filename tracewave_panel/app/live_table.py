"""The one table behind every plot of a session, and the small one of its episodes.

Invariants of the live table: rows are sorted by ``start``; every column is as long as every other;
at most `rows` of them are kept; a window occurs once, in its last telling.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from bokeh.models import ColumnDataSource

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Quality, Score, Severity

from .wording import one_line

__all__ = ["FIRE", "SPAN", "EpisodeTable", "LiveTable", "Row", "row_of"]

Row: TypeAlias = Mapping[str, float]
"""One window under the columns' names."""

SPAN = 15 * 60.0
"""Seconds of windows that a page holds."""
FIRE = 0.5
"""Score at which a detector fires."""

INNER, OUTER = 1.0, 2.5  # spreads on either side of the expected value
CELL = 0.08  # height of an agreement cell where nobody fired
NAN = math.nan
_OF_WINDOWS = (
    *("start", "end", "observed", "line", "backfilled", "partial", "expected", "low", "high", "lowest", "highest"),
    *("gap", "quality", "late", "late_at", "fired", "height", "warm", "stale", "rarity", "provisional"),
)
_OF_DETECTORS = ("score", "above", "left", "span")
MILLISECONDS = 1000.0  # Bokeh's datetime axes count in these


class LiveTable:
    """Windows of the last quarter of an hour as columns of plain floats.

    Parameters
    ----------
    feed
        Names the features, which become the columns ``feature_0`` and so on.
    span
        Seconds of windows to keep.

    Attributes
    ----------
    source
        What the plots share. Its initial columns are plain lists: numpy arrays break reconnects.
    detectors
        Names of the detectors in the order of the columns ``score_0`` and so on.
    """

    def __init__(self, feed: Feed, span: float = SPAN) -> None:
        self.detectors: tuple[str, ...] = ()
        self._feed = feed
        self._span = span
        self.source = ColumnDataSource(data=self._empty(), name="live-table")

    @property
    def end(self) -> float | None:
        """End of the last window in seconds, or None before the first."""
        ends = self._columns()["end"]
        return ends[-1] / MILLISECONDS if ends else None

    def take(self, analyses: Sequence[Analysis]) -> None:
        """Show these windows: new ones in one stream, told-again ones as a patch.

        A detector seen for the first time, or a window from before the last one that was never
        told, makes the table anew; both are rare.
        """
        names = dict.fromkeys((*self.detectors, *(score.detector for each in analyses for score in each.scores)))
        self.take_rows([row_of(self._feed, analysis, tuple(names)) for analysis in analyses], tuple(names))

    def take_rows(self, rows: Sequence[Row], detectors: Sequence[str]) -> None:
        """Show windows that `row_of` has told, for one session or for many.

        Parameters
        ----------
        rows
            Told by `row_of` with these detectors or the first few of them.
        detectors
            Names in the order of their columns; those that the table knows come first.
        """
        if not rows:
            return
        grown = len(detectors) > len(self.detectors)
        self.detectors = tuple(detectors)
        columns = self._columns()
        starts = columns["start"]
        last = starts[-1] if starts else -math.inf
        newer = {row["start"]: row for row in rows if row["start"] > last}
        older = {row["start"]: row for row in rows if row["start"] <= last}
        known = {
            place: older[start]
            for start in older
            if (place := bisect_left(starts, start)) < len(starts) and starts[place] == start
        }
        if grown or len(known) < len(older) or not starts:
            self._renew({**older, **newer})
            return
        if known:
            self.source.patch({name: [(place, row.get(name, NAN)) for place, row in known.items()] for name in columns})
        if newer:
            ordered = [newer[start] for start in sorted(newer)]
            held = math.ceil(self._span * MILLISECONDS / (rows[-1]["end"] - rows[-1]["start"]))
            self.source.stream({name: [row.get(name, NAN) for row in ordered] for name in columns}, rollover=held)

    def _renew(self, told: Mapping[float, Row]) -> None:
        """Replace all columns by what is held and what was told."""
        held = self._columns()
        rows: dict[float, Row] = {
            start: {name: column[place] for name, column in held.items()} for place, start in enumerate(held["start"])
        }
        rows.update(told)
        last = max(rows)
        kept = [rows[start] for start in sorted(rows) if start > last - self._span * MILLISECONDS]
        self.source.data = {name: [row.get(name, NAN) for row in kept] for name in self._empty()}

    def _columns(self) -> dict[str, list[float]]:
        return cast("dict[str, list[float]]", self.source.data)

    def _empty(self) -> Any:
        names = list(_OF_WINDOWS)
        names += [f"feature_{place}" for place in range(len(self._feed.features))]
        names += [f"{column}_{place}" for place in range(len(self.detectors)) for column in _OF_DETECTORS]
        return {name: [] for name in names}


def row_of(feed: Feed, analysis: Analysis, detectors: Sequence[str]) -> dict[str, float]:
    """Tell one window as plain floats under the columns' names, the same for every session.

    Parameters
    ----------
    feed
        Its features become ``feature_0`` and so on.
    analysis
        The window and what was made of it.
    detectors
        Names in the order of ``score_0`` and so on.

    Returns
    -------
    dict
        Times in milliseconds since the epoch; what does not apply is not a number.
    """
    window = analysis.window
    start, end = window.start * MILLISECONDS, window.end * MILLISECONDS
    quality = window.quality
    gap = quality is Quality.GAP
    observed = NAN if gap else analysis.observed
    expected = NAN if analysis.expected is None else analysis.expected
    spread = NAN if analysis.spread is None else analysis.spread
    row = {
        "start": start,
        "end": end,
        "observed": observed,
        "line": observed if quality is Quality.OK else NAN,
        "backfilled": observed if quality in {Quality.BACKFILLED, Quality.REVISED} else NAN,
        "partial": observed if quality is Quality.PARTIAL else NAN,
        "expected": expected,
        "low": max(expected - INNER * spread, 0.0),
        "high": expected + INNER * spread,
        "lowest": max(expected - OUTER * spread, 0.0),
        "highest": expected + OUTER * spread,
        "gap": start if gap else NAN,
        "quality": float(list(Quality).index(quality)),
        "late": float(window.late),
        "late_at": start if window.late else NAN,
        "stale": start if quality in {Quality.BACKFILLED, Quality.REVISED} else NAN,
    }
    for place, value in enumerate(window.features[: len(feed.features)]):
        row[f"feature_{place}"] = NAN if gap else value
    scores = {score.detector: score for score in analysis.scores}
    judged = quality.judged
    row["fired"] = float(sum(score.fired for score in analysis.scores)) if judged else NAN
    row["height"] = max(row["fired"], CELL)
    row["warm"] = float(sum(score.warm for score in analysis.scores))
    row["rarity"] = analysis.rarity if judged and row["warm"] else NAN
    row["provisional"] = float(analysis.provisional)
    for place, name in enumerate(detectors):
        row |= _score_columns(place, scores.get(name), judged=judged)
    return row


def _score_columns(place: int, score: Score | None, *, judged: bool) -> dict[str, float]:
    if score is None or not score.warm or not judged:
        left = NAN if score is None or score.warm else float(score.windows_left)
        values = (NAN, FIRE, left, NAN)
    else:
        values = (score.score, max(score.score, FIRE), 0.0, float(score.span))
    return {f"{column}_{place}": value for column, value in zip(_OF_DETECTORS, values, strict=True)}


class EpisodeTable:
    """Anomalies as stretches of the time axis. Replaced when one is told, which is rare.

    An open episode ends in the far future: the plots cut it at their edge, so nothing has to be
    sent while it lasts.
    """

    OPEN_END = 8.64e15  # the last moment that a browser's Date knows, in milliseconds
    LIMIT = 60

    def __init__(self) -> None:
        self._told: dict[str, Anomaly] = {}
        self.source = ColumnDataSource(data=self._columns(), name="episodes")

    @property
    def open(self) -> int:
        """How many episodes are open."""
        return sum(anomaly.closed is None for anomaly in self._told.values())

    def take(self, anomalies: Sequence[Anomaly]) -> None:
        """Show the last telling of each of these."""
        if not anomalies:
            return
        self._told.update({anomaly.id: anomaly for anomaly in anomalies})
        newest = sorted(self._told.values(), key=lambda anomaly: anomaly.opened)[-self.LIMIT :]
        self._told = {anomaly.id: anomaly for anomaly in newest}
        self.source.data = self._columns()

    def _columns(self) -> Any:
        shown = [anomaly for anomaly in self._told.values() if anomaly.severity is not Severity.NONE]
        return {
            "id": [anomaly.id for anomaly in shown],
            "start": [anomaly.opened * MILLISECONDS for anomaly in shown],
            "end": [self.OPEN_END if anomaly.closed is None else anomaly.closed * MILLISECONDS for anomaly in shown],
            "severity": [anomaly.severity.value for anomaly in shown],
            "title": [one_line(anomaly.title, 60) for anomaly in shown],
        }
