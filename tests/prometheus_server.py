"""A real Prometheus for the tests: one that is installed, else one that this script unpacks.

``python tests/prometheus_server.py`` is part of the test set-up. It never fails: where none can be had the tests that
need it skip, and say why. Nothing is installed and no service is started: the package is only unpacked.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[1] / ".venv" / "prometheus"
MISSING = "needs prometheus and promtool; `make setup-test` tries to fetch them with apt-get"


class Programs(NamedTuple):
    """Paths of the server and of its tool."""

    prometheus: str
    promtool: str


def find() -> Programs | None:
    """Both programs on the PATH, else those that were unpacked; None when there are none."""
    for path in (None, str(FOLDER / "usr" / "bin")):
        server, tool = shutil.which("prometheus", path=path), shutil.which("promtool", path=path)
        if server and tool:
            return Programs(server, tool)
    return None


def install() -> str:
    """Make sure that there is a Prometheus and say in words which, or why not."""
    if not find():
        try:
            _unpack()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"Prometheus could not be unpacked: {error}", flush=True)
    found = find()
    if found:
        return f"Tests of the deployment use {found.prometheus}"
    return "No Prometheus could be had; tests of the deployment that need it will be skipped"


def _unpack() -> None:
    """Fetch Debian's package and lay its files out under FOLDER."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return
    print("No Prometheus yet; trying apt-get download prometheus", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        package = _fetch(Path(folder))
        if package is None and os.geteuid() == 0:  # the lists of packages may be missing or old
            _quietly("apt-get", "update", "-qq", folder=Path(folder))
            package = _fetch(Path(folder))
        if package is not None:
            unpacked = Path(folder) / "unpacked"
            _quietly("dpkg-deb", "-x", str(package), str(unpacked), folder=Path(folder))
            FOLDER.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(FOLDER, ignore_errors=True)
            shutil.copytree(unpacked, FOLDER, symlinks=True)


def _fetch(folder: Path) -> Path | None:
    _quietly("apt-get", "download", "prometheus", folder=folder)
    return next(folder.glob("prometheus_*.deb"), None)


def _quietly(*command: str, folder: Path) -> None:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, cwd=folder, check=False, timeout=300, **quiet)


class Prometheus:
    """A running server, asked over its HTTP API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **parameters: str) -> Any:
        """``data`` of an answer; a query that Prometheus refuses raises AssertionError with its words."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.address}/api/v1/{path}?{query}", timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            words = error.read().decode()
            raise AssertionError(f"{path} {parameters}: {words}") from None

    def series(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series that an instant query gives now and that has a number."""
        found = self.get("query", query=query)["result"]
        valued = [(each["metric"], float(each["value"][1])) for each in found]
        return [(labels, value) for labels, value in valued if not math.isnan(value)]

    def alerts(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Alerts that fire at this moment, by name and instance; of several the last."""
        listed = [each for each in self.get("alerts")["alerts"] if each["state"] == "firing"]
        return {(each["labels"]["alertname"], each["labels"]["instance"]): each for each in listed}


@contextmanager
def prometheus(configuration: str, folder: Path, port: int) -> Iterator[Prometheus]:
    """Run a server that keeps its data in `folder`; it is ended by its own process id.

    Parameters
    ----------
    configuration
        Text of ``prometheus.yml``; rule files in it are relative to `folder`.
    """
    programs = find()
    assert programs, MISSING
    (folder / "prometheus.yml").write_text(configuration)
    command = [
        programs.prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'storage'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=1d",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}", log)
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _wait_until_ready(process: subprocess.Popen, address: str, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"Prometheus is not ready; it said:\n{log.read_text(errors='replace')[-4000:]}")


if __name__ == "__main__":
    print(install())
