"""The page in a real Chromium: it moves, stays quiet towards the world, and is not run by what it shows."""

from __future__ import annotations

import re
import socket
import time

import pytest
from console_stand_in import SpokenControl, analysis, anomaly, console, findings, served
from visiting import WAIT, running, told_store, visit
from waiting import wait_until

from tracewave_panel.model import AnomalyKind, Origin
from tracewave_panel.ports import FeedState
from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

pytestmark = pytest.mark.browser

TABLE = "window.Bokeh.documents[0].get_model_by_name('live-table')"
RANGE = "window.Bokeh.documents[0].get_model_by_name('time-range')"


def test_chart_moves_with_time_and_leaves_no_margin(browser):
    store = told_store()
    with running(store), served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        before = page.evaluate(f"{RANGE}.end")
        picture = page.locator(".rows").screenshot()
        wait_until(page, f"{RANGE}.end >= {before} + 2000", timeout=WAIT)
        edge, last = page.evaluate(f"[{RANGE}.end, {TABLE}.get_column('end').at(-1)]")
        assert edge == last
        assert page.locator(".rows").screenshot() != picture
        assert seen.errors == []


def test_card_arrives_once_and_closes_in_place(browser):
    store = RingStore()
    begin = float(int(time.time()))
    store.append(findings(begin, analysis(begin - 1)))
    with served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        playwright.expect(page.get_by_text("Nothing unusual yet")).to_be_visible()
        store.append(findings(begin + 1, analysis(begin), anomalies=[anomaly(begin)]))
        card = page.locator("article")
        playwright.expect(card).to_have_count(1)
        playwright.expect(card).to_contain_text("91 % accounted for")
        playwright.expect(card).to_contain_text("+76.5")
        playwright.expect(page.get_by_role("log")).to_contain_text("Bot burst on commons.wikimedia.org")
        kept = card.element_handle()
        kept.evaluate("node => node.mark = 1")
        store.append(findings(begin + 9, anomalies=[anomaly(begin, closed=begin + 7)]))
        playwright.expect(card).to_contain_text("closed after 7 s")
        assert kept.evaluate("node => node.isConnected && node.mark === 1")
        playwright.expect(page.locator("article.arriving")).to_have_count(0)
        assert seen.errors == []


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0.0, ""),
        (9.0, "once in 9 days"),
        (9.4, "once in 9 days"),
        (1.0, "once a day"),
        (0.125, "8 times a day"),
        (1 / 24, "24 times a day"),
        (1 / 48, "2 times an hour"),
        (1e-5, "ordinary"),
        (90.0, "once in 3 months"),
        (1100.0, "once in 3 years"),
        (1e9, "less than once in 100 years"),
    ],
)
def test_rarity_is_said_in_plain_words(plain_page, days, words):
    assert plain_page.evaluate(f"window.tracewave.rarity({days!r})") == words


@pytest.fixture(scope="module")
def plain_page(browser):
    with served(console()) as port, visit(browser, port) as seen:
        yield seen.page


def test_cards_and_sheet_say_how_rare_and_what_is_only_provisional(browser):
    store = RingStore()
    begin = float(int(time.time()))
    burst = analysis(begin, 130.0, (0.9, 0.9, 0.1, 0.1, 0.1), cold=("seasonal",), provisional=True)
    told = [
        anomaly(begin, provisional=True),
        anomaly(begin - 500, begin - 400, rarity=0.125),
        anomaly(begin - 900, begin - 800, kind=AnomalyKind.FEED_SILENT, rarity=0.0, contributions=()),
    ]
    store.append(findings(begin + 1, burst, anomalies=told))
    with served(console(store)) as port, visit(browser, port) as seen:
        cards = seen.page.locator("article")
        playwright.expect(cards.nth(0)).to_contain_text("How rare: once in 9 days")
        mark = cards.nth(0).locator(".provisional")
        playwright.expect(mark).to_have_text("provisional")
        playwright.expect(mark).to_have_attribute("title", re.compile("no reference of its own yet"))
        playwright.expect(cards.nth(1)).to_contain_text("How rare: 8 times a day")
        playwright.expect(cards.nth(1).locator(".provisional")).to_have_count(0)
        playwright.expect(cards.nth(2)).not_to_contain_text("rare")
        agreement = seen.page.locator(".row.agreement")
        playwright.expect(agreement).to_contain_text("2 of 4")
        playwright.expect(agreement).to_contain_text("once in 9 days")
        playwright.expect(agreement.locator(".provisional")).to_be_visible()
        playwright.expect(seen.page.locator(".row.lane").first).to_contain_text("10 windows")
        assert seen.errors == []


def test_samples_of_a_named_value_lead_to_their_events(browser):
    store = RingStore()
    begin = float(int(time.time()))
    store.append(findings(begin + 1, analysis(begin), anomalies=[anomaly(begin)]))
    with served(console(store)) as port, visit(browser, port) as seen:
        samples = seen.page.locator("article .samples a")
        playwright.expect(samples.first).to_be_hidden()
        seen.page.get_by_role("button", name="Raw edits").click()
        playwright.expect(samples).to_have_count(4)
        playwright.expect(samples.first).to_be_visible()
        playwright.expect(samples.first).to_have_attribute("href", "https://commons.wikimedia.org/w/index.php?diff=1")
        playwright.expect(samples.first).to_have_attribute("rel", "noopener noreferrer nofollow")


def test_nothing_is_asked_of_another_host(browser):
    store = told_store()
    with running(store), served(console(store)) as port, visit(browser, port) as seen:
        seen.page.wait_for_timeout(1500)
        assert len(seen.requests) > 10
        assert seen.outside(port) == []


@pytest.mark.parametrize(
    ("state", "origin", "word", "note", "badge"),
    [
        (
            FeedState("reconnecting", "closed by the server"),
            Origin.LIVE,
            "RECONNECTING",
            "closed by the server",
            "LIVE",
        ),
        (FeedState("replay", "10x"), Origin.IMPORTED, "REPLAY 10x", "", "RECORDED"),
        (FeedState("live"), Origin.SIMULATED, "SIMULATED", "", "SIMULATED"),
        (FeedState("gap", "18 s lost"), Origin.LIVE, "GAP", "18 s lost", "LIVE"),
        (FeedState("catching_up", "3 s left"), Origin.LIVE, "CATCHING UP", "3 s left", "LIVE"),
    ],
)
def test_status_changes_with_the_source(browser, state, origin, word, note, badge):
    store, control = told_store(20), SpokenControl()
    with served(console(store, control)) as port, visit(browser, port) as seen:
        chip = seen.page.locator("span.status")
        playwright.expect(chip).to_contain_text("LIVE")
        control.state, control.origin = state, origin
        playwright.expect(chip).to_have_text(word + note)
        playwright.expect(seen.page.locator(".badge")).to_have_text(badge)


@pytest.mark.slow
def test_page_without_new_windows_says_stale_and_for_how_long(browser):
    with served(console(told_store(20))) as port, visit(browser, port) as seen:
        chip = seen.page.locator("span.status")
        playwright.expect(chip).to_contain_text("STALE", timeout=15_000)
        playwright.expect(chip).to_contain_text("no window for 1")
        playwright.expect(seen.page.locator("#banner")).to_contain_text('while the source says "live"')


@pytest.mark.slow
def test_page_of_a_dead_server_says_offline_and_comes_back_by_itself(browser):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = told_store(20)
    page = None
    context = browser.new_context()
    try:
        with running(store):
            with served(console(store), port):
                page = context.new_page()
                page.goto(f"http://127.0.0.1:{port}/")
                page.wait_for_selector("html[data-ready]", timeout=WAIT, state="attached")
                page.evaluate("window.first = true")
            chip = page.locator("span.status")
            playwright.expect(chip).to_contain_text("OFFLINE", timeout=10_000)
            playwright.expect(page.locator("#banner")).to_contain_text("comes back by itself")
            with served(console(store), port):
                wait_until(page, "window.first === undefined", timeout=WAIT)
                page.wait_for_selector("html[data-ready]", timeout=WAIT, state="attached")
                playwright.expect(page.locator("span.status")).to_contain_text("LIVE")
    finally:
        context.close()


def test_cursor_reads_the_window_under_it(browser):
    store = told_store()
    with served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        box = page.locator(".rows").bounding_box()
        page.mouse.move(box["x"] + 400, box["y"] + 150)
        playwright.expect(page.locator(".row.pulse .o p")).to_contain_text("at ")
        page.mouse.move(10, 10)
        playwright.expect(page.locator(".row.pulse .o p")).not_to_contain_text("at ")


def test_light_theme_repaints_plots_and_is_remembered(browser):
    with served(console(told_store())) as port, visit(browser, port) as seen:
        page = seen.page
        colours = """[...window.Bokeh.documents[0]._all_models.values()]
            .filter(model => model.type === 'Line').map(model => model.line_color.value)"""
        dark = page.evaluate(colours)
        page.get_by_role("button", name="Switch between dark and light").click()
        light = page.evaluate(colours)
        assert "#54cfe6" in dark
        assert "#08708a" in light
        assert "#54cfe6" not in light
        page.reload()
        page.wait_for_selector("html[data-ready]", timeout=WAIT, state="attached")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        assert page.evaluate(colours) == light


@pytest.mark.parametrize("width", [420, 1024, 1440])
def test_no_width_scrolls_sideways(browser, width):
    with (
        served(console(told_store())) as port,
        visit(browser, port, viewport={"width": width, "height": 900}) as seen,
    ):
        seen.page.wait_for_timeout(500)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_empty_page_says_what_is_awaited_and_for_how_long(browser):
    store = RingStore()
    control = SpokenControl(state=FeedState("connecting", "Connecting to EventStreams"))
    with served(console(store, control)) as port, visit(browser, port) as seen:
        waiting = seen.page.locator("#waiting")
        playwright.expect(waiting).to_contain_text("Waiting for the first window")
        playwright.expect(waiting).to_contain_text("Connecting to EventStreams")
        playwright.expect(waiting).to_contain_text("Waiting for 2 s")
        begin = float(int(time.time()))
        store.append(findings(begin + 1, analysis(begin)))
        playwright.expect(waiting).to_be_hidden()
        playwright.expect(seen.page.locator(".row.lane")).to_have_count(5)
