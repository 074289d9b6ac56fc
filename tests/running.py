"""Programs of ours and loopback servers, started as a person would, and ended by pid."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CAPTURE = Path("wikipedia") / "eventstreams_recentchange_wikidata_2018-03-07T1616.jsonl.xz"


class Program:
    """A running program whose output is read line by line."""

    def __init__(self, *command: str, environment: dict[str, str] | None = None) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRACEWAVE_")}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**inherited, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):  # closed while a process of its own still held the pipe
            for line in self.process.stdout:
                self._queue.put(line.rstrip("\n"))

    def close(self) -> None:
        """Kill it if it still runs, and read what is left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(5)
        self.process.stdout.close()

    @property
    def output(self) -> str:
        """Everything printed so far."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.lines.append(self._queue.get_nowait())
        return "\n".join(self.lines)

    def wait_for(self, text: str, timeout: float = 40.0) -> str:
        """First line that holds `text`."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                self.lines.append(self._queue.get(timeout=0.1))
                if text in self.lines[-1]:
                    return self.lines[-1]
            if self.process.poll() is not None and self._queue.empty():
                break
        raise AssertionError(f"{text!r} was not printed; it printed:\n{self.output}")

    def end(self, number: int = signal.SIGTERM, timeout: float = 20.0) -> float:
        """Send a signal, wait for the end, and return the seconds that took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout)
        return time.monotonic() - began


@contextlib.contextmanager
def running(*command: str, environment: dict[str, str] | None = None) -> Iterator[Program]:
    """Start a program; it is killed at the end if it still runs."""
    program = Program(*command, environment=environment)
    try:
        yield program
    finally:
        program.close()


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[tuple[Program, str]]:
    """Run ``tracewave serve`` on free ports and yield it with the page's address."""
    with running("-m", "tracewave_panel", "serve", "--port", "0", "--api-port", "0", *arguments) as program:
        line = program.wait_for("Tracewave is at ")
        yield program, line.split("Tracewave is at ")[1].split(" ")[0]


@contextlib.contextmanager
def event_stream(*arguments: str) -> Iterator[str]:
    """Run the loopback EventStreams server and yield its address."""
    with running(str(ROOT / "tests" / "servers" / "eventstreams.py"), *arguments) as program:
        yield program.wait_for("http://")


def tracewave(*arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tracewave_panel", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def ask(sql: str, data: Path) -> list[dict]:
    """Rows of ``tracewave query``."""
    answered = tracewave("query", sql, "--data", str(data), "--format", "json")
    assert answered.returncode == 0, answered.stderr
    return json.loads(answered.stdout)


def until(condition, timeout: float, every: float = 0.5):
    """First true value of `condition`, asked again until then."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(every)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
