"""A picked card brushes its stretch and says what changed in it; replay sweeps the cursor through it."""

from __future__ import annotations

import re
import time

import msgspec
import numpy as np
import pytest
from console_stand_in import analysis, anomaly, console, findings, served
from test_brushed import seconds
from visiting import WAIT, visit
from waiting import wait_until

from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
expect = playwright.expect

pytestmark = pytest.mark.browser

BEFORE, LASTED, AFTER = 10, 15, 120  # windows of a second
SWEEP = """() => {
    window.swept = [];
    window.addEventListener("tracewave:cursor", ({detail}) => window.swept.push(detail));
}"""


@pytest.fixture
def opened() -> float:
    return float(int(time.time()) - LASTED - AFTER)


@pytest.fixture
def store(opened) -> RingStore:
    """Calm, then an episode in which one wiki and one kind of editor bring much more, then calm."""
    draw, begin = np.random.default_rng(5), int(opened) - BEFORE
    planted = ((0, "v07", 60.0), (3, "v02", 60.0))
    windows = [
        *seconds(draw, BEFORE, begin),
        *seconds(draw, LASTED, int(opened), extra=planted),
        *seconds(draw, AFTER, int(opened) + LASTED),
    ]
    store = RingStore()
    for each in windows:
        told = analysis(each.start, float(each.count))
        counted = msgspec.structs.replace(told.window, count=each.count, dimension_counts=each.dimension_counts)
        store.append(findings(each.end, msgspec.structs.replace(told, window=counted)))
    store.append(findings(opened + LASTED, anomalies=[anomaly(opened, opened + LASTED, id="burst", title="The burst")]))
    return store


def test_picked_card_is_brushed_and_what_changed_ranks_its_stretch(browser, store, opened):
    with served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        changed = page.locator(".changed").first
        expect(changed).to_contain_text("Drag over the pulse")
        page.locator("article h3", has_text="The burst").click()
        wait_until(page, "window.tracewave.timeline.brushed !== null", timeout=WAIT)
        brushed = page.evaluate("window.tracewave.timeline.brushed")
        assert brushed == {"from": 1000 * opened, "until": 1000 * (opened + LASTED)}
        assert page.evaluate("window.tracewave.timeline.from <= window.tracewave.timeline.brushed.from")
        rows = page.locator(".changed tbody tr.named")
        expect(rows.filter(has_text="v07")).to_have_count(1, timeout=WAIT)
        assert {rows.nth(place).locator("th").inner_text() for place in (0, 1)} == {"v07", "v02"}
        expect(rows.first.locator(".excess")).to_have_text(re.compile(r"^\+[4-8]\d\.\d$"))
        expect(changed).to_contain_text("% accounted for")
        assert f"brush={opened:.0f}..{opened + LASTED:.0f}" in page.url
        page.keyboard.press("Escape")
        expect(changed).to_contain_text("Drag over the pulse", timeout=WAIT)
        assert seen.errors == []


def test_replay_of_a_card_sweeps_through_its_stretch_and_stops(browser, store, opened):
    with served(console(store)) as port, visit(browser, port) as seen:
        page = seen.page
        page.locator("article h3", has_text="The burst").click()
        page.evaluate(SWEEP)
        page.get_by_role("button", name="Replay").click()
        state = page.locator("#sheet-state")
        expect(state).to_have_text(re.compile(r"^Replaying \d\d:\d\d:\d\d 10×$"))
        expect(page.locator("#paused")).to_be_visible()
        expect(state).to_be_empty(timeout=WAIT)
        swept = page.evaluate("window.swept")
        assert swept == [1000 * (opened + second) for second in range(-BEFORE, LASTED + 10)]
        page.get_by_role("button", name="Replay").click()
        expect(state).to_contain_text("Replaying")
        page.keyboard.press("Escape")
        expect(state).to_be_empty()
        held = len(page.evaluate("window.swept"))
        page.wait_for_timeout(400)
        assert len(page.evaluate("window.swept")) == held
        assert seen.errors == []
