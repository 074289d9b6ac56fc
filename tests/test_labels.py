"""Labels: what people say of anomalies is kept over tellings, restarts, replays and older files."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from findings_of import T0, analysis, anomaly, findings
from running import until

from tracewave_panel.config import Settings
from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Label, Origin
from tracewave_panel.plan import BUNDLED, Planner
from tracewave_panel.ports import SavedState
from tracewave_panel.runtime import Runtime
from tracewave_panel.stores import schema
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.open_history import open_history
from tracewave_panel.stores.ring import RingStore
from tracewave_panel.testing import check_store

HOSTILE = "</td><script>alert(1)</script>'; DROP TABLE labels; --\u202e\x1b[31m"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.duckdb"


def opened(path, **options) -> DuckDBStore:
    return DuckDBStore(path, WIKIMEDIA, commit_interval=0.01, **options)


def rows(store, sql):
    return list(store.query(sql).rows)


class LosesThem(RingStore):
    def append(self, found):
        super().append(found)
        for told in found.anomalies:
            self.unlabel(told.id, 1e12)


class KeepsTheFirst(RingStore):
    def label(self, label):
        if label.anomaly_id not in {held.anomaly_id for held in self.labels()}:
            super().label(label)


class NeverTakesBack(RingStore):
    def unlabel(self, anomaly_id, at):
        pass


class TakesBackAnything(RingStore):
    def unlabel(self, anomaly_id, at):
        super().unlabel(anomaly_id, 1e12)


class LabelsNothing(RingStore):
    def label(self, label):
        self.restore_labels((label,))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (LosesThem, "lost when its anomaly is told again"),
        (KeepsTheFirst, "last label of each anomaly does not hold"),
        (NeverTakesBack, "taken back still holds"),
        (TakesBackAnything, "older word takes back"),
        (LabelsNothing, "never told is not refused"),
    ],
)
def test_check_finds_a_store_that_breaks_a_promise_about_labels(broken, words):
    with pytest.raises(AssertionError, match=words):
        check_store(broken, patience=0.2)


@pytest.mark.parametrize("kind", ["ring", "duckdb"])
def test_label_of_an_unknown_anomaly_is_refused_in_words(kind, path):
    store = RingStore() if kind == "ring" else opened(path)
    with pytest.raises(StoreError, match=r"no anomaly 'nothing' to label; load the page again"):
        store.label(Label("nothing", "real", T0))
    store.close()


def test_ring_keeps_the_labels_given_last_and_begins_anew_with_a_run():
    store = RingStore(labels=2)
    store.append(findings(1, anomalies=tuple(anomaly(name, 0) for name in "abc")))
    for name in "abc":
        store.label(Label(name, "real", T0))
    assert [label.anomaly_id for label in store.labels()] == ["b", "c"]
    store.clear()
    assert store.labels() == ()
    store.restore_labels((Label("a", "real", T0),))
    store.label(Label("a", "not_real", T0 + 1))  # its anomaly is not told yet
    assert store.labels() == (Label("a", "not_real", T0 + 1),)


def test_label_is_kept_over_a_restart_with_whatever_it_says(path):
    label = Label("a", "not_real", T0 + 5, HOSTILE)
    with opened(path) as store:
        store.append(findings(1, anomalies=(anomaly("a", 0), anomaly("b", 0))))
        store.label(label)
        store.label(Label("b", "real", T0 + 6))
        store.unlabel("b", T0 + 7)
    with opened(path) as store:
        assert store.labels() == (label,)
        assert rows(store, 'SELECT anomaly_id, verdict, epoch(labelled_at), "by" FROM labels') == [
            ("a", "not_real", T0 + 5, HOSTILE)
        ]
        store.unlabel("a", T0 + 9)
    with opened(path) as store:
        assert store.labels() == ()
        assert rows(store, "SELECT * FROM labels") == []


def test_label_given_twice_is_one_row_that_says_the_last_word(path):
    with opened(path) as store:
        store.append(findings(1, anomalies=(anomaly("a", 0),)))
        for second, verdict in enumerate(("real", "not_real", "real")):
            store.label(Label("a", verdict, T0 + second))
            store.flush()
        assert rows(store, "SELECT verdict, epoch(labelled_at) FROM labels") == [("real", T0 + 2)]
        assert rows(store, "SELECT id, label FROM anomalies_readable") == [("a", "real")]


def test_anomaly_without_a_label_is_readable_too(path):
    with opened(path) as store:
        store.append(findings(1, anomalies=(anomaly("a", 0), anomaly("b", 1))))
        store.label(Label("b", "not_real", T0))
        store.flush()
        assert rows(store, "SELECT id, because, label FROM anomalies_readable") == [
            ("b", "wiki=w1 (90%)", "not_real"),
            ("a", "wiki=w1 (90%)", None),
        ]


def test_label_holds_for_an_anomaly_that_a_restart_forgets_and_tells_again(path):
    with opened(path) as store:
        store.append(findings(1, analysis(0)))
        store.save_state(SavedState(T0 + 1, T0 + 1, b"", b""))
        store.append(findings(3, analysis(2), anomalies=(anomaly("a", 2),)))
        store.label(Label("a", "real", T0 + 3))
    with opened(path) as store:
        store.load_state()
        store.append(findings(2, analysis(1)))
        store.flush()
        assert store.anomalies().items == ()
        store.append(findings(3, analysis(2), anomalies=(anomaly("a", 2),)))
        store.flush()
        assert rows(store, "SELECT id, label FROM anomalies_readable") == [("a", "real")]


def test_labels_of_a_replay_hold_when_it_is_run_anew(tmp_path):
    label = Label("a", "real", T0 + 3)
    for _ in range(2):
        history = open_history(tmp_path, WIKIMEDIA, Origin.IMPORTED, fresh=True)
        assert history.store.anomalies().items == ()
        history.store.append(findings(1, anomalies=(anomaly("a", 0),)))
        history.store.label(label)
        history.close()
    history = open_history(tmp_path, WIKIMEDIA, Origin.IMPORTED, fresh=True)
    assert history.store.labels() == (label,)
    history.close()


@pytest.mark.parametrize("odd", [Label("a", "real", float("nan")), Label("a", "real", T0, "\ud800")])
def test_label_that_no_column_holds_is_refused_and_stops_nothing(path, odd):
    with opened(path) as store:
        store.append(findings(1, anomalies=(anomaly("a", 0),)))
        with pytest.raises(StoreError, match="cannot be kept"):
            store.label(odd)
        assert store.labels() == ()
        store.append(findings(2, anomalies=(anomaly("b", 1),)))
        store.flush()
        assert store.failures == 0


def test_labels_wait_while_the_disk_refuses_and_are_written_after(path):
    with opened(path) as store:
        store.append(findings(1, anomalies=(anomaly("a", 0),)))
        store.flush()
        store.query("SELECT 1")
        beside = store._database.cursor()
        beside.begin()
        beside.execute("ALTER TABLE labels ADD COLUMN other INTEGER")  # a conflict: commits fail until it is undone
        store.label(Label("a", "real", T0))
        with pytest.raises(StoreError, match="not written yet: 1 append"):
            store.flush(timeout=0.5)
        store.label(Label("a", "not_real", T0 + 1))
        assert store.labels() == (Label("a", "not_real", T0 + 1),)
        beside.rollback()
        beside.close()
        store.flush()
        assert rows(store, "SELECT verdict FROM labels") == [("not_real",)]


def make(path, version):
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute((Path(__file__).parent / f"history_of_schema_{version}.sql").read_text())


def columns_and_comments(store):
    return rows(store, "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() ORDER BY ALL")


@pytest.mark.parametrize("version", [1, 2])
def test_history_from_before_labels_is_brought_up_to_date_and_takes_them(path, version):
    make(path, version)
    with opened(path) as store:
        assert store.labels() == ()
        rarity = store.analyses().items[0].rarity
        assert rarity == pytest.approx(1e6 / 86_400 if version == 1 else 9.0)
        store.label(Label("a", "real", T0))
        migrated = columns_and_comments(store)
        views = rows(store, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL")
    with opened(path) as store:
        assert rows(store, "SELECT id, label FROM anomalies_readable") == [("a", "real")]
        assert rows(store, "SELECT value FROM meta WHERE key = 'schema_version'") == [(str(schema.VERSION),)]
        assert store.analyses().items[0].rarity == rarity  # converted once
    with DuckDBStore(path.with_name("new.duckdb"), WIKIMEDIA) as store:
        assert columns_and_comments(store) == migrated
        assert rows(store, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL") == views


@pytest.mark.parametrize("transactions", [1, 2])
def test_update_of_a_younger_file_that_was_killed_on_the_way_is_done_again(path, transactions):
    make(path, 2)
    with duckdb.connect(str(path)) as connection:
        for transaction in schema.migrations(WIKIMEDIA)[:transactions]:
            for statement in transaction:
                connection.execute(statement)
    with opened(path) as store:
        assert store.analyses().items[0].rarity == 9.0
        assert store.labels() == ()


@contextmanager
def pipeline(data):
    settings = Settings()
    runtime = Runtime(settings, Planner(settings, f"recording:{BUNDLED}", speed=50.0), data=data)
    runtime.start()
    try:
        until(lambda: runtime.run, 60)
        yield runtime
    finally:
        runtime.stop()


def test_running_pipeline_takes_labels_and_brings_them_back_with_its_next_run(tmp_path):
    with pipeline(tmp_path) as runtime:
        (told, *_) = until(lambda: runtime.store.anomalies().items, 60)
        with pytest.raises(StoreError, match="no anomaly 'nothing'"):
            runtime.label("nothing", "real")
        runtime.label(told.id, "real")
        runtime.label(told.id, None)
        assert runtime.labels() == {}
        runtime.label(told.id, "not_real")
        given = runtime.labels()
        assert given[told.id].verdict == "not_real"
    with pipeline(tmp_path) as runtime:
        (held,) = runtime.labels().values()
        assert (held.anomaly_id, held.verdict) == (told.id, "not_real")
        assert held.labelled_at == pytest.approx(given[told.id].labelled_at, abs=1e-5)
        runtime.label(told.id, None)  # its anomaly may not be told again; its label can still be taken back
        assert runtime.labels() == {}


def test_pipeline_without_a_folder_keeps_labels_while_it_runs():
    with pipeline(None) as runtime:
        (told, *_) = until(lambda: runtime.store.anomalies().items, 60)
        runtime.label(told.id, "real")
        assert runtime.labels()[told.id].verdict == "real"
        with pytest.raises(StoreError, match="no anomaly 'nothing'"):
            runtime.label("nothing", "real")
