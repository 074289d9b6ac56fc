"""The stream tells every window and every telling once and in order, however often its reader goes and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket as sockets
import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from console_stand_in import SpokenControl, analysis, anomaly, console, findings
from stream_clients import connect, figures, streaming
from websockets.asyncio.client import connect as listen

from tracewave_panel.access import Access, AccessSettings
from tracewave_panel.api.application import build_api
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.server import start_api
from tracewave_panel.api.stream import Pace
from tracewave_panel.api.stream_position import OLDEST, Position, parse_position
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.metrics import Metrics
from tracewave_panel.model import Origin, Quality
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.ring import RingStore

ROOT = Path(__file__).parents[1]
BEGIN = 1_795_000_000.0
QUICK = Pace(look=0.02, heartbeat=0.5)


def free_port() -> int:
    with sockets.create_server(("127.0.0.1", 0)) as bound:
        return bound.getsockname()[1]


def second(number: int, **fields):
    """Window number `number`, with an episode that opens at every tenth and closes five later."""
    start = BEGIN + number
    opened = start - number % 10
    told = []
    if number % 10 in {0, 2, 5}:
        closed = start if number % 10 == 5 else None
        told = [anomaly(opened, closed, updated=start)]
    return findings(start + 1, analysis(start, 41.0 + number % 7, **fields), anomalies=told)


def number_of(window: dict) -> int:
    return round(datetime.fromisoformat(window["start"]).timestamp() - BEGIN)


@dataclass
class Reader:
    """Keeps everything it was told, and its cursor over connections."""

    port: int
    cursor: str = ""
    windows: list = field(default_factory=list)
    tellings: list = field(default_factory=list)
    messages: list = field(default_factory=list)

    def take(self, text: str) -> dict:
        message = json.loads(text)
        self.messages.append(message)
        self.cursor = message["cursor"]
        if message["type"] == "news":
            self.windows += [(number_of(window), window["revision"]) for window in message["windows"]]
        self.tellings += [(each["id"], each["updated"]) for each in message.get("anomalies", ())]
        return message

    def connecting(self):
        after = f"?cursor={self.cursor}" if self.cursor else ""
        return listen(f"ws://127.0.0.1:{self.port}/ws{after}")

    async def read_until(self, last: int, *, messages: int = 10_000) -> None:
        """Read on one connection until a window was told, or so many messages."""
        async with asyncio.timeout(15), self.connecting() as socket:
            for _ in range(messages):
                if any(number == last for number, _ in self.windows[-60:]):
                    return
                self.take(await socket.recv())

    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]


@contextlib.contextmanager
def feeding(store: RingStore, numbers: range, pause: float = 0.01):
    """Append seconds from a thread of its own."""
    stop = threading.Event()

    def feed():
        for number in numbers:
            if stop.wait(pause):
                return
            store.append(second(number))

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


@pytest.mark.parametrize("seed", range(6))
async def test_many_random_disconnects_lose_nothing_and_double_nothing(seed):
    draw, store, last = random.Random(seed), RingStore(), 149
    store.append(second(0))
    async with streaming(console(store), pace=QUICK) as (port, _):
        reader = Reader(port, cursor=OLDEST)
        with feeding(store, range(1, last + 1)):
            while (last, 0) not in reader.windows:
                if draw.random() < 0.5:
                    await reader.read_until(last, messages=draw.randrange(6))
                else:
                    async with reader.connecting() as socket:
                        for _ in range(draw.randrange(8)):
                            async with asyncio.timeout(20):
                                reader.take(await socket.recv())
                        socket.transport.abort()
                await asyncio.sleep(draw.random() * 0.1)
    assert reader.windows == [(number, 0) for number in range(last + 1)]
    assert len(set(reader.tellings)) == len(reader.tellings)
    last_told = dict(reader.tellings)
    assert [last_told[each] for each in last_told] == sorted(last_told.values())
    assert {each for each, _ in reader.tellings} == {f"edits-rate-{BEGIN + ten:.0f}" for ten in range(0, last + 1, 10)}


async def test_clients_with_different_cursors_each_get_what_they_do_not_know():
    store = RingStore()
    for number in range(40):
        store.append(second(number))
    async with streaming(console(store), pace=QUICK) as (port, _):
        everything, newest = Reader(port, cursor=OLDEST), Reader(port)
        await everything.read_until(39)
        middle = Reader(port, cursor=next(m["cursor"] for m in everything.messages if m["type"] == "news"))
        known = parse_position(middle.cursor).analyses

        async def go_on():
            await asyncio.sleep(0.3)
            store.append(second(40))

        await asyncio.gather(go_on(), *(reader.read_until(40) for reader in (everything, middle, newest)))
    assert everything.windows == [(number, 0) for number in range(41)]
    assert middle.windows == [(number, 0) for number in range(known, 41)]
    assert 0 < known < 40
    assert newest.windows == [(40, 0)]
    assert [message["resumed"] for message in everything.messages if message["type"] == "hello"] == [False, True]


async def test_without_a_cursor_a_client_begins_with_the_open_anomalies_and_now():
    store = RingStore()
    for number in range(24):
        store.append(second(number))
    async with streaming(console(store), pace=QUICK) as (port, _):
        reader = Reader(port)
        async with reader.connecting() as socket:
            hello, news, heartbeat = [reader.take(await socket.recv()) for _ in range(3)]
    assert (hello["feed"], hello["origin"], hello["run"], hello["resumed"]) == ("wikimedia", "live", 1, False)
    assert (news["windows"], [each["closed"] for each in news["anomalies"]]) == ([], [None])
    assert news["anomalies"][0]["id"] == f"edits-rate-{BEGIN + 20:.0f}"
    assert heartbeat["type"] == "heartbeat"
    assert hello["cursor"] == news["cursor"] == heartbeat["cursor"]


async def test_a_new_run_is_told_between_its_windows_and_those_before():
    store, control = RingStore(), SpokenControl(origin=Origin.SIMULATED)
    for number in range(5):
        store.append(second(number))
    async with streaming(console(store, control), pace=QUICK) as (port, _):
        reader, absent = Reader(port, cursor=OLDEST), Reader(port)
        await absent.read_until(4, messages=1)
        with feeding(store, range(5, 9)):
            await reader.read_until(8)
        store.clear()
        await asyncio.sleep(0.1)
        control.run, control.origin = 2, Origin.LIVE
        for number in range(100, 103):
            store.append(second(number))
        for each in (reader, absent):
            await each.read_until(102)
    assert reader.windows == [(number, 0) for number in (*range(9), 100, 101, 102)]
    assert absent.windows == [(number, 0) for number in (*range(5, 9), 100, 101, 102)]
    assert absent.messages[1]["resumed"]
    runs = [(message["run"], message["origin"]) for message in reader.messages if message["type"] == "run"]
    assert runs == [(2, "live")]


class Interrupted(RingStore):
    """Begins a new run, longer than the one before, just when it is read."""

    control: SpokenControl | None = None

    def analyses(self, *arguments, **range_):
        control, self.control = self.control, None
        if control:
            self.clear()
            control.run = 2
            for number in range(100, 110):
                self.append(second(number))
        return super().analyses(*arguments, **range_)


async def test_a_run_that_begins_while_the_store_is_read_is_told_whole():
    store, control = Interrupted(), SpokenControl(origin=Origin.SIMULATED)
    for number in range(3):
        store.append(second(number))
    async with streaming(console(store, control), pace=QUICK) as (port, _):
        reader = Reader(port, cursor=OLDEST)

        async def interrupt():
            await asyncio.sleep(0.2)
            store.control = control

        await asyncio.gather(interrupt(), reader.read_until(109))
    assert reader.windows == [(number, 0) for number in (0, 1, 2, *range(100, 110))]


@pytest.mark.parametrize(
    ("known", "first"),
    [(60, 60), (60, 45), (60, 75), (90, 95), (30, 90)],
    ids=["goes on", "tells again", "archive between", "stopped later", "long away"],
)
async def test_after_a_restart_a_client_goes_on_by_time(tmp_path, known, first):
    """The client knows windows before `known`; the new server tells windows from `first` on, and the archive before."""
    with DuckDBStore(tmp_path / "live.duckdb", WIKIMEDIA, commit_interval=0.1) as archive:
        store = RingStore()
        async with streaming(console(store, SpokenControl(archived=archive)), pace=QUICK) as (port, _):
            reader = Reader(port, cursor=OLDEST)
            for number in range(known):
                store.append(second(number))
            await reader.read_until(known - 1)
        for number in range(max(known, first)):
            archive.append(second(number))
        archive.flush()
        again = RingStore()
        control = SpokenControl(archived=archive, run=0)
        async with streaming(console(again, control), pace=QUICK) as (port, _):
            reader.port = port

            async def begin():
                await asyncio.sleep(0.2)
                control.run = 1
                for number in range(first, 110):
                    again.append(second(number))

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(begin())
                tasks.create_task(reader.read_until(109))
    assert reader.windows == [(number, 0) for number in range(110)]
    assert len(set(reader.tellings)) == len(reader.tellings)
    assert {each for each, _ in reader.tellings} == {f"edits-rate-{BEGIN + ten:.0f}" for ten in range(0, 110, 10)}
    assert "missed" not in reader.types()
    hellos = [message for message in reader.messages if message["type"] == "hello"]
    assert [hello["resumed"] for hello in hellos] == [False, True]


async def test_a_restart_without_archive_says_that_something_is_missing():
    control, store = SpokenControl(), RingStore()
    async with streaming(console(store, control), pace=QUICK) as (port, _):
        for number in range(20, 23):
            store.append(second(number))
        reader = Reader(port, cursor=str(Position(Origin.LIVE, "00000000", 1, 10, 2, round((BEGIN + 10) * 1e6))))
        await reader.read_until(22)
    assert reader.windows == [(20, 0), (21, 0), (22, 0)]
    missed = next(message for message in reader.messages if message["type"] == "missed")
    assert missed["windows"] is None
    assert [datetime.fromisoformat(missed[end]).timestamp() - BEGIN for end in ("since", "until")] == [10, 20]


async def test_a_client_away_for_longer_than_memory_reaches_gets_the_rest_from_the_store():
    store = RingStore(analyses=150)
    pace = Pace(look=0.02, kept=50)
    async with streaming(console(store, SpokenControl(archived=store)), pace=pace) as (port, _):
        store.append(second(0))
        reader, other = Reader(port, cursor=OLDEST), await connect(port)
        await reader.read_until(0)
        for number in range(1, 200):
            store.append(second(number))
            await asyncio.sleep(0.003)
        await reader.read_until(199)
        other.transport.abort()
    assert reader.windows == [(number, 0) for number in (0, *range(50, 200))]
    missed = [message["windows"] for message in reader.messages if message["type"] == "missed"]
    assert missed == [49]


async def test_a_window_told_again_in_a_later_revision_is_told_again_here():
    store = RingStore()
    async with streaming(console(store), pace=QUICK) as (port, _):
        reader = Reader(port, cursor=OLDEST)
        store.append(second(0))
        store.append(second(1, quality=Quality.GAP))
        await reader.read_until(1)
        store.append(second(2))
        store.append(second(1, quality=Quality.REVISED, revision=1))
        store.append(second(3))
        await reader.read_until(3)
    assert reader.windows == [(0, 0), (1, 0), (2, 0), (1, 1), (3, 0)]


async def test_a_replay_begun_again_is_told_from_its_beginning():
    store = RingStore()
    for number in range(3):
        store.append(second(number))
    async with streaming(console(store, SpokenControl(origin=Origin.IMPORTED)), pace=QUICK) as (port, _):
        stale = str(Position(Origin.IMPORTED, "00000000", 1, 500, 20, round((BEGIN + 500) * 1e6)))
        reader = Reader(port, cursor=stale)
        await reader.read_until(2)
    assert reader.messages[0]["resumed"] is False
    assert reader.windows == [(0, 0), (1, 0), (2, 0)]


async def test_a_short_storm_of_twenty_clients_of_which_half_are_killed():
    store = RingStore()
    store.append(second(0))
    async with streaming(console(store), pace=QUICK) as (port, _):
        clients = [await connect(port) for _ in range(20)]
        with feeding(store, range(1, 250), pause=0.02):
            await asyncio.sleep(2.5)
            for client in clients[:10]:
                client.transport.abort()
            await asyncio.sleep(2.5)
            left = figures(clients[10:])
        assert left["same"]
        assert (left["twice"], left["holes"], left["lost"], left["thinned"]) == (0, 0, 0, 0)
        assert left["windows"] > 40
        for client in clients:
            client.transport.abort()


async def test_the_example_of_the_docs_reads_on_over_a_restart_of_the_server():
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "stream.md").read_text(), re.DOTALL)
    known: dict = {}
    exec(example, known)
    store, port, seen = RingStore(), free_port(), []

    def read() -> None:
        for message in known["messages"](f"ws://127.0.0.1:{port}/ws", cursor=OLDEST):
            seen.extend(number_of(window) for window in message.get("windows", ()))
            if 29 in seen:
                return

    reading = asyncio.create_task(asyncio.to_thread(read))
    for first in (0, 10, 20):
        for number in range(first, first + 10):
            store.append(second(number))
        async with streaming(console(store), pace=QUICK, port=port), asyncio.timeout(20):
            while first + 9 not in seen:  # noqa: ASYNC110 (a thread tells)
                await asyncio.sleep(0.02)
    async with asyncio.timeout(10):
        await reading
    assert seen == list(range(30))


async def test_a_stream_is_not_cut_when_a_request_would_have_had_to_arrive():
    limits = Limits(arrival_seconds=0.3)
    app = build_api(console(RingStore()), access=Access(AccessSettings()), metrics=Metrics(), limits=limits)
    server = await start_api(app, address="127.0.0.1", port=0)
    try:
        client = await connect(server.port)
        await asyncio.sleep(0.8)
        assert not client.lost.done()
        client.transport.abort()
    finally:
        await server.stop()
