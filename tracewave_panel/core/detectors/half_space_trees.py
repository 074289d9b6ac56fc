"""Half-Space Trees over all features of a window, by river."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np

from tracewave_panel.core.detectors.base import DetectorState, Floats, abstain
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Score, Window

__all__ = ["HalfSpaceTrees", "TreesSettings"]


class TreesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the forest, its memory, and what it is shown. All lengths are counted in windows.

    Attributes
    ----------
    trees, height
        Height 8 is enough for six features; at 15 the swap of masses stalls for a tenth of a second.
    window
        Windows between two swaps of masses.
    seed
        Of the random cuts.
    warm_up
        Windows seen before anything is said.
    rows
        ``features``: recent means of all features of the feed, as deviations from their baselines.
        ``history``: value, change, mean and deviation of ten of the metric alone, scaled to their
        range so far; for a feed that has only one.
    span, memory
        Of the recent means and of the baselines of ``features``.
    dead_zone
        Deviations up to this count as none.
    limit
        Cuts are drawn among deviations up to this, beyond the dead zone.
    """

    trees: int = 25
    height: int = 8
    window: int = 250
    seed: int = 1
    warm_up: int = 1000
    rows: Literal["features", "history"] = "features"
    span: float = 20.0
    memory: float = 200.0
    dead_zone: float = 2.0
    limit: float = 8.0

    def __post_init__(self) -> None:
        """Refuse a forest that cannot grow or score."""
        if not 1 <= self.height <= 10:
            raise ValueError(f"height must be from 1 to 10, not {self.height}")
        if min(self.trees, self.window) < 1:
            raise ValueError("trees and window must be at least 1")
        if self.rows not in {"features", "history"}:
            raise ValueError(f"rows must be features or history, not {self.rows!r}")
        least = self.window + 2 if self.rows == "features" else self.window
        if self.warm_up < least:
            words = "window + 2" if self.rows == "features" else "window"
            raise ValueError(f"warm_up must be at least {words} = {least}, not {self.warm_up}")
        for name, least_length in (("span", 1.0), ("memory", 1.0), ("dead_zone", 0.0)):
            if not least_length <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least {least_length:g}, not {getattr(self, name)}")
        if not 0.0 < self.limit < math.inf:
            raise ValueError(f"limit must be above 0, not {self.limit}")


class HalfSpaceTrees:
    """How thinly populated the part of feature space is in which a window lies.

    The score of the forest (Tan, Ting and Liu 2011) is its statistic. It has no scale of its own:
    as long as there is no reference for it, it proves nothing, and p is 1.
    """

    name = "trees"
    two_sided = False
    defaults = TreesSettings()

    def __init__(self, feed: Feed, metric: Metric, settings: TreesSettings = defaults) -> None:
        # river and numba take seconds to import, so they are when the first forest is planted
        from tracewave_panel.core.detectors.forest import Forest  # noqa: PLC0415
        from tracewave_panel.core.detectors.forest_rows import History, Rows, Standardised  # noqa: PLC0415

        self.settings = settings
        self._counts = np.array([feature.fold == "rate" for feature in feed.features])
        self._width = 0.0
        self._seen = 0
        self._rows: Rows
        if settings.rows == "history":
            self._unshown = 0
            self._rows = History(feed.feature_index(metric.feature))
        else:
            # the baselines settle first, so that the forest's first reference is of ordinary rows
            self._unshown = settings.warm_up - settings.window
            self._rows = Standardised(
                feed,
                span=settings.span,
                memory=settings.memory,
                warm_up=self._unshown,
                dead_zone=settings.dead_zone,
            )
        self._forest = Forest(
            self._rows.columns,
            trees=settings.trees,
            height=settings.height,
            window=settings.window,
            seed=settings.seed,
            limit=None if settings.rows == "history" else settings.limit,
        )

    def _features(self, window: Window) -> Floats:
        features = np.array(window.features)
        return np.where(self._counts, features * window.width, features)

    def score_one(self, window: Window) -> Score:
        """Judge a window against what was learned before it."""
        left = self.settings.warm_up - self._seen
        if left > 0:
            return abstain(self.name, left)
        return Score(self.name, statistic=self._forest.judge(self._rows.look(self._features(window))))

    def learn_one(self, window: Window) -> None:
        """Learn a window."""
        self._width = window.width
        self._go_through(self._features(window)[None, :])

    def score_many(self, features: Floats, starts: Floats) -> Floats:
        """Score, then learn, windows in order: shapes (n, features of the feed) and (n,) in, statistics (n,) out.

        They are as wide as those before, or else as the shortest step between two of them.
        """
        if not self._width:
            steps = np.diff(starts)
            self._width = round(float(steps[steps > 0].min()), 6) if np.any(steps > 0) else 1.0
        return self._go_through(np.where(self._counts, features * self._width, features))

    def _go_through(self, features: Floats) -> Floats:
        rows = self._rows.go_through(features)
        skipped = min(max(self._unshown - self._seen, 0), len(rows))
        abstained = max(self.settings.warm_up - self._seen, 0)
        self._seen += len(rows)
        statistics = np.concatenate([np.zeros(skipped), self._forest.go_through(rows[skipped:])])
        statistics[:abstained] = math.nan
        return statistics

    def snapshot(self) -> DetectorState:
        """The memory, to go on from."""
        return {
            "seen": self._seen,
            "width": self._width,
            "rows": self._rows.snapshot(),
            "forest": self._forest.snapshot(),
        }

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot of a forest with the same settings.

        Raises
        ------
        StateError
            When the snapshot is of a forest of another size, or of other rows.
        """
        self._rows.restore(state["rows"])
        self._forest.restore(state["forest"])
        self._seen, self._width = state["seen"], state["width"]
