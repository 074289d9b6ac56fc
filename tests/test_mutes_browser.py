"""Notices silenced from a card and taken back on the Health page, in a real Chromium."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import panel as pn
import pytest
from console_stand_in import SpokenControl, analysis, anomaly, console, findings, served
from page_checks import axe_source, check_axe, check_contrast, check_layout
from panel.io.server import get_server
from tornado.ioloop import IOLoop
from tornado.web import create_signed_value
from visiting import HOSTILE, WAIT, is_ready, visit, watched

from tracewave_panel.app.board import Board
from tracewave_panel.app.dashboard import build_page
from tracewave_panel.model import Mute
from tracewave_panel.ports import RouteStatus
from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

pytestmark = pytest.mark.browser

expect = playwright.expect
ROUTES = (RouteStatus("on call"),)
HOUR = 3600.0


@pytest.fixture
def begin() -> float:
    return float(int(time.time()))


@pytest.fixture
def store(begin) -> RingStore:
    """A minute of windows, and an open and a closed episode of one kind."""
    made = RingStore()
    for second in range(60):
        made.append(findings(begin - 59 + second, analysis(begin - 60 + second)))
    told = [
        anomaly(begin - 50, begin - 40, id="closed", title="Closed episode"),
        anomaly(begin - 20, id="open", title="Open episode"),
    ]
    made.append(findings(begin, anomalies=told))
    return made


@pytest.fixture
def control(store) -> SpokenControl:
    return SpokenControl(archived=store, told_routes=ROUTES)


def card(page, title):
    return page.locator("article", has_text=title)


def button(place, name):
    return place.get_by_role("button", name=name, exact=True)


def bell(place):
    return place.get_by_role("button", name=re.compile("^Notices"))


def menu(place):
    return place.get_by_role("group", name="Notices of this anomaly")


def until(moment: float) -> str:
    return time.strftime("%H:%M", time.gmtime(moment))


def has_focus(locator) -> bool:
    return locator.evaluate("node => node.getRootNode().activeElement === node")


# -- on the cards


def test_snooze_reaches_the_server_and_the_card_of_every_session(browser, store, control):
    with served(console(store, control)) as port, visit(browser, port) as here, visit(browser, port) as there:
        first, second = card(here.page, "Open episode"), card(there.page, "Open episode")
        expect(menu(first)).to_be_hidden()
        bell(first).click()
        expect(bell(first)).to_have_attribute("aria-expanded", "true")
        button(menu(first), "1 hour").click()
        expect(menu(first)).to_be_hidden()
        (mute,) = control.mutes()
        assert mute.anomaly_id == "open"
        said = re.compile(f"Notices snoozed until (\\w+ )?{until(mute.until)}")
        for shown in (first, second):
            expect(shown.locator(".hushed")).to_contain_text(said)
            expect(bell(shown)).to_have_attribute("aria-label", "Notices, silenced")
        expect(card(here.page, "Closed episode").locator(".hushed p")).to_have_count(0)
        expect(here.page.locator(".rail > .sr")).to_have_text("Notices snoozed: Open episode")
        second.get_by_role("button", name=re.compile("^Undo: Notices snoozed until")).click()
        for shown in (first, second):
            expect(shown.locator(".hushed p")).to_have_count(0)
        expect(here.page.locator(".rail > .sr")).to_have_text("Notices are sent again: Open episode")
        assert control.mutes() == ()
        assert has_focus(bell(second)), "whoever undid it goes on from the bell"
        assert here.errors == there.errors == []


def test_kind_is_muted_on_all_its_cards_and_offered_on_closed_ones_alone(browser, store, control):
    with served(console(store, control)) as port, visit(browser, port) as seen:
        closed = card(seen.page, "Closed episode")
        button(closed, "Why, and who agreed").click()
        bell(closed).click()
        expect(menu(closed).get_by_text("Snooze this episode")).to_have_count(0)
        group = menu(closed).get_by_role("group", name="No notices of surges in edits")
        tomorrow = time.strftime("%a", time.gmtime(time.time() + 24 * HOUR))
        expect(button(group, "Until tomorrow")).to_have_attribute("title", re.compile(f"Until {tomorrow} .* UTC"))
        button(group, "Until taken back").click()
        for title in ("Closed episode", "Open episode"):
            expect(card(seen.page, title).locator(".hushed")).to_contain_text("Notices of this kind are muted")
        assert [(mute.id, mute.until) for mute in control.mutes()] == [("kind:edits:rate:rate_up", None)]
        bell(closed).click()
        button(menu(closed), "Until tomorrow").click()
        hushed = card(seen.page, "Open episode").locator(".hushed")
        expect(hushed).to_contain_text(f"Notices of this kind are muted until {tomorrow}")
        assert len(control.mutes()) == 1


def test_snooze_until_it_closes_leaves_with_the_episode(browser, store, control, begin):
    with served(console(store, control)) as port, visit(browser, port) as seen:
        shown = card(seen.page, "Open episode")
        bell(shown).click()
        button(menu(shown), "Until it closes").click()
        expect(shown.locator(".hushed")).to_contain_text("Notices snoozed until it closes")
        store.append(findings(begin, anomalies=[anomaly(begin - 20, begin - 1, id="open", title="Open episode")]))
        expect(shown).to_have_class(re.compile("closed"))
        expect(shown.locator(".hushed p")).to_have_count(0)


def test_menu_goes_by_keyboard_and_ends_nothing_else(browser, store, control, begin):
    brushed = f"/?brush={begin - 50:.0f}..{begin - 30:.0f}"
    with served(console(store, control)) as port, visit(browser, port, brushed) as seen:
        page = seen.page
        shown = card(page, "Open episode")
        expect(page.locator(".brush")).to_be_visible(timeout=WAIT)
        button(shown, "Raw edits").focus()
        page.keyboard.press("Tab")
        assert has_focus(shown.get_by_role("link", name="Ask history"))
        page.keyboard.press("Tab")
        assert has_focus(bell(shown))
        page.keyboard.press("Space")
        expect(menu(shown)).to_be_visible()
        expect(page.locator("#paused")).to_be_hidden()
        page.keyboard.press("Escape")
        expect(menu(shown)).to_be_hidden()
        assert has_focus(bell(shown))
        expect(page.locator(".brush")).to_be_visible()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")  # the link's button
        page.keyboard.press("Tab")
        assert has_focus(button(menu(shown), "1 hour"))
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(shown.locator(".hushed")).to_contain_text("Notices snoozed until")
        assert has_focus(bell(shown)), "the choice is gone with its menu"
        (mute,) = control.mutes()
        assert mute.until - mute.given_at == 4 * HOUR


def test_menu_closes_by_a_click_elsewhere_which_does_what_it_would(browser, store, control):
    with served(console(store, control)) as port, visit(browser, port) as seen:
        first, second = card(seen.page, "Open episode"), card(seen.page, "Closed episode")
        bell(first).click()
        expect(menu(first)).to_be_visible()
        button(second, "Why, and who agreed").click()
        expect(menu(first)).to_be_hidden()
        bell(first).click()
        bell(second).click()
        expect(menu(first)).to_be_hidden()
        expect(menu(second)).to_be_visible()
        menu(second).locator("p").first.click()
        expect(menu(second)).to_be_visible()
        bell(second).click()
        expect(menu(second)).to_be_hidden()
        bell(second).click()
        button(second, "Why, and who agreed").click()
        expect(second.locator(".bell")).to_have_attribute("aria-expanded", "false")


class SlowControl(SpokenControl):
    """Takes a mute when it is told to."""

    may = threading.Event()

    def mute(self, mute):
        assert self.may.wait(20)
        super().mute(mute)


def test_mute_waits_for_the_server_and_is_not_shown_before(browser, store):
    control = SlowControl(archived=store, told_routes=ROUTES)
    with served(console(store, control)) as port, visit(browser, port) as seen:
        shown = card(seen.page, "Open episode")
        bell(shown).click()
        button(menu(shown), "1 hour").click()
        expect(bell(shown)).to_have_class(re.compile("pending"))
        expect(bell(shown)).to_be_disabled()
        expect(shown.locator(".hushed p")).to_have_count(0)
        control.may.set()
        expect(shown.locator(".hushed")).to_contain_text("Notices snoozed until")
        expect(bell(shown)).not_to_have_class(re.compile("pending"))
        expect(bell(shown)).to_be_enabled()


def test_mute_that_is_refused_says_why_and_leaves_the_card_as_it_was(browser, store, control):
    control.refusal = f"history is closed {HOSTILE[1]}"
    with served(console(store, control)) as port, visit(browser, port) as seen:
        shown = card(seen.page, "Open episode")
        bell(shown).click()
        button(menu(shown), "1 hour").click()
        expect(shown.locator(".line.trouble")).to_have_text(f"Not kept: {control.refusal}")
        expect(shown.locator(".hushed p")).to_have_count(0)
        control.refusal = ""
        bell(shown).click()
        button(menu(shown), "1 hour").click()
        expect(shown.locator(".hushed")).to_contain_text("Notices snoozed until")
        expect(shown.locator(".line")).to_have_text("")
        assert seen.page.evaluate("window.struck") is None


def test_without_routes_the_menu_says_so_and_offers_nothing(browser, store, control, begin):
    control.told_routes = ()
    control.mute(Mute("kind", begin, kind="rate_up"))
    with served(console(store, control)) as port, visit(browser, port) as seen:
        shown = card(seen.page, "Open episode")
        bell(shown).click()
        expect(menu(shown)).to_have_text("No notices are sent: no route is set up. How to: docs/notices.md")
        expect(menu(shown).get_by_role("button")).to_have_count(0)
        expect(shown.locator(".hushed p")).to_have_count(0)
        control.told_routes = ROUTES
        expect(button(menu(shown), "1 hour")).to_be_visible()
        expect(shown.locator(".hushed")).to_contain_text("Notices of this kind are muted")


def test_wider_mute_is_told_and_not_undone_on_a_card(browser, store, control, begin):
    control.mute(Mute("all", begin, begin + HOUR))
    with served(console(store, control)) as port, visit(browser, port) as seen:
        shown = card(seen.page, "Open episode")
        expect(shown.locator(".hushed")).to_contain_text("All notices are muted until")
        expect(shown.locator(".hushed")).to_contain_text("taken back on the Health page")
        expect(shown.locator(".undo")).to_have_count(0)


@contextmanager
def signing_in(board: Board, secret: str) -> Iterator[int]:
    """Serve the Live page where Panel knows who looks at it by a signed cookie; yield the port."""
    loops: list[asyncio.AbstractEventLoop] = []
    ports: list[int] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        page = {"/": lambda: build_page(board)}
        server = get_server(page, address="127.0.0.1", port=0, loop=IOLoop.current(), start=False, cookie_secret=secret)
        server._tornado.websocket_origins.add(f"127.0.0.1:{server.port}")
        server.start()
        ports.append(server.port)
        ready.set()
        await stop.wait()
        server.stop()
        server.unlisten()
        await asyncio.sleep(0.2)

    before = pn.config.cookie_secret
    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="signing in")
    thread.start()
    try:
        assert ready.wait(20), "the page did not start to listen"
        yield ports[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)
        pn.config.cookie_secret = before


@pytest.mark.parametrize(("cookie", "by"), [({"user": HOSTILE[1]}, HOSTILE[1]), ({"is_guest": "1"}, ""), ({}, "")])
def test_labels_and_mutes_carry_who_is_signed_in(browser, store, control, cookie, by):
    secret = "of this test"
    with signing_in(Board(console(store, control)), secret) as port:
        context = browser.new_context()
        address = f"http://127.0.0.1:{port}/"
        for name, value in cookie.items():
            signed = create_signed_value(secret, name, value).decode() if name == "user" else value
            context.add_cookies([{"name": name, "value": signed, "url": address}])
        seen = watched(context)
        seen.page.goto(address)
        is_ready(seen.page)
        shown = card(seen.page, "Open episode")
        button(shown, "Real").click()
        expect(button(shown, "Real")).to_have_attribute("aria-pressed", "true")
        bell(shown).click()
        button(menu(shown), "1 hour").click()
        expect(shown.locator(".hushed")).to_contain_text(f"by {by}" if by else "Notices snoozed")
        assert [given.by for given in (control.given["open"], *control.mutes())] == [by, by]
        assert seen.page.evaluate("window.struck") is None
        context.close()


# -- on the Health page


def trouble(text: str, begin: float) -> RouteStatus:
    return RouteStatus(text, 1_240, 14, 2, 37, 3, begin - 300, f"no answer from {text}")


def test_health_tells_how_each_route_stands(browser, store, control, begin):
    control.told_routes = (trouble("operations mailing list", begin), RouteStatus("webhook"))
    with served(console(store, control)) as port, visit(browser, port, "/health") as seen:
        table = seen.page.locator(".routes table")
        rows = table.get_by_role("row")
        expect(rows.nth(1)).to_contain_text("operations mailing list")
        expect(rows.nth(1).get_by_role("cell")).to_have_text(["1,240", "3", "14", "37", "5 min ago"])
        expect(rows.nth(2)).to_contain_text("2 given up after too many tries; no answer from operations")
        expect(rows.nth(3).get_by_role("cell")).to_have_text(["0", "0", "0", "0", "never"])
        expect(seen.page.locator(".mutes")).to_contain_text("nothing is snoozed or muted")
        control.told_routes = (RouteStatus("webhook", sent=1, last_sent=time.time()),)
        expect(rows.nth(1).get_by_role("cell").first).to_have_text("1")
        control.told_routes = ()
        expect(seen.page.locator(".routes")).to_contain_text("No notices are sent: no route is set up.")
        expect(table).to_be_hidden()
        expect(seen.page.locator(".mutes")).to_be_hidden()
        assert seen.errors == []


def test_mute_is_taken_back_on_the_health_page_and_leaves_the_cards(browser, store, control, begin):
    control.mute(Mute("episode:open", begin, begin + HOUR, anomaly_id="open"))
    control.mute(Mute("k", begin, None, series="edits", metric="rate", kind="rate_up", by="Ada"))
    with (
        served(console(store, control)) as port,
        visit(browser, port) as live,
        visit(browser, port, "/health") as seen,
    ):
        held = seen.page.locator(".mutes li")
        expect(held.nth(0)).to_contain_text("Open episode")
        expect(held.nth(0)).to_contain_text("snoozed until")
        expect(held.nth(1)).to_contain_text(f"muted until taken back, since {until(begin)} by Ada")
        expect(card(live.page, "Open episode").locator(".hushed p")).to_have_count(2)
        first = seen.page.get_by_role("button", name=re.compile("^Take back: Open episode, snoozed until"))
        first.focus()
        seen.page.keyboard.press("Enter")
        expect(held).to_have_count(1)
        assert has_focus(held.get_by_role("button")), "the focus goes on to the next one"
        expect(card(live.page, "Open episode").locator(".hushed p")).to_have_count(1)
        held.get_by_role("button").click()
        expect(held).to_have_count(0)
        expect(seen.page.locator(".mutes")).to_contain_text("nothing is snoozed or muted")
        assert control.mutes() == ()
        assert seen.errors == live.errors == []


# -- whatever they say, however wide the page


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_menu_and_mutes_are_sound_at_every_width(browser, store, control, begin, theme):
    control.told_routes = (trouble("operations mailing list", begin), RouteStatus("webhook"))
    control.mute(Mute("k", begin, None, series="edits", metric="rate", kind="rate_up", by="Ada Lovelace of Ockham"))
    control.mute(Mute("episode:open", begin, begin + 40 * HOUR, anomaly_id="open"))
    found: list[str] = []
    with served(console(store, control)) as port:
        for path in ("/", "/health"):
            with visit(browser, port, path, color_scheme=theme, reduced_motion="reduce") as seen:
                if path == "/":
                    bell(card(seen.page, "Open episode")).click()
                    expect(button(menu(card(seen.page, "Open episode")), "1 hour")).to_be_visible()
                    expect(seen.page.locator(".hushed p").first).to_be_visible()
                else:
                    expect(seen.page.locator(".mutes li")).to_have_count(2)
                for width in (1440, 1024, 420):
                    seen.page.set_viewport_size({"width": width, "height": 1000})
                    seen.page.wait_for_timeout(400)
                    faults = [*check_layout(seen.page), *check_contrast(seen.page)]
                    faults += check_axe(seen.page) if axe_source() else []
                    found += [f"{path} {width}: {fault}" for fault in faults]
                assert seen.errors == []
    assert not found, "\n".join(found)


def test_hostile_names_and_errors_are_words(browser, store, control, begin):
    control.told_routes = tuple(trouble(text, begin) for text in HOSTILE)
    for number, text in enumerate(HOSTILE):
        control.mute(Mute(text, begin + number, None, kind="rate_up", by=text))
        control.mute(Mute(f"{text}2", begin + number, None, series=text, metric=text, kind=text, by=text))
    with (
        served(console(store, control)) as port,
        visit(browser, port) as live,
        visit(browser, port, "/health") as seen,
    ):
        for text in HOSTILE[:3]:
            expect(card(live.page, "Open episode").locator(".hushed").get_by_text(text, exact=True)).to_have_count(1)
            expect(seen.page.locator(".routes").get_by_text(text, exact=True)).to_have_count(1)
            expect(seen.page.locator(".routes").get_by_text(f"no answer from {text}")).to_have_count(1)
            expect(seen.page.locator(".mutes").get_by_text(text, exact=True)).to_have_count(2)
        undo = card(live.page, "Open episode").locator(".undo")
        expect(undo).to_have_count(len(HOSTILE))
        undo.first.click()
        expect(undo).to_have_count(len(HOSTILE) - 1)
        for each in (live, seen):
            each.page.wait_for_timeout(500)
            assert each.page.evaluate("window.struck") is None
            assert each.page.locator("article img, .health img, article script, .health script").count() == 0
            assert each.outside(port) == []
            assert each.errors == []
