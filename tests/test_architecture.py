"""What the code may know: a core without clock, chance or outside, and imports that point down."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tracewave_panel"
CORE = sorted((PACKAGE / "core").rglob("*.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))

OUTSIDE = {
    "aiohttp", "asyncio", "bokeh", "duckdb", "holoviews", "http", "httpx", "io", "logging", "multiprocessing", "os",
    "pandas", "panel", "param", "pathlib", "pickle", "random", "secrets", "shutil", "socket", "ssl", "streamz",
    "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid", "zoneinfo",
}  # fmt: skip
REGISTRIES = [
    ("core.detectors", "DETECTORS"),
    ("buses", "BUSES"),
    ("sources", "SOURCES"),
    ("stores", "STORES"),
    ("app.views", "VIEWS"),
]
CLOCKS_AND_CHANCE = {"now", "utcnow", "today", "default_rng", "RandomState", "open", "print", "input"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "." * node.level


def calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            yield node.lineno, name


def importers(framework: str) -> set[str]:
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        for _, name in imports(path)
        if name.split(".")[0] == framework
    }


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_core_imports_no_clock_no_chance_and_nothing_outside(path):
    assert [(line, name) for line, name in imports(path) if name.split(".")[0] in OUTSIDE] == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_core_asks_no_clock_draws_nothing_and_opens_nothing(path):
    assert [(line, name) for line, name in calls(path) if name in CLOCKS_AND_CHANCE] == []


def test_the_walk_finds_what_it_looks_for(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("def f():\n    import time as t\n    from os import path\n    return datetime.datetime.now()\n")
    assert {name for _, name in imports(planted)} == {"time", "os"}
    assert [name for _, name in calls(planted)] == ["now"]


def test_streamz_lives_on_one_page():
    assert importers("streamz") == {"pipeline.py"}


@pytest.mark.parametrize(
    ("framework", "where"),
    [("panel", {"app"}), ("bokeh", {"app", "notebook"}), ("holoviews", {"notebook"}), ("pandas", {"notebook"})],
)
def test_what_draws_lives_in_pages_and_notebooks_alone(framework, where):
    found = importers(framework)
    assert {name.split("/")[0] for name in found} == where


def registry(module: str, name: str) -> dict[str, str]:
    return getattr(importlib.import_module(f"tracewave_panel.{module}"), name)


@pytest.mark.parametrize(("module", "name"), REGISTRIES)
def test_every_entry_of_a_registry_resolves_to_a_class_of_its_package(module, name):
    entries = registry(module, name)
    assert entries
    for dotted in entries.values():
        assert isinstance(pkgutil.resolve_name(dotted), type)
        assert dotted.startswith(f"tracewave_panel.{module}.")


def test_every_view_is_registered_under_the_name_of_its_file():
    from panel.custom import JSComponent  # noqa: PLC0415
    from panel.viewable import Viewer  # noqa: PLC0415 (Panel takes seconds to import)

    views = registry("app.views", "VIEWS")
    assert set(views) == {path.stem for path in (PACKAGE / "app" / "views").glob("*.py")} - {"__init__"}
    assert all(issubclass(pkgutil.resolve_name(dotted), (Viewer, JSComponent)) for dotted in views.values())


def test_every_module_says_what_it_is():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


def test_importing_the_core_brings_no_framework():
    """River and numba take seconds and are imported with the first forest."""
    heavy = ["river", "numba", "streamz", "panel", "bokeh", "pandas", "duckdb"]
    script = (
        "import sys, tracewave_panel.core.analyzer, tracewave_panel.core.episodes, tracewave_panel.core.windows;"
        "import tracewave_panel.core.detectors.zscore, tracewave_panel.core.detectors.half_space_trees;"
        f"print(sorted(set({heavy}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_import_contracts_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
