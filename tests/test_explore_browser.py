"""The Explore page in a real Chromium: written, asked, stopped, sorted, drawn, downloaded, shared."""

from __future__ import annotations

import csv
import io
import json
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pyarrow.parquet as pq
import pytest
from console_stand_in import anomaly, findings, served, story
from console_stand_in import console as console_over
from page_checks import axe_source, check_axe, check_contrast, check_layout
from visiting import HOSTILE, WAIT, running, visit

from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.ports import Console
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.ring import RingStore

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parent / "screenshots"
ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 7"
ROWS = """SELECT TIMESTAMPTZ '2026-11-22 10:00:00+00' + INTERVAL (i // 3) MINUTE AS minute,
  ['en', 'de', 'fr'][1 + i % 3] AS wiki, (i * 37) % 101 AS edits,
  CASE WHEN i % 10 = 3 THEN NULL ELSE i / 8.0 END AS rate
FROM range(6000) t(i)"""


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    memory = RingStore()
    with DuckDBStore(tmp_path_factory.mktemp("explore") / "history.duckdb", WIKIMEDIA, commit_interval=0.2) as history:
        for each in story(time.time()):
            memory.append(each)
            history.append(each)
        hostile = anomaly(1_790_000_000.0, 1_790_000_060.0, id="odd 'id'", title=HOSTILE[1])
        memory.append(findings(1_790_000_061.0, anomalies=[hostile]))
        history.flush()
        plain = console_over(memory)
        with running(memory), served(Console(plain.feed, plain.store, plain.control, history)) as listening:
            yield listening


@contextmanager
def explore(browser, port: int, query: str = "", **options):
    with visit(browser, port, f"/explore{query}", **options) as seen:
        playwright.expect(seen.page.locator(".tree .rel").first).to_be_visible(timeout=WAIT)
        yield seen, seen.page
        assert seen.errors == []
        assert seen.outside(port) == []


@pytest.fixture(scope="module")
def opened(browser, port):
    with explore(browser, port, permissions=["clipboard-read", "clipboard-write"]) as each:
        yield each


@pytest.fixture
def page(opened):
    """A page for all that needs no address of its own: a visit costs seconds, a query a tenth of one."""
    seen, page = opened
    yield page
    assert seen.errors == []


def write(page, sql: str) -> None:
    page.get_by_role("textbox", name="SQL").fill(sql)


def run(page, sql: str, rows: str | None = None) -> None:
    write(page, sql)
    page.get_by_role("textbox", name="SQL").press("Control+Enter")
    if rows:
        playwright.expect(page.locator(".state")).to_contain_text(rows, timeout=WAIT)


def cells(page, column: int, many: int = 5) -> list[str]:
    return page.locator(f"tbody tr:not(.space) td:nth-child({column})").all_inner_texts()[:many]


def test_nothing_is_asked_of_history_before_somebody_presses_run(browser, port):
    sql = "SELECT 41 + 1 AS answer"
    with explore(browser, port, f"?sql={quote(sql)}") as (_, page):
        field = page.get_by_role("textbox", name="SQL")
        playwright.expect(field).to_have_value(sql)
        playwright.expect(page.locator(".from")).to_contain_text("from a link; nothing runs until you press Run")
        page.wait_for_timeout(600)
        assert page.locator("td").count() == 0
        page.get_by_role("button", name="Ask rate_by_minute.").click()
        playwright.expect(field).to_have_value("SELECT *\nFROM   rate_by_minute\nORDER  BY minute DESC\nLIMIT  100")
        page.go_back()
        playwright.expect(field).to_have_value(sql)
        page.get_by_role("button", name="Run", exact=True).click()
        playwright.expect(page.locator("td").first).to_have_text("42")
        playwright.expect(page.locator(".state")).to_contain_text("1 row in")


def test_schema_is_read_and_puts_names_into_the_query(page):
    write(page, "SELECT * FROM ")
    page.get_by_role("button", name="Columns of windows", exact=True).click()
    column = page.get_by_role("button", name="Insert quality, text").first
    column.hover()
    playwright.expect(page.locator(".schema .told")).to_contain_text("ok and backfilled are judged")
    page.get_by_role("button", name="Insert windows.", exact=False).first.click()
    page.keyboard.type(" WHERE ")
    page.keyboard.press("Escape")
    column.click()
    playwright.expect(page.get_by_role("textbox", name="SQL")).to_have_value("SELECT * FROM windows WHERE quality")
    assert page.locator(".tree .group").all_inner_texts() == ["Views", "Tables"]


def test_words_are_completed_from_the_schema_and_tab_is_given_back(page):
    field = page.get_by_role("textbox", name="SQL")
    write(page, "")
    field.press_sequentially("select qual")
    options = page.get_by_role("option")
    playwright.expect(options.first).to_contain_text("QUALIFY")
    field.press("Escape")
    playwright.expect(options).to_have_count(0)
    write(page, "")
    field.press_sequentially("SELECT w.qua FROM windows w")
    field.press("Escape")
    for _ in range(len(" FROM windows w")):
        field.press("ArrowLeft")
    field.press_sequentially("l")
    playwright.expect(options).to_have_text(["qualitytext"])
    field.press("Tab")
    playwright.expect(field).to_have_value("SELECT w.quality FROM windows w")
    field.press("Control+End")
    field.press("Enter")
    field.press("Tab")
    field.press_sequentially("wher")
    field.press("ArrowDown")
    field.press("ArrowUp")
    field.press("Enter")
    playwright.expect(field).to_have_value("SELECT w.quality FROM windows w\n  WHERE")
    field.press("Escape")
    field.press("Tab")
    playwright.expect(page.get_by_role("button", name="Run", exact=True)).to_be_focused()
    field.focus()
    page.keyboard.press("Tab")
    playwright.expect(page.get_by_role("button", name="Run", exact=True)).to_be_focused()
    field.focus()
    page.keyboard.press("Control+z")
    assert field.input_value() != "SELECT w.quality FROM windows w\n  WHERE", "undo takes back what was completed"


def test_query_that_runs_away_is_cancelled_and_another_one_runs(page):
    run(page, ENDLESS)
    playwright.expect(page.locator(".state")).to_contain_text("Running, 0.", timeout=WAIT)
    page.get_by_role("button", name="Cancel").click()
    playwright.expect(page.locator(".state")).to_have_text("Cancelled.", timeout=10_000)
    run(page, "SELECT 5 AS five", "1 row in")
    run(page, ENDLESS)
    playwright.expect(page.locator(".state")).to_contain_text("Running", timeout=WAIT)
    page.keyboard.press("Escape")
    playwright.expect(page.locator(".state")).to_have_text("Cancelled.", timeout=10_000)


@pytest.mark.slow
def test_query_that_runs_away_is_stopped_by_itself_and_says_so(page):
    run(page, ENDLESS)
    playwright.expect(page.get_by_role("alert")).to_contain_text("longer than 10 s", timeout=WAIT)


def test_error_is_in_words_and_its_place_is_marked(page):
    run(page, "SELECT start,\n  nothing\nFROM windows")
    alert = page.get_by_role("alert")
    playwright.expect(alert).to_contain_text("no column nothing", timeout=WAIT)
    playwright.expect(page.locator(".fault")).to_have_text("nothing")
    alert.get_by_role("button", name="line 2").click()
    page.keyboard.type("quality")
    playwright.expect(page.get_by_role("textbox", name="SQL")).to_have_value("SELECT start,\n  quality\nFROM windows")
    playwright.expect(page.locator(".fault")).to_have_count(0)
    run(page, "DROP TABLE windows")
    playwright.expect(alert).to_contain_text("Only SELECT")
    run(page, "SELECT * FROM range(20000)")
    playwright.expect(alert).to_contain_text("more than 10000 rows")
    run(page, "  ")
    playwright.expect(alert).to_contain_text("the editor is empty")


def test_rows_are_sorted_and_only_some_are_nodes(page):
    run(page, ROWS, "6,000 rows in")
    playwright.expect(page.locator(".result .ph")).to_contain_text("of 6,000; the first 5,000 are here")
    assert page.locator("tbody tr").count() < 80
    assert cells(page, 1, 2) == ["2026-11-22 10:00", "2026-11-22 10:00"]
    assert cells(page, 4, 4) == ["0.000", "0.125", "0.250", "NULL"]
    heading = page.get_by_role("columnheader", name="rate").get_by_role("button")
    heading.click()
    assert cells(page, 4, 2) == ["624.875", "624.750"]
    assert page.get_by_role("columnheader", name="rate").get_attribute("aria-sort") == "descending"
    heading.click()
    assert cells(page, 4, 2) == ["0.000", "0.125"]
    page.locator(".table-room").evaluate("room => { room.scrollTop = room.scrollHeight; }")
    playwright.expect(page.locator("tbody tr").last.locator("td").nth(3)).to_have_text("NULL")
    heading.click()
    page.get_by_role("columnheader", name="wiki").get_by_role("button").click()
    page.locator(".table-room").evaluate("room => { room.scrollTop = 0; }")
    playwright.expect(page.locator("tbody tr").first.locator("td").nth(1)).to_have_text("de")


def test_charts_are_drawn_of_chosen_columns_or_say_why_not(page):
    drawing = page.locator(".chart-room svg")
    run(page, f"SELECT * FROM ({ROWS}) WHERE minute < TIMESTAMPTZ '2026-11-22 11:00:00+00'", "180 rows in")
    playwright.expect(page.get_by_role("img", name="Line: edits by minute and wiki, 180 rows")).to_be_visible()
    assert page.locator(".lg bdi").all_inner_texts() != []
    assert drawing.locator("path.ln").count() == 3
    page.get_by_role("button", name="Heat map").click()
    playwright.expect(page.get_by_role("img", name="Heat map: edits by minute and wiki")).to_be_visible()
    page.get_by_role("button", name="Bar", exact=True).click()
    page.locator(".choices").get_by_label("across").select_option(label="wiki")
    page.locator(".choices").get_by_label("up").select_option(label="number of rows")
    playwright.expect(page.get_by_role("img", name="Bar: number of rows by wiki")).to_be_visible()
    assert drawing.locator("rect[rx]").count() == 3
    drawing.hover(position={"x": 200, "y": 20})
    playwright.expect(page.locator(".chart-foot")).to_contain_text(": 60")
    page.get_by_role("button", name="Line", exact=True).click()
    playwright.expect(page.locator(".chart .none")).to_contain_text("wiki is text. Bars can show it.")
    assert parse_qs(urlsplit(page.url).query)["chart"] == ["line~wiki~*~"]
    run(page, "SELECT 'a' AS one WHERE false", "0 rows in")
    playwright.expect(page.locator(".chart .none")).to_contain_text("no rows")
    playwright.expect(page.locator(".result .none")).to_contain_text("found no rows")


def test_three_downloads_hold_the_whole_answer(page):
    run(page, ROWS, "6,000 rows in")
    files = {}
    for name in ("CSV", "Parquet", "JSON"):
        with page.expect_download(timeout=WAIT) as coming:
            page.get_by_role("button", name=name, exact=True).click()
        files[name] = Path(coming.value.path()).read_bytes()
        assert coming.value.suggested_filename.endswith(f".{name.lower()}")
    table = pq.read_table(io.BytesIO(files["Parquet"])).to_pylist()
    rows = list(csv.DictReader(io.StringIO(files["CSV"].decode())))
    objects = json.loads(files["JSON"])
    assert len(table) == len(rows) == len(objects) == 6000
    for at in (0, 3, 5999):
        assert table[at]["edits"] == int(rows[at]["edits"]) == objects[at]["edits"] == (at * 37) % 101
        assert table[at]["rate"] == objects[at]["rate"] == (None if at % 10 == 3 else at / 8)
        assert rows[at]["rate"] == ("" if at % 10 == 3 else f"{at / 8:g}")
        assert table[at]["minute"].isoformat().replace("+00:00", "Z") == objects[at]["minute"]


def test_hostile_text_in_cells_names_and_errors_is_text(page):
    values = ", ".join(f"({place}, '{each.replace(chr(39), 2 * chr(39))}')" for place, each in enumerate(HOSTILE))
    name = HOSTILE[1].replace('"', '""')
    run(page, f'SELECT words AS "{name}", place FROM (VALUES {values}) t(place, words)', f"{len(HOSTILE)} rows in")
    shown = page.locator("tbody td:first-child")
    assert [each.replace("\u202e", "") for each in shown.all_inner_texts()][:2] == list(HOSTILE[:2])
    playwright.expect(page.locator("th").first).to_contain_text("<img src=x")
    run(page, f'SELECT "{name}" FROM windows')
    playwright.expect(page.get_by_role("alert")).to_contain_text("<img src=x", timeout=WAIT)
    page.wait_for_timeout(300)
    assert page.evaluate("window.struck") is None
    assert page.locator(".explore img, .explore script").count() == 0


def test_link_of_an_anomaly_fills_in_its_question(browser, port):
    with explore(browser, port, f"?anomaly={quote(chr(39).join(('odd ', 'id', '')))}") as (_, page):
        playwright.expect(page.locator(".explore .badge")).to_have_text("CRITICAL")
        playwright.expect(page.locator(".from")).to_contain_text(HOSTILE[1])
        field = page.get_by_role("textbox", name="SQL")
        assert "TIMESTAMPTZ '2026-09-21 14:13:20+00'" in field.input_value()
        page.get_by_role("button", name="Run", exact=True).click()
        playwright.expect(page.locator(".state")).to_contain_text("rows in", timeout=WAIT)
        assert page.evaluate("window.struck") is None
        sql = field.input_value()
        hours = "INTERVAL (i % 9) HOUR + TIMESTAMPTZ '2026-09-21 10:00:00+00' AS hour, 'n' || i // 9 AS name"
        run(page, f"SELECT {hours}, i AS edits FROM range(72) t(i)", "72 rows in")
        playwright.expect(page.locator(".chart-foot")).to_contain_text("the box marks the picked anomaly")
        page.get_by_role("button", name="Line", exact=True).click()
        playwright.expect(page.locator(".chart-foot")).to_contain_text("the shade marks the picked anomaly")
        page.get_by_role("button", name="The picked anomaly").click()
        playwright.expect(field).to_have_value(sql)
        playwright.expect(page.locator(".explore .badge")).to_be_visible()
        field.press("End")
        field.press_sequentially(" ")
        playwright.expect(page.locator(".explore .badge")).to_be_hidden()
        playwright.expect(page.locator(".result .ph")).to_contain_text("of the query before")
        page.evaluate("history.pushState({}, '', '?anomaly=unknown'); dispatchEvent(new PopStateEvent('popstate'))")
        playwright.expect(page.locator(".from")).to_contain_text("is not held here")
        assert page.get_by_role("textbox", name="SQL").input_value().startswith("--")


def test_card_leads_to_history_and_back_leads_to_the_card(browser, port):
    with visit(browser, port) as seen:
        page = seen.page
        link = page.get_by_role("link", name="Ask history").first
        playwright.expect(link).to_be_visible(timeout=WAIT)
        title = page.locator("article.open h3").first.inner_text()
        page.evaluate("window.first = true")
        link.click()
        playwright.expect(page.locator(".explore .from")).to_contain_text(title, timeout=WAIT)
        assert "anomaly=" in page.url
        page.go_back()
        playwright.expect(page.locator("article.open h3").first).to_be_visible()
        assert page.evaluate("window.first") is True
        assert seen.errors == []


def test_link_shares_query_and_chart_with_another_page(browser, port, page):
    sql = f"SELECT minute, edits, rate FROM ({ROWS}) LIMIT 20 -- ü & 100%"
    run(page, sql, "20 rows in")
    page.locator(".choices").get_by_label("up").select_option(label="rate")
    page.get_by_role("button", name="Bar", exact=True).click()
    page.get_by_role("button", name="Copy link").click()
    playwright.expect(page.locator(".state")).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    with explore(browser, port, link.partition("/explore")[2]) as (_, other):
        playwright.expect(other.get_by_role("textbox", name="SQL")).to_have_value(sql)
        other.get_by_role("button", name="Run", exact=True).click()
        playwright.expect(other.get_by_role("img", name="Bar: rate by minute, 18 rows")).to_be_visible(timeout=WAIT)


def test_back_leads_to_the_query_that_was_asked_before(page):
    field = page.get_by_role("textbox", name="SQL")
    run(page, "SELECT 1 AS one", "1 row in")
    page.wait_for_timeout(600)
    run(page, "SELECT 2 AS two", "1 row in")
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Busiest minutes").click()
    assert "ready=busiest-minutes" in page.url
    page.go_back()
    playwright.expect(field).to_have_value("SELECT 2 AS two")
    page.go_back()
    playwright.expect(field).to_have_value("SELECT 1 AS one")
    page.go_forward()
    playwright.expect(field).to_have_value("SELECT 2 AS two")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_page_with_an_answer_is_sound_at_every_width(browser, port, scheme):
    SCREENSHOTS.mkdir(exist_ok=True)
    found = []
    with explore(browser, port, color_scheme=scheme, reduced_motion="reduce") as (_, page):
        run(page, f"SELECT minute, wiki, edits FROM ({ROWS}) LIMIT 400", "400 rows in")
        for width in (1440, 1024, 420):
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_timeout(400)
            low = page.locator(".page.explore").bounding_box()
            inside = [part.bounding_box() for part in page.locator(".explore .panel").all()]
            assert all(box["y"] + box["height"] <= low["y"] + low["height"] for box in inside), "the footer is below"
            faults = [*check_layout(page), *check_contrast(page), *(check_axe(page) if axe_source() else [])]
            found += [f"{width}: {fault}" for fault in faults]
            page.screenshot(path=SCREENSHOTS / f"explore-answer-{scheme}-{width}.png", full_page=True)
    assert not found, "\n".join(found)


def test_without_history_the_page_says_so(browser):
    with served(console_over(RingStore())) as port, visit(browser, port, "/explore") as seen:
        page = seen.page
        playwright.expect(page.locator(".schema")).to_contain_text("no history is kept", timeout=WAIT)
        page.get_by_role("button", name="Run", exact=True).click()
        playwright.expect(page.get_by_role("alert")).to_contain_text("No history is kept", timeout=WAIT)
        assert seen.errors == []
