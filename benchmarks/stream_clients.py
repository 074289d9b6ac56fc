"""What clients of the stream cost the server, and whether each is told every window once.

    python benchmarks/stream_clients.py [--clients 200] [--seconds 60] [--only storm,deflate]

Figures of one machine that may have other work at the time: how busy it was is told with them. CPU is the server
process's own clock, user and system. Clients are of a raw protocol (``tests/stream_clients.py``), in processes of their
own, and make way for others (nice); servers do not.

- storm: the real ``tracewave serve`` replays a recording of 30 events a second, and half of the clients each sit in one
  of two processes, of which one is killed (SIGKILL) in the middle. What all of them wrote down, the killed ones too, is
  held against /api/windows, /metrics and the recording itself. A second server replays the same at the same time and
  has no clients: what it takes is taken off.
- deflate: CPU of as many clients on uvicorn's own protocol, without and with permessage-deflate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from bisect import bisect_left
from collections import Counter
from datetime import datetime
from itertools import accumulate, pairwise
from pathlib import Path

from speed import write_live_shaped

from tracewave_panel.sources.recording import read_recording

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from stream_clients import Heard  # noqa: E402  # ours is on the path only now

RESULTS = Path(__file__).parent / "results"
CLIENTS = str(ROOT / "tests" / "stream_clients.py")
RATE = 30.0
WARM = 20.0
"""Seconds for the pipeline to begin, before anything is measured."""
SETTLE = 2.0
MOST_GROWTH = 0.05
PLACES = ("buffer", "history", "clients")


# -- the real server


class Server:
    """``tracewave serve`` over a recording, on free ports; what it logs is kept."""

    def __init__(self, recording: Path, folder: Path) -> None:
        folder.mkdir()
        self._log = (folder / "log").open("w+")
        command = [sys.executable, "-m", "tracewave_panel", "serve", "--source", f"recording:{recording}"]
        ports = ["--port", "0", "--api-port", "0", "--data", str(folder / "data")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRACEWAVE_")}
        self._program = subprocess.Popen(
            [*command, *ports], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.address = ""
        for line in self._program.stdout:
            if found := re.search(r"its API at (\S+)/api,", line):
                self.address = found[1]
                break

    def __enter__(self):
        return self

    def __exit__(self, *raised: object) -> None:
        self._program.terminate()
        try:
            self._program.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.communicate(timeout=5)
        self._log.close()

    @property
    def logged(self) -> list[str]:
        """Lines of its log so far."""
        self._log.seek(0)
        return self._log.read().splitlines()

    @property
    def cpu(self) -> float:
        """CPU seconds so far: the process clock."""
        return clock_of(self._program)

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        return resident_of(self._program)

    def get(self, path: str) -> bytes:
        """Body of an answer."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=30) as answer:
            return answer.read()

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, by its name and labels."""
        lines = self.get("/metrics").decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name.removeprefix("tracewave_"): float(value) for name, _, value in samples}

    def windows(self, since: float) -> dict[tuple[str, float, int], int]:
        """Every window from a time on, as /api/windows has them: key and count."""
        found, cursor, more = {}, "", True
        while more:
            page = json.loads(self.get(f"/api/windows?limit=1000&since={utc(since)}&cursor={cursor}"))
            cursor, more = page["cursor"], page["more"]
            for each in page["items"]:
                found[each["series"], seconds_of(each["start"]), each["revision"]] = each["count"]
        return found


class Party:
    """A process of clients; what each is told is taken in as it is written down."""

    def __init__(self, address: str, count: int) -> None:
        self.heard = [Heard() for _ in range(count)]
        self.opened = threading.Event()
        self._program = subprocess.Popen(
            ["nice", "-n", "5", sys.executable, CLIENTS, address, "--told", str(count)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        for line in self._program.stdout:
            if not line.endswith(b"\n"):
                break  # it was killed while it wrote
            number, *words = json.loads(line)
            if number == "open":
                self.opened.set()
            else:
                self.heard[number].take(*words)

    def kill(self) -> None:
        """End it at once, as a machine that fails does."""
        self._program.kill()
        self._end()

    def close(self) -> None:
        """Have it leave."""
        with contextlib.suppress(BrokenPipeError):
            self._program.stdin.close()
        self._end()

    def _end(self) -> None:
        try:
            self._program.wait(15)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait(5)
        self._reading.join(15)


def storm(count: int, seconds: float) -> dict:
    with tempfile.TemporaryDirectory(prefix="stream-clients-") as name, contextlib.ExitStack() as open_still:
        folder = Path(name)
        recording = write_live_shaped(folder / "rate-30.jsonl.gz", RATE)
        server, control = (
            open_still.enter_context(Server(recording, folder / part)) for part in ("clients", "control")
        )
        time.sleep(WARM)
        parties = [Party(server.address, count // 2) for _ in range(2)]
        for party in parties:
            open_still.callback(party.close)
        for party in parties:
            if not party.opened.wait(60):
                raise TimeoutError("the clients could not connect within a minute; see above")
        time.sleep(SETTLE)
        steps = max(6, 2 * round(seconds / 20))
        busy = Busy()
        looks = [Look(server, control)]
        for step in range(1, steps + 1):
            time.sleep(max(0.0, looks[0].at + step * seconds / steps - time.monotonic()))
            looks.append(Look(server, control))
            if step == steps // 2:
                killed_at = time.monotonic()
                parties[0].kill()
                while (left := server.metrics()["api_clients"]) > count - count // 2:
                    if time.monotonic() > killed_at + 20:
                        break
                    time.sleep(0.02)
                gone = time.monotonic() - killed_at
        machine = busy.since(looks[-1].own - looks[0].own)
        known = server.windows(time.time() - seconds - WARM - 60)
        last = max(start for _, start, _ in known)
        time.sleep(SETTLE)
        parties[1].close()
        time.sleep(SETTLE)  # history is written a moment after clients are told
        known |= server.windows(last)
        kinds = judged(parties, known, last, killed_at)
        played = compared(recording, looks, parties[1].heard[0])
        return {
            "clients": count,
            "processes": len(parties),
            "seconds": looks[-1].at - looks[0].at,
            "killed": count // 2,
            **kinds,
            "api_clients_after_the_kill": left,
            "seconds_until_those_are_let_go": gone,
            "closed": {key: value for key, value in server.metrics().items() if "clients_closed" in key and value},
            "dropped": {place: looks[-1].metrics[f'events_dropped_total{{place="{place}"}}'] for place in PLACES},
            "recording": played,
            "memory_MB": [look.resident / 1e6 for look in looks],
            "memory_without_clients_MB": [look.control_resident / 1e6 for look in looks],
            "growth": looks[-1].resident / looks[0].resident - 1,
            "cpu": {
                "before_the_kill": cost(looks[0], looks[steps // 2], parties),
                "after_the_kill": cost(looks[steps // 2 + 1], looks[-1], parties),
            },
            "machine": machine,
            "logged": server.logged,
        }


class Look:
    """Both servers at a moment."""

    def __init__(self, server: Server, control: Server) -> None:
        self.at = time.monotonic()
        self.cpu, self.control_cpu = server.cpu, control.cpu
        self.resident, self.control_resident = server.resident, control.resident
        self.metrics = server.metrics()
        control.metrics()  # what a scrape costs is then in both
        self.own = self.cpu + self.control_cpu

    @property
    def events(self) -> float:
        """Events that the pipeline counted, of all series."""
        return sum(value for key, value in self.metrics.items() if key.startswith("events_total"))


class Busy:
    """How much CPU the machine spent, of all there is."""

    def __init__(self) -> None:
        self._spent, self._began = self._read(), time.monotonic()

    @staticmethod
    def _read() -> float:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

    def since(self, own: float) -> dict:
        """How busy it was since then; `own`: seconds that the servers took."""
        there = (time.monotonic() - self._began) * os.cpu_count()
        spent = self._read() - self._spent
        return {
            "cores": os.cpu_count(),
            "busy_percent": spent / there * 100,
            "servers_percent": own / there * 100,
            "load_average": os.getloadavg()[0],
        }


def judged(parties: list[Party], known: dict, last: float, killed_at: float) -> dict:
    """What was wrong with what each client was told."""
    killed, survivors = (party.heard for party in parties)
    # a second is left for what was on the way to a process that is gone
    before = min(max(each.starts(killed_at - 1.0), default=0.0) for each in survivors)
    figures = {}
    for name, heard, newest in (("survivors", survivors, last), ("those_killed", killed, before)):
        mistakes = Counter()
        for each in heard:
            mistakes.update(each.mistakes(known, newest))
            mistakes["of_another_count"] += sum(known.get(key) != count for key, count in each.counts.items())
        told = [len(each.starts()) for each in heard]
        figures[name] = {"clients": len(heard), "windows_each": [min(told), max(told)], "mistakes": dict(mistakes)}
    spans = {"before_the_kill": (0.0, killed_at), "after_the_kill": (killed_at, float("inf"))}
    figures["spread_ms"] = {name: spread(survivors, *span) for name, span in spans.items()}
    return figures


def spread(heard: list[Heard], begin: float, end: float) -> dict:
    """Milliseconds from the first client that was told a window to the last, and the longest silence."""
    moments: dict = {}
    for each in heard:
        for key, at in each.windows:
            if begin <= at < end:
                moments.setdefault(key, []).append(at)
    whole = [1000 * (max(at) - min(at)) for at in moments.values() if len(at) == len(heard)] or [0.0]
    silences = (
        after - before
        for each in heard
        for before, after in pairwise(at for _, at in each.windows)
        if begin <= before and after < end
    )
    return {
        "median": statistics.median(whole),
        "most": max(whole),
        "longest_silence": max(silences, default=0.0) * 1000,
    }


def compared(path: Path, looks: list[Look], heard: Heard) -> dict:
    """What the pipeline counted and a client was told, next to what is in the recording."""
    _, batches = read_recording(path)
    sizes, arrivals, of_second = [], [], Counter()
    for batch in batches:
        sizes.append(len(batch.events))
        arrivals.append(batch.arrived_at)
        of_second.update(int(event.time // 1) for event in batch.events)
    sums = list(accumulate(sizes))
    places = [bisect_left(sums, look.events) for look in looks]
    took, told = looks[-1].at - looks[0].at, {key[1]: count for key, count in heard.counts.items() if not key[2]}
    first, beginning = min(told), int(arrivals[0])
    shift = max(
        range(beginning, beginning + 600),
        key=lambda second: sum(of_second[second + int(start - first)] == count for start, count in told.items()),
    )
    return {
        "events": looks[-1].events - looks[0].events,
        "events_per_second": (looks[-1].events - looks[0].events) / took,
        "looks": len(looks),
        "looks_at_which_events_are_those_of_whole_batches": sum(
            sums[place] == look.events for place, look in zip(places, looks, strict=True)
        ),
        "seconds_played_in_a_second": (arrivals[places[-1]] - arrivals[places[0]]) / took,
        "windows": len(told),
        "windows_that_count_as_the_recording": sum(
            of_second[shift + int(start - first)] == count for start, count in told.items()
        ),
        "late": looks[-1].metrics["events_late_total"],
        "duplicate": looks[-1].metrics["events_duplicate_total"],
        "source_failed": looks[-1].metrics['source_messages_failed_total{source="recording"}'],
    }


def cost(begin: Look, end: Look, parties: list[Party]) -> dict:
    """CPU of the messages between two looks."""
    took = end.at - begin.at
    every = [at for party in parties for each in party.heard for at in each.moments if begin.at <= at < end.at]
    spent, without = end.cpu - begin.cpu, end.control_cpu - begin.control_cpu
    return {
        "percent": spent / took * 100,
        "percent_without_clients": without / took * 100,
        "messages_per_second": len(every) / took,
        "microseconds_per_message": (spent - without) / max(1, len(every)) * 1e6,
    }


# -- uvicorn's own protocol


def serve(protocol: str) -> None:
    """Run pipeline and API; answer each line of stdin with counters."""
    import uvicorn  # noqa: PLC0415 (only in the server's process)

    from tracewave_panel.access import Access, AccessSettings  # noqa: PLC0415
    from tracewave_panel.api.application import build_api  # noqa: PLC0415
    from tracewave_panel.api.stream_protocol import StreamProtocol  # noqa: PLC0415
    from tracewave_panel.config import load_settings  # noqa: PLC0415
    from tracewave_panel.metrics import Metrics  # noqa: PLC0415
    from tracewave_panel.plan import Planner  # noqa: PLC0415
    from tracewave_panel.ports import Console  # noqa: PLC0415
    from tracewave_panel.runtime import Runtime  # noqa: PLC0415

    settings = load_settings(None, {})
    runtime = Runtime(settings, Planner(settings, "synthetic"))
    bound = socket.create_server(("127.0.0.1", 0), backlog=512)
    access = Access(AccessSettings())
    access.serve("127.0.0.1", bound.getsockname()[1])
    app = build_api(Console(runtime.feed, runtime.store, runtime), access=access, metrics=Metrics())
    options = {"ws": StreamProtocol}
    if protocol != "tracewave":
        options = {"ws": "websockets-sansio", "ws_per_message_deflate": protocol == "deflate"}
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="warning", **options))

    async def run() -> None:
        runtime.start()
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        print(bound.getsockname()[1], flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(runtime.counters()), flush=True)
        server.should_exit = True
        await asyncio.wait_for(serving, 10)

    asyncio.run(run())
    runtime.stop()


class Talk:
    """A process that answers lines with lines."""

    def __init__(self, *command: str) -> None:
        self._program = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *raised: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._program.stdin.close()
        try:
            self._program.wait(15)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait(5)
        self._program.stdout.close()

    def line(self) -> str:
        """What it says next."""
        return self._program.stdout.readline().strip()

    def tell(self, *words: object) -> dict:
        """Have it do something and wait until it is done."""
        self._program.stdin.write(" ".join(map(str, words)) + "\n")
        self._program.stdin.flush()
        return json.loads(self.line())

    @property
    def cpu(self) -> float:
        """CPU seconds so far: the process clock."""
        return clock_of(self._program)

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        return resident_of(self._program)

    def load(self, seconds: float) -> float:
        """CPU seconds a wall second over some seconds."""
        before, began = self.cpu, time.perf_counter()
        time.sleep(seconds)
        return (self.cpu - before) / (time.perf_counter() - began)


@contextlib.contextmanager
def both(protocol: str = "tracewave"):
    """A server, and a process of clients that listen to it."""
    with Talk(__file__, "--serve", protocol) as server:
        port = server.line()
        with Talk(str(ROOT / "tests" / "stream_clients.py"), f"127.0.0.1:{port}") as clients:
            time.sleep(WARM)
            yield server, clients


def deflate(count: int, seconds: float) -> dict:
    figures = {}
    for protocol in ("plain", "deflate"):
        with both(protocol) as (server, clients):
            idle = server.load(seconds)
            clients.tell("deaf" if protocol == "deflate" else "open", count)
            time.sleep(2)
            told, before, began = clients.tell("look"), server.cpu, time.perf_counter()
            time.sleep(seconds)
            spent, took, after = server.cpu - before, time.perf_counter() - began, clients.tell("look")
        figures[protocol] = {
            "cpu_percent": (spent / took - idle) * 100,
            "kilobytes_per_client_second": (after["wire"] - told["wire"]) / count / took / 1000,
        }
    return figures


def utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def clock_of(program: subprocess.Popen) -> float:
    return time.clock_gettime((~program.pid << 3) | 2)


def resident_of(program: subprocess.Popen) -> int:
    return int((Path("/proc") / str(program.pid) / "statm").read_text().split()[1]) * 4096


def show(results: dict) -> None:
    if told := results.get("storm"):
        show_storm(told)
    for protocol, each in results.get("deflate", {}).items():
        kilobytes = each["kilobytes_per_client_second"]
        print(f"{protocol:8s} CPU of clients, % {each['cpu_percent']:6.2f}   kB a client a second {kilobytes:.2f}")


def show_storm(told: dict) -> None:
    played, machine = told["recording"], told["machine"]
    print(
        f"{told['clients']} clients in {told['processes']} processes, {told['seconds']:.0f} s of tracewave serve at "
        f"{played['events_per_second']:.1f} events a second; {told['killed']} killed in the middle"
    )
    print(
        f"  machine: {machine['cores']} cores, {machine['busy_percent']:.0f} % busy (both servers "
        f"{machine['servers_percent']:.0f} %), load average {machine['load_average']:.1f}"
    )
    for name in ("survivors", "those_killed"):
        each = told[name]
        least, most = each["windows_each"]
        wrong = " ".join(f"{kind} {number}" for kind, number in each["mistakes"].items())
        print(f"  {name.replace('_', ' '):30s} {each['clients']:8d}   windows each {least} to {most}")
        print(f"    {wrong}   target 0")
    print(f"  api_clients after the kill     {told['api_clients_after_the_kill']:8.0f}   target "
          f"{told['clients'] - told['killed']}, within {told['seconds_until_those_are_let_go']:.2f} s")  # fmt: skip
    dropped = " ".join(f"{place} {value:.0f}" for place, value in told["dropped"].items())
    print(f"  events dropped                 {dropped}   target 0")
    print(
        f"  events counted                 {played['events']:8.0f}   as many as the recording played at "
        f"{played['looks_at_which_events_are_those_of_whole_batches']} of {played['looks']} looks, in "
        f"{played['seconds_played_in_a_second']:.4f} of its time; late {played['late']:.0f}"
    )
    print(
        f"  windows that count the same    {played['windows_that_count_as_the_recording']:8d}   of {played['windows']} "
        "as the recording's own seconds"
    )
    for name, each in told["cpu"].items():
        print(
            f"  CPU {name.replace('_', ' ')}, us a message {each['microseconds_per_message']:8.1f}   at "
            f"{each['messages_per_second']:.0f} messages a second; % of a core {each['percent']:.2f}, without clients "
            f"{each['percent_without_clients']:.2f}"
        )
    for name, each in told["spread_ms"].items():
        print(
            f"  first to last survivor {name.replace('_', ' ')}, ms: median {each['median']:.1f}, most "
            f"{each['most']:.1f}; longest silence {each['longest_silence']:.0f}"
        )
    print(f"  memory MB                      {' '.join(f'{size:.1f}' for size in told['memory_MB'])}")
    print(f"    without clients              {' '.join(f'{size:.1f}' for size in told['memory_without_clients_MB'])}")
    print(f"    growth                       {100 * told['growth']:8.2f} %   target under {100 * MOST_GROWTH:g}")
    print(f"  lines in the server's log      {len(told['logged']):8d}")


def faults(told: dict) -> list[str]:
    """What is not as it has to be."""
    played = told["recording"]
    wrong = {
        "a client was not told every window once": any(
            any(told[name]["mistakes"].values()) for name in ("survivors", "those_killed")
        ),
        "clients that are gone are still counted": told["api_clients_after_the_kill"]
        != told["clients"] - told["killed"],
        "events were dropped": any(told["dropped"].values()),
        "events are not those of the recording": played["looks_at_which_events_are_those_of_whole_batches"]
        != played["looks"],
        "memory grows": told["growth"] > MOST_GROWTH,
    }
    return [words for words, holds in wrong.items() if holds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default="storm,deflate")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    measures = {
        "storm": lambda: storm(arguments.clients, arguments.seconds),
        "deflate": lambda: deflate(arguments.clients, arguments.seconds / 3),
    }
    results = {name: measures[name]() for name in arguments.only.split(",")}
    show(results)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "stream_clients.json"
    kept = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**kept, **results}, indent=2) + "\n")
    print(json.dumps(results))
    if wrong := faults(results["storm"]) if "storm" in results else []:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
