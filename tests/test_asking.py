"""A history is asked by its folder, by its file and by the address of an API, and each says who answered."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from api_server import TOKENS, access_with_tokens, kept, served_api
from click.testing import CliRunner
from findings_of import analysis, findings
from running import ROOT, running, serving, tracewave, until

from tracewave_panel.api.limits import Limits
from tracewave_panel.cli import main
from tracewave_panel.errors import ConfigError, QueryError, StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Origin
from tracewave_panel.ready_queries import ready_queries
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.stores.asking import answering, ask_history
from tracewave_panel.stores.asking_url import ask_url, sql_address
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.frames import tell_frame
from tracewave_panel.stores.messages import Question
from tracewave_panel.stores.open_history import LIVE_FILE, REPLAY_FILE, SOCKET_FILE, open_history

FOR_EVER = 3e9  # seconds: what is told here is years old

COUNT = "SELECT count(*) AS n FROM windows"
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7"


def fill(folder: Path, seconds: int, origin: Origin = Origin.LIVE, **fields):
    history = open_history(
        folder, WIKIMEDIA, origin, fresh=origin is not Origin.LIVE, commit_interval=0.01, keep_windows=FOR_EVER
    )
    for second in range(seconds):
        history.store.append(findings(second + 1, analysis(second)))
    history.store.flush()
    return history


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A folder with three windows that nobody has open."""
    folder = tmp_path_factory.mktemp("closed")
    fill(folder, 3).close()
    return folder


def counted(answer) -> int:
    return answer.rows.column("n")[0].as_py()


def run(*arguments: str, stdin: str | None = None):
    return CliRunner().invoke(main, ["query", *arguments], input=stdin)


# -- who answers


def test_folder_and_file_are_answered_by_whoever_has_them_open(tmp_path):
    fill(tmp_path, 1, Origin.SIMULATED).close()
    history = fill(tmp_path, 2)
    try:
        live, other = tmp_path / LIVE_FILE, tmp_path / REPLAY_FILE
        for place, windows, by in (
            (tmp_path, 2, f"the server that has {live} open"),
            (str(live), 2, f"the server that has {live} open"),
            (other, 1, f"the file {other}, which no server has open"),
        ):
            answer = ask_history(place, COUNT)
            assert (counted(answer), answer.by) == (windows, by)
    finally:
        history.close()
    for place, windows, path in ((tmp_path, 2, live), (live, 2, live), (other, 1, other)):
        answer = ask_history(place, COUNT)
        assert (counted(answer), answer.by) == (windows, f"the file {path}, which no server has open")


def test_query_ends_when_whoever_asked_it_hangs_up(tmp_path):
    history = fill(tmp_path, 1)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / SOCKET_FILE))
            tell_frame(client, msgspec.msgpack.encode(Question(ENDLESS, 1, 60.0)), 5)
            until(lambda: history.store._selects._running, 5, every=0.01)
            client.shutdown(socket.SHUT_RDWR)
        until(lambda: not history.store._selects._running, 5, every=0.01)
    finally:
        history.close()


@pytest.mark.parametrize(
    "saying",
    [b"", b"\x00\x00\x00\x05hello", b"\x00\x00\x00\x01\x80", b"\x00\x00\x00\x01\x80\x00\x00\x00\x08", b"\xff" * 64],
    ids=["nothing", "no reply", "no rows", "half a frame", "noise"],
)
def test_server_that_breaks_off_is_said_to(tmp_path, saying):
    with speaking_on(tmp_path / SOCKET_FILE, saying), pytest.raises(StoreError, match="gave"):
        ask_history(tmp_path, COUNT)


@contextmanager
def speaking_on(path: Path, saying: bytes):
    """A socket that takes a question and says `saying` to it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(10)

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(100_000)
                client.sendall(saying)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def test_large_answer_is_given_batch_by_batch(tmp_path):
    history = fill(tmp_path, 0)
    try:
        sql = "SELECT range AS n, repeat('x', 300) AS x FROM range(200000)"
        with answering(tmp_path, sql, max_rows=200_000) as answer:
            sizes = [batch.num_rows for batch in answer.rows]
    finally:
        history.close()
    assert sum(sizes) == 200_000
    assert max(sizes) <= 10_000


# -- over the API


def test_address_answers_as_the_file_does(tmp_path):
    sql = "SELECT * FROM windows ORDER BY start"
    with kept(tmp_path, seconds=5) as console, served_api(console) as served:
        answer = ask_history(served.url, sql)
        assert answer.by == f"the server at {served.url}"
        assert answer.rows.equals(console.history.query_arrow(sql))
        with pytest.raises(QueryError, match="only SELECT"):
            ask_history(f"{served.url}/api", "DROP TABLE windows")
        with pytest.raises(QueryError, match=r"body\.max_rows.*100000"):
            ask_history(f"{served.url}/api/sql", sql, max_rows=1_000_000)


def test_token_is_taken_from_where_it_is_said_to_be(tmp_path, monkeypatch):
    right, wrong = TOKENS["read"], "tw_read-" + "w" * 40
    held = tmp_path / "token"
    held.write_text(f"{right}\n")
    monkeypatch.setenv("HELD_BY", right)
    with kept(tmp_path / "data", seconds=2) as console, served_api(console, access=access_with_tokens()) as served:
        for token in (right, "env:HELD_BY", f"file:{held}"):
            assert counted(ask_history(served.url, COUNT, token=token)) == 2
        for token, words in (("", r"401: .* \(give a token with --token or TRACEWAVE_TOKEN"), (wrong, "401")):
            with pytest.raises(StoreError, match=words) as refused:
                ask_history(served.url, COUNT, token=token)
            assert wrong not in str(refused.value)
        monkeypatch.setenv("TRACEWAVE_TOKEN", right)
        assert counted(ask_history(served.url, COUNT)) == 2


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("env:NOWHERE_AT_ALL", "no variable NOWHERE_AT_ALL"),
        ("file:/nowhere/token", "/nowhere/token cannot be read"),
        ("two words", "letters that no token has"),
        ("tökén", "letters that no token has"),
    ],
)
def test_token_that_is_none_is_refused_before_anything_is_sent(token, words):
    with pytest.raises(ConfigError, match=words):
        ask_history("http://127.0.0.1:9", COUNT, token=token)


@pytest.mark.parametrize(
    "address",
    ["ftp://here", "http://", "http://me:secret@here", "http://here?x=1", "http://[::1", "https://here/#x"],
)
def test_address_that_is_none_is_refused(address):
    with pytest.raises(ConfigError) as refused:
        ask_history(address, COUNT)
    assert "secret" not in str(refused.value)


def test_address_may_be_of_the_server_of_its_api_or_of_its_sql():
    for given in ("http://h:1", "http://h:1/", "http://h:1/api", "http://h:1/api/", "http://h:1/api/sql"):
        assert str(sql_address(given)) == "http://h:1/api/sql"
    assert str(sql_address("https://h/under/path")) == "https://h/under/path/api/sql"


def test_server_that_is_busy_says_for_how_long_and_is_asked_again_where_there_is_patience(tmp_path):
    with (
        kept(tmp_path, seconds=2) as console,
        served_api(console, limits=Limits(requests_per_second=1.0, burst=1)) as served,
    ):
        ask_history(served.url, COUNT)
        with pytest.raises(StoreError, match=r"429: .*it asks to wait \d+ s"):
            ask_history(served.url, COUNT)
        began = time.monotonic()
        with answering(served.url, COUNT, patience=20.0) as answer:
            assert answer.rows.read_all().num_rows == 1
        assert time.monotonic() - began > 0.3


@contextmanager
def speaking(saying: bytes, *, wait: float = 0.0, context: ssl.SSLContext | None = None):
    """A server that answers every request with these bytes; yields its port and what it was sent."""
    heard: list[bytes] = []
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                try:
                    client, _ = listener.accept()
                    client.settimeout(2)
                    client = context.wrap_socket(client, server_side=True) if context else client
                except OSError:
                    continue
                with client:
                    try:
                        heard.append(client.recv(65536))
                        stop.wait(wait)
                        client.sendall(saying)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            stop.set()
            thread.join()


def http(status: str, body: bytes, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body


PROBLEM = b'{"type":"about:blank","title":"x","status":403,"detail":"it is \\u001b[31mnot allowed","instance":"/"}'
ARROW = {"content_type": "application/vnd.apache.arrow.stream"}


@pytest.mark.parametrize(
    ("saying", "words"),
    [
        (http("200 OK", b"<html>", content_type="text/html"), "answered with text/html, not with rows: is this the"),
        (http("404 Not Found", b"<html>"), r"answered 404: it says no more; is this the address of the API"),
        (http("403 Forbidden", PROBLEM), r"answered 403: it is \?\[31mnot allowed"),
        (http("302 Found", b"", location="http://elsewhere/"), "moved to 'http://elsewhere/'; ask there"),
        (http("503 Service Unavailable", PROBLEM, retry_after="7"), r"answered 503: .*it asks to wait 7 s"),
        (http("200 OK", b"no arrow at all", **ARROW), "gave an answer that cannot be read"),
        (http("200 OK", b"", **ARROW), "gave an answer that cannot be read"),
        (http("200 OK", b"x" * 99, **ARROW)[:-9], "broke off"),
        (b"220 mail.example.org ESMTP\r\n", "broke off"),
        (b"", "broke off"),
    ],
    ids=["html", "no api", "hostile words", "redirect", "busy", "nonsense", "empty", "cut off", "mail", "hung up"],
)  # fmt: skip
def test_what_goes_wrong_with_an_address_is_said_in_words(saying, words):
    with speaking(saying) as (port, heard), pytest.raises(StoreError, match=words):
        ask_history(f"http://127.0.0.1:{port}", COUNT, token="tw_secret")
    assert len(heard) == 1, "a redirect was followed, or it asked again"


def test_server_that_hangs_is_given_up():
    with speaking(b"", wait=60) as (port, _), pytest.raises(StoreError, match="does not answer in time"):
        ask_url(f"http://127.0.0.1:{port}", COUNT, io.BytesIO(), max_rows=1, timeout=0.1, exchange=0.2)


def test_nobody_at_the_address_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StoreError, match=rf"127\.0\.0\.1:{port} cannot be reached: .*does the server run there"):
        ask_history(f"http://127.0.0.1:{port}", COUNT)


def test_certificate_that_nobody_vouches_for_and_a_server_without_tls_are_told_apart(tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with speaking(b"", context=context) as (port, _), pytest.raises(StoreError, match="certificate is not trusted"):
        ask_history(f"https://127.0.0.1:{port}", COUNT)
    with speaking(http("200 OK", b"")) as (port, _), pytest.raises(StoreError, match="no TLS to be had"):
        ask_history(f"https://127.0.0.1:{port}", COUNT)


def test_proxy_of_the_environment_is_left_aside(tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with kept(tmp_path, seconds=2) as console, served_api(console) as served:
        assert counted(ask_history(served.url, COUNT)) == 2


# -- the command


FORMS = "SELECT start, count, NULL AS nothing, 'dé,x' AS text FROM windows ORDER BY start"


def test_every_form_holds_the_same_rows(closed, tmp_path):
    out = {}
    for form in ("table", "csv", "json", "parquet"):
        path = tmp_path / f"rows.{form}"
        done = run(FORMS, "--data", str(closed), "--format", form, "-o", str(path), "-q")
        assert (done.exit_code, done.output) == (0, ""), done.output
        piped = run(FORMS, "--data", str(closed), "--format", form, "-q")
        assert piped.stdout_bytes == path.read_bytes()
        out[form] = path
    rows = pq.read_table(out["parquet"]).to_pylist()
    assert [row["text"] for row in rows] == ["dé,x"] * 3
    texts = [(row["start"].isoformat().replace("+00:00", "Z"), row["count"]) for row in rows]
    told = json.loads(out["json"].read_text())
    assert [(row["start"], row["count"]) for row in told] == texts
    assert [row["nothing"] for row in told] == [None] * 3
    read = list(csv.DictReader(io.StringIO(out["csv"].read_text())))
    assert [(row["start"], int(row["count"])) for row in read] == texts
    assert [line.split()[0] for line in out["table"].read_text().splitlines()[2:]] == [start for start, _ in texts]


def test_name_that_stands_twice_is_told_apart_in_every_form(closed, tmp_path):
    out = tmp_path / "twice.parquet"
    for form in ("json", "parquet"):
        done = run(
            "SELECT 1 AS a, 2 AS a", "--data", str(closed), "--format", form, "-o", str(out.with_suffix("." + form))
        )
        assert done.exit_code == 0, done.stderr
    assert pq.read_table(out).to_pylist() == [{"a": 1, "a_1": 2}]
    assert json.loads(out.with_suffix(".json").read_text()) == [{"a": 1, "a_1": 2}]


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
def test_no_rows_still_have_columns(closed, tmp_path, form):
    path = tmp_path / "none"
    none = "SELECT start, count FROM windows WHERE false"
    assert run(none, "--data", str(closed), "--format", form, "-o", str(path)).exit_code == 0
    text = pq.read_table(path).column_names if form == "parquet" else path.read_text()
    assert text == {"table": "start  count\n-----  -----\n", "csv": "start,count\n", "json": "[]\n"}.get(
        form, ["start", "count"]
    )


def test_select_is_read_from_standard_input(closed):
    done = run("-", "--data", str(closed), "--format", "csv", stdin=COUNT)
    assert done.stdout == "n\n3\n"
    assert done.stderr == f"answered by the file {closed / LIVE_FILE}, which no server has open\n"


def test_file_that_exists_is_kept_unless_it_may_be_replaced(closed, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    arguments = (COUNT, "--data", str(closed), "--format", "csv", "-o", str(taken))
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert "taken exists already: choose another name, or add --overwrite" in refused.stderr
    assert taken.read_text() == "mine"
    assert run(*arguments, "--overwrite").exit_code == 0
    assert taken.read_text() == "n\n3\n"
    assert list(tmp_path.iterdir()) == [taken]


def test_file_is_left_alone_when_the_answer_fails(closed, tmp_path):
    path = tmp_path / "rows.json"
    # infinity is a time that DuckDB has and Python has not
    sql = "SELECT CASE WHEN range = 60000 THEN 'infinity'::TIMESTAMPTZ ELSE now() END AS t FROM range(60001)"
    done = run(sql, "--data", str(closed), "--format", "json", "-o", str(path))
    assert done.exit_code == 2
    assert "cannot be shown; cast it to VARCHAR" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_parquet_does_not_go_to_a_terminal(closed):
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "tracewave_panel", "query", COUNT, "--data", str(closed), "--format", "parquet"]
    done = subprocess.run(command, cwd=ROOT, stdout=slave, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(slave)
    os.close(master)
    assert done.returncode == 2
    assert "Parquet is nothing for a terminal: name a file with --output" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say one of: a SELECT, - to read it"),
        ((COUNT, "--list-ready"), "say one of: a SELECT"),
        (("SELECT nothing",), "nothing"),
        (("FROM range(10)", "--max-rows", "9"), "more than 9 rows"),
        ((ENDLESS, "--timeout", "0.1"), "longer than 0.1 s"),
        (("--ready", "nonsense"), "there is no such query; there are "),
        ((COUNT, "-o", "/nowhere/at/all"), "cannot make /nowhere/at/all: No such file or directory"),
    ],
)
def test_what_a_person_got_wrong_is_said(closed, arguments, words):
    done = run(*arguments, "--data", str(closed))
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_ready_queries_are_listed_and_asked(closed):
    listed = run("--list-ready", "--data", str(closed))
    assert listed.exit_code == 0, listed.stderr
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert len(names) >= 5
    for name in names[:2]:  # that all of them run is asked in test_ready_queries.py
        done = run("--ready", name, "--data", str(closed), "--format", "csv")
        assert done.exit_code == 0, done.stderr


def test_ready_queries_speak_of_the_feed_that_the_history_is_of(tmp_path):
    mapping = Mapping(name="orders", time="at", dimensions=["country"], measures={"euros": "amount"})
    with DuckDBStore(tmp_path / LIVE_FILE, mapping.feed) as store:
        store.flush()
    listed = run("--list-ready", "--data", str(tmp_path))
    assert listed.exit_code == 0, listed.stderr
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    asked_about = [each.name for each in ready_queries(mapping.feed)]
    assert names == asked_about
    of_country = next(each.name for each in ready_queries(mapping.feed) if "'country'" in each.sql)
    done = run("--ready", of_country, "--data", str(tmp_path), "--format", "csv")
    assert done.exit_code == 0, done.stderr


def test_file_that_is_not_there_is_said(closed):
    done = run(COUNT, "--data", str(closed / REPLAY_FILE))
    assert done.exit_code == 2
    assert f"there is no {closed / REPLAY_FILE}; check its name" in done.stderr


def test_folder_without_history_says_how_to_get_one(tmp_path):
    done = run(COUNT, "--data", str(tmp_path))
    assert done.exit_code == 2
    assert f"no history in {tmp_path}; start `tracewave serve --data {tmp_path}` first" in done.stderr


# -- real processes


def test_interrupted_query_ends_in_words_and_on_the_server_too(tmp_path):
    history = fill(tmp_path, 1)
    try:
        with running("-m", "tracewave_panel", "query", ENDLESS, "--data", str(tmp_path), "--timeout", "300") as program:
            until(lambda: history.store._selects.running, 40, every=0.02)
            program.end(signal.SIGINT)
            assert program.process.returncode == 130, program.output
            assert program.output == "tracewave: interrupted. The query was stopped"
        until(lambda: not history.store._selects.running, 10, every=0.02)
    finally:
        history.close()


QUICK = ("--source", "synthetic", "--set", "detectors.enabled=zscore,ewma")


def asked(place: object, *arguments: str) -> tuple[int, str]:
    """How many windows there are, and who said so."""
    done = tracewave("query", COUNT, "--data", str(place), "--format", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[0]["n"], done.stderr.strip()


def has_windows(place: object) -> bool:
    """Whether a server that may still be starting has any."""
    try:
        return counted(ask_history(place, COUNT)) > 0
    except StoreError:
        return False


@pytest.mark.slow
def test_command_answers_while_a_server_runs_without_its_api_and_while_none_does(tmp_path):
    with serving("--no-api", "--data", str(tmp_path), *QUICK) as (program, _):
        until((tmp_path / SOCKET_FILE).exists, 20, every=0.1)
        until(lambda: has_windows(tmp_path), 40, every=0.2)
        assert asked(tmp_path)[1] == f"answered by the server that has {tmp_path / REPLAY_FILE} open"
        with pytest.raises(duckdb.IOException):
            duckdb.connect(str(tmp_path / REPLAY_FILE), read_only=True)
        program.end()
    windows, by = asked(tmp_path)
    assert windows > 0
    assert by == f"answered by the file {tmp_path / REPLAY_FILE}, which no server has open"


@pytest.mark.slow
def test_command_answers_by_the_address_of_an_api(tmp_path):
    with serving("--data", str(tmp_path), *QUICK) as (program, _):
        url = program.wait_for("its API at ").split("its API at ")[1].split("/api")[0]
        until((tmp_path / SOCKET_FILE).exists, 20, every=0.1)
        until(lambda: has_windows(url), 40, every=0.2)
        assert asked(url)[1] == f"answered by the server at {url}"
        assert ask_history(tmp_path, COUNT).by.startswith("the server that has ")
        parquet = tmp_path / "rows.parquet"
        done = run("FROM windows", "--data", url, "--format", "parquet", "-o", str(parquet), "-q")
        assert (done.exit_code, done.stderr) == (0, "")
        assert isinstance(pq.read_schema(parquet).field("start").type, pa.TimestampType)
