"""The figures of the Health page: name, meaning in one line, value with unit, and what its sparkline is of."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from .theme import detector_look
from .vitals import Vitals
from .wording import NONE, length

__all__ = ["DAY", "Row", "panels", "rounded", "spark"]

DAY = 86_400.0
WINDOW_BAR, COMMIT_BAR, LOOP_BAR = 2.0, 250.0, 100.0
"""Milliseconds at which a figure turns amber."""
COST_BAR = 50.0
BUFFER_BAR = 0.5
LINE_POINTS, BARS = 60, 24


class Row(NamedTuple):
    """One figure.

    Attributes
    ----------
    kind, of
        Its sparkline: ``hour`` of a level, ``rates`` or ``growth`` of a total, and which one.
    over
        Whether it is over its bar.
    absent
        Whether a word stands in place of a value.
    """

    name: str
    meaning: str
    value: str
    unit: str
    kind: Literal["hour", "rates", "growth"]
    of: str
    over: bool = False
    absent: bool = False


def panels(vitals: Vitals) -> tuple[tuple[str, list[Row]], ...]:
    """Titles and rows of the three panels."""
    return (
        ("Feed", _feed(vitals)),
        ("Windows and detectors", _windows(vitals)),
        ("Store and pages", _store(vitals)),
    )


def _feed(vitals: Vitals) -> list[Row]:
    lags = (
        ("Lag, median", "From the event to its arrival", "lag_median"),
        ("Lag, 95th", "One event in twenty is later", "lag_p95"),
        ("Lag, 99th", "One in a hundred is later", "lag_p99"),
    )
    events, late = vitals.day("events"), vitals.day("late")
    share = 100 * late / events if events else math.nan
    missing = vitals.day("gap_seconds") - (vitals.day("revised_seconds") or 0)
    dropped = vitals.day("dropped")
    return [
        Row("Events in", "What the feed sends", _shown(vitals.rate("events_in")), "a second", "rates", "events_in"),
        *(Row(name, meaning, _shown(_newest(vitals, of)), "s", "hour", of) for name, meaning, of in lags),
        Row("Late", "Came after their window had closed", _shown(share), "%", "growth", "late"),
        _total(vitals, "Dropped", "Shed because the buffer was full", "dropped", over=dropped > 0),
        _total(vitals, "Undecodable", "Not the shape that was promised", "undecodable"),
        _total(vitals, "Duplicates", "Sent twice, counted once", "duplicates"),
        _total(vitals, "Reconnects", "The feed hung up and came back", "reconnects"),
        Row("Gaps", "Lost for good, not judged", _shown(missing, 0), f"s {_in(vitals)}", "growth", "gap_seconds"),
    ]


def _windows(vitals: Vitals) -> list[Row]:
    median, p99 = (vitals.levels.get(f"window_ms_{name}", math.nan) for name in ("median", "p99"))
    slow = p99 > WINDOW_BAR
    return [
        Row("Windows", "Closed, judged and stored", _shown(vitals.rate("windows"), 2), "a second", "rates", "windows"),
        Row("Window time, median", "All detectors on one window", _shown(median, 2), "ms", "hour", "window_ms_median"),
        Row("Window time, 99th", "Bar is 2 ms", _shown(p99, 2), "ms", "hour", "window_ms_p99", over=slow),
        *(_detector(vitals, name.removeprefix("fired_")) for name in vitals.totals if name.startswith("fired_")),
        _total(vitals, "Partial windows", "Cut by an interruption, not judged", "partial_seconds"),
        _total(vitals, "Anomalies told", "One card each", "anomalies"),
    ]


def _detector(vitals: Vitals, name: str) -> Row:
    look = detector_look(name)
    left = vitals.levels.get(f"cold_{name}")
    of = f"fired_{name}"
    if left is not None:
        waits = f"Learning, ready in {length(left)}" if left else "Not ready to judge"
        return Row(look.name, waits, "abstains", "", "growth", of, absent=True)
    return _total(vitals, f"{look.name} fired", look.sees.capitalize(), of)


def _store(vitals: Vitals) -> list[Row]:
    levels = vitals.levels
    depth, capacity = levels.get("buffer_depth", math.nan), levels.get("buffer_capacity", math.nan)
    commit = levels.get("commit_ms_p99", math.nan)
    kept = "store_bytes" in levels
    size, unit = _bytes(levels.get("store_bytes", math.nan))
    memory, memory_unit = _bytes(levels.get("memory_bytes", math.nan))
    cost, processor = 100 * vitals.rate("session_seconds"), 100 * vitals.rate("processor_seconds")
    delay = levels.get("loop_delay", math.nan)
    failed, not_kept = vitals.day("sink_failures"), vitals.day("not_kept")
    of_capacity = "" if math.isnan(capacity) else f"of {capacity:,.0f}"
    full = depth > BUFFER_BAR * capacity
    return [
        Row("Buffer depth", "Events that wait", _shown(depth, 0), of_capacity, "hour", "buffer_depth", over=full),
        Row("Commits", "Written for good", _shown(vitals.rate("commits")), "a second", "rates", "commits"),
        Row(
            "Commit time, 99th", "Bar is 250 ms", _shown(commit, 0), "ms", "hour", "commit_ms_p99", commit > COMMIT_BAR
        ),
        Row("Store", _history(vitals) if kept else "No history on disk", size, unit, "hour", "store_bytes"),
        _total(vitals, "Not kept", "Windows that history lacks", "not_kept", over=not_kept > 0),
        Row("Sessions", "Pages that watch now", _shown(float(vitals.sessions), 0), "open", "hour", "sessions"),
        Row(
            "Cost of sessions",
            "What those pages cost",
            _shown(cost),
            "% of a core",
            "rates",
            "session_seconds",
            cost > COST_BAR,
        ),
        Row("Processor", "The whole process", _shown(processor, 0), "% of a core", "rates", "processor_seconds"),
        Row("Memory", "Held by the process", memory, memory_unit, "hour", "memory_bytes"),
        Row(
            "Loop delay, 99th",
            "How long a click can wait",
            _shown(delay, 0),
            "ms",
            "hour",
            "loop_delay",
            delay > LOOP_BAR,
        ),
        _total(vitals, "Sink errors", "A store or a page that failed", "sink_failures", over=failed > 0),
    ]


def _history(vitals: Vitals) -> str:
    since = vitals.levels.get("store_since")
    if since is None:
        return "History on disk"
    return f"History on disk, windows since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC"


def _total(vitals: Vitals, name: str, meaning: str, of: str, *, over: bool = False) -> Row:
    count = vitals.day(of)
    return Row(name, meaning, _shown(count, 0), _in(vitals) if count else "", "growth", of, over)


def _in(vitals: Vitals) -> str:
    return "in 24 h" if vitals.now - vitals.since >= DAY else "so far"


def _newest(vitals: Vitals, name: str) -> float:
    held = vitals.hour(name)
    return held[-1] if held else math.nan


def _shown(value: float, digits: int = 1) -> str:
    return NONE if math.isnan(value) else f"{value:,.{digits if value < 1000 else 0}f}"


def _bytes(size: float) -> tuple[str, str]:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return _shown(size / scale, 1 if scale == 1e9 else 0), unit
    return (_shown(size / 1000, 0), "kB") if not math.isnan(size) else (NONE, "")


def spark(vitals: Vitals, row: Row) -> list[float | None]:
    """Values of a row's sparkline, oldest first: at most 60 of a line, 24 of bars."""
    ask = {"hour": vitals.hour, "rates": vitals.rates, "growth": vitals.growth}[row.kind]
    values = ask(row.of)
    most = BARS if row.kind == "growth" else LINE_POINTS
    size = math.ceil(len(values) / most) or 1
    parts = [values[start : start + size] for start in range(0, len(values), size)]
    join = sum if row.kind == "growth" else max if row.of.endswith(("p99", "delay")) else _mean
    return [rounded(join(known)) if (known := [v for v in part if not math.isnan(v)]) else None for part in parts]


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def rounded(value: float) -> float | None:
    """Four figures are enough for a line; None for what is not known.

    >>> rounded(123.456), rounded(float("nan"))
    (123.5, None)
    """
    return None if math.isnan(value) else float(f"{value:.4g}")
