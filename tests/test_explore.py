"""The Explore page without a browser: what is sent of an answer, files, places of errors, how many run at a time."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import threading
import time

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from console_stand_in import anomaly, console, findings

from tracewave_panel.answers import settled
from tracewave_panel.app.explore import desk
from tracewave_panel.app.explore.answer import MOST_CELLS, MOST_SHOWN, MOST_TEXT, shown
from tracewave_panel.app.explore.asked import AskedCancel, AskedFile, AskedRun, asked_of
from tracewave_panel.app.explore.catalogue import catalogue
from tracewave_panel.app.explore.faults import fault_of
from tracewave_panel.app.explore.files import PIECE, file_of, in_pieces
from tracewave_panel.app.explore.picked import picked
from tracewave_panel.app.explore.shelf import Shelf
from tracewave_panel.app.frames import Frames
from tracewave_panel.app.views.explore import Explore
from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.ports import Console, Table
from tracewave_panel.stores.duckdb import DuckDBStore

MEMORY = duckdb.connect()
MEMORY.execute("SET TimeZone = 'UTC'")
NOON = dt.datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    with DuckDBStore(tmp_path_factory.mktemp("explore") / "history.duckdb", WIKIMEDIA) as empty:
        yield empty


def answer_of(select: str) -> pa.Table:
    with MEMORY.cursor() as cursor:
        return settled(cursor.sql(select).to_arrow_table())


def only(select: str) -> tuple[str, object]:
    told = shown(answer_of(f"SELECT {select}"))
    return told["columns"][0]["kind"], told["data"][0][0]


@pytest.mark.parametrize(
    ("select", "kind", "value"),
    [
        ("12", "number", 12),
        ("1.50::DECIMAL(9, 2)", "number", 1.5),
        ("sum(7)", "number", 7),
        ("9007199254740993", "number", "9007199254740993"),
        ("'nan'::DOUBLE", "number", "NaN"),
        ("'-inf'::DOUBLE", "number", "-Infinity"),
        ("NULL::DOUBLE", "number", None),
        ("TIMESTAMPTZ '2026-11-22 12:00:00.25+00'", "time", NOON.timestamp() * 1000),
        ("TIMESTAMP 'infinity'", "time", "infinity"),
        ("true", "bool", True),
        ("DATE '2026-11-22'", "text", "2026-11-22"),
        ("''", "text", ""),
        ("['a', NULL]", "text", '["a",null]'),
        ("{'at': TIMESTAMPTZ '2026-11-22 12:00:00.25+00'}", "text", '{"at":"2026-11-22T12:00:00.250000Z"}'),
        ("'\\xAB'::BLOB", "text", '"ab"'),
        ("INTERVAL 90 SECOND", "text", '"0 months 0 days 90 s"'),
        ("NULL", "text", None),
    ],
)
def test_value_reaches_the_page_as_it_is(select, kind, value):
    assert only(select) == (kind, value)


def test_page_gets_some_thousand_rows_and_is_told_of_all():
    told = shown(answer_of("SELECT i, repeat('x', 5000) AS long FROM range(9000) t(i)"))
    assert (told["rows"], told["shown"], len(told["data"][0])) == (9000, MOST_SHOWN, MOST_SHOWN)
    assert len(told["data"][1][0]) == MOST_TEXT + 1
    wide = answer_of(f"SELECT {', '.join(f'i AS c{column}' for column in range(100))} FROM range(9000) t(i)")
    assert shown(wide)["shown"] == MOST_CELLS // 100


def test_columns_of_one_name_are_told_apart():
    assert settled(answer_of("SELECT 1 AS a, 2 AS a, 3 AS a_1")).column_names == ["a", "a_1", "a_1_1"]


ODD = """
SELECT * FROM (VALUES
  (1, 'plain', TIMESTAMPTZ '2026-11-22 12:00:00.25+00', 1.5::DOUBLE, ['a', 'b'], true),
  (2, '=1+2,"quoted"' || chr(10) || 'ünïcode', NULL, NULL, NULL, NULL),
  (3, '', TIMESTAMPTZ '2026-11-22 12:00:00+00', 'nan'::DOUBLE, [], false)
) t(number, words, moment, figure, list, flag)
"""


def test_csv_holds_the_answer_and_tells_null_from_empty():
    content = file_of(answer_of(ODD), "csv").decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    assert rows[1]["words"] == '=1+2,"quoted"\nünïcode'
    assert rows[0]["moment"] == "2026-11-22 12:00:00.250000Z"
    assert rows[0]["list"] == '["a","b"]'
    assert content.splitlines()[-1].startswith('3,"",')
    assert content.splitlines()[-2].endswith(",,,,")


def test_json_holds_the_answer():
    rows = json.loads(file_of(answer_of(ODD), "json"))
    assert rows[0] == {
        "number": 1,
        "words": "plain",
        "moment": "2026-11-22T12:00:00.250000Z",
        "figure": 1.5,
        "list": ["a", "b"],
        "flag": True,
    }
    assert rows[1]["figure"] is None
    assert rows[2]["words"] == ""
    assert json.loads(file_of(answer_of("SELECT 1 WHERE false"), "json")) == []


def test_parquet_is_the_answer_with_its_types():
    answer = answer_of(ODD)
    read = pq.read_table(io.BytesIO(file_of(answer, "parquet")))
    assert read.drop_columns("figure").equals(answer.drop_columns("figure"))
    assert read.schema.field("moment").type == pa.timestamp("us", "UTC")
    assert pq.read_table(io.BytesIO(file_of(answer_of("SELECT INTERVAL 1 MONTH AS i"), "parquet"))).num_rows == 1


def test_file_comes_in_pieces_that_make_it_whole():
    content = bytes(range(256)) * (PIECE // 128)
    pieces = in_pieces(content)
    assert len(pieces) == 2
    assert b"".join(pieces) == content


@pytest.mark.parametrize(
    ("sql", "marked"),
    [
        ("SELECT * FRM windows", "windows"),
        ("-- a comment\n\nSELECT start,\n  nothing\nFROM windows", "nothing"),
        ("SELECT 'nothing', nothing FROM windows", "nothing"),
        ("SELECT count(*) FROM nowhere", "nowhere"),
        ("SELECT lenght(series) FROM windows", "lenght"),
        ("SELECT 'open FROM windows", "'open FROM windows"),
        ("SELECT (1 + 2 FROM windows", "FROM"),
    ],
)
def test_place_of_an_error_is_found(history, sql, marked):
    with pytest.raises(QueryError) as refused:
        history.query(sql)
    fault = fault_of(str(refused.value), sql)
    assert sql[fault.begin : fault.end] == marked
    assert fault.begin == sql.rfind(marked)
    assert "LINE" not in fault.words
    assert "^" not in fault.words


def test_error_without_a_place_has_none():
    assert fault_of("the query took longer than 10 s and was stopped", "SELECT 1")[1:] == (0, 0)
    assert fault_of('column "x"\nLINE 9: SELECT\n        ^', "SELECT 1")[1:] == (0, 0)


def test_catalogue_names_views_first_with_types_and_words(history):
    told = catalogue(history)
    kinds = [each["view"] for each in told["relations"]]
    assert kinds == sorted(kinds, reverse=True)
    assert told["since"] is None
    by_name = {each["name"]: each for each in told["relations"]}
    assert by_name["rate_by_minute"]["comment"]
    columns = {name: (kind, words) for name, kind, words in by_name["windows"]["columns"]}
    assert columns["start"][0] == "timestamp"
    assert columns["start"][1]
    assert all(words for each in told["relations"] for _, _, words in each["columns"] if each["name"] == "scores_wide")


def test_picked_anomaly_brings_its_question():
    held = console()
    held.store.append(findings(1100.0, anomalies=[anomaly(1000.0, 1060.0, title="Bot burst\non <b>x</b>")]))
    told = picked(held, "edits-rate-1000")
    assert told["title"] == "Bot burst on <b>x</b>"
    assert "1970-01-01 00:16:40+00" in told["sql"]
    with pytest.raises(StoreError, match="not held"):
        picked(held, "' OR 1=1 --")


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ({"run": "SELECT 1", "number": 1}, AskedRun("SELECT 1", 1)),
        ({"cancel": 4}, AskedCancel(4)),
        ({"file": "csv", "number": 4}, AskedFile("csv", 4)),
        ({"file": "exe", "number": 4}, None),
        ({"run": "x" * 100_001, "number": 1}, None),
        ({"run": "SELECT 1", "number": 1, "max_rows": 10**9}, None),
        ("SELECT 1", None),
        (None, None),
    ],
)
def test_only_what_a_page_of_ours_says_is_read(message, read):
    assert asked_of(message) == read


class Slow:
    """A History that answers when it is let, and says how many ask at a time."""

    def __init__(self):
        self.free = threading.Event()
        self.running, self.most = 0, 0
        self._lock = threading.Lock()

    def query_arrow(self, sql, *, max_rows, timeout, cancelled):
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            end = time.monotonic() + 10
            while not self.free.wait(0.01):
                if cancelled.is_set():
                    raise QueryError("the query was cancelled")
                assert time.monotonic() < end
            return answer_of(sql)
        finally:
            with self._lock:
                self.running -= 1

    def query(self, sql, **limits) -> Table:
        raise NotImplementedError


def eventually(holds) -> bool:
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()


def test_few_run_at_a_time_and_those_that_wait_can_be_cancelled():
    history, begun = Slow(), []
    askers = [object() for _ in range(5)]
    questions = [desk.Question(history, "SELECT 7", by, lambda: begun.append(1)) for by in askers]
    end = time.monotonic() + 10
    while history.running < desk.AT_ONCE and time.monotonic() < end:
        time.sleep(0.01)
    questions[0].cancel()
    questions[4].cancel()
    with pytest.raises(QueryError, match="cancelled"):
        questions[0].answered.result(10)
    history.free.set()
    assert [each.answered.result(10).shown["data"] for each in questions[1:4]] == [[[7]]] * 3
    with pytest.raises(QueryError, match="cancelled"):
        questions[4].answered.result(10)
    assert history.most == desk.AT_ONCE
    assert len(begun) == 4, "one that was cancelled while it waited did not begin"
    assert desk.HELD.get(askers[0]) is None
    assert desk.HELD.get(askers[1]).num_rows == 1
    for by in askers:
        desk.HELD.drop(by)


def test_answers_held_for_download_are_bounded():
    answer = answer_of("SELECT i FROM range(5000) t(i)")
    shelf = Shelf(most=2 * answer.nbytes)
    for by in range(4):
        shelf.put(by, answer)
        shelf.put(0, answer)
    assert [by for by in range(4) if shelf.get(by)] == [0, 3], "those held longest are let go first"
    shelf.drop(0)
    assert shelf.get(0) is None


def test_answer_that_is_too_large_is_refused_in_words():
    history = Slow()
    history.free.set()
    with pytest.raises(QueryError, match="larger than"):
        desk.Question(
            history, "SELECT repeat('x', 4000) || i FROM range(9000) t(i)", by := object(), lambda: None
        ).answered.result(10)
    assert desk.HELD.get(by) is None


def test_without_history_there_is_nothing_to_ask():
    with pytest.raises(StoreError, match="no history is kept"):
        desk.Question(None, "SELECT 1", object(), lambda: None).answered.result(10)


def test_session_that_ends_takes_its_question_along():
    history, plain = Slow(), console()
    page = Explore(Console(plain.feed, plain.store, plain.control, history), Frames(name="frames"))
    page._heard({"run": "SELECT 7", "number": 1})
    assert eventually(lambda: history.running == 1)
    page.close()
    assert eventually(lambda: history.running == 0), "what nobody waits for runs on"
    assert desk.HELD.get(page) is None


def test_new_question_ends_the_one_before():
    history, plain = Slow(), console()
    page = Explore(Console(plain.feed, plain.store, plain.control, history), Frames(name="frames"))
    for number in range(6):
        page._heard({"run": "SELECT 7", "number": number})
    assert eventually(lambda: history.running == 1)
    history.free.set()
    assert eventually(lambda: history.running == 0)
    assert eventually(lambda: desk.HELD.get(page) is not None)
    page.close()
