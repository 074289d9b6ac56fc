"""What the engine has to reach, and whether it did."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from tracewave_panel.lab.cases import CleanRow, RecallRow
from tracewave_panel.lab.cost import WindowCost
from tracewave_panel.lab.explanations import ExplanationRates
from tracewave_panel.lab.faults import FaultRow

__all__ = ["Target", "targets"]

_TOLD_WITHIN = 35.0
_COST = 300.0


class Target(msgspec.Struct, frozen=True):
    """One figure beside its floor.

    Attributes
    ----------
    at_most
        Whether small is good.
    floor, stretch
        What has to be reached, and what would be better still; None: nothing was set.
    reached
        What was measured; None or NaN when nothing could be.
    """

    what: str
    reached: float | None
    floor: float | None
    at_most: bool = False
    stretch: float | None = None

    def reaches(self, limit: float | None) -> bool | None:
        """Whether the figure is at least as good as a limit; None without one."""
        if limit is None:
            return None
        if self.reached is None:
            return False
        return self.reached <= limit if self.at_most else self.reached >= limit

    def as_dict(self) -> dict[str, Any]:
        """Plain values, and whether the floor was met."""
        return msgspec.structs.asdict(self) | {"met": self.reaches(self.floor)}

    @property
    def floor_words(self) -> str:
        """The floor, with its sign."""
        return "" if self.floor is None else f"{'<=' if self.at_most else '>='} {self.floor:g}"

    @property
    def reached_words(self) -> str:
        """The figure."""
        # with a digit more than the floors have, what just misses one does not read as if it met it
        return "-" if self.reached is None or math.isnan(self.reached) else f"{self.reached:.4g}"

    @property
    def met_words(self) -> str:
        """Yes, NO, or nothing."""
        return {None: "", True: "yes", False: "NO"}[self.reaches(self.floor)]

    @property
    def stretch_words(self) -> str:
        """The stretch, and whether it was reached."""
        reached = self.reaches(self.stretch)
        return "" if reached is None else f"{self.stretch:g}: {'yes' if reached else 'no'}"


def targets(
    clean: Sequence[CleanRow],
    recall: Sequence[RecallRow],
    faults: Sequence[FaultRow],
    explanations: Sequence[ExplanationRates],
    cost: WindowCost,
) -> tuple[Target, ...]:
    """Compare what was measured with the floors of the design."""
    return (
        *_clean(clean),
        *_recall(recall),
        *_faults(faults),
        *_explanations(explanations),
        Target("cost of a window, all detectors, us", cost.lane, _COST, at_most=True),
    )


def _clean(rows: Sequence[CleanRow]) -> Iterator[Target]:
    for row in rows:
        rate = row.episodes_a_day["ensemble"]
        yield Target(f"clean episodes a day, dispersion {row.dispersion:g}", rate, 2.0, at_most=True)
    total = sum(row.days for row in rows)

    def mean(of: Callable[[CleanRow], float]) -> float:
        return sum(of(row) * row.days for row in rows) / total

    usual = mean(lambda row: row.episodes_a_day["ensemble"])
    changed = {"cold start": mean(lambda row: row.cold)}
    if all("trees" in row.without for row in rows):
        changed["without river"] = mean(lambda row: row.without["trees"])
    for name, rate in changed.items():
        factor = max(rate, usual) / max(min(rate, usual), 1e-9)
        yield Target(f"clean episodes a day, {name}: factor", factor, 2.0, at_most=True)


_Bound = float | None
_RECALL: tuple[tuple[str, float, float, float, _Bound, _Bound, _Bound, _Bound], ...] = (
    ("surge", 3.0, 60, 8.0, 1.0, 4.0, None, None),
    ("surge", 2.0, 60, 8.0, 0.98, 8.0, None, None),
    ("surge", 1.5, 60, 8.0, 0.55, 27.0, 0.70, 20.0),
    ("surge", 2.0, 60, 4.0, 0.95, None, None, None),
    ("drop", 0.25, 60, 8.0, 1.0, None, None, None),
    ("drop", 0.5, 60, 8.0, 0.90, None, None, None),
    ("outage", 0.0, 60, 8.0, 1.0, None, None, None),
    ("burst", 5.0, 3, 8.0, 0.90, None, None, None),
    ("drift", 1.5, 1800, 8.0, None, None, 0.50, None),
    ("surge", 1.25, 600, 8.0, None, None, 0.50, None),
)
"""Kind, effect, seconds, dispersion; floors of recall and of the median delay; their stretches."""


def _recall(rows: Sequence[RecallRow]) -> Iterator[Target]:
    for kind, effect, length, dispersion, floor, delay_floor, stretch, delay_stretch in _RECALL:
        wanted = kind, effect, length, dispersion
        for row in rows:
            if (row.case.kind, row.case.effect, row.case.length, row.dispersion) == wanted:
                told = row.by["ensemble"]
                what = f"{row.case.title}, dispersion {dispersion:g}"
                yield Target(f"{what}: recall", told.recall, floor, stretch=stretch)
                if delay_floor is not None:
                    yield Target(
                        f"{what}: median delay, s", told.delay, delay_floor, at_most=True, stretch=delay_stretch
                    )


def _faults(rows: Sequence[FaultRow]) -> Iterator[Target]:
    kinds = dict.fromkeys(row.kind for row in rows)
    for kind in kinds:
        of_kind = [row for row in rows if row.kind == kind]
        number = sum(row.faults for row in of_kind)
        false = sum(row.false_anomalies for row in of_kind)
        yield Target(f"false anomalies in {number} faults: {kind}", float(false), 0.0, at_most=True)
        lost = sum(row.lost for row in of_kind)
        yield Target(f"events lost in them: {kind}", float(lost), 0.0, at_most=True)
    waits = [row.silence_told_after for row in rows if row.silence_told_after is not None]
    if waits:
        yield Target("silence without proof of life is told after, s", max(waits), _TOLD_WITHIN, at_most=True)


_EXPLAINED = {
    ("rise +25 %", 30): (0.985, None),
    ("rise +50 %", 30): (0.993, None),
    ("rise +25 %", 5): (0.92, 0.97),
    ("rise +50 %", 5): (0.97, 0.98),
}
_GLOBAL = 0.97


def _explanations(rows: Sequence[ExplanationRates]) -> Iterator[Target]:
    for row in rows:
        floors = _EXPLAINED.get((row.kind, row.length))
        if floors:
            floor, small_floor = floors
            yield Target(f"culprit first, {row.kind}, {row.length} s", row.first, floor)
            if small_floor is not None:
                yield Target(f"the same, values under 10 % share, {row.kind}", row.first_small, small_floor)
        elif row.kind.startswith("global"):
            yield Target(f"told as global, {row.kind}, {row.length} s", row.told_global, _GLOBAL)
