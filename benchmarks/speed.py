"""CPU a replayed event costs, next to a bare decode of the same file and to a naive script, in one run.

    python benchmarks/speed.py [RECORDING] [--rounds 5]

The three take turns; the figures are medians of CPU time, the ratios medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import statistics
import time
from pathlib import Path

import msgspec
import naive

from tracewave_panel.config import Settings
from tracewave_panel.model import Batch
from tracewave_panel.plan import BUNDLED
from tracewave_panel.playback import replay

RESULTS = Path(__file__).parent / "results"
MOST_OF_BARE, LEAST_AHEAD = 3.0, 4.0


def bare(path: Path) -> int:
    """Gunzip, read lines, decode them: what any reader of the file has to do."""
    decode = msgspec.json.Decoder(Batch).decode
    events = 0
    with gzip.open(path, "rb") as lines:
        next(lines)
        for line in lines:
            events += len(decode(line).events)
    return events


def tracewave(path: Path) -> int:
    """The whole replay, from the warm State beside the recording if there is one."""
    state = path.with_name(path.name.removesuffix(".jsonl.gz") + ".state")
    return replay(path, Settings().pipeline(), state.read_bytes() if state.is_file() else None).events


def cpu_per_event(work, path: Path) -> float:
    began = time.process_time()
    events = work(path)
    return (time.process_time() - began) / (events if isinstance(events, int) else events[0]) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", nargs="?", type=Path, default=BUNDLED)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    contestants = {"bare gunzip-read-decode": bare, "tracewave replay": tracewave, "naive script": naive.run}
    rounds = []
    for turn in range(arguments.rounds + 1):
        figures = {name: cpu_per_event(work, arguments.recording) for name, work in contestants.items()}
        if turn:  # the first warms caches and imports
            rounds.append(figures)
    median = {name: statistics.median(figures[name] for figures in rounds) for name in contestants}
    of_bare = statistics.median(f["tracewave replay"] / f["bare gunzip-read-decode"] for f in rounds)
    ahead = statistics.median(f["naive script"] / f["tracewave replay"] for f in rounds)
    print(f"{arguments.recording.name}, Python {platform.python_version()}, {len(rounds)} rounds, CPU us per event")
    for name, figure in median.items():
        spread = [figures[name] for figures in rounds]
        print(f"  {name:26s} {figure:7.2f}   ({min(spread):.2f} to {max(spread):.2f})")
    print(f"  tracewave / bare           {of_bare:7.2f}   target at most {MOST_OF_BARE:g}")
    print(f"  naive / tracewave          {ahead:7.2f}   target at least {LEAST_AHEAD:g}")
    result = {
        "recording": arguments.recording.name,
        "cpu_us_per_event": median,
        "tracewave_to_bare": of_bare,
        "naive_to_tracewave": ahead,
        "met": of_bare <= MOST_OF_BARE and ahead >= LEAST_AHEAD,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
