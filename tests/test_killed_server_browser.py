"""A server that is killed under an open page, and a page that stays open: neither needs a hand."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager

import pytest
from running import Program, free_port, running, until
from visiting import is_ready, watched
from waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ENDED = ("net::ERR_CONNECTION_REFUSED", "WebSocket", "Lost websocket", "Failed to load")
"""What a browser says of a server that is gone; anything else is a complaint."""
STYLED = """() => getComputedStyle(document.documentElement).getPropertyValue("--ground") !== ""
    && getComputedStyle(document.body).backgroundColor !== "rgba(0, 0, 0, 0)"
    && [...document.fonts].some(face => face.family.includes("Inter Variable") && face.status === "loaded")"""
MOVES = "end => window.tracewave?.row?.end > end"


@contextmanager
def simulated(port: int, folder):
    serve = ("-m", "tracewave_panel", "serve", "--source", "synthetic", "--port", str(port), "--api-port", "0")
    with running(*serve, "--data", str(folder)) as program:
        program.wait_for("Tracewave is at ", 90)
        yield program


def word(page) -> str:
    return page.locator("span.status").first.inner_text(timeout=2000).split("\n")[0]


def moving(page, timeout: float = 30_000) -> None:
    wait_until(page, "window.tracewave?.row != null", timeout=timeout)
    wait_until(page, MOVES, arg=page.evaluate("window.tracewave.row.end"), timeout=timeout)


def killed(program: Program, page) -> tuple[str, float]:
    """Kill the server; the first honest word of the page and the seconds it took."""
    began = time.monotonic()
    program.end(signal.SIGKILL)
    said = until(lambda: next((each for each in ("OFFLINE", "STALE") if word(page) == each), None), 15, every=0.05)
    return said, time.monotonic() - began


def open_page(browser, port: int):
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="dark")
    seen = watched(context)
    seen.page.goto(f"http://127.0.0.1:{port}/")
    is_ready(seen.page)
    moving(seen.page)
    seen.page.evaluate("window.first = true")
    return context, seen


def came_back(page, began: float) -> float:
    wait_until(page, "window.first === undefined", timeout=60_000)
    is_ready(page)
    moving(page)
    return time.monotonic() - began


@pytest.mark.timeout(240)
@pytest.mark.parametrize("manner", ["watched", "paused"])
def test_page_of_a_killed_server_says_so_within_ten_seconds_and_comes_back_within_twenty(browser, tmp_path, manner):
    port = free_port()
    with simulated(port, tmp_path) as program:
        context, seen = open_page(browser, port)
        page = seen.page
        if manner == "paused":
            page.keyboard.press("Space")
            page.wait_for_timeout(500)
        said, seconds = killed(program, page)
    print(f"\n{manner}: {said} {seconds:.1f} s after kill -9")
    assert seconds < 10
    assert not page.locator("#banner").is_hidden()
    started = time.monotonic()
    with simulated(port, tmp_path):
        listening = time.monotonic()
        back = came_back(page, listening)
        print(f"{manner}: moves {back:.1f} s after it listens, {time.monotonic() - started:.1f} s after its start")
        assert back < 20
        assert word(page) == "SIMULATED"
        assert page.evaluate(STYLED)
        assert seen.outside(port) == []
        assert [each for each in seen.errors if not any(part in each for part in ENDED)] == []
        context.close()


@pytest.mark.timeout(480)
def test_page_that_stays_open_for_five_minutes_stays_quiet_and_does_not_grow(browser, tmp_path):
    port = free_port()
    with simulated(port, tmp_path) as program:
        context, seen = open_page(browser, port)
        page = seen.page
        tool = context.new_cdp_session(page)
        tool.send("Performance.enable")
        sizes = []
        for _ in range(11):
            tool.send("HeapProfiler.collectGarbage")
            figures = {each["name"]: each["value"] for each in tool.send("Performance.getMetrics")["metrics"]}
            sizes.append((figures["JSHeapUsedSize"] / 1e6, int(figures["Nodes"]), int(figures["JSEventListeners"])))
            if len(sizes) < 11:
                page.wait_for_timeout(30_000)
        print("\nevery 30 s: heap MB", [round(heap, 1) for heap, _, _ in sizes])
        print("DOM nodes", [nodes for _, nodes, _ in sizes], "listeners", [listeners for _, _, listeners in sizes])
        moving(page)
        assert program.process.poll() is None
        assert seen.outside(port) == []
        assert seen.errors == seen.warnings == []
        first, last = sizes[5], sizes[-1]  # the page has its shape after half of the time
        assert last[0] < first[0] + 6, "the heap grows"
        assert last[1] < 1.5 * first[1] + 500, "the document grows"
        assert last[2] < 1.5 * first[2] + 100, "listeners are left behind"
        context.close()
