"""What changed, raw edits and tiles in a real Chromium: they answer a brush, keep still, and run nothing."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from console_stand_in import analysis, console, event, findings, served

from tracewave_panel.model import Quality, Window
from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

pytestmark = pytest.mark.browser

WAIT = 60_000  # milliseconds
PICTURES = os.environ.get("TRACEWAVE_PICTURES", "")
USUAL = (
    {
        "en.wikipedia.org": 14,
        "www.wikidata.org": 9,
        "commons.wikimedia.org": 7,
        "de.wikipedia.org": 6,
        "ja.wikipedia.org": 5,
    },
    {"en": 20, "none (shared)": 15, "de": 6},
    {"0": 30, "6 File": 4, "1": 7},
    {"human": 26, "bot": 15},
    {"edit": 28, "new": 6, "categorize": 7},
)
BURST = ("commons.wikimedia.org", "none (shared)", "6 File", "bot", "edit")
ARABIC = "قائمة مدن المغرب العربي الكبير حسب عدد السكان وتاريخ التأسيس ومساحة كل منها بالكيلومتر المربع"
JAPANESE = "東京都交通局の鉄道車両一覧と運用の歴史、および各路線における編成の変遷についての詳細な記録"
HOSTILE = "<img src=x onerror='window.struck=1'>"


def counted(told, draw: random.Random, burst: int = 0):
    """The same analysis of a window whose dimensions hold about as many events as it counts."""
    counts = []
    for usual, carrier in zip(USUAL, BURST, strict=True):
        drawn = {value: max(0, round(draw.gauss(mean, mean**0.5))) for value, mean in usual.items()}
        drawn[carrier] = drawn.get(carrier, 0) + burst
        counts.append({value: count for value, count in drawn.items() if count})
    window: Window = told.window
    total = sum(counts[0].values())
    features = (float(total), *window.features[1:])
    window = msgspec.structs.replace(window, dimension_counts=tuple(counts), count=total, features=features)
    return msgspec.structs.replace(told, window=window, observed=float(total))


def filled(end: float, seconds: int = 300, hostile: bool = False) -> RingStore:
    """Calm, a gap of 18 s and a burst of bots in the last minute, with raw events of the burst."""
    store, draw = RingStore(), random.Random(5)
    begin = end - seconds
    for second in range(seconds):
        start = begin + second
        burst = 80 if second >= seconds - 60 else 0
        scores = (0.95, 0.9, 0.8, 0.8, 0.3) if burst else (0.1,) * 5
        lost = seconds - 240 <= second < seconds - 222
        quality = Quality.GAP if lost else Quality.OK
        told = counted(analysis(start, 41.0 + burst, scores, quality=quality), draw, burst)
        titles = {1: ARABIC, 3: JAPANESE, 5: HOSTILE if hostile else "Q118209334"}
        edits = [
            event(start + number / 10, 10 * second + number, **({"title": titles[number]} if number in titles else {}))
            for number in range(8)
        ]
        store.append(findings(start + 1, told, events=() if lost else edits))
    return store


@contextmanager
def visit(browser, port: int, width: int = 1440, theme: str = "dark", height: int = 1000) -> Iterator:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    try:
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("html[data-ready]", timeout=WAIT, state="attached")
        yield page
        assert errors == []
    finally:
        context.close()


def brush(page, start: float, end: float) -> None:
    page.evaluate("([from, until]) => window.tracewave.timeline.brush(from, until)", [1000 * start, 1000 * end])


def changed(page):
    return page.locator("div.changed:has(> .ph)")


def edits(page):
    return page.locator("div.events")


END = float(int(time.time())) + 0.0001  # windows need not begin at whole milliseconds


@pytest.fixture(scope="module")
def port():
    with served(console(filled(END, hostile=True))) as port:
        yield port


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1440, 1000), (1024, 1000), (420, 900)])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_brushed_range_fits_every_width_in_both_themes(browser, port, width, height, theme):
    with visit(browser, port, width, theme, height) as page:
        playwright.expect(page.get_by_text("Drag over the pulse")).to_be_visible()
        picture(page, f"empty-{theme}-{width}")
        brush(page, END - 60, END)
        table = changed(page).locator("table")
        playwright.expect(table.get_by_role("rowheader", name="commons.wikimedia.org")).to_be_visible()
        playwright.expect(changed(page)).to_contain_text("100 % accounted for")
        playwright.expect(changed(page)).to_contain_text("usual of 222 windows")
        picture(page, f"brushed-{theme}-{width}")
        for view in (changed(page), edits(page), page.locator("div.tiles")):
            assert view.evaluate("node => node.scrollWidth <= node.clientWidth"), view
        left, right = changed(page).bounding_box(), edits(page).bounding_box()
        if width > 1100:
            assert left["x"] + left["width"] <= right["x"]
        else:
            assert left["y"] + left["height"] <= right["y"]


def picture(page, name: str) -> None:
    page.mouse.move(5, 5)
    if PICTURES:
        page.wait_for_timeout(300)
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def test_cross_clears_the_brush_everywhere(browser, port):
    with visit(browser, port) as page:
        brush(page, END - 60, END)
        playwright.expect(edits(page)).to_contain_text("of the brushed range, newest first")
        playwright.expect(edits(page).locator(".ph")).to_contain_text("480")
        page.get_by_role("button", name="Clear the brush").click()
        playwright.expect(page.get_by_text("Drag over the pulse")).to_be_visible()
        playwright.expect(edits(page)).to_contain_text("newest first, as they come")
        playwright.expect(page.get_by_role("button", name="Clear the brush")).to_be_hidden()
        assert page.evaluate("window.tracewave.timeline.brushed") is None


def test_range_without_an_answer_says_why_in_words(browser, port):
    with visit(browser, port) as page:
        brush(page, END - 238, END - 224)
        playwright.expect(changed(page)).to_contain_text("All of it is a gap: what happened there is lost.")
        playwright.expect(changed(page).locator("table")).to_be_hidden()
        playwright.expect(edits(page)).to_contain_text("No event of this range is held any more.")
        brush(page, END - 120, END - 90)
        playwright.expect(changed(page)).to_contain_text("as usual")
        playwright.expect(changed(page)).to_contain_text("the mix did not change")
        picture(page, "as-usual-dark-1440")


def test_table_is_one_for_screen_readers(browser, port):
    with visit(browser, port) as page:
        brush(page, END - 60, END)
        table = changed(page).get_by_role("table")
        playwright.expect(table.get_by_role("columnheader")).to_have_text(
            ["dimension", "value", "usual", "seen", "excess a second"]
        )
        playwright.expect(table.get_by_role("rowheader")).to_have_count(5)
        playwright.expect(changed(page).get_by_role("status")).to_contain_text("a second")
        playwright.expect(edits(page).get_by_role("link").first).to_have_attribute(
            "rel", "noopener noreferrer nofollow"
        )
        playwright.expect(edits(page).get_by_role("link", name="Diff: Talk:2026 Tagus flood").first).to_be_visible()


def test_titles_of_every_script_keep_to_their_cell_and_hostile_ones_are_words(browser, port):
    with visit(browser, port) as page:
        brush(page, END - 60, END)
        titles = edits(page).locator("td:nth-child(4) bdi")
        arabic = titles.get_by_text(ARABIC).first
        playwright.expect(arabic).to_be_visible()
        style = "node => [getComputedStyle(node).direction, node.scrollWidth > node.clientWidth]"
        assert arabic.evaluate(style) == ["rtl", True]
        assert titles.get_by_text(JAPANESE).first.evaluate(style)[0] == "ltr"
        playwright.expect(titles.get_by_text(HOSTILE).first).to_be_visible()
        assert page.evaluate("window.struck") is None


@pytest.mark.slow
def test_list_stands_still_while_edits_pour_in_and_holds_under_the_pointer(browser):
    store = filled(END)
    with served(console(store)) as port, visit(browser, port) as page:
        lines = edits(page).locator("tbody tr")
        first = lines.first.element_handle()
        before = [line.bounding_box() for line in lines.all()[:6]]
        page.evaluate(MUTATIONS, first)
        for second in range(4):
            start = END + second
            store.append(
                findings(start + 1, analysis(start), events=[event(start, 9000 + 50 * second + k) for k in range(50)])
            )
            page.wait_for_timeout(1000)
        playwright.expect(lines.first.locator("td").last.get_by_role("link")).to_have_attribute(
            "href", "https://example.org/diff/9199"
        )
        assert first.evaluate("node => node.isConnected")
        assert [line.bounding_box() for line in lines.all()[:6]] == before
        # An update changes a line within one task: several tasks a second would be a flicker.
        assert page.evaluate("window.updates") <= 5
        lines.nth(2).hover()
        store.append(findings(END + 5, analysis(END + 4), events=[event(END + 4, 9300)]))
        playwright.expect(edits(page)).to_contain_text("held while you point at them")
        playwright.expect(edits(page).locator("[href$='/9300']")).to_have_count(0)
        page.mouse.move(5, 5)
        playwright.expect(edits(page).locator("[href$='/9300']")).to_have_count(1)


MUTATIONS = """line => {
  window.updates = 0;
  const observer = new MutationObserver(() => { window.updates += 1; });
  observer.observe(line, {subtree: true, childList: true, characterData: true});
}"""


def test_tiles_say_how_the_last_window_stands_against_the_usual_and_over_how_long(browser, port):
    with visit(browser, port) as page:
        tiles = page.locator("div.tile")
        playwright.expect(tiles.nth(0)).to_contain_text("usual of 4 min 42.0, 2.7 times usual")
        playwright.expect(tiles.nth(3)).to_contain_text("62.4%usual of 4 min 38 %, +24 points")
        sparkline = tiles.first.locator(".line")
        assert sparkline.get_attribute("d").count("M") == 2, "the line breaks at the gap"
        assert tiles.first.locator(".gaps").get_attribute("d").count("M") > 3, "the gap is hatched"


def test_tiles_show_dashes_while_the_usual_is_unknown(browser):
    store = filled(END, 12)
    with served(console(store)) as port, visit(browser, port) as page:
        tiles = page.locator("div.tile")
        playwright.expect(tiles.nth(0).locator(".u")).to_have_text("usual –, 12 s seen")
        playwright.expect(tiles.nth(3).locator(".u")).to_have_text("usual –, 12 s seen")
        picture(page, "unknown-dark-1440")
