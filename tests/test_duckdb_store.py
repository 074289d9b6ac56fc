"""History on disk: keys, revisions, restarts, kills, full disks, and SQL beside the writer."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import msgspec
import pytest
from findings_of import T0, analysis, anomaly, event, findings

from tracewave_panel.errors import QueryError, StateError, StoreError
from tracewave_panel.feeds import WIKIMEDIA, Feature
from tracewave_panel.model import Analysis, Anomaly, Contribution, Mark, Quality, Sample, Score, Window
from tracewave_panel.ports import History, SavedState, Store
from tracewave_panel.stores import schema
from tracewave_panel.stores.database import open_read_only
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.testing.findings import some_anomaly

SERVERS = Path(__file__).parent / "servers"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "history.duckdb"


@pytest.fixture
def store(path):
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        yield store


def written(store, *found):
    for each in found:
        store.append(each)
    store.flush()


def rows(store, sql):
    return list(store.query(sql).rows)


def fulfils(store: DuckDBStore) -> tuple[Store, History]:
    return store, store


# -- tables


@pytest.mark.parametrize(
    ("table", "struct", "elsewhere"),
    [
        ("scores", Score, set()),
        ("contributions", Contribution, set()),
        ("anomalies", Anomaly, {"contributions"}),
        ("windows", Window, {"features", "dimension_counts", "samples"}),
        ("metrics", Analysis, {"window", "scores", "contributions"}),
    ],
)
def test_every_field_of_the_model_has_a_column(table, struct, elsewhere):
    columns = {column.name for column in schema.tables(WIKIMEDIA)[table].columns}
    assert set(struct.__struct_fields__) - elsewhere <= columns


def test_every_table_view_and_column_is_explained(store):
    assert rows(store, "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL") == []
    assert rows(store, "SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL") == []
    unexplained = (
        "SELECT table_name, column_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) "
        "WHERE duckdb_columns.comment IS NULL"
    )
    assert rows(store, unexplained) == []


def test_windows_have_a_column_for_each_feature(store):
    written(store, findings(1, analysis(0)))
    expected = (30.0, 1.0, 2.0, 0.3, 0.1, 55.0)
    assert rows(store, "SELECT rate, pages, editors, bot_share, new_share, byte_change FROM windows") == [expected]


def test_times_come_back_aware_and_in_utc(store):
    written(store, findings(1, analysis(0.25)))
    ((start,),) = rows(store, "SELECT start FROM windows")
    assert start == dt.datetime.fromtimestamp(T0 + 0.25, dt.UTC)
    assert start.tzinfo is dt.UTC


def test_views_say_what_their_tables_hold(store):
    gap = analysis(121, values=0, count=0, quality=Quality.GAP)
    told = [analysis(second, values=2) for second in (40, 41, 100)]
    written(store, findings(122, *told, gap, anomalies=(anomaly("a", 40, closed=43),)))
    by_minute = rows(store, "SELECT minute, events, rate, missing FROM rate_by_minute")
    assert [row[1:] for row in by_minute] == [(60, 30.0, 0.0), (30, 30.0, 1.0)]
    shares = rows(store, "SELECT value, events, share FROM dimensions_by_minute WHERE dimension = 'wiki' LIMIT 2")
    assert shares == [("w1", 4, 4 / 6), ("w0", 2, 2 / 6)]
    assert rows(store, "SELECT fired, zscore, ewma, trees FROM scores_wide LIMIT 1") == [("zscore", 0.5, 0.03, None)]
    readable = rows(store, "SELECT lasting, agreeing, because FROM anomalies_readable")
    assert readable == [(3.0, "zscore ewma", "wiki=w1 (90%)")]


def test_gaps_are_kept_once(store):
    gap = Mark(T0 + 5, T0 + 9, Quality.GAP)
    longer = msgspec.structs.replace(gap, end=T0 + 12)
    written(store, findings(10, gaps=(gap,)), findings(13, gaps=(longer,)))
    assert rows(store, "SELECT epoch(until - start) FROM gaps") == [(7.0,)]


def test_samples_of_a_contribution_are_asked_for_by_name(store):
    link = "https://example.org/?diff=1"
    samples = (Sample("1", T0 + 0.5, "Talk:Cats", link), Sample("2", T0 + 0.625001, "Dogs", ""))
    lead = msgspec.structs.replace(anomaly("a", 0).contributions[0], samples=samples)
    told = msgspec.structs.replace(anomaly("a", 0), contributions=(lead,))
    written(store, findings(1, anomalies=(told,)))
    sql = """
        SELECT anomaly_id, value, s.title, s.link, epoch_us(s.time)
        FROM (SELECT *, unnest(samples) AS s FROM contributions) ORDER BY s.time
    """
    assert rows(store, sql) == [
        ("a", "w1", "Talk:Cats", link, 1_700_000_000_500_000),
        ("a", "w1", "Dogs", "", 1_700_000_000_625_001),
    ]
    assert store.anomalies().items == (told,)
    assert json.loads(json.dumps(rows(store, "SELECT samples[1].id FROM contributions"))) == [["1"]]


# -- keys and revisions


def test_window_told_again_with_fewer_values_leaves_no_stale_rows(store):
    written(store, findings(1, analysis(0, values=8)))
    fewer = analysis(0, values=2, revision=1, quality=Quality.REVISED)
    fewer = msgspec.structs.replace(fewer, scores=fewer.scores[:1], contributions=())
    written(store, findings(2, fewer))
    counts = "SELECT (SELECT count(*) FROM {}) AS n"
    found = {name: rows(store, counts.format(name))[0][0] for name in ("windows", "metrics", *schema.DEPENDANTS)}
    assert found == {"windows": 1, "metrics": 1, "scores": 1, "dimension_counts": 10, "window_contributions": 0}
    assert rows(store, "SELECT revision, quality FROM windows") == [(1, "revised")]


@pytest.mark.parametrize("together", [True, False])
def test_lower_revision_never_overwrites_a_higher_one(store, together):
    higher, lower = findings(1, analysis(0, revision=2, count=5)), findings(2, analysis(0, revision=1, count=4))
    if together:
        written(store, higher, lower)
    else:
        written(store, higher)
        written(store, lower)
    assert rows(store, "SELECT revision, count FROM windows") == [(2, 5)]


def test_metrics_of_one_window_share_it(store):
    written(store, findings(1, analysis(0), analysis(0, metric="editors")))
    assert rows(store, "SELECT count(*) FROM windows") == [(1,)]
    assert rows(store, "SELECT DISTINCT metric FROM scores ORDER BY ALL") == [("editors",), ("rate",)]


def test_anomaly_told_again_replaces_its_contributions(store):
    first = anomaly("a", 0)
    written(store, findings(1, anomalies=(first,)))
    written(store, findings(2, anomalies=(msgspec.structs.replace(first, contributions=(), closed=T0 + 2),)))
    assert rows(store, "SELECT id, epoch(closed) FROM anomalies") == [("a", T0 + 2)]
    assert rows(store, "SELECT count(*) FROM contributions") == [(0,)]


def test_cursors_go_on_over_a_restart(path):
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        written(store, *(findings(n, analysis(n)) for n in range(10)))
        cursor = store.analyses(limit=6).cursor
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        written(store, findings(10, analysis(10)))
        page = store.analyses(after=cursor)
    assert [each.window.start - T0 for each in page.items] == [6, 7, 8, 9, 10]


# -- going on after a kill


def saved_at(second):
    return SavedState(T0 + second, T0 + second, b"position", b"state")


def test_first_windows_after_a_loaded_state_take_over_what_a_killed_run_told(path):
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        for second in range(10):
            store.append(findings(second + 1, analysis(second, revision=int(second == 7))))
            if second == 4:
                store.append(findings(5, anomalies=(anomaly("before", 4), anomaly("closed", 1, closed=2))))
                store.save_state(saved_at(5))
        late_telling = anomaly("before", 4, updated=8)
        gaps = (Mark(T0 + 2, T0 + 3, Quality.GAP), Mark(T0 + 6, T0 + 7, Quality.GAP))
        store.append(findings(10, anomalies=(anomaly("of the killed run", 6), late_telling), gaps=gaps))
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        assert store.load_state() == saved_at(5)
        assert len(rows(store, "FROM windows")) == 10, "nothing is forgotten before something is told"
        written(store, findings(6, analysis(5, values=1)), findings(7, analysis(6, values=1)))
        starts = [start.timestamp() - T0 for (start,) in rows(store, "SELECT start FROM windows ORDER BY start")]
        assert starts == [0, 1, 2, 3, 4, 5, 6]
        assert len(rows(store, "FROM dimension_counts")) == 5 * 40 + 2 * 5
        assert rows(store, "SELECT id FROM anomalies ORDER BY id") == [("before",), ("closed",)]
        assert rows(store, "SELECT DISTINCT anomaly_id FROM contributions ORDER BY ALL") == [("before",), ("closed",)]
        assert rows(store, "SELECT epoch(start) FROM gaps") == [(T0 + 2,)]
        written(store, findings(8, analysis(7)))
        assert rows(store, f"SELECT revision FROM windows WHERE epoch(start) = {T0 + 7}") == [(0,)]


def test_window_that_the_state_holds_open_is_taken_over_whole(path):
    with DuckDBStore(path, WIKIMEDIA) as store:
        store.append(findings(2, analysis(0), analysis(1)))
        store.save_state(saved_at(1.5))
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        store.load_state()
        written(store, findings(2, analysis(1, values=1, count=7)))
        assert rows(store, "SELECT count FROM windows ORDER BY start") == [(30,), (7,)]


def test_run_that_loads_a_state_but_starts_afresh_takes_nothing_over(path):
    with DuckDBStore(path, WIKIMEDIA) as store:
        store.save_state(saved_at(1))
        store.append(findings(5, *(analysis(second) for second in range(5)), anomalies=(anomaly("a", 3),)))
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        store.load_state()
        written(store, findings(101, analysis(100)))
        assert rows(store, "SELECT count(*) FROM windows") == [(6,)]
        assert rows(store, "SELECT count(*) FROM anomalies") == [(1,)]


def test_without_a_state_nothing_is_forgotten_that_is_not_told_again(path):
    with DuckDBStore(path, WIKIMEDIA) as store:
        store.append(findings(5, *(analysis(second) for second in range(5)), anomalies=(anomaly("a", 3),)))
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        assert store.load_state() is None
        written(store, findings(2, analysis(1, count=7)))
        assert rows(store, "SELECT count FROM windows ORDER BY start") == [(30,), (7,), (30,), (30,), (30,)]
        assert rows(store, "SELECT id FROM anomalies") == [("a",)]


def test_newest_state_is_returned_and_few_are_kept(path):
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        for second in range(6):
            store.save_state(saved_at(100 - second))  # the clock may go back; the order of saving counts
            store.flush()
        assert rows(store, "SELECT count(*) FROM states") == [(3,)]
    with DuckDBStore(path, WIKIMEDIA) as store:
        assert store.load_state() == saved_at(95)


def test_damaged_state_is_a_state_error(path):
    with DuckDBStore(path, WIKIMEDIA) as store:
        store.save_state(saved_at(1))
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE states SET saved = 'rubbish'::BLOB")
    with DuckDBStore(path, WIKIMEDIA) as store, pytest.raises(StateError):
        store.load_state()


@pytest.mark.slow
def test_twenty_kills_lose_nothing_acknowledged_and_leave_no_partial_batch(path):
    chance = random.Random(7)
    acknowledged = beyond_the_state = 0
    with subprocess.Popen(
        [sys.executable, SERVERS / "killed_writer.py", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as writers:
        for run in range(1, 21):
            writers.stdin.write(b"%d\n" % run)
            said = [hear(writers) for _ in range(2 + run % 5)]
            assert "dead" not in dict(said), f"run {run} ended before it was killed: {said}"
            if said[-1][0] != "told":  # a kill at once leaves something to take over
                time.sleep(chance.uniform(0.0, 0.05))
            os.kill(dict(said)["writer"], signal.SIGKILL)
            while said[-1][0] != "dead":
                said.append(hear(writers))
            assert said[-1] == ("dead", -signal.SIGKILL), f"run {run} ended by itself: {said}"
            begin = dict(said)["from"]
            assert begin >= acknowledged, "the run began before what was acknowledged"
            acknowledged = max([begin, *(number for word, number in said if word == "saved")])
            with open_read_only(path, memory_limit="500MB") as history:
                beyond_the_state += check_killed_history(history, begin, acknowledged)
        writers.stdin.close()
    assert beyond_the_state >= 5, "hardly a kill left anything to take over, so this proves little"


def hear(writers):
    """Next word and number; a writer that says nothing for ten seconds is an error, not a wait."""
    ready, _, _ = select.select([writers.stdout], [], [], 10)
    assert ready, "the writer says nothing"
    word, number = writers.stdout.readline().split()
    return word.decode(), int(number)


def check_killed_history(history, begin, acknowledged):
    """Check every promise; return whether windows are stored that no State covers."""

    def ask(sql):
        return history.execute(sql).fetchall()

    seconds = [int(start - T0) for (start,) in ask("SELECT epoch(start) FROM windows ORDER BY start")]
    assert seconds == list(range(len(seconds))), "a window is missing or there twice"
    assert len(seconds) >= acknowledged, "an acknowledged window is lost"
    ((position,),) = ask("SELECT max(epoch(watermark)) FROM states") or ((T0,),)
    saved = int((position or T0) - T0)
    assert saved >= acknowledged, "an acknowledged State is lost"
    of_other_runs = ask("""
        SELECT d.value, w.late FROM dimension_counts d JOIN windows w USING (series, start)
        WHERE NOT starts_with(d.value, 'run' || w.late || '-')
    """)
    assert of_other_runs == [], "a value that another run told is left behind"
    partial = ask("""
        SELECT epoch(start) FROM windows w
        WHERE 5 * w.count <> (SELECT count(*) FROM dimension_counts d WHERE (d.series, d.start) = (w.series, w.start))
           OR 2 <> (SELECT count(DISTINCT detector) FROM scores s WHERE (s.series, s.start) = (w.series, w.start))
           OR 2 <> (SELECT count(*) FROM scores s WHERE (s.series, s.start) = (w.series, w.start))
           OR 1 <> (SELECT count(*) FROM metrics m WHERE (m.series, m.start) = (w.series, w.start))
    """)
    assert partial == [], "a batch is there in part"
    runs = ask(f"SELECT count(DISTINCT late) FROM windows WHERE epoch(start) >= {T0 + begin}")
    assert runs[0][0] <= 1, "windows of two runs follow the State"
    twice = ask("SELECT id FROM events GROUP BY id HAVING count(*) > 1")
    assert twice == [], "an event is there twice"
    wrong = ask(f"""
        SELECT epoch(w.start) - {T0}, count(e.id) FROM windows w LEFT JOIN events e
            ON e.editor = 'run' || w.late AND epoch(e.time) - epoch(w.start) IN (0.25, 0.5, -4.875)
        GROUP BY w.start HAVING count(e.id) <> 3
    """)
    assert wrong == [], "a window does not have its events, all of the run that told it"
    strays = ask("""
        SELECT a.id FROM anomalies a LEFT JOIN windows w ON w.start = a.opened
        WHERE w.start IS NULL OR NOT ends_with(a.id, '-run' || w.late)
    """)
    assert strays == [], "an anomaly of a killed run is left behind"
    return len(seconds) > saved


# -- when the disk fails


@pytest.mark.parametrize("limit", [2_500_000, 18_000_000], ids=["in the log", "in a checkpoint"])
def test_full_disk_keeps_findings_waiting_until_there_is_room(path, limit):
    run = [sys.executable, SERVERS / "full_disk.py", path, str(limit)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    report = json.loads(done.stdout)
    assert "File too large" in report["error"]
    assert report["waiting"] > 0
    assert (report["windows"], report["left"], report["shed"]) == (report["told"], 0, 0)
    assert done.stderr.count("history is not written, findings wait") == 1


def test_full_queue_sheds_the_oldest_and_says_so(path):
    with DuckDBStore(path, WIKIMEDIA, commit_interval=30, queue_limit=5) as store:
        time.sleep(0.1)
        with store._writer._changed:  # the writer cannot take anything meanwhile
            for second in range(12):
                store.append(findings(second, analysis(second), anomalies=(anomaly(f"a{second}", second),)))
        store.flush()
        assert store.shed == 7
        page = store.analyses(limit=3)
        assert [each.window.start - T0 for each in page.items] == [7, 8, 9]
        assert page.missed == 7
        assert store.analyses(after=page.cursor).missed == 0
        assert store.anomalies().missed == 7


@pytest.mark.parametrize(
    "odd",
    [
        analysis(5, features=(1.0,)),
        analysis(5, dimension_counts=({"\ud800": 1}, {}, {}, {}, {})),
        analysis(5, count=2**70),
        analysis(math.nan),
    ],
    ids=["too few features", "half a character", "huge count", "no start"],
)
def test_findings_that_no_column_holds_do_not_stop_the_rest(store, odd):
    written(store, findings(1, analysis(0)), findings(2, odd), findings(3, analysis(1)))
    assert [each.window.start - T0 for each in store.analyses().items] == [0, 1]
    assert store.shed == 1
    assert store.analyses().missed == 1
    assert store.last_error == ""


def test_hostile_text_is_stored_as_it_is(store):
    hostile = "'; DROP TABLE windows; -- \x00 \x1b[2J <script> \U0001f4a9"
    odd = analysis(0, dimension_counts=({hostile: 1}, {}, {}, {}, {}))
    written(store, findings(1, odd, anomalies=(msgspec.structs.replace(anomaly("a", 0), title=hostile),)))
    assert store.analyses().items == (odd,)
    assert store.anomalies().items[0].title == hostile


def test_queue_that_fills_fast_is_committed_before_the_second_is_over(path):
    with DuckDBStore(path, WIKIMEDIA, commit_interval=30, queue_limit=50) as store:
        for second in range(6):
            store.append(findings(second, analysis(second)))
        deadline = time.monotonic() + 5
        while store.backlog and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (store.backlog, store.commits) == (0, 1)


def test_many_appends_share_a_commit(path):
    with DuckDBStore(path, WIKIMEDIA, commit_interval=30) as store:
        for second in range(100):
            store.append(findings(second, analysis(second), events=(event(second),)))
        store.flush()
        assert store.commits == 1


def test_history_that_nobody_closed_is_written_and_the_process_ends(path):
    program = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from findings_of import analysis, findings
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.stores.duckdb import DuckDBStore
DuckDBStore(Path({str(path)!r}), WIKIMEDIA).append(findings(1, analysis(0)))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
    with open_read_only(path, memory_limit="500MB") as history:
        assert history.execute("SELECT count(*) FROM windows").fetchall() == [(1,)]


# -- opening


def test_history_open_elsewhere_is_refused_in_words(path):
    program = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    path.parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        with pytest.raises(StoreError, match=r"another process has it open.*PID"):
            DuckDBStore(path, WIKIMEDIA)
        other.stdin.close()


def make_text(path):
    path.write_text("not a database")


def make_other_database(path):
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t (x INT)")


def make_newer(path):
    DuckDBStore(path, WIKIMEDIA).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")


def make_other_feed(path):
    features = (*WIKIMEDIA.features, Feature("users", "distinct", "actor"))
    DuckDBStore(path, msgspec.structs.replace(WIKIMEDIA, features=features)).close()


def make_feed_with(**changed):
    return lambda path: DuckDBStore(path, msgspec.structs.replace(WIKIMEDIA, **changed)).close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_text, "damaged or no history; move it away"),
        (make_other_database, "no Tracewave history"),
        (make_newer, "newer Tracewave .schema 99"),
        (make_other_feed, "history of something else .features"),
        (make_feed_with(measures=("bytes", "words")), r"history of something else .measures \["),
        (make_feed_with(actor="author"), "history of something else .actor"),
        (make_feed_with(measures=(), subject="leaf"), r"something else .measures \[\], subject"),
        (lambda path: path.mkdir(), "cannot open history"),
    ],
)
def test_file_that_is_no_history_of_this_feed_is_refused_in_words(tmp_path, make, words):
    path = tmp_path / "history.duckdb"
    make(path)
    with pytest.raises(StoreError, match=words):
        DuckDBStore(path, WIKIMEDIA)


def test_pool_of_the_database_leaves_a_processor_to_the_feed(store):
    with store._database.cursor() as cursor:
        ((threads,),) = cursor.execute("SELECT current_setting('threads')").fetchall()
    assert threads == max(1, (os.cpu_count() or 2) - 1)


def test_folder_that_cannot_be_made_is_refused_in_words(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot make the data folder"):
        DuckDBStore(tmp_path / "file" / "history.duckdb", WIKIMEDIA)


def make_schema_1(path):
    """A history that the program's first version wrote."""
    path.parent.mkdir(exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute((Path(__file__).parent / "history_of_schema_1.sql").read_text())


def columns_and_comments(store):
    return rows(store, "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() ORDER BY ALL")


def test_history_of_an_older_version_is_brought_up_to_date_and_goes_on(path, tmp_path):
    make_schema_1(path)
    found = findings(2, analysis(1), anomalies=(some_anomaly("b", 1),))
    for _ in range(2):  # the second time there is nothing left to do
        with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
            old, *_ = store.analyses().items
            anomaly_before, *_ = store.anomalies().items
            assert (old.observed, old.evidence, old.provisional, old.scores[0].span) == (30.0, 0.0, True, 0)
            assert old.rarity == pytest.approx(1e6 / 86400)  # was the chance of a window, one in a million
            assert (anomaly_before.id, anomaly_before.provisional) == ("a", True)
            assert anomaly_before.contributions[0].samples == ()
            written(store, found)
            assert (store.analyses().items[1], store.anomalies().items[1]) == (analysis(1), some_anomaly("b", 1))
            migrated = columns_and_comments(store)
    with DuckDBStore(tmp_path / "new.duckdb", WIKIMEDIA) as store:
        assert columns_and_comments(store) == migrated


@pytest.mark.parametrize("transactions", [1, 2])
def test_update_that_was_killed_on_the_way_is_done_again(path, transactions):
    make_schema_1(path)
    with duckdb.connect(str(path)) as connection:
        for transaction in schema.migrations(WIKIMEDIA)[:transactions]:
            for statement in transaction:
                connection.execute(statement)
    with DuckDBStore(path, WIKIMEDIA) as store:
        assert store.analyses().items[0].rarity == pytest.approx(1e6 / 86400)
        assert rows(store, "SELECT value FROM meta WHERE key = 'schema_version'") == [(str(schema.VERSION),)]


def test_older_history_of_another_feed_is_left_as_it_was(path):
    make_schema_1(path)
    features = (*WIKIMEDIA.features, Feature("users", "distinct", "actor"))
    with pytest.raises(StoreError, match=r"history of something else .features"):
        DuckDBStore(path, msgspec.structs.replace(WIKIMEDIA, features=features))
    with duckdb.connect(str(path)) as connection:
        ((version,),) = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchall()
    assert version == "1"


# -- SQL


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    path = tmp_path_factory.mktemp("asked") / "history.duckdb"
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.01) as store:
        written(store, findings(1, analysis(0)))
        yield store


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("COMMIT; INSERT INTO gaps SELECT now(), now(), now()", "2 statements"),
        ("DROP TABLE windows", "this is DROP"),
        ("INSERT INTO gaps SELECT now(), now(), now()", "this is INSERT"),
        ("WITH x AS (DELETE FROM windows RETURNING *) SELECT * FROM x", "read-only"),
        ("EXPLAIN ANALYZE DELETE FROM windows", "read-only"),
        ("ATTACH 'x.duckdb'", "this is ATTACH"),
        ("COPY windows TO 'x.csv'", "this is COPY"),
        ("EXPLAIN ANALYZE COPY windows TO 'x.csv'", "only a SELECT may be explained"),
        ("SET threads = 1", "this is SET"),
        ("EXPLAIN ANALYZE SET memory_limit = '9GB'", "only a SELECT may be explained"),
        ("PRAGMA database_list", "this is"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT * FROM read_text('/etc/passwd')", "disabled"),
        ("SELECT * FROM glob('/*')", "disabled"),
        ("SELECT * FROM path", "does not exist"),
        ("INSTALL httpfs", "only SELECT"),
        ("PIVOT windows ON quality USING count(*)", "must name its values"),
        ("SELECT nothing FROM windows", "nothing"),
        ("SELEC 1", "syntax error"),
        ("SELECT error('my own words')", "my own words"),
        ("SELECT ?", "parameters"),
        ("SELECT TIMESTAMPTZ 'infinity' AS t", "column t cannot be shown"),
    ],
)
def test_sql_that_is_more_than_one_select_is_refused(asked, sql, words):
    with pytest.raises(QueryError, match=words):
        asked.query(sql)
    assert rows(asked, "SELECT count(*) FROM windows") == [(1,)]
    written(asked, findings(1, analysis(0)))  # and the writer goes on
    assert asked.failures == 0


@pytest.mark.parametrize("sql", ["FROM windows", "VALUES (1)", "EXPLAIN SELECT 1", "DESCRIBE windows", "SHOW TABLES;"])
def test_other_forms_of_select_are_welcome(asked, sql):
    assert asked.query(sql).columns


def test_values_come_back_as_plain_python(asked):
    table = asked.query(
        "SELECT sum(1) AS total, 1.50::DECIMAL(4, 2) AS money, INTERVAL 90 MINUTE AS lasting, NULL AS nothing, 1, 1"
    )
    assert table.columns == ("total", "money", "lasting", "nothing", "1", "1_1")
    ((total, money, lasting, nothing, *_),) = table.rows
    assert (type(total), str(money), lasting, nothing) == (int, "1.50", dt.timedelta(minutes=90), None)


def test_query_that_takes_too_long_is_stopped(asked):
    begin = time.monotonic()
    with pytest.raises(QueryError, match=r"longer than 0.3 s"):
        asked.query("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7", timeout=0.3)
    assert time.monotonic() - begin < 3


def test_answer_with_too_many_rows_is_refused(asked):
    assert len(asked.query("FROM range(100)", max_rows=100).rows) == 100
    with pytest.raises(QueryError, match="more than 99 rows"):
        asked.query("FROM range(100)", max_rows=99)


def test_queries_see_whole_batches_while_the_writer_writes(path):
    wrong, asked = [], []
    ended = threading.Event()
    sql = (
        "SELECT (SELECT count(*) FROM windows), (SELECT count(*) FROM dimension_counts), (SELECT max(count) FROM gaps)"
    )
    sql = sql.replace("max(count)", "count(*)")

    def ask(store):
        before = 0
        while not ended.is_set():
            ((windows, counts, gaps),) = rows(store, sql)
            asked.append(windows)
            if counts != 40 * windows or gaps != windows or windows < before:
                wrong.append((windows, counts, gaps))
            before = windows

    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.005) as store:
        readers = [threading.Thread(target=ask, args=(store,)) for _ in range(2)]
        for reader in readers:
            reader.start()
        for second in range(300):
            store.append(findings(second, analysis(second), gaps=(Mark(T0 + second, T0 + second + 1, Quality.GAP),)))
            time.sleep(0.005)
        store.flush()
        ended.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    assert len(set(asked)) > 5


def test_close_stops_a_running_query(path):
    store = DuckDBStore(path, WIKIMEDIA)
    closer = threading.Timer(0.3, store.close)
    closer.start()
    with pytest.raises(QueryError, match="closed while the query ran"):
        store.query("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7")
    closer.join()
    with pytest.raises(StoreError, match="closed"):
        store.query("SELECT 1")
