"""CPU a replayed event costs, next to a bare decode of the same file and to a naive script, in one run.

    python benchmarks/speed.py [RECORDING ...] [--rounds 5]

The three take turns on each file. Figures and ratios are of each one's least disturbed round, as timeit advises; the
medians and the most are shown beside them. Time is taken from the first byte read to the last finding; imports and the
planting of the trees are not in it.

Without a file, recordings of the synthetic feed are made at several rates, about 54,000 events each, with ids and links
as long as those of the live feed, which the simulation leaves out since its pages exist nowhere: so a line costs what a
line of a live recording costs. The whole public feed runs at 30 to 60 a second (49 over a weekday). What a window costs
is shared by its events, so the ratio falls with the rate; the targets are for 60 a second.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import platform
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import msgspec
import naive

from tracewave_panel.config import Settings
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Batch, Event, Origin
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.playback import replay
from tracewave_panel.sources.bundled import BUNDLED_START
from tracewave_panel.sources.recording import RecordingHeader, RecordingWriter, state_beside
from tracewave_panel.sources.synthetic import SyntheticSettings, simulate

RESULTS = Path(__file__).parent / "results"
EVENTS = 54_000
RATES = (30.0, 60.0, 200.0)
MOST_OF_BARE, LEAST_AHEAD = 3.0, 4.0
BARE, OURS, NAIVE = "bare gunzip-read-decode", "tracewave replay", "naive script"


def live_shaped(event: Event, number: int) -> Event:
    """An event with an id and a link such as the live feed's."""
    wiki, _, title = event.subject.partition(":")
    return msgspec.structs.replace(
        event,
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, event.id)),
        title=title,
        link=f"https://{wiki}/w/index.php?diff={1_374_558_436 + 7 * number}&oldid={1_367_282_311 + 5 * number}",
    )


def write_live_shaped(path: Path, rate: float) -> Path:
    """Write a simulated recording with live-shaped events, and the State of a warm pipeline beside it."""
    settings = SyntheticSettings(seed=7, rate=rate)
    simulation = simulate(settings, BUNDLED_START, EVENTS / rate, warm_up=1800.0)
    pipeline = Pipeline(WIKIMEDIA, Settings().pipeline(), {})
    for batch in simulation.warm_up():
        pipeline.emit(batch)
    state_beside(path).write_bytes(pipeline.snapshot())
    pipeline.close()
    header = RecordingHeader(feed=WIKIMEDIA.name, origin=Origin.SIMULATED, started_at=BUNDLED_START)
    number = 0
    with RecordingWriter(path, header) as writer:
        for batch in simulation.recording():
            events = tuple(live_shaped(event, number + i) for i, event in enumerate(batch.events))
            number += len(events)
            writer.write(msgspec.structs.replace(batch, events=events))
    return path


def bare(path: Path) -> tuple[float, int]:
    """Gunzip, read lines, decode them: what any reader of the file has to do."""
    decode = msgspec.json.Decoder(Batch).decode
    began, events = time.process_time(), 0
    with gzip.open(path, "rb") as lines:
        next(lines)
        for line in lines:
            events += len(decode(line).events)
    return time.process_time() - began, events


def tracewave(path: Path) -> tuple[float, int]:
    """The whole replay, from the warm State beside the recording if there is one."""
    summary = replay(path, Settings().pipeline())
    return summary.cpu_s, summary.events


def measure(path: Path, rounds: int) -> dict:
    """Let the three take turns; the first round warms caches and is not counted."""
    taken = []
    for _ in range(rounds + 1):
        figures = {}
        for name, work in ((BARE, bare), (OURS, tracewave), (NAIVE, naive.run)):
            gc.collect()
            seconds, events = work(path)
            figures[name] = seconds / events * 1e6
        taken.append(figures)
    taken = taken[1:]
    least = {name: min(f[name] for f in taken) for name in taken[0]}
    return {
        "cpu_us_per_event": least,
        "median": {name: statistics.median(f[name] for f in taken) for name in least},
        "most": {name: max(f[name] for f in taken) for name in least},
        "tracewave_to_bare": least[OURS] / least[BARE],
        "naive_to_tracewave": least[NAIVE] / least[OURS],
    }


def show(name: str, result: dict) -> None:
    print(f"{name}, CPU us per event")
    for contestant, figure in result["cpu_us_per_event"].items():
        median, most = result["median"][contestant], result["most"][contestant]
        print(f"  {contestant:26s} {figure:7.2f}   (median {median:.2f}, most {most:.2f})")
    print(f"  tracewave / bare           {result['tracewave_to_bare']:7.2f}   target at most {MOST_OF_BARE:g}")
    print(f"  naive / tracewave          {result['naive_to_tracewave']:7.2f}   target at least {LEAST_AHEAD:g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {arguments.rounds} rounds")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {path.name: path for path in arguments.recordings}
        for rate in () if paths else RATES:
            paths[f"{rate:g} a second"] = write_live_shaped(Path(folder) / f"rate-{rate:g}.jsonl.gz", rate)
        for name, path in paths.items():
            results[name] = measure(path, arguments.rounds)
            show(name, results[name])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
