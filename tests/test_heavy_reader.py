"""Eight who ask for too much at once do not keep a live feed from being written."""

from __future__ import annotations

import itertools
import threading
import time

import msgspec
import psutil
import pytest
from findings_of import analysis, findings

from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Event
from tracewave_panel.stores.duckdb import DuckDBStore

READERS, EVENTS_A_SECOND = 8, 1_000
HEAVY = (
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range + b.range) = 7",
    "SELECT * FROM range(1000000000) ORDER BY hash(range) LIMIT 1 OFFSET 900000000",
    "SELECT count(DISTINCT hash(range)) FROM range(1000000000)",
    "SELECT len(list(range)) FROM range(1000000000)",
    "SELECT max(len(s)) FROM (SELECT list(range) OVER (ORDER BY range) s FROM range(1000000))",
    "SELECT a.start, sum(a.count * hash(b.value)) FROM windows a, dimension_counts b, range(1000) GROUP BY ALL",
    "WITH RECURSIVE t AS (SELECT 1 i UNION ALL SELECT i + 1 FROM t, range(3)) SELECT sum(i) FROM t",
    "SELECT mode(hash(range)) FROM range(1000000000)",
)  # fmt: skip


def events(second):
    return tuple(
        Event(
            second + number / EVENTS_A_SECOND, second, second, "edits", f"{second}-{number}",
            ("en.wikipedia.org", "en", "0", "human", "edit"), (1.0,), actor="somebody", title=f"Page {number % 97}",
        )
        for number in range(EVENTS_A_SECOND)
    )  # fmt: skip


def load_under_readers(folder, seconds):
    """Write a second of a feed each second beside eight readers; the worst figures seen."""
    ended, asked, wrong = threading.Event(), [], []
    with DuckDBStore(folder / "history.duckdb", WIKIMEDIA) as store:

        def read(number):
            for sql in itertools.islice(itertools.cycle(HEAVY), number, None):
                if ended.is_set():
                    return
                begun = time.monotonic()
                try:
                    store.query(sql, timeout=3)
                except QueryError:
                    asked.append(time.monotonic() - begun)
                except StoreError as error:
                    wrong.append(error)

        readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
        for reader in readers:
            reader.start()
        backlog, late, begun = 0, 0.0, time.monotonic()
        for second in range(seconds):
            time.sleep(max(0.0, begun + second - time.monotonic()))
            late = max(late, time.monotonic() - begun - second)
            told = findings(second + 1, analysis(second, count=EVENTS_A_SECOND))
            store.append(msgspec.structs.replace(told, events=events(float(second))))
            backlog = max(backlog, store.backlog)
        ended.set()
        for reader in readers:
            reader.join(20)
        flushing = time.monotonic()
        store.flush(30)
        figures = {
            "backlog": backlog,
            "late": round(late, 2),
            "flush": round(time.monotonic() - flushing, 2),
            "asked": len(asked),
            "slowest answer": round(max(asked), 2),
            "slowest commit": round(max(store.commit_seconds), 2),
            "memory": psutil.Process().memory_info().rss >> 20,
        }
        windows = store.query("SELECT count(*) AS n FROM windows").rows[0][0]
        return figures, windows, store.shed, store.failures, wrong


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_heavy_readers_leave_the_backlog_of_the_writer_under_five_seconds(tmp_path, seconds):
    figures, windows, shed, failures, wrong = load_under_readers(tmp_path, seconds)
    print(f"{READERS} readers for {seconds} s: {figures}")
    assert (windows, shed, failures, wrong) == (seconds, 0, 0, [])
    assert figures["backlog"] < 5
    assert figures["late"] < 1
    assert figures["slowest answer"] < 5
    assert figures["asked"] >= READERS
