"""The notebook in a real JupyterLab and a real browser: the page lives inside the cell, and ends with it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from running import ROOT, Program, running, until
from waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOK = ROOT / "notebooks" / "00_live_page.ipynb"
TOKEN = "only-for-this-test"
WAIT = 90_000  # milliseconds; JupyterLab, a kernel and Panel start one after the other
ROW_END = "() => window.tracewave?.row?.end ?? 0"


@dataclass
class Lab:
    address: str
    program: Program
    folder: Path

    def kernels(self) -> list[psutil.Process]:
        children = psutil.Process(self.program.process.pid).children(recursive=True)
        return [child for child in children if any("ipykernel" in word for word in child.cmdline())]


@dataclass
class Seen:
    page: playwright.Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def lab(tmp_path) -> Iterator[Lab]:
    """A JupyterLab of its own: no file of the machine's, a free port, and no question to the outside."""
    work, runtime = tmp_path / "work", tmp_path / "runtime"
    work.mkdir()
    shutil.copy(NOTEBOOK, work)
    no_news = tmp_path / "jupyter_config_dir" / "labconfig" / "page_config.json"
    no_news.parent.mkdir(parents=True)
    no_news.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    own = {
        name: str(tmp_path / name.lower()) for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    }
    asked = (
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", f"--ServerApp.root_dir={work}"),
        *(f"--IdentityProvider.token={TOKEN}", "--LabApp.extension_manager=readonly"),
    )
    environment = {**own, "JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_PLATFORM_DIRS": "1", "PYTHONPATH": str(ROOT)}
    with running("-m", "jupyterlab", *asked, environment=environment) as program:
        until(lambda: told(runtime), 60)
        lab = Lab(told(runtime)["url"], program, work)
        try:
            yield lab
        finally:
            program.end()


def told(runtime: Path) -> dict | None:
    """What the server says of itself, once it listens."""
    with contextlib.suppress(json.JSONDecodeError):
        for path in runtime.glob("jpserver-*.json"):
            return json.loads(path.read_text())
    return None


@contextlib.contextmanager
def opened(browser, lab: Lab, **options) -> Iterator[Seen]:
    """The notebook's page, once its kernel is ready."""
    context = browser.new_context(viewport={"width": 1500, "height": 1250}, **options)
    seen = Seen(context.new_page())
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    try:
        seen.page.goto(f"{lab.address}lab/tree/{NOTEBOOK.name}?token={TOKEN}")
        seen.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=WAIT)
        seen.page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=WAIT)
        yield seen
    finally:
        context.close()


def run_next(seen: Seen) -> None:
    seen.page.keyboard.press("Shift+Enter")


def run_to(seen: Seen, place: int) -> None:
    """Select the code cell of that place and run it."""
    cell = seen.page.locator(".jp-CodeCell").nth(place)
    cell.locator(".cm-content").click()
    run_next(seen)


def page_in_cell(seen: Seen) -> playwright.Frame:
    handle = seen.page.locator("iframe[data-tracewave], iframe[title=Tracewave]").element_handle(timeout=WAIT)
    frame = handle.content_frame()
    frame.wait_for_selector("html[data-ready]", state="attached", timeout=WAIT)
    return frame


def test_page_moves_in_the_cell_until_it_is_stopped_and_the_kernel_leaves_nothing_behind(browser, lab):
    with opened(browser, lab, color_scheme="dark") as seen:
        run_to(seen, 0)
        frame = page_in_cell(seen)
        assert "embed=1&theme=light" in frame.url  # JupyterLab's own theme, whatever the system likes
        assert frame.evaluate("() => document.documentElement.dataset.theme") == "light"
        wait_until(frame, f"({ROW_END})() > 0", timeout=WAIT)
        before = frame.evaluate(ROW_END)
        wait_until(frame, f"({ROW_END})() >= {before} + 3", timeout=WAIT)
        assert frame.locator(".status").first.inner_text().startswith("SIMULATED")
        if pictures := os.environ.get("TRACEWAVE_PICTURES"):
            seen.page.screenshot(path=f"{pictures}/notebook.png")
        run_to(seen, 1)
        playwright.expect(seen.page.locator(".jp-OutputArea table").first).to_contain_text("quality", timeout=WAIT)
        run_to(seen, 3)
        seen.page.get_by_text("Tracewave, synthetic: stopped").wait_for(timeout=WAIT)
        # out of sight by now, so the browser draws no frame in it and only its text can be asked for
        until(lambda: frame.locator("span.status").first.inner_text().startswith("OFFLINE"), 60)
        assert seen.errors == []
        own = (lab.address, frame.url.split("?")[0], "data:", "blob:")
        assert [address for address in seen.requests if not address.startswith(own)] == []
        [kernel] = lab.kernels()
        lab.program.end()
        until(lambda: not kernel.is_running(), 20)


def test_kernel_that_is_restarted_takes_the_page_with_it_and_starts_another(browser, lab):
    with opened(browser, lab, color_scheme="light") as seen:
        run_to(seen, 0)
        first = page_in_cell(seen).url
        [before] = lab.kernels()
        seen.page.keyboard.press("Escape")
        seen.page.keyboard.press("0")
        seen.page.keyboard.press("0")
        seen.page.get_by_role("button", name="Confirm Kernel Restart").click()
        until(lambda: not before.is_running(), 20)
        seen.page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=WAIT)
        run_to(seen, 0)
        until(lambda: page_in_cell(seen).url != first, 60)
        frame = page_in_cell(seen)
        wait_until(frame, f"({ROW_END})() > 0", timeout=WAIT)
        assert len(lab.kernels()) == 1
        assert seen.errors == []
