"""Work that other threads ask of a history's writer: done between two commits, or not at all."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest
from findings_of import analysis, findings
from running import until

from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.transaction import transaction

INSERT = "INSERT INTO gaps VALUES (now(), now(), now())"


@pytest.fixture
def store(tmp_path):
    with DuckDBStore(tmp_path / "history.duckdb", WIKIMEDIA, commit_interval=0.02) as opened:
        yield opened


@pytest.fixture
def run(store):
    return store._writer.run


def gaps(store):
    ((count,),) = store.query("SELECT count(*) FROM gaps").rows
    return count


def insert(connection):
    connection.execute(INSERT)
    return "done"


def test_job_is_committed_when_it_returns(store, run):
    assert run(insert, 10) == "done"
    assert gaps(store) == 1


def test_job_sees_what_was_appended_before_it(tmp_path):
    with DuckDBStore(tmp_path / "history.duckdb", WIKIMEDIA, commit_interval=60) as store:
        store.append(findings(1, analysis(0)))
        began = time.monotonic()
        assert store._writer.run(lambda c: c.execute("SELECT count(*) FROM windows").fetchone(), 10) == (1,)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (duckdb.ConstraintException("a key is there twice"), StoreError),
        (OSError("no such disk"), StoreError),
        (StoreError("as it was"), StoreError),
        (KeyError("a bug"), KeyError),
        (TimeoutError("of its own"), StoreError),
    ],
)
def test_job_that_raises_leaves_nothing_and_the_writer_goes_on(store, run, error, raised):
    def fail(connection):
        insert(connection)
        raise error

    with pytest.raises(raised, match=str(error)):
        run(fail, 10)
    assert gaps(store) == 0
    store.append(findings(1, analysis(0)))
    assert run(insert, 10) == "done"
    assert store.query("SELECT count(*) FROM windows").rows == ((1,),)
    assert store.failures == 0


def test_job_that_sends_broken_sql_is_an_error_in_words(run):
    with pytest.raises(StoreError, match=r"history could not be written.*nonsense"):
        run(lambda c: c.execute("SELECT nonsense"), 10)


# -- too little memory

TOO_LARGE = "SELECT list(range) FROM range(20_000_000)"
HOLDS_SOME = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE hash(a.range + b.range) = 7"


def test_what_queries_hold_is_free_for_the_writer_once_it_lacks_memory(tmp_path):
    with DuckDBStore(tmp_path / "history.duckdb", WIKIMEDIA, commit_interval=0.02, memory_limit="64MB") as store:
        said = []

        def read():
            try:
                store.query(HOLDS_SOME, timeout=60)
            except QueryError as error:
                said.append(str(error))

        reader = threading.Thread(target=read)
        reader.start()
        while not store._selects.running:
            time.sleep(0.01)
        with pytest.raises(StoreError, match="history could not be written: Out of Memory Error"):
            store._writer.run(lambda connection: (insert(connection), connection.execute(TOO_LARGE).fetchall()), 30)
        reader.join(10)
        assert said == ["the query needs more memory than it may have; ask for less at once, or later"]
        until(lambda: not store._selects.running, 5)
        store.append(findings(1, analysis(0)))
        assert store._writer.run(insert, 10) == "done"
        counted = "SELECT (SELECT count(*) FROM gaps), (SELECT count(*) FROM windows)"
        assert store._writer.run(lambda connection: connection.execute(counted).fetchall(), 10) == [(1, 1)]
        assert (store.failures, store.shed) == (0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the bound")
def test_commits_that_fail_for_want_of_memory_are_made_good(tmp_path):
    # in a process of its own, which has no memory left over from other tests
    child = multiprocessing.get_context("spawn").Process(target=run_short_of_memory, args=(tmp_path,))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def run_short_of_memory(tmp_path):
    import resource  # noqa: PLC0415 (Windows has none)

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with DuckDBStore(tmp_path / "history.duckdb", WIKIMEDIA, commit_interval=0.02) as store:
        store.append(findings(1, analysis(0)))
        store.flush()
        counts = tuple({f"{name}{n}": 1 for n in range(20_000)} for name in "wlnak")
        large = findings(2, analysis(1, dimension_counts=counts))
        status = Path("/proc/self/status").read_text().splitlines()
        used = next(int(line.split()[1]) for line in status if line.startswith("VmData:"))
        resource.setrlimit(resource.RLIMIT_DATA, ((used << 10) + (1 << 20), before[1]))
        try:
            store.append(large)
            end = time.monotonic() + 10
            while not store.failures and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)
        assert store.failures
        store.flush(20)
        assert store.query("SELECT count(*) FROM windows").rows == ((2,),)
        assert store.query("SELECT count(*) FROM dimension_counts").rows == ((100_000 + 40,),)
        assert (store.shed, store.not_kept, store._writer.last_error) == (0, 0, "")


def test_job_that_lacks_memory_itself_leaves_the_writer_at_work(store, run):
    with pytest.raises(MemoryError):
        run(lambda connection: (insert(connection), bytearray(1 << 60)), 10)
    assert (run(insert, 10), gaps(store)) == ("done", 1)


def test_transaction_that_was_left_aborted_is_undone_before_the_next(tmp_path):
    with duckdb.connect(str(tmp_path / "any.duckdb")) as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
        connection.begin()
        connection.execute("INSERT INTO numbers VALUES (1)")
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("INSERT INTO numbers VALUES (1)")
        with transaction(connection):
            connection.execute("INSERT INTO numbers VALUES (2)")
        assert connection.execute("FROM numbers").fetchall() == [(2,)]


# -- time


def test_job_that_takes_too_long_is_stopped_and_undone(store, run):
    def slow(connection):
        insert(connection)
        connection.execute("SELECT count(*) FROM range(1000000) a, range(1000000) b").fetchall()

    began = time.monotonic()
    with pytest.raises(StoreError, match=r"within 0\.3 s; nothing of it was written"):
        run(slow, 0.3)
    assert run(insert, 5) == "done"  # the writer is free again
    assert time.monotonic() - began < 5
    assert gaps(store) == 1


def test_job_that_is_given_up_between_two_statements_is_undone(store, run):
    go_on = threading.Event()

    def waits(connection):
        insert(connection)
        go_on.wait(10)

    with pytest.raises(StoreError, match="nothing of it was written"):
        run(waits, 0.2)
    go_on.set()
    run(lambda connection: None, 10)
    assert gaps(store) == 0


def test_job_that_was_not_begun_in_time_never_is(store, run):
    go_on, begun = threading.Event(), threading.Event()

    def waits(connection):
        begun.set()
        go_on.wait(10)

    first = threading.Thread(target=run, args=(waits, 20))
    first.start()
    assert begun.wait(10)
    with pytest.raises(StoreError, match="nothing of it was written"):
        run(insert, 0.2)
    go_on.set()
    first.join(10)
    run(lambda connection: None, 10)
    assert gaps(store) == 0


def test_closing_waits_for_the_job_that_runs_and_refuses_those_that_wait(tmp_path):
    store = DuckDBStore(tmp_path / "history.duckdb", WIKIMEDIA, commit_interval=0.02)
    run, go_on, begun = store._writer.run, threading.Event(), threading.Event()
    outcomes = {}

    def waits(connection):
        begun.set()
        go_on.wait(10)
        return insert(connection)

    def ask(name, job):
        try:
            outcomes[name] = run(job, 20)
        except StoreError as error:
            outcomes[name] = str(error)

    running = threading.Thread(target=ask, args=("running", waits))
    running.start()
    assert begun.wait(10)
    waiting = threading.Thread(target=ask, args=("waiting", insert))
    waiting.start()
    while not store._writer._jobs:
        time.sleep(0.01)
    closing = threading.Thread(target=store.close)
    closing.start()
    while not store._writer._closing:
        time.sleep(0.01)
    ask("late", insert)
    go_on.set()
    for thread in (running, waiting, closing):
        thread.join(20)
    refused = "the history is closed; nothing of it was written"
    assert outcomes == {"running": "done", "waiting": refused, "late": refused}


def test_nobody_waits_longer_than_asked_when_many_ask_at_once(store, run):
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(run(insert, 20))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert outcomes == ["done"] * 20
    assert gaps(store) == 20


LATE = """
import atexit, sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from findings_of import analysis, findings
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.stores.duckdb import DuckDBStore

stores = []
opening = lambda: stores.append(DuckDBStore(Path(sys.argv[2]), WIKIMEDIA, commit_interval=0.02))
opener = threading.Thread(target=opening, daemon=True)  # as a notebook's are, and so are those that it starts
opener.start()
opener.join()

def end():
    time.sleep(0.5)  # the writer has seen meanwhile that the main thread is gone
    stores[0].append(findings(1, analysis(0)))
    stores[0].close()

atexit.register(end)
"""


def test_what_is_told_after_the_main_thread_has_ended_is_written_at_the_closing(tmp_path):
    path = tmp_path / "history.duckdb"
    command = [sys.executable, "-c", LATE, str(Path(__file__).parent), str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM windows").fetchall() == [(1,)]
