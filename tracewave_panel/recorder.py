"""Recordings of the live feed and of the synthetic one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tracewave_panel.config import Settings
from tracewave_panel.errors import ConfigError, StoreError, TracewaveError
from tracewave_panel.feeds import CRYPTO, FEEDS, WIKIMEDIA, Feed
from tracewave_panel.model import Batch, Origin, Status
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.ports import Source
from tracewave_panel.sources.bundled import BUNDLED_START, bundled_simulation
from tracewave_panel.sources.feed_file import load_feed
from tracewave_panel.sources.own_sources import source_of
from tracewave_panel.sources.recording import RecordingHeader, RecordingWriter, state_beside
from tracewave_panel.sources.rolling_recording import RollingRecording
from tracewave_panel.sources.synthetic import simulate, write_simulation
from tracewave_panel.sources.wikimedia import WikimediaSource

__all__ = ["LastMinutes", "live_header", "make_simulation", "record", "source_named"]

logger = logging.getLogger(__name__)

_WARM_UP = 3600.0

_LICENCE = "Wikimedia EventStreams: public metadata of edits. Holds editors' names and addresses."


def live_header(feed: Feed, started_at: float, origin: Origin = Origin.LIVE) -> RecordingHeader:
    """First line of a recording of a live feed; one of somebody's own is described in it."""
    return RecordingHeader(
        feed=feed.name,
        origin=origin,
        started_at=started_at,
        licence=_LICENCE if feed is WIKIMEDIA else "",
        described=msgspec.UNSET if feed.name in FEEDS else feed,
    )


class LastMinutes:
    """The rolling recording of a live run; when its disk fails the run goes on without it.

    Parameters
    ----------
    folder
        Where its files are made.
    keep
        Seconds that are kept.
    """

    def __init__(self, folder: Path, feed: Feed, *, keep: float) -> None:
        self._recording: RollingRecording | None = None
        try:
            self._recording = RollingRecording(folder, live_header(feed, time.time()), keep=keep)
        except TracewaveError as error:
            logger.warning("the last minutes are not being recorded: %s", error)

    def write(self, batch: Batch) -> None:
        """Record a batch, if the disk still takes it."""
        if self._recording is None:
            return
        try:
            self._recording.write(batch)
        except StoreError as error:
            logger.warning("the last minutes are no longer being recorded: %s", error)
            self._recording = None

    def close(self) -> None:
        """Finish the last file."""
        if self._recording:
            self._recording.close()


def source_named(spec: str, settings: Settings) -> tuple[Source, Feed]:
    """What ``tracewave record`` calls ``wikimedia`` or ``own:FEED.toml``; raises ConfigError for anything else."""
    name, _, path = spec.partition(":")
    if spec == "wikimedia":
        return WikimediaSource(settings.wikimedia), WIKIMEDIA
    if name != "own" or not path:
        raise ConfigError(f"{spec}: what can be recorded is wikimedia or own:FEED.toml")
    described = load_feed(path)
    return source_of(described, speed=None), described.mapping.feed


async def record(
    source: Source,
    feed: Feed,
    out: Path,
    *,
    duration: float | None,
    until_live: bool,
    progress: Callable[[float, str], None],
) -> str:
    """Record a feed and say in words what was captured.

    Parameters
    ----------
    duration
        Seconds; None: until cancelled or, with `until_live`, until the past is caught up with.

    Raises
    ------
    ConfigError
        When the file exists or cannot be made.
    FeedError
        When the feed refuses for good.
    """
    began, events, ending = time.monotonic(), 0, "interrupted"
    batches = source.batches()
    # a file's first batch tells when it begins; of a live feed it is now
    first = None if source.origin is Origin.LIVE else await anext(batches)
    header = live_header(feed, first.arrived_at if first else time.time(), source.origin)
    with RecordingWriter(out, header) as writer:
        telling = asyncio.ensure_future(_tell(source, progress, lambda: (time.monotonic() - began, events)))
        try:
            async with asyncio.timeout(duration), contextlib.aclosing(batches):
                if first:
                    writer.write(first)
                    events += len(first.events)
                async for batch in batches:
                    writer.write(batch)
                    events += len(batch.events)
                    if until_live and duration is None and events and batch.status is Status.LIVE:
                        ending = "the past is caught up with"
                        break
                else:
                    ending = source.status().state.note or "the feed ended"
        except TimeoutError:
            ending = "the time is over"
        except asyncio.CancelledError:
            pass  # told to stop: everything captured so far is in the file
        finally:
            telling.cancel()
        size = writer.size
    return f"{out}: {events} events in {time.monotonic() - began:.0f} s, {size / 1024:.0f} KiB ({ending})"


def make_simulation(
    settings: Settings, out: Path, *, seconds: float | None, overwrite: bool, feed: Feed = WIKIMEDIA
) -> str:
    """Write a simulated recording, the planted truth and a warm State beside it; say in words what was made.

    The State is that of a pipeline with these settings after the hour before the recording.

    Parameters
    ----------
    seconds
        Length; None makes the recording that Tracewave ships, which is of edits.

    Raises
    ------
    ConfigError
        When a file exists and `overwrite` is not set, or cannot be made, or trades have no length.
    """
    if seconds is None and feed is not WIKIMEDIA:
        raise ConfigError(f"a recording of {feed.title} needs a length: add --minutes 30")
    if overwrite:
        out.unlink(missing_ok=True)
    simulation = (
        bundled_simulation()
        if seconds is None
        else simulate(
            settings.synthetic_trades if feed is CRYPTO else settings.synthetic,
            BUNDLED_START,
            seconds,
            warm_up=_WARM_UP,
        )
    )
    pipeline = Pipeline(feed, settings.pipeline(), {})
    for batch in simulation.warm_up():
        pipeline.emit(batch)
    truth = write_simulation(out, simulation)
    state = state_beside(out)
    try:
        state.write_bytes(pipeline.snapshot())
    except OSError as error:
        raise ConfigError(f"cannot write {state}: {error.strerror}; choose a folder that can be written to") from error
    pipeline.close()
    told = f"{len(simulation.truth)} incidents planted ({truth.name}), State in {state.name}"
    return f"{out}: {out.stat().st_size / 1e6:.1f} MB, {told}"


async def _tell(source: Source, progress: Callable[[float, str], None], where: Callable[[], tuple[float, int]]) -> None:
    while True:
        seconds, events = where()
        state = source.status().state
        progress(seconds, f"{events} events, {state.word} {state.note}".strip())
        await asyncio.sleep(0.2)
