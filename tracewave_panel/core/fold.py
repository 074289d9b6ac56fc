"""What a window keeps of its events while it is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

import msgspec

from tracewave_panel.feeds import Feature, Feed
from tracewave_panel.model import Event

__all__ = ["MOST_SAMPLES", "Fold", "FoldState"]

_CHUNK = 4096
_OF_MEASURES = frozenset(("mean_abs", "sum", "last"))
MOST_SAMPLES = 64


class FoldState(msgspec.Struct, frozen=True):
    """A fold as plain values."""

    count: int
    late: int
    dimensions: tuple[Mapping[str, int], ...]
    distinct: tuple[tuple[str, ...], ...]
    measured: tuple[float, ...]
    samples: tuple[Event, ...]
    stride: int


class Fold:
    """Counts, distinct values and sums of the events of one window.

    Events are gathered in `pending` and reduced by the column, which costs half of what a loop over
    them does; whoever adds calls `settle` now and then, so a long window does not grow with its events.

    Every `stride`-th event is kept as a sample. The stride doubles when they are over 64, so which
    ones are kept depends on the order of the events alone.

    Parameters
    ----------
    sampled
        Whether samples are kept.
    """

    __slots__ = ("_dimensions", "_distinct", "_feed", "_measured", "_reduced", "_samples", "_stride", "late", "pending")

    def __init__(self, feed: Feed, *, sampled: bool = True) -> None:
        self._feed = feed
        self.pending: list[Event] = []
        self._reduced = 0
        self._dimensions: list[dict[str, int]] = [{} for _ in feed.dimensions]
        self._distinct: tuple[set[str], set[str]] = (set(), set())  # actors, subjects
        self._measured = [0.0] * len(feed.features)  # by feature: sum so far, or the newest value
        self._samples: list[Event] = []
        self._stride = int(sampled)  # 0: none are kept
        self.late = 0

    @property
    def count(self) -> int:
        """Events so far."""
        return self._reduced + len(self.pending)

    def settle(self) -> None:
        """Reduce what is pending if it is much."""
        if len(self.pending) >= _CHUNK:
            self._reduce()

    def _reduce(self) -> None:
        events = self.pending
        if not events:
            return
        # counted as they come together, then each by itself: values stay in order of first occurrence
        together = Counter([event.dimensions for event in events])
        columns = zip(*together, strict=True)
        for held, values in zip(self._dimensions, columns, strict=True):
            for value, count in zip(values, together.values(), strict=True):
                held[value] = held.get(value, 0) + count
        actors, subjects = self._distinct
        actors.update({event.actor for event in events})
        subjects.update({event.subject for event in events})
        measured = [event.measures for event in events]
        for i, feature in enumerate(self._feed.features):
            if feature.fold in _OF_MEASURES:
                of_one = itemgetter(self._feed.measures.index(feature.of))
                self._measured[i] = _measured(feature.fold, self._measured[i], list(map(of_one, measured)))
        if self._stride:
            self._sample(events)
        self._reduced += len(events)
        self.pending = []

    def _sample(self, events: list[Event]) -> None:
        self._samples += events[-self._reduced % self._stride :: self._stride]
        while len(self._samples) > MOST_SAMPLES:
            del self._samples[1::2]
            self._stride *= 2

    def features(self, width: float) -> tuple[float, ...]:
        """The feed's features over a window of `width` seconds."""
        self._reduce()
        return tuple([self._feature(i, feature, width) for i, feature in enumerate(self._feed.features)])

    def _feature(self, position: int, feature: Feature, width: float) -> float:
        if feature.fold == "rate":
            return self._reduced / width
        if feature.fold == "distinct":
            return float(len(self._distinct[0 if feature.of == "actor" else 1]))
        if not self._reduced:
            return 0.0
        if feature.fold == "share":
            counts = self._dimensions[self._feed.dimensions.index(feature.of)]
            return counts.get(feature.value, 0) / self._reduced
        measured = self._measured[position]
        return measured / self._reduced if feature.fold == "mean_abs" else measured

    def dimension_counts(self) -> tuple[Mapping[str, int], ...]:
        """How often each value of each dimension occurred; not to be changed."""
        self._reduce()
        return tuple(self._dimensions)

    def samples(self) -> tuple[Event, ...]:
        """At most 64 events, evenly spread over the window."""
        self._reduce()
        return tuple(self._samples)

    def copy(self, *, sampled: bool = True) -> Fold:
        """A fold of the same events that goes its own way; without `sampled` it keeps no samples."""
        state = self.snapshot()
        if not sampled:
            state = msgspec.structs.replace(state, samples=(), stride=0)
        return Fold.restore(self._feed, state)

    def snapshot(self) -> FoldState:
        """The fold as plain values; going on from it gives the same windows."""
        self._reduce()
        return FoldState(
            count=self._reduced,
            late=self.late,
            dimensions=tuple(dict(counts) for counts in self._dimensions),
            distinct=tuple(tuple(sorted(values)) for values in self._distinct),
            measured=tuple(self._measured),
            samples=tuple(self._samples),
            stride=self._stride,
        )

    @classmethod
    def restore(cls, feed: Feed, state: FoldState) -> Fold:
        """Rebuild a fold from its snapshot."""
        fold = cls(feed)
        fold._reduced, fold.late = state.count, state.late
        fold._dimensions = [dict(counts) for counts in state.dimensions]
        fold._distinct = (set(state.distinct[0]), set(state.distinct[1]))
        fold._measured = list(state.measured)
        fold._samples, fold._stride = list(state.samples), state.stride
        return fold


def _measured(fold: str, carried: float, values: Sequence[float]) -> float:
    """What a feature carries on of a measure after some more values."""
    if fold == "last":
        return values[-1]
    added: Iterable[float] = map(abs, values) if fold == "mean_abs" else values
    # one addition after the other, so that the sum does not depend on where the events were cut
    for value in added:
        carried += value
    return carried
