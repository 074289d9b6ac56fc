"""Feed clock under 200 faults a row: false windows, seams, delay, cost. Run: ``python benchmarks/feed_clock.py``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from simulated_feed import DISCONNECT, STALL, Scenario, run

RATES = (0.5, 2.0, 5.0, 30.0, 500.0)


def row(name: str, scenario: Scenario) -> None:
    outcome = run(scenario)
    print(
        f"{name:22s} {scenario.rate:5g} {outcome.false_by_arrival:6d} {outcome.false:5d} {outcome.false_zeros:5d}"
        f"   {outcome.far[0]:5.1f} {outcome.far[1]:5.1f}   {outcome.near[0]:5.1f} {outcome.near[1]:5.1f}"
        f"   {outcome.partial:5.2f} {outcome.gap:5.1f}   {outcome.late:5.2f} {outcome.lost:4d}   {outcome.delay:5.2f}"
        f"   {outcome.lag:4.2f} {outcome.spread:5.1f}   {outcome.live_cost:4.2f} {outcome.backlog_cost:5.2f}",
        flush=True,
    )


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    began = time.process_time()
    print("200 faults a row: disconnects of 5-120 s, stalls of 2-20 s; true lag median 1 s, 99th 11 s")
    print("false: judged windows with p < 1e-7 against the true rate; zeros: empty ok windows inside a fault")
    print(f"{'':29s}arrival{'':16s}z far{'':9s}z near{'':6s}a fault{'':9s}late{'':8s}delay   learned      us an event")
    print(
        "kind                    rate  false false zeros     max   min     max   min"
        "   partial gap       % lost  median   lag spread   live backlog",
    )
    for name, fault in (("disconnect", DISCONNECT), ("stall", STALL)):
        for rate in RATES:
            row(name, Scenario(**fault, rate=rate, seed=seed))
    for rate in (0.5, 5.0, 30.0):
        row("disconnect, whole s", Scenario(**DISCONNECT, rate=rate, seed=seed, whole_seconds=True))
        row("stall, whole s", Scenario(**STALL, rate=rate, seed=seed, whole_seconds=True))
    for rate in (0.5, 5.0, 30.0):
        row("disconnect, patient", Scenario(**DISCONNECT, rate=rate, seed=seed, patience=300.0))
    for rate in (5.0, 30.0):
        row("disc., second fault", Scenario(**DISCONNECT, rate=rate, seed=seed, drain=100.0, second_fault=True))
    row("disconnect, 100/s", Scenario(**DISCONNECT, rate=30.0, seed=seed, drain=100.0))
    row("stall, 100/s", Scenario(**STALL, rate=30.0, seed=seed, drain=100.0))
    print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
