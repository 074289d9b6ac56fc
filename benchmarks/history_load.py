"""20,000 events a second for a minute, with history on: nothing may be dropped, and everything stored once.

    python benchmarks/history_load.py [--seconds 60] [--rate 20000]

A process of its own speaks like stream.wikimedia.org over loopback: server-sent events, each a change of the public
form of about 1.1 kB, encoded beforehand but for its id, offset and time. This process is the real thing: the live
source, its shedding bus, all detectors, the rolling recording, and history with raw events, windows, scores and counts
by dimension; both are held to the same two cores. At the end the feeder says what it sent, and the file is asked what
it holds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec

from tracewave_panel.config import Settings
from tracewave_panel.plan import Planner
from tracewave_panel.runtime import Runtime
from tracewave_panel.stores.database import open_read_only
from tracewave_panel.stores.open_history import LIVE_FILE

RESULTS = Path(__file__).parent / "results"
RATE, SECONDS = 20_000, 60.0
TICK = 0.02
ID, OFFSET, MOMENT, STAMP = "@identity@", 9_999_999_999, "@moment@", 8_888_888_888
TOPIC = "eqiad.mediawiki.recentchange"
SLACK = 60.0
"""Seconds after the last event in which all must be stored."""


def invented(count: int = 4096) -> list[list[bytes]]:
    """Changes of the public form, cut where id, offset, moment, stamp and moment again belong."""
    random, cut = Random(7), []
    for number in range(count):
        domain = random.choices(
            ["en.wikipedia.org", "www.wikidata.org", "commons.wikimedia.org", f"l{number % 280}.wikipedia.org"],
            [30, 35, 20, 15],
        )[0]
        title, old = f"Page {random.randrange(200_000)} of the load", random.randrange(100, 90_000)
        change = {
            "$schema": "/mediawiki/recentchange/1.0.0",
            "meta": {
                "uri": f"https://{domain}/wiki/{title.replace(' ', '_')}",
                "request_id": f"{random.getrandbits(128):032x}",
                "id": ID,
                "domain": domain,
                "stream": "mediawiki.recentchange",
                "dt": MOMENT,
                "topic": TOPIC,
                "partition": 0,
                "offset": OFFSET,
            },
            "id": number,
            "type": random.choices(["edit", "new", "log"], [85, 5, 10])[0],
            "namespace": random.choice([0, 0, 0, 1, 6, 14]),
            "title": title,
            "title_url": f"https://{domain}/wiki/{title.replace(' ', '_')}",
            "comment": "/* wbsetclaim-create:2||1 */ [[Property:P31]]: [[Q13442814]] " * random.randrange(1, 4),
            "timestamp": STAMP,
            "user": f"User {random.randrange(30_000)}",
            "bot": random.random() < 0.3,
            "minor": False,
            "length": {"old": old, "new": max(0, old + random.randrange(-50, 400))},
            "revision": {"old": 2 * number, "new": 2 * number + 1},
            "server_url": f"https://{domain}",
            "server_name": domain,
            "server_script_path": "/w",
            "wiki": domain.split(".")[0] + "wiki",
            "parsedcomment": "a comment with <a href='/wiki/Property:P31'>links</a> " * 3,
        }
        place = json.dumps([{"topic": TOPIC, "partition": 0, "timestamp": STAMP}])
        text = f"event: message\nid: {place}\ndata: ".encode() + msgspec.json.encode(change) + b"\n\n"
        cut.append(split_at(text, str(STAMP), ID, MOMENT, str(OFFSET), str(STAMP)))
    return cut


def split_at(text: bytes, *marks: str) -> list[bytes]:
    """Pieces of a text between marks, which follow each other."""
    pieces = []
    for mark in marks:
        piece, _, text = text.partition(mark.encode())
        pieces.append(piece)
    return [*pieces, text]


def feed(rate: int, seconds: float) -> None:
    """Serve one client the changes, a tick's at a time, and say on stdout how many that were."""
    changes = invented()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"http://127.0.0.1:{server.getsockname()[1]}/v2/stream/recentchange", flush=True)
        client, _ = server.accept()
    with client:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n")
        began, sent, behind = time.time(), 0, 0.0
        while sent < rate * seconds:
            now = time.time()
            due = min(int(rate * seconds), int((now - began) * rate))
            if due > sent:
                client.sendall(told(changes, sent, due, now))
                sent = due
                behind = max(behind, time.time() - now)
            time.sleep(TICK)
        used = resource.getrusage(resource.RUSAGE_SELF)
        report = {"sent": sent, "cpu_s": used.ru_utime + used.ru_stime, "longest_send_s": behind}
        print(json.dumps(report | {"seconds": time.time() - began}), flush=True)
        sys.stdin.read()  # the connection stays, quiet, until everything is stored


def told(changes: list[list[bytes]], first: int, stop: int, now: float) -> bytes:
    """Server-sent events of these numbers, at this moment."""
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
    milliseconds, stamp = b"%d" % (now * 1000), b"%d" % now
    pieces = []
    for number in range(first, stop):
        a, b, c, d, e, f = changes[number % len(changes)]
        identity = b"00000000-0000-4000-8000-%012x" % number
        pieces += (a, milliseconds, b, identity, c, moment, d, b"%d" % (6_500_000_000 + number), e, stamp, f)
    return b"".join(pieces)


class Watch(threading.Thread):
    """Looks at a runtime ten times a second, and keeps the most of what it sees."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(name="watch")
        self.most = {"backlog": 0.0, "bus": 0.0, "lag_s": 0.0, "commit_s": 0.0}
        self.notices: set[str] = set()
        self._runtime = runtime
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until told to end."""
        while not self._ended.wait(0.1):
            current = self._runtime._current  # noqa: SLF001 - what it holds is what is measured
            if current is None or current.history is None:
                continue
            store, status = current.history.store, self._runtime.source_status()
            self.most["backlog"] = max(self.most["backlog"], store.backlog)
            self.most["bus"] = max(self.most["bus"], current.bus.depth)
            self.most["lag_s"] = max(self.most["lag_s"], status.lag or 0.0)
            self.most["commit_s"] = max(self.most["commit_s"], *store.commit_seconds, 0.0)
            if status.notice:
                self.notices.add(status.notice)

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()


def run(rate: int, seconds: float, data: Path, overrides: dict[str, object]) -> dict[str, object]:
    """Feed a runtime and return what came of it."""
    feeder = subprocess.Popen(
        [sys.executable, __file__, "--feed", "--rate", str(rate), "--seconds", str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        settings = msgspec.convert({"wikimedia": {"url": feeder.stdout.readline().strip()}, **overrides}, Settings)
        runtime = Runtime(settings, Planner(settings, "wikimedia", data=data), data=data)
        watch, began = Watch(runtime), os.times()
        runtime.start()
        watch.start()
        fed = json.loads(feeder.stdout.readline())
        counted = wait_until_stored(runtime, fed["sent"])
        used, threads = os.times(), by_thread()
        store = runtime._current.history.store  # noqa: SLF001 - what it holds is what is measured
        counted |= {"history_shed": store.shed, "commit_failures": store.failures, "commits": store.commits}
        feeder.stdin.close()
        runtime.stop(60)
        watch.end()
    finally:
        feeder.kill()
        feeder.wait(10)
    cpu = {"user_s": used.user - began.user, "system_s": used.system - began.system}
    held = stored(data / LIVE_FILE)
    size = (data / LIVE_FILE).stat().st_size
    return {
        "rate": rate,
        "seconds": fed["seconds"],
        "feeder": fed,
        "counted": counted,
        "most": watch.most,
        "cpu": cpu | {"us_per_event": sum(cpu.values()) / fed["sent"] * 1e6},
        "cpu_s_by_thread": threads,
        "stored": held,
        "bytes_per_event": size / max(1, held["events"]),
        "notices": sorted(watch.notices),
    }


def by_thread() -> dict[str, float]:
    """CPU seconds of each thread of ours by name, and of DuckDB's together; empty where the system does not say."""
    ours = {thread.native_id: thread.name for thread in threading.enumerate()}
    seconds: dict[str, float] = {}
    for task in Path("/proc/self/task").glob("*/stat"):
        fields = task.read_text().rpartition(")")[2].split()
        name = ours.get(int(task.parent.name), "duckdb")
        seconds[name] = seconds.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return {name: spent for name, spent in seconds.items() if spent >= 0.1}


def wait_until_stored(runtime: Runtime, sent: int) -> dict[str, object]:
    """Counters once everything that was sent has been counted and committed, or after a while as they are then."""
    ended = time.monotonic()
    while time.monotonic() - ended < SLACK:
        counters = runtime.counters()
        current = runtime._current  # noqa: SLF001 - what it holds is what is measured
        backlog = current.history.store.backlog if current and current.history else 1
        if counters.get("events", 0) + counters.get("dropped", 0) >= sent and not backlog:
            break
        time.sleep(0.05)
    names = ("events", "windows", "late", "dropped", "undecodable", "duplicates", "history_failures")
    counters = runtime.counters()
    return {name: counters.get(name, 0) for name in names} | {"stored_after_s": time.monotonic() - ended}


def stored(path: Path) -> dict[str, object]:
    """What the file holds, and whether each window and event is in it once."""
    with open_read_only(path, memory_limit="1GB") as history:

        def ask(sql: str) -> tuple:
            return history.execute(sql).fetchone()

        events, different, numbers, newest = ask(
            "SELECT count(*), count(DISTINCT id), count(DISTINCT told), max(told) FROM events"
        )
        windows, starts, counted, dropped = ask(
            "SELECT count(*), count(DISTINCT start), sum(count), sum(dropped) FROM windows"
        )
        (holes,) = ask("SELECT coalesce(epoch(max(start)) - epoch(min(start)) + 1 - count(*), 0) FROM windows")
        (scores,), (counts,) = ask("SELECT count(*) FROM scores"), ask("SELECT count(*) FROM dimension_counts")
        (metrics,) = ask("SELECT count(*) FROM windows SEMI JOIN metrics USING (series, start)")
        (missing,) = ask("SELECT count(*) FROM not_kept")
    return {
        "events": events,
        "different_events": different,
        "events_in_order_of_telling": numbers == newest == events,
        "windows": windows,
        "different_windows": starts,
        "missing_windows": int(holes),
        "events_in_windows": int(counted or 0),
        "dropped_in_windows": int(dropped or 0),
        "windows_with_metrics": metrics,
        "scores": scores,
        "dimension_counts": counts,
        "not_kept": missing,
    }


def faults(result: dict) -> list[str]:
    """What is not as it should be, in words."""
    sent, counted, held = result["feeder"]["sent"], result["counted"], result["stored"]
    checks = {
        "the feeder kept its pace": result["seconds"] < 1.02 * sent / result["rate"] + 0.5,
        "the bus sheds nothing": counted["dropped"] == held["dropped_in_windows"] == 0,
        "history sheds nothing": counted["history_shed"] == held["not_kept"] == 0,
        "every event is counted": counted["events"] == held["events_in_windows"] == sent,
        "every event is stored once": held["events"] == held["different_events"] == sent,
        "events are numbered without a hole": held["events_in_order_of_telling"],
        "every window has its metrics, and scores are stored": held["windows_with_metrics"] == held["windows"]
        and held["scores"] > 0,
        "every window is stored once": held["windows"] == held["different_windows"] and not held["missing_windows"],
        "no commit fails": counted["commit_failures"] == counted["history_failures"] == 0,
    }
    return [name for name, holds in checks.items() if not holds]


def show(result: dict) -> None:
    counted, held, most, cpu = result["counted"], result["stored"], result["most"], result["cpu"]
    lines = (
        ("events sent", f"{result['feeder']['sent']:,} in {result['seconds']:.1f} s"),
        (
            "events counted, stored",
            f"{counted['events']:,}  {held['events']:,}, {held['different_events']:,} different",
        ),
        ("windows stored, missing", f"{held['windows']:,}  {held['missing_windows']:,}"),
        ("scores, dimension counts", f"{held['scores']:,}  {held['dimension_counts']:,}"),
        ("shed by the bus, by history", f"{counted['dropped']:,}  {counted['history_shed']:,}"),
        ("most in the bus, in the backlog", f"{most['bus']:,.0f} events  {most['backlog']:,.0f} appends"),
        ("longest commit, stored after the end", f"{most['commit_s']:.2f} s  {counted['stored_after_s']:.1f} s"),
        ("most lag", f"{most['lag_s']:.2f} s"),
        ("CPU", f"{cpu['user_s']:.1f} s user, {cpu['system_s']:.1f} s system, {cpu['us_per_event']:.1f} us an event"),
        *((f"  {name}", f"{spent:.1f} s") for name, spent in result["cpu_s_by_thread"].items()),
        ("CPU of the feeder", f"{result['feeder']['cpu_s']:.1f} s"),
        ("on disk", f"{result['bytes_per_event']:.0f} bytes an event, windows included"),
    )
    for name, value in lines:
        print(f"  {name:38s} {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=int, default=RATE, help="events a second")
    parser.add_argument("--feed", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.feed:
        feed(arguments.rate, arguments.seconds)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"Python {platform.python_version()}, {cores} cores, {arguments.rate:,} events a second")
    with tempfile.TemporaryDirectory() as folder:
        result = run(arguments.rate, arguments.seconds, Path(folder), {})
    result["cores"], result["faults"] = cores, faults(result)
    show(result)
    failed = "; ".join(result["faults"])
    print(f"  NOT PASSED, for this does not hold: {failed}" if failed else "  PASSED: nothing dropped, all stored once")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "history_load.json").write_text(json.dumps(result, indent=2) + "\n")
    if result["faults"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
