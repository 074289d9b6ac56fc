"""Whether a store answers about stretches of time, and about one anomaly, as its port promises."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import eq
from typing import TypeVar

import msgspec

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, Mark, Quality
from tracewave_panel.ports import Page, Store
from tracewave_panel.testing.findings import T0, some_analysis, some_anomaly, some_findings
from tracewave_panel.testing.promise import await_answer, promise

__all__ = ["StoredRanges"]

T = TypeVar("T")

_SECONDS = 20
_RANGES: tuple[tuple[float | None, float | None], ...] = (
    (None, None),
    (T0 + 5, T0 + 12),
    (T0 + 5.5, T0 + 6.5),
    (T0 + 15, None),
    (None, T0 + 3),
    (T0 + 12, T0 + 5),
)


class StoredRanges:
    """Promises on a store that is new and empty."""

    def __init__(self, store: Store, feed: Feed, patience: float) -> None:
        self._store = store
        self._feed = feed
        self._patience = patience

    def pages_of_a_range_hold_each_analysis_once(self) -> None:
        """Page through windows that were not told in the order of their time."""
        told = [
            some_analysis(self._feed, 7 * number % _SECONDS, metric)
            for number in range(_SECONDS)
            for metric in ("rate", "editors")
        ]
        for number in range(_SECONDS):
            self._store.append(some_findings(number, analyses=tuple(told[2 * number : 2 * number + 2])))
        newest = self._shown(self._store.analyses, len(told))
        for since, until in _RANGES:
            self._check_pages(
                "analyses",
                partial(self._store.analyses, since=since, until=until),
                [each for each in told if _lies_within(each.window.start, since, until)],
                newest,
                f"[{since}, {until})",
            )

    def pages_of_a_range_hold_each_anomaly_once(self) -> None:
        """Page through last tellings, of which every third was told again."""
        last: dict[str, Anomaly] = {}
        for number in range(_SECONDS):
            anomaly = some_anomaly(f"a{number}", 7 * number % _SECONDS)
            last[anomaly.id] = anomaly
            self._store.append(some_findings(number, anomalies=(anomaly,)))
        for number in range(0, _SECONDS, 3):
            again = msgspec.structs.replace(last.pop(f"a{number}"), closed=T0 + 50)
            last[again.id] = again
            self._store.append(some_findings(_SECONDS + number, anomalies=(again,)))
        complete = tuple(last.values())
        newest = await_answer(self._store.anomalies, lambda page: page.items == complete, self._patience).cursor
        for since, until in _RANGES:
            self._check_pages(
                "anomalies",
                partial(self._store.anomalies, since=since, until=until),
                [each for each in complete if _lies_within(each.opened, since, until)],
                newest,
                f"[{since}, {until})",
            )

    def full_pages_and_empty_ones_lead_on(self) -> None:
        """Follow a range while more is appended, inside and outside of it."""
        for second in range(6):
            self._store.append(some_findings(second, analyses=(some_analysis(self._feed, second),)))
        newest = self._shown(self._store.analyses, 6)
        full = self._store.analyses(limit=2, since=T0 + 1)
        promise(
            [each.window.start - T0 for each in full.items] == [1, 2] and full.cursor < newest,
            f"a full page of a range does not end at its last item: {full}",
        )
        nothing = self._store.analyses(full.cursor, since=T0 + 6)
        promise(
            nothing == Page((), newest),
            f"a page on which nothing fits does not lead to the newest number {newest}: {nothing}",
        )
        later = tuple(some_analysis(self._feed, second) for second in (50, 6))
        self._store.append(some_findings(6, analyses=later))
        page = await_answer(
            lambda: self._store.analyses(newest, since=T0 + 6, until=T0 + 50),
            lambda page: bool(page.items),
            self._patience,
        )
        promise(page.items == later[1:], f"what was appended after the cursor of a range is not what follows: {page}")

    def tells_one_anomaly_as_it_was_told_last(self) -> None:
        """Ask for an anomaly by its id, before and after it grew."""
        promise(self._store.anomaly("a") is None, "an anomaly that was never told is not answered with None")
        opened = some_anomaly("a", 0)
        closed = msgspec.structs.replace(
            opened, updated=T0 + 2, closed=T0 + 2, contributions=opened.contributions[::-1]
        )
        for number, told in enumerate((opened, closed)):
            self._store.append(some_findings(number, anomalies=(told, some_anomaly("b", 1))))
            found = await_answer(partial(self._store.anomaly, "a"), partial(eq, told), self._patience)
            promise(found == told, f"anomaly(id) came back changed, or is not the last telling:\n{found}\nnot\n{told}")
        promise(self._store.anomaly("A") is None, "another id is answered with an anomaly")

    def tells_each_gap_once(self) -> None:
        """Tell gaps that grow, touch and overlap, not in the order of time."""
        promise(self._store.gaps() == (), f"a new store knows of gaps: {self._store.gaps()}")
        for number, (start, end) in enumerate(((30, 32), (10, 12), (0, 2), (0, 5), (5, 6.5), (11, 14), (31, 31.5))):
            mark = Mark(T0 + start, T0 + end, Quality.GAP)
            self._store.append(some_findings(number, gaps=(mark,)))
        first, second, third = (
            Mark(T0 + start, T0 + end, Quality.GAP) for start, end in ((0, 6.5), (10, 14), (30, 32))
        )
        held = await_answer(self._store.gaps, lambda found: found == (first, second, third), self._patience)
        promise(held == (first, second, third), f"gaps are not told once, whole and in order: {held}")
        for since, until, wanted in (
            (None, T0 + 10.5, (first, second)),
            (None, T0 + 10, (first,)),
            (T0 + 6, None, (first, second, third)),
            (T0 + 6.5, None, (second, third)),
            (T0 + 11, T0 + 12, (second,)),
            (T0 + 7, T0 + 9, ()),
            (T0 + 11, T0 + 11, ()),
            (T0 + 20, T0 + 10, ()),
        ):
            found = self._store.gaps(since=since, until=until)
            promise(found == wanted, f"gaps that overlap [{since}, {until}) are {found}, not {wanted}")

    def _shown(self, read: Callable[..., Page[T]], count: int) -> int:
        """Cursor behind so many items, as soon as the store shows them."""
        page = await_answer(lambda: read(limit=count), lambda page: len(page.items) == count, self._patience)
        promise(len(page.items) == count, f"of {count} items a reader got {len(page.items)}")
        return page.cursor

    def _check_pages(
        self, what: str, read: Callable[[int, int], Page[T]], wanted: list[T], newest: int, within: str
    ) -> None:
        """Promise that paging on from the start gives `wanted`, and leads to the newest number."""
        for limit in (3, 1000):
            read_so_far: list[T] = []
            cursor, full = 0, True
            while full:
                page = read(cursor, limit)
                read_so_far += page.items
                full = len(page.items) >= limit
                promise(len(page.items) <= limit, f"a page of at most {limit} {what} has {len(page.items)}")
                promise(page.missed == 0, f"{page.missed} {what} are said to be missed, and none was")
                promise(
                    cursor < page.cursor <= newest if full else page.cursor == newest,
                    f"from {cursor} a page of {len(page.items)} {what} within {within} leads to {page.cursor}; "
                    f"the newest number is {newest}",
                )
                cursor = page.cursor
            promise(
                read_so_far == wanted,
                f"paging by {limit} through {what} within {within} gave {len(read_so_far)} of {len(wanted)}, "
                "or others, or out of order",
            )


def _lies_within(moment: float, since: float | None, until: float | None) -> bool:
    return (since is None or moment >= since) and (until is None or moment < until)
