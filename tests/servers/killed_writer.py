"""Starts a writer for each number read from stdin; it works until it is killed, then says so.

A writer appends findings, saves States and flushes in a loop, and prints what is acknowledged. It
marks its windows with its own number (in `late`) and its own dimension values, and its events (by
`actor`), so that a row that an earlier run left behind is recognised. Forking saves twenty imports.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

import msgspec  # noqa: E402
import pyarrow as pa  # noqa: E402
from findings_of import T0, analysis, anomaly, event, findings  # noqa: E402

from tracewave_panel.feeds import WIKIMEDIA  # noqa: E402
from tracewave_panel.ports import SavedState  # noqa: E402
from tracewave_panel.stores.duckdb import DuckDBStore  # noqa: E402


def write(path: Path, run: int) -> None:
    store = DuckDBStore(path, WIKIMEDIA, commit_interval=0.002)
    saved = store.load_state()
    if saved is None:  # the promises begin with the first State
        saved = SavedState(T0, T0, b"0", b"")
        store.save_state(saved)
        store.flush()
        store.load_state()
    second = int(saved.position)
    print("from", second, flush=True)
    while True:
        values = 1 + (second + run) % 5
        counts = tuple({f"run{run}-{number}": 1 for number in range(values)} for _ in "wlnak")
        told = analysis(second, count=values, late=run, dimension_counts=counts)
        anomalies = (anomaly(f"{second}-run{run}", second),) if second % 3 == 0 else ()
        # three events a window: two before it ends, and one that comes late
        events = tuple(msgspec.structs.replace(event(second + when), actor=f"run{run}") for when in (0.25, 0.5, -4.875))
        store.append(findings(second + 0.75, events=events[:2]))
        store.append(findings(second + 1, told, anomalies=anomalies, events=events[2:]))
        second += 1
        if second % 7 == 4:
            store.flush()
            print("told", second, flush=True)  # committed, and no State covers it yet
            time.sleep(0.01)
        if second % 7 == 0:
            store.save_state(SavedState(T0 + second, T0 + second, str(second).encode(), bytes(50_000)))
            store.flush()
            print("saved", second, flush=True)


def main(path: Path) -> None:
    pa.array([0])  # what it loads then is shared too
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            write(path, int(line))
        print("writer", child, flush=True)
        _, status = os.waitpid(child, 0)
        print("dead", os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
