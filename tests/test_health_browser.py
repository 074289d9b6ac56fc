"""The Health page in a real Chromium: figures move, hostile words are words, nothing overflows at any width."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import panel as pn
import pytest
from console_stand_in import SpokenControl
from panel.io.server import get_server
from tornado.ioloop import IOLoop

from tracewave_panel.app.theme import ASSETS
from tracewave_panel.app.views.health import Health
from tracewave_panel.app.vitals import Vitals
from tracewave_panel.ports import FeedState, SourceStatus

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parent / "screenshots"
HOSTILE = (
    "<script>window.struck=1</script>",
    "<img src=x onerror='window.struck=1'>",
    '"><svg onload=window.struck=1>',
    "{{ ''.__class__ }} ${window.struck=1}",
    "</script><script src=http://outside.invalid/x.js></script>",
)
PAGE = """{% from macros import embed %}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Health</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/kit/tokens.css">
<link rel="stylesheet" href="/kit/console.css"><script src="/kit/console.js"></script>
{{ bokeh_css }}{{ bokeh_js }}</head>
<body><button id="theme" hidden></button><main><section class="page health">{{ embed(roots.health) }}</section></main>
{{ plot_script }}</body></html>"""


class Fed(SpokenControl):
    """A Control whose source read as many events as the pipeline took."""

    reconnects = 0

    def source_status(self) -> SourceStatus:
        return SourceStatus(self.state, {"events": self.totals["events"], "reconnects": self.reconnects}, lag=1.1)


def story(end: float, seconds: int, counts: Sequence[int] = ()) -> tuple[Vitals, Fed]:
    """So many seconds of a feed that was cut off once, stalled once, and ends in a burst; or in these counts."""
    draw, lags = random.Random(4), np.random.default_rng(2)
    spent = [0.0]
    control = Fed()
    names = ("events", "windows", "late", "dropped", "duplicates", "anomalies", "undecodable", "page_failures")
    control.totals = dict.fromkeys(names, 0)
    growing = ("gaps", "gap_seconds", "revised_seconds", "backfilled_seconds", "partial_seconds", "commits")
    detectors = [f"fired_{name}" for name in ("zscore", "ewma", "trees", "novelty", "seasonal")]
    control.measured = dict.fromkeys((*growing, *detectors), 0.0)
    control.measured |= {"buffer_capacity": 20_000.0, "store_bytes": 1.9e9, "cold_seasonal": 183_600.0}
    vitals = Vitals(control, memory=lambda: 412e6, processor_time=lambda: spent[0])
    drift = 0.0
    for second in range(seconds):
        left, now = seconds - second, end - seconds + second
        drift = 0.97 * drift + draw.gauss(0, 0.6)
        rate, lag = round((42 + drift) * (3.1 if left < 80 else 1)), 0.0
        control.state = FeedState("live", "1.1 s behind", end - 190 if left <= 190 else end - seconds)
        if 240 >= left > 200:
            control.state, rate = FeedState("reconnecting", "the server closed the stream", end - 240), 0
        elif 200 >= left > 190:
            control.state, rate, lag = FeedState("catching_up", "", end - 200), 3 * rate, 18.0
            control.measured["backfilled_seconds"] += 2.2
        elif 2_000 >= left > 1_991:
            control.state = FeedState("catching_up", "", end - 2_000)
        if left <= min(190, len(counts)):
            rate = counts[-left]
            control.totals["anomalies"] += left in {147, 58}
        if left == 199:
            control.measured["gap_seconds"] += 18
            control.measured["partial_seconds"] += 6
            control.reconnects += 1
        control.totals["events"] += rate
        control.totals["windows"] += 1
        control.totals["late"] += draw.random() < 0.15
        control.measured["commits"] += 1
        for name in detectors[:-1]:
            control.measured[name] += draw.random() < 0.015
        control.measured |= {"window_ms_median": 0.61 + draw.gauss(0, 0.02), "window_ms_p99": 1.5 + draw.gauss(0, 0.1)}
        control.measured |= {"buffer_depth": 14.0, "commit_ms_p99": 418.0 if left < 60 else 90 + draw.gauss(0, 5)}
        vitals.take_lags(np.exp(lags.normal(math.log(1.1), 0.92, rate)) + lag)
        vitals.sessions = 11
        vitals.spent(0.06)
        spent[0] += 0.31
        vitals.sample(now)
    for ago, level, words in (
        (431, logging.WARNING, "history is not written, findings wait: No space left on device"),
        (200, logging.INFO, "the live feed answers; going over to it"),
        (12, logging.ERROR, "the page could not take findings up to watermark 1700000000"),
    ):
        log(vitals, words, level, end - ago)
    return vitals, control


def log(vitals: Vitals, words: str, level: int = logging.WARNING, moment: float | None = None) -> None:
    fields = {
        "name": "tracewave_panel.runtime",
        "levelno": level,
        "levelname": logging.getLevelName(level),
        "msg": words,
        "created": time.time() if moment is None else moment,
    }
    vitals.log.handle(logging.makeLogRecord(fields))


@contextmanager
def served(vitals: Vitals) -> Iterator[int]:
    """Serve a page with nothing but this view, looked at five times a second; yield the port."""
    loops: list[asyncio.AbstractEventLoop] = []
    ports: list[int] = []
    ready, stop = threading.Event(), asyncio.Event()

    def build() -> pn.Template:
        health = Health()
        health.tell(vitals)
        pn.state.add_periodic_callback(lambda: health.tell(vitals), period=200)
        return pn.Template(PAGE, items={"health": health})

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        server = get_server(
            {"/": build},
            address="127.0.0.1",
            port=0,
            loop=IOLoop.current(),
            start=False,
            static_dirs={"kit": str(ASSETS)},
        )
        server._tornado.websocket_origins.add(f"127.0.0.1:{server.port}")
        server.start()
        ports.append(server.port)
        ready.set()
        await stop.wait()
        server.stop()
        server.unlisten()
        await asyncio.sleep(0.2)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="health page")
    thread.start()
    try:
        assert ready.wait(20), "the page did not start to listen"
        yield ports[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)


@contextmanager
def visit(browser, port: int, width: int = 1440, scheme: str = "dark") -> Iterator[tuple[playwright.Page, list[str]]]:
    viewport = {"width": width, "height": 1000}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    wrong: list[str] = []
    inside = (f"http://127.0.0.1:{port}/", "blob:", "data:")
    page.on("request", lambda asked: None if asked.url.startswith(inside) else wrong.append(asked.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    try:
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector(".mt", timeout=20_000)
        yield page, wrong
    finally:
        context.close()


CUT_TEXT = """() => {
  const found = [];
  const look = (root) => { for (const each of root.querySelectorAll("*")) {
    if (each.shadowRoot) look(each.shadowRoot);
    const style = getComputedStyle(each);
    if (each.scrollWidth > each.clientWidth + 1 && style.overflowX !== "visible" && each.clientWidth > 1
        && !each.classList.contains("el2")) found.push(`${each.className}: ${each.textContent.slice(0, 60)}`);
  } };
  look(document);
  return found;
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 1024, 420])
def test_no_width_scrolls_sideways_or_cuts_words(browser, width, scheme):
    vitals, _ = story(time.time(), 3_700)
    with served(vitals) as port, visit(browser, port, width, scheme) as (page, wrong):
        page.wait_for_selector(".chart svg")
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"alone-health-{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT_TEXT) == []
        assert wrong == []


def test_charts_and_tables_speak(browser):
    vitals, _ = story(time.time(), 3_700)
    with served(vitals) as port, visit(browser, port) as (page, wrong):
        charts = page.get_by_role("img", name="last hour")
        playwright.expect(charts).to_have_count(3)
        playwright.expect(page.get_by_role("img", name="Throughput, last hour: in ")).to_be_visible()
        playwright.expect(page.get_by_role("img", name="Lag of the last 10,000 events: median 1.")).to_be_visible()
        assert page.locator("th").evaluate_all("cells => cells.every(cell => cell.scope === 'col')")
        playwright.expect(page.locator("tbody tr").first).to_contain_text("Cut off, came back")
        playwright.expect(page.locator("tbody tr").first).to_contain_text("50 s")
        page.evaluate("window.tracewave.announce('status', {word: 'REPLAY 10x', tone: 'calm', note: ''})")
        playwright.expect(page.locator(".words [aria-current=true]")).to_contain_text("REPLAY")
        playwright.expect(page.locator(".mt.over")).to_contain_text("Commit time, 99th")
        playwright.expect(page.locator(".mt.absent")).to_contain_text("Seasonal")
        page.locator(".chart .room").first.hover(position={"x": 120, "y": 60})
        playwright.expect(page.locator(".chart .ph .q").first).to_contain_text(":")
        assert wrong == []


def test_figures_move_and_the_page_begins_with_dashes(browser):
    control = SpokenControl(totals={"events": 0, "windows": 0})
    vitals = Vitals(control)
    begin = time.time()
    vitals.sample(begin)
    with served(vitals) as port, visit(browser, port) as (page, wrong):
        windows = page.locator(".mt", has_text="Closed, judged and stored").locator(".v")
        playwright.expect(windows).to_have_text("–")
        playwright.expect(page.locator(".chart .none").first).to_contain_text("within ten seconds")
        for second in range(1, 25):
            control.totals["windows"] += 2
            vitals.sample(begin + second)
        playwright.expect(windows).to_have_text("2.00a second")
        playwright.expect(page.locator(".chart h3").first).to_have_text("Throughput, since the start")
        log(vitals, "something new")
        vitals.sample(begin + 25)
        playwright.expect(page.locator(".lines li").first).to_contain_text("something new")
        assert wrong == []


def test_hostile_words_are_shown_as_words(browser):
    vitals, control = story(time.time(), 300)
    for words in HOSTILE:
        log(vitals, words)
        log(vitals, f"\u202e{words}")
    control.state = FeedState(HOSTILE[1], HOSTILE[0])
    control.measured[f"fired_{HOSTILE[2]}"] = 3.0
    vitals.sample(vitals.now + 1)
    with served(vitals) as port, visit(browser, port) as (page, wrong):
        for words in HOSTILE:
            playwright.expect(page.locator(".lines")).to_contain_text(words)
        playwright.expect(page.locator("tbody tr").first).to_contain_text(HOSTILE[0])
        page.wait_for_timeout(300)
        assert page.evaluate("window.struck") is None
        assert page.locator(".health img, .health script").count() == 0
        assert wrong == []
