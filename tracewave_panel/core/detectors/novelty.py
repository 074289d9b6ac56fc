"""How unlike anything seen before the latest windows are."""

from __future__ import annotations

import math

import msgspec

from tracewave_panel.core.detectors.base import DetectorState, Floats, abstain, score_of_deviation
from tracewave_panel.core.detectors.watched import Watched
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Score, Window

__all__ = ["Novelty", "NoveltySettings"]


class NoveltySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is compared, and with how much of the past.

    Attributes
    ----------
    aggregate
        Windows whose mean is one value of a stretch.
    length
        Aggregates in a stretch.
    root
        Whether values are square roots, with their sign, first: it tames bursty ones.
    memory
        How many aggregates back a stretch may end.
    warm_up
        Aggregates seen before anything is said; at least ``2 * length``, before which there is
        nothing to compare with.
    """

    aggregate: int = 10
    length: int = 1
    root: bool = False
    memory: int = 8640
    warm_up: int = 360

    def __post_init__(self) -> None:
        """Refuse settings under which there is nothing to compare."""
        for name, least in (
            ("aggregate", 1), ("length", 1), ("memory", self.length), ("warm_up", 2 * self.length)
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")


class Novelty:
    """Distance of the newest stretch of windows to the nearest earlier one.

    Every window completes a stretch, made of running means; earlier stretches are those of whole
    aggregates. Needs no model of what is usual, and sees levels and shapes alike; see
    :mod:`~tracewave_panel.core.detectors.novelty_loops`. A distance has no scale of its own: as
    long as there is no reference for it, it is judged by the size of the noise in a stretch.
    """

    name = "novelty"
    two_sided = False
    defaults = NoveltySettings()

    def __init__(self, feed: Feed, metric: Metric, settings: NoveltySettings = defaults) -> None:
        # numba takes a second to import, so it is when the first detector is made
        from tracewave_panel.core.detectors.novelty_loops import Profile  # noqa: PLC0415

        self._watched = Watched(feed, metric)
        self._span = settings.aggregate * settings.length
        self._warm_up = settings.aggregate * settings.warm_up
        self._profile = Profile(
            aggregate=settings.aggregate, length=settings.length, memory=settings.memory, root=settings.root
        )
        self._least = math.sqrt(self._watched.least_variance * settings.length / settings.aggregate)

    def score_one(self, window: Window) -> Score:
        """Judge a window against what was learned before it."""
        left = self._warm_up - self._profile.seen
        if left > 0:
            return abstain(self.name, left)
        distance = self._profile.judge(self._watched.value(window))
        z = distance / max(self._profile.usual, self._least)
        return score_of_deviation(self.name, z, statistic=distance, two_sided=False, span=self._span)

    def learn_one(self, window: Window) -> None:
        """Learn a window."""
        self._profile.learn(self._watched.value(window))
        self._watched.learn(window)

    def score_many(self, features: Floats, starts: Floats) -> Floats:
        """Score, then learn, windows in order: shapes (n, features of the feed) and (n,) in, distances (n,) out."""
        return self._profile.go_through(self._watched.values(features, starts), self._warm_up)

    def snapshot(self) -> DetectorState:
        """The memory, to go on from."""
        return self._profile.snapshot() | {"watched": self._watched.snapshot()}

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot.

        Raises
        ------
        StateError
            When the snapshot is of a profile of other sizes.
        """
        self._profile.restore(state)
        self._watched.restore(state["watched"])
