"""The cap on sessions: who is let in, who is asked to wait, and that whoever leaves makes room."""

from __future__ import annotations

import asyncio
import gc
import queue
import re
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from bokeh.document import Document
from console_stand_in import console
from panel.io.state import set_curdoc
from tornado.httpclient import AsyncHTTPClient
from viewers import Viewer

from tracewave_panel.app.admission import Door, refusal
from tracewave_panel.app.server import start, stop

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:asyncio")


@asynccontextmanager
async def pages(sessions: int, linger: float = 0.4):
    server = start(console(), address="127.0.0.1", port=0, sessions=sessions, linger=linger)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        stop(server)
        await asyncio.sleep(0.1)


@contextmanager
def pages_beside(sessions: int) -> Iterator[str]:
    """The same from a loop in a thread of its own, for a browser that waits in this one."""
    loop, told = asyncio.new_event_loop(), queue.Queue()
    ending = asyncio.Event()

    async def serve() -> None:
        async with pages(sessions) as address:
            told.put(address)
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="page")
    thread.start()
    try:
        yield told.get(timeout=20)
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)
        loop.close()


async def text_of(address: str) -> str:
    return (await AsyncHTTPClient().fetch(address)).body.decode()


async def let_in_at_last(address: str, path: str = "/") -> Viewer:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        viewer = Viewer()
        if await viewer.open(address, path):
            return viewer
        await asyncio.sleep(0.2)
    raise AssertionError("nobody made room")


def test_door_lets_in_as_many_documents_as_its_limit_and_each_of_them_again():
    door, documents = Door(2), [Document() for _ in range(3)]
    let_in = []
    for document in (*documents, documents[0]):
        with set_curdoc(document):
            let_in.append(door.admit())
    assert let_in == [True, True, False, True]
    assert door.watching == 2


def test_door_counts_nobody_outside_of_a_session():
    door = Door(1)
    assert [door.admit() for _ in range(3)] == [True] * 3
    assert door.watching == 0


def test_document_whose_building_failed_takes_no_place():
    door = Door(1)
    document = Document()
    with set_curdoc(document):
        assert door.admit()
    del document
    gc.collect()
    assert door.watching == 0


async def test_one_too_many_gets_a_light_page_that_tries_again_with_jitter():
    async with pages(1) as address:
        first = Viewer()
        assert await first.open(address, "/")
        told = [await text_of(address) for _ in range(6)]
        assert all("1 page is open at this moment, as many as this server shows" in text for text in told)
        assert all("Nothing is lost" in text for text in told)
        tries = [int(re.search(r'http-equiv="refresh" content="(\d+)"', text)[1]) for text in told]
        assert all(30 <= seconds <= 40 for seconds in tries)
        assert len(set(tries)) > 1
        assert not any("bokeh" in text or "token" in text.replace("tokens.css", "") for text in told)
        assert max(map(len, told)) < 6000
        await first.close()


async def test_session_makes_room_when_its_browser_is_gone():
    async with pages(1) as address:
        first = Viewer()
        assert await first.open(address, "/")
        assert not await Viewer().open(address, "/")
        await asyncio.sleep(1.5)
        assert not await Viewer().open(address, "/health")
        await first.close()
        second = await let_in_at_last(address)
        await second.close()


async def test_session_that_never_opened_a_websocket_makes_room():
    async with pages(2, linger=3) as address:
        assert '"token"' in await text_of(address)
        assert '"token"' in await text_of(f"{address}/health")
        assert "Full house" in await text_of(address)
        viewer = await let_in_at_last(address)
        await viewer.close()


def test_outside_of_panel_serve_nothing_is_refused():
    assert refusal({}, ["python", "-m", "tracewave_panel", "serve"]) is None


@pytest.mark.browser
def test_crowded_page_in_a_browser_opens_no_websocket_and_asks_nothing_outside(browser):
    with pages_beside(0) as address:
        context = browser.new_context(color_scheme="light", viewport={"width": 420, "height": 800})
        page = context.new_page()
        asked, sockets, errors = [], [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: sockets.append(socket.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda answer: errors.append(answer.url) if answer.status >= 400 else None)
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert page.locator("h1").inner_text() == "Full house"
        assert page.locator("html").get_attribute("data-theme") == "light"
        assert page.evaluate("document.fonts.check('13px \"Inter Variable\"')")
        assert page.evaluate("document.documentElement.scrollWidth") <= 420
        assert sockets == errors == []
        assert all(each.startswith((f"{address}/", "data:")) for each in asked)
        context.close()
