"""Tables and views explain themselves, answer on an empty and a filled history, and come through every migration."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec
import pytest
from findings_of import T0, analysis, anomaly, event, findings

from tracewave_panel.core.detectors import DETECTORS
from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.model import Quality, Score
from tracewave_panel.ports import SavedState
from tracewave_panel.stores import schema
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.testing.findings import some_anomaly

DOCS = Path(__file__).parents[1] / "docs" / "history.md"
TABLES_OF_3 = ("windows", "metrics", "scores", "dimension_counts", "window_contributions", "anomalies")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.duckdb"


def opened(path, feed=WIKIMEDIA):
    return DuckDBStore(path, feed, commit_interval=0.01)


def ask(store, sql):
    with store._database.cursor() as cursor:
        answer = cursor.sql(sql).to_arrow_table()
    return list(zip(*(column.to_pylist() for column in answer.columns), strict=True))


def columns(store, name):
    return [each for (each,) in ask(store, f"SELECT column_name FROM (DESCRIBE {name})")]


# -- what they say


@pytest.mark.parametrize("feed", [WIKIMEDIA, CRYPTO], ids=lambda feed: feed.name)
def test_every_view_has_the_columns_it_documents(path, feed):
    with opened(path, feed) as store:
        for name, view in schema.views(feed).items():
            assert columns(store, name) == list(view.columns)
            assert ask(store, f"FROM {name}") == []
        unexplained = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL"
        assert ask(store, unexplained) == []


def test_times_are_timestamps_with_a_zone(path):
    with opened(path) as store:
        kinds = ask(store, "SELECT DISTINCT data_type FROM duckdb_columns() WHERE NOT internal ORDER BY ALL")
        assert "TIMESTAMP WITH TIME ZONE" in {kind for (kind,) in kinds}
        assert not {"TIMESTAMP", "DATE", "TIME"} & {kind for (kind,) in kinds}


def test_detectors_have_a_column_each_and_a_cold_one_is_null(path):
    scores = tuple(Score(name, 1.0, 0.1, 0.1 * place, fired=place == 2) for place, name in enumerate(DETECTORS, 1))
    cold = msgspec.structs.replace(scores[0], warm=False)
    told = msgspec.structs.replace(analysis(0), scores=(cold, *scores[1:]))
    with opened(path) as store:
        store.append(findings(1, told))
        store.flush()
        names = list(DETECTORS)
        ((fired, *wide),) = ask(store, f"SELECT fired, {', '.join(names)} FROM scores_wide")
        assert fired == names[1]
        assert wide == [None, *(each.score for each in scores[1:])]


def test_anomalies_explained_have_a_row_a_contribution(path):
    with opened(path) as store:
        store.append(findings(1, anomalies=(some_anomaly("a", 0), anomaly("b", 5))))
        store.flush()
        found = ask(store, "SELECT id, rank, dimension, value, excess, share, named FROM anomalies_explained")
        assert found == [
            ("b", 1, "wiki", "w1", 55.0, 0.9, True),
            ("a", 1, "wiki", "dewiki", 55.0, 0.9, True),
            ("a", 2, "actor", "user", 1.0, -0.01, False),
        ]


# -- migration


def make(path, version):
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute((Path(__file__).parent / f"history_of_schema_{version}.sql").read_text())


def contents(connection, table):
    """Rows of the columns that schema 3 had."""
    names = [name for name, *_ in connection.execute(f"DESCRIBE {table}").fetchall()]
    kept = ", ".join(f'"{name}"' for name in names if (table, name) != ("states", "events"))
    return connection.sql(f"SELECT {kept} FROM {table} ORDER BY ALL").to_arrow_table().to_pylist()


def described(store):
    """Tables and columns with their types, views with their text, and every comment."""
    of_columns = "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal"
    of_views = "SELECT view_name, sql, comment FROM duckdb_views() WHERE NOT internal"
    return [ask(store, f"{sql} ORDER BY ALL") for sql in (of_columns, of_views)]


@pytest.fixture(scope="module")
def as_new(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("new") / "history.duckdb") as new:
        return described(new)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_older_history_becomes_one_as_if_it_were_new(path, version, as_new):
    make(path, version)
    with opened(path) as store:
        assert described(store) == as_new
        ((found,),) = ask(store, "SELECT value FROM meta WHERE key = 'schema_version'")
        assert found == str(schema.VERSION) == "4"
        for name in schema.views(WIKIMEDIA):
            ask(store, f"FROM {name}")
        assert store.events().items == ()
        assert ask(store, "SELECT sum(events) FROM rate_by_hour") == ask(store, "SELECT sum(count) FROM windows")
        store.append(findings(9001, analysis(9000), events=(event(9000),)))
        store.flush()
        assert ask(store, "SELECT sum(events) FROM rate_by_hour") == ask(store, "SELECT sum(count) FROM windows")
        assert len(store.events().items) == 1


def test_history_of_schema_3_keeps_all_it_held(path):
    make(path, 3)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        tables = [*TABLES_OF_3, "contributions", "labels", "gaps", "states"]
        before = {table: contents(connection, table) for table in tables}
        assert all(before.values()), "an empty table shows nothing"
    with opened(path) as store:
        with store._database.cursor() as cursor:
            assert {table: contents(cursor, table) for table in tables} == before
        assert store.load_state() == SavedState(T0 + 2861, T0 + 2861, b"position", b"state")
        assert [label.verdict for label in store.labels()] == ["real"]
        assert [each.window.start - T0 for each in store.analyses().items] == [0, 1, 39, 41, 2860, 40]


def test_migration_makes_roll_ups_of_the_windows_that_are_there(path):
    make(path, 3)
    with opened(path) as store:
        by_minute = ask(store, f"SELECT epoch(minute) - {T0}, windows, events, missing, peak FROM windows_by_minute")
        # the first three windows; a gap and another in the next minute; the last is rolled up on opening
        assert sorted(by_minute) == [(-20, 3, 95, 0.0, 34.0), (40, 2, 36, 1.0, 36.0), (2860, 1, 34, 0.0, 34.0)]
        assert ask(store, f"SELECT epoch(hour) - {T0}, events FROM windows_by_hour") == [(-800, 131)]
        assert ask(store, "SELECT count FROM dimension_counts_by_hour WHERE value = 'w1'") == [(8,)]
        store.append(findings(2863, analysis(2861), analysis(2862)))
        store.flush()
        by_minute = ask(store, "SELECT minute, events FROM rate_by_minute ORDER BY minute DESC LIMIT 1")
        assert by_minute[0][1] == 94


@pytest.mark.parametrize(("version", "transactions"), [(1, 1), (2, 2), (3, 1), (3, 2)])
def test_migration_that_was_killed_on_the_way_is_done_again(path, version, transactions, as_new):
    make(path, version)
    with duckdb.connect(str(path)) as connection:
        for transaction in schema.migrations(WIKIMEDIA)[:transactions]:
            for statement in transaction:
                connection.execute(statement)
    with opened(path) as store:
        assert described(store) == as_new
        assert ask(store, "SELECT sum(events) FROM rate_by_minute") == ask(store, "SELECT sum(count) FROM windows")


def test_migrated_history_is_opened_again_without_a_change(path):
    make(path, 3)
    with opened(path) as store:
        before = described(store), ask(store, "FROM windows_by_minute ORDER BY ALL")
    with opened(path) as store:
        assert (described(store), ask(store, "FROM windows_by_minute ORDER BY ALL")) == before


def test_migrated_history_tells_its_measures_from_then_on(path):
    make(path, 3)
    opened(path).close()
    others = msgspec.structs.replace(WIKIMEDIA, measures=("words",))
    with pytest.raises(StoreError, match=r"history of something else .measures"):
        opened(path, others)
    with opened(path) as store:
        assert ask(store, "SELECT value FROM meta WHERE key = 'measures'") == [('["byte_change"]',)]


def test_newer_history_is_refused_in_words_and_left_alone(path):
    make(path, 3)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE meta SET value = '5' WHERE key = 'schema_version'")
    with pytest.raises(StoreError, match=r"newer Tracewave .schema 5, this one knows 4.; upgrade Tracewave"):
        opened(path)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'events'").fetchall() == [
            (0,)
        ]


def test_gap_windows_do_not_count_as_events(path):
    quiet = analysis(0, values=0, count=0, features=(0.0,) * 6)
    gap = analysis(1, values=0, count=0, quality=Quality.GAP, features=(0.0,) * 6)
    with opened(path) as store:
        store.append(findings(2, quiet, gap))
        store.flush()
        assert ask(store, "SELECT events, rate, missing FROM rate_by_minute") == [(0, 0.0, 1.0)]


# -- the document


def test_document_tells_every_table_view_and_column():
    """docs/history.md repeats the schema; `python tests/test_history_views.py` writes that part anew."""
    assert reference() in DOCS.read_text(), "run `python tests/test_history_views.py`"


def reference() -> str:
    parts = []
    for kind, described_ in (("table", schema.tables(WIKIMEDIA)), ("view", schema.views(WIKIMEDIA))):
        for name, each in described_.items():
            parts.append(f"### {name} ({kind})\n\n{each.comment}\n\n| column | meaning |\n|---|---|")
            if isinstance(each, schema.View):
                words = list(each.columns.items())
            else:
                words = [
                    (column.name, f"{column.comment} ({column.type.partition('(')[0]})") for column in each.columns
                ]
            parts += [f"| {column} | {meaning} |" for column, meaning in words]
            parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    before, _, rest = DOCS.read_text().partition("<!-- tables -->\n")
    after = rest.partition("<!-- end of tables -->")[2]
    DOCS.write_text(f"{before}<!-- tables -->\n{reference()}\n<!-- end of tables -->{after}")
