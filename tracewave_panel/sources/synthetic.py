"""A simulated feed as a source: made from a seed, with known incidents, and said to be simulated everywhere.

The settings say of which feed: edits (:mod:`~tracewave_panel.sources.synthetic_traffic`) or trades
(:mod:`~tracewave_panel.sources.synthetic_trades`).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import islice, takewhile
from pathlib import Path

import msgspec

from tracewave_panel.codec import to_json
from tracewave_panel.errors import StoreError
from tracewave_panel.model import Batch, Origin, Status
from tracewave_panel.ports import FeedState, SourceStatus
from tracewave_panel.sources.pace import Pace
from tracewave_panel.sources.recording import RecordingHeader, RecordingWriter
from tracewave_panel.sources.synthetic_connection import READS_A_SECOND, Connection, StreamSettings
from tracewave_panel.sources.synthetic_incidents import Planted
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings

__all__ = ["Simulation", "SyntheticSettings", "SyntheticSource", "Truth", "simulate", "write_simulation"]

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

    def __init__(self, settings: StreamSettings, start: float, duration: float, *, warm_up: float = 0.0) -> None:
        self.settings = settings
        self.start = float(math.floor(start))
        self.duration = duration
        planned = takewhile(lambda one: one.start < self.start + duration, settings.planned(self.start))
        self.truth = tuple(planned)
        begin = self.start - math.ceil(warm_up)
        reading = Connection(settings.maker(begin, iter(self.truth)), begin).batches()
        self._warm_up = islice(reading, math.ceil(warm_up) * READS_A_SECOND)
        self._recording = islice(reading, math.ceil(duration) * READS_A_SECOND)

    def warm_up(self) -> Iterator[Batch]:
        """Batches before the start."""
        return filter(None, self._warm_up)

    def recording(self) -> Iterator[Batch]:
        """Batches from the start on; what is left of the warm-up is skipped."""
        deque(self._warm_up, maxlen=0)
        return filter(None, self._recording)


def simulate(settings: StreamSettings, start: float, duration: float, *, warm_up: float = 0.0) -> Simulation:
    """Simulate `duration` seconds of a feed from `start` on: the same for the same settings and start."""
    return Simulation(settings, start, duration, warm_up=warm_up)


class SyntheticSource:
    """A simulated feed in real time, for ever; fulfils :class:`~tracewave_panel.ports.Source`.

    Its batches carry no position: a stream that was stopped begins anew, at another time.

    Parameters
    ----------
    settings
        What is simulated; None: edits as they come by default.
    clock
        Read once, when the iteration begins: where in time the stream starts.
    """

    def __init__(self, settings: StreamSettings | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._settings: StreamSettings = settings or SyntheticSettings()
        self._clock = clock
        self._pace = Pace(self._settings.speed)
        self._connection: Connection | None = None
        self._events = 0
        self._state = FeedState("connecting", "not started yet", clock())

    @property
    def origin(self) -> Origin:
        """Simulated."""
        return Origin.SIMULATED

    @property
    def planted(self) -> tuple[Planted, ...]:
        """What has begun so far, or begins within the minute to come."""
        return () if self._connection is None else tuple(self._connection.maker.planted)

    async def batches(self, position: bytes = b"") -> AsyncGenerator[Batch, None]:  # noqa: ARG002 - none is ever given
        """Iterate over ten batches a second of simulated time."""
        start = float(math.floor(self._clock()))
        maker = self._settings.maker(start, self._settings.planned(start))
        self._connection = Connection(maker, start)
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
        feed=settings.feed.name,
        origin=Origin.SIMULATED,
        started_at=start,
        ended_at=start + duration,
        licence=f"CC0-1.0: simulated; no {settings.event} in it was ever made",
        arrival="simulated",
        note=f"about {settings.rate:g} {settings.event}s a second with {len(simulation.truth)} planted incidents",
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
