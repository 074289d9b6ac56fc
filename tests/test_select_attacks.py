"""SQL that would do harm is refused in words, whichever way it comes, and the server goes on as if nothing had been."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest
from api_server import served_api
from console_stand_in import SpokenControl, console
from findings_of import analysis, findings

from tracewave_panel.errors import QueryError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Origin
from tracewave_panel.ports import Console
from tracewave_panel.stores.asking import ask_history
from tracewave_panel.stores.open_history import SOCKET_FILE, open_history
from tracewave_panel.stores.ring import RingStore
from tracewave_panel.stores.select import PLACES
from tracewave_panel.stores.sql_check import MOST_CHARACTERS

NOT_SELECT = "only SELECT and EXPLAIN are allowed, because history is read-only to SQL, and this is {}"
STATEMENTS = {
    "INSERT": "INSERT INTO labels SELECT 'x', 'real', now(), 'me'",
    "UPDATE": "UPDATE windows SET count = 0",
    "DELETE": "DELETE FROM windows",
    "MERGE": "MERGE INTO labels USING (SELECT 'x' AS a) AS s ON labels.anomaly_id = s.a WHEN MATCHED THEN DELETE",
    "TRUNCATE": "TRUNCATE windows",
    "COPY": "COPY windows TO 'stolen' (FORMAT parquet, PARTITION_BY (series))",
    "EXPORT": "EXPORT DATABASE 'stolen'",
    "IMPORT": "IMPORT DATABASE 'stolen'",
    "ATTACH": "ATTACH 'stolen.duckdb' AS other",
    "DETACH": "DETACH history",
    "USE": "USE temp",
    "INSTALL": "INSTALL httpfs",
    "LOAD": "LOAD httpfs",
    "PRAGMA": "PRAGMA database_list",
    "SET": "SET memory_limit = '90GB'",
    "RESET": "RESET memory_limit",
    "CALL": "CALL pragma_version()",
    "CHECKPOINT": "CHECKPOINT",
    "FORCE": "FORCE CHECKPOINT",
    "VACUUM": "VACUUM",
    "ANALYZE": "ANALYZE windows",
    "PREPARE": "PREPARE p AS SELECT 1",
    "EXECUTE": "EXECUTE p",
    "DEALLOCATE": "DEALLOCATE p",
    "CREATE": "CREATE TABLE mine AS SELECT 1",
    "DROP": "DROP TABLE windows",
    "ALTER": "ALTER TABLE windows RENAME TO gone",
    "COMMENT": "COMMENT ON TABLE windows IS 'mine'",
    "BEGIN": "BEGIN",
    "COMMIT": "COMMIT",
    "ROLLBACK": "ROLLBACK",
}
OTHER_STATEMENTS = {
    "copy in": ("COPY labels FROM '/etc/passwd'", "this is COPY"),
    "a macro": ("CREATE MACRO m() AS 1", "this is CREATE"),
    "a macro in place of a function": ("CREATE OR REPLACE TEMP MACRO repeat(a, n) AS 1", "this is CREATE"),
    "a secret": ("CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')", "this is CREATE"),
    "a temporary table": ("CREATE TEMP TABLE mine AS SELECT 1", "this is CREATE"),
    "a view": ("CREATE VIEW mine AS SELECT 1", "this is CREATE"),
    "a type": ("CREATE TYPE mood AS ENUM ('calm')", "this is CREATE"),
    "a sequence": ("CREATE SEQUENCE numbers", "this is CREATE"),
    "a schema": ("CREATE SCHEMA mine", "this is CREATE"),
    "a variable": ("SET VARIABLE mine = 1", "this is SET"),
    "a setting of the lock": ("SET lock_configuration = false", "this is SET"),
    "access to files": ("SET enable_external_access = true", "this is SET"),
    "the folder of temporary files": ("SET temp_directory = '/tmp/stolen'", "this is SET"),
    "a pivot that looks first": ("PIVOT windows ON quality USING count(*)", "must name its values"),
    # -- a second statement
    "a commit and an insert": ("COMMIT; INSERT INTO gaps SELECT now(), now(), now()", "2 statements"),
    "a select and a drop": ("SELECT 1; DROP TABLE windows", "2 statements"),
    "a drop behind a comment": ("SELECT 1 -- all is well\n; DROP TABLE windows", "2 statements"),
    "a drop behind a block comment": ("SELECT 1 /* ; */ ; /* */ DROP TABLE windows", "2 statements"),
    "a drop behind a dollar quote": ("SELECT $a$;$a$; DROP TABLE windows", "2 statements"),
    "a drop behind an escaped quote": (r"SELECT E'\''; DROP TABLE windows", "2 statements"),
    "a drop behind wide spaces": ("SELECT 1\u3000;\u00a0DROP TABLE windows", "2 statements|syntax"),
    "a drop behind a line that is none": ("SELECT 1 --\u2028; DROP TABLE a\n; DROP TABLE windows", "2 statements"),
    "a full-width semicolon": ("SELECT 1\uff1b DROP TABLE windows", "syntax error|does not exist|no column"),
    "a text that turns around": ("SELECT '\u202e' ; DROP TABLE windows", "2 statements"),
    "a drop behind NUL": ("SELECT 1\0; DROP TABLE windows", "NUL"),
    "half of a character": ("SELECT '\ud800'", "half of a character"),
    "nothing": ("", "0 statements"),
    "a comment": ("-- SELECT 1", "0 statements"),
    # -- a SELECT that writes
    "an insert in a WITH": (
        "WITH x AS (INSERT INTO labels SELECT 'x', 'real', now(), 'me' RETURNING *) FROM x", "read-only"
    ),
    "a delete in a WITH": ("WITH x AS (DELETE FROM windows RETURNING *) SELECT * FROM x", "read-only"),
    "an update in a WITH": ("WITH x AS (UPDATE windows SET count = 0 RETURNING *) SELECT * FROM x", "read-only"),
    "an explained insert": ("EXPLAIN ANALYZE INSERT INTO gaps SELECT now(), now(), now()", "only a SELECT may be"),
    "an explained delete": ("EXPLAIN (ANALYZE, FORMAT json) DELETE FROM windows", "only a SELECT may be explained"),
    "an explained copy": ("EXPLAIN ANALYZE COPY windows TO 'stolen.csv'", "only a SELECT may be explained"),
    "an explained delete in a WITH": ("EXPLAIN WITH x AS (DELETE FROM windows RETURNING 1) FROM x", "read-only"),
    "an explained second statement": ("EXPLAIN SELECT 1; DROP TABLE windows", "2 statements"),
    # -- files and addresses
    "a CSV file": ("SELECT * FROM read_csv('/etc/passwd')", "read_csv reads files"),
    "a text": ("SELECT * FROM read_text('/etc/passwd')", "reads files"),
    "a text in another case": ('SELECT * FROM "READ_TEXT"(\'/etc/passwd\')', "reads files"),
    "a text by its whole name": ("SELECT * FROM system.main.read_text('/etc/passwd')", "reads files"),
    "a blob": ("SELECT * FROM read_blob('/proc/self/environ')", "reads files"),
    "a parquet file": ("SELECT * FROM read_parquet('https://example.org/x.parquet')", "reads files"),
    "a parquet file's description": ("SELECT * FROM parquet_metadata('x.parquet')", "reads files"),
    "a JSON file": ("SELECT * FROM read_json_auto('x.json')", "reads files"),
    "another database": ("SELECT * FROM read_duckdb('x.duckdb')", "reads files"),
    "a folder": ("SELECT * FROM glob('/*')", "reads files"),
    "a guess at a CSV file": ("SELECT * FROM sniff_csv('/etc/passwd')", "reads files"),
    "a file as a table": ("SELECT * FROM '/etc/passwd'", "files cannot be read here"),
    "a CSV file as a table": ("SELECT * FROM 'stolen.csv'", "files cannot be read here"),
    "an address as a table": ("SELECT * FROM 'https://example.org/x.csv'", "files cannot be read here"),
    "another server": ("SELECT * FROM postgres_scan('host=example.org', 'public', 't')", "reads files"),
    # -- the machine and the process
    "settings": ("SELECT * FROM duckdb_settings()", "tells of the machine"),
    "a setting": ("SELECT current_setting('temp_directory')", "tells of the machine"),
    "where the file lies": ("SELECT path FROM duckdb_databases()", "tells of the machine"),
    "where the file lies, as a table": ("SELECT * FROM duckdb_databases", "tells of the machine"),
    "where the file lies, as a pragma": ("SELECT * FROM pragma_database_list", "tells of the machine"),
    "where the file lies, in full": ("SELECT * FROM system.main.duckdb_databases", "tells of the machine"),
    "settings as PostgreSQL names them": ("SELECT * FROM pg_catalog.pg_settings", "tells of the machine"),
    "storage": ("SELECT * FROM pragma_storage_info('windows')", "tells of the machine"),
    "the version": ("SELECT * FROM pragma_version()", "tells of the machine"),
    "secrets": ("SELECT * FROM duckdb_secrets()", "tells of the machine"),
    "which secret": ("SELECT * FROM which_secret('s3://x', 's3')", "tells of the machine"),
    "the environment": ("SELECT getenv('HOME')", "tells of the machine"),
    "a variable's value": ("SELECT getvariable('mine')", "tells of the machine"),
    "what others ask": ("SELECT current_query()", "tells of the machine"),
    "logs": ("SELECT * FROM duckdb_logs()", "tells of the machine"),
    "an address in memory": ("SELECT * FROM arrow_scan(1, 2, 3)", "reads the memory"),
    "a frame at an address": ("SELECT * FROM pandas_scan(1)", "reads the memory"),
    "a function of Python": ("SELECT * FROM python_map_function(1)", "reads the memory"),
    "a variable of Python": ("SELECT * FROM self", "does not exist"),
    "what the writer stages": ("SELECT * FROM staged", "does not exist"),
    "another name of that": ("SELECT * FROM page", "does not exist"),
    "a state of an aggregate": ("SELECT finalize('x'::BLOB)", "may be used here"),
    "an inner function": ("SELECT __internal_decompress_string(1)", "may be used here"),
    # -- SQL made while it runs, and what it would change
    "a query in a text": ("SELECT * FROM query('DELETE FROM windows')", "SQL that is made while it runs"),
    "a table in a text": ("SELECT * FROM query_table('windows')", "SQL that is made while it runs"),
    "a query in JSON": ("SELECT * FROM json_execute_serialized_sql('{}')", "SQL that is made while it runs"),
    "a plan in JSON": ("SELECT json_serialize_plan('SELECT 1')", "SQL that is made while it runs"),
    "the next number": ("SELECT nextval('numbers')", "changes something"),
    "a seed": ("SELECT setseed(0.5)", "changes something"),
    "a line in a log": ("SELECT write_log('x')", "changes something"),
    "logging": ("SELECT * FROM enable_logging()", "changes something"),
    "profiling": ("SELECT * FROM enable_profiling()", "changes something"),
    "a checkpoint as a function": ("SELECT * FROM force_checkpoint()", "changes something"),
    "a resource": ("SELECT * FROM register_external_resource('a', 'b')", "changes something"),
    "sleep": ("SELECT sleep_ms(60000)", "only waits"),
    "a function past its bound": ("SELECT system.main.repeat('x', 1000000000)", "without a schema"),
    "a parameter": ("SELECT ?", "parameters"),
    # -- text that is too much for a parser
    "100,000 brackets": ("SELECT " + "(" * 49_000 + "1" + ")" * 49_000, "more than 100 deep"),
    "brackets of lists": ("SELECT " + "[" * 40_000 + "1" + "]" * 40_000, "more than 100 deep"),
    "brackets that hide from a count": ("SELECT " + "E'\\'(' || (" * 4_000 + "1" + ")" * 4_000, "deep|long|syntax"),
    "joins within joins": ("FROM " + "(" * 9_000 + "a" + " JOIN b)" * 9_000, "more than 100 deep"),
    "a million characters": ("SELECT '" + "x" * 1_000_000 + "'", "longer than 100,000"),
    "denials": ("SELECT " + "NOT " * 20_000 + "true", "nested too deeply"),
    "signs": ("SELECT " + "- " * 40_000 + "1", "nested too deeply"),
    "a long sum": ("SELECT 1" + "+1" * 40_000, "nested too deeply"),
    "cases within cases": ("SELECT " + "CASE WHEN true THEN " * 3_000 + "1" + " END" * 3_000, "nested too deeply"),
    "a column of a column of a column": ("SELECT a" + "[1]" * 20_000, "nested too deeply|too large"),
    "lambdas within lambdas": ("SELECT " + "lambda x: " * 9_000 + "1", "nested too deeply|too large"),
    "ten thousand SELECTs": (" UNION ALL ".join(["SELECT 1"] * 5_000), "more than 500 SELECTs|too large"),
    "a thousand tables": ("SELECT 1 FROM windows" + ", windows" * 1_000, "more than 500 tables|nested too deeply"),
    # -- plans that grow without end
    "CTEs that double": (
        "WITH a0 AS (SELECT 1)"
        + "".join(f", a{n} AS NOT MATERIALIZED (FROM a{n - 1} UNION ALL FROM a{n - 1})" for n in range(1, 30))
        + " SELECT count(*) FROM a29",
        "NOT MATERIALIZED is not allowed",
    ),
    "columns that double": (
        "SELECT *, * FROM (" * 20 + "SELECT 1" + ")" * 20, "multiplies columns"
    ),
    "structs that double": (
        "SELECT {'a': s, 'b': s} AS s FROM (" * 24 + "SELECT 1 AS s" + ")" * 24, "multiplies columns"
    ),
    "joins that double": (
        f"WITH a0 AS (SELECT 1), {', '.join(f'a{n} AS (FROM a{n - 1} x, a{n - 1} y)' for n in range(1, 20))} FROM a19",
        "multiplies columns",
    ),
}  # fmt: skip
VALUES = {
    "range": "SELECT len(range(20000000))",
    "range of rows": "SELECT max(len(range(range + 20000))) FROM range(1000000)",
    "range with steps": "SELECT len(range(0, 10000000, 3))",
    "range backwards": "SELECT len(range(10000000, 0, -1))",
    "generate_series": "SELECT unnest(generate_series(1, 1000000000)) LIMIT 1",
    "generate_series of time": "SELECT generate_series(TIMESTAMP '2000-01-01', TIMESTAMP '2030-01-01', INTERVAL '1 s')",
    "repeat": "SELECT len(repeat('x', 4000000000))",
    "repeat of repeat": "SELECT len(repeat(repeat('x', 9000), 9000))",
    "repeat as a method": "SELECT 'x'.repeat(4000000000).len()",
    "repeat of a list": "SELECT len(repeat([1, 2], 400000000))",
    "list_resize": "SELECT len(list_resize([1], 1000000000, 1))",
    "array_resize": "SELECT len(array_resize([1], 1000000000))",
    "lpad": "SELECT len(lpad('x', 2000000000, 'y'))",
    "rpad": "SELECT len(rpad('x', 2000000000, 'y'))",
    "bitstring": "SELECT bit_length(bitstring('1', 2000000000))",
    "list comprehension": "SELECT len([x + 1 for x in range(1000000000)])",
    "list_transform": "SELECT len(list_transform(range(1000000000), lambda x: x + 1))",
    "an explained range": "EXPLAIN ANALYZE SELECT len(list_sort(range(10000000)))",
}
OTHER_VALUES = {
    "format": ("SELECT format('{:>2000000000}', 'x')", "needs its pattern written out"),
    "printf": ("SELECT printf('%2000000000s', 'x')", "needs its pattern written out"),
    "printf with a star": ("SELECT printf('%*d', 2000000000, 1)", "needs its pattern written out"),
    "format with a width inside": ("SELECT format('{:>{}}', 'x', 2000000000)", "needs its pattern written out"),
    "format of a pattern made": ("SELECT format('{:>' || 2000000000 || '}', 'x')", "needs its pattern written out"),
    "replace": (
        "SELECT len(replace(string_agg('a', ''), 'a', repeat('b', 9000))) FROM range(1000)", "could build too long"
    ),
    "regexp_replace": ("SELECT len(regexp_replace(repeat('a', 9000), 'a', repeat('b', 9000), 'g'))", "replacement of"),
    "a regex over a long text": ("SELECT regexp_matches(string_agg('a', ''), 'a*b') FROM range(99999)", "texts of up"),
    "a long regex": ("SELECT 'a' SIMILAR TO repeat('a?', 3000)", "pattern of up to 1,000"),
    "levenshtein": ("SELECT levenshtein(repeat('x', 9000), repeat('y', 9000))", "compares short texts only"),
    "an intersection": ("SELECT list_intersect(list(range), list(range)) FROM range(200000)", "lists of up to 100,000"),
    "a histogram": ("SELECT list_aggregate(list(range), 'histogram') FROM range(200000)", "lists of up to 100,000"),
    "values in a lambda": ("SELECT list_transform(range(9), lambda x: range(x))", "may not be called within a lambda"),
    "generate_subscripts": ("SELECT generate_subscripts([1], 1)", "may be used here"),
    "an infinite time": ("SELECT TIMESTAMPTZ 'infinity' AS t", "column t cannot be shown"),
    "a date before all dates": ("SELECT DATE '5877641-06-23 (BC)' AS d", "column d cannot be shown"),
    "a division of text": ("SELECT 'x'::INTEGER", "Could not convert"),
}  # fmt: skip
ENDLESS = {
    "a cross join": "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range + b.range) = 7",
    "an explained cross join": (
        "EXPLAIN ANALYZE SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range + b.range) = 7"
    ),
    "a recursion": "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
    "a recursion that triples": (
        "WITH RECURSIVE t AS (SELECT 1 i UNION ALL SELECT i + 1 FROM t, range(3)) SELECT sum(i) FROM t"
    ),
    "a recursion by key": (
        "WITH RECURSIVE t(i, j) USING KEY (i) AS (SELECT 1, 1 UNION ALL SELECT i + 1, j FROM t) SELECT count(*) FROM t"
    ),
    "a sort of everything": "SELECT * FROM range(1000000000) ORDER BY hash(range) LIMIT 1 OFFSET 900000000",
    "a hash of everything": "SELECT count(DISTINCT hash(range)) FROM range(1000000000)",
    "windows over everything": (
        "SELECT max(m) FROM (SELECT median(range) OVER (ORDER BY range ROWS 1000000 PRECEDING) m FROM range(10000000))"
    ),
    "lists of all lists": "SELECT max(len(s)) FROM (SELECT list(range) OVER (ORDER BY range) s FROM range(1000000))",
    "a text of everything": "SELECT len(string_agg(range::VARCHAR)) FROM range(1000000000)",
    "a list of everything": "SELECT len(list(range)) FROM range(1000000000)",
    "a text doubled on and on": (
        "WITH RECURSIVE t AS (SELECT 'x' s UNION ALL SELECT s || s FROM t) SELECT max(len(s)) FROM t"
    ),
    "lambdas over lambdas": (
        "SELECT max(len(list_transform(range(1000 + range % 2), lambda x: list_sum(list_transform([1, 2, 3], "
        "lambda y: y + x))))) FROM range(10000000)"
    ),
    "groups of every kind": (
        "SELECT count(*) FROM (SELECT 1 FROM range(100) t(a) GROUP BY CUBE("
        + ", ".join(f"a + {n}" for n in range(15)) + "))"
    ),
    "rows without end": "SELECT range, hash(range) FROM range(1000000000000)",
}  # fmt: skip
CASES = (
    {f"{name} alone": (sql, NOT_SELECT.format(name)) for name, sql in STATEMENTS.items()}
    | OTHER_STATEMENTS
    | {name: (sql, "value of more than 10,000") for name, sql in VALUES.items()}
    | OTHER_VALUES
)
HERE = re.escape(str(Path(__file__).parents[1]))
TELLTALE = re.compile(
    rf"0x[0-9a-f]{{6}}|site-packages|{HERE}|/root|\.duckdb\b|[A-Z]\w+ Error:|Stack Trace", re.IGNORECASE
)


def stolen():
    return {path.name for folder in (Path.cwd(), Path("/tmp")) for path in folder.glob("stolen*")}


class Attacked:
    """A history with its socket and an API over it, to be found unharmed."""

    def __init__(self, folder, history, port):
        self.folder, self.history, self.port = folder, history, port
        self.store = history.store
        self.second = 0
        self.before = self.look()
        self.here = stolen()

    def look(self):
        sql = "SELECT count(*), sum(count), min(start)::VARCHAR, max(width) FROM windows"
        names = "SELECT list(table_name ORDER BY 1) FROM duckdb_tables()"
        settings = "SELECT list((name, value) ORDER BY name) FROM duckdb_settings() WHERE name <> 'TimeZone'"
        with self.store._database.cursor() as cursor:  # settings are not to be seen by SQL of somebody else's
            return [cursor.execute(each).fetchall() for each in (sql, names, settings)]

    def seems_unharmed(self):
        """What can be seen cheaply after each attack; all the rest is looked at in the end."""
        with self.store._database.cursor() as cursor:
            assert cursor.execute("SELECT count(*), sum(count) FROM windows").fetchall() == [self.before[0][0][:2]]
        assert self.store.failures == 0
        assert stolen() == set()

    def is_unharmed(self):
        assert self.look() == self.before
        assert self.store.query("SELECT count(*) > 0 AS n FROM windows").rows == ((True,),)
        assert self.store.failures == 0
        assert stolen() == self.here == set()
        data = {path.name for path in self.folder.iterdir() if path.suffix != ".tmp"}
        assert data <= {"history.duckdb", "history.duckdb.wal", SOCKET_FILE}, data

    def refuses(self, sql, words, **bounds):
        with pytest.raises(QueryError) as refused:
            self.store.query(sql, **bounds)
        said = str(refused.value)
        assert re.search(words, said), said
        assert not TELLTALE.search(said.replace("'stolen.duckdb'", "")), said
        assert str(self.folder) not in said
        assert 15 < len(said) < 3_000
        return said


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    history = open_history(
        folder, WIKIMEDIA, Origin.LIVE, fresh=False, commit_interval=0.05, keep_events=3e9, keep_windows=3e9
    )
    with contextlib.closing(history):
        history.store.append(findings(1, *(analysis(second) for second in range(50))))
        history.store.flush()
        seen = Console(WIKIMEDIA, RingStore(), SpokenControl(), history.store)
        with served_api(seen) as served:
            attacked = Attacked(folder, history, served.port)
            yield attacked
            attacked.is_unharmed()


def test_the_table_is_as_long_as_it_should_be():
    assert len(CASES) + len(ENDLESS) >= 120
    assert console().history is None


@pytest.mark.parametrize("name", CASES)
def test_an_attack_is_refused_in_words_and_changes_nothing(attacked, name):
    sql, words = CASES[name]
    begun = time.monotonic()
    said = attacked.refuses(sql, words)
    assert time.monotonic() - begun < 5
    assert "Error" not in said.partition("\n")[0]
    attacked.seems_unharmed()


SHORT = [name for name, (sql, _) in CASES.items() if len(sql) <= MOST_CHARACTERS]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if n % 4 == 0 else pytest.mark.slow) for n, name in enumerate(SHORT)]
)
def test_an_attack_through_the_socket_and_the_api_is_refused_in_the_same_words(attacked, name):
    sql, words = CASES[name]
    if sql.isascii() or "\ud800" not in sql:
        if "cannot be shown" not in words:  # Arrow holds what Python does not
            with pytest.raises(QueryError, match=words):
                ask_history(attacked.folder, sql, max_rows=100, timeout=5)
        answer = httpx.post(f"http://127.0.0.1:{attacked.port}/api/sql", json={"sql": sql}, timeout=20)
        assert answer.status_code == (422 if not sql else 400), answer.text
        assert not sql or re.search(words, answer.json()["detail"]), answer.text
    attacked.seems_unharmed()


QUICKLY_STOPPED = ("a cross join", "a recursion", "a sort of everything", "a list of everything", "rows without end")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICKLY_STOPPED else pytest.mark.slow) for name in ENDLESS]
)
def test_a_query_without_end_is_stopped_in_time_and_leaves_no_file(attacked, name):
    memory, begun = psutil.Process().memory_info().rss, time.monotonic()
    attacked.refuses(ENDLESS[name], "longer than 0.4 s|more memory|more than 100000 rows|larger than", timeout=0.4)
    took = time.monotonic() - begun
    assert took < 1.5, took
    until_idle(attacked.store, 10)
    attacked.store.append(findings(60, analysis(0)))
    attacked.store.flush(5)
    attacked.is_unharmed()
    assert psutil.Process().memory_info().rss - memory < 2 << 30
    assert [path.name for path in attacked.folder.rglob("*.tmp/*") if not path.name.endswith("_owner")] == []


def until_idle(store, patience):
    end = time.monotonic() + patience
    while store._selects.running and time.monotonic() < end:
        time.sleep(0.01)
    assert store._selects.running == 0, "a query that was stopped goes on"


# -- words


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM windws", "a table windws does not exist; did you mean windows\\?\nLINE 1:.*windws\n *\\^"),
        ("SELECT * FROM nowhere_like_it", "a table nowhere_like_it does not exist; .*LINE 1"),
        ("SELECT cuont FROM windows", "there is no column cuont in what FROM names; did you mean .*count.*\\^"),
        ("SELECT series, count(*) FROM windows", '"series" must appear in the GROUP BY clause.*LINE 1.*\\^'),
        ("SELECT lenght('x')", "there is no lenght that may be used here; did you mean length"),
        ("SELECT * FROM rnage(3)", "there is no rnage that may be used here; did you mean range"),
        ("SELEC 1", "syntax error at or near.*LINE 1: SELEC 1\n *\\^"),
        ("SELECT 1 +", "syntax error"),
        ("SELECT len(1, 2)", "len"),
    ],
)
def test_a_plain_mistake_is_told_with_what_is_near(attacked, sql, words):
    said = attacked.refuses(sql, re.compile(words, re.DOTALL))
    assert "Error" not in said


def test_what_is_asked_every_day_is_let_through(attacked):
    for sql in (
        "SELECT date_trunc('minute', start) AS minute, sum(count) FROM windows GROUP BY 1 ORDER BY 1 DESC LIMIT 5",
        "SELECT *, lag(count) OVER (PARTITION BY series ORDER BY start) FROM windows QUALIFY row_number() OVER () < 9",
        "FROM dimension_counts PIVOT (sum(count) FOR dimension IN ('wiki', 'actor'))",
        "SELECT regexp_extract(value, '^(.)', 1), value ~ 'a.*', replace(value, 'a', 'b') FROM dimension_counts",
        "SELECT unnest(generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-02', INTERVAL 1 HOUR))",
        "SELECT [x * 2 FOR x IN range(5)], repeat('x', 20), lpad('7', 3, '0'), range(10, 0, -2), format('{:>9}', 'x')",
        "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < 9) FROM t",
        "SELECT table_name, comment FROM duckdb_tables()",
        "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'windows'",
        "SELECT table_name FROM information_schema.tables",
        "EXPLAIN ANALYZE SELECT count(*) FROM windows",
        "SELECT list_intersect([1, 2], [2]), list_has_any([1], [1]), list_aggregate([1, 2], 'sum'), list_sum([1])",
        "SELECT list_aggregate(['a'], 'string_agg', ','), list_distinct([1, 1]), regexp_extract('ab', '(a)', 1)",
        "/* a comment */ EXPLAIN (FORMAT json) SELECT 1 -- and another",
        "SUMMARIZE windows",
        "SHOW ALL TABLES",
        "SELECT count(*) FROM windows WHERE count IN (" + ", ".join(map(str, range(9_000))) + ")",
    ):
        assert attacked.store.query(sql).columns, sql


# -- cancel

RUNS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7"


def test_a_query_that_was_cancelled_before_does_not_begin(attacked):
    cancelled = threading.Event()
    cancelled.set()
    attacked.refuses("SELECT 1", "^the query was cancelled$", cancelled=cancelled)
    assert attacked.store._selects.running == 0


def test_a_query_is_cancelled_while_it_runs(attacked):
    for _ in range(5):
        cancelled, told = threading.Event(), []

        def cancel(cancelled=cancelled, told=told):
            told.append(time.monotonic())
            cancelled.set()

        threading.Timer(0.2, cancel).start()
        attacked.refuses(RUNS, "^the query was cancelled$", cancelled=cancelled)
        assert time.monotonic() - told[0] < 0.3  # 50 ms on a machine with nothing else to do
        until_idle(attacked.store, 2)


def test_an_event_that_is_set_afterwards_changes_nothing(attacked):
    cancelled = threading.Event()
    assert attacked.store.query("SELECT 1 AS n", cancelled=cancelled).rows == ((1,),)
    cancelled.set()
    assert attacked.store.query("SELECT 1 AS n").rows == ((1,),)


def test_a_query_that_waits_for_its_turn_can_be_cancelled_too(attacked):
    stop, waits = threading.Event(), threading.Event()

    def hold():
        with pytest.raises(QueryError, match="cancelled"):
            attacked.store.query(RUNS, timeout=20, cancelled=stop)

    holders = [threading.Thread(target=hold) for _ in range(PLACES)]
    for holder in holders:
        holder.start()
    end = time.monotonic() + 5
    while attacked.store._selects.running < PLACES and time.monotonic() < end:
        time.sleep(0.01)
    threading.Timer(0.2, waits.set).start()
    begun = time.monotonic()
    attacked.refuses("SELECT 1", "^the query was cancelled$", cancelled=waits)
    attacked.refuses("SELECT 1", "waited 0.3 s for its turn", timeout=0.3)
    assert time.monotonic() - begun < 2
    stop.set()
    for holder in holders:
        holder.join(10)
    until_idle(attacked.store, 2)
    assert attacked.store.query("SELECT 1 AS n").rows == ((1,),)


def test_a_client_that_hangs_up_frees_its_place_within_a_second(attacked):
    body = json.dumps({"sql": RUNS, "timeout": 30}).encode()
    head = "POST /api/sql HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}"
    for reset in (False, True):
        held = [socket.create_connection(("127.0.0.1", attacked.port), timeout=5) for _ in range(PLACES)]
        for client in held:
            client.sendall("\r\n".join((*head, "", "")).encode() + body)
        end = time.monotonic() + 5
        while attacked.store._selects.running < PLACES and time.monotonic() < end:
            time.sleep(0.01)
        assert attacked.store._selects.running == PLACES
        for client in held:
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        begun = time.monotonic()
        until_idle(attacked.store, 2)
        assert time.monotonic() - begun < 1
        answer = httpx.post(f"http://127.0.0.1:{attacked.port}/api/sql", json={"sql": "SELECT 1 AS n"}, timeout=5)
        assert (answer.status_code, time.monotonic() - begun < 1.5) == (200, True)
