"""Clients that may not come in, that send what they should not, that read nothing, and a server that stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time

import psutil
import pytest
from console_stand_in import SpokenControl, analysis, console, findings
from stream_clients import Client, connect, streaming
from test_api_stream import BEGIN, second
from websockets.asyncio.client import connect as listen

from tracewave_panel.access import Access, AccessSettings
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.stream import Pace
from tracewave_panel.metrics import Metrics
from tracewave_panel.stores.ring import RingStore

TOKEN = "tw_a-right-token-of-forty-three-characters-0000"
QUICK = Pace(look=0.02, heartbeat=0.5)


class OneToken(Access):
    """Access as it is, that asks for a token."""

    def __init__(self) -> None:
        super().__init__(AccessSettings())

    asks = property(lambda self: True)

    def grant(self, token):
        from tracewave_panel.access import Grant, Scope  # noqa: PLC0415 (beside its one use)

        return Grant("a test", Scope.READ) if token == TOKEN else None


def filled(seconds: int = 3) -> RingStore:
    store = RingStore()
    for number in range(seconds):
        store.append(second(number))
    return store


async def status_of(port: int, path: str = "/ws", *headers: str, host: str | None = None) -> tuple[int, str]:
    client = await connect(port, path, *headers, host=host)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(client.lost), 0.3)
    answer = client.ready.result().decode()
    client.transport.abort()
    return int(answer.split(" ")[1]), answer


@pytest.mark.parametrize(
    ("status", "path", "headers", "host"),
    [
        (101, "/ws", (f"Authorization: Bearer {TOKEN}",), None),
        (101, "/ws", (f"Sec-WebSocket-Protocol: tracewave, tracewave.bearer.{TOKEN}",), None),
        (101, "/ws?cursor=oldest", (f"Authorization: bearer {TOKEN}",), "localhost:1"),
        (401, "/ws", (), None),
        (401, "/ws", ("Authorization: Bearer wrong",), None),
        (401, "/ws", ("Authorization: Basic " + TOKEN,), None),
        (401, "/ws", ("Sec-WebSocket-Protocol: tracewave, tracewave.bearer.wrong",), None),
        (401, "/ws", (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer wrong"), None),
        (401, f"/ws?token={TOKEN}", (), None),
        (422, "/ws?after=oldest", (f"Authorization: Bearer {TOKEN}",), None),
        (403, "/ws", (f"Authorization: Bearer {TOKEN}", "Origin: http://evil.example"), None),
        (403, "/ws", (f"Authorization: Bearer {TOKEN}", "Origin: null"), None),
        (421, "/ws", (f"Authorization: Bearer {TOKEN}",), "evil.example"),
        (400, "/ws?cursor=yesterday", (f"Authorization: Bearer {TOKEN}",), None),
        (400, "/ws?cursor=", (f"Authorization: Bearer {TOKEN}",), None),
        (400, "/ws?cursor=live-0a1b2c3d-1-2-3-4", (f"Authorization: Bearer {TOKEN}",), None),
        (400, "/ws?cursor=live-0a1b2c3d-1-2-3-4-9999999999999999999", (f"Authorization: Bearer {TOKEN}",), None),
        (422, "/ws?cursor=oldest&cursor=oldest", (f"Authorization: Bearer {TOKEN}",), None),
        (400, "/ws?cursor=" + "1" * 4000, (f"Authorization: Bearer {TOKEN}",), None),
    ],
)
async def test_who_may_not_come_in_is_refused_before_the_upgrade(status, path, headers, host, caplog):
    access = OneToken()
    async with streaming(console(filled()), access=access, pace=QUICK) as (port, _):
        access.serve("127.0.0.1", port)
        told, answer = await status_of(port, path, *headers, host=host)
    assert told == status, answer
    if status == 101:
        chosen = "tracewave" if "tracewave" in str(headers) and "Protocol" in str(headers) else None
        assert (f"sec-websocket-protocol: {chosen}" in answer.lower()) == bool(chosen)
    else:
        head, _, body = answer.partition("\r\n\r\n")
        assert "application/problem+json" in head
        assert json.loads(body)["status"] == status
    assert TOKEN not in answer
    assert TOKEN not in caplog.text
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


async def test_more_clients_than_there_is_room_for_are_asked_to_come_later():
    async with streaming(console(filled()), limits=Limits(clients=3), per_address=2) as (port, _):
        inside = [await connect(port) for _ in range(2)]
        crowded = await status_of(port)
        inside.pop().transport.abort()
        await asyncio.sleep(0.1)
        again = await status_of(port)
    assert crowded[0] == 429
    assert "retry-after: 10" in crowded[1].lower()
    assert again[0] == 101
    async with streaming(console(filled()), limits=Limits(clients=2)) as (port, _):
        inside = [await connect(port) for _ in range(2)]
        full = await status_of(port)
        for client in inside:
            client.transport.abort()
    assert full[0] == 503
    assert "retry-after: 10" in full[1].lower()


def oversized(client: Client) -> None:
    client.send(1, b"x" * 1025)


def binary_flood(client: Client) -> None:
    for _ in range(12):
        client.send(2, b"x")


def not_utf8(client: Client) -> None:
    client.send(1, b"\xff\xfe")


def fragments_without_end(client: Client) -> None:
    client.send(1, b"x", first=0)
    for _ in range(40):
        client.send(0, b"", first=0)


def large_fragments(client: Client) -> None:
    client.send(1, b"x" * 600, first=0)
    client.send(0, b"x" * 600, first=0)


def ping_flood(client: Client) -> None:
    for _ in range(5000):
        client.send(9, b"x" * 100)


def not_masked(client: Client) -> None:
    client.transport.write(b"\x81\x01x")


def unknown_opcode(client: Client) -> None:
    client.send(5, b"x")


def continues_nothing(client: Client) -> None:
    client.send(0, b"x")


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (oversized, 1009),
        (binary_flood, 1008),
        (not_utf8, 1007),
        (fragments_without_end, 1008),
        (large_fragments, 1009),
        (ping_flood, 1008),
        (not_masked, 1002),
        (unknown_opcode, 1002),
        (continues_nothing, 1002),
    ],
)
async def test_a_client_that_sends_what_it_should_not_is_closed_with_the_code_that_says_so(attack, code, caplog):
    store = filled()
    async with streaming(console(store), pace=QUICK) as (port, server):
        hostile, other = await connect(port), await connect(port)
        attack(hostile)
        await asyncio.wait_for(hostile.lost, 5)
        await asyncio.sleep(0.1)
        assert len(server.server_state.connections) == 1
        store.append(second(3))
        await asyncio.sleep(0.2)
        told = len(other.windows)
        other.transport.abort()
    assert hostile.close
    assert hostile.close[0] == code
    assert told == 1
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


async def test_small_talk_and_pings_are_ignored():
    async with (
        streaming(console(filled()), pace=QUICK) as (port, _),
        listen(f"ws://127.0.0.1:{port}/ws") as reader,
    ):
        for word in ("hello", b"\x00\x01", "x" * 1000):
            await reader.send(word)
        await asyncio.wait_for(await reader.ping(), 5)
        assert json.loads(await reader.recv())["type"] == "hello"


def stalled(port: int, path: str = "/ws") -> socket.socket:
    """A client that asks for the upgrade and never reads what comes."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asking.connect(("127.0.0.1", port))
    asking.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    return asking


def bulky(number: int):
    """A window of about 20 kB, with an episode as in :func:`second`."""
    told = second(number)
    wide = analysis(BEGIN + number)
    counts = ({f"wiki-{each}-{'x' * 40}": each for each in range(400)}, *wide.window.dimension_counts[1:])
    window = type(wide.window)(**{**_fields(wide.window), "dimension_counts": counts})
    return findings(BEGIN + number + 1, type(wide)(**{**_fields(wide), "window": window}), anomalies=told.anomalies)


def _fields(value) -> dict:
    return {name: getattr(value, name) for name in value.__struct_fields__}


async def test_a_client_that_reads_nothing_is_closed_with_a_code_that_says_so_and_holds_little():
    """Fifty of them, to whom some megabytes each would be told: memory stays level, a reader gets everything."""
    store, metrics = filled(1), Metrics()
    pace = Pace(look=0.02, unread=1.0, kept=100, thin_windows=5, thin_seconds=0.2)
    async with streaming(console(store), pace=pace, metrics=metrics) as (port, server):
        reader = await connect(port)
        idle = [stalled(port) for _ in range(50)]
        await asyncio.sleep(0.3)
        for number in range(1, 60):
            store.append(bulky(number))
            await asyncio.sleep(0.02)
        before = psutil.Process().memory_info().rss
        for number in range(60, 160):
            store.append(bulky(number))
            await asyncio.sleep(0.02)
        grown = psutil.Process().memory_info().rss - before
        await asyncio.sleep(0.5)
        told, twice = len(reader.windows), max(reader.windows.values())
        async with asyncio.timeout(15):
            while len(server.server_state.connections) > 1:  # noqa: ASYNC110 (uvicorn tells nobody)
                await asyncio.sleep(0.1)
        assert reader.close is None
        reader.transport.abort()
        for each in idle:
            each.close()
    print(f"50 stalled clients: {grown / 1e6:.1f} MB more after 100 windows of 20 kB")
    assert (told, twice) == (159, 1)
    # 50 clients x 100 windows x 20 kB would be 100 MB
    assert grown < 20e6
    assert b'tracewave_api_clients_closed_total{reason="slow"} 50' in metrics.render()


async def test_a_slow_client_that_reads_again_is_told_why_it_was_closed():
    store = filled(1)
    pace = Pace(look=0.02, unread=0.5, kept=100)
    async with streaming(console(store), pace=pace) as (port, _):
        client = await connect(port)
        client.transport.pause_reading()
        for number in range(1, 120):
            store.append(bulky(number))
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await asyncio.sleep(1.5)
            client.transport.resume_reading()
            await client.lost
    assert client.close
    assert client.close[0] == 4008
    assert "come back with your cursor" in client.close[1]
    assert len(client.windows) < 119


async def test_a_client_that_lags_is_thinned_and_told_every_anomaly():
    store = filled(1)
    metrics = Metrics()
    pace = Pace(look=0.02, unread=5.0, kept=1000, thin_windows=20, thin_seconds=0.2)
    async with streaming(console(store), pace=pace, metrics=metrics) as (port, _):
        client = await connect(port)
        told: list[dict] = []
        taking = client._take
        client._take = lambda opcode, payload: (
            opcode == 1 and told.append(json.loads(payload)),
            taking(opcode, payload),
        )
        client.transport.pause_reading()
        for number in range(1, 150):
            store.append(bulky(number))
            await asyncio.sleep(0.01)
        client.transport.resume_reading()
        await asyncio.sleep(0.5)
        store.append(second(150))
        await asyncio.sleep(0.5)
        client.transport.abort()
    thinned = [message for message in told if message["type"] == "thinned"]
    assert thinned
    assert all(client.windows[key] == 1 for key in client.windows)
    assert len(client.windows) + sum(message["windows"] for message in thinned) == 150
    assert {each for each, _ in client.anomalies} >= {f"edits-rate-{BEGIN + ten:.0f}" for ten in range(10, 151, 10)}
    assert client.close is None
    dropped = [line for line in metrics.render().decode().splitlines() if 'dropped_total{place="clients"}' in line]
    assert float(dropped[0].split()[1]) > 0


async def test_half_open_connections_are_gone_within_half_a_minute():
    """Not by waiting: every step of it has a time, and the times are within the half minute."""
    from tracewave_panel.api import stream_protocol  # noqa: PLC0415 (its constants are what is tested)

    total = stream_protocol.PING_EVERY + stream_protocol.PONG_WITHIN + stream_protocol.PATIENCE
    assert total <= 30.0


@pytest.mark.slow
async def test_a_client_that_answers_no_ping_is_gone_within_half_a_minute():
    async with streaming(console(filled()), pace=QUICK) as (port, server):
        idle = stalled(port)
        began = time.monotonic()
        await asyncio.sleep(1)
        assert len(server.server_state.connections) == 1
        async with asyncio.timeout(35):
            while server.server_state.connections:  # noqa: ASYNC110 (uvicorn tells nobody)
                await asyncio.sleep(0.2)
        assert 15 < time.monotonic() - began < 30
        idle.close()


async def test_a_server_that_stops_says_so_to_all_and_waits_for_nobody():
    store = filled()
    async with streaming(console(store), pace=QUICK) as (port, server):
        readers, idle = [await connect(port) for _ in range(5)], stalled(port)
        half, leaving = stalled(port, "/ws?cursor=oldest"), stalled(port)
        for number in range(3, 60):
            store.append(bulky(number))
            await asyncio.sleep(0.01)
        leaving.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        server.should_exit = True
        await asyncio.gather(*(asyncio.wait_for(reader.lost, 5) for reader in readers))
        async with asyncio.timeout(5):
            while server.server_state.connections:  # noqa: ASYNC110 (uvicorn tells nobody)
                await asyncio.sleep(0.02)
        took = time.monotonic() - began
        for each in (idle, half, leaving):
            each.close()
    assert [reader.close[0] for reader in readers] == [1012] * 5
    assert took < 3.0


async def test_a_store_that_fails_closes_the_stream_with_a_reason():
    store = filled()
    async with streaming(console(store, SpokenControl(archived=store)), pace=QUICK) as (port, _):
        client = await connect(port)
        store.close()
        await asyncio.wait_for(client.lost, 5)
        refused = await status_of(port)
    assert client.close[0] == 1013
    assert "closed" in client.close[1]
    assert refused[0] == 503


async def test_an_ordinary_request_is_told_what_is_spoken_here():
    async with streaming(console(filled())) as (port, _):
        reading, writing = await asyncio.open_connection("127.0.0.1", port)
        writing.write(f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reading.read(), 5)
        writing.close()
    assert answer.startswith(b"HTTP/1.1 426")
