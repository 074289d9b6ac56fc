"""The console in a notebook: what `live` gives, refuses, and leaves behind, and the notebook that shows it."""

from __future__ import annotations

import asyncio
import gc
import html
import http.client
import re
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pandas as pd
import psutil
import pytest
from console_stand_in import DETECTORS, analysis, anomaly, event, findings
from nbclient import NotebookClient
from running import ask, free_port, until

import tracewave_panel
from tracewave_panel import LiveView, Mapping, Run, live
from tracewave_panel.errors import ConfigError, PortInUseError, RecordingError
from tracewave_panel.model import Quality
from tracewave_panel.settings import Settings

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("tracewave")}


def frame_of(view: LiveView) -> dict[str, str]:
    """Attributes of the iframe that a cell shows."""
    [tag] = re.findall(r"<iframe ([^>]*)>", view._repr_mimebundle_()["text/html"])
    return {name: html.unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}


def answer(url: str, path: str = "healthz", **headers: str) -> tuple[int, str]:
    place = urlsplit(url)
    asked = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
    asked.request("GET", f"/{path}", headers=headers)
    answered = asked.getresponse()
    try:
        return answered.status, "" if answered.status == 101 else answered.read().decode()
    finally:
        asked.close()


def may_open(port: int, origin: str) -> bool:
    """Whether a page of that site may open a websocket."""
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dHJhY2V3YXZlLXBhbmVsIQ==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "bokeh, no-token",
        "Origin": origin,
    }
    return answer(f"http://127.0.0.1:{port}/", "ws", **handshake)[0] != 403


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch, tmp_path):
    for name in (*HUB, "JUPYTERHUB_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    before = threads()
    yield
    assert threads() <= before


@pytest.fixture(scope="module")
def shown():
    with live("synthetic") as view:
        until(lambda: len(view.windows) > 3, 40)
        yield view


class TestWhatItHolds:
    @pytest.fixture(autouse=True)
    def _view(self):
        """A view over a store that only the test fills."""
        self.view = live("synthetic")
        self.view.stop()
        self.view.store.clear()
        yield
        self.view.stop()

    def test_windows_are_a_table_by_time_with_a_column_for_each_detector(self):
        self.view.store.append(findings(102.0, analysis(100.0), analysis(101.0, 130.0, (0.9, 0.8, 0.1, 0.1, 0.2))))
        windows = self.view.windows
        assert list(windows.columns[:8]) == ["observed", "expected", "spread", *DETECTORS]
        assert windows.index.name == "time"
        assert windows.index[1] == pd.Timestamp(101.0, unit="s", tz="UTC")
        assert windows["observed"].tolist() == [41.0, 130.0]
        assert windows["zscore"].tolist() == [0.1, 0.9]
        assert windows.loc["1970-01-01 00:01:40", "quality"] == "ok"

    def test_they_are_the_tables_of_a_run_which_does_not_change(self):
        self.view.store.append(findings(102.0, analysis(101.0, 10.0), anomalies=[anomaly(100.0)]))
        run = self.view.run
        self.view.store.append(findings(103.0, analysis(101.0, 55.0, quality=Quality.REVISED), events=[event(1.0, 1)]))
        assert isinstance(run, Run)
        assert (run.windows["observed"].tolist(), self.view.windows["observed"].tolist()) == ([10.0], [55.0])
        assert (len(run.events), len(self.view.events)) == (0, 1)
        assert len(self.view.scores) == len(DETECTORS)
        assert self.view.anomalies.equals(run.anomalies)
        assert "Bot burst" in repr(self.view.explain("edits-rate-100"))
        assert [type(each).__name__ for each in self.view.plot("1970-01-01 00:01")] == ["Overlay"] * 7

    def test_events_that_memory_let_go_are_counted(self):
        self.view.store.append(findings(1.0, events=[event(1.0, number) for number in range(5_010)]))
        assert self.view.events.attrs["missed"] == 10
        assert "5,000, the newest of 5,010" in repr(self.view.run)

    def test_tables_without_rows_have_their_columns(self):
        assert list(self.view.windows.columns[:8]) == ["observed", "expected", "spread", *DETECTORS]
        assert str(self.view.windows.index.dtype).endswith("UTC]")
        assert self.view.anomalies[["opened", "title"]].empty


def test_page_and_tables_move(shown):
    assert answer(shown.url) == (200, '{"status": "ok"}')
    assert "Tracewave" in answer(shown.url, "")[1]
    before = shown.windows.index[-1]
    until(lambda: shown.windows.index[-1] > before, 20)
    assert shown.windows["expected"].notna().any()
    assert not shown.stopped


def test_cell_shows_the_page_in_a_frame_and_a_terminal_shows_words(shown):
    frame = frame_of(shown)
    assert frame["data-tracewave"] == f"{shown.url}?embed=1"
    assert frame["title"] == "Tracewave"
    assert "width:100%;height:960px" in frame["style"]
    bundle = shown._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == f"Tracewave, synthetic: running at {shown.url} until .stop()"
    assert "jpThemeLight" in bundle["text/html"]


def test_it_listens_on_the_loopback_address_alone(shown):
    port = urlsplit(shown.url).port
    listening = [each.laddr for each in psutil.Process().net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert ("127.0.0.1", port) in listening
    assert {where.ip for where in listening} == {"127.0.0.1"}
    assert may_open(port, f"http://127.0.0.1:{port}")
    assert not may_open(port, "https://outside.invalid")


def test_two_views_know_nothing_of_each_other(shown):
    with live("synthetic", settings=["window.width=2"], page="health", theme="light", height=300) as other:
        assert other.url == f"http://127.0.0.1:{urlsplit(other.url).port}/health"
        assert frame_of(other)["src"] == f"{other.url}?embed=1&theme=light"
        assert "height:300px" in frame_of(other)["style"]
        assert urlsplit(other.url).port != urlsplit(shown.url).port
        until(lambda: len(other.windows) > 1, 40)
        assert other.windows.index.diff().max() == timedelta(seconds=2)
        assert shown.windows.index.diff().max() == timedelta(seconds=1)
    assert answer(shown.url)[0] == 200
    with pytest.raises(ConnectionRefusedError):
        answer(other.url)


def test_stopping_ends_threads_and_may_be_done_twice_and_what_was_seen_stays():
    before = threads()
    with live("synthetic", settings=Settings()) as view:
        until(lambda: len(view.windows), 40)
        assert {thread.name for thread in threads() - before} == {"tracewave-page", "tracewave-feed"}
        view.stop()
        assert threads() == before
        view.stop()
    assert view.stopped
    assert len(view.windows)
    assert view._repr_mimebundle_() == {"text/plain": "Tracewave, synthetic: stopped"}


def test_view_that_nobody_refers_to_any_more_stops():
    before = threads()
    view = live("synthetic")
    url = view.url
    del view
    gc.collect()
    until(lambda: threads() <= before, 10, every=0.1)
    with pytest.raises(ConnectionRefusedError):
        answer(url)


def test_rows_of_a_program_are_a_live_feed():
    async def orders():
        while True:
            await asyncio.sleep(0.02)
            yield {"country": "de"}

    mapping = Mapping(name="orders", title="Orders", dimensions=["country"])
    with live(orders, mapping=mapping) as view:
        until(lambda: len(view.windows) > 2, 40)
        assert repr(view).startswith("Tracewave, orders: running at")
        assert set(view.run.counts["value"]) == {"de"}
        assert set(view.events["series"]) == {"orders"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"source": [{"at": 1}]}, "a list needs a mapping that says what its fields mean"),
        ({"source": [{"at": 1}], "mapping": Mapping(time="at")}, "a list is no async iterable; what is all there"),
        ({"mapping": Mapping(time="at")}, "a mapping says what rows mean, and 'synthetic' is none"),
        ({"source": "sinthetic"}, "choose auto, wikimedia, synthetic, recording:PATH or own:FEED.toml"),
        ({"source": "recording:missing.jsonl.gz"}, "missing.jsonl.gz"),
        ({"speed": 0.0}, "speed=0.0 is not allowed; it is a positive number, or None"),
        ({"speed": float("nan")}, "speed=nan is not allowed"),
        ({"height": 0}, "height=0 is not allowed; it is pixels"),
        ({"page": "lives"}, "page='lives' is not allowed; it is one of live, explore"),
        ({"theme": "sepia"}, "theme='sepia' is not allowed; it is one of auto, dark, light"),
        ({"port": 70_000}, "port=70000 is not allowed"),
        ({"settings": ["window.widht=2"]}, "did you mean window.width"),
        ({"settings": "window.width=0"}, "not allowed"),
        ({"url": "javascript:alert(1)"}, "write it as https://host/path/{port}/"),
        ({"url": "https://hub.example.org/?x=1"}, "write it as"),
        ({"url": "/proxy/{port}/"}, "say the site's name"),
    ],
)
def test_argument_that_cannot_be_used_is_said_at_once_and_nothing_runs(arguments, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        live(**arguments)


def test_file_that_is_no_recording_and_port_that_is_taken_are_said_at_once(shown, tmp_path):
    (tmp_path / "a.gz").write_bytes(b"not one")
    with pytest.raises(RecordingError):
        live(f"recording:{tmp_path / 'a.gz'}")
    running = threads()
    with pytest.raises(PortInUseError, match="is taken by another program"):
        live("synthetic", port=urlsplit(shown.url).port)
    assert threads() == running


@pytest.mark.parametrize(
    ("environment", "arguments", "address", "origin"),
    [
        (HUB, {"origins": ["hub.example.org"]}, "/user/ada/proxy/{}/", "https://hub.example.org"),
        (HUB, {"origins": ["https://hub.example.org:8443"]}, "/user/ada/proxy/{}/", "https://hub.example.org:8443"),
        (
            {**HUB, "JUPYTERHUB_PUBLIC_URL": "https://hub.example.org/user/ada/"},
            {},
            "/user/ada/proxy/{}/",
            "https://hub.example.org",
        ),
        ({}, {"url": "https://lab.example.org/proxy/{port}"}, "https://lab.example.org/proxy/{}/", "https://lab.example.org"),
        (
            {},
            {"url": "/proxy/{port}/", "origins": ["localhost:8888"], "page": "tune"},
            "/proxy/{}/tune",
            "http://localhost:8888",
        ),
    ],
)  # fmt: skip
def test_behind_a_proxy_the_address_is_the_proxied_one_and_its_site_may_open_the_page(
    monkeypatch, environment, arguments, address, origin
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    with live("synthetic", port=port, **arguments) as view:
        assert view.url == address.format(port)
        assert frame_of(view)["data-tracewave"] == f"{view.url}?embed=1"
        assert may_open(port, origin)
        assert not may_open(port, "https://other.example.org")


def test_behind_a_hub_whose_name_nobody_said_the_page_is_refused_in_words(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    with pytest.raises(ConfigError, match=re.escape("/user/ada/proxy/{port}/: say the site's name")):
        live("synthetic")


def test_address_with_quotes_stays_an_attribute():
    with live("synthetic", url="""https://host.example.org/"><img src=x>/{port}/""") as view:
        assert "<img" not in view._repr_mimebundle_()["text/html"]
        assert frame_of(view)["data-tracewave"].startswith('https://host.example.org/"><img src=x>/')


def python(script: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=timeout, check=False
    )


def test_importing_the_package_brings_neither_panel_nor_pandas():
    heavy = ["panel", "bokeh", "holoviews", "pandas", "numpy", "numba", "pyarrow", "duckdb", "asyncio", "msgspec"]
    script = f"import sys, tracewave_panel; dir(tracewave_panel); print(sorted(set({heavy}) & set(sys.modules)))"
    assert python(script).stdout.strip() == "[]"
    assert set(tracewave_panel.__all__) <= set(dir(tracewave_panel))
    with pytest.raises(AttributeError, match="has no attribute 'life'"):
        _ = tracewave_panel.life


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "1 / 0"])
def test_interpreter_that_ends_while_a_view_runs_hangs_nowhere_and_commits_what_was_seen(tmp_path, end):
    script = f"""
import time, tracewave_panel
view = tracewave_panel.live("synthetic", data={str(tmp_path)!r})
while len(view.windows) < 3:
    time.sleep(0.1)
{end}
"""
    ended = python(script)
    assert ended.returncode == {"": 0, "1 / 0": 1}[end], ended.stderr
    said = [line for line in ended.stderr.splitlines() if line and not line.startswith(" ")]
    assert said == (
        [] if "/" not in end else ["Traceback (most recent call last):", "ZeroDivisionError: division by zero"]
    )
    assert ask("select count(*) as n from windows", tmp_path)[0]["n"] >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert [cell.execution_count for cell in code] == [None] * len(code)


def test_cells_of_the_notebook_run_in_a_kernel_which_leaves_nothing_behind(tmp_path, monkeypatch):
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = nbformat.read(ROOT / "notebooks" / "00_live_page.ipynb", as_version=4)
    client = NotebookClient(notebook, kernel_name="python3", timeout=60)
    with client.setup_kernel():
        process = psutil.Process(client.km.provisioner.pid)
        shown: dict[str, dict] = {}
        for place, cell in enumerate(notebook.cells):
            client.execute_cell(cell, place)
            if cell.cell_type == "code":
                shown[cell.id] = cell.outputs[-1].data
        assert "<iframe" in shown["start"]["text/html"]
        assert "quality" in shown["windows"]["text/html"]
        assert "severity" in shown["anomalies"]["text/html"]
        assert shown["stop"] == {"text/plain": "Tracewave, synthetic: stopped"}
        client.nb.cells.append(nbformat.v4.new_code_cell("again = tracewave_panel.live('synthetic')\nprint(again.url)"))
        url = client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1).outputs[-1].text.strip()
        assert answer(url)[0] == 200
    until(lambda: not process.is_running(), 10, every=0.1)
    with pytest.raises(ConnectionRefusedError):
        answer(url)
