"""Live streams of one's own against real servers, files and pipes on this machine that fail as real ones do."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections import Counter
from contextlib import aclosing, asynccontextmanager, suppress
from random import Random

import pytest
from websockets.asyncio.server import serve

from tracewave_panel.errors import ConfigError, StateError
from tracewave_panel.model import Origin, Quality
from tracewave_panel.sources.feed_file import load_feed
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own import OwnSource
from tracewave_panel.sources.own_local import StdinLink
from tracewave_panel.sources.own_sources import iterable_source, source_of
from tracewave_panel.testing import check_source

EVENT = '[event]\ntime = "at"\nid = "id"\ndimensions = ["country"]\nmeasures = ["amount"]\n'
FAST = {"retry_base": 0.02, "retry_cap": 0.05, "batch_interval": 0.02, "idle_timeout": 2.0, "connect_timeout": 2.0}


def feed_of(folder, read, event=EVENT):
    path = folder / "orders.toml"
    fast = "\n".join(f"{key} = {value}" for key, value in FAST.items() if key not in read)
    path.write_text(f"[read]\n{fast}\n{read}\n{event}")
    return load_feed(path, os.environ)


def order(number, **fields):
    return {"at": time.time(), "id": number, "country": "de", "amount": 2, **fields}


async def run(source, until, position=b"", limit=20.0):
    """Batches until `until` holds, and the last ones after ``stop``."""
    batches = []
    async with asyncio.timeout(limit), aclosing(source.batches(position)) as iterator:
        async for batch in iterator:
            batches.append(batch)
            if until(batches):
                await source.stop()
    arrivals = [event.arrived_at for batch in batches for event in batch.events]
    assert arrivals == sorted(arrivals)
    watermarks = [batch.watermark for batch in batches]
    assert watermarks == sorted(watermarks)
    return batches


async def eventually(holds, limit=10.0):
    async with asyncio.timeout(limit):
        while not holds():  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(0.01)


def ids(batches):
    return [event.id for batch in batches for event in batch.events]


def until_events(count):
    return lambda batches: len(ids(batches)) >= count


def until_quiet(source, seconds):
    """Holds once nothing has come for so long."""
    seen = [0, time.monotonic()]

    def quiet(batches):
        count = len(ids(batches))
        if count != seen[0]:
            seen[:] = [count, time.monotonic()]
        return count and time.monotonic() - seen[1] > seconds

    return quiet


@asynccontextmanager
async def http(answer):
    """A server that gives each connection to `answer`, with the number of the request and its headers."""
    requests = []

    async def connected(reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")[1:]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            requests.append(headers)
            with suppress(ConnectionError, asyncio.CancelledError):
                await answer(writer, len(requests) - 1, headers)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events", requests
    finally:
        server.close()


def head(kind="text/event-stream", status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode()


def frame(row, identity=None):
    told = f"id: {identity}\n" if identity is not None else ""
    return f"{told}data: {row if isinstance(row, str) else json.dumps(row)}\n\n".encode()


async def send(writer, *parts, pause=0.0):
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause)


# -- server-sent events


async def test_events_are_read_through_disconnects_from_where_they_stopped(tmp_path):
    async def answer(writer, number, headers):
        await send(writer, head())
        first = int(headers.get("last-event-id", -1)) + 1
        again = max(0, first - 3)  # a server may repeat
        for each in range(again, min(first + 100, 300)):
            await send(writer, frame(order(each), each))
        if first + 100 >= 300:
            await asyncio.sleep(10)

    async with http(answer) as (url, requests):
        source = source_of(feed_of(tmp_path, f'url = "{url}"'))
        batches = await run(source, until_events(300))
    assert ids(batches) == [str(number) for number in range(300)]
    assert [each.get("last-event-id") for each in requests] == [None, "99", "199"]
    counters = source.status().counters
    assert (counters["events"], counters["duplicates"], counters["reconnects"]) == (300, 6, 2)
    assert not [mark for batch in batches for mark in batch.marks if mark.quality is Quality.GAP]
    assert source.origin is Origin.LIVE


async def test_a_server_without_ids_that_is_cut_off_leaves_a_gap(tmp_path):
    async def answer(writer, number, headers):
        await send(writer, head())
        for each in range(60):
            await send(writer, frame(order(100 * number + each)), pause=0.01)

    async with http(answer) as (url, _):
        source = source_of(feed_of(tmp_path, f'url = "{url}"'))
        batches = await run(source, until_events(150))
    assert [mark for batch in batches for mark in batch.marks if mark.quality is Quality.GAP]
    assert source.status().counters["gaps"] >= 1


async def test_garbage_huge_messages_and_other_types_are_counted_and_spoil_nothing(tmp_path, caplog):
    bad = [
        frame("not json"),
        frame("[1, 2]"),
        frame(order(1, at="soon")),
        frame(order(2, amount="many")),
        b"data: " + b"x" * 5000 + b"\n\n",
        b"\xff\xfe\n\n",
        b": a comment\n\n",
        b"event: ping\ndata: {}\n\n",
    ]

    async def answer(writer, number, headers):
        await send(writer, head())
        for each in range(100, 200):
            await send(writer, frame(order(each)), bad[each % len(bad)])
        await asyncio.sleep(10)

    async with http(answer) as (url, _):
        source = source_of(feed_of(tmp_path, f'url = "{url}"\nmax_bytes = 2000\ntypes = ["message"]'))
        batches = await run(source, until_events(100))
    assert ids(batches) == [str(number) for number in range(100, 200)]
    # of the types above: not JSON, two numbers, no time, no number, too large
    counts = Counter(number % len(bad) for number in range(100, 200))
    wanted = counts[0] + 2 * counts[1] + counts[2] + counts[3] + counts[4]
    assert sum(batch.undecodable for batch in batches) == wanted
    assert source.status().counters["undecodable"] == wanted
    assert "127.0.0.1, message " in caplog.text
    assert "message of 5,006 bytes; max_bytes in [read] sets the limit" in caplog.text


async def test_a_slow_drip_is_put_together(tmp_path):
    async def answer(writer, number, headers):
        await send(writer, head())
        for byte in frame(order("drip")) + frame(order("drop")):
            await send(writer, bytes([byte]), pause=0.002)
        await asyncio.sleep(10)

    async with http(answer) as (url, _):
        batches = await run(source_of(feed_of(tmp_path, f'url = "{url}"')), until_events(2))
    assert ids(batches) == ["drip", "drop"]


@pytest.mark.parametrize(("comments", "gap"), [(True, False), (False, True)])
async def test_a_silence_is_a_zero_with_comments_and_a_gap_without(comments, gap, tmp_path):
    async def answer(writer, number, headers):
        await send(writer, head())
        for each in range(200):
            await send(writer, frame(order(each)), pause=0.005)
        for _ in range(30):
            await send(writer, b": alive\n\n" if comments else b"", pause=0.1)
        await send(writer, frame(order("last")))
        await asyncio.sleep(10)

    async with http(answer) as (url, _):
        source = source_of(feed_of(tmp_path, f'url = "{url}"\npatience = 1.0\nidle_timeout = 30'))
        batches = await run(source, until_events(201))
    gaps = [mark.end - mark.start for batch in batches for mark in batch.marks if mark.quality is Quality.GAP]
    assert (sum(gaps) > 1.0) == gap


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("403 Forbidden", "text/plain", "127.0.0.1 answered 403: it lets nobody read with what was sent"),
        ("401 Unauthorized", "text/plain", "answered 401: it wants to know who reads: set headers"),
        ("404 Not Found", "text/plain", "answered 404: there is no such stream: check the url"),
        ("503 Busy", "text/plain", "answered 503: the server has trouble of its own"),
        ("302 Found", "text/plain", "answered 302: it moved to nowhere"),
        ("200 OK", "text/html", "answered with text/html, not with an event stream"),
    ],
)
async def test_a_refusal_is_said_and_tried_again(status, kind, words, tmp_path, caplog):
    async def answer(writer, number, headers):
        if number < 3:
            await send(writer, head(kind, status))
            return
        await send(writer, head(), frame(order("at last")))
        await asyncio.sleep(10)

    async with http(answer) as (url, requests):
        read = f'url = "{url}?key=s3cret"\nheaders = {{Authorization = "Bearer t0ken"}}'
        source = source_of(feed_of(tmp_path, read))
        with caplog.at_level(logging.DEBUG, logger="tracewave_panel"):
            batches = await run(source, until_events(1))
    assert ids(batches) == ["at last"]
    assert source.status().counters["refusals"] == 3
    assert words in caplog.text
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    assert requests[-1]["authorization"] == "Bearer t0ken"
    for secret in ("s3cret", "t0ken"):
        assert secret not in caplog.text
        assert secret not in repr(source.status())


async def test_an_id_that_the_server_forgot_is_given_up(tmp_path):
    async def answer(writer, number, headers):
        if "last-event-id" in headers:
            await send(writer, head(status="410 Gone"))
            return
        await send(writer, head(), *(frame(order(f"{number}-{each}"), each) for each in range(5)))

    async with http(answer) as (url, _):
        batches = await run(source_of(feed_of(tmp_path, f'url = "{url}"')), until_events(10))
    assert ids(batches)[:10] == [f"{number}-{each}" for number in (0, 2) for each in range(5)]


async def test_lines_of_json_over_http(tmp_path):
    async def answer(writer, number, headers):
        await send(writer, head("application/x-ndjson"))
        for each in range(50):
            await send(writer, json.dumps({"data": [order(2 * each), order(2 * each + 1)]}).encode() + b"\n")
        await asyncio.sleep(10)

    async with http(answer) as (url, _):
        read = f'url = "{url}"\nformat = "ndjson"\nwithin = "data"'
        batches = await run(source_of(feed_of(tmp_path, read)), until_events(100))
    assert ids(batches) == [str(number) for number in range(100)]


async def test_a_server_that_is_not_there_is_tried_again_until_told_to_stop(tmp_path):
    source = source_of(feed_of(tmp_path, 'url = "http://127.0.0.1:9/"'))

    async def stop_soon():
        await asyncio.sleep(0.5)
        state = source.status().state
        await source.stop()
        return state

    stopping = asyncio.create_task(stop_soon())
    assert await run(source, lambda _: False) == []
    state = await stopping
    assert state.word == "connecting"
    assert "127.0.0.1 cannot be reached" in state.note
    assert "trying again in" in state.note


async def test_a_position_goes_on_where_an_earlier_process_stopped(tmp_path):
    async def answer(writer, number, headers):
        first = int(headers.get("last-event-id", -1)) + 1
        await send(writer, head(), *(frame(order(each), each) for each in range(max(0, first - 2), first + 40)))
        await asyncio.sleep(10)

    async with http(answer) as (url, requests):
        described = feed_of(tmp_path, f'url = "{url}"')
        first = await run(source_of(described), until_events(40))
        second = source_of(described)
        again = await run(second, until_events(40), first[-1].position)
    assert ids(first) + ids(again) == [str(number) for number in range(80)]
    assert requests[-1]["last-event-id"] == "39"
    assert second.status().counters["duplicates"] == 2
    with pytest.raises(StateError, match="the saved position is of the form"):
        await anext(source_of(described).batches(b"\x81\xa6format\xabwikimedia/1"))


# -- WebSocket


@asynccontextmanager
async def websocket(answer, **settings):
    connections = []

    async def connected(connection):
        connections.append(dict(connection.request.headers.raw_items()))
        await answer(connection, len(connections) - 1)

    async with serve(connected, "127.0.0.1", 0, **settings) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/feed", connections


async def test_messages_are_read_after_subscribing(tmp_path):
    subscribed = []

    async def answer(connection, number):
        subscribed.append(json.loads(await connection.recv()))
        subscribed.append(await connection.recv())
        await connection.send('{"result": "ok"}')
        for each in range(100):
            await connection.send(json.dumps({"type": "trade", "rows": [order(2 * each), order(2 * each + 1)]}))
        await connection.wait_closed()

    async with websocket(answer) as (url, connections):
        read = f'url = "{url}"\nwithin = "rows"\nheaders = {{X-Key = "k"}}\nsubscribe = [{{op = "subscribe"}}, "hello"]'
        source = source_of(feed_of(tmp_path, read))
        batches = await run(source, until_events(200))
    assert ids(batches) == [str(number) for number in range(200)]
    assert subscribed == [{"op": "subscribe"}, "hello"]
    assert connections[0]["X-Key"] == "k"
    assert source.status().counters["undecodable"] == 1  # the answer to the subscription


async def test_messages_that_are_no_rows_are_left_out_by_only(tmp_path):
    async def answer(connection, number):
        await connection.send('{"result": "ok"}')
        for each in range(50):
            await connection.send(json.dumps(order(each, kind="trade")))
            await connection.send('{"kind": "heartbeat"}')
        await connection.wait_closed()

    async with websocket(answer) as (url, _):
        source = source_of(feed_of(tmp_path, f'url = "{url}"\nonly = {{kind = "trade"}}'))
        batches = await run(source, until_events(50))
    counters = source.status().counters
    assert (len(ids(batches)), counters["undecodable"]) == (50, 0)
    assert counters["skipped"] >= 50


async def _abort(connection):
    connection.transport.abort()


FAULTS = {
    "an ordinary close": lambda connection: connection.close(),
    "a cut": _abort,
    "a huge message": lambda connection: connection.send("x" * 5000),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_websocket_is_opened_again_and_what_was_missed_is_a_gap(fault, tmp_path):
    async def answer(connection, number):
        with suppress(Exception):
            for each in range(50):
                await connection.send(json.dumps(order(100 * number + each)))
                await asyncio.sleep(0.01)
            await fault(connection)
            await asyncio.sleep(0.2)

    async with websocket(answer) as (url, connections):
        source = source_of(feed_of(tmp_path, f'url = "{url}"\nmax_bytes = 2000'))
        batches = await run(source, until_events(120))
    assert ids(batches)[:120] == [str(100 * (n // 50) + n % 50) for n in range(120)]
    assert len(connections) >= 3
    assert [mark for batch in batches for mark in batch.marks if mark.quality is Quality.GAP]
    assert (source.status().counters["undecodable"] > 0) == (fault is FAULTS["a huge message"])


async def test_pongs_prove_that_a_silence_is_one(tmp_path):
    async def answer(connection, number):
        for each in range(100):
            await connection.send(json.dumps(order(each)))
            await asyncio.sleep(0.005)
        await asyncio.sleep(2.5)
        await connection.send(json.dumps(order("last")))
        await connection.wait_closed()

    async with websocket(answer) as (url, _):
        source = source_of(feed_of(tmp_path, f'url = "{url}"\npatience = 1.0'))
        batches = await run(source, until_events(101))
    assert not [mark for batch in batches for mark in batch.marks if mark.quality is Quality.GAP]


@pytest.mark.parametrize("plain", [True, False])
async def test_what_is_no_websocket_is_said(plain, tmp_path):
    async def answer(writer, number, headers):
        await send(writer, head("text/plain", "404 Not Found") if plain else b"\x00\x01 nonsense\r\n\r\n")

    async with http(answer) as (url, _):
        source = source_of(feed_of(tmp_path, f'url = "{url.replace("http", "ws")}"'))

        async def stop_soon():
            await eventually(lambda: "trying again" in source.status().state.note)
            note = source.status().state.note
            await source.stop()
            return note

        stopping = asyncio.create_task(stop_soon())
        await run(source, lambda _: False)
        note = await stopping
    assert ("answered 404: there is no such stream" if plain else "speaks no WebSocket there") in note


# -- standard input, in process; a real process is in test_own_serve


def piped(read="", descriptor=None, after=0.2):
    mapping = Mapping(name="orders", time="at", id="id", dimensions=["country"], measures=["amount"])
    from tracewave_panel.sources.feed_file import ReadSettings  # noqa: PLC0415

    settings = ReadSettings(stdin=True, batch_interval=0.02, **{"format": "ndjson", **(read or {})})
    return OwnSource(StdinLink(settings, mapping, descriptor), mapping, settings, random=Random(1), after=after)


async def test_a_pipe_is_read_to_its_end_and_time_goes_on_behind_it():
    reading, writing = os.pipe()
    source = piped(descriptor=reading, after=6.5)

    async def write():
        for each in range(100):
            await asyncio.to_thread(os.write, writing, json.dumps(order(each)).encode() + b"\n")
        os.write(writing, json.dumps(order("unended")).encode())
        os.close(writing)

    work = asyncio.create_task(write())
    batches = await run(source, lambda _: source.status().state.word == "ended")
    await work
    os.close(reading)
    assert ids(batches) == [*map(str, range(100)), "unended"]
    state = source.status().state
    assert (state.word, state.note) == ("ended", "standard input was closed; 101 events were read")
    # time went on after the end, so that the last windows closed
    last = max(event.time for batch in batches for event in batch.events)
    assert batches[-1].watermark - last > 1.0


async def test_the_end_of_a_pipe_ends_the_iterator():
    reading, writing = os.pipe()
    os.write(writing, json.dumps(order(1)).encode())
    os.close(writing)
    source = piped(descriptor=reading)
    async with asyncio.timeout(10):
        batches = [batch async for batch in source.batches()]
    assert ids(batches) == ["1"]
    assert source.status().state.word == "ended"
    os.close(reading)


async def test_old_rows_from_a_pipe_count_at_their_own_times():
    old = 1_600_000_000.0
    reading, writing = os.pipe()
    source = piped({"clock": "event"}, reading)
    rows = "".join(json.dumps({**order(n), "at": old + n / 10}) + "\n" for n in range(500))
    os.write(writing, (rows + "garbage\n").encode())
    os.close(writing)
    batches = await run(source, lambda _: source.status().state.word == "ended")
    os.close(reading)
    assert [event.time for batch in batches for event in batch.events] == [old + n / 10 for n in range(500)]
    assert batches[-1].watermark == old + 49.9
    assert sum(batch.undecodable for batch in batches) == 1
    assert all(batch.position == b"" for batch in batches)


async def test_events_on_their_own_clock_are_handed_over_when_told_to_stop():
    old = 1_600_000_000.0
    reading, writing = os.pipe()
    source = piped({"clock": "event"}, reading)
    os.write(writing, "".join(json.dumps({**order(n), "at": old + n}) + "\n" for n in range(20)).encode())
    batches = await run(source, until_events(10))
    os.close(writing)
    os.close(reading)
    assert len(ids(batches)) == 20


# -- a file that grows


def append(path, *rows):
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


async def test_a_growing_file_is_read_through_rotation_and_truncation(tmp_path):
    path = tmp_path / "orders.ndjson"
    append(path, order("before"))
    source = source_of(feed_of(tmp_path, 'file = "orders.ndjson"\nfollow = true'))
    wanted = []

    async def write():
        async def some(name):
            for each in range(20):
                wanted.append(f"{name}{each}")
                append(path, order(wanted[-1]))
                await asyncio.sleep(0.005)

        await asyncio.sleep(0.5)
        await some("first")
        path.rename(tmp_path / "orders.1")
        with (tmp_path / "orders.1").open("a") as file:  # a writer may hold it open for a moment
            file.write(json.dumps(order("straggler")) + "\n")
        wanted.append("straggler")
        await some("second")
        await asyncio.sleep(1.0)
        path.write_text("")
        await asyncio.sleep(0.5)
        await some("third")

    work = asyncio.create_task(write())
    batches = await run(source, until_events(61))
    await work
    assert ids(batches) == wanted
    assert source.status().counters["undecodable"] == 0


async def test_a_growing_file_may_begin_at_its_start_come_late_and_be_gone_on_with(tmp_path):
    path = tmp_path / "orders.ndjson"
    described = feed_of(tmp_path, 'file = "orders.ndjson"\nfollow = true\nbegin = "start"')
    source = source_of(described)

    async def write():
        await asyncio.sleep(0.2)
        assert "is waited for" in source.status().state.note
        append(path, *(order(number) for number in range(10)))
        with path.open("a") as file:
            file.write('{"at": 1')  # half a line

    work = asyncio.create_task(write())
    first = await run(source, until_events(10))
    await work
    path.write_text(path.read_text().removesuffix('{"at": 1'))
    append(path, *(order(number) for number in range(10, 20)))
    again = await run(source_of(described), until_events(10), first[-1].position)
    assert ids(first) + ids(again) == [str(number) for number in range(20)]


async def test_a_growing_csv_file_knows_its_columns_from_its_first_line(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("id,at,country,amount\nold,1,x,1\n")
    source = source_of(feed_of(tmp_path, 'file = "orders.csv"\nfollow = true'))

    async def write():
        await asyncio.sleep(0.5)
        with path.open("a") as file:
            file.writelines(f"{number},{time.time()},de,3\n" for number in range(10))

    work = asyncio.create_task(write())
    batches = await run(source, until_events(10))
    await work
    assert ids(batches) == [str(number) for number in range(10)]
    assert {event.measures for batch in batches for event in batch.events} == {(3.0,)}


async def test_a_growing_csv_file_without_the_columns_ends_with_words(tmp_path):
    (tmp_path / "orders.csv").write_text("number,at,country,amount\n")
    source = source_of(feed_of(tmp_path, 'file = "orders.csv"\nfollow = true'))
    with pytest.raises(ConfigError, match=r"orders.csv, line 1: there is no column 'id' \(id\)"):
        await run(source, lambda _: False)


# -- an iterable of a program


async def test_an_iterable_is_read_once_and_its_end_is_said():
    async def rows():
        for number in range(300):
            yield {"country": "pt" if number % 3 else "de"}
            await asyncio.sleep(0)

    mapping = Mapping(name="mine", dimensions=["country"])
    source = iterable_source(rows(), mapping, batch_interval=0.02, after=0.2)
    batches = await run(source, lambda _: source.status().state.word == "ended")
    events = [event for batch in batches for event in batch.events]
    assert Counter(event.dimensions for event in events) == {("de",): 100, ("pt",): 200}
    assert len({event.id for event in events}) == 300
    assert source.status().state.note == "the iterable ended; 300 events were read"


async def test_an_iterable_that_fails_is_said_and_keeps_what_came():
    async def rows():
        yield {"country": "de"}
        yield "text"
        raise RuntimeError("the meter is off")

    source = iterable_source(rows, Mapping(dimensions=["country"]), batch_interval=0.02, after=0.2)
    batches = await run(source, lambda _: source.status().state.word == "ended")
    assert len(ids(batches)) == 1
    assert source.status().counters["undecodable"] == 1
    assert source.status().state.note == (
        "the iterable failed at row 3: RuntimeError: the meter is off; 1 events were read"
    )


def test_settings_of_an_iterable_are_checked():
    with pytest.raises(ConfigError, match="unknown field `clok`"):
        iterable_source(lambda: None, Mapping(), clok="event")
    with pytest.raises(ConfigError, match="time: missing; the event clock"):
        iterable_source(lambda: None, Mapping(), clock="event")


# -- the promises of every source


async def endless():
    number = 0
    while True:
        number += 1
        yield {"at": time.time(), "id": number, "country": "de", "amount": number % 7}
        await asyncio.sleep(0.002)


async def test_it_keeps_the_promises_of_a_source():
    mapping = Mapping(name="mine", time="at", id="id", dimensions=["country"], measures=["amount"])
    await check_source(lambda: iterable_source(endless, mapping, batch_interval=0.02), feed=mapping.feed)


async def test_it_keeps_them_through_disconnects(tmp_path):
    began = time.time()

    async def answer(writer, number, headers):
        first = int(headers.get("last-event-id", -1)) + 1
        await send(writer, head())
        for each in range(first, first + 60):
            await asyncio.sleep(max(0.0, began + each / 400 - time.time()))
            await send(writer, frame(order(each), each))

    async with http(answer) as (url, _):
        described = feed_of(tmp_path, f'url = "{url}"')
        await check_source(lambda: source_of(described), feed=described.mapping.feed)
