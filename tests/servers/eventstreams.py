"""A loopback server that speaks like stream.wikimedia.org, and fails like it when told to.

The stream is a log, as in Kafka: changes are produced on a schedule whether or not anybody reads, and a
client that comes back with ``Last-Event-ID`` gets what it missed. Two topics stand behind it, one a
datacentre; an id names both, by the timestamp of the last event of each plus one millisecond, or by
offset -1 for one that has given nothing.

By hand: ``python tests/servers/eventstreams.py --capture FILE --rate 30 --disconnects 5``
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import lzma
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from random import Random
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

STREAM = "mediawiki.recentchange"
EQIAD, CODFW = f"eqiad.{STREAM}", f"codfw.{STREAM}"
TOPICS = (EQIAD, CODFW)
FIRST_OFFSETS = {EQIAD: 6_500_000_000, CODFW: 2_000_000_000}
PATH = "/v2/stream/recentchange"
TEN_MEGABYTES = 10 << 20


def read_capture(path: Path) -> list[dict]:
    """Changes of a capture: JSON lines, plain or .xz."""
    data = path.read_bytes()
    return [json.loads(line) for line in (lzma.decompress(data) if path.suffix == ".xz" else data).splitlines()]


def invent_changes(count: int, seed: int = 1) -> list[dict]:
    """Changes of the public form, for where no capture is at hand."""
    random = Random(seed)
    changes = []
    for number in range(count):
        domain = random.choice(["en.wikipedia.org", "de.wikipedia.org", "commons.wikimedia.org", "www.wikidata.org"])
        title = f"Page – {random.randrange(500)}"
        old = random.randrange(100, 9000)
        changes.append(
            {
                "$schema": "/mediawiki/recentchange/1.0.0",
                "meta": {
                    "uri": f"https://{domain}/wiki/{title}",
                    "id": f"{seed:08x}-0000-4000-8000-{number:012x}",
                    "domain": domain,
                    "stream": STREAM,
                    "dt": datetime.fromtimestamp(1_700_000_000 + number / 10, UTC).isoformat(),
                    "topic": EQIAD,
                    "partition": 0,
                    "offset": number,
                },
                "id": number,
                "type": random.choices(["edit", "categorize", "log", "new"], [70, 20, 8, 2])[0],
                "namespace": random.choice([0, 0, 0, 1, 6, 14]),
                "title": title,
                "comment": "ä" * random.randrange(200),
                "timestamp": 1_700_000_000 + number // 10,
                "user": f"User {random.randrange(100)}",
                "bot": random.random() < 0.3,
                "minor": False,
                "length": {"old": old, "new": max(0, old + random.randrange(-50, 400))},
                "revision": {"old": 2 * number, "new": 2 * number + 1},
                "server_url": f"https://{domain}",
                "server_name": domain,
                "server_script_path": "/w",
                "wiki": domain.split(".")[0] + "wiki",
            },
        )
    return changes


@dataclass(frozen=True)
class Entry:
    """One event of a topic's log."""

    offset: int
    milliseconds: int
    data: bytes


@dataclass
class Log:
    """What has been produced so far; grows as its schedule falls due.

    `due` are seconds after the start at which each change is produced. `topic_of` says by number of the
    change which datacentre is active. Unless `restamped` is off, changes get offsets without holes and
    the times of their production.
    """

    changes: Sequence[dict]
    due: Sequence[float]
    topic_of: Callable[[int], str] = lambda number: EQIAD
    canary_every: float = 0.0
    restamped: bool = True
    started_at: float | None = None
    entries: dict[str, list[Entry]] = field(default_factory=lambda: {topic: [] for topic in TOPICS})
    produced: int = 0
    canaries: int = 0

    def produce(self) -> None:
        """Append what has fallen due by now."""
        now = time.time()
        if self.started_at is None:
            self.started_at = now
        while self.produced < len(self.changes) and self.started_at + self.due[self.produced] <= now:
            number = self.produced
            self._append(self.topic_of(number), self.changes[number], self.started_at + self.due[number])
            self.produced += 1
        while self.canary_every and self.started_at + (self.canaries + 1) * self.canary_every <= now:
            self.canaries += 1
            meta = {"id": f"canary-{self.canaries}", "domain": "canary", "stream": STREAM}
            at = self.started_at + self.canaries * self.canary_every
            self._append(CODFW, {"meta": meta, "type": "edit", "title": "Canary"}, at)

    @property
    def finished(self) -> bool:
        """Whether every change has been produced."""
        return self.produced == len(self.changes)

    def _append(self, topic: str, change: dict, at: float) -> None:
        entries = self.entries[topic]
        milliseconds = int(at * 1000)
        if self.restamped or change["meta"]["domain"] == "canary":
            offset = FIRST_OFFSETS[topic] + len(entries)
            dt = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
            stamped = {"dt": dt.replace("+00:00", "Z"), "topic": topic, "partition": 0, "offset": offset}
            change = {**change, "meta": {**change["meta"], **stamped}, "timestamp": int(at) - 1}
        else:
            milliseconds = int(datetime.fromisoformat(change["meta"]["dt"]).timestamp() * 1000)
        entries.append(Entry(change["meta"]["offset"], milliseconds, msgspec.json.encode(change)))

    def seek(self, topic: str, *, offset: int | None = None, milliseconds: int | None = None) -> int:
        """Index of the first entry to send: by offset, else by time, else the latest (also for -1)."""
        entries = self.entries[topic]
        if offset is not None and offset >= 0:
            return bisect_left(entries, offset, key=lambda entry: entry.offset)
        if offset is None and milliseconds is not None:
            found = (index for index, entry in enumerate(entries) if entry.milliseconds >= milliseconds)
            return next(found, len(entries))
        return len(entries)


@dataclass(frozen=True)
class Refusal:
    """Answer of one request that gets no stream."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"type":"error"}'
    delay: float = 0.0


class Cut(Exception):  # noqa: N818 - no error: the end of a connection that the plan asks for
    """Ends a connection."""


class EventStreamsServer:
    """The server; ``async with`` starts and stops it.

    Parameters
    ----------
    plan
        ``(event, action)``: what to do, once, before the event with that number (counted over all
        connections, from 0) is sent. Actions: ``close`` (a proper end), ``cut`` (half a frame, then a
        proper end), ``abort`` (half a frame, then the connection is reset), ``error`` (an ``error`` event,
        then the end), ``away:SECONDS`` (the end, and 503 for so long), ``garbage`` (frames that are no
        change), ``huge`` (a line of ten megabytes),
        ``silent:SECONDS``, ``renumber`` (the id that a resume will send is no longer understood).
    refusals
        Answers for the next requests, one each, before any stream is given.
    piece_bytes
        Largest HTTP chunk; 1 cuts every character.
    redeliver, lose
        How many events of each topic a resume gives again, or skips.
    obey_offsets
        Whether an offset in ``Last-Event-ID`` is honoured; when not, it is read as "latest".
    most_connections
        More than so many at a time are refused with 429.
    """

    def __init__(
        self,
        log: Log,
        *,
        plan: Sequence[tuple[int, str]] = (),
        refusals: Sequence[Refusal] = (),
        piece_bytes: int = 0,
        redeliver: int = 0,
        lose: int = 0,
        obey_offsets: bool = True,
        most_connections: int = 1,
        port: int = 0,
    ) -> None:
        self.log = log
        self.plan = deque(sorted(plan))
        self.refusals = deque(refusals)
        self.requests: list[tuple[float, dict[str, str], str]] = []
        self.statuses: Counter[int] = Counter()
        self.open_connections = 0
        self.sent = 0
        self._piece_bytes = piece_bytes
        self._redeliver = redeliver
        self._lose = lose
        self._obey_offsets = obey_offsets
        self._most_connections = most_connections
        self._port = port
        self._misunderstand = False
        self._away_until = -inf
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """Address of the stream."""
        return f"http://127.0.0.1:{self._port}{PATH}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self.open_connections += 1
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # asyncio would log a cancelled handler as an error
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        target = head[0].split(" ")[1]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.requests.append((time.time(), headers, target))
        refusal = self._refusal(target, headers)
        if refusal:
            self.statuses[refusal.status] += 1
            await asyncio.sleep(refusal.delay)
            lines = {
                "content-type": "application/json",
                "connection": "close",
                "content-length": str(len(refusal.body)),
                **refusal.headers,
            }
            text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            writer.write(f"HTTP/1.1 {refusal.status} Answer\r\n{text}\r\n".encode() + refusal.body)
            await writer.drain()
            return
        self.statuses[200] += 1
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"cache-control: no-cache\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        stream = asyncio.ensure_future(self._stream(writer, target, headers))
        gone = asyncio.ensure_future(reader.read())
        try:
            await asyncio.wait({stream, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stream, gone):
                task.cancel()
            await asyncio.gather(stream, gone, return_exceptions=True)

    def _refusal(self, target: str, headers: dict[str, str]) -> Refusal | None:  # noqa: PLR0911 - one return a reason
        if self.refusals:
            return self.refusals.popleft()
        if time.monotonic() < self._away_until:
            return Refusal(503, body=b"back soon")
        if self.open_connections > self._most_connections:
            return Refusal(429, {"retry-after": "1"}, b"Too Many Concurrent Connections From Your Client IP")
        agent = headers.get("user-agent", "")
        if "(" not in agent or agent.startswith("python-httpx"):
            return Refusal(403, body=b"Please set a user-agent")
        url = urlsplit(target)
        if unquote(url.path) not in {PATH, f"/v2/stream/{STREAM}"}:
            return Refusal(400, body=b'{"type":"not_found"}')
        with contextlib.suppress(KeyError):
            since = parse_qs(url.query)["since"][0]
            try:
                parse_since(since)
            except ValueError:
                return Refusal(400, body=b'{"type":"invalid_timestamp"}')
        try:
            named = [entry["topic"] for entry in json.loads(headers.get("last-event-id", "[]"))]
        except (ValueError, TypeError, KeyError):
            return Refusal(400, body=b'{"type":"invalid_last_event_id"}')
        if self._misunderstand and named:
            return Refusal(400, body=b'{"type":"invalid_last_event_id"}')
        if set(named) - set(TOPICS):
            return Refusal(404)
        return None

    def _start(self, target: str, headers: dict[str, str]) -> tuple[dict[str, int], dict[str, dict]]:
        """Index to start at and the id's entry, for each topic."""
        query = parse_qs(urlsplit(target).query)
        since = parse_since(query["since"][0]) if "since" in query else None
        resumed = {entry["topic"]: entry for entry in json.loads(headers.get("last-event-id", "[]"))}
        indices, ids = {}, {}
        for topic in TOPICS:
            asked = resumed.get(topic, {})
            offset = asked.get("offset")
            if offset is not None and not self._obey_offsets:
                offset = -1
            milliseconds = asked.get("timestamp", since)
            index = self.log.seek(topic, offset=offset, milliseconds=milliseconds)
            if topic in resumed:
                index = max(0, index - self._redeliver) + self._lose
            indices[topic] = index
            known = {"offset": offset} if offset is not None else {"timestamp": milliseconds}
            ids[topic] = known if milliseconds is not None or offset is not None else {"offset": -1}
        return indices, ids

    async def _stream(self, writer: asyncio.StreamWriter, target: str, headers: dict[str, str]) -> None:
        if self.log.started_at is not None:  # the first reader gets the first change
            self.log.produce()
        indices, ids = self._start(target, headers)
        with contextlib.suppress(Cut):
            await self._write(writer, b":ok\n\n")
            while True:
                self.log.produce()
                # topic after topic: the public stream does not merge a backlog by time either
                for topic in TOPICS:
                    entries = self.log.entries[topic]
                    frames = []
                    while indices[topic] < len(entries) and len(frames) < 100:
                        entry = entries[indices[topic]]
                        indices[topic] += 1
                        ids[topic] = {"timestamp": entry.milliseconds + 1}
                        frame = self._frame(entry, ids)
                        if self.plan and self.plan[0][0] <= self.sent:
                            await self._write(writer, b"".join(frames))
                            frames.clear()
                            await self._act(writer, frame)
                        self.sent += 1
                        frames.append(frame)
                    await self._write(writer, b"".join(frames))
                await asyncio.sleep(0.005)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    @staticmethod
    def _frame(entry: Entry, ids: dict[str, dict]) -> bytes:
        place = [{"topic": topic, "partition": 0, **ids[topic]} for topic in TOPICS]
        return b"event: message\nid: %b\ndata: %b\n\n" % (msgspec.json.encode(place), entry.data)

    async def _act(self, writer: asyncio.StreamWriter, frame: bytes) -> None:
        action, _, argument = self.plan.popleft()[1].partition(":")
        if action == "silent":
            await asyncio.sleep(float(argument))
        elif action == "garbage":
            await self._write(
                writer, b"nonsense\n\x00\xff\xfe\ndata: {not json\n\ndata: \xff\n\nevent: other\ndata: 1\n\n"
            )
        elif action == "huge":
            await self._write(writer, b"data: ")
            for _ in range(TEN_MEGABYTES >> 16):
                await self._write(writer, b"x" * (1 << 16))
            await self._write(writer, b"\n\n")
        elif action == "error":
            await self._write(writer, b'event: error\ndata: {"message":"broker went away"}\n\n')
            raise Cut
        elif action == "renumber":
            self._misunderstand = True
            raise Cut
        elif action == "away":
            self._away_until = time.monotonic() + float(argument)
            raise Cut
        elif action == "close":
            raise Cut
        else:
            await self._write(writer, frame[: len(frame) // 2])
            if action == "abort":
                writer.transport.abort()
            raise Cut

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        width = self._piece_bytes or len(data) or 1
        pieces = (data[start : start + width] for start in range(0, len(data), width))
        writer.write(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces))
        await writer.drain()


def parse_since(text: str) -> int:
    """Milliseconds since the epoch, from themselves or an ISO time."""
    return int(text) if text.isdigit() else int(datetime.fromisoformat(text).timestamp() * 1000)


def at_rate(count: int, rate: float) -> list[float]:
    """Seconds after the start of events that come `rate` a second."""
    return [number / rate for number in range(count)]


def at_speed(changes: Sequence[dict], speed: float) -> list[float]:
    """Seconds after the start of a capture's own times, compressed by `speed`."""
    due, latest = [], changes[0]["timestamp"]
    for change in changes:
        latest = max(latest, change["timestamp"])
        due.append((latest - changes[0]["timestamp"]) / speed)
    return due


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capture", type=Path, help="JSON lines of changes, plain or .xz; invented ones without it")
    parser.add_argument("--count", type=int, default=10_000, help="how many changes to invent")
    parser.add_argument("--rate", type=float, default=30.0, help="changes a second")
    parser.add_argument("--speed", type=float, help="instead of a rate: time compression of the capture")
    parser.add_argument("--disconnects", type=int, default=0, help="closes spread over the changes")
    parser.add_argument("--plan", default="", help="further faults, as in 100=silent:5,200=huge")
    parser.add_argument("--redeliver", type=int, default=0, help="events given twice by a resume")
    parser.add_argument("--canaries", type=float, default=0.0, help="seconds between canary events")
    parser.add_argument("--original", action="store_true", help="keep the capture's own stamps and offsets")
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    changes = read_capture(asked.capture) if asked.capture else invent_changes(asked.count)
    due = at_speed(changes, asked.speed) if asked.speed else at_rate(len(changes), asked.rate)
    plan = [(len(changes) * (n + 1) // (asked.disconnects + 1), "close") for n in range(asked.disconnects)]
    plan += [(int(at), action) for at, _, action in (part.partition("=") for part in asked.plan.split(",") if part)]
    log = Log(changes, due, canary_every=asked.canaries, restamped=not asked.original)
    async with EventStreamsServer(log, plan=plan, redeliver=asked.redeliver, port=asked.port) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
