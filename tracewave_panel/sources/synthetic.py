"""Simulated edits as a source: made from a seed, with known incidents, and said to be simulated everywhere.

The edits of :mod:`~tracewave_panel.sources.synthetic_traffic` are read through a connection that may stall or break,
and go through the same :class:`~tracewave_panel.core.feed_clock.FeedClock` as a live feed, so that times, watermarks,
marks and statuses are made by the real thing.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import count, islice, repeat, takewhile
from pathlib import Path

import msgspec

from tracewave_panel.codec import to_json
from tracewave_panel.core.feed_clock import FeedClock
from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Batch, Event, Origin, Status
from tracewave_panel.ports import FeedState, SourceStatus
from tracewave_panel.sources.pace import Pace
from tracewave_panel.sources.recording import RecordingHeader, RecordingWriter
from tracewave_panel.sources.synthetic_incidents import Planted, default_schedule, plant
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings, Traffic
from tracewave_panel.sources.synthetic_world import Columns, event_at

__all__ = ["Simulation", "SyntheticSettings", "SyntheticSource", "Truth", "simulate", "write_simulation"]

_READS_A_SECOND = 10
_EDITS_A_READ = 400
_WORDS = {Status.LIVE: "live", Status.CATCH_UP: "catching_up", Status.GAP: "gap"}


class Simulation:
    """A finite stream of batches, ten a second as the live source has, and what was planted in it.

    Parameters
    ----------
    start
        First second of the recording, since the epoch.
    duration
        Seconds of the recording.
    warm_up
        Seconds of the same stream before `start`, in which nothing is planted.

    Attributes
    ----------
    truth
        Everything planted, in order of start.
    """

    def __init__(self, settings: SyntheticSettings, start: float, duration: float, *, warm_up: float = 0.0) -> None:
        self.settings = settings
        self.start = float(math.floor(start))
        self.duration = duration
        planned = takewhile(lambda one: one.start < self.start + duration, _planned(settings, self.start))
        self.truth = tuple(planned)
        reading = _Connection(settings, self.start - math.ceil(warm_up), iter(self.truth)).batches()
        self._warm_up = islice(reading, math.ceil(warm_up) * _READS_A_SECOND)
        self._recording = islice(reading, math.ceil(duration) * _READS_A_SECOND)

    def warm_up(self) -> Iterator[Batch]:
        """Batches before the start."""
        return filter(None, self._warm_up)

    def recording(self) -> Iterator[Batch]:
        """Batches from the start on; what is left of the warm-up is skipped."""
        deque(self._warm_up, maxlen=0)
        return filter(None, self._recording)


def simulate(settings: SyntheticSettings, start: float, duration: float, *, warm_up: float = 0.0) -> Simulation:
    """Simulate `duration` seconds of edits from `start` on: the same for the same settings and start."""
    return Simulation(settings, start, duration, warm_up=warm_up)


class SyntheticSource:
    """Simulated edits in real time, for ever; fulfils :class:`~tracewave_panel.ports.Source`.

    Its batches carry no position: a stream that was stopped begins anew, at another time.

    Parameters
    ----------
    clock
        Read once, when the iteration begins: where in time the stream starts.
    """

    def __init__(self, settings: SyntheticSettings | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings or SyntheticSettings()
        self._clock = clock
        self._pace = Pace(self._settings.speed)
        self._connection: _Connection | None = None
        self._events = 0
        self._state = FeedState("connecting", "not started yet", clock())

    @property
    def origin(self) -> Origin:
        """Simulated."""
        return Origin.SIMULATED

    @property
    def planted(self) -> tuple[Planted, ...]:
        """What has begun so far, or begins within the minute to come."""
        return () if self._connection is None else tuple(self._connection.traffic.planted)

    async def batches(self, position: bytes = b"") -> AsyncGenerator[Batch, None]:  # noqa: ARG002 - none is ever given
        """Iterate over ten batches a second of simulated time."""
        start = float(math.floor(self._clock()))
        self._connection = _Connection(self._settings, start, _planned(self._settings, start))
        for batch in filter(None, self._connection.batches()):
            if not await self._pace.reach(batch.arrived_at):
                break
            self._events += len(batch.events)
            if self._state.word != _WORDS[batch.status]:
                self._state = FeedState(_WORDS[batch.status], f"simulated, {self._pace.words}", batch.arrived_at)
            yield batch
        self._state = FeedState("ended", "stopped", self._clock())

    async def stop(self) -> None:
        """End the iteration before its next batch."""
        self._pace.stop()

    def status(self) -> SourceStatus:
        """Say how the simulated feed stands."""
        connection = self._connection
        reconnects = 0 if connection is None else connection.reconnects
        lag = None if connection is None else connection.clock.lag
        counters = dict.fromkeys(("undecodable", "duplicates", "canaries", "skipped"), 0)
        return SourceStatus(self._state, {"events": self._events, "reconnects": reconnects, **counters}, lag)


class Truth(msgspec.Struct, frozen=True):
    """What stands in the file beside a simulated recording; times are seconds by the arrival clock."""

    seed: int
    start: float
    duration: float
    planted: tuple[Planted, ...]


def write_simulation(path: Path | str, simulation: Simulation) -> Path:
    """Write the recording of a simulation to `path`, and what was planted beside it; return the path of the latter.

    Raises
    ------
    ConfigError
        When the recording exists already, or cannot be made there.
    StoreError
        When the disk refuses.
    """
    path = Path(path)
    truth_path = path.with_name(f"{path.name.removesuffix('.jsonl.gz')}.truth.json")
    settings, start, duration = simulation.settings, simulation.start, simulation.duration
    header = RecordingHeader(
        feed=WIKIMEDIA.name,
        origin=Origin.SIMULATED,
        started_at=start,
        ended_at=start + duration,
        licence="CC0-1.0: simulated; no edit in it was ever made",
        arrival="simulated",
        note=f"about {settings.rate:g} edits a second with {len(simulation.truth)} planted incidents",
        seed=settings.seed,
        truth=truth_path.name,
    )
    with RecordingWriter(path, header) as recording:
        for batch in simulation.recording():
            recording.write(batch)
    truth = Truth(settings.seed, start, duration, simulation.truth)
    try:
        truth_path.write_bytes(msgspec.json.format(to_json(truth)) + b"\n")
    except OSError as error:
        raise StoreError(f"cannot write {truth_path}: {error.strerror}; make room and try again") from error
    return truth_path


def _planned(settings: SyntheticSettings, start: float) -> Iterator[Planted]:
    if settings.incidents is None:
        incidents = default_schedule(settings.seed, settings.every)
    else:
        incidents = iter(sorted(settings.incidents, key=lambda incident: incident.after))
    return (plant(incident, start, settings.seed) for incident in incidents)


class _Connection:
    """Reads the traffic ten times a second, as far as stalls and disconnects let it."""

    def __init__(self, settings: SyntheticSettings, start: float, planned: Iterator[Planted]) -> None:
        self.traffic = Traffic(settings, start, planned)
        self.clock = FeedClock()
        self.reconnects = 0
        self._start = start
        self._number = 0
        self._queue: deque[tuple[float, Columns, int]] = deque()
        self._read_at = start
        self._down = False

    def batches(self) -> Iterator[Batch | None]:
        """Give a batch a read, for ever; None while the clock knows no time yet."""
        self.clock.connected(self._start, resumes=False)
        for reads in count(1):
            now = round(self._start + reads / _READS_A_SECOND, 3)
            while self.traffic.until < now:
                edits = self.traffic.block()
                self._queue.extend(zip(edits.arrived_at.tolist(), repeat(edits), count()))
            events = self._read(now)
            self.clock.tick(now)
            yield self._batch(now, events) if math.isfinite(self.clock.watermark) else None

    def _batch(self, now: float, events: list[Event]) -> Batch:
        marks = self.clock.take_marks()
        return Batch(now, self.clock.watermark, self.clock.status, tuple(events), marks)

    def _read(self, now: float) -> list[Event]:
        active = {one.kind for one in self.traffic.active if one.start < now <= one.end}
        if "reconnect_backlog" in active:
            self.clock.disconnected(now)
            self._down = True
            return []
        if self._down:
            self._down = False
            self.reconnects += 1
            self.clock.connected(now, resumes=True)
        if "feed_stall" in active:
            return []
        if "outage" in active:
            self.clock.alive(now)
        return self._take(now)

    def _take(self, now: float) -> list[Event]:
        taken: list[tuple[float, Columns, int]] = []
        while self._queue and self._queue[0][0] <= now and len(taken) < _EDITS_A_READ:
            taken.append(self._queue.popleft())
        if not taken:
            return []
        late = taken[0][0] <= now - 1 / _READS_A_SECOND
        self._read_at = now if late else max(self._read_at, taken[-1][0])
        times = self.clock.receive(self._read_at, [float(edits.occurred_at[at]) for _, edits, at in taken])
        events = []
        for (_, edits, at), time_ in zip(taken, times, strict=True):
            self._number += 1
            id_ = f"{int(self._start):x}-{self._number:x}"
            events.append(event_at(edits, at, id=id_, time=time_, arrived_at=self._read_at))
        return events
