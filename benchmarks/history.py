"""Rows a second into DuckDB from Python, and what a day of history takes on disk.

    python benchmarks/history.py [--rounds 5] [--hours 24]

**Rows.** Findings in memory go through the store that the server uses, until they are committed; rows of all tables are
counted. Windows with all that is said of them, as a backfill hands them over, and raw events, as the live feed does.
The figure is that of the best round, as timeit advises, with the median beside it, by the clock and by CPU: on a shared
computer the clock tells of its other users too.

**Day.** The simulated feed at the rate of the public one (49 events a second over a weekday), a window a second, in
commits of a minute: the server's commits of a second go through the same checkpoints. Every window is folded from
events of its own; one hour is judged, and its metrics and scores are told over and over. Sizes are of the blocks that
hold a table's columns after a checkpoint, and of the file.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import msgspec
from speed import live_shaped

from tracewave_panel.config import Settings
from tracewave_panel.core.windows import TumblingWindows
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Batch, Findings, Window
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.sources.bundled import BUNDLED_START
from tracewave_panel.sources.synthetic import SyntheticSettings, simulate
from tracewave_panel.stores import schema
from tracewave_panel.stores.duckdb import DuckDBStore

RESULTS = Path(__file__).parent / "results"
RATE = 49.0
LEAST_ROWS, MOST_MEGABYTES = 300_000, 20.0
FOUR = ("wiki", "language", "namespace", "actor")
JUDGED = 3600.0
KEPT_FOR_EVER = ("windows_by_minute", "windows_by_hour", "dimension_counts_by_minute", "dimension_counts_by_hour")


def simulated(seconds: float, seed: int) -> Iterator[Batch]:
    """Batches of the simulated feed, with ids and links as long as the live feed's."""
    number = 0
    for batch in simulate(SyntheticSettings(seed=seed, rate=RATE), BUNDLED_START, seconds).recording():
        events = tuple(live_shaped(event, number + place) for place, event in enumerate(batch.events))
        number += len(events)
        yield msgspec.structs.replace(batch, events=events)


def judged(seconds: float) -> list[Findings]:
    """What the whole pipeline makes of the simulated feed."""
    found: list[Findings] = []
    pipeline = Pipeline(WIKIMEDIA, Settings().pipeline(), {"kept": found.append})
    for batch in simulated(seconds, seed=7):
        pipeline.emit(batch)
    pipeline.close()
    return found


def rows_a_second(findings: Sequence[Findings], folder: Path, rounds: int) -> dict:
    """Write `findings` into a new history, several times over; rows of all tables a second."""
    by_clock, by_cpu = [], []
    path = folder / "rows.duckdb"
    for _ in range(rounds + 1):
        with DuckDBStore(path, WIKIMEDIA, commit_interval=60.0, queue_limit=1_000_000) as store:
            gc.collect()
            began, used = time.perf_counter(), time.process_time()
            for each in findings:
                store.append(each)
            store.flush(300.0)
            by_clock.append(time.perf_counter() - began)
            by_cpu.append(time.process_time() - used)
            counts = " + ".join(f"(SELECT count(*) FROM {name})" for name in schema.tables(WIKIMEDIA) if name != "meta")
            ((rows,),) = store.query(f"SELECT {counts}").rows
        path.unlink()
    clock, cpu = ([rows / seconds for seconds in taken[1:]] for taken in (by_clock, by_cpu))  # the first warms caches
    return {"rows": rows, "best": max(clock), "median": statistics.median(clock), "best_by_cpu": max(cpu)}


def day(hours: float, folder: Path) -> dict:
    """Bytes that a day takes, by table, and for ``file`` the windows and counts of four dimensions alone."""
    hour = [found for found in judged(JUDGED) if found.analyses]
    path = folder / "day.duckdb"
    fold = TumblingWindows(WIKIMEDIA, 1.0)
    with DuckDBStore(path, WIKIMEDIA, commit_interval=60.0, queue_limit=1_000_000, keep_events=0.0) as store:
        windows: list[Window] = []
        number = 0
        for batch in simulate(SyntheticSettings(seed=11, rate=RATE), BUNDLED_START, hours * 3600.0).recording():
            windows += fold.push(batch)
            if len(windows) >= 60:
                store.append(_said(hour, windows, number, batch))
                store.flush(60.0)
                number += len(windows)
                windows = []
        ((starts,),) = store.query("SELECT count(*) FROM windows").rows
    by_table = sizes(path)
    keep = ", ".join(f"'{name}'" for name in FOUR)
    with duckdb.connect(str(folder / "alone.duckdb")) as connection:
        connection.execute(f"ATTACH '{path}' AS day (READ_ONLY)")
        connection.execute("CREATE TABLE windows AS FROM day.windows")
        connection.execute(f"CREATE TABLE dimension_counts AS FROM day.dimension_counts WHERE dimension IN ({keep})")
    alone = sizes(folder / "alone.duckdb", ("windows", "dimension_counts"))
    return {"windows": starts, "by_table": by_table, "four_dimensions": alone}


def _said(hour: Sequence[Findings], windows: Sequence[Window], number: int, batch: Batch) -> Findings:
    """What was said of windows of the judged hour, of these."""
    analyses = []
    for place, window in enumerate(windows, number):
        analysis = hour[place % len(hour)].analyses[0]
        analyses.append(msgspec.structs.replace(analysis, window=window, observed=window.features[0]))
    return Findings(batch.arrived_at, batch.watermark, batch.status, analyses=tuple(analyses))


def sizes(path: Path, tables: Sequence[str] = ()) -> dict[str, int]:
    """Bytes of the blocks that each table's columns share, by table, and of the file."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CHECKPOINT")
    found = {}
    with duckdb.connect(str(path)) as connection:
        for name in tables or schema.tables(WIKIMEDIA):
            ((rows, size),) = connection.execute(
                f"SELECT (SELECT count(*) FROM {name}), count(DISTINCT block_id) * 262144 "
                f"FROM pragma_storage_info('{name}') WHERE block_id >= 0"
            ).fetchall()
            if rows:
                found[name] = size
    return {**found, "file": path.stat().st_size}


def show_rows(name: str, result: dict) -> None:
    print(
        f"  {name:10s} {result['rows']:9,d} rows  {result['best']:9,.0f} a second "
        f"(median {result['median']:,.0f}; by CPU {result['best_by_cpu']:,.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hours", type=float, default=24.0)
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, DuckDB {duckdb.__version__}, {arguments.rounds} rounds")
    results: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        found = judged(JUDGED)
        windows = [msgspec.structs.replace(each, events=()) for each in found]
        events = [msgspec.structs.replace(each, analyses=(), anomalies=(), gaps=()) for each in found]
        print(f"rows into DuckDB from Python, target at least {LEAST_ROWS:,} a second of windows")
        for name, told in (("windows", windows), ("raw events", events)):
            results[name] = rows_a_second(told, Path(folder), arguments.rounds)
            show_rows(name, results[name])
        if arguments.hours:
            results["day"] = day(arguments.hours, Path(folder))
            print(f"{arguments.hours:g} h on disk, {results['day']['windows']:,} windows, MB")
            for name, size in results["day"]["by_table"].items():
                print(f"  {name:28s} {size / 1e6:7.2f}")
            alone = results["day"]["four_dimensions"]["file"] / 1e6
            print(f"  windows, four dimensions     {alone:7.2f}   target at most {MOST_MEGABYTES:g} for 24 h")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "history.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
