"""The sheet of the Live page in a real Chromium: view, pause, cursor, brush, episodes and replay on one time axis."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from itertools import pairwise

import pytest
from console_stand_in import analysis, anomaly, console, findings, served
from visiting import WAIT, running, told_store, visit
from waiting import wait_until

from tracewave_panel.model import Quality
from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
expect = playwright.expect

pytestmark = pytest.mark.browser

AXIS = "window.tracewave.timeline"
LAST = f"{AXIS}.end"
VIEW = f"[{AXIS}.from, {AXIS}.until]"
FRAME = """() => {
    const views = [];
    const walk = (view) => { views.push(view); for (const child of view.child_views ?? []) walk(child); };
    for (const view of Bokeh.index) walk(view);
    const {left, width} = views.find((view) => view.frame).frame.bbox;
    return [left, width];
}"""
PLACES = """() => [...document.querySelectorAll('.ph > *, .seg button, .rows, #glass')]
    .filter((node) => node.id !== 'sheet-state')
    .map((node) => node.getBoundingClientRect())
    .map(({x, y, width, height}) => [x, y, width, height])"""


@contextmanager
def page_at(browser, port: int, query: str = "", **options):
    """A page that complains of nothing."""
    with visit(browser, port, f"/{query}", **options) as seen:
        yield seen.page
        assert seen.errors == []


@pytest.fixture(scope="module")
def still(browser):
    """A page of five minutes that do not move."""
    with served(console(told_store())) as port, page_at(browser, port) as page:
        yield page


@pytest.fixture
def sheet(still):
    """The page that does not move, as it is when it is opened."""
    still.mouse.move(2, 2)
    still.evaluate(f"{AXIS}.stopReplay(); {AXIS}.clearBrush(); {AXIS}.resume(); {AXIS}.point(null)")
    still.get_by_role("button", name="5 min", exact=True).click()
    return still


@pytest.fixture
def live(browser):
    """A page that gets a window a second."""
    store = told_store()
    with running(store), served(console(store)) as port, page_at(browser, port) as page:
        yield page


def spot(page, across: float, row: str = "pulse", down: float = 0.5) -> tuple[float, float]:
    """Pixel at parts of the plots' width and of one row's height."""
    glass, plot = page.locator("#glass").bounding_box(), page.locator(f".row.{row} .plot").first.bounding_box()
    return glass["x"] + across * glass["width"], plot["y"] + down * plot["height"]


def drag(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, end[1], steps=3)
    page.mouse.move(*end, steps=3)
    page.mouse.up()
    page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def brushed(page) -> list[float] | None:
    """Parts of the view that are brushed."""
    return page.evaluate(f"{AXIS}.brushed && [{AXIS}.brushed.from, {AXIS}.brushed.until].map({AXIS}.across)")


def heard(page, name: str) -> None:
    page.evaluate(
        f"window.heard = []; window.addEventListener('tracewave:{name}', ({{detail}}) => window.heard.push(detail))"
    )


def test_zoom_and_pan_survive_the_next_window_and_double_click_follows(live):
    live.mouse.move(*spot(live, 0.4))
    live.keyboard.down("Control")
    live.mouse.wheel(0, -400)
    live.keyboard.up("Control")
    drag(live, spot(live, 0.4, "lane"), spot(live, 0.6, "lane"))
    expect(live.locator("#follow")).to_be_visible()
    held, last = live.evaluate(VIEW), live.evaluate(LAST)
    assert held[1] - held[0] < 200_000
    assert held[1] < last
    wait_until(live, f"{LAST} >= {last} + 2000", timeout=WAIT)
    assert live.evaluate(VIEW) == held
    assert f"from={held[0] / 1000:.0f}" in live.url
    live.mouse.dblclick(*spot(live, 0.5, "lane"))
    expect(live.locator("#follow")).to_be_hidden()
    assert live.evaluate(f"{AXIS}.until === {LAST}")
    wait_until(live, "!location.search.includes('from=')", timeout=WAIT)


def test_shift_and_drag_pans_on_the_pulse_and_no_margin_is_left_on_the_right(sheet):
    before = sheet.evaluate(VIEW)
    sheet.keyboard.down("Shift")
    drag(sheet, spot(sheet, 0.7), spot(sheet, 0.2))
    sheet.keyboard.up("Shift")
    assert sheet.evaluate(VIEW) == before
    assert brushed(sheet) is None


def test_pause_holds_the_picture_counts_what_waits_and_going_on_shows_it_all(live):
    before = live.evaluate(LAST)
    live.locator("body").click(position={"x": 700, "y": 10})
    live.keyboard.press("Space")
    button = live.get_by_role("button", name="Go on")
    expect(button).to_have_attribute("aria-pressed", "true")
    banner = live.locator("#paused")
    expect(banner).to_contain_text("You look at")
    expect(banner).to_contain_text("3 newer windows are waiting", timeout=WAIT)
    assert live.evaluate(LAST) <= before + 2000
    assert live.evaluate("performance.now() - window.tracewave.rowAt") < 3000
    held = live.evaluate(LAST)
    button.click()
    expect(banner).to_be_hidden()
    wait_until(live, f"{LAST} >= {held} + 3000", timeout=WAIT)
    assert live.evaluate(f"{AXIS}.until === {LAST}")


def test_cursor_steps_by_window_from_the_keyboard_and_all_rows_read_it_out(sheet):
    last = sheet.evaluate(f"{AXIS}.column('start').at(-1)")
    sheet.keyboard.press("[")
    sheet.keyboard.press("[")
    assert sheet.evaluate(f"{AXIS}.cursor") == last - 1000
    sheet.keyboard.press("]")
    clock = sheet.evaluate(f"window.tracewave.clock({last})")
    expect(sheet.locator("#glass .flag")).to_have_text(clock)
    expect(sheet.locator(".row.pulse .o")).to_contain_text(f"at {clock}")
    expect(sheet.locator(".row.lane .dot").first).to_be_visible()
    expect(sheet.get_by_role("slider", name="Cursor")).to_have_attribute(
        "aria-valuetext", re.compile(rf"{clock} UTC, [0-9.]+")
    )
    sheet.keyboard.press("Escape")
    expect(sheet.locator("#glass .flag")).to_be_hidden()


def test_cursor_and_dots_lie_where_the_plots_draw_the_window(sheet):
    sheet.mouse.move(*spot(sheet, 0.503))
    glass, dot = sheet.locator("#glass").bounding_box(), sheet.locator(".row.pulse .dot").bounding_box()
    across = sheet.evaluate(f"{AXIS}.across({AXIS}.cursor)")
    assert across == pytest.approx(0.503, abs=0.002)
    assert dot["x"] + dot["width"] / 2 == pytest.approx(glass["x"] + across * glass["width"], abs=1)
    frame = sheet.evaluate(FRAME)
    row = sheet.locator(".row.pulse .plot").bounding_box()
    assert frame == pytest.approx([glass["x"] - row["x"], glass["width"]], abs=1)


def test_drag_over_the_pulse_brushes_and_the_others_hear_of_it_when_it_settles(sheet):
    heard(sheet, "brush")
    drag(sheet, spot(sheet, 0.3), spot(sheet, 0.5))
    assert brushed(sheet) == pytest.approx([0.3, 0.5], abs=0.01)
    expect(sheet.locator("#glass .brush")).to_be_visible()
    wait_until(sheet, f"window.heard.at(-1)?.end === {AXIS}.brushed.until")
    told = sheet.evaluate("window.heard.at(-1)")
    assert told["end"] - told["start"] == pytest.approx(60_000, abs=3000)
    assert f"brush={told['start'] / 1000:.0f}..{told['end'] / 1000:.0f}" in sheet.url


def test_brush_is_moved_and_its_handles_resize_it_by_mouse_and_by_key(sheet):
    drag(sheet, spot(sheet, 0.3), spot(sheet, 0.5))
    drag(sheet, spot(sheet, 0.4, down=0.3), spot(sheet, 0.6, down=0.3))
    assert brushed(sheet) == pytest.approx([0.5, 0.7], abs=0.01)
    handle = sheet.get_by_role("slider", name="End of the brushed range")
    box = handle.bounding_box()
    drag(sheet, (box["x"] + 3, box["y"] + 10), spot(sheet, 0.8))
    assert brushed(sheet) == pytest.approx([0.5, 0.8], abs=0.01)
    before = sheet.evaluate(f"{AXIS}.brushed.until")
    handle.focus()
    sheet.keyboard.press("ArrowLeft")
    assert sheet.evaluate(f"{AXIS}.brushed.until") == before - 1000


@pytest.mark.parametrize("how", ["escape", "click outside", "another part of the page"])
def test_brush_is_cleared(sheet, how):
    drag(sheet, spot(sheet, 0.3), spot(sheet, 0.5))
    wait_until(sheet, "location.search.includes('brush=')")
    if how == "escape":
        sheet.keyboard.press("Escape")
    elif how == "click outside":
        sheet.mouse.click(*spot(sheet, 0.8))
    else:
        sheet.evaluate("window.tracewave.announce('brush', null)")
    expect(sheet.locator("#glass .brush")).to_be_hidden()
    wait_until(sheet, "!location.search.includes('brush=')")


def test_b_brushes_from_the_cursor_to_the_cursor(sheet):
    sheet.evaluate(f"{AXIS}.point({LAST} - 60000)")
    sheet.keyboard.press("b")
    expect(sheet.locator("#glass .brush")).to_have_class("brush growing")
    for _ in range(5):
        sheet.keyboard.press("]")
    sheet.keyboard.press("b")
    expect(sheet.locator("#glass .brush")).to_have_class("brush")
    assert sheet.evaluate(f"{AXIS}.brushed.until - {AXIS}.brushed.from") == 6000


def test_address_brings_back_range_view_and_brush(browser):
    store = told_store()
    begin = store.analyses().items[0].window.start
    query = f"?range=2&from={begin + 60:.0f}&to={begin + 180:.0f}&brush={begin + 100:.0f}..{begin + 120:.0f}"
    with served(console(store)) as port:
        with page_at(browser, port, query) as page:
            assert page.evaluate(VIEW) == [(begin + 60) * 1000, (begin + 180) * 1000]
            assert page.evaluate(f"[{AXIS}.brushed.from, {AXIS}.brushed.until]") == [
                (begin + 100) * 1000,
                (begin + 120) * 1000,
            ]
            expect(page.get_by_role("button", name="2 min", exact=True)).to_have_attribute("aria-pressed", "true")
        with page_at(browser, port, f"?range=15&brush={begin - 900:.0f}..{begin - 800:.0f}") as page:
            assert page.evaluate(f"{AXIS}.until - {AXIS}.from") == 900_000
            assert page.evaluate(f"{AXIS}.brushed") is None
            assert "brush" not in page.url


def test_picked_card_shows_its_stretch_with_room_before_and_after(sheet):
    opened, closed = sheet.evaluate(f"[{LAST} - 170000, {LAST} - 147000]")
    sheet.evaluate(f"window.tracewave.announce('card', {{id: 'x', opened: {opened}, closed: {closed}}})")
    begin, end = sheet.evaluate(VIEW)
    assert opened - begin >= 15_000
    assert end - closed >= 15_000
    expect(sheet.locator("#follow")).to_be_visible()


def test_episode_that_is_no_longer_held_is_said_and_the_view_stays(sheet):
    before = sheet.evaluate(VIEW)
    for name in ("card", "replay-episode"):
        sheet.evaluate(
            f"window.tracewave.announce('{name}', {{id: 'x', opened: {before[0]} - 9e6, closed: {before[0]} - 8e6}})"
        )
        expect(sheet.locator("#sheet-state")).to_contain_text("before the first window held here")
    assert sheet.evaluate(VIEW) == before
    expect(sheet.locator("#paused")).to_be_hidden()


def test_replay_sweeps_the_cursor_through_the_episode_and_escape_stops_it(sheet):
    opened, closed = sheet.evaluate(f"[{LAST} - 170000, {LAST} - 147000]")
    sheet.evaluate(f"window.tracewave.announce('replay-episode', {{id: 'x', opened: {opened}, closed: {closed}}})")
    expect(sheet.locator("#paused")).to_be_visible()
    assert sheet.evaluate(VIEW) == [opened - 60_000, closed + 10_000]
    expect(sheet.locator("#sheet-state")).to_contain_text("Replaying")
    expect(sheet.locator("#sheet-state")).to_contain_text("10×")
    first = sheet.evaluate(f"{AXIS}.cursor")
    wait_until(sheet, f"{AXIS}.cursor >= {first} + 8000", timeout=WAIT)
    sheet.keyboard.press("Escape")
    expect(sheet.locator("#sheet-state")).to_be_empty()
    at = sheet.evaluate(f"{AXIS}.cursor")
    sheet.wait_for_timeout(400)
    assert sheet.evaluate(f"{AXIS}.cursor") == at


def test_gap_and_backfilled_stretches_are_named_and_names_never_overlap(sheet):
    expect(sheet.locator(".stretches span", has_text="gap 18 s")).to_be_visible()
    for minutes in ("2 min", "5 min", "15 min"):
        sheet.get_by_role("button", name=minutes, exact=True).click()
        boxes = [
            box
            for word in sheet.locator(".episode:visible, .stretches span:visible").all()
            if (box := word.bounding_box())
        ]
        boxes.sort(key=lambda box: box["x"])
        for one, next_one in pairwise(boxes):
            assert one["x"] + one["width"] <= next_one["x"] + 1


def test_many_episodes_close_together_drop_to_their_marks(browser):
    store = told_store(120)
    begin = store.analyses().items[0].window.start
    for number in range(6):
        opened = begin + 60 + 8 * number
        store.append(findings(opened + 5, anomalies=[anomaly(opened, opened + 4, title=f"Burst {number} " + "x" * 40)]))
    with served(console(store)) as port, page_at(browser, port) as page:
        assert page.locator(".episode:visible").count() >= 6
        assert page.locator(".episode span:visible").count() < page.locator(".episode:visible").count()


def test_window_told_again_turns_from_gap_to_backfilled(browser):
    store = RingStore()
    begin = float(int(time.time()) - 60)
    for second in range(60):
        quality = Quality.GAP if 20 <= second < 40 else Quality.OK
        store.append(findings(begin + second + 1, analysis(begin + second, quality=quality)))
    with served(console(store)) as port, page_at(browser, port, "?range=2") as page:
        expect(page.locator(".stretches")).to_contain_text("gap 20 s")
        again = [analysis(begin + 20 + second, quality=Quality.REVISED, revision=1) for second in range(20)]
        store.append(findings(begin + 61, *again))
        expect(page.locator(".stretches")).to_contain_text("backfilled")
        expect(page.locator(".stretches")).not_to_contain_text("gap")


@pytest.mark.parametrize("width", [1440, 1024, 420])
def test_nothing_outside_the_plots_moves_between_two_windows(browser, width):
    store = told_store()
    with (
        running(store),
        served(console(store)) as port,
        page_at(browser, port, viewport={"width": width, "height": 1000}) as page,
    ):
        page.wait_for_timeout(1500)
        before, last = page.evaluate(PLACES), page.evaluate(LAST)
        wait_until(page, f"{LAST} >= {last} + 2000", timeout=WAIT)
        assert page.evaluate(PLACES) == before


def test_every_control_shows_its_focus_and_has_a_name(sheet):
    drag(sheet, spot(sheet, 0.3), spot(sheet, 0.5))
    controls = sheet.locator(".sheet button:visible, .sheet [role=slider]:visible").all()
    assert len(controls) >= 8
    for control in controls:
        assert control.get_attribute("aria-label") or control.inner_text().strip()
    sheet.locator("#pause").focus()
    sheet.keyboard.press("Tab")
    reached = [sheet.evaluate("document.activeElement.id")]
    sheet.keyboard.press("Shift+Tab")
    assert sheet.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached != ["pause"]
