"""Clients of the stream that cost little: a raw protocol that reads frames and keeps count of what it was told.

As a program, ``python tests/stream_clients.py HOST:PORT``, it opens clients, looks at them and kills them as the lines
of stdin say. ``python tests/stream_clients.py HOST:PORT --told COUNT`` opens that many and writes down whatever they
are told at once, so that it is known of a process that is killed too; :class:`Heard` reads that.
:func:`streaming` serves ``/ws`` alone, from the running loop.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime

import uvicorn
from fastapi import FastAPI

from tracewave_panel.access import Access, AccessSettings
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.stream import add_stream
from tracewave_panel.api.stream_position import parse_position
from tracewave_panel.api.stream_protocol import StreamProtocol
from tracewave_panel.metrics import Metrics


class Client(asyncio.Protocol):
    """Reads server frames (never masked), answers pings, and counts windows and tellings by their keys."""

    told: Callable[[dict, int], None] | None = None
    """Called with each message and its size."""

    def __init__(self, host: str, path: str = "/ws", headers: tuple[str, ...] = ()) -> None:
        self.windows: Counter = Counter()
        self.anomalies: Counter = Counter()
        self.types: Counter = Counter()
        self.read = self.wire = 0
        self.deaf = any("deflate" in header for header in headers)  # it could not read what it asks for
        self.cursor = ""
        self.close: tuple[int, str] | None = None
        self.lost = asyncio.get_running_loop().create_future()
        self.ready = asyncio.get_running_loop().create_future()
        self._request = "\r\n".join((
            f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            *headers, "", "",
        ))  # fmt: skip
        self._buffer = bytearray()
        self._upgraded = False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self._request.encode())

    def connection_lost(self, exc):
        if not self.ready.done():
            self.ready.set_result(bytes(self._buffer))
        if not self.lost.done():
            self.lost.set_result(exc)

    def data_received(self, data):
        self.wire += len(data)
        self._buffer += data
        if not self._upgraded:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0 or not self._buffer.startswith(b"HTTP/1.1 101"):
                return
            self.ready.set_result(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            self._upgraded = True
        if self.deaf:
            self._buffer.clear()
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def _frame(self):
        held = self._buffer
        if len(held) < 2:
            return None
        length, begin = held[1], 2
        if length >= 126:
            begin = 4 if length == 126 else 10
            if len(held) < begin:
                return None
            length = int.from_bytes(held[2:begin], "big")
        if len(held) < begin + length:
            return None
        opcode, payload = held[0] & 15, bytes(held[begin : begin + length])
        del held[: begin + length]
        return opcode, payload

    def _take(self, opcode, payload):
        self.read += len(payload)
        if opcode == 9:
            self.send(10, payload)
        elif opcode == 8:
            self.close = (int.from_bytes(payload[:2], "big"), payload[2:].decode())
            self.send(8, payload[:2])
            self.transport.close()
        elif opcode == 1:
            told = json.loads(payload)
            self.types[told["type"]] += 1
            if self.told:
                self.told(told, len(payload))
            self.cursor = told["cursor"]
            if told["type"] == "news":
                self.windows.update((each["series"], each["start"], each["revision"]) for each in told["windows"])
            self.anomalies.update((each["id"], each["updated"]) for each in told.get("anomalies", ()))

    def send(self, opcode, payload=b"", first=0x80):
        """Send a frame, masked with zeros."""
        size = len(payload)
        head = bytes([first | opcode])
        head += bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
        self.transport.write(head + bytes(4) + payload)


async def connect(port: int, path: str = "/ws", *headers: str, host: str | None = None, told=None) -> Client:
    """A client whose answer has come; ``client.ready.result()`` is its head."""
    client = Client(host or f"127.0.0.1:{port}", path, headers)
    client.told = told
    await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", port)
    await asyncio.wait_for(asyncio.shield(client.ready), 20)
    return client


@contextlib.asynccontextmanager
async def streaming(console, *, access=None, pace=None, limits=None, metrics=None, per_address=250, port=0, **options):
    """Serve ``/ws`` of a console; yields the port and the uvicorn server."""
    app = FastAPI(openapi_url=None)
    door = access or Access(AccessSettings())
    fields = {"pace": pace} if pace else {}
    add_stream(
        app, console, access=door, metrics=metrics or Metrics(), limits=limits or Limits(), per_address=per_address,
        **fields,
    )  # fmt: skip
    bound = socket.create_server(("127.0.0.1", port), backlog=512)
    port = bound.getsockname()[1]
    if not access:
        door.serve("127.0.0.1", port)
    options = {"ws": StreamProtocol, **options}
    config = uvicorn.Config(
        app, log_config=None, log_level="warning", lifespan="off", timeout_graceful_shutdown=2, **options
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        while not server.started:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.01)
        yield port, server
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)
        bound.close()


async def obey(address: str) -> None:
    """Open, look at and kill clients as the lines of stdin say; answer each with a line of figures."""
    port = int(address.rpartition(":")[2])
    clients: list[Client] = []
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        if line[0] == "open":
            clients += [await connect(port) for _ in range(int(line[1]))]
        elif line[0] == "deaf":
            header = "Sec-WebSocket-Extensions: permessage-deflate"
            clients += [await connect(port, "/ws", header) for _ in range(int(line[1]))]
        elif line[0] == "kill":
            for client in clients[: int(line[1])]:
                client.transport.abort()
            del clients[: int(line[1])]
        print(json.dumps(figures(clients)), flush=True)


def figures(clients: list[Client]) -> dict:
    """What all of them were told; windows that every client of the widest common stretch must have."""
    clients = [client for client in clients if not client.deaf] or clients
    first = max((min(client.windows) for client in clients if client.windows), default=None)
    last = min((max(client.windows) for client in clients if client.windows), default=None)
    stretches = [
        sorted(key for key in client.windows.elements() if first <= key <= last) if client.windows else []
        for client in clients
    ]
    return {
        "clients": len(clients),
        "windows": len(stretches[0]) if stretches else 0,
        "same": all(stretch == stretches[0] for stretch in stretches),
        "twice": sum(count - 1 for client in clients for count in client.windows.values()),
        "holes": _holes(stretches[0]) if stretches else 0,
        "lost": sum(client.lost.done() for client in clients),
        "thinned": sum(client.types["thinned"] + client.types["missed"] for client in clients),
        "messages": sum(client.types.total() for client in clients),
        "bytes": sum(client.read for client in clients),
        "wire": sum(client.wire for client in clients),
        "first": first and first[1],
        "last": last and last[1],
    }


def _holes(stretch: list) -> int:
    """Seconds between the first and the last window that have none."""
    starts = sorted({round(datetime.fromisoformat(start).timestamp()) for _, start, _ in stretch})
    return starts[-1] - starts[0] + 1 - len(starts) if starts else 0


async def write_down(address: str, count: int) -> None:
    """Open clients and write what each is told to stdout, a line a message, until stdin ends."""
    port = int(address.rpartition(":")[2])

    def say(*words: object) -> None:
        line = json.dumps(words).encode() + b"\n"
        while line:  # unbuffered: what was heard before a SIGKILL is in the pipe
            line = line[os.write(1, line) :]

    def pen(number: int) -> Callable[[dict, int], None]:
        def told(message: dict, size: int) -> None:
            keys = [
                (each["series"], each["start"], each["revision"], each["count"]) for each in message.get("windows", ())
            ]
            say(number, time.monotonic(), message["type"], size, message["cursor"], keys)

        return told

    clients = []
    for number in range(count):
        client = await connect(port, told=pen(number))
        head = client.ready.result()
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionRefusedError(head.decode(errors="replace"))
        client.lost.add_done_callback(
            lambda _, n=number, c=client: say(n, time.monotonic(), "lost", 0, str(c.close), [])
        )
        clients.append(client)
    say("open", len(clients))
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # what ends now is no loss


class Heard:
    """What one client was told, as its process wrote it down.

    Attributes
    ----------
    begins
        Start of the first window that it was promised, seconds: it said hello as one who knows all before; 0: none.
    windows
        Key (series, start in seconds, revision) and when it came (monotonic clock), as told.
    counts
        Events of each window.
    moments
        When each message came (monotonic clock).
    """

    def __init__(self) -> None:
        self.begins = 0.0
        self.windows: list[tuple[tuple[str, float, int], float]] = []
        self.counts: dict[tuple[str, float, int], int] = {}
        self.types: Counter = Counter()
        self.moments: list[float] = []
        self.bytes = 0

    def take(self, at: float, kind: str, size: int, cursor: str, windows: list) -> None:
        """Take in a line."""
        self.types[kind] += 1
        if size:
            self.moments.append(at)
        self.bytes += size
        if kind == "hello":
            self.begins = parse_position(cursor).until / 1e6
        for series, start, revision, count in windows:
            key = series, datetime.fromisoformat(start).timestamp(), revision
            self.windows.append((key, at))
            self.counts[key] = count

    def starts(self, until: float = float("inf")) -> list[float]:
        """Starts of the windows that were told for the first time, before a moment."""
        return [start for (_, start, revision), at in self.windows if not revision and at <= until]

    def mistakes(self, known: Iterable[tuple[str, float, int]], last: float) -> dict[str, int]:
        """What is wrong with it, next to what it had to be told.

        Parameters
        ----------
        known
            Keys of everything there is, as another way of asking gives them.
        last
            Start of the last window that it had to be told.
        """
        told, starts = Counter(key for key, _ in self.windows), self.starts()
        newest = max((last, *starts))
        promised = {key for key in known if self.begins <= key[1] <= newest and not key[2]}
        steps = {round(after - before, 6) for before, after in itertools.pairwise(starts)}
        return {
            "twice": sum(count - 1 for count in told.values()),
            "missing": len(promised - told.keys()),
            "unknown": sum(key not in promised for key in told if not key[2]),
            "not_contiguous": int(steps != {1.0}),
            "thinned": self.types["thinned"] + self.types["missed"],
            "greeted_again": abs(self.types["hello"] - 1),
            "lost": self.types["lost"],
        }


if __name__ == "__main__":
    if "--told" in sys.argv:
        asyncio.run(write_down(sys.argv[1], int(sys.argv[3])))
    else:
        asyncio.run(obey(sys.argv[1]))
