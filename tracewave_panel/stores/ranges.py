"""Which moments a reader asks for, and gaps as whole stretches."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tracewave_panel.model import Mark, Quality

__all__ = ["Range", "stretches"]


class Range(msgspec.Struct, frozen=True):
    """Moments from `since` on and before `until`, in epoch seconds; without an end that is None.

    Examples
    --------
    >>> [moment for moment in (1.0, 2.0, 3.0) if Range(2.0, 3.0).holds(moment)]
    [2.0]
    >>> Range().endless
    True
    """

    since: float | None = None
    until: float | None = None

    @property
    def endless(self) -> bool:
        """Whether it has neither a first nor a last moment."""
        return self.since is None and self.until is None

    def holds(self, moment: float) -> bool:
        """Whether a moment lies in it."""
        return (self.since is None or self.since <= moment) and (self.until is None or moment < self.until)

    def overlaps(self, gap: Mark) -> bool:
        """Whether a stretch lies in it, at least in part; never in a range that holds no moment."""
        since = gap.start if self.since is None else max(self.since, gap.start)
        until = gap.end if self.until is None else min(self.until, gap.end)
        return since < until


def stretches(gaps: Iterable[Mark]) -> list[Mark]:
    """Gaps in order of time, those that overlap or touch as one.

    Examples
    --------
    >>> told = [Mark(5, 9, Quality.GAP), Mark(1, 2, Quality.GAP), Mark(2, 3, Quality.GAP)]
    >>> [(gap.start, gap.end) for gap in stretches(told)]
    [(1, 3), (5, 9)]
    """
    merged: list[Mark] = []
    for gap in sorted((gap for gap in gaps if gap.start < gap.end), key=lambda gap: gap.start):
        if merged and gap.start <= merged[-1].end:
            merged[-1] = Mark(merged[-1].start, max(merged[-1].end, gap.end), Quality.GAP)
        else:
            merged.append(gap)
    return merged
