"""What the repository promises about itself."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tracewave_panel.config import Settings
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Window
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.plan import BUNDLED
from tracewave_panel.sources.recording import state_beside

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"prometheus_client": "prometheus-client", "python-duckdb": "duckdb"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_environment_asks_for_what_the_project_asks_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [item for item in environment["dependencies"] if isinstance(item, str)]
    [by_pip] = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    asked = set(by_pip) - {"--editable ."}
    for item in plain:
        name, specifier = re.fullmatch(r"([a-z0-9_-]+)(.*)", item).groups()
        if name not in {"python", "pip"}:
            asked.add(CONDA_NAMES.get(name, name) + specifier)
    assert asked == set(project()["dependencies"])
    assert f"python{project()['requires-python']}" in plain


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_lock_file_has_a_hash_for_every_pin_and_no_registry_address(name):
    text = (ROOT / name).read_text()
    pins = re.findall(r"^([a-zA-Z0-9._-]+)==", text, re.MULTILINE)
    assert len(pins) > 40
    for pin in re.split(r"^(?=[a-zA-Z0-9._-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in pin, pin.splitlines()[0]
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


def test_both_lock_files_pin_the_same_versions():
    def pins(name):
        return set(re.findall(r"^([a-zA-Z0-9._-]+)==([^ ;\\]+)", (ROOT / name).read_text(), re.MULTILINE))

    base = pins("requirements.lock")
    assert base
    assert base <= pins("requirements-test.lock")  # which may hold another for another Python


def test_lock_file_pins_every_dependency():
    text = (ROOT / "requirements.lock").read_text()
    for requirement in project()["dependencies"]:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)[0]
        assert re.search(rf"^{name}==", text, re.MULTILINE), name


def test_no_file_names_a_machine_path_or_a_registry():
    # written in pieces so that this file does not name them itself
    paths = ["/" + "work/", "/" + "root/"]
    forbidden = [*paths, "py" + "pi.org", "python" + "hosted", "registry." + "npmjs", "deb." + "debian"]
    for path in tracked():
        if path.suffix in {".gz", ".png", ".woff2", ".state"} or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        for word in forbidden:
            assert word not in text, f"{path.relative_to(ROOT)} names {word}"


def test_no_tracked_file_is_large():
    for path in tracked():
        if path.is_file():
            assert path.stat().st_size < 5_000_000, path


def test_bundled_state_can_be_restored_and_its_detectors_are_warm():
    pipeline = Pipeline(WIKIMEDIA, Settings().pipeline(), {})
    pipeline.restore(state_beside(BUNDLED).read_bytes(), learned_only=True)
    for second in range(5):  # its hour began with a partial window
        counts = ({},) * len(WIKIMEDIA.dimensions)
        quiet = Window("edits", float(second), 1.0, 0, (0.0,) * len(WIKIMEDIA.features), counts)
        (analysis,) = pipeline._analyzer.analyze(quiet)
    assert [score.detector for score in analysis.scores if not score.warm] == ["seasonal"]  # an hour is no day
