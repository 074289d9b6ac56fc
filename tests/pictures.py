"""Make the pictures of the README anew: ``make pictures``.

The story, its moment, the clock of the page and what Health tells of the process are fixed, and nothing moves while
a picture is taken: two runs differ by the rounding of some hundred pixels at most.
"""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import browser as browsers
import panel as pn
import test_health_browser
from console_stand_in import console, story
from panel.io.server import get_server
from PIL import Image
from playwright.sync_api import sync_playwright
from tornado.ioloop import IOLoop

from tracewave_panel.app.board import Board
from tracewave_panel.app.dashboard import build_page
from tracewave_panel.app.server import Health
from tracewave_panel.stores.ring import RingStore

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
NOON = 1_794_666_740.0  # 14 November 2026, 14:32:20 UTC
HOUR = 3_700  # seconds
LONGEST = 200_000  # bytes
STEADY = ["--disable-partial-raster", "--disable-skia-runtime-opts", "--force-color-profile=srgb"]
"""A part of a page that is drawn again by itself has other edges than one that is drawn with the rest."""
CHOSEN = (
    ("live-dark", "/", "dark", 1440, 1000),
    ("live-light", "/", "light", 1440, 1000),
    ("live-dark-420", "/", "dark", 420, 1000),
    ("health-dark", "/health", "dark", 1440, 1000),
)


def told() -> Board:
    """A board that holds the story, and the vital signs of the hour that ends in it."""
    store = RingStore()
    counts = []
    for each in story(NOON):
        store.append(each)
        counts += [analysis.window.count for analysis in each.analyses]
    vitals, control = test_health_browser.story(NOON, HOUR, counts)
    board = Board(console(store, control))
    board.look()  # with vital signs of its own: the hour has lags enough
    board.vitals = vitals
    return board


@contextmanager
def held(board: Board) -> Iterator[int]:
    """Serve the pages of a board that nobody moves; yield the port."""
    loops: list[asyncio.AbstractEventLoop] = []
    ports: list[int] = []
    ready, stop = threading.Event(), asyncio.Event()

    def page(name: str) -> pn.Template:
        return build_page(board, name)

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        server = get_server(
            {"/": lambda: page("live"), "/health": lambda: page("health")},
            address="127.0.0.1",
            port=0,
            loop=IOLoop.current(),
            start=False,
            extra_patterns=[(r"/healthz", Health)],
        )
        server._tornado.websocket_origins.add(f"127.0.0.1:{server.port}")
        server.start()
        ports.append(server.port)
        ready.set()
        await stop.wait()
        server.stop()
        server.unlisten()
        await asyncio.sleep(0.2)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="pictures")
    thread.start()
    try:
        if not ready.wait(20):
            msg = "the pages did not start to listen"
            raise RuntimeError(msg)
        yield ports[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)


def small(picture: bytes) -> bytes:
    """The picture in as many colours as fit the size: half of them the most frequent, lest a plane lose its tint."""
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    frequent = [part for _, colour in sorted(whole.getcolors(1 << 24), reverse=True) for part in colour]
    for half in (128, 96, 64, 32):
        spread = whole.quantize(half, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).getpalette()
        palette = Image.new("P", (1, 1))
        palette.putpalette([*frequent[: 3 * half], *spread[: 3 * half]])
        saved = io.BytesIO()
        whole.quantize(palette=palette, dither=Image.Dither.NONE).save(saved, "PNG", optimize=True)
        if saved.tell() <= LONGEST:
            break
    return saved.getvalue()


def take(driver, port: int) -> None:
    """Take each chosen picture in a context of its own."""
    browser = driver.chromium.launch(executable_path=browsers.find(), args=[*browsers.FLAGS, *STEADY])
    for name, path, theme, width, height in CHOSEN:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce", timezone_id="UTC"
        )
        page = context.new_page()
        page.clock.set_fixed_time(NOON)
        page.goto(f"http://127.0.0.1:{port}{path}")
        page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        page.wait_for_selector(".chart svg" if path == "/health" else ".card", timeout=60_000)
        page.evaluate("document.fonts.ready")
        page.wait_for_timeout(1500)  # plots take their size in the next frames
        picture = small(page.screenshot())
        (PICTURES / f"{name}.png").write_bytes(picture)
        print(f"docs/pictures/{name}.png  {width} x {height}  {len(picture) / 1000:.0f} kB")
        context.close()
    browser.close()


def main() -> int:
    """Serve the story and take the pictures."""
    if not browsers.find():
        print("Needs Chromium or Chrome: make setup-test tries to install one", file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    with held(told()) as port, sync_playwright() as driver:
        take(driver, port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
