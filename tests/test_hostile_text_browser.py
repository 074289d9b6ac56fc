"""Text of the feed, of addresses and of the log is shown as text in every view; nothing of it runs."""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

import msgspec
import pytest
from console_stand_in import SpokenControl, analysis, anomaly, console, event, findings, served
from page_checks import check_layout
from visiting import HOSTILE, WAIT, visit

from tracewave_panel.model import Contribution, Sample
from tracewave_panel.ports import FeedState, SourceStatus
from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
expect = playwright.expect

pytestmark = pytest.mark.browser

SHOWN = HOSTILE[:3]
"""Those whose words the page shows as they stand; the others hold characters that look like nothing."""


class HostileControl(SpokenControl):
    """Says everything with a payload in it."""

    def source_status(self) -> SourceStatus:
        return msgspec.structs.replace(super().source_status(), notice=HOSTILE[2])


def hostile_store(begin: float) -> RingStore:
    """Calm minutes, then one in which all that is hostile brings many events, with a card and raw events of each."""
    store = RingStore()
    for second in range(180):
        start = begin - 180 + second
        told = analysis(start, 41.0 if second < 120 else 130.0, cold=("trees",))
        counts = {"en.wikipedia.org": 40, **(dict.fromkeys(HOSTILE, 10) if second >= 120 else {})}
        window = msgspec.structs.replace(told.window, dimension_counts=(counts,) * 5, count=sum(counts.values()))
        scores = tuple(
            msgspec.structs.replace(score, reason=HOSTILE[0]) if not score.warm else score for score in told.scores
        )
        edits = [event(start + number / 10, 10 * second + number, title=text, actor=text, dimensions=(text,) * 5,
                       link=f"javascript:{text}") for number, text in enumerate(HOSTILE)]  # fmt: skip
        store.append(findings(start + 1, msgspec.structs.replace(told, window=window, scores=scores), events=edits))
    for number, text in enumerate(HOSTILE):
        opened = begin - 900 + 40 * number
        part = Contribution(text, text, 9.0, 1.0, 0.9, 9.0, True, (Sample(text, opened, text, f"javascript:{text}"),))
        told = anomaly(opened, None if number % 2 else opened + 20, id=text, title=text, contributions=(part,),
                       agreeing=(text,), quiet=(text,), abstained=(text,))  # fmt: skip
        store.append(findings(begin, anomalies=[told]))
    return store


def is_unharmed(seen, port: int) -> None:
    """Nothing ran, nothing was asked for, nothing became a link that runs."""
    assert seen.page.evaluate("window.struck") is None
    assert seen.outside(port) == []
    assert seen.page.locator("a[href^='javascript' i], iframe, object, embed, img").count() == 0
    assert seen.errors == []


def test_hostile_text_of_the_feed_is_words_on_the_live_page(browser):
    begin = float(int(time.time()))
    control = HostileControl(state=FeedState(HOSTILE[1], HOSTILE[0]))
    brushed = f"/?brush={begin - 60:.0f}..{begin:.0f}"
    with served(console(hostile_store(begin), control)) as port, visit(browser, port, brushed) as seen:
        page = seen.page
        expect(page.locator("article")).to_have_count(len(HOSTILE))
        expect(page.locator("#banner")).to_contain_text(SHOWN[2])
        for button in page.locator("article").get_by_role("button", name="Raw edits").all():
            button.click()
        for text in SHOWN:
            expect(page.locator("article h3", has_text=text)).to_have_count(1)
            expect(page.locator("article .samples").get_by_text(text).first).to_be_attached()
            expect(page.locator(".edits").get_by_text(text).first).to_be_attached()
            expect(page.locator(".changed").get_by_text(text).first).to_be_attached(timeout=WAIT)
        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "[", "b", "]", "b"):
            page.keyboard.press(key)
        page.get_by_role("button", name="15 min").click()
        page.wait_for_timeout(1000)
        is_unharmed(seen, port)


@pytest.mark.slow
def test_hostile_text_pushes_nothing_out_of_its_place(browser):
    begin = float(int(time.time()))
    control = HostileControl(state=FeedState(HOSTILE[1], HOSTILE[0]))
    brushed = f"/?brush={begin - 60:.0f}..{begin:.0f}"
    with (
        served(console(hostile_store(begin), control)) as port,
        visit(browser, port, brushed, reduced_motion="reduce") as seen,
    ):
        page = seen.page
        expect(page.locator(".changed tbody tr").first).to_be_attached(timeout=WAIT)
        for button in page.locator("article").get_by_role("button", name="Raw edits").all():
            button.click()
        found = []
        for width in (1440, 1024, 420):
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_timeout(500)
            found += [f"{width}: {fault}" for fault in check_layout(page) if "ellipsis" not in fault]
        assert not found, "\n".join(found)


def test_hostile_lines_of_the_log_are_words_on_the_health_page(browser):
    begin = float(int(time.time()))
    control = HostileControl(state=FeedState(HOSTILE[1], HOSTILE[0]))
    with served(console(hostile_store(begin), control)) as port, visit(browser, port, "/health") as seen:
        for text in HOSTILE:
            logging.getLogger(f"tracewave_panel.{text}").warning("the source said %s", text)
        for text in SHOWN:
            expect(seen.page.locator(".health").get_by_text(f"the source said {text}")).to_have_count(1, timeout=WAIT)
        is_unharmed(seen, port)


@pytest.mark.parametrize("text", SHOWN)
def test_hostile_address_is_no_more_than_an_address(browser, text):
    begin = float(int(time.time()))
    store = RingStore()
    store.append(findings(begin, analysis(begin - 1), anomalies=[anomaly(begin - 100, begin - 80)]))
    names = ("anomaly", "brush", "range", "from", "to", "page", "theme", "embed", "open")
    query = "&".join(f"{name}={quote(text)}" for name in names)
    with served(console(store)) as port, visit(browser, port, f"/?{query}") as seen:
        expect(seen.page.locator("article")).to_have_count(1)
        seen.page.wait_for_timeout(500)
        is_unharmed(seen, port)
        for path in (f"/health?{query}", f"/{quote(text, safe='')}"):
            seen.page.goto(f"http://127.0.0.1:{port}{path}")
            seen.page.wait_for_timeout(500)
            assert seen.page.evaluate("window.struck") is None
        assert seen.outside(port) == []
