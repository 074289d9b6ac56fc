"""What the page says of its state, to eyes that see no colour too; its keys; and that nothing told is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from console_stand_in import SpokenControl, analysis, anomaly, console, findings, served
from visiting import WAIT, is_ready, running, told_store, visit, watched
from waiting import wait_until

from tracewave_panel.model import Origin
from tracewave_panel.ports import FeedState
from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
expect = playwright.expect

pytestmark = pytest.mark.browser

SAID = (
    ("LIVE", FeedState("live", "1.1 s behind"), Origin.LIVE),
    ("REPLAY 10x", FeedState("replay", "10x of 14 Nov"), Origin.IMPORTED),
    ("SIMULATED", FeedState("live"), Origin.SIMULATED),
    ("CATCHING UP", FeedState("catching_up", "3 s left"), Origin.LIVE),
    ("RECONNECTING", FeedState("reconnecting", "closed by the server"), Origin.LIVE),
    ("GAP", FeedState("gap", "18 s lost"), Origin.LIVE),
)
SHAPE = """chip => [...chip.querySelectorAll('svg path')].map(path =>
    ['d', 'stroke-dasharray', 'fill'].map(name => path.getAttribute(name)).join()).join(';')"""
FOCUS = """() => {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at?.closest('[data-id]')?.dataset.id ?? at?.id ?? '';
}"""


def chip(page):
    return page.locator("span.status:visible").first


def word(page) -> str:
    return chip(page).locator("span").first.inner_text()


def test_each_word_has_a_shape_of_its_own_on_every_page(browser):
    store, control = told_store(60), SpokenControl()
    shapes: dict[str, str] = {}
    with (
        running(store),
        served(console(store, control)) as port,
        visit(browser, port) as live,
        visit(browser, port, "/explore") as other,
    ):
        for said, state, origin in SAID:
            control.state, control.origin = state, origin
            for page in (live.page, other.page):
                expect(chip(page)).to_contain_text(said, timeout=WAIT)
                assert word(page) == said
                assert chip(page).get_attribute("role") == "status"
            shapes[said] = chip(live.page).evaluate(SHAPE)
            assert chip(other.page).evaluate(SHAPE) == shapes[said]
        assert live.errors == other.errors == []
    assert all(shapes.values())
    assert len(set(shapes.values())) == len(SAID)


@pytest.mark.slow
def test_page_without_windows_is_stale_and_without_a_server_offline(browser):
    shapes = []
    with served(console(told_store(60))) as port:
        context = browser.new_context(color_scheme="dark")
        seen, health = watched(context), watched(context)
        for each, path in ((seen, "/"), (health, "/health")):
            each.page.goto(f"http://127.0.0.1:{port}{path}")
            is_ready(each.page)
        for each in (seen, health):
            expect(chip(each.page)).to_contain_text("STALE", timeout=WAIT)
            expect(chip(each.page)).to_contain_text("no window for 1")
            expect(each.page.locator("#banner")).to_contain_text('while the source says "live"')
            shapes.append(chip(each.page).evaluate(SHAPE))
        began = time.monotonic()
    for each in (seen, health):
        expect(chip(each.page)).to_contain_text("OFFLINE", timeout=10_000)
        expect(each.page.locator("#banner")).to_contain_text("comes back by itself")
        shapes.append(chip(each.page).evaluate(SHAPE))
    assert time.monotonic() - began < 12
    assert shapes[0] == shapes[1] != shapes[2] == shapes[3]
    context.close()


def test_paused_page_says_so_counts_what_waits_and_goes_on(browser):
    store = told_store(60)
    with running(store), served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        banner = page.locator("#paused")
        expect(banner).to_be_hidden()
        page.keyboard.press("Space")
        expect(banner).to_be_visible()
        expect(banner).to_contain_text("Paused")
        assert banner.locator("svg").count() == 1
        expect(banner).to_contain_text("newer windows are waiting", timeout=WAIT)
        expect(chip(page)).to_contain_text("LIVE")
        held = page.evaluate("window.tracewave.row.end")
        page.wait_for_timeout(1500)
        assert page.evaluate("window.tracewave.row.end") == held
        page.keyboard.press("Space")
        expect(banner).to_be_hidden()
        wait_until(page, "held => window.tracewave.row.end > held + 1000", arg=held, timeout=WAIT)
        assert seen.errors == []


def test_number_keys_turn_to_the_pages_in_one_document(browser):
    with served(console(told_store(60))) as port, visit(browser, port) as seen:
        page = seen.page
        page.evaluate("window.first = true")
        for key, name in (("2", "explore"), ("3", "tune"), ("4", "replay"), ("5", "lab"), ("6", "health")):
            page.keyboard.press(key)
            page.wait_for_url(f"**/{name}")
            expect(page.locator(f"[data-page-section={name}]")).to_be_visible()
            assert page.locator("[data-page-section]:visible").count() == 1
            expect(page.locator(".nav a[aria-current=page]")).to_have_attribute("data-go", name)
            assert name.capitalize() in page.title()
        page.keyboard.press("1")
        expect(page.locator("[data-page-section=live]")).to_be_visible()
        assert page.evaluate("[window.first, location.pathname]") == [True, "/"]
        page.go_back()
        expect(page.locator("[data-page-section=health]")).to_be_visible()
        assert seen.errors == []


def test_arrows_step_through_the_anomalies(browser):
    store, now = RingStore(), float(int(time.time()))
    told = [anomaly(now - 60 * number, now - 60 * number + 20, id=f"told-{number}") for number in range(1, 5)]
    store.append(findings(now, analysis(now - 1), anomalies=told))
    with served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        expect(page.locator("article")).to_have_count(4)
        stepped = []
        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
            page.keyboard.press(key)
            stepped.append(page.evaluate(FOCUS))
        assert stepped == ["told-1", "told-2", "told-3", "told-2", "told-1", "told-1"]
        assert seen.errors == []


def test_list_of_keys_holds_the_focus_and_gives_it_back(browser):
    with served(console(told_store(30))) as port, visit(browser, port) as seen:
        page = seen.page
        page.locator("#theme").focus()
        page.keyboard.press("?")
        dialog = page.locator("dialog#keys")
        expect(dialog).to_be_visible()
        assert page.evaluate("document.querySelector('dialog#keys').matches(':modal')")
        for _ in range(6):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.matches('body, dialog, dialog *')")
        page.keyboard.press("2")
        assert page.evaluate("window.tracewave.page") == "live"
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        assert page.evaluate("document.activeElement.id") == "theme"
        assert seen.errors == []


@pytest.mark.parametrize("shadow", [False, True])
def test_no_key_acts_while_somebody_types(browser, shadow):
    with served(console(told_store(30))) as port, visit(browser, port) as seen:
        page = seen.page
        page.evaluate(
            """shadow => {
                const host = document.createElement('div'), field = document.createElement('input');
                (shadow ? host.attachShadow({mode: 'open'}) : host).append(field);
                document.querySelector('main').prepend(host);
                field.focus();
                window.field = field;
            }""",
            shadow,
        )
        page.keyboard.type("2 6?b[k")
        assert page.evaluate("window.field.value") == "2 6?b[k"
        assert page.evaluate("window.tracewave.page") == "live"
        expect(page.locator("dialog#keys")).to_be_hidden()
        expect(page.locator("#paused")).to_be_hidden()


@contextmanager
def busy(programs: int = 1):
    """Keep a processor busy."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
    try:
        yield
    finally:
        for each in burning:
            each.kill()
            each.wait(10)


@contextmanager
def episodes_come_and_go(store: RingStore):
    """Open and close episodes many times a second until the block ends; three are left open."""
    stop = threading.Event()

    def tell() -> None:
        number = 0
        while not stop.wait(0.15):
            number += 1
            now = time.time()
            opened = anomaly(now - 3, id=f"episode-{number}", contributions=())
            others = [anomaly(now - 6, now - 1, id=f"episode-{number - 3}", contributions=())] if number > 3 else []
            store.append(findings(now, analysis(float(int(now))), anomalies=[opened, *others]))

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.slow
def test_what_is_told_while_pages_load_is_not_lost(browser):
    store = RingStore()
    with served(console(store)) as port:
        context = browser.new_context(color_scheme="dark")
        seen = [(watched(context), path) for path in ("/", "/", "/", "/health")]
        with busy(), episodes_come_and_go(store):
            for each, path in seen:
                each.page.goto(f"http://127.0.0.1:{port}{path}", wait_until="commit")
            for each, _ in seen:
                is_ready(each.page)
        for each, path in seen:
            figure = each.page.locator(".kv", has_text="open").locator("b")
            expect(figure).to_have_text("3", timeout=WAIT)
            if path == "/":
                expect(each.page.locator("article.card.open")).to_have_count(3)
                expect(each.page.get_by_text("3 open, ")).to_be_visible()
            assert each.errors == []
        context.close()


def test_open_episode_stays_however_many_came_after_it(browser):
    store, now = RingStore(), float(int(time.time()))
    later = [anomaly(now - 40 * number, now - 40 * number + 20, id=f"later-{number}") for number in range(1, 36)]
    store.append(findings(now, analysis(now - 1), anomalies=[anomaly(now - 3600, id="long"), *later]))
    with served(console(store)) as port, visit(browser, port) as seen:
        expect(seen.page.locator(".kv", has_text="open").locator("b")).to_have_text("1")
        expect(seen.page.locator("article[data-id=long]")).to_have_count(1)
