"""Every page at every width in both themes: sound layout, no grave fault of accessibility, quiet, and no more asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_stand_in import console, served
from page_checks import axe_source, check_axe, check_contrast, check_jumps, check_layout
from visiting import WAIT, is_ready, running, told_store, visit
from waiting import wait_until

from tracewave_panel.app.pages import PAGES

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parent / "screenshots"
WIDTHS = (1440, 1024, 420)
NAMES = tuple(page.name for page in PAGES)
PLOTS = "[...window.Bokeh.documents[0]._all_models.values()].filter(model => model.type === 'Figure').length"


@pytest.fixture(scope="module")
def port():
    store = told_store()
    with running(store), served(console(store)) as listening:
        yield listening


def address(name: str) -> str:
    return "/" if name == "live" else f"/{name}"


@pytest.mark.parametrize(
    ("name", "theme"),
    [
        pytest.param(name, theme, marks=[] if (name, theme) == ("live", "dark") else [pytest.mark.slow])
        for name in NAMES
        for theme in ("dark", "light")
    ],
)
def test_page_is_sound_at_every_width(browser, port, name, theme):
    SCREENSHOTS.mkdir(exist_ok=True)
    found: list[str] = []
    with visit(browser, port, address(name), color_scheme=theme, reduced_motion="reduce") as seen:
        page = seen.page
        assert page.evaluate("[document.documentElement.dataset.theme, window.tracewave.page]") == [theme, name]
        playwright.expect(page.locator("header")).to_be_visible()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_timeout(400)  # plots take their new size in the next frames
            faults = [*check_layout(page), *check_contrast(page)]
            if theme == "dark" and width != 1024:
                _, jumps = check_jumps(page)
                faults += jumps
            if axe_source():
                faults += check_axe(page)
            found += [f"{width}: {fault}" for fault in faults]
            page.screenshot(path=SCREENSHOTS / f"{name}-{theme}-{width}.png", full_page=True)
        assert not found, "\n".join(found)
        assert seen.errors == []
        assert seen.outside(port) == []
    if not axe_source():
        pytest.skip("sound but for what axe-core would find: pip install axe-playwright-python")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "live"])
def test_other_pages_build_no_plots_and_ask_for_no_script_of_the_live_page(browser, port, name):
    with visit(browser, port, address(name)) as seen:
        wait_until(seen.page, "window.tracewave.server && window.Bokeh?.documents?.length > 0", timeout=WAIT)
        assert seen.page.evaluate(PLOTS) == 0
        assert not any("/timeline.js" in asked for asked in seen.requests)
        assert seen.page.locator("canvas").count() == 0


def test_live_page_asks_nothing_for_health_until_it_is_visited(browser, port):
    with visit(browser, port) as seen:
        page = seen.page
        page.evaluate("window.first = true")
        health = page.locator("[data-page-section=health]")
        page.wait_for_timeout(1500)
        assert health.locator(".health").count() == 0
        assert page.evaluate(PLOTS) > 5
        page.get_by_role("navigation").get_by_text("Health", exact=True).click()
        playwright.expect(health.locator(".health").first).to_be_visible(timeout=WAIT)
        page.wait_for_url("**/health")
        page.go_back()
        playwright.expect(page.locator("[data-page-section=live]")).to_be_visible()
        assert page.evaluate("window.first") is True
        assert seen.errors == []


def test_page_that_came_from_another_one_is_live_again_after_a_look_at_health(browser, port):
    with visit(browser, port, "/health") as seen:
        page = seen.page
        page.get_by_role("navigation").get_by_text("Live", exact=True).click()
        is_ready(page)
        wait_until(page, "window.tracewave?.row != null", timeout=WAIT)
        before = page.evaluate("window.tracewave.row.end")
        wait_until(page, "end => window.tracewave.row.end > end", arg=before, timeout=WAIT)
        assert page.evaluate(PLOTS) > 5
        assert seen.errors == []
