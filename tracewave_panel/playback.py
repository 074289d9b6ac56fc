"""A recording, or batches from elsewhere, through the graph, with a summary that two runs can be compared by."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import msgspec

from tracewave_panel.codec import Digest
from tracewave_panel.core.windows import window_index
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, Batch, Findings, Origin
from tracewave_panel.pipeline import Pipeline, PipelineSettings
from tracewave_panel.sources.recording import read_recording, state_beside
from tracewave_panel.sources.replay import RecordingSource

logger = logging.getLogger(__name__)

__all__ = ["Summary", "Tally", "Tell", "joined", "replay", "replay_batches", "replay_paced"]

Tell = Callable[[Findings], None]
"""What is told the findings of each batch, or of some joined ones."""


class Summary(msgspec.Struct, frozen=True):
    """What a replay came to.

    Attributes
    ----------
    cpu_s, wall_s
        From the first byte of the recording to the last finding; imports are not in it.
    digest
        SHA-256 over the codec bytes of every Analysis in order.
    """

    recording: str
    origin: str
    events: int
    windows: int
    late: int
    dropped: int
    undecodable: int
    duplicates: int
    windows_by_quality: dict[str, int]
    anomalies: tuple[Anomaly, ...]
    cpu_s: float
    wall_s: float
    events_per_cpu_s: float
    digest: str
    damage: str | None = None


class Tally:
    """A sink that counts findings and takes their digest."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.qualities: Counter[str] = Counter()
        self.anomalies: dict[str, Anomaly] = {}
        self.digest = Digest()

    def __call__(self, findings: Findings) -> None:
        """Take in what one batch gave."""
        totals = self.totals
        totals["events"] += len(findings.events)
        totals["late"] += findings.late
        totals["dropped"] += findings.dropped
        totals["undecodable"] += findings.undecodable
        totals["duplicates"] += findings.duplicates
        for analysis in findings.analyses:
            self.digest.add(analysis)
            self.qualities[analysis.window.quality.value] += 1
        for anomaly in findings.anomalies:
            self.anomalies[anomaly.id] = anomaly


def replay(path: Path, settings: PipelineSettings, *, cold: bool = False, tell: Tell | None = None) -> Summary:
    """Run a recording through a pipeline of its own, as fast as it goes.

    Parameters
    ----------
    cold
        Start with detectors that know nothing, even if a State lies beside the recording.
    tell
        Told the findings as they come; what it raises ends the replay.

    Raises
    ------
    RecordingError
        When the file is not a recording, or of an unknown feed.
    """
    header, reader = read_recording(path)
    tally = Tally()
    told = _Told(tell)
    pipeline = _pipeline(path, header.feed_in(path), settings, {"tally": tally, "tell": told.take}, cold=cold)
    began = _play(pipeline, reader, settings.width, told)
    return _summary(path.name, header.origin.value, tally, began, reader.damage)


def replay_batches(
    feed: Feed, batches: Iterable[Batch], settings: PipelineSettings, *, name: str, tell: Tell | None = None
) -> Summary:
    """Run batches of any feed through a pipeline of its own, cold; `name` is what the summary calls them."""
    tally = Tally()
    told = _Told(tell)
    pipeline = Pipeline(feed, settings, {"tally": tally, "tell": told.take})
    began = _play(pipeline, batches, settings.width, told)
    return _summary(name, Origin.IMPORTED.value, tally, began, None)


class _Told:
    """A sink whose errors are kept, since the graph holds them back from the other sinks."""

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self.error: Exception | None = None

    def take(self, findings: Findings) -> None:
        if self._tell is None or self.error is not None:
            return
        try:
            self._tell(findings)
        except Exception as error:  # noqa: BLE001 (raised again by check)
            self.error = error

    def check(self) -> None:
        if self.error is not None:
            raise self.error


def _play(pipeline: Pipeline, batches: Iterable[Batch], width: float, told: _Told) -> tuple[float, float]:
    """Everything through the graph, which is taken apart then; return when it began."""
    began = time.process_time(), time.perf_counter()
    batch: Batch | None = None
    try:
        with _rare_collection():
            for batch in joined(batches, width):
                pipeline.emit(batch)
                told.check()
        if batch is not None:
            pipeline.flush(batch)
            told.check()
    finally:
        pipeline.close()
    return began


@contextlib.contextmanager
def _rare_collection() -> Iterator[None]:
    """Look for reference cycles a hundredth as often: a replay makes none, and looking is a twentieth of its time."""
    before = gc.get_threshold()
    gc.set_threshold(100 * before[0], *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def joined(batches: Iterable[Batch], width: float) -> Iterator[Batch]:
    """Join batches between which the watermark closes no window: what the graph makes of them is the same."""
    waiting: list[Batch] = []
    reached: int | None = None
    for batch in batches:
        waiting.append(batch)
        index = window_index(batch.watermark, width)
        if index != reached:
            yield _join(waiting)
            waiting = []
            reached = index
    if waiting:
        yield _join(waiting)


def _join(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    last = batches[-1]
    return Batch(
        arrived_at=last.arrived_at,
        watermark=last.watermark,
        status=last.status,
        events=tuple(chain.from_iterable([batch.events for batch in batches])),
        marks=tuple(chain.from_iterable([batch.marks for batch in batches])),
        dropped=tuple(chain.from_iterable([batch.dropped for batch in batches])),
        undecodable=sum([batch.undecodable for batch in batches]),
        duplicates=sum([batch.duplicates for batch in batches]),
    )


async def replay_paced(
    path: Path,
    settings: PipelineSettings,
    *,
    speed: float | None,
    loop: bool = False,
    cold: bool = False,
    tell: Tell | None = None,
) -> Summary:
    """Run a recording through a pipeline at `speed` times its own pace, telling each Findings to `tell`."""
    tally = Tally()
    source = RecordingSource(path, speed=speed, loop=loop, step=settings.width)
    header, _ = read_recording(path)
    pipeline = _pipeline(
        path, header.feed_in(path), settings, {"tally": tally} | ({"tell": tell} if tell else {}), cold=cold
    )
    began = time.process_time(), time.perf_counter()
    last: Batch | None = None
    try:
        async with contextlib.aclosing(source.batches()) as batches:
            async for last in batches:
                pipeline.emit(last)
    except asyncio.CancelledError:
        pass  # told to stop: what was seen is summed up
    if last is not None:
        pipeline.flush(last)
    summary = _summary(path.name, header.origin.value, tally, began, source.damage)
    pipeline.close()
    return summary


def _pipeline(
    path: Path,
    feed: Feed,
    settings: PipelineSettings,
    sinks: dict[str, Tell],
    *,
    cold: bool,
) -> Pipeline:
    pipeline = Pipeline(feed, settings, sinks)
    state = state_beside(path)
    if state.is_file() and not cold:
        try:
            pipeline.restore(state.read_bytes(), learned_only=True)
        except StateError as error:
            logger.warning("%s: %s", state, error)
    return pipeline


def _summary(name: str, origin: str, tally: Tally, began: tuple[float, float], damage: str | None) -> Summary:
    cpu, wall = time.process_time() - began[0], time.perf_counter() - began[1]
    events = tally.totals["events"]
    return Summary(
        recording=name,
        origin=origin,
        events=events,
        windows=tally.qualities.total(),
        late=tally.totals["late"],
        dropped=tally.totals["dropped"],
        undecodable=tally.totals["undecodable"],
        duplicates=tally.totals["duplicates"],
        windows_by_quality=dict(sorted(tally.qualities.items())),
        anomalies=tuple(tally.anomalies.values()),
        cpu_s=round(cpu, 4),
        wall_s=round(wall, 4),
        events_per_cpu_s=round(events / cpu, 1) if cpu else 0.0,
        digest=tally.digest.hexdigest(),
        damage=damage,
    )
