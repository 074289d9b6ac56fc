"""Whether a store keeps the promises of its port."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from threading import Thread
from typing import Any, TypeVar

import msgspec

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.model import Analysis, Event, Label, Mark, Quality, Score
from tracewave_panel.ports import Page, SavedState, Store
from tracewave_panel.testing.findings import T0, some_analysis, some_anomaly, some_findings
from tracewave_panel.testing.promise import await_answer, promise
from tracewave_panel.testing.stored_ranges import StoredRanges

__all__ = ["check_store"]

T = TypeVar("T")


def check_store(make_store: Callable[[], Store], *, feed: Feed = WIKIMEDIA, patience: float = 10.0) -> None:
    """Check that a store keeps the promises of :class:`~tracewave_panel.ports.Store`.

    A store may show appends late, and need not keep events; it must then count them in
    ``Page.missed``. It must hold a few dozen analyses and anomalies and a handful of gaps.

    Parameters
    ----------
    make_store
        Gives a new, empty store each time it is called.
    feed
        Whose windows the store expects.
    patience
        Seconds that the store may take to show what was appended.

    Raises
    ------
    AssertionError
        Saying which promise is broken.

    Examples
    --------
    >>> from tracewave_panel.stores.ring import RingStore
    >>> check_store(RingStore)
    """
    for check in (
        _StorePromises.starts_empty,
        _StorePromises.keeps_order_and_every_field,
        _StorePromises.shows_the_last_telling_of_an_anomaly,
        _StorePromises.tells_a_revised_window_again,
        _StorePromises.accounts_for_every_event,
        _StorePromises.survives_numbers_that_are_none,
        _StorePromises.returns_the_newest_state,
        _StorePromises.keeps_a_label_through_every_telling,
        _StorePromises.refuses_labels_of_nothing,
        _StorePromises.can_be_read_while_it_is_written,
        _StorePromises.refuses_calls_after_close,
    ):
        with closing(make_store()) as store:
            check(_StorePromises(store, feed, patience))
    for promised in (
        StoredRanges.pages_of_a_range_hold_each_analysis_once,
        StoredRanges.pages_of_a_range_hold_each_anomaly_once,
        StoredRanges.full_pages_and_empty_ones_lead_on,
        StoredRanges.tells_one_anomaly_as_it_was_told_last,
        StoredRanges.tells_each_gap_once,
    ):
        with closing(make_store()) as store:
            promised(StoredRanges(store, feed, patience))


class _StorePromises:
    def __init__(self, store: Store, feed: Feed, patience: float) -> None:
        self._store = store
        self._feed = feed
        self._patience = patience

    def starts_empty(self) -> None:
        for name in ("analyses", "anomalies", "events"):
            page = getattr(self._store, name)()
            promise(page == Page((), 0), f"a new store's {name}() is not an empty page with cursor 0: {page}")
        promise(self._store.load_state() is None, "a new store returns a State that nobody saved")

    def keeps_order_and_every_field(self) -> None:
        told = [some_analysis(self._feed, second, metric) for second in range(40) for metric in ("rate", "editors")]
        for second in range(40):
            self._store.append(some_findings(second, analyses=tuple(told[2 * second : 2 * second + 2])))
        read = self._follow(self._store.analyses, len(told), limit=7)
        promise(len(read) == len(told), f"of {len(told)} analyses a reader got {len(read)}")
        for expected, got in zip(told, read, strict=True):
            promise(got == expected, f"an analysis came back changed or out of order:\n{got}\ninstead of\n{expected}")
        cursor = self._store.analyses(limit=len(told)).cursor
        promise(
            self._store.analyses(after=cursor) == Page((), cursor),
            "a reader at the end does not get an empty page and its cursor",
        )
        ahead = self._store.analyses(after=cursor + 1000)
        promise(
            not ahead.items and ahead.cursor <= cursor + 1000,
            "a cursor from the future is not answered with an empty page",
        )
        self._store.append(some_findings(40, analyses=(some_analysis(self._feed, 40),)))
        more = self._wait(lambda: self._store.analyses(after=cursor), lambda page: bool(page.items))
        promise(
            [analysis.window.start for analysis in more.items] == [T0 + 40],
            f"after its cursor a reader does not get just what is new: {more}",
        )
        promise(more.missed == 0, f"{more.missed} analyses are said to be missed, and none was")

    def shows_the_last_telling_of_an_anomaly(self) -> None:
        opened = some_anomaly("a", 0)
        other = some_anomaly("b", 1)
        closed = msgspec.structs.replace(opened, updated=T0 + 2, closed=T0 + 2, contributions=opened.contributions[:1])
        for second, anomaly in enumerate((opened, other)):
            self._store.append(some_findings(second, anomalies=(anomaly,)))
        first = self._wait(self._store.anomalies, lambda page: len(page.items) == 2)
        promise(first.items == (opened, other), f"anomalies came back changed or out of order: {first.items}")
        self._store.append(some_findings(2, anomalies=(closed,)))
        news = self._wait(lambda: self._store.anomalies(after=first.cursor), lambda page: bool(page.items))
        promise(news.items == (closed,), f"the closing of an anomaly is not what follows the cursor: {news.items}")
        last = {anomaly.id: anomaly for anomaly in self._store.anomalies().items}
        promise(last == {"a": closed, "b": other}, f"the last telling of each id does not hold: {last}")

    def tells_a_revised_window_again(self) -> None:
        gap = some_analysis(self._feed, 0, quality=Quality.GAP)
        self._store.append(
            some_findings(0, analyses=(gap, some_analysis(self._feed, 1)), gaps=(Mark(T0, T0 + 1, Quality.GAP),))
        )
        first = self._wait(self._store.analyses, lambda page: len(page.items) == 2)
        revised = some_analysis(self._feed, 0, quality=Quality.REVISED, revision=1, values=1)
        self._store.append(some_findings(2, analyses=(revised,)))
        news = self._wait(lambda: self._store.analyses(after=first.cursor), lambda page: bool(page.items))
        promise(news.items == (revised,), f"a revised window is not what follows the cursor: {news.items}")
        held = {analysis.window.start: analysis for analysis in self._store.analyses().items}
        promise(held[T0] == revised, f"the newest revision of a window does not hold: {held[T0]}")

    def accounts_for_every_event(self) -> None:
        events = tuple(Event(T0 + n, T0 + n, T0 + n, "edits", str(n), title=f"page {n}") for n in range(50))
        for second in range(0, 50, 10):
            self._store.append(some_findings(second, events=events[second : second + 10]))
        page = self._wait(lambda: self._store.events(limit=50), lambda page: len(page.items) + page.missed == 50)
        promise(
            len(page.items) + page.missed == page.cursor == 50,
            f"of 50 events {len(page.items)} are shown and {page.missed} said to be missed, with cursor {page.cursor}",
        )
        promise(page.items == events[50 - len(page.items) :], "the events kept are not the newest, in order")

    def survives_numbers_that_are_none(self) -> None:
        odd = msgspec.structs.replace(
            some_analysis(self._feed, 0),
            observed=math.nan,
            expected=-math.inf,
            spread=math.inf,
            scores=(Score("odd", math.nan),),
        )
        self._store.append(some_findings(0, analyses=(odd,)))
        self._store.append(some_findings(1, analyses=(some_analysis(self._feed, 1),)))
        page = self._wait(self._store.analyses, lambda page: len(page.items) == 2)
        promise(len(page.items) == 2, "NaN and infinity in an analysis break the store")
        read = page.items[0]
        kept = math.isnan(read.observed) and (read.expected, read.spread) == (-math.inf, math.inf)
        promise(kept and math.isnan(read.scores[0].statistic), f"NaN and infinity came back changed: {read}")

    def returns_the_newest_state(self) -> None:
        for number in range(5):
            self._store.append(some_findings(number, analyses=(some_analysis(self._feed, number),)))
            saved = SavedState(
                T0 + number + 0.123456789, T0 + number + 1, b"position %d" % number, bytes(range(256)) * 40
            )
            self._store.save_state(saved)
        loaded = self._store.load_state()
        promise(loaded == saved, f"load_state() does not return what was saved last: {loaded}")

    def keeps_a_label_through_every_telling(self) -> None:
        opened = some_anomaly("a", 0)
        first, second = Label("a", "not_real", T0 + 2, "<b>Ada</b>"), Label("a", "real", T0 + 3, "<b>Ada</b>")
        self._store.append(some_findings(0, anomalies=(opened, some_anomaly("b", 1))))
        promise(self._store.labels() == (), "a new store has labels that nobody gave")
        other = Label("b", "real", T0 + 2.5)
        for label in (first, other, second):
            self._store.label(label)
        held = self._store.labels()
        promise(held == (other, second), f"the last label of each anomaly does not hold, or in another order: {held}")
        self._store.append(some_findings(4, anomalies=(msgspec.structs.replace(opened, updated=T0 + 4),)))
        promise(second in self._store.labels(), "a label is lost when its anomaly is told again")
        self._store.unlabel("a", T0 + 2)
        promise(second in self._store.labels(), "an older word takes back a label that was given after it")
        self._store.unlabel("a", T0 + 5)
        self._store.unlabel("a", T0 + 5)
        promise(self._store.labels() == (other,), f"a label that was taken back still holds: {self._store.labels()}")

    def refuses_labels_of_nothing(self) -> None:
        try:
            self._store.label(Label("nothing", "real", T0))
        except StoreError:
            promise(self._store.labels() == (), "a label that was refused is kept")
            return
        raise AssertionError("a label of an anomaly that was never told is not refused with StoreError")

    def can_be_read_while_it_is_written(self) -> None:
        told = [some_analysis(self._feed, second) for second in range(300)]
        results: list[list[Analysis]] = []
        failures: list[BaseException] = []

        def read() -> None:
            try:
                results.append(self._follow(self._store.analyses, len(told), limit=50))
            except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread of the caller
                failures.append(error)

        readers = [Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for second, analysis in enumerate(told):
            self._store.append(some_findings(second, analyses=(analysis,)))
        for reader in readers:
            reader.join()
        if failures:
            raise AssertionError(f"reading while another thread writes fails: {failures[0]!r}") from failures[0]
        for result in results:
            promise(result == told, f"a reader beside the writer got {len(result)} of {len(told)}, or out of order")

    def refuses_calls_after_close(self) -> None:
        self._store.append(some_findings(0, analyses=(some_analysis(self._feed, 0),)))
        self._store.close()
        self._store.close()
        calls: dict[str, Callable[[], Any]] = {
            "append": lambda: self._store.append(some_findings(1)),
            "analyses": self._store.analyses,
            "anomalies": self._store.anomalies,
            "anomaly": lambda: self._store.anomaly("a"),
            "gaps": self._store.gaps,
            "events": self._store.events,
            "save_state": lambda: self._store.save_state(SavedState(T0, T0, b"", b"")),
            "load_state": self._store.load_state,
            "label": lambda: self._store.label(Label("a", "real", T0)),
            "unlabel": lambda: self._store.unlabel("a", T0),
            "labels": self._store.labels,
        }
        for name, call in calls.items():
            try:
                call()
            except StoreError:
                continue
            raise AssertionError(f"{name}() after close() does not raise StoreError")

    def _follow(self, read: Callable[..., Page[T]], count: int, *, limit: int) -> list[T]:
        """Items by cursor, until there are `count` of them or patience ends."""
        items: list[T] = []
        cursor = 0
        deadline = time.monotonic() + self._patience
        while len(items) < count and time.monotonic() < deadline:
            page = read(after=cursor, limit=limit)
            promise(len(page.items) <= limit, f"a page of at most {limit} items has {len(page.items)}")
            promise(page.cursor >= cursor, f"the cursor goes back from {cursor} to {page.cursor}")
            promise(page.missed == 0, f"{page.missed} items are said to be missed, and none was")
            items += page.items
            cursor = page.cursor
            if not page.items:
                time.sleep(0.01)
        return items

    def _wait(self, read: Callable[[], Page[T]], complete: Callable[[Page[T]], bool]) -> Page[T]:
        return await_answer(read, complete, self._patience)
