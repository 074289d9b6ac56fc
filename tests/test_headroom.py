"""A query that wants more memory than there may be ends as an error of the query, not of the process."""

from __future__ import annotations

import resource
import sys
import threading
import time

import pytest
from findings_of import analysis, findings

from tracewave_panel.errors import QueryError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.headroom import Headroom

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the bound")


def limits():
    return resource.getrlimit(resource.RLIMIT_DATA)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT len(range(1000000000))",
        "SELECT len(repeat('x', 4000000000))",
        "SELECT len(list_resize([1], 1000000000, 1))",
        "SELECT unnest(generate_series(1, 1000000000)) LIMIT 1",
        "SELECT len(list_transform(range(1000000000), lambda x: x + 1))",
    ],
)
def test_value_too_large_for_the_machine_is_refused_at_once_and_nothing_else_suffers(tmp_path, sql):
    before = limits()
    with DuckDBStore(tmp_path / "history.duckdb", WIKIMEDIA, commit_interval=0.01) as store:
        begin = time.monotonic()
        with pytest.raises(QueryError, match=r"more memory than it may have|value of more than 10,000"):
            store.query(sql)
        assert time.monotonic() - begin < 5
        assert limits() == before
        store.append(findings(1, analysis(0)))
        store.flush()
        assert store.query("SELECT count(*) AS n FROM windows").rows == ((1,),)
        assert store.failures == 0


def test_bound_holds_from_the_first_to_the_last_who_is_inside():
    before, headroom = limits(), Headroom(1 << 30)
    entered, leave = threading.Event(), threading.Event()

    def stay():
        with headroom:
            entered.set()
            leave.wait(10)

    other = threading.Thread(target=stay)
    with headroom:
        bound = limits()
        other.start()
        assert entered.wait(10)
        assert limits() == bound
        with pytest.raises(MemoryError):
            bytearray(2 << 30)
    assert limits() == bound
    assert bound[0] != before[0]
    leave.set()
    other.join()
    assert limits() == before


def test_bound_is_taken_away_after_an_error():
    before = limits()
    with pytest.raises(ValueError, match="mine"), Headroom(1 << 30):
        raise ValueError("mine")
    assert limits() == before


def test_lower_bound_of_the_process_stays():
    before = limits()
    low = 64 << 30
    resource.setrlimit(resource.RLIMIT_DATA, (low, before[1]))
    try:
        with Headroom(1 << 40):
            assert limits()[0] == low
        assert limits()[0] == low
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def test_headroom_says_when_it_becomes_tight():
    headroom = Headroom(300 << 20)
    assert not headroom.tight
    with headroom:
        assert not headroom.tight
        large = bytearray(240 << 20)
        assert headroom.tight
        del large
        assert not headroom.tight
    assert not headroom.tight
