"""Signing in as a person does it: the page, the six pages behind it, and the same behind a proxy with a path."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from console_stand_in import console
from servers.prefix_proxy import proxy_to
from test_access import HASH, SESAME
from visiting import WAIT, is_ready, told_store, watched

from tracewave_panel.access import Access, AccessSettings
from tracewave_panel.app.pages import PAGES
from tracewave_panel.app.server import start, stop

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning:asyncio")]


class Place(NamedTuple):
    """Where browsers come, and where the server itself listens."""

    port: int
    own: int


@contextmanager
def serving(settings: AccessSettings, *, prefix: str = "", said: tuple[str, ...] = ()) -> Iterator[Place]:
    """A server in a thread of its own, behind a proxy where it has a prefix."""
    loop, told, ending = asyncio.new_event_loop(), queue.Queue(), asyncio.Event()

    async def serve() -> None:
        access = Access(settings)
        server = start(console(told_store()), address="127.0.0.1", port=0, access=access, prefix=prefix)
        async with AsyncExitStack() as stack:
            port = server.port
            if prefix:
                port = await stack.enter_async_context(proxy_to(server.port, prefix, *said))
                access.serve("127.0.0.1", port)
                server._tornado.websocket_origins.update(access.origins())
            told.put(Place(port, server.port))
            await ending.wait()
            stop(server)
            await asyncio.sleep(0.1)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="page")
    thread.start()
    try:
        yield told.get(timeout=30)
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def locked() -> Iterator[int]:
    with serving(AccessSettings(password_hash=HASH)) as place:
        yield place.port


def sign_in(page, password: str = SESAME) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_person_signs_in_sees_all_six_pages_and_signs_out(browser, locked):
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    seen = watched(context)
    page, address = seen.page, f"http://127.0.0.1:{locked}"
    page.goto(f"{address}/health")
    assert page.title() == "Sign in · Tracewave"
    assert page.evaluate("document.activeElement.id") == "password"
    sign_in(page)
    page.wait_for_url(f"{address}/health")
    for each in PAGES:
        page.goto(f"{address}/{'' if each.name == 'live' else each.name}")
        is_ready(page)
    assert seen.outside(locked) == seen.errors == []
    page.locator("footer").get_by_role("link", name="Sign out").click()
    page.wait_for_url(f"{address}/logout")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{address}/login")
    page.goto(address)
    assert page.title() == "Sign in · Tracewave"
    context.close()


@pytest.mark.slow
def test_open_page_asks_again_once_its_visitor_signed_out_elsewhere(browser, locked):
    context = browser.new_context()
    first, second = watched(context).page, watched(context).page
    first.goto(f"http://127.0.0.1:{locked}/explore")
    sign_in(first)
    is_ready(first)
    second.goto(f"http://127.0.0.1:{locked}/logout")
    second.get_by_role("button", name="Sign out").click()
    first.wait_for_selector("#password", timeout=WAIT)
    context.close()


def test_wrong_password_is_said_beside_the_field(browser, locked):
    context = browser.new_context()
    page = watched(context).page
    page.goto(f"http://127.0.0.1:{locked}/")
    sign_in(page, "wrong wrong")
    assert page.get_by_role("alert").inner_text() == "That is not the password."
    field = page.get_by_label("Password")
    assert field.get_attribute("aria-invalid") == "true"
    assert field.input_value() == ""
    sign_in(page)
    is_ready(page)
    context.close()


def test_script_put_into_a_page_later_does_not_run(browser, locked):
    context = browser.new_context()
    seen = watched(context)
    seen.page.goto(f"http://127.0.0.1:{locked}/explore")
    sign_in(seen.page)
    is_ready(seen.page)
    seen.page.evaluate("""() => {
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.struck=1'>");
        const script = document.createElement("script"); script.textContent = "window.struck=1";
        document.body.append(script);
    }""")
    seen.page.wait_for_timeout(300)
    assert seen.page.evaluate("window.struck") is None
    assert any("Content Security Policy" in each for each in seen.errors)
    context.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 420])
def test_sign_in_page_can_be_read_by_all(browser, locked, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    seen = watched(context)
    seen.page.goto(f"http://127.0.0.1:{locked}/")
    for _ in range(2):
        assert Axe().run(seen.page).response["violations"] == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.page.locator("html").get_attribute("data-theme") == scheme
        assert seen.page.evaluate("document.fonts.check('13px \"Inter Variable\"')")
        sign_in(seen.page, "wrong wrong")
        seen.page.wait_for_selector("[role=alert]")
    assert seen.outside(locked) == []
    context.close()


@pytest.mark.slow
def test_behind_a_proxy_with_a_path_everything_is_below_it(browser):
    settings = AccessSettings(password_hash=HASH, forwarded=("127.0.0.1",))
    said = ("X-Forwarded-For: 198.51.100.9",)
    with serving(settings, prefix="/tracewave", said=said) as place:
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        seen = watched(context)
        page, address = seen.page, f"http://127.0.0.1:{place.port}"
        page.goto(f"{address}/tracewave/tune")
        sign_in(page)
        page.wait_for_url(f"{address}/tracewave/tune")
        for each in PAGES:
            page.goto(f"{address}/tracewave/{'' if each.name == 'live' else each.name}")
            is_ready(page)
        page.get_by_role("link", name="Explore").click()
        page.wait_for_url(f"{address}/tracewave/explore")
        below = (f"{address}/tracewave/", f"ws://127.0.0.1:{place.port}/tracewave/", "blob:", "data:")
        assert [each for each in seen.requests if not each.startswith(below)] == []
        assert seen.errors == []
        assert any(each.startswith("ws:") for each in seen.requests)
        context.close()
