"""What frames do to the table that a page holds: windows told again, late ones, the quarter of an hour, another run."""

from __future__ import annotations

import math
import time

import pytest
from console_stand_in import SpokenControl, analysis, console, findings, served
from visiting import WAIT, visit
from waiting import wait_until

from tracewave_panel.model import Quality
from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

pytestmark = pytest.mark.browser

TABLE = "Bokeh.documents.map(each => each.get_model_by_name('live-table')).find(each => each)"
BEGIN = float(math.floor(time.time()) - 100)


def column(page, name: str) -> list:
    return page.evaluate(f"Array.from({TABLE}.get_column('{name}'), value => Number.isFinite(value) ? value : null)")


def rows_reach(page, count: int) -> None:
    wait_until(page, f"{TABLE}.get_column('start').length === {count}", timeout=WAIT)


def test_window_that_is_told_again_changes_where_it_lies(browser):
    store = RingStore()
    store.append(
        findings(BEGIN + 3, *(analysis(BEGIN + n, quality=Quality.GAP if n == 1 else Quality.OK) for n in range(3)))
    )
    with served(console(store)) as port, visit(browser, port) as seen:
        rows_reach(seen.page, 3)
        assert column(seen.page, "observed") == [41.0, None, 41.0]
        store.append(findings(BEGIN + 4, analysis(BEGIN + 1, 33.0, quality=Quality.REVISED, revision=1)))
        wait_until(seen.page, f"{TABLE}.get_column('observed')[1] === 33", timeout=WAIT)
        assert column(seen.page, "start") == [(BEGIN + n) * 1000 for n in range(3)]
        assert column(seen.page, "gap") == [None, None, None]
        assert seen.errors == []


def test_window_from_before_that_was_never_told_finds_its_place(browser):
    store = RingStore()
    store.append(findings(BEGIN + 3, analysis(BEGIN), analysis(BEGIN + 2)))
    with served(console(store)) as port, visit(browser, port) as seen:
        rows_reach(seen.page, 2)
        store.append(findings(BEGIN + 4, analysis(BEGIN + 1, 17.0)))
        rows_reach(seen.page, 3)
        assert column(seen.page, "start") == [(BEGIN + n) * 1000 for n in range(3)]
        assert column(seen.page, "observed") == [41.0, 17.0, 41.0]
        assert seen.errors == []


def test_page_holds_a_quarter_of_an_hour(browser):
    store = RingStore()
    store.append(findings(BEGIN, *(analysis(BEGIN - 900 + n) for n in range(900))))
    with served(console(store)) as port, visit(browser, port) as seen:
        rows_reach(seen.page, 900)
        for second in range(3):
            store.append(findings(BEGIN + second + 1, analysis(BEGIN + second)))
        wait_until(seen.page, f"{TABLE}.get_column('start').at(-1) === {(BEGIN + 2) * 1000}", timeout=WAIT)
        starts = column(seen.page, "start")
        assert starts == [(BEGIN - 897 + n) * 1000 for n in range(900)]


@pytest.mark.parametrize("what", ["run", "detectors"])
def test_page_that_shows_something_else_is_loaded_again(browser, what):
    control = SpokenControl(detectors=("zscore", "ewma"))
    store = RingStore()
    first = analysis(BEGIN)
    store.append(
        findings(
            BEGIN + 1,
            type(first)(
                **{name: getattr(first, name) for name in first.__struct_fields__} | {"scores": first.scores[:2]}
            ),
        )
    )
    with served(console(store, control)) as port, visit(browser, port) as seen:
        page = seen.page
        rows_reach(page, 1)
        assert page.locator(".row.lane").count() == 2
        page.evaluate("window.mark = 1")
        if what == "run":
            control.run += 1
            store.clear()
        store.append(findings(BEGIN + 2, analysis(BEGIN + 1)))
        wait_until(page, "window.mark === undefined", timeout=WAIT)
        playwright.expect(page.locator(".row.lane")).to_have_count(5, timeout=WAIT)
        assert seen.errors == []


@pytest.mark.slow
def test_page_answers_how_far_it_has_drawn(browser):
    store = RingStore()
    store.append(findings(BEGIN + 1, analysis(BEGIN)))
    with served(console(store)) as port, visit(browser, port) as seen:
        rows_reach(seen.page, 1)
        frames = "Bokeh.documents.map(each => each.get_model_by_name('frames')).find(each => each)"
        wait_until(seen.page, f"{frames}.seen === JSON.parse({frames}.text).number", timeout=WAIT)
