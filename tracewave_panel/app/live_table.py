"""The one table behind every plot of a page: windows as rows of plain floats.

The page holds it (``frames.js``): rows sorted by ``start``, a window once, in its last telling, and no more
than a quarter of an hour of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Quality, Score

__all__ = ["FIRE", "MILLISECONDS", "SPAN", "Row", "columns", "row_of"]

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


def columns(feed: Feed, detectors: Sequence[str]) -> tuple[str, ...]:
    """Names of the table's columns: of the window, of the feed's features, and of each detector by its place."""
    features = [f"feature_{place}" for place in range(len(feed.features))]
    scores = [f"{column}_{place}" for place in range(len(detectors)) for column in _OF_DETECTORS]
    return (*_OF_WINDOWS, *features, *scores)


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
