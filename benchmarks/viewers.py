"""What viewers cost the server: CPU of 50 pages that watch, of building one, memory through coming and going.

    python benchmarks/viewers.py [--full] [--minutes 10] [--seconds 30] [--only watch,build,churn,storm]

A real server (``tracewave serve``) runs in a process of its own and viewers in another (``tests/viewers.py``). CPU is
the server process's own clock, user and system, so what else the machine does matters little. What the pipeline takes
without viewers is measured beside it and taken off.

- watch: CPU a wall second of 51 pages less that of one, at a window a second;
- build: CPU of twenty openings, one after the other, once with an empty store and once with a full one;
- churn: 20 pages, one leaving and one coming each second; resident memory, and a cap on sessions that would be met
  within a minute if those that left were not freed;
- storm: ten openings at once while a loopback feed sends 40 events a second; no window may count another number.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
MOST_PERCENT, MOST_MILLISECONDS, MOST_GROWTH = 10.0, 200.0, 0.10
PAGES = ("/", "/health")
LINGER = 40.0
"""Seconds after which a session whose browser is gone has been freed for certain."""


class Server:
    """``tracewave serve`` on a free port, and a process of viewers that look at it."""

    def __init__(self, *arguments: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="viewers-")
        self.data = Path(self._folder.name)
        command = [
            sys.executable,
            "-m",
            "tracewave_panel",
            "serve",
            "--port",
            "0",
            "--no-api",
            "--data",
            str(self.data),
        ]
        self._program = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        said = self._program.stdout.readline()
        self.address = said.split(" at ")[1].split()[0]
        watching = [sys.executable, str(ROOT / "tests" / "viewers.py"), self.address]
        self._viewers = subprocess.Popen(watching, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *raised: object) -> None:
        for program in (self._program, self._viewers):
            program.terminate()
            program.communicate(timeout=30)
        with contextlib.suppress(OSError):
            self._folder.cleanup()

    def tell(self, *words: object) -> dict:
        """Have the viewers do something and wait until it is done."""
        self._viewers.stdin.write(" ".join(map(str, words)) + "\n")
        self._viewers.stdin.flush()
        return json.loads(self._viewers.stdout.readline())

    @property
    def cpu(self) -> float:
        """CPU seconds of the server so far: its process clock, which /proc/PID/stat gives in hundredths only."""
        return time.clock_gettime((~self._program.pid << 3) | 2)

    @property
    def resident(self) -> int:
        """Bytes of memory that the server holds."""
        pages = (Path("/proc") / str(self._program.pid) / "statm").read_text().split()[1]
        return int(pages) * 4096

    def load(self, seconds: float) -> float:
        """CPU in per cent of one core over some seconds."""
        before, began = self.cpu, time.perf_counter()
        time.sleep(seconds)
        return (self.cpu - before) / (time.perf_counter() - began) * 100

    def has(self, path: str) -> bool:
        """Whether there is such a page."""
        try:
            with urllib.request.urlopen(f"{self.address}{path}", timeout=60) as answer:
                return answer.status == 200
        except OSError:
            return False


@contextlib.contextmanager
def full():
    """A server whose store holds a quarter of an hour, and more of it a window a second."""
    factor = 40
    with Server("--source", "synthetic", "--speed", str(factor)) as server:
        time.sleep(950 / factor + 6)
        yield server


def watch(seconds: float) -> dict:
    figures = {}
    with Server("--source", "synthetic") as server:
        server.tell("open", 1, "/")
        time.sleep(12)
        figures["one"] = server.load(seconds)
        server.tell("open", 50, "/")
        time.sleep(8)
        before = server.tell("look")
        figures["fifty_one"] = server.load(seconds)
        after = server.tell("look")
    figures["extra"] = figures["fifty_one"] - figures["one"]
    figures["per_session"] = figures["extra"] / 50
    figures["kilobytes_per_session_second"] = (after["characters"] - before["characters"]) / 51 / seconds / 1000
    figures["frames_per_session_second"] = (after["frames"] - before["frames"]) / 51 / seconds
    return figures


def build_one(server: Server, path: str) -> tuple[float, dict]:
    """CPU of one opening, less what the pipeline and pages just left take in the same time."""
    idle = server.load(1.0)
    before, began = server.cpu, time.perf_counter()
    said = server.tell("open", 1, path)
    taken = server.cpu - before - idle / 100 * (time.perf_counter() - began)
    server.tell("close", 1)
    time.sleep(0.2)
    return taken * 1000, said


def build(rounds: int) -> dict:
    figures = {}
    for store, made in (("fresh", Server("--source", "synthetic")), ("full", None)):
        with made or full() as server:
            for path in filter(server.has, PAGES):
                for _ in range(2):
                    build_one(server, path)
                taken = []
                for _ in range(rounds):
                    cost, said = build_one(server, path)
                    taken.append(cost)
                figures[f"{path} {store}"] = {
                    "median": statistics.median(taken),
                    "least": min(taken),
                    "most": max(taken),
                    "page_kB": said["page"] / 1000,
                    "document_kB": said["document"] / 1000,
                }
    return figures


def churn(minutes: float) -> dict:
    pages = 20
    refused = opened = 0
    sizes: list[float] = []
    with Server("--source", "synthetic", "--set", f"page.sessions={pages + int(LINGER)}") as server:
        server.tell("open", pages, "/")
        began = time.monotonic()
        while (now := time.monotonic() - began) < minutes * 60 + 60:
            server.tell("close", 1)
            refused += server.tell("open", 1, "/")["refused"]
            opened += 1
            sizes.append(server.resident / 1e6)
            time.sleep(max(0.0, began + now + 1 - time.monotonic()))
    first = statistics.median(sizes[max(0, 60 - 5) : 60 + 5])
    last = statistics.median(sizes[-10:])
    return {
        "openings": opened,
        "refused": refused,
        "after_a_minute_MB": first,
        "end_MB": last,
        "growth": last / first - 1,
    }


def storm() -> dict:
    rate = 40
    feed = [sys.executable, str(ROOT / "tests" / "servers" / "eventstreams.py"), "--count", "4000", "--rate", str(rate)]
    stream = subprocess.Popen(feed, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    every = "wikimedia.kinds=edit,new,log,categorize"
    try:
        url = stream.stdout.readline().strip()
        with Server("--source", "wikimedia", "--set", f"wikimedia.url={url}", "--set", every) as server:
            time.sleep(20)
            began = time.time()
            server.tell("open", 10, "/")
            ended = time.time()
            time.sleep(20)
            ask = [sys.executable, "-m", "tracewave_panel", "query", "--format", "json", "--data", str(server.data)]
            sql = "select epoch(start) as start, count, late, quality from windows order by start"
            windows = json.loads(subprocess.run([*ask, sql], capture_output=True, text=True, check=True).stdout)[3:]
    finally:
        stream.terminate()
        stream.communicate(timeout=10)
    during = [row for row in windows if began - 1 <= row["start"] <= ended + 1]
    calm = [row for row in windows if row not in during]
    return {
        "seconds": ended - began,
        "windows": {"calm": len(calm), "storm": len(during)},
        "counts": {name: sorted({row["count"] for row in rows}) for name, rows in (("calm", calm), ("storm", during))},
        "late": sum(row["late"] for row in windows),
        "not_ok": sum(row["quality"] != "ok" for row in windows),
    }


def show(results: dict) -> None:
    if told := results.get("watch"):
        print("50 more pages that watch at a window a second")
        print(f"  CPU, % of one core         {told['extra']:7.2f}   target under {MOST_PERCENT:g}")
        print(f"    a page                   {told['per_session']:7.3f}")
        print(f"    1 page, 51 pages         {told['one']:7.2f} {told['fifty_one']:7.2f}")
        print(f"  kB a page a second         {told['kilobytes_per_session_second']:7.2f}")
    for page, told in results.get("build", {}).items():
        print(f"building {page} store, CPU ms; a document of {told['document_kB']:.0f} kB")
        print(f"  median                     {told['median']:7.1f}   target under {MOST_MILLISECONDS:g}")
        print(f"  least, most                {told['least']:7.1f} {told['most']:7.1f}")
    if told := results.get("churn"):
        print(f"{told['openings']} openings, 20 pages at a time")
        print(f"  memory, after a minute MB  {told['after_a_minute_MB']:7.1f}")
        print(f"  memory, at the end MB      {told['end_MB']:7.1f}")
        print(f"  growth                     {told['growth']:+7.1%}   target within {MOST_GROWTH:.0%}")
        print(f"  refused by the cap         {told['refused']:7d}   target none")
    if told := results.get("storm"):
        print(f"10 openings at once, {told['seconds']:.1f} s, at 40 events a second")
        print(f"  counts of windows, calm    {told['counts']['calm']}")
        print(f"  counts of windows, storm   {told['counts']['storm']}   late {told['late']}, not ok {told['not_ok']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="Ten minutes of churn.")
    parser.add_argument("--minutes", type=float, help="Of churn, after its first.")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="watch,build,churn,storm")
    arguments = parser.parse_args()
    minutes = arguments.minutes or (10.0 if arguments.full else 1.0)
    measures = {
        "watch": lambda: watch(arguments.seconds),
        "build": lambda: build(arguments.rounds),
        "churn": lambda: churn(minutes),
        "storm": storm,
    }
    results = {name: measures[name]() for name in arguments.only.split(",")}
    show(results)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "viewers.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
