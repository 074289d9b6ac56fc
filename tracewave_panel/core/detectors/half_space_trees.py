"""Half-Space Trees over all features of a window, by river."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.core.detectors.base import DetectorState, abstain, score_of_deviation
from tracewave_panel.core.detectors.deviation import Deviation, DeviationSettings
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Score, Window

__all__ = ["HalfSpaceTrees", "TreesSettings"]


class TreesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the forest and its memory.

    Attributes
    ----------
    trees, height
        Height 8 is enough for six features; at 15 the swap of masses stalls for a tenth of a second.
    window
        Windows between two swaps of masses.
    seed
        Of the random cuts.
    warm_up
        Windows seen before anything is said; at least `window`, before which all scores are 0.
    """

    trees: int = 25
    height: int = 8
    window: int = 250
    seed: int = 1
    warm_up: int = 1000

    def __post_init__(self) -> None:
        """Refuse a forest that cannot grow or score."""
        if not 1 <= self.height <= 10:
            msg = f"height must be from 1 to 10, not {self.height}"
            raise ValueError(msg)
        if min(self.trees, self.window) < 1:
            msg = "trees and window must be at least 1"
            raise ValueError(msg)
        if self.warm_up < self.window + 2:
            msg = f"warm_up must be at least window + 2 = {self.window + 2}, not {self.warm_up}"
            raise ValueError(msg)


class HalfSpaceTrees:
    """How thinly populated the part of feature space is in which a window lies.

    Features are scaled to their range so far and passed under fixed names, since a missing one
    distorts the walk. The score of the forest (Tan, Ting and Liu 2011) has no scale of its own, so
    it is judged by its deviation from its own baseline.
    """

    name = "trees"
    defaults = TreesSettings()

    def __init__(self, feed: Feed, metric: Metric, settings: TreesSettings = defaults) -> None:  # noqa: ARG002
        # river and numba take seconds to import, so they are when the first forest is planted
        from tracewave_panel.core.detectors.forest import Forest  # noqa: PLC0415

        self.settings = settings
        self._order = [feed.feature_index(name) for name in sorted(feature.name for feature in feed.features)]
        self._forest = Forest(
            len(self._order),
            trees=settings.trees,
            height=settings.height,
            window=settings.window,
            seed=settings.seed,
        )
        self._deviation = Deviation(
            DeviationSettings(span=1, gap=1, memory=600.0, warm_up=settings.warm_up - settings.window),
            least_variance=1e-6,
        )
        self._walked: tuple[Window | None, float] = (None, 0.0)

    def _row(self, window: Window) -> NDArray[np.float64]:
        values = window.features
        return np.array([values[index] for index in self._order])

    def score_one(self, window: Window) -> Score:
        """Judge a window against what was learned before it."""
        left = self.settings.warm_up - self._forest.seen
        if left > 0:
            return abstain(self.name, left)
        mass = self._mass_score(window)
        return score_of_deviation(self.name, self._deviation.z(mass), statistic=mass, two_sided=False)

    def _mass_score(self, window: Window) -> float:
        if self._walked[0] is not window:  # score, then learn: both want the same walk
            self._walked = window, self._forest.score(self._row(window))
        return self._walked[1]

    def learn_one(self, window: Window) -> None:
        """Learn a window."""
        if self._forest.seen >= self.settings.window:
            self._deviation.learn(self._mass_score(window))
        self._forest.learn(self._row(window))
        self._walked = (None, 0.0)

    def snapshot(self) -> DetectorState:
        """Masses and ranges as arrays; the cuts follow from the seed."""
        forest = self._forest
        return {
            "seen": forest.seen,
            "masses": [masses.astype("<i4").tobytes() for masses in (forest.latest, forest.reference)],
            "ranges": [forest.low.tolist(), forest.high.tolist()],
            "deviation": self._deviation.snapshot(),
        }

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot of a forest with the same settings.

        Raises
        ------
        StateError
            When the snapshot is of a forest of another size.
        """
        forest = self._forest
        shape = forest.latest.shape
        masses = [np.frombuffer(packed, dtype="<i4").astype(np.int64) for packed in state["masses"]]
        if any(held.size != forest.latest.size for held in masses):
            raise StateError(
                f"the saved forest has {masses[0].size} nodes, these settings make {forest.latest.size}: "
                "start without the State"
            )
        forest.latest, forest.reference = (held.reshape(shape) for held in masses)
        forest.low, forest.high = (np.array(ends, dtype=np.float64) for ends in state["ranges"])
        forest.seen = state["seen"]
        self._deviation.restore(state["deviation"])
        self._walked = (None, 0.0)
