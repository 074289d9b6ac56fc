"""Every store keeps the promises of the port; the checks themselves find stores that do not."""

from __future__ import annotations

import itertools
import pkgutil
import time
from threading import Thread

import msgspec
import pytest
from findings_of import T0, analysis, anomaly, event, findings
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.ports import Page, SavedState
from tracewave_panel.stores import STORES
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.ring import RingStore
from tracewave_panel.testing import check_store


@pytest.mark.parametrize("name", STORES)
def test_every_store_keeps_the_promises_of_the_port(name, tmp_path):
    store = pkgutil.resolve_name(STORES[name])
    numbers = itertools.count()
    made = {
        "ring": store,
        "duckdb": lambda: store(tmp_path / f"{next(numbers)}.duckdb", WIKIMEDIA, commit_interval=0.02),
    }
    check_store(made[name])


class Backwards(RingStore):
    def analyses(self, after=0, limit=1000, **within):
        page = super().analyses(after, limit, **within)
        return msgspec.structs.replace(page, items=page.items[::-1])


class ForgetsScores(RingStore):
    def append(self, found):
        bare = tuple(msgspec.structs.replace(each, scores=()) for each in found.analyses)
        super().append(msgspec.structs.replace(found, analyses=bare))


class FirstTellingHolds(RingStore):
    def append(self, found):
        known = {each.id for each in self.anomalies().items}
        new = tuple(each for each in found.anomalies if each.id not in known)
        super().append(msgspec.structs.replace(found, anomalies=new))


class HidesLoss(RingStore):
    def __init__(self):
        super().__init__(events=20)

    def events(self, after=0, limit=1000):
        return msgspec.structs.replace(super().events(after, limit), missed=0)


class ForgetsState(RingStore):
    def load_state(self):
        return None


class NeverCloses(RingStore):
    def close(self):
        pass


class SkipsNews(RingStore):
    def analyses(self, after=0, limit=1000, **within):
        page = super().analyses(after, limit, **within)
        return page if after == 0 or not page.items else Page((), page.cursor)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Backwards, "out of order"),
        (ForgetsScores, "came back changed"),
        (FirstTellingHolds, "closing of an anomaly"),
        (HidesLoss, "said to be missed"),
        (ForgetsState, "load_state"),
        (NeverCloses, "does not raise StoreError"),
        (SkipsNews, "a reader got"),
    ],
)
def test_check_finds_a_store_that_breaks_a_promise(broken, words):
    with pytest.raises(AssertionError, match=words):
        check_store(broken, patience=0.2)


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 12), max_size=8),
    after=st.integers(0, 100),
    limit=st.integers(0, 20),
    capacity=st.integers(1, 9),
)
def test_ring_pages_hold_what_a_plain_list_would(sizes, after, limit, capacity):
    store = RingStore(events=capacity)
    told = []
    for size in sizes:
        more = tuple(event(0, len(told) + number) for number in range(size))
        store.append(findings(0, events=more))
        told += more
    page = store.events(after, limit)
    oldest = max(0, len(told) - capacity)
    first = min(max(after, oldest), len(told))
    assert page.items == tuple(told[first : first + limit])
    assert page.cursor == min(first + limit, len(told))
    assert page.missed == max(0, first - after)


def test_ring_keeps_the_anomalies_told_last_and_counts_the_forgotten():
    store = RingStore(anomalies=3)
    for number in range(5):
        store.append(findings(number, anomalies=(anomaly(f"a{number}", number), anomaly("long", 0, updated=number))))
    page = store.anomalies()
    assert [each.id for each in page.items] == ["a3", "a4", "long"]
    assert page.items[-1].updated == T0 + 4
    assert page.missed == 3
    assert store.anomalies(after=page.cursor) == Page((), page.cursor)


def test_cleared_ring_counts_from_zero():
    store = RingStore()
    store.append(findings(0, analysis(0), events=(event(0),), anomalies=(anomaly("a", 0),)))
    store.save_state(SavedState(T0, T0, b"", b""))
    store.clear()
    assert store.analyses() == store.events() == store.anomalies() == Page((), 0)
    assert store.load_state() is None


def test_ring_readers_beside_a_writer_miss_nothing_they_are_not_told_of():
    store = RingStore(events=500)
    total = 20_000
    accounts = []

    def read():
        cursor = seen = missed = 0
        while cursor < total:
            page = store.events(after=cursor, limit=300)
            seen, missed, cursor = seen + len(page.items), missed + page.missed, page.cursor
        accounts.append(seen + missed)

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(0, total, 100):
        store.append(findings(number, events=tuple(event(number, each) for each in range(100))))
    for reader in readers:
        reader.join()
    assert accounts == [total, total]


@pytest.mark.parametrize("kind", ["ring", "duckdb"])
def test_append_does_not_hold_up_the_feed(kind, tmp_path):
    store = RingStore() if kind == "ring" else DuckDBStore(tmp_path / "history.duckdb", WIKIMEDIA, commit_interval=0.05)
    found = [findings(n, analysis(n), events=tuple(event(n, each) for each in range(30))) for n in range(2000)]
    try:
        times = []
        for each in found:
            begin = time.perf_counter()
            store.append(each)
            times.append(time.perf_counter() - begin)
    finally:
        store.close()
    assert sorted(times)[1000] < 50e-6


def test_closed_ring_says_so():
    store = RingStore()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.clear()
