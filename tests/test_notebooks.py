"""The lessons: stored bare, short and closed to the outside, and every one runs from its first cell to its last."""

from __future__ import annotations

import ast
import os
import re
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from running import ROOT, free_port, running
from waiting import wait_until

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LESSONS = [path for path in NOTEBOOKS if re.match(r"0[1-6]_", path.name)]
LONGEST = 10  # lines of a function's body: what takes more belongs into the package
OUTSIDE = {"aiohttp", "httpx", "requests", "socket", "subprocess", "urllib", "urllib3", "websockets"}
DAY = ROOT.parent / "shared" / "data" / "wikipedia" / "druid_wikiticker-2015-09-12-sampled.json.gz"
TITLES = "() => Bokeh.documents.flatMap(one => [...one._all_models.values()].map(model => model.text))"
LOOPBACK_ONLY = """
import sys


def refuse_others(event, arguments):
    place = {"socket.connect": lambda: arguments[1], "socket.getaddrinfo": lambda: arguments}.get(event, tuple)()
    if isinstance(place, tuple) and place and str(place[0]) not in {"127.0.0.1", "::1", "localhost", "None", ""}:
        raise PermissionError(f"a lesson asked {place[0]} for something")


sys.addaudithook(refuse_others)
"""


def cells_of(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def named(path: Path) -> str:
    return path.stem


def test_there_are_six_lessons_in_order():
    assert [path.stem[:2] for path in LESSONS] == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_notebook_is_stored_bare(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = cells_of(path, "code")
    assert code
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert all(cell.id and not cell.metadata for cell in notebook.cells)


@pytest.mark.parametrize("path", LESSONS, ids=named)
def test_lesson_has_its_title_and_ends_with_an_exercise_whose_hint_is_folded(path):
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].source.startswith(f"# {path.stem[:2]} ")
    assert sum("**A question.**" in cell.source for cell in cells) == 1
    exercise = cells[-1].source
    assert exercise.startswith("## Exercise\n")
    assert exercise.count("<details><summary>Hint</summary>\n\n") == 1
    assert exercise.endswith("\n\n</details>")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_code_defines_nothing_long_and_asks_nobody_outside(path):
    for cell in cells_of(path, "code"):
        assert not re.search(r"^\s*[!%]|https?://", cell.source, re.MULTILINE), cell.id
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                assert node.end_lineno - node.body[0].lineno < LONGEST, f"{cell.id}: {node.name}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
                assert not {name.partition(".")[0] for name in names} & OUTSIDE, cell.id


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Jupyter's and temporary files in a folder of the test's, and a kernel that reaches this computer only."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "sitecustomize.py").write_text(LOOPBACK_ONLY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    monkeypatch.delenv("DRUID_DAY", raising=False)
    return tmp_path


def client_of(notebook: nbformat.NotebookNode, folder: Path) -> NotebookClient:
    return NotebookClient(notebook, kernel_name="python3", timeout=120, resources={"metadata": {"path": str(folder)}})


def executed(path: Path, folder: Path, claims: str) -> nbformat.NotebookNode:
    """The notebook after its cells were run in that folder, and after them what its words claim."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(claims))
    return client_of(notebook, folder).execute()


# what the prose of a lesson says of its numbers: it must not drift away from them
CLAIMS = {
    "01": """
assert first["title"] == "Bot surge on commons.wikimedia.org"
assert on_commons["editor"].value_counts(normalize=True).iloc[0] > 0.9
assert run.anomalies.sort_values("opened")["title"].iloc[1] == "Drop, global"
assert (why.table["excess"] / why.table["share"]).round().nunique() == 1
""",
    "02": """
assert np.abs(zscore - engine["zscore"]).max() < 1e-9 and np.abs(ewma - engine["ewma"]).max() < 1e-9
assert abs(nearest - engine["novelty"].iloc[now - len(hour)]) < 1e-9
assert np.allclose(by_hand["table"].astype(float), at_spike["p"].astype(float))
assert abs(parts.sum() - told["evidence"]) < 1e-9 and abs(days - told["rarity"]) < 1e-9
assert abs(confidence - spike["confidence"]) < 1e-9
order = list(fired.sort_values().index)
assert set(order[:2]) == {"trees", "novelty"} and order[2:] == ["ewma", "zscore"]
assert spike["opened"] < fired.min()
""",
    "03": """
assert done.windows == 1800 and len(minutes) == 5
different = past.query(question.sql).set_index("what")["excess"]
assert different.idxmax() == "wiki de.wikipedia.org" and different["wiki commons.wikimedia.org"] < 0
bright = by_wiki.set_index("wiki")["times_its_mean"].groupby("wiki").max()
assert set(bright[bright > 3].index) == {"commons.wikimedia.org", "de.wikipedia.org", "zh.wikipedia.org"}
""",
    "04": """
assert counted["found"].tolist() == [3, 4, 6, 6, 6, 4]
assert counted["false"].eq(0).all()
assert counted["median delay, s"].iloc[0] < counted["median delay, s"].iloc[2]
""",
    "05": "assert len(run.anomalies) == 1 and view.stopped",
    "06": "assert report.rows == 39_244 and 10 <= len(raised) <= 15 and raised['provisional'].all()",
}


@pytest.mark.notebooks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "folder"), [*((path, FOLDER) for path in LESSONS), (LESSONS[0], ROOT)], ids=lambda path: path.name
)
def test_lesson_runs_whole_without_a_warning_and_what_it_claims_holds(path, folder, alone):
    number = path.stem[:2]
    if number == "06" and not DAY.is_file():
        pytest.skip(f"needs the day of edits, {DAY}")
    before = set(folder.iterdir())
    began = time.monotonic()
    notebook = executed(path, folder, CLAIMS[number])
    print(f"{path.name} took {time.monotonic() - began:.0f} s")
    outputs = [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [(cell, output.text) for cell, output in outputs if output.get("name") == "stderr"] == []
    assert set(folder.iterdir()) == before


@pytest.mark.notebooks
@pytest.mark.slow
def test_day_that_is_not_there_ends_the_lesson_with_a_sentence_and_no_traceback(alone):
    notebook = nbformat.read(LESSONS[5], as_version=4)
    with pytest.raises(CellExecutionError):
        client_of(notebook, alone).execute()
    first, *others = [cell for cell in notebook.cells if cell.cell_type == "code"]
    [told] = first.outputs
    assert told.traceback == [told.evalue]
    assert "DRUID_DAY" in told.evalue
    assert not any(cell.outputs for cell in others)


@pytest.mark.browser
@pytest.mark.slow
def test_first_lesson_is_an_app_that_shows_the_plot(browser, alone):
    port = str(free_port())
    serving = ("-m", "panel", "serve", str(LESSONS[0]), "--port", port)
    with running(*serving, environment={"TMPDIR": str(alone)}) as program:
        program.wait_for("running at", 90)
        page = browser.new_page()
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://127.0.0.1:{port}/{LESSONS[0].stem}", timeout=90_000)
        page.get_by_role("heading", name="Half an hour of simulated edits").wait_for(timeout=90_000)
        page.locator("canvas").first.wait_for(timeout=90_000)
        assert page.locator("canvas").count() > 2
        chosen = page.locator("select")
        titles = chosen.locator("option").all_inner_texts()
        chosen.select_option(label=next(title for title in titles if "de.wikipedia" in title))
        wait_until(page, f"({TITLES})().includes('Surge on de.wikipedia.org')")
        if pictures := os.environ.get("TRACEWAVE_PICTURES"):
            page.screenshot(path=f"{pictures}/first_look_app.png", full_page=True)
        assert faults == []
        assert [
            address for address in asked if not address.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))
        ] == []
        page.close()
        program.end()
