"""Requests that mean no good: each refused with its status, and the server as it was afterwards."""

from __future__ import annotations

import base64
import gc
import json
import logging
import socket
import struct
import time

import psutil
import pytest
from api_server import TOKENS, access_with_tokens, everything, kept, served_api

from tracewave_panel.api.limits import Limits

LIMITS = Limits(
    body_bytes=64 * 1024, head_bytes=16 * 1024, requests_per_second=100_000.0, burst=1_000_000, arrival_seconds=1.0,
    unread_seconds=1.0, idle_seconds=1, connections=40, wrong_tokens=1000,
)  # fmt: skip
GUESS = "tw_guess-that-nobody-should-see"
ADMIN, LABEL, READ = (f"Authorization: Bearer {TOKENS[scope]}" for scope in ("admin", "label", "read"))
JSON = "Content-Type: application/json"
ESCAPES = (
    "INSERT INTO labels SELECT * FROM labels",
    "DELETE FROM analyses",
    "DROP TABLE anomalies",
    "UPDATE anomalies SET title = ''",
    "CREATE TABLE mine AS SELECT 1",
    "COPY (SELECT 1) TO '/tmp/escaped.csv'",
    "COPY labels FROM '/etc/passwd'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_parquet('https://example.org/x.parquet')",
    "SELECT getenv('HOME')",
    "ATTACH '/tmp/other.duckdb' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "EXPORT DATABASE '/tmp/out'",
    "IMPORT DATABASE '/tmp/out'",
    "CHECKPOINT",
    "VACUUM",
    "USE memory",
    "BEGIN; COMMIT",
    "SELECT 1; DROP TABLE analyses",
    "WITH gone AS (DELETE FROM analyses RETURNING *) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM analyses",
    "PREPARE p AS SELECT 1",
    "CREATE MACRO m() AS 1",
    "CREATE SECRET s (TYPE S3, KEY_ID 'x', SECRET 'y')",
    "SELECT * FROM query('DELETE FROM analyses')",
    "SELECT * FROM postgres_scan('host=example.org', 'public', 't')",
    "SELECT a.i FROM range(100000) a(i), range(100000) b(i), range(100000) c(i) ORDER BY a.i * b.i - c.i",
    "SELECT * FROM range(1000000)",
    "SELECT",
    "",
    "\u0000",
    "x" * 60_000,
)


def ask(method, path, *headers, body="", host="localhost", version="1.1"):
    """Bytes of a request."""
    data = body if isinstance(body, bytes) else body.encode()
    length = (f"Content-Length: {len(data)}",) if data else ()
    head = (f"{method} {path} HTTP/{version}", f"Host: {host}", *headers, *length, "Connection: close")
    return "\r\n".join((*head, "", "")).encode("latin-1") + data


def upgrade(path):
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n\r\n"
    return head.encode()


def put(path, body, *headers):
    return ask("PUT", path, ADMIN, JSON, *headers, body=body)


def sql(text, *headers, timeout=0.5):
    return ask("POST", "/api/sql", ADMIN, JSON, *headers, body=json.dumps({"sql": text, "timeout": timeout}))


def chunked(*chunks):
    parts = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks)
    return put(A_MUTE, "", "Transfer-Encoding: chunked") + parts


ENDLESS = base64.urlsafe_b64encode(b"windows " + b"9" * 40 + b" history-1").rstrip(b"=").decode()
A_LABEL, A_MUTE = "/api/labels/none", "/api/mutes/night"
HEAD = f"GET /api/stats HTTP/1.1\r\nHost: localhost\r\n{ADMIN}\r\n"

HOSTILE = {
    # -- tokens
    "no token": (401, ask("GET", "/api/windows")),
    "a guess": (401, ask("GET", "/api/windows", f"Authorization: Bearer {GUESS}")),
    "a guess at health": (401, ask("GET", "/api/health", f"Authorization: Bearer {GUESS}")),
    "a token in the query": (401, ask("GET", f"/api/windows?token={TOKENS['admin']}")),
    "a token in a cookie": (401, ask("GET", "/api/windows", f"Cookie: token={TOKENS['admin']}")),
    "a token as basic": (401, ask("GET", "/api/windows", f"Authorization: Basic {TOKENS['admin']}")),
    "two tokens": (401, ask("GET", "/api/windows", ADMIN, f"Authorization: Bearer {GUESS}")),
    "an empty token": (401, ask("GET", "/api/windows", "Authorization: Bearer ")),
    "half a token": (401, ask("GET", "/api/windows", ADMIN[:-1])),
    "a token with more": (401, ask("GET", "/api/windows", ADMIN + "k")),
    "a token of bytes": (401, ask("GET", "/api/windows", "Authorization: Bearer \xff\xfe\x80")),
    "a websocket elsewhere": (404, upgrade("/api/health")),
    "a websocket at nothing": (404, upgrade("/nothing")),
    "a websocket beside ours": (404, upgrade("/ws/")),
    "figures without a token": (401, ask("GET", "/metrics")),
    "nothing without a token": (401, ask("GET", "/nothing")),
    "sql without a token": (401, ask("POST", "/api/sql", JSON, body='{"sql":"select 1"}')),
    "a label with a reader's token": (403, ask("PUT", A_LABEL, READ, JSON, body='{"verdict":"real"}')),
    "no label with a reader's token": (403, ask("DELETE", A_LABEL, READ)),
    "a mute with a labeller's token": (403, ask("PUT", A_MUTE, LABEL, JSON, body="{}")),
    "no mute with a labeller's token": (403, ask("DELETE", A_MUTE, LABEL)),
    "a method nobody knows with a reader's token": (403, ask("DELETE", "/api/windows", READ)),
    # -- names and origins
    "another host": (421, ask("GET", "/api/health", ADMIN, host="evil.example")),
    "another host with our name in it": (421, ask("GET", "/api/health", ADMIN, host="localhost.evil.example")),
    "no host": (421, b"GET /api/health HTTP/1.0\r\n\r\n"),
    "an empty host": (421, ask("GET", "/api/health", ADMIN, host="")),
    "two hosts": (400, ask("GET", "/api/health", ADMIN, "Host: evil.example")),
    "no host though it must": (400, f"GET /api/health HTTP/1.1\r\n{ADMIN}\r\n\r\n".encode()),
    "another origin": (403, ask("GET", "/api/windows", ADMIN, "Origin: https://evil.example")),
    "an origin of nobody": (403, ask("GET", "/api/windows", ADMIN, "Origin: null")),
    "a change from another origin": (403, put(A_MUTE, "{}", "Origin: http://evil.example")),
    "two origins": (403, put(A_MUTE, "{}", "Origin: http://localhost", "Origin: http://evil.example")),
    "a preflight from another origin": (403, ask("OPTIONS", A_MUTE, "Origin: http://evil.example")),
    # -- paths and methods
    "up and out": (404, ask("GET", "/docs/../../etc/passwd", ADMIN)),
    "up and out, escaped": (404, ask("GET", "/docs/%2e%2e%2f%2e%2e%2fetc%2fpasswd", ADMIN)),
    "an asset from above": (404, ask("GET", "/docs/..", ADMIN)),
    "source for an asset": (404, ask("GET", "/docs/__init__.py", ADMIN)),
    "a path of NUL": (404, ask("GET", "/api/anomalies/%00", ADMIN)),
    "a path of no UTF-8": (404, ask("GET", "/api/anomalies/%ff%fe", ADMIN)),
    "an id too long": (422, ask("GET", "/api/anomalies/" + "a" * 3000, ADMIN)),
    "two slashes": (404, ask("GET", "//api/health", ADMIN)),
    "a file": (404, ask("GET", "/etc/passwd", ADMIN)),
    "a method that is none here": (405, ask("PATCH", "/api/windows", ADMIN)),
    "a trace": (405, ask("TRACE", "/api/windows", ADMIN)),
    "an unknown method": (405, ask("STEAL", "/api/windows", ADMIN)),
    "a whole address as the target": (404, ask("GET", "http://evil.example/api/windows", ADMIN)),
    "a proxy's request": (404, ask("CONNECT", "evil.example:443", ADMIN)),
    # -- queries and cursors
    "a cursor of nothing": (400, ask("GET", "/api/windows?cursor=abc", ADMIN)),
    "a cursor of bytes": (422, ask("GET", "/api/windows?cursor=%ff%00", ADMIN)),
    "a cursor too long": (422, ask("GET", "/api/windows?cursor=" + "a" * 5000, ADMIN)),
    "a cursor of another list": (400, ask("GET", "/api/windows?cursor=YW5vbWFsaWVzIDEgaGlzdG9yeS0x", ADMIN)),
    "a cursor below nought": (400, ask("GET", "/api/windows?cursor=d2luZG93cyAtMSBoaXN0b3J5LTE", ADMIN)),
    "a cursor of another epoch": (410, ask("GET", "/api/windows?cursor=d2luZG93cyAxIGVsc2V3aGVyZQ", ADMIN)),
    "a cursor of endless digits": (400, ask("GET", f"/api/windows?cursor={ENDLESS}", ADMIN)),
    "too many items": (422, ask("GET", "/api/windows?limit=1001", ADMIN)),
    "fewer than none": (422, ask("GET", "/api/windows?limit=-1", ADMIN)),
    "a number of endless digits": (422, ask("GET", "/api/windows?limit=" + "9" * 4000, ADMIN)),
    "a time without a zone": (422, ask("GET", "/api/windows?since=2026-01-01T00:00:00", ADMIN)),
    "a time that is none": (422, ask("GET", "/api/windows?since=NaN", ADMIN)),
    "a filter twice": (422, ask("GET", "/api/windows?limit=1&limit=2", ADMIN)),
    "a filter nobody knows": (422, ask("GET", f"/api/windows?{GUESS}=1", ADMIN)),
    "a severity that is none": (422, ask("GET", f"/api/anomalies?severity={GUESS}", ADMIN)),
    # -- bodies
    "a body too large": (413, put(A_MUTE, "x" * 70_000)),
    "a body that says it is too large": (413, put(A_MUTE, "", "Content-Length: 99999999999999")),
    "a chunked body too large": (413, chunked(*[b"x" * 32768] * 2, b"x", b"")),
    "a form": (415, ask("POST", "/api/sql", ADMIN, "Content-Type: text/plain", body='{"sql":"select 1"}')),
    "a body of no kind": (415, ask("POST", "/api/sql", ADMIN, body='{"sql":"select 1"}')),
    "a body of another alphabet": (415, ask("POST", "/api/sql", ADMIN, JSON + "; charset=utf-16", body="{}")),
    "a compressed body": (415, ask("POST", "/api/sql", ADMIN, JSON, "Content-Encoding: gzip", body=b"\x1f\x8b\x08")),
    "no body": (400, ask("POST", "/api/sql", ADMIN, JSON)),
    "bytes that are no UTF-8": (400, put(A_LABEL, b'{"verdict":"\xff\xfe"}')),
    "half a JSON": (400, put(A_LABEL, '{"verdict":')),
    "deep JSON": (422, put(A_LABEL, "[" * 60_000)),
    "deep JSON in an object": (422, put(A_LABEL, '{"verdict":' * 5000)),
    "NaN": (400, put(A_MUTE, '{"seconds":NaN}')),
    "a number beyond all": (422, put(A_MUTE, '{"seconds":1e999}')),
    "half a surrogate": (400, put(A_LABEL, '{"verdict":"real","by":"\\ud800"}')),
    "control characters": (422, put(A_LABEL, '{"verdict":"real","by":"a\\u001b[2J"}')),
    "a list for an object": (422, put(A_LABEL, "[]")),
    "a verdict that is none": (422, put(A_LABEL, json.dumps({"verdict": GUESS}))),
    "a field nobody knows": (422, put(A_MUTE, '{"given_at":0}')),
    "a label on nothing": (404, put(A_LABEL, '{"verdict":"real"}')),
    "a mute with a foreign name": (422, put("/api/mutes/a%20b", "{}")),
    "a mute in the past": (422, put(A_MUTE, '{"until":"1999-01-01T00:00:00Z"}')),
    "two ends of a mute": (422, put(A_MUTE, '{"seconds":1,"until":"2999-01-01T00:00:00Z"}')),
    "an answer of no kind": (406, sql("select 1", "Accept: text/html")),
    "an answer of nothing": (406, sql("select 1", "Accept: application/json;q=0, text/csv;q=0.0")),
    # -- no HTTP
    "no HTTP": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more of it\r\n\r\n"),
    "a greeting": (400, b"EHLO example.org\r\n\r\n"),
    "a header too large": (431, ask("GET", "/api/stats", ADMIN, "X-Large: " + "a" * 40_000)),
    "headers too many": (431, ask("GET", "/api/stats", ADMIN, *(f"X-{number}: a" for number in range(5000)))),
    "a header of NUL": (400, ask("GET", "/api/stats", ADMIN, "X-Bad: a\x00b")),
    "a folded header": (401, ask("GET", "/api/stats", "X-Folded: a\r\n b")),
    "two lengths": (400, put(A_MUTE, "{}", "Content-Length: 99")),
    "a length that is none": (400, put(A_MUTE, "", "Content-Length: -5")),
    "a length beside chunks": (400, put(A_MUTE, "{}", "Transfer-Encoding: chunked")),
    "a chunk that is none": (400, chunked() + b"zz\r\n"),
    "a chunk of more than there can be": (400, chunked() + b"F" * 30 + b"\r\n"),
    "an unknown coding": (501, put(A_MUTE, "", "Transfer-Encoding: rot13")),
    "another version": (505, b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n"),
    # -- half of it
    "a connection that says nothing": (408, b""),
    "half a request line": (408, b"GET /api/st"),
    "half a header": (408, HEAD.encode() + b"X-Half: "),
    "half a body": (408, put(A_MUTE, "", "Content-Length: 50") + b"{"),
    "chunks without an end": (408, chunked(b"{")),
    **{f"sql {number}: {text[:60]!r}": ((400, 422), sql(text)) for number, text in enumerate(ESCAPES)},
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with (
        kept(tmp_path_factory.mktemp("kept"), 120) as console,
        served_api(console, access=access_with_tokens(), limits=LIMITS) as served,
    ):
        yield served


@pytest.fixture(autouse=True)
def _unharmed(served, caplog):
    """After every test the server answers, and neither its answers nor its log held a secret."""
    caplog.set_level(logging.DEBUG)
    yield
    with served.client("read") as client:
        assert client.get("/api/health?probe=live").json()["status"] == "live"
    assert_no_secret(caplog.text)


def assert_no_secret(text):
    for secret in (*TOKENS.values(), GUESS):
        assert secret not in text


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else answer


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_is_refused_with_its_status(served, name):
    expected, request = HOSTILE[name]
    answer = served.raw(request)
    assert status_of(answer) in (expected if isinstance(expected, tuple) else (expected,)), answer[:500]
    head, _, body = answer.partition(b"\r\n\r\n")
    told = json.loads(body)
    assert told["status"] == status_of(answer)
    assert told["detail"]
    for header in (
        b"application/problem+json",
        b"nosniff",
        b"no-store",
        b"default-src 'none'",
        b"frame-ancestors 'none'",
    ):
        assert header in head
    assert b"server:" not in head.lower()
    if name != "a filter nobody knows":  # a name, not a value, and told so that it can be mended
        assert GUESS.encode() not in answer
    assert_no_secret(head.decode())


def test_a_method_that_is_not_allowed_is_told_all_that_are(served):
    answer = served.raw(ask("POST", A_LABEL, ADMIN))
    assert b"allow: DELETE, PUT" in answer


def test_rubbish_behind_a_request_costs_only_the_connection(served):
    answer = served.raw(HEAD.encode() + b"\r\n" + b"\x00rubbish\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 400" in answer


def test_a_body_that_nobody_asked_for_is_not_waited_for(served):
    begun = time.monotonic()
    answer = served.raw(ask("GET", "/api/labels", ADMIN, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n")
    assert status_of(answer) == 200
    assert time.monotonic() - begun < 4


def test_a_sender_of_a_byte_at_a_time_is_cut_off(served):
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
        connection.sendall(HEAD.encode())
        with pytest.raises(OSError, match=r"reset|pipe|abort"):  # noqa: PT012
            while time.monotonic() - begun < 5:
                connection.sendall(b"X")
                time.sleep(0.05)
    assert time.monotonic() - begun < 4


def test_a_reader_that_does_not_read_is_cut_off(served):
    request = sql("select repeat('x', 3000) as x from range(9000)", timeout=20.0)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(request)
        time.sleep(5)
        assert 10_000 < len(everything(connection)) < 20_000_000
    assert b"HTTP" in served.raw(ask("GET", "/api/health", ADMIN))


def test_connections_that_vanish_leave_nothing_behind(served):
    tasks = served.tasks()
    for number in range(100):
        with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
            connection.sendall((HEAD + "\r\n").encode()[: 20 + number])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end = time.monotonic() + 10
    while served.tasks() > tasks and time.monotonic() < end:
        time.sleep(0.1)
    assert served.tasks() <= tasks


def test_a_newcomer_is_told_when_all_places_are_taken(served):
    held = [socket.create_connection(("127.0.0.1", served.port), timeout=5) for _ in range(LIMITS.connections)]
    try:
        answer = served.raw(ask("GET", "/api/health", ADMIN))
        assert status_of(answer) == 503
        assert b"application/problem+json" in answer
        assert b"retry-after" in answer
    finally:
        for each in held:
            each.close()
    end = time.monotonic() + 10
    while status_of(served.raw(ask("GET", "/api/health", ADMIN))) == 503 and time.monotonic() < end:
        time.sleep(0.1)


@pytest.mark.slow
def test_memory_and_tasks_stay_level_under_all_of_it(served):
    quick = [request for expected, request in HOSTILE.values() if expected != 408 and b"range(100000)" not in request]
    process = psutil.Process()

    def round_of_all():
        for request in quick:
            served.raw(request)
        gc.collect()
        return process.memory_info().rss

    round_of_all()
    before, tasks = round_of_all(), served.tasks()
    for _ in range(2):
        after = round_of_all()
    print(f"{before / 1e6:.1f} MB, then {after / 1e6:.1f} MB after {2 * len(quick)} hostile requests")
    assert after - before < 20e6
    assert served.tasks() <= tasks + 1
