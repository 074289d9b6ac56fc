"""Real captures as batches on event time."""

from __future__ import annotations

import csv
import io
import math
import tempfile
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from tracewave_panel.core.event_clock import EventClock
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import Feature, Feed, Metric
from tracewave_panel.model import Batch, Event, Mark, Quality
from tracewave_panel.sources.imports import import_druid
from tracewave_panel.sources.packed_lines import PackedLines
from tracewave_panel.sources.recording import read_recording

__all__ = ["BARS", "FLOW", "busiest_wikis", "druid_batches", "measured_batches", "noise_batches", "wiki_batches"]

BARS = Feed(
    name="bars",
    title="Bars of a market",
    dimensions=(),
    measures=("close", "volume"),
    features=(Feature("price", "last", "close"), Feature("volume", "sum", "volume")),
    metrics=(
        Metric("price", "price", "USD", "price", kind="price"),
        Metric("volume", "volume", "USD", "volume", kind="value"),
    ),
    series=(),
    place="",
    who="",
)
"""A closing price and a volume a window."""

FLOW = Feed(
    name="flow",
    title="Water flow",
    dimensions=(),
    measures=("Water flow [l/s]",),
    features=(Feature("flow", "last", "Water flow [l/s]"),),
    metrics=(Metric("flow", "flow", "l/s", "flow", kind="value"),),
    series=(),
    place="",
    who="",
)
"""One value a window, and nothing else."""

_HOLE = 1.5  # widths between two rows from which one is missing


def druid_batches(path: Path) -> list[Batch]:
    """A day of edits, as ``tracewave import druid`` makes a recording of it; errors as that has them."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "druid.jsonl.gz"
        import_druid(path, recording)
        _, batches = read_recording(recording)
        return list(batches)


def busiest_wikis(batches: Iterable[Batch], count: int) -> list[str]:
    """The wikis with most edits, most first."""
    edits = Counter(event.dimensions[0] for batch in batches for event in batch.events)
    return sorted(edits, key=lambda wiki: (-edits[wiki], wiki))[:count]


def wiki_batches(batches: Iterable[Batch], wikis: Collection[str]) -> Iterator[Batch]:
    """The edits of some wikis alone, each wiki a series."""
    for batch in batches:
        events = (event for event in batch.events if event.dimensions[0] in wikis)
        own = tuple(msgspec.structs.replace(event, series=event.dimensions[0]) for event in events)
        yield msgspec.structs.replace(batch, events=own)


def measured_batches(path: Path, feed: Feed, series: str, width: float) -> Iterator[Batch]:
    """Rows of a CSV file, plain or packed, that hold a time and the feed's measures: a batch and a window a row.

    The first column is the time, in ISO 8601, UTC unless it says otherwise. Where rows are missing, a mark says ``gap``
    from the end of the last window to the next row.

    Raises
    ------
    ConfigError
        When the file cannot be read, lacks a measure, or has a row that is none.
    """
    clock, waiting = EventClock(lateness=0.0, jump=_HOLE * width), deque[Event]()
    latest = -math.inf
    for event in _rows(path, feed, series):
        waiting.append(event)
        for time in clock.receive((event.occurred_at,)):
            yield _batch(waiting.popleft(), time, latest, width)
            latest = max(latest, time)
    for time in clock.finish():
        yield _batch(waiting.popleft(), time, latest, width)
        latest = max(latest, time)
    if not math.isfinite(latest):
        raise ConfigError(f"{path} has no rows; fetch the file again")
    yield Batch(arrived_at=latest, watermark=latest + width)  # the last row ends its window


def _batch(event: Event, time: float, latest: float, width: float) -> Batch:
    arrived = max(time, latest)
    missing = math.isfinite(latest) and time - latest > _HOLE * width
    return Batch(
        arrived_at=arrived,
        watermark=arrived,
        events=(msgspec.structs.replace(event, time=time, arrived_at=arrived),),
        marks=(Mark(latest + width, time, Quality.GAP),) if missing else (),
    )


def _rows(path: Path, feed: Feed, series: str) -> Iterator[Event]:
    lines = PackedLines(path)
    text = b"".join(lines.texts()).decode("utf-8")
    if lines.damage:
        raise ConfigError(f"{path}: {lines.damage}; fetch the file again")
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    missing = [measure for measure in feed.measures if measure not in header]
    if missing:
        raise ConfigError(f"{path}: no column {' and no column '.join(missing)}; its first line must name them")
    places = [header.index(measure) for measure in feed.measures]
    for row in rows:
        try:
            moment = datetime.fromisoformat(row[0])
            time = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            measures = tuple(_finite(row[place]) for place in places)
        except (ValueError, IndexError) as error:
            raise ConfigError(f"{path}, line {rows.line_num}: not a time and its measures ({error})") from error
        yield Event(time, time, time, series, f"{series}-{rows.line_num}", (), measures)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def noise_batches(windows: int, width: float, seed: int) -> Iterator[Batch]:
    """Values of the feed FLOW that are independent and normal: simulated, and nothing happens in them."""
    values = np.random.default_rng(seed).normal(100.0, 1.0, windows)
    for number, value in enumerate(values.tolist()):
        time = number * width
        event = Event(time, time, time, "noise", f"noise-{number}", (), (value,))
        yield Batch(arrived_at=time, watermark=time, events=(event,))
