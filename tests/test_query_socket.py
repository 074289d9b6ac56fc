"""Other processes ask a running server, or the file when no server runs; answers become text."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from findings_of import T0, analysis, findings

from tracewave_panel.errors import HistoryInUseError, QueryError, StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Origin
from tracewave_panel.ports import Table
from tracewave_panel.stores import query_socket
from tracewave_panel.stores.history import query_folder
from tracewave_panel.stores.open_history import LIVE_FILE, REPLAY_FILE, SOCKET_FILE, open_history
from tracewave_panel.stores.table_text import format_table

FOR_EVER = 3e9  # seconds: what is told here is years old

COUNT = "SELECT count(*) FROM windows"
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7"


@pytest.fixture
def history(tmp_path):
    history = open_history(tmp_path, WIKIMEDIA, Origin.LIVE, fresh=False, commit_interval=0.01, keep_windows=FOR_EVER)
    yield history
    history.close()


def tell(history, *seconds):
    for second in seconds:
        history.store.append(findings(second + 1, analysis(second)))
    history.store.flush()


def connect(folder):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(15)
    client.connect(str(folder / SOCKET_FILE))
    return client


# -- asking


def test_answers_are_the_same_with_and_without_a_server(tmp_path, history):
    tell(history, 0, 1, 2)
    sql = "SELECT *, 1.50::DECIMAL(4, 2), INTERVAL 2 DAY, 'x'::BLOB, [1, 2], {'a': 1} FROM windows ORDER BY start"
    served = query_folder(tmp_path, sql)
    history.close()
    assert query_folder(tmp_path, sql) == served
    assert len(served.rows) == 3
    assert served.rows[0][1] == dt.datetime.fromtimestamp(T0, dt.UTC)


def test_second_process_asks_while_the_first_writes(tmp_path, history):
    program = """
import sys
from pathlib import Path
from tracewave_panel.stores.history import query_folder
before = -1
for _ in range(40):
    (now, counts), = query_folder(Path(sys.argv[1]), "SELECT (SELECT count(*) FROM windows),"
                                  " (SELECT count(*) FROM dimension_counts)").rows
    assert now >= before and counts == 40 * now, (before, now, counts)
    before = now
print(before)
"""
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as reader:
        second = 0
        while reader.poll() is None:
            history.store.append(findings(second + 1, analysis(second)))
            second += 1
            time.sleep(0.005)
        assert reader.returncode == 0
        assert 0 < int(reader.stdout.read()) <= second


def test_many_clients_are_answered_at_once(tmp_path, history):
    tell(history, 0)
    answers = []

    def ask():
        answers.extend(query_folder(tmp_path, "SELECT count(*) FROM windows, range(1000000)").rows for _ in range(5))

    clients = [threading.Thread(target=ask) for _ in range(query_socket.MAX_CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert answers == [((1_000_000,),)] * 40


def test_wrong_sql_is_a_query_error_in_the_asking_process(tmp_path, history):
    for sql, words in (("SELECT nothing", "nothing"), ("DROP TABLE windows", "only SELECT")):
        with pytest.raises(QueryError, match=words):
            query_folder(tmp_path, sql)
    with pytest.raises(QueryError, match=r"longer than 0\.2 s"):
        query_folder(tmp_path, ENDLESS, timeout=0.2)
    with pytest.raises(QueryError, match="longer than 1 MiB"):
        query_folder(tmp_path, "SELECT 1" + " " * (1 << 20))
    with pytest.raises(QueryError, match="more than 5 rows"):
        query_folder(tmp_path, "FROM range(6)", max_rows=5)


def test_large_answers_arrive_whole(tmp_path, history):
    table = query_folder(tmp_path, "SELECT range AS n, repeat('x', 100) AS x FROM range(100000)")
    assert [row[0] for row in table.rows] == list(range(100_000))


def test_folder_without_history_says_how_to_get_one(tmp_path):
    with pytest.raises(StoreError, match=r"no history in .*; start `tracewave serve --data .*` first"):
        query_folder(tmp_path / "nowhere", COUNT)


def test_folder_whose_server_was_killed_is_read_from_the_file(tmp_path):
    program = f"""
import os, sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from findings_of import analysis, findings
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Origin
from tracewave_panel.stores.open_history import open_history
history = open_history(Path(sys.argv[1]), WIKIMEDIA, Origin.LIVE, fresh=False)
history.store.append(findings(1, analysis(0)))
history.store.flush()
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], check=False, timeout=30)
    assert (tmp_path / SOCKET_FILE).is_socket(), "the dead server left its socket"
    assert query_folder(tmp_path, COUNT).rows == ((1,),)
    history = open_history(tmp_path, WIKIMEDIA, Origin.LIVE, fresh=False)
    assert query_folder(tmp_path, COUNT).rows == ((1,),)
    history.close()
    assert not (tmp_path / SOCKET_FILE).exists()


def test_replay_has_a_file_of_its_own_and_starts_it_anew(tmp_path, history):
    tell(history, 0, 1, 2)
    history.close()
    for _ in range(2):
        replay = open_history(tmp_path, WIKIMEDIA, Origin.SIMULATED, fresh=True, commit_interval=0.01)
        tell(replay, 100)
        assert query_folder(tmp_path, COUNT).rows == ((1,),), "a server answers about what it shows"
        assert query_folder(tmp_path, "SELECT value FROM meta WHERE key = 'origin'").rows == (("simulated",),)
        replay.close()
    assert query_folder(tmp_path, COUNT).rows == ((3,),), "without one it is the live feed's history"
    (tmp_path / LIVE_FILE).unlink()
    assert query_folder(tmp_path, COUNT).rows == ((1,),), "or that of the last replay"
    assert (tmp_path / REPLAY_FILE).exists()


# -- the socket


def test_only_the_owner_may_connect(tmp_path, history):
    assert stat.S_IMODE((tmp_path / SOCKET_FILE).stat().st_mode) == 0o600


def test_live_socket_of_another_server_is_not_taken(tmp_path, history):
    with pytest.raises(StoreError, match="another server answers"):
        open_history(tmp_path, WIKIMEDIA, Origin.SIMULATED, fresh=True)
    assert query_folder(tmp_path, COUNT).rows == ((0,),)


def test_file_in_the_way_of_the_socket_is_left_alone(tmp_path):
    (tmp_path / SOCKET_FILE).write_text("mine")
    with pytest.raises(StoreError, match="in the way"):
        open_history(tmp_path, WIKIMEDIA, Origin.LIVE, fresh=False)
    assert (tmp_path / SOCKET_FILE).read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="long paths need /proc")
def test_folder_with_a_path_too_long_for_a_socket_works_too(tmp_path):
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    history = open_history(folder, WIKIMEDIA, Origin.LIVE, fresh=False, commit_interval=0.01, keep_windows=FOR_EVER)
    tell(history, 0)
    assert query_folder(folder, COUNT).rows == ((1,),)
    history.close()
    assert [each.name for each in folder.iterdir()] == [LIVE_FILE]


def test_clients_that_hang_do_not_keep_others_from_asking_nor_the_server_from_stopping(tmp_path, history):
    silent = [connect(tmp_path) for _ in range(query_socket.MAX_CLIENTS - 1)]
    silent[0].sendall(b"\x00\x00\x01\x00half a question")
    assert query_folder(tmp_path, COUNT).rows == ((0,),)
    begin = time.monotonic()
    history.close()
    assert time.monotonic() - begin < 3
    for client in silent:
        client.close()


def test_one_client_too_many_is_told_to_come_again(tmp_path, history):
    crowd = [connect(tmp_path) for _ in range(query_socket.MAX_CLIENTS)]
    with pytest.raises(StoreError, match="8 queries run at this moment; ask again"):
        query_folder(tmp_path, COUNT)
    for client in crowd:
        client.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert query_folder(tmp_path, COUNT).rows == ((0,),)
        except StoreError:
            time.sleep(0.02)
            continue
        return
    pytest.fail("places are not given back")


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\x00",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x05hello",
        b"\x00\x00\x00\x02\x93\x01",
        random.Random(3).randbytes(5000),
    ],
    ids=["nothing", "half a length", "too long", "no question", "cut off", "noise"],
)
def test_nonsense_on_the_socket_leaves_the_server_well(tmp_path, history, question):
    with connect(tmp_path) as client:
        client.sendall(question)
        client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):  # it hung up before it had read everything
            while client.recv(1000):
                pass
    assert query_folder(tmp_path, COUNT).rows == ((0,),)


def test_closing_stops_a_query_of_another_client(tmp_path, history):
    closer = threading.Timer(0.5, history.close)
    closer.start()
    with pytest.raises(StoreError, match=r"closed|gave no answer"):
        query_folder(tmp_path, ENDLESS)
    closer.join()


# -- text


HOSTILE = Table(
    ("start", "wiki", "count", "share"),
    [
        (dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC), "de\x1b[2Jwiki\n", 7, 0.25),
        (dt.datetime(2026, 3, 1, 12, 30, 0, 500_000, tzinfo=dt.UTC), "日本語", 1234, float("nan")),
        (None, None, None, None),
    ],
)


def test_table_is_aligned_and_free_of_control_characters():
    assert format_table(HOSTILE, "table").splitlines() == [
        "start                        wiki             count  share",
        "---------------------------  ---------------  -----  -----",
        "2026-03-01T12:30:00Z         de\\x1b[2Jwiki\\n      7   0.25",
        "2026-03-01T12:30:00.500000Z  日本語            1234    nan",
        "NULL                         NULL              NULL   NULL",
    ]


def test_json_has_one_object_a_row():
    rows = json.loads(format_table(HOSTILE, "json"))
    assert rows[0] == {"start": "2026-03-01T12:30:00Z", "wiki": "de\x1b[2Jwiki\n", "count": 7, "share": 0.25}
    assert rows[1]["share"] is None
    assert rows[2] == dict.fromkeys(HOSTILE.columns)
    assert json.loads(format_table(Table(("a",), []), "json")) == []


def test_csv_can_be_read_back():
    rows = list(csv.reader(io.StringIO(format_table(HOSTILE, "csv"))))
    assert rows == [
        ["start", "wiki", "count", "share"],
        ["2026-03-01T12:30:00Z", "de\x1b[2Jwiki\n", "7", "0.25"],
        ["2026-03-01T12:30:00.500000Z", "日本語", "1234", "nan"],
        ["", "", "", ""],
    ]


def test_every_kind_of_value_has_a_text():
    row = (True, b"\xff", Decimal("1.50"), dt.timedelta(days=2), dt.date(2026, 3, 1), ["a", None], {"b": b"\x01"})
    table = Table(tuple("abcdefg"), [row])
    (text,) = list(csv.reader(io.StringIO(format_table(table, "csv"))))[1:]
    assert text == ["true", "ff", "1.50", "2 days, 0:00:00", "2026-03-01", '["a",null]', '{"b":"01"}']
    assert json.loads(format_table(table, "json"))[0]["c"] == 1.5


def test_empty_answer_still_names_its_columns():
    empty = Table(("a", "bc"), [])
    assert format_table(empty, "table") == "a  bc\n-  --"
    assert format_table(empty, "csv") == "a,bc"


_HOLDS = """
import sys, time, duckdb
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
held.close()
"""


@pytest.fixture
def held(tmp_path):
    """A history that another process has open for so many seconds, as a starting server has before it answers."""
    open_history(tmp_path, WIKIMEDIA, Origin.LIVE, fresh=False).close()
    holders = []

    def hold(seconds: float) -> Path:
        command = [sys.executable, "-c", _HOLDS, str(tmp_path / LIVE_FILE), str(seconds)]
        holders.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert holders[-1].stdout.readline() == "held\n"
        return tmp_path

    yield hold
    for holder in holders:
        holder.kill()
        holder.communicate()


def test_question_to_a_server_that_is_starting_waits_for_it(held):
    assert list(query_folder(held(1.0), COUNT).rows) == [(0,)]


def test_file_that_another_program_keeps_open_is_given_up_in_words(held):
    began = time.monotonic()
    with pytest.raises(HistoryInUseError, match="another process has it open"):
        query_folder(held(60.0), COUNT)
    assert 4.0 < time.monotonic() - began < 30.0
