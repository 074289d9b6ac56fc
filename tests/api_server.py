"""The API on a free port, from a loop in a thread of its own, over memory or a real history."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from console_stand_in import SpokenControl, story

from tracewave_panel.access import Access, AccessSettings
from tracewave_panel.api.application import build_api
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.server import start_api
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.metrics import Metrics
from tracewave_panel.ports import Archive, Console
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.ring import RingStore

TOKENS = {scope: f"tw_{scope}-{'k' * 40}" for scope in ("read", "label", "admin")}
UNHURRIED = Limits(requests_per_second=100_000.0, burst=1_000_000, wrong_tokens=1_000_000)


@dataclass
class Served:
    """A running API."""

    port: int
    loop: asyncio.AbstractEventLoop
    metrics: Metrics

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, scope: str = "", **fields: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {TOKENS[scope]}"} if scope else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, **fields)

    def tasks(self) -> int:
        """How many tasks its loop has at this moment."""

        async def count() -> int:
            return len(asyncio.all_tasks())

        return asyncio.run_coroutine_threadsafe(count(), self.loop).result(10)

    def raw(self, data: bytes, wait: float = 5.0, *, shut: bool = False) -> bytes:
        """All that the server says to these bytes until it closes, or nothing comes for so long."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            connection.sendall(data)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            return everything(connection)


def everything(connection: socket.socket) -> bytes:
    said = b""
    try:
        while part := connection.recv(65536):
            said += part
    except (TimeoutError, ConnectionError):
        pass
    return said


def access_with_tokens() -> Access:
    lines = (f"{scope}er {scope} {hashlib.sha256(token.encode()).hexdigest()}" for scope, token in TOKENS.items())
    return Access(AccessSettings(), environment={"TRACEWAVE_TOKENS": ";".join(lines)})


@contextmanager
def served_api(
    console: Console, *, access: Access | None = None, limits: Limits = UNHURRIED, prefix: str = ""
) -> Iterator[Served]:
    """Serve until the block ends."""
    started: list[Served] = []
    failed: list[BaseException] = []
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        metrics = Metrics()
        app = build_api(
            console, access=access or Access(AccessSettings()), metrics=metrics, limits=limits, prefix=prefix
        )
        server = await start_api(app, address="127.0.0.1", port=0)
        started.append(Served(server.port, asyncio.get_running_loop(), metrics))
        ready.set()
        await stop.wait()
        begun = time.monotonic()
        await server.stop()
        assert time.monotonic() - begun < 3.0, "the server did not end in time"

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 (told to the test)
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="api")
    thread.start()
    try:
        assert ready.wait(20)
        if failed:
            raise failed[0]
        yield started[0]
    finally:
        if started:
            started[0].loop.call_soon_threadsafe(stop.set)
        thread.join(15)
    if failed:
        raise failed[0]


class ArchivedControl(SpokenControl):
    """A Control whose archive is a real history."""

    history: DuckDBStore

    @property
    def archive(self) -> Archive:
        return Archive(self.history, f"history-{self.run}")


@contextmanager
def kept(folder: Path, seconds: int = 300) -> Iterator[Console]:
    """A console over five minutes that are both in memory and in a real history."""
    ring = RingStore()
    with DuckDBStore(folder / "history.duckdb", WIKIMEDIA, commit_interval=0.01) as history:
        for findings in story(time.time(), seconds):
            ring.append(findings)
            history.append(findings)
        history.flush()
        control = ArchivedControl()
        control.history = history
        yield Console(WIKIMEDIA, ring, control, history)
