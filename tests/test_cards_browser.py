"""Cards in a real Chromium: buttons, labels that every session sees, links, keys, and text that is never run."""

from __future__ import annotations

import re
import threading
import time

import pytest
from console_stand_in import SpokenControl, analysis, anomaly, console, findings, samples_at, served
from visiting import HOSTILE, is_ready, visit, watched

from tracewave_panel.model import Contribution, Label, Sample
from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

pytestmark = pytest.mark.browser

expect = playwright.expect
HEARD = """names => { window.heard = []; for (const name of names)
    window.addEventListener(`tracewave:${name}`, ({detail}) => window.heard.push([name, detail])); }"""


@pytest.fixture
def begin() -> float:
    return float(int(time.time()))


@pytest.fixture
def store(begin) -> RingStore:
    """A minute of windows, an open and a closed episode in it, and one from before."""
    made = RingStore()
    for second in range(60):
        made.append(findings(begin - 59 + second, analysis(begin - 60 + second)))
    made.append(
        findings(
            begin,
            anomalies=[
                anomaly(begin - 7200, begin - 7000, id="before", title="Before the windows"),
                anomaly(begin - 50, begin - 40, id="closed", title="Closed episode"),
                anomaly(begin - 20, id="open", title="Open episode"),
            ],
        )
    )
    return made


def card(page, title):
    return page.locator("article", has_text=title)


def button(card, name):
    return card.get_by_role("button", name=name, exact=True)


def test_label_is_shown_when_the_server_has_it_and_in_every_session(browser, store):
    control = SpokenControl()
    with served(console(store, control)) as port, visit(browser, port) as here, visit(browser, port) as there:
        first, second = card(here.page, "Open episode"), card(there.page, "Open episode")
        real, not_real = button(first, "Real"), button(first, "Not real")
        expect(real).to_have_attribute("aria-pressed", "false")
        real.click()
        expect(real).to_have_attribute("aria-pressed", "true")
        expect(button(second, "Real")).to_have_attribute("aria-pressed", "true")
        expect(second.locator(".verdict")).to_have_text("real")
        assert control.given["open"].verdict == "real"
        assert real.evaluate("node => node.getRootNode().activeElement === node"), "the press keeps the focus"
        button(second, "Not real").click()
        expect(not_real).to_have_attribute("aria-pressed", "true")
        expect(real).to_have_attribute("aria-pressed", "false")
        expect(first.locator(".verdict")).to_have_text("not real")
        not_real.click()
        expect(not_real).to_have_attribute("aria-pressed", "false")
        expect(first.locator(".verdict")).to_have_count(0)
        expect(second.locator(".verdict")).to_have_count(0)
        assert control.given == {}
        assert here.errors == there.errors == []


class SlowControl(SpokenControl):
    """Takes a label when it is told to."""

    may = threading.Event()

    def label(self, anomaly_id, verdict, by=""):
        assert self.may.wait(20)
        super().label(anomaly_id, verdict, by)


def test_label_waits_for_the_server_and_is_not_shown_before(browser, store):
    control = SlowControl()
    with served(console(store, control)) as port, visit(browser, port) as seen:
        shown = card(seen.page, "Open episode")
        real = button(shown, "Real")
        real.click()
        expect(real).to_have_class(re.compile("pending"))
        expect(real).to_have_attribute("aria-pressed", "false")
        expect(button(shown, "Not real")).to_be_disabled()
        expect(shown.locator(".verdict")).to_have_count(0)
        control.may.set()
        expect(real).to_have_attribute("aria-pressed", "true")
        expect(real).not_to_have_class(re.compile("pending"))


def test_label_that_fails_says_why_and_leaves_the_card_as_it_was(browser, store):
    control = SpokenControl(refusal="history is closed <img src=x onerror='window.struck=1'>")
    with served(console(store, control)) as port, visit(browser, port) as seen:
        shown = card(seen.page, "Open episode")
        button(shown, "Real").click()
        expect(shown.locator(".line.trouble")).to_have_text(f"Not kept: {control.refusal}")
        expect(button(shown, "Real")).to_have_attribute("aria-pressed", "false")
        expect(button(shown, "Real")).not_to_have_attribute("aria-disabled", "true")
        control.refusal = ""
        button(shown, "Real").click()
        expect(button(shown, "Real")).to_have_attribute("aria-pressed", "true")
        expect(shown.locator(".line")).to_have_text("")
        assert seen.page.evaluate("window.struck") is None


def test_folded_card_shows_its_label_and_unfolds_by_mouse_and_key(browser, store, begin):
    control = SpokenControl(given={"closed": Label("closed", "not_real", begin, "Ada")})
    with served(console(store, control)) as port, visit(browser, port) as seen:
        shown = card(seen.page, "Closed episode")
        expect(shown.locator(".verdict")).to_have_text("not real")
        expect(button(shown, "Not real")).to_be_hidden()
        button(shown, "Why, and who agreed").click()
        expect(button(shown, "Not real")).to_be_visible()
        expect(shown.locator(".said")).to_contain_text("by Ada")
        expect(shown).to_contain_text("91 % accounted for")
        shown.focus()
        seen.page.keyboard.press("Enter")
        expect(button(shown, "Not real")).to_be_hidden()


def test_raw_edits_unfold_with_links_to_their_diffs(browser, store, begin):
    bare = anomaly(begin - 5, id="bare", title="Nothing kept", contributions=())
    store.append(findings(begin, anomalies=[bare]))
    with served(console(store)) as port, visit(browser, port) as seen:
        shown = card(seen.page, "Open episode")
        raw, links = button(shown, "Raw edits"), shown.locator(".samples a")
        expect(links.first).to_be_hidden()
        raw.click()
        expect(raw).to_have_attribute("aria-expanded", "true")
        expect(links).to_have_count(4)
        expect(links.first).to_have_attribute("href", "https://commons.wikimedia.org/w/index.php?diff=1")
        expect(links.first).to_have_attribute("rel", re.compile("noopener"))
        more = Contribution("wiki", "commons.wikimedia.org", 90.0, 6.9, 0.9, 14.0, True, samples_at(begin, 1, 2))
        store.append(
            findings(begin + 1, anomalies=[anomaly(begin - 20, id="open", title="Open episode", contributions=(more,))])
        )
        expect(links).to_have_count(2)  # it grew, and what was unfolded stays unfolded
        expect(links.first).to_be_visible()
        without = button(card(seen.page, "Nothing kept"), "Raw edits")
        expect(without).to_have_attribute("title", "No edits were kept with this anomaly")
        expect(without).to_be_disabled()


def test_replay_is_announced_and_refused_where_the_windows_are_gone(browser, store, begin):
    with served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        page.evaluate(HEARD, ["replay-episode"])
        gone = card(page, "Before the windows")
        button(gone, "Why, and who agreed").click()
        expect(button(gone, "Replay")).to_be_disabled()
        expect(button(gone, "Replay")).to_have_attribute("title", re.compile("no longer held"))
        button(gone, "Replay").click(force=True)
        button(card(page, "Open episode"), "Replay").click()
        expected = {"id": "open", "opened": 1000 * (begin - 20), "closed": None}
        assert page.evaluate("window.heard") == [["replay-episode", expected]]


def test_link_is_copied_and_said(browser, store):
    with served(console(store)) as port:
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        seen = watched(context)
        seen.page.goto(f"http://127.0.0.1:{port}/?cards=open")
        is_ready(seen.page)
        shown = card(seen.page, "Open episode")
        button(shown, "Copy link").click()
        expect(shown.get_by_role("status")).to_have_text("Link copied")
        copied = seen.page.evaluate("navigator.clipboard.readText()")
        assert copied == f"http://127.0.0.1:{port}/?anomaly=open"
        context.close()


def test_link_can_be_selected_where_the_clipboard_is_refused(browser, store):
    with served(console(store)) as port, visit(browser, port) as seen:
        # a page from another computer over plain http has no clipboard at all
        seen.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        shown = card(seen.page, "Open episode")
        button(shown, "Copy link").click()
        expect(shown.locator("input")).to_have_value(f"http://127.0.0.1:{port}/?anomaly=open")
        expect(shown.locator("input")).to_be_focused()
        expect(shown.get_by_role("status")).to_contain_text("copy this")


def test_link_picks_its_card_once_and_shows_it(browser, store, begin):
    with served(console(store)) as port, visit(browser, port, "/?anomaly=before&cards=open") as seen:
        page = seen.page
        picked = page.locator("article[aria-current=true]")
        expect(picked).to_contain_text("Before the windows")
        expect(picked).to_be_in_viewport()
        expect(button(picked, "Real")).to_be_visible()
        expect(page.get_by_text("not among those held")).to_be_hidden()
        store.append(findings(begin, anomalies=[anomaly(begin - 2, id="newer", title="Newer")]))
        expect(page.locator("article")).to_have_count(4)
        expect(picked).to_have_count(1)
        expect(picked).to_contain_text("Before the windows")


@pytest.mark.slow
def test_link_to_a_card_that_is_not_held_says_so_calmly(browser, store, begin):
    with served(console(store)) as port, visit(browser, port, "/?anomaly=forgotten") as seen:
        line = seen.page.get_by_text("The anomaly of this link is not among those held here.")
        expect(line).to_be_visible()
        store.append(findings(begin, anomalies=[anomaly(begin - 2, id="forgotten", title="It came back")]))
        expect(seen.page.locator("article[aria-current=true]")).to_contain_text("It came back")
        expect(line).to_be_hidden()
        seen.page.goto(f"http://127.0.0.1:{port}/?anomaly=another")
        is_ready(seen.page)
        seen.page.get_by_role("button", name="Dismiss").click()
        expect(line).to_be_hidden()
        assert "anomaly" not in seen.page.url


def test_steps_move_the_focus_from_card_to_card(browser, store, begin):
    with served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        page.evaluate(HEARD, ["card"])
        stops = page.locator("article[tabindex='0']")
        expect(stops).to_have_count(1)
        for key, identity in (("j", "open"), ("j", "closed"), ("j", "before"), ("j", "before"), ("k", "closed")):
            page.keyboard.press(key)
            expect(page.locator(f"article[data-id={identity}]")).to_be_focused()
            expect(stops).to_have_attribute("data-id", identity)
        assert "anomaly=closed" in page.url
        heard = page.evaluate("window.heard")
        assert [detail["id"] for _, detail in heard] == ["open", "closed", "before", "closed"]
        assert heard[1][1] == {"id": "closed", "opened": 1000 * (begin - 50), "closed": 1000 * (begin - 40)}
        page.evaluate("window.tracewave.announce('open-card', {id: 'before'})")
        expect(card(page, "Before the windows")).to_be_focused()
        expect(button(card(page, "Before the windows"), "Real")).to_be_visible()


def test_focus_stays_on_a_card_that_grows_closes_and_gets_company(browser, store, begin):
    with served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        page.keyboard.press("j")
        focused = card(page, "Open episode")
        button(focused, "Real").focus()
        store.append(findings(begin, anomalies=[anomaly(begin - 20, id="open", title="Open episode", observed=200.0)]))
        expect(focused).to_contain_text("200")
        store.append(
            findings(
                begin,
                anomalies=[
                    anomaly(begin - 20, begin - 10, id="open", title="Open episode"),
                    anomaly(begin - 1, id="company", title="Company"),
                ],
            )
        )
        expect(focused).to_contain_text("closed after 10 s")
        expect(page.locator("article").first).to_contain_text("Company")
        expect(button(focused, "Real")).to_be_focused()


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_card_arrives_once_and_settles(browser, store, begin, motion):
    with served(console(store)) as port, visit(browser, port, reduced_motion=motion) as seen:
        expect(seen.page.locator("article.arriving")).to_have_count(0)
        store.append(findings(begin, anomalies=[anomaly(begin - 1, id="new", title="Just now")]))
        expect(card(seen.page, "Just now")).to_be_visible()
        expect(seen.page.locator("article.arriving")).to_have_count(0)
        expect(seen.page.get_by_text("New: critical, Just now")).to_have_count(1)


def test_rail_counts_filters_and_keeps_the_filter_in_its_address(browser, store):
    with served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        rail = page.locator("#anomalies")
        expect(rail).to_contain_text("1 open, 2 closed")
        group = rail.get_by_role("group", name="Anomalies shown")
        group.get_by_role("button", name="Open").click()
        expect(card(page, "Closed episode")).to_be_hidden()
        expect(card(page, "Open episode")).to_be_visible()
        assert "cards=open" in page.url
        page.reload()
        is_ready(page)
        expect(card(page, "Closed episode")).to_be_hidden()
        expect(group.get_by_role("button", name="Open")).to_have_attribute("aria-pressed", "true")
        group.get_by_role("button", name="All").click()
        expect(card(page, "Closed episode")).to_be_visible()
        assert "cards" not in page.url


def test_days_divide_the_cards_in_utc(browser):
    noon = 1_700_049_600.0  # 15 November 2023, 12:00 UTC
    store = RingStore()
    store.append(findings(noon, analysis(noon - 1)))
    hours = (0.5, 3, 11.9, 12.1, 60)
    store.append(findings(noon, anomalies=[anomaly(noon - 3600 * each, noon, id=str(each)) for each in hours]))
    with served(console(store)) as port, visit(browser, port) as seen:
        listed = seen.page.get_by_role("log")
        expect(listed.locator(".day")).to_have_text(["Earlier today", "Yesterday", "Mon 13 Nov"])
        order = listed.evaluate("node => [...node.children].map(each => each.dataset.id ?? each.textContent)")
        assert order == ["0.5", "Earlier today", "3", "11.9", "Yesterday", "12.1", "Mon 13 Nov", "60"]
        expect(listed.locator("article").nth(0).locator(".hd")).to_contain_text("11:30:00")
        expect(listed.locator("article").nth(1).locator(".hd > :last-child")).to_have_text("09:00")


def test_hostile_text_in_every_field_of_a_card_is_shown_and_never_run(browser, begin):
    store, control = RingStore(), SpokenControl()
    for number, text in enumerate(HOSTILE):
        moment = begin - 400 + 40 * number
        sample = Sample(str(number), moment, text, f"javascript:{text}")
        part = Contribution(text, text, 9.0, 1.0, 0.9, 9.0, True, (sample,))
        fields = {"title": text, "contributions": (part,), "agreeing": (text,), "quiet": (text,), "abstained": (text,)}
        told = anomaly(moment, None if number % 2 else moment + 20, id=text, **fields)
        store.append(findings(moment + 1, analysis(moment), anomalies=[told]))
        control.given[text] = Label(text, "real", moment, text)
    with served(console(store, control)) as port, visit(browser, port) as seen:
        page = seen.page
        expect(page.locator("article")).to_have_count(len(HOSTILE))
        for folded in page.locator("article.closed .more").all():
            folded.click()
        for raw in page.get_by_role("button", name="Raw edits").all():
            raw.click()
        for text in HOSTILE[:2]:
            shown = page.locator("article", has=page.locator("h3", has_text=text))
            expect(shown.locator(".said")).to_contain_text("by " + text[:30])
            expect(shown.locator(".samples")).to_contain_text(text)
            expect(shown.locator(".why")).to_contain_text(text)
        page.evaluate("text => window.tracewave.announce('open-card', {id: text})", HOSTILE[1])
        page.wait_for_timeout(700)
        assert page.evaluate("window.struck") is None
        assert seen.outside(port) == []
        assert page.locator("a[href^='javascript']").count() == 0
        assert seen.errors == []
