"""Half-Space Trees over all features of a window, by river."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

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
        # river takes seconds to import, so it is imported when the first forest is planted
        from river.anomaly import HalfSpaceTrees as Forest  # noqa: PLC0415
        from river.preprocessing import MinMaxScaler  # noqa: PLC0415

        self.settings = settings
        self._names = sorted(feature.name for feature in feed.features)
        self._order = [feed.feature_index(name) for name in self._names]
        self._scaler: Any = MinMaxScaler()
        self._forest: Any = Forest(
            n_trees=settings.trees, height=settings.height, window_size=settings.window, seed=settings.seed
        )
        self._deviation = Deviation(
            DeviationSettings(span=1, gap=1, memory=600.0, warm_up=settings.warm_up - settings.window),
            least_variance=1e-6,
        )
        self._seen = 0
        self._walked: tuple[Window | None, float] = (None, 0.0)

    def _features(self, window: Window) -> dict[str, float]:
        values = window.features
        return {name: values[index] for name, index in zip(self._names, self._order, strict=True)}

    def score_one(self, window: Window) -> Score:
        """Judge a window against what was learned before it."""
        left = self.settings.warm_up - self._seen
        if left > 0:
            return abstain(self.name, left)
        mass = self._mass_score(window)
        judged = score_of_deviation(self.name, self._deviation.z(mass), two_sided=False)
        return msgspec.structs.replace(judged, statistic=mass)

    def _mass_score(self, window: Window) -> float:
        if self._walked[0] is not window:  # score, then learn: both want the same walk
            scaled = self._scaler.transform_one(self._features(window))
            self._walked = window, float(self._forest.score_one(scaled))
        return self._walked[1]

    def learn_one(self, window: Window) -> None:
        """Learn a window."""
        if self._seen >= self.settings.window:
            self._deviation.learn(self._mass_score(window))
        features = self._features(window)
        self._scaler.learn_one(features)
        self._forest.learn_one(self._scaler.transform_one(features))
        self._walked = (None, 0.0)
        self._seen += 1

    def snapshot(self) -> DetectorState:
        """Masses and ranges as arrays; the cuts follow from the seed."""
        masses = [(node.l_mass, node.r_mass) for tree in self._forest.trees for node in tree.iter_dfs()]
        return {
            "seen": self._seen,
            "counter": self._forest.counter,
            "masses": np.array(masses, dtype="<i4").tobytes(),
            "ranges": [[self._scaler.min[name].get(), self._scaler.max[name].get()] for name in self._names],
            "deviation": self._deviation.snapshot(),
        }

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot of a forest with the same settings.

        Raises
        ------
        StateError
            When the snapshot is of a forest of another size.
        """
        self._seen = state["seen"]
        self._deviation.restore(state["deviation"])
        if not self._seen:
            return
        for end in (0, 1):
            self._scaler.learn_one(dict(zip(self._names, (pair[end] for pair in state["ranges"]), strict=True)))
        self._forest.learn_one(dict.fromkeys(self._names, 0.0))  # grows the trees
        nodes = [node for tree in self._forest.trees for node in tree.iter_dfs()]
        masses = np.frombuffer(state["masses"], dtype="<i4").reshape(-1, 2).tolist()
        if len(masses) != len(nodes):
            msg = f"the saved forest has {len(masses)} nodes, these settings make {len(nodes)}; start without the State"
            raise StateError(msg)
        for node, (latest, reference) in zip(nodes, masses, strict=True):
            node.l_mass, node.r_mass = latest, reference
        self._forest.counter = state["counter"]
        self._forest._first_window = self._seen < self.settings.window  # noqa: SLF001 (river has no other way in)
