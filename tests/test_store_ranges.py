"""Stretches of time and single anomalies, asked of both stores: pages that end, gaps told once, nothing skipped."""

from __future__ import annotations

import itertools
import math
import time

import duckdb
import msgspec
import pytest
from findings_of import T0, analysis, anomaly, findings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Label, Mark, Quality, Sample
from tracewave_panel.ports import Page, Store
from tracewave_panel.stores import schema
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.ring import RingStore
from tracewave_panel.testing import check_store

SECONDS = 24
MOMENTS = st.one_of(
    st.none(),
    st.integers(-2, SECONDS + 2).map(lambda second: T0 + second),
    st.floats(T0 - 2, T0 + SECONDS + 2),
    st.sampled_from([math.inf, -math.inf, math.nan, 1e300]),
)
ORDER = [11 * number % SECONDS for number in range(SECONDS)]


def opened(path, **options) -> DuckDBStore:
    return DuckDBStore(path, WIKIMEDIA, **{"commit_interval": 0.01, **options})


def fill(store) -> None:
    """Windows and openings out of the order of time, every fifth anomaly told again."""
    for second in ORDER:
        store.append(findings(second, analysis(second, values=1), anomalies=(anomaly(f"a{second}", second),)))
    for second in range(0, SECONDS, 5):
        store.append(findings(30, anomalies=(anomaly(f"a{second}", second, updated=29),)))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("ranges") / "history.duckdb") as history:
        ring = RingStore()
        for store in (ring, history):
            fill(store)
        history.flush()
        yield {"ring": ring, "duckdb": history}


def fits(moment, since, until):
    return (since is None or since <= moment) and (until is None or moment < until)


def numbered(name):
    """What `fill` left, with the numbers of its tellings."""
    if name == "analyses":
        return [(number, T0 + second) for number, second in enumerate(ORDER, 1)]
    again = range(0, SECONDS, 5)
    first = [(number, T0 + second) for number, second in enumerate(ORDER, 1) if second not in again]
    return [*first, *((number, T0 + second) for number, second in enumerate(again, SECONDS + 1))]


@pytest.mark.parametrize("kind", ["ring", "duckdb"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["analyses", "anomalies"]), after=st.integers(0, 35), since=MOMENTS, until=MOMENTS,
       limit=st.integers(1, 30))  # fmt: skip
def test_paging_with_any_limit_gives_each_item_of_a_range_once_in_order(filled, kind, name, after, since, until, limit):
    told = numbered(name)
    newest = told[-1][0]
    read, cursor = [], after
    for _ in range(SECONDS + 2):
        page = getattr(filled[kind], name)(cursor, limit, since=since, until=until)
        read += page.items
        assert page.missed == 0
        cursor = page.cursor
        if len(page.items) < limit:
            break
        assert cursor == next(n for n, moment in told if moment == moment_of(page.items[-1]))
    assert [moment_of(item) for item in read] == [
        moment for number, moment in told if number > after and fits(moment, since, until)
    ]
    assert cursor == newest


def moment_of(item):
    return item.opened if hasattr(item, "opened") else item.window.start


SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=12)


@settings(max_examples=200, deadline=None)
@given(spans=SPANS, since=st.none() | st.integers(0, 40), until=st.none() | st.integers(0, 40))
def test_gaps_cover_what_was_told_and_never_touch(spans, since, until):
    store = RingStore()
    last = {}
    for start, length in spans:
        store.append(findings(0, gaps=(Mark(start, start + length, Quality.GAP),)))
        last[start] = start + length
    missing = {second for start, end in last.items() for second in range(start, end)}
    told = store.gaps()
    assert {second for gap in told for second in range(gap.start, gap.end)} == missing
    assert all(before.end < after.start for before, after in itertools.pairwise(told))
    wanted = [
        gap for gap in told
        if any((since is None or since <= second) and (until is None or second < until)
               for second in range(gap.start, gap.end))
    ]  # fmt: skip
    assert store.gaps(since=since, until=until) == tuple(wanted)


def test_history_tells_the_same_gaps_as_the_ring(tmp_path):
    told = [(7 * number % 101, 1 + number % 9) for number in range(60)]
    ring = RingStore()
    with opened(tmp_path / "history.duckdb") as history:
        for store in (ring, history):
            for number, (start, length) in enumerate(told):
                store.append(findings(number, gaps=(Mark(T0 + start, T0 + start + length / 2, Quality.GAP),)))
        history.flush()
        assert len(ring.gaps()) > 5
        ends = (None, T0 - 1, T0 + 30, T0 + 30.5, T0 + 31, T0 + 200, math.inf, -math.inf, math.nan)
        for since, until in itertools.product(ends, ends):
            assert history.gaps(since=since, until=until) == ring.gaps(since=since, until=until), (since, until)


def test_ring_keeps_the_gaps_told_last_and_forgets_them_when_cleared():
    store = RingStore(gaps=3)
    long = Mark(T0, T0 + 1, Quality.GAP)
    for number in range(10):
        grown = msgspec.structs.replace(long, end=T0 + number + 1)
        store.append(findings(number, gaps=(grown, Mark(T0 + 100 + 2 * number, T0 + 101 + 2 * number, Quality.GAP))))
        assert store.gaps()[0] == grown
    assert [(gap.start - T0, gap.end - T0) for gap in store.gaps()] == [(0, 10), (116, 117), (118, 119)]
    store.clear()
    assert store.gaps() == ()


def test_gaps_of_history_outlive_a_restart(tmp_path):
    gap = Mark(T0 + 3, T0 + 9.25, Quality.GAP)
    with opened(tmp_path / "history.duckdb") as store:
        store.append(findings(10, gaps=(gap,)))
    with opened(tmp_path / "history.duckdb") as store:
        assert store.gaps() == store.gaps(since=T0 + 9) == (gap,)


def test_full_ring_says_what_a_range_may_have_missed_and_pages_on():
    store = RingStore(analyses=10)
    for second in range(25):
        store.append(findings(second, analysis(second)))
    page = store.analyses(3, 4, since=T0 + 12)
    assert [each.window.start - T0 for each in page.items] == [15, 16, 17, 18]
    assert (page.cursor, page.missed) == (19, 12)
    rest = store.analyses(page.cursor, 100, since=T0 + 12, until=T0 + 22)
    assert ([each.window.start - T0 for each in rest.items], rest.cursor, rest.missed) == ([19, 20, 21], 25, 0)


def test_page_of_nothing_looks_at_nothing(filled):
    for store in filled.values():
        for read in (store.analyses, store.anomalies):
            assert read(4, 0, since=T0).cursor == 4
            assert read(4, 0).cursor == 4


def test_anomaly_of_history_is_seen_before_it_is_committed(tmp_path):
    sample = Sample("1", T0 + 0.5, "Talk:Cats", "https://example.org/?diff=1")
    first = anomaly("a", 0)
    first = msgspec.structs.replace(
        first, contributions=(msgspec.structs.replace(first.contributions[0], samples=(sample,)),)
    )
    last = msgspec.structs.replace(first, updated=T0 + 5, closed=T0 + 5)
    with opened(tmp_path / "history.duckdb", commit_interval=60) as store:
        store.append(findings(1, anomalies=(first,)))
        assert store.anomaly("a") == first
        store.flush()
        assert store.backlog == 0
        assert store.anomaly("a") == first
        store.append(findings(3, anomalies=(msgspec.structs.replace(first, updated=T0 + 3),)))
        store.append(findings(5, anomalies=(last, anomaly("b", 4))))
        assert store.backlog == 2
        assert store.anomaly("a") == last
        store.flush()
        assert store.anomaly("a") == last
    with opened(tmp_path / "history.duckdb") as store:
        assert store.anomaly("a") == last


@pytest.mark.parametrize("identity", ["", "a' OR 1=1 --", "a\0", "\ud800", "A", "a0 "])
def test_id_that_no_anomaly_has_is_answered_with_none(filled, identity):
    for store in filled.values():
        assert store.anomaly(identity) is None


@pytest.mark.parametrize("kind", ["ring", "duckdb"])
def test_who_gave_a_label_is_kept(kind, tmp_path):
    given = Label("a", "real", T0 + 1, 'token "ops" <b>\u202e')
    store = RingStore() if kind == "ring" else opened(tmp_path / "history.duckdb")
    store.append(findings(0, anomalies=(anomaly("a", 0),)))
    store.label(given)
    assert store.labels() == (given,)
    store.close()
    if kind == "duckdb":
        with opened(tmp_path / "history.duckdb") as store:
            assert store.labels() == (given,)
            assert store.query("SELECT labels.by FROM labels").rows == ((given.by,),)


def test_append_of_gaps_and_anomalies_stays_cheap():
    store = RingStore()
    found = [findings(n, gaps=(Mark(T0 + 2 * n, T0 + 2 * n + 1, Quality.GAP),)) for n in range(5000)]
    times = []
    for each in found:
        begin = time.perf_counter()
        store.append(each)
        times.append(time.perf_counter() - begin)
    assert sorted(times)[2500] < 20e-6


# -- the checks find stores that break these promises


class IgnoresTheRange(RingStore):
    def analyses(self, after=0, limit=1000, *, since=None, until=None):
        return super().analyses(after, limit)


class ClosesTheRange(RingStore):
    def analyses(self, after=0, limit=1000, *, since=None, until=None):
        return super().analyses(after, limit, since=since, until=until and math.nextafter(until, math.inf))


class FiltersAPage(RingStore):
    """Takes a page and leaves out what does not fit: a full page may be short, and its cursor is not the newest."""

    def analyses(self, after=0, limit=1000, *, since=None, until=None):
        page = super().analyses(after, limit)
        fitting = tuple(each for each in page.items if fits(each.window.start, since, until))
        return msgspec.structs.replace(page, items=fitting)


class StandsStill(RingStore):
    def analyses(self, after=0, limit=1000, *, since=None, until=None):
        page = super().analyses(after, limit, since=since, until=until)
        return page if page.items or since is None else Page((), after)


class LeapsAhead(RingStore):
    def analyses(self, after=0, limit=1000, *, since=None, until=None):
        page = super().analyses(after, limit, since=since, until=until)
        return page if since is None else msgspec.structs.replace(page, cursor=super().analyses().cursor)


class AsksWhenItPeaked(RingStore):
    def anomalies(self, after=0, limit=1000, *, since=None, until=None):
        page = super().anomalies(after, limit)
        fitting = [each for each in page.items if fits(each.closed or each.peaked, since, until)]
        return msgspec.structs.replace(page, items=tuple(fitting))


class FindsTheFirstTelling(RingStore):
    def __init__(self):
        super().__init__()
        self.first = {}

    def append(self, found):
        super().append(found)
        for each in found.anomalies:
            self.first.setdefault(each.id, each)

    def anomaly(self, anomaly_id):
        return super().anomaly(anomaly_id) and self.first[anomaly_id]


class FindsAnything(RingStore):
    def anomaly(self, anomaly_id):
        return next(iter(self.anomalies().items), None)


class TellsGapsAsTheyCame(RingStore):
    def __init__(self):
        super().__init__()
        self.told = []

    def append(self, found):
        super().append(found)
        self.told += found.gaps

    def gaps(self, *, since=None, until=None):
        return super().gaps() and tuple(self.told)


class CutsGaps(RingStore):
    def gaps(self, *, since=None, until=None):
        return tuple(
            Mark(max(gap.start, since or gap.start), gap.end, gap.quality)
            for gap in super().gaps(since=since, until=until)
        )


class ForgetsWho(RingStore):
    def label(self, label):
        super().label(msgspec.structs.replace(label, by=""))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (IgnoresTheRange, r"analyses within .* gave 40 of"),
        (ClosesTheRange, r"analyses within .* gave"),
        (FiltersAPage, r"analyses within .* leads to"),
        (StandsStill, r"analyses within .* leads to 0"),
        (LeapsAhead, r"analyses within .* gave"),
        (AsksWhenItPeaked, r"anomalies within .*"),
        (FindsTheFirstTelling, "not the last telling"),
        (FindsAnything, "another id is answered"),
        (TellsGapsAsTheyCame, "not told once"),
        (CutsGaps, "gaps that overlap"),
        (ForgetsWho, "last label of each anomaly"),
    ],
)
def test_check_finds_a_store_that_breaks_a_promise_about_ranges(broken, words):
    with pytest.raises(AssertionError, match=words):
        check_store(broken, patience=0.2)


@pytest.mark.parametrize("kind", ["ring", "duckdb"])
def test_closed_store_answers_nothing_about_ranges(kind, tmp_path):
    store: Store = RingStore() if kind == "ring" else opened(tmp_path / "history.duckdb")
    store.close()
    for call in (lambda: store.anomaly("a"), store.gaps, lambda: store.analyses(since=T0)):
        with pytest.raises(StoreError, match="closed"):
            call()


# -- a long history


FIVE_MINUTES = 300
LONG = 250_000


def repeated(path, windows: int) -> None:
    """Give a history that holds the window at T0 as many as asked for, a second apart."""
    with opened(path) as store:
        store.append(findings(1, analysis(0, values=2)))
    with duckdb.connect(str(path)) as connection:
        for table in ("windows", *schema.DEPENDANTS):
            told = ", told + i AS told" if table == "metrics" else ""
            connection.execute(f"CREATE TEMP TABLE first AS FROM {table}")
            connection.execute(
                f"INSERT INTO {table} SELECT first.* REPLACE (start + to_seconds(i) AS start{told}) "
                f"FROM range(1, {windows}) moments(i), first ORDER BY i"
            )
            connection.execute("DROP TABLE first")


def test_five_minutes_of_a_long_history_are_read_about_as_fast_as_of_a_short_one(tmp_path):
    medians = {}
    for windows in (2 * FIVE_MINUTES, LONG):
        path = tmp_path / f"{windows}.duckdb"
        repeated(path, windows)
        with opened(path) as store:
            since = T0 + windows // 2
            times = []
            for _ in range(7):
                begin = time.perf_counter()
                page = store.analyses(since=since, until=since + FIVE_MINUTES)
                times.append(time.perf_counter() - begin)
            assert [each.window.start - since for each in page.items] == list(range(FIVE_MINUTES))
            assert page.cursor == windows
        medians[windows] = sorted(times)[3]
    assert medians[LONG] < 5 * medians[2 * FIVE_MINUTES], medians
