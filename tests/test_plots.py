"""Plots of runs: what is drawn of which window, in the console's colours, and what a browser makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import holoviews as hv
import msgspec
import nbformat
import numpy as np
import pytest
from bokeh.models import GlyphRenderer, HoverTool
from bokeh.plotting import figure
from console_stand_in import DETECTORS, analysis, anomaly, findings, story
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from tracewave_panel import Run
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Contribution, Quality
from tracewave_panel.notebook.collected import Collected
from tracewave_panel.notebook.colours import colours
from tracewave_panel.notebook.pulse import TICK
from tracewave_panel.notebook.theming import _DRAWN
from tracewave_panel.notebook.thinning import Buckets

ROOT = Path(__file__).parents[1]
BEGIN = 1_790_000_000.0
HOSTILE = '<img src=x onerror="window.struck=1"><script>window.struck=1</script>'
# also of what is inside shadow roots, where Bokeh keeps its tooltips
ALL_TEXT = """() => {
  const within = (root) => [...root.querySelectorAll("*")].map((each) =>
    each.shadowRoot ? each.shadowRoot.textContent + within(each.shadowRoot) : "").join(" ");
  return within(document);
}"""

# colours of bars, each for itself
SHADES = """() => [...Bokeh.documents[0]._all_models.values()].flatMap((each) =>
  each.type === "ColumnDataSource" && "shade" in each.data ? Array.from(each.data.color) : [])"""


def run_of(*told) -> Run:
    collected = Collected(WIKIMEDIA, DETECTORS, most_events=0)
    for each in told:
        collected.take(each)
    return Run(collected, "a test")


@pytest.fixture(scope="module")
def tale() -> Run:
    """Five minutes with a gap, a backfill, partial and late windows, a closed drop and an open burst."""
    return run_of(*story(BEGIN))


def figures(plot) -> list[figure]:
    root = hv.renderer("bokeh").get_plot(plot).state
    return [child for child, *_ in root.children] if hasattr(root, "children") else [root]


def drawn(of: figure, kind: str) -> list[GlyphRenderer]:
    held = [each for each in of.renderers if isinstance(each, GlyphRenderer)]
    return [each for each in held if type(each.glyph).__name__ == kind]


def marks(of: figure) -> dict[str, int]:
    return {each.glyph.marker: len(each.data_source.data["time"]) for each in drawn(of, "Scatter")}


def strips(of: figure) -> list[GlyphRenderer]:
    return drawn(of, "VStrip")


@pytest.fixture(scope="module")
def sheet(tale):
    return figures(tale.plot(theme="dark"))


class TestSheet:
    def test_pulse_a_lane_a_detector_and_agreement_share_one_time_axis(self, sheet):
        assert len(sheet) == 2 + len(DETECTORS)
        assert len({each.x_range.id for each in sheet}) == 1
        assert len({each.y_range.id for each in sheet[:2]}) == 2
        names = [each.yaxis[0].axis_label for each in sheet]
        assert names == ["Events a second", "z-score", "EWMA", "Half-Space Trees", "Novelty", "Seasonal", "Agreement"]
        axis = sheet[0].x_range
        assert [np.datetime64(end, "s") for end in (axis.start, axis.end)] == [
            np.datetime64(int(BEGIN) - 300, "s"), np.datetime64(int(BEGIN), "s")
        ]  # fmt: skip

    def test_gaps_are_hatched_and_episodes_tinted_in_every_figure(self, sheet, tale):
        for each in sheet:
            tinted, hatched = strips(each)
            assert (len(tinted.data_source.data["start"]), len(hatched.data_source.data["start"])) == (2, 1)
            assert hatched.glyph.hatch_pattern == "right_diagonal_line"
        start, end = (hatched.data_source.data[name][0] / 1000 for name in ("start", "end"))
        gap = tale.windows.index[tale.windows["quality"] == "gap"]
        assert (start, end) == (gap[0].timestamp(), gap[-1].timestamp() + 1)

    def test_severity_is_told_by_shape_and_colour(self, sheet):
        shapes = {each.glyph.marker: each.glyph.fill_color for each in drawn(sheet[0], "Scatter")}
        assert shapes["triangle"] == colours("dark")["--warning"]
        assert shapes["diamond"] == colours("dark")["--critical"]

    def test_late_partial_and_backfilled_windows_are_told_apart(self, sheet, tale):
        pulse = sheet[0]
        windows = tale.windows
        assert marks(pulse)[TICK] == (windows["late"] > 0).sum()
        lines = {each.glyph.line_color: each.data_source.data["value"] for each in drawn(pulse, "Line")}
        dotted = lines[colours("dark")["--backfill"]]
        assert np.isfinite(dotted).sum() == (windows["quality"] == "backfilled").sum()
        assert np.isfinite(lines[colours("dark")["--live"]]).sum() == (windows["quality"] == "ok").sum()
        rings = [each for each in drawn(pulse, "Scatter") if each.glyph.line_color == colours("dark")["--partial"]]
        assert len(rings[0].data_source.data["time"]) == (windows["quality"] == "partial").sum()

    def test_lane_holds_the_scores_and_what_abstains_says_so(self, sheet, tale):
        [line] = drawn(sheet[1], "Line")
        np.testing.assert_array_equal(line.data_source.data["score"], tale.windows["zscore"])
        assert [each.data_source.data["text"] for each in drawn(sheet[5], "Text")] == [["Seasonal abstains throughout"]]
        assert drawn(sheet[1], "Text") == []

    def test_agreement_counts_the_detectors_that_fire(self, sheet, tale):
        [cells] = drawn(sheet[6], "Quad")
        scores = tale.windows[list(DETECTORS)]
        assert list(cells.data_source.data["fired"]) == list((scores >= 0.5).sum(axis=1)[scores.notna().any(axis=1)])

    def test_pointing_gives_exact_figures(self, sheet):
        pointed = [each for tool in sheet[0].tools if isinstance(tool, HoverTool) for each in tool.renderers]
        told = [each for each in drawn(sheet[0], "Scatter") if "title" in each.data_source.data]
        assert len(told) == 2
        assert [each for each in told if each not in pointed] == []
        facts = next(each for each in drawn(sheet[0], "Scatter") if "confidence" in each.data_source.data
                     and "quality" in each.data_source.data)  # fmt: skip
        assert len(facts.data_source.data["time"]) == 300

    @pytest.mark.parametrize("theme", ["dark", "light"])
    def test_grounds_and_lines_have_the_consoles_colours(self, tale, theme):
        shown = figures(tale.plot(theme=theme))
        assert {each.background_fill_color for each in shown} == {colours(theme)["--panel"]}
        assert drawn(shown[2], "Line")[0].glyph.line_color == colours(theme)["--d-ewma"]


class TestStretch:
    def test_start_and_end_show_a_part_whole(self, tale):
        windows = tale.windows
        shown = figures(tale.plot(windows.index[100], windows.index[160].isoformat(), theme="dark"))
        assert len(drawn(shown[1], "Line")[0].data_source.data["time"]) == 60
        assert marks(shown[0]).get("triangle", 0) == 1  # the drop overlaps it

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"start": "soon"}, "start='soon' is no moment"),
            ({"start": "2026-01-02", "end": "2026-01-01"}, "is not before end="),
            ({"theme": "sepia"}, "theme='sepia' is not allowed; it is one of auto, dark, light"),
            ({"metric": "speed"}, "there is no metric 'speed'; there is rate"),
        ],
    )
    def test_argument_that_cannot_be_used_is_said(self, tale, arguments, words):
        with pytest.raises(ConfigError, match=re.escape(words)):
            tale.plot(**arguments)

    def test_run_without_windows_is_an_empty_sheet(self):
        assert len(figures(run_of().plot(theme="dark"))) == 2 + len(DETECTORS)
        assert len(figures(run_of(findings(5.0, analysis(4.0, quality=Quality.GAP))).plot())) == 2 + len(DETECTORS)

    def test_no_line_is_drawn_where_there_are_no_windows(self):
        run = run_of(findings(900.0, *(analysis(float(at)) for at in (100, 101, 500, 501))))
        [line] = drawn(figures(run.plot(theme="dark"))[1], "Line")
        assert np.isnan(line.data_source.data["score"]).tolist() == [False, False, True, False, False]

    def test_long_runs_are_thinned_and_keep_every_extreme(self):
        run = run_of(findings(2e4, *(analysis(float(at), 400.0 if at == 7777 else 41.0) for at in range(10_000))))
        pulse = figures(run.plot(theme="dark"))[0]
        line = next(each for each in drawn(pulse, "Line") if each.glyph.line_color == colours("dark")["--live"])
        assert len(line.data_source.data["time"]) < 6_001
        assert max(line.data_source.data["value"]) == 400.0
        assert "lowest and highest of every 5" in pulse.title.text


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=200), st.integers(1, 40))
def test_thinning_keeps_each_buckets_extremes_and_holes_in_order(values, most):
    series = np.array(values)
    buckets = Buckets(len(series), most)
    places = buckets.extremes(series)
    assert len(buckets.starts) <= most
    assert (np.diff(places) > 0).all()
    for start in buckets.starts:
        held = series[start : start + buckets.size]
        kept = series[places[(places >= start) & (places < start + buckets.size)]]
        assert np.isnan(kept).any() == np.isnan(held).any()
        known = held[~np.isnan(held)]
        if len(known):
            assert (np.nanmin(kept), np.nanmax(kept)) == (known.min(), known.max())


class TestBars:
    def test_excess_is_drawn_signed_and_strong_where_it_leads(self):
        shown = run_of(findings(900.0, anomalies=[anomaly(100.0)])).explain("edits-rate-100").plot(theme="dark")
        [bars] = drawn(figures(shown)[0], "Quad")
        data = bars.data_source.data
        assert np.round(data["change"], 1).tolist() == [76.5, 75.3, 69.6, -2.7]
        assert (data["from"].min(), data["excess"].max()) == pytest.approx((-2.7, 76.5))
        assert list(data["shade"]) == [colours("dark")["--critical"]] * 3 + [colours("dark")["--text-3"]]

    def test_anomaly_without_contributions_has_an_empty_plot(self):
        run = run_of(findings(900.0, anomalies=[anomaly(100.0, contributions=())]))
        assert len(figures(run.explain("edits-rate-100").plot())) == 1


def test_no_colour_of_the_light_ground_stands_for_two_of_the_dark():
    light, dark = colours("light"), colours("dark")
    pairs: dict[str, set[str]] = {}
    for name in _DRAWN:
        pairs.setdefault(light[name], set()).add(dark[name])
    assert {colour: found for colour, found in pairs.items() if len(found) > 1} == {}


@pytest.mark.browser
class TestInABrowser:
    @pytest.fixture
    def page(self, browser):
        context = browser.new_context(viewport={"width": 1000, "height": 800}, color_scheme="dark")
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []
        context.close()

    def open(self, page, plot, tmp_path):
        hv.save(plot, tmp_path / "plot.html", backend="bokeh", resources="inline")
        page.goto((tmp_path / "plot.html").as_uri())
        page.wait_for_selector(".bk-Figure canvas, .bk-Figure", state="attached", timeout=60_000)
        page.wait_for_timeout(500)

    def test_plot_follows_a_dark_page_and_hostile_titles_are_words(self, page, tmp_path):
        part = Contribution("wiki", HOSTILE, 9.0, 1.0, 0.9, 9.0, named=True)
        quiet = msgspec.structs.replace(part, value="else", named=False)
        told = anomaly(105.0, 110.0, title=HOSTILE, contributions=(part, quiet))
        run = run_of(findings(900.0, *(analysis(float(at)) for at in range(100, 130)), anomalies=[told]))
        self.open(page, run.plot(), tmp_path)
        ground = "() => [...Bokeh.documents[0]._all_models.values()].filter((m) => m.type === 'Figure')"
        painted = page.evaluate(f"({ground})().map((each) => each.background_fill_color)")
        assert set(painted) == {colours("dark")["--panel"]}
        assert page.evaluate(SHADES) == []
        box = page.locator(".bk-Figure").first.bounding_box()
        across = iter(range(150, int(box["width"]), 5))
        while "onerror" not in page.evaluate(ALL_TEXT):
            page.mouse.move(box["x"] + next(across), box["y"] + 76)
        assert page.evaluate("window.struck") is None
        self.open(page, run.explain("edits-rate-105").plot(), tmp_path)
        assert page.evaluate(SHADES) == [colours("dark")["--critical"], colours("dark")["--text-3"]]
        down = iter(range(20, 100, 4))
        while "onerror" not in page.evaluate(ALL_TEXT):
            page.mouse.move(500, next(down))
            page.wait_for_timeout(100)
        assert page.evaluate("window.struck") is None

    @pytest.mark.slow
    def test_plot_is_shown_in_a_kernel_that_loaded_nothing_and_asks_no_other_machine(self, page, tmp_path, monkeypatch):
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            monkeypatch.setenv(name, str(tmp_path / name))
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        rows = (
            "from tracewave_panel import Mapping, replay\nmapping = Mapping(name='orders', time='at')\n"
            "run = replay([{'at': 1_767_225_600 + n} for n in range(90)], mapping=mapping)"
        )
        cells = [nbformat.v4.new_code_cell(code) for code in (rows, "run.plot()", "run.plot()")]
        notebook = nbformat.v4.new_notebook(cells=cells)
        NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
        _, first, second = (sum(map(len, map(str, cell.outputs))) for cell in notebook.cells)
        assert second < first / 4  # what draws is there once
        notebook.cells[1].outputs = [each for each in notebook.cells[1].outputs if each.data]
        notebook.cells[2].outputs = []
        (tmp_path / "book.html").write_text(HTMLExporter().from_notebook_node(notebook)[0])
        asked: list[str] = []
        page.route("http*://**", lambda route: (asked.append(route.request.url), route.abort()))
        page.goto((tmp_path / "book.html").as_uri())
        page.locator(".bk-Figure").first.wait_for(timeout=60_000)
        assert page.locator(".bk-Figure").count() == 2 + len(DETECTORS)
        assert [address for address in asked if "bokeh" in address or "panel" in address] == []

    def test_card_is_readable_and_nothing_in_it_runs(self, page, tmp_path):
        told = anomaly(105.0, title=HOSTILE, id=HOSTILE)
        told = msgspec.structs.replace(told, agreeing=(HOSTILE,))
        html = run_of(findings(900.0, anomalies=[told])).explain(HOSTILE)._repr_html_()
        (tmp_path / "card.html").write_text(f"<meta charset=utf-8><body>{html}")
        page.goto((tmp_path / "card.html").as_uri())
        assert page.locator(".t").inner_text() == HOSTILE
        assert page.evaluate("window.struck") is None
        rgb = page.locator(".tracewave").evaluate("(each) => getComputedStyle(each).backgroundColor")
        assert rgb == "rgb({}, {}, {})".format(*bytes.fromhex(colours("dark")["--panel"][1:]))


def test_code_of_the_guide_runs(tmp_path, monkeypatch, tale):
    text = (ROOT / "docs" / "notebooks.md").read_text()
    blocks = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "live(" not in block]
    assert len(blocks) == 4
    from tracewave_panel.model import Origin  # noqa: PLC0415
    from tracewave_panel.stores.duckdb import DuckDBStore  # noqa: PLC0415

    with DuckDBStore(tmp_path / "data" / "history.duckdb", WIKIMEDIA, origin=Origin.SIMULATED) as store:
        for each in story(BEGIN):
            store.append(each)
        store.flush(30)
    (tmp_path / "recordings").symlink_to(ROOT / "recordings")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert len(names["hour"].windows) == 300
    assert names["own"].summary.events == 600
