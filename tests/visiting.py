"""A visit to a served page: what it asked for, what it complained of, and the feed that runs meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from console_stand_in import feed_on, story

from tracewave_panel.stores.ring import RingStore

WAIT = 60_000  # milliseconds
HOSTILE = (
    "<script>window.struck=1</script>",
    "<img src=x onerror='window.struck=1'>",
    '"><svg onload=window.struck=1>',
    "[click](javascript:window.struck=1) ![x](http://outside.invalid/a.png)",
    "{{ ''.__class__ }} ${window.struck=1} <%= window.struck %>",
    "$$\\require{href}\\href{javascript:window.struck=1}{x}$$",
    "\u202egnp.exe\u2066\u2069",
    "</script><script src=http://outside.invalid/x.js></script>",
    "<style>@import 'http://outside.invalid/x.css';</style>",
)


@dataclass
class Visit:
    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def outside(self, port: int) -> list[str]:
        inside = (f"http://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/", "blob:", "data:")
        return [address for address in self.requests if not address.startswith(inside)]


def watched(context) -> Visit:
    """A new page whose requests and complaints are kept."""
    page = context.new_page()
    seen = Visit(page)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("websocket", lambda connection: seen.requests.append(connection.url))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    kinds = {"error": seen.errors, "warning": seen.warnings}
    page.on("console", lambda said: kinds.get(said.type, []).append(said.text))
    return seen


def is_ready(page) -> None:
    """Wait until the page has drawn."""
    page.wait_for_selector("html[data-ready]", timeout=WAIT, state="attached")


@contextmanager
def visit(browser, port: int, path: str = "/", **options) -> Iterator[Visit]:
    """Open a page in a context of its own."""
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}, "color_scheme": "dark", **options})
    seen = watched(context)
    try:
        seen.page.goto(f"http://127.0.0.1:{port}{path}")
        is_ready(seen.page)
        yield seen
    finally:
        context.close()


@contextmanager
def running(store: RingStore) -> Iterator[None]:
    """A window a second, as long as it holds."""
    stop = threading.Event()
    thread = threading.Thread(target=feed_on, args=(store, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def told_store(seconds: int = 300) -> RingStore:
    """A store that holds the story up to now."""
    store = RingStore()
    for each in story(time.time(), seconds):
        store.append(each)
    return store
