"""Distance of the newest stretch of values to the nearest earlier one, as compiled loops.

A left matrix profile: of each stretch only its past is searched, newest first, and a candidate is
abandoned as soon as it is farther than the best. Stretches are compared as they are, not
z-normalised, so that their level counts. Of stretches of one aggregate the past is kept in order of
size, where the nearest is found by bisection.

A value goes through the same loop whether it comes alone or with a day of others.

Source: Yeh et al., "Matrix Profile I", ICDM 2016; Lu et al., "Matrix Profile XXIV" (left profiles
of streams), KDD 2022.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tracewave_panel.core.detectors.base import DetectorState, Floats
from tracewave_panel.errors import StateError

__all__ = ["Profile"]

_STEP_MEMORY = 720.0
_CLIP = 3.0
_BLOCK = 64
_CHECKED = 4  # values compared between two looks at whether a block can be abandoned


class Profile:
    """The past of one metric, as means of `aggregate` windows, and the newest stretch of them.

    Parameters
    ----------
    aggregate
        Windows whose mean is one value of a stretch.
    length
        Aggregates in a stretch.
    memory
        How many aggregates back a stretch may end.
    root
        Whether values are square roots, with their sign, before anything else.
    """

    def __init__(self, *, aggregate: int, length: int, memory: int, root: bool) -> None:
        self.seen = 0
        self._aggregate, self._length, self._memory, self._root = aggregate, length, memory, root
        self._recent: Floats = np.zeros(aggregate * length)  # a ring of windows
        self._past: Floats = np.zeros(
            2 * (memory + length)
        )  # a ring of whole aggregates, twice: any part lies in a row
        self._ordered: Floats = np.zeros(memory if length == 1 else 0)  # candidates, by size
        self._steps: Floats = np.zeros(2)  # between aggregates: how many, and half their mean square

    def judge(self, value: float) -> float:
        """Distance of the newest stretch if `value` came next."""
        distance: float = _judge(
            value, self.seen, self._aggregate, self._length, self._memory, self._root,
            self._recent, self._past, self._ordered,
        )  # fmt: skip
        return distance

    def learn(self, value: float) -> None:
        """Take in the next value."""
        self._go_through(np.array([value]), np.zeros(0), 0)

    def go_through(self, values: Floats, warm_up: int) -> Floats:
        """Judge, then learn, each of n values in turn; the distances, NaN before `warm_up` values."""
        distances = np.full(values.size, math.nan)
        self._go_through(values, distances, warm_up)
        return distances

    def _go_through(self, values: Floats, distances: Floats, warm_up: int) -> None:
        _go_through(
            values, distances, warm_up, self.seen, self._aggregate, self._length, self._memory, self._root,
            self._recent, self._past, self._ordered, self._steps,
        )  # fmt: skip
        self.seen += values.size

    @property
    def usual(self) -> float:
        """Size of the noise in a stretch, in the unit of its distances."""
        return math.sqrt(self._steps[1] * self._length)

    def snapshot(self) -> DetectorState:
        """The memory as plain values; the order of the past follows from it."""
        return {
            "seen": self.seen,
            "recent": self._recent.astype("<f8").tobytes(),
            "past": self._past[: self._past.size // 2].astype("<f8").tobytes(),
            "steps": self._steps.tolist(),
        }

    def restore(self, state: DetectorState) -> None:
        """Go on from a snapshot.

        Raises
        ------
        StateError
            When the snapshot is of a profile of other sizes.
        """
        recent, past = (np.frombuffer(state[name], dtype="<f8").astype(np.float64) for name in ("recent", "past"))
        if (recent.size, 2 * past.size) != (self._recent.size, self._past.size):
            raise StateError(
                f"the saved profile has {recent.size} recent windows and {past.size} aggregates, these settings make "
                f"{self._recent.size} and {self._past.size // 2}: start without the State"
            )
        self.seen, self._recent, self._past = state["seen"], recent, np.tile(past, 2)
        self._steps = np.array(state["steps"], dtype=np.float64)
        if self._length == 1:
            oldest, newest = _candidates(self.seen, self._aggregate, 1, self._memory)
            held = past[np.arange(oldest, newest + 1) % past.size]
            self._ordered[: held.size] = np.sort(held)


@njit(cache=True, nogil=True)
def _candidates(seen: int, aggregate: int, length: int, memory: int) -> tuple[int, int]:
    """First and last aggregate at which an earlier stretch may end; none when the last is the smaller."""
    whole = (seen + 1) // aggregate
    return max(length - 1, whole - 1 - memory), whole - 1 - length


@njit(cache=True, nogil=True)
def _mean(value: float, seen: int, back: int, aggregate: int, recent: Floats) -> float:
    """Of the `aggregate` windows that end `back` windows before the newest, which is `value`."""
    total = 0.0
    for window in range(seen - back - aggregate + 1, seen - back + 1):
        total += value if window == seen else recent[window % recent.size]
    return total / aggregate


@njit(cache=True, nogil=True)
def _on_scale(value: float, root: bool) -> float:
    return math.copysign(math.sqrt(abs(value)), value) if root else value


@njit(cache=True, nogil=True)
def _judge(
    value: float, seen: int, aggregate: int, length: int, memory: int, root: bool,
    recent: Floats, past: Floats, ordered: Floats,
) -> float:  # fmt: skip
    value = _on_scale(value, root)
    oldest, newest = _candidates(seen, aggregate, length, memory)
    if length == 1:
        return _nearest(_mean(value, seen, 0, aggregate, recent), ordered[: newest - oldest + 1])
    stretch = np.empty(length)
    for k in range(length):
        stretch[k] = _mean(value, seen, k * aggregate, aggregate, recent)
    # blocks of neighbouring candidates are compared at once, newest first
    distances, best = np.empty(_BLOCK), math.inf
    place = newest % (past.size // 2) + past.size // 2
    left = newest - oldest + 1
    while left > 0:
        block = min(_BLOCK, left)
        best = min(
            best, _least_in_block(stretch, past[place - block - length + 2 : place + 1], distances[:block], best)
        )
        place -= block
        left -= block
    return math.sqrt(best)


@njit(cache=True, nogil=True)
def _least_in_block(stretch: Floats, past: Floats, distances: Floats, best: float) -> float:
    """Squared distance to the nearest candidate of a block; infinite when it is abandoned as no better than `best`."""
    distances[:] = 0.0
    for k in range(stretch.size):
        value, column = stretch[k], past[stretch.size - 1 - k :]
        for i in range(distances.size):
            difference = value - column[i]
            distances[i] += difference * difference
        if k % _CHECKED == _CHECKED - 1 and distances.min() >= best:
            return math.inf
    least: float = distances.min()
    return least


@njit(cache=True, nogil=True)
def _nearest(value: float, ordered: Floats) -> float:
    place, distance = np.searchsorted(ordered, value), math.inf
    if place < ordered.size:
        distance = ordered[place] - value
    if place > 0:
        distance = min(distance, value - ordered[place - 1])
    return distance


@njit(cache=True, nogil=True)
def _go_through(
    values: Floats, distances: Floats, warm_up: int, seen: int, aggregate: int, length: int, memory: int, root: bool,
    recent: Floats, past: Floats, ordered: Floats, steps: Floats,
) -> None:  # fmt: skip
    for n in range(values.size):
        if distances.size > 0 and seen >= warm_up:
            distances[n] = _judge(values[n], seen, aggregate, length, memory, root, recent, past, ordered)
        value = _on_scale(values[n], root)
        if (seen + 1) % aggregate == 0:
            latest = (seen + 1) // aggregate - 1
            mean, ring = _mean(value, seen, 0, aggregate, recent), past.size // 2
            if latest > 0:
                _learn_step(mean - past[(latest - 1) % ring], steps)
            past[latest % ring] = past[latest % ring + ring] = mean
        recent[seen % recent.size] = value
        seen += 1
        if length == 1 and (seen + 1) % aggregate == 0:  # what the next window completes has one candidate more
            oldest, newest = _candidates(seen, aggregate, 1, memory)
            if newest >= 0:
                held = newest - oldest  # before it is put in
                if oldest > 0:
                    held = _take_out(past[(oldest - 1) % (past.size // 2)], ordered, held + 1)
                _put_in(past[newest % (past.size // 2)], ordered, held)


@njit(cache=True, nogil=True)
def _put_in(value: float, ordered: Floats, held: int) -> None:
    place = np.searchsorted(ordered[:held], value)
    for i in range(held, place, -1):
        ordered[i] = ordered[i - 1]
    ordered[place] = value


@njit(cache=True, nogil=True)
def _take_out(value: float, ordered: Floats, held: int) -> int:
    for i in range(np.searchsorted(ordered[:held], value), held - 1):
        ordered[i] = ordered[i + 1]
    return held - 1


@njit(cache=True, nogil=True)
def _learn_step(step: float, steps: Floats) -> None:
    steps[0] = min(steps[0] + 1.0, _STEP_MEMORY)
    square = step * step / 2.0
    if steps[0] == _STEP_MEMORY:
        square = min(square, _CLIP * _CLIP * steps[1])
    steps[1] += (square - steps[1]) / steps[0]
