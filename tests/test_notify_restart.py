"""A server that is killed while tellings wait in its memory: the next one tells them, once."""

from __future__ import annotations

import asyncio
import collections
import json
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from notify_servers import SECRET, Hook
from running import Program, running, until
from servers.eventstreams import EventStreamsServer, Log, invent_changes

from tracewave_panel.notify.outbox import FILE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CALM, SURGE = 45, 15
"""Seconds of an ordinary feed, which detectors learn from, and of one that is ten times as fast."""
CHANGES = (
    "wikimedia.checkpoint_interval=0.5",
    "wikimedia.retry_base=0.1",
    "wikimedia.kinds=edit,new,log,categorize",
    "detectors.enabled=zscore,ewma",
    "window.width=0.5",
    "episodes.quiet=30",
    "detectors.zscore.warm_up=60",
    "detectors.ewma.warm_up=60",
)


@contextmanager
def feed() -> Iterator[str]:
    """A stream with one surge, which goes on whoever reads it."""
    due = [number / 30 for number in range(CALM * 30)]
    due += [CALM + number / 300 for number in range(SURGE * 300)]
    due += [CALM + SURGE + number / 30 for number in range(200 * 30)]
    ready, loop, ended, urls = threading.Event(), asyncio.new_event_loop(), asyncio.Event(), []

    async def serve() -> None:
        async with EventStreamsServer(Log(invent_changes(len(due)), due)) as server:
            urls.append(server.url)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.close()


@contextmanager
def serving(url: str, hook: Hook, folder: Path) -> Iterator[tuple[Program, httpx.Client]]:
    """A server that tells a webhook of everything, and somebody who asks its API."""
    route = f'[[notify]]\nname = "hook"\nwebhook = "{hook.url}"\nsecret = "{SECRET}"\nseverity = "info"\n'
    (folder / "tracewave.toml").write_text(route)
    where = ("--data", str(folder / "data"), "--config", str(folder / "tracewave.toml"), "--source", "wikimedia")
    changes = [word for change in (f"wikimedia.url={url}", *CHANGES) for word in ("--set", change)]
    command = ("-m", "tracewave_panel", "serve", "--port", "0", "--api-port", "0", *where, *changes)
    with running(*command) as program:
        api = program.wait_for("its API at ", 60).split("its API at ")[1].split("/api")[0]
        with httpx.Client(base_url=api, timeout=20) as client:
            yield program, client


@contextmanager
def full_disk(data: Path) -> Iterator[None]:
    """Nobody else can write to the outbox meanwhile, so tellings wait in memory."""
    database = sqlite3.connect(data / FILE, isolation_level=None, timeout=20)
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        database.close()


def surge(client: httpx.Client) -> str | None:
    """Id of the episode that is the surge, once it is open."""
    for anomaly in client.get("/api/anomalies").json()["items"]:
        if anomaly["observed"] > 150 and anomaly["closed"] is None:
            return str(anomaly["id"])
    return None


def state_after(client: httpx.Client) -> None:
    """Wait until the State knows what happened up to now."""

    def commits() -> float:
        return client.get("/api/stats").json()["gauges"].get("commits", 0)

    before = commits()
    until(lambda: commits() > before + 3, 30, every=0.2)


def test_tellings_that_waited_in_the_memory_of_a_killed_server_are_told_once_by_the_next(tmp_path):
    hook = Hook()
    data = tmp_path / "data"
    try:
        with feed() as url:
            with serving(url, hook, tmp_path) as (program, client), full_disk_when_there(data):
                opened = until(lambda: surge(client), 90, every=0.2)
                state_after(client)
                program.end(signal.SIGKILL)
            assert (opened, "opened") not in hook.told
            for _ in range(2):
                with serving(url, hook, tmp_path) as (program, client):
                    until(lambda: (opened, "opened") in hook.told, 40)
                    state_after(client)
                    program.end(signal.SIGKILL)
        keys = collections.Counter(json.loads(body)["id"] for _, body in hook.requests)
        assert set(keys.values()) == {1}
    finally:
        hook.stop()


@contextmanager
def full_disk_when_there(data: Path) -> Iterator[None]:
    """As above, of an outbox that is about to be made."""
    until((data / FILE).exists, 30)
    until(lambda: _made(data), 30)
    with full_disk(data):
        yield


def _made(data: Path) -> bool:
    database = sqlite3.connect(data / FILE, timeout=20)
    try:
        return bool(database.execute("PRAGMA user_version").fetchone()[0])
    finally:
        database.close()
