"""Make the pictures of the README anew: ``make pictures``.

The story, its moment, the clock of the page and what Health tells of the process are fixed, and nothing moves while
a picture is taken: two runs differ by the rounding of some hundred pixels at most.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import browser as browsers
import msgspec
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
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Findings
from tracewave_panel.ports import Console
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.ring import RingStore

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
NOON = 1_794_666_740.0  # 14 November 2026, 14:32:20 UTC
WIKIS = {"en.wikipedia.org": 0.29, "www.wikidata.org": 0.2, "commons.wikimedia.org": 0.12, "de.wikipedia.org": 0.09,
         "fr.wikipedia.org": 0.08, "es.wikipedia.org": 0.06, "ja.wikipedia.org": 0.05, "it.wikipedia.org": 0.04,
         "ru.wikipedia.org": 0.04, "pl.wikipedia.org": 0.03}  # fmt: skip
HOUR = 3_700  # seconds
LONGEST = 200_000  # bytes
STEADY = ["--disable-partial-raster", "--disable-skia-runtime-opts", "--force-color-profile=srgb"]
"""A part of a page that is drawn again by itself has other edges than one that is drawn with the rest."""
CHOSEN = (
    ("live-dark", "/", "dark", 1440, 1000),
    ("live-light", "/", "light", 1440, 1000),
    ("live-dark-420", "/", "dark", 420, 1000),
    ("health-dark", "/health", "dark", 1440, 1000),
    ("explore-dark", "/explore?anomaly={anomaly}", "dark", 1440, 1000),
)


def in_parts(told: Findings) -> Findings:
    """The findings with events spread over wikis, kinds of editor and of edit; what is above usual is the burst's."""
    analyses = []
    for each in told.analyses:
        count = each.window.count
        usual = min(count, 44)
        wikis = {name: round(usual * part) for name, part in WIKIS.items()}
        bots = round(usual * 0.24) + count - usual
        wikis["commons.wikimedia.org"] += count - usual
        editors = {"bot": bots, "registered": round(usual * 0.6), "anonymous": round(usual * 0.16)}
        kinds = {"edit": round(count * 0.9), "new": round(count * 0.1)}
        named = {"wiki": wikis, "actor": editors, "kind": kinds}
        parts = tuple(named.get(name, {}) for name in WIKIMEDIA.dimensions)
        window = msgspec.structs.replace(each.window, dimension_counts=parts)
        analyses.append(msgspec.structs.replace(each, window=window))
    return msgspec.structs.replace(told, analyses=tuple(analyses))


def told(history: DuckDBStore) -> Board:
    """A board that holds the story, and the vital signs of the hour that ends in it."""
    store = RingStore()
    counts = []
    for each in story(NOON):
        store.append(each)
        history.append(in_parts(each))
        counts += [analysis.window.count for analysis in each.analyses]
    history.flush()
    vitals, control = test_health_browser.story(NOON, HOUR, counts)
    plain = console(store, control)
    board = Board(Console(plain.feed, plain.store, plain.control, history))
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
            {"/": lambda: page("live"), "/health": lambda: page("health"), "/explore": lambda: page("explore")},
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


def ask(page) -> None:
    """Press Run, and have the same said of the time that it took, whatever machine this is."""
    page.wait_for_selector(".explore .badge:not([hidden])", timeout=60_000)
    page.wait_for_selector(".tree .rel", timeout=60_000)
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_selector(".explore td", timeout=60_000)
    page.locator(".explore .state").evaluate(
        "(said) => { said.textContent = said.textContent.replace(/ in .*/, ' in 46 ms, at 14:32:20 UTC'); }"
    )
    page.mouse.move(0, 0)


def take(driver, port: int, anomaly: str) -> None:
    """Take each chosen picture in a context of its own."""
    browser = driver.chromium.launch(executable_path=browsers.find(), args=[*browsers.FLAGS, *STEADY])
    for name, path, theme, width, height in CHOSEN:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce", timezone_id="UTC"
        )
        page = context.new_page()
        page.clock.set_fixed_time(NOON)
        page.goto(f"http://127.0.0.1:{port}{path.format(anomaly=anomaly)}")
        page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        if path.startswith("/explore"):
            ask(page)
        page.wait_for_selector(".card" if path == "/" else ".chart svg", timeout=60_000)
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
    with (
        tempfile.TemporaryDirectory() as folder,
        DuckDBStore(Path(folder) / "history.duckdb", WIKIMEDIA) as history,
        held(board := told(history)) as port,
        sync_playwright() as driver,
    ):
        take(driver, port, board.console.store.anomalies().items[-1].id)
    return 0


if __name__ == "__main__":
    sys.exit(main())
