"""Recorded or past data through a pipeline of its own, into what history lacks of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tracewave_panel.codec import decode_batch, decode_packed
from tracewave_panel.config import Settings
from tracewave_panel.errors import ConfigError, FeedError, StateError, StoreError
from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.model import Batch, Findings, Origin, Status
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.ports import SavedState
from tracewave_panel.sources.packed_lines import PackedLines
from tracewave_panel.sources.recording import RecordingHeader, read_recording, state_beside
from tracewave_panel.sources.rolling_recording import as_recording, segments
from tracewave_panel.sources.wikimedia import WikimediaSource
from tracewave_panel.stores.asking import ask_history
from tracewave_panel.stores.filling import Filler, filling
from tracewave_panel.stores.portions import ENOUGH, Portions

__all__ = ["Backfill", "Tell", "backfill_live", "backfill_recording"]

logger = logging.getLogger(__name__)

_SPOKEN = 5.0  # seconds after which a server that waits hears something

Tell = Callable[[float, float | None, str], None]
"""Told how many seconds of recorded time are done, of how many, and a note."""


class Backfill:
    """What has become of the findings so far; `windows`, `anomalies` and `events` are those that were new.

    Attributes
    ----------
    windows_told
        How many the pipeline gave, gaps not counted.
    old_windows
        Among the new ones, those that are older than they are kept for.
    old_events
        Those that are, and were left out.
    by
        In words, through whom they went.
    """

    def __init__(self, settings: Settings) -> None:
        self.windows = self.anomalies = self.events = 0
        self.windows_told = self.old_windows = self.old_events = 0
        self.by = ""
        self.damage: str | None = None
        self._store = settings.store
        self._windows_from = -math.inf

    def goes(self, by: str, origin: Origin) -> None:
        """Say through whom, and where data comes from: of real data what is old does not stay."""
        self.by = by
        if origin is not Origin.SIMULATED:
            self._windows_from = time.time() - self._store.keep_windows

    def take(self, filler: Filler, findings: Findings) -> None:
        """Hand over findings, and count what was new."""
        filled = filler.backfill(findings)
        windows = {(each.window.series, each.window.start) for each in findings.analyses}
        self.windows_told += len(windows)
        self.windows += filled.windows
        self.anomalies += filled.anomalies
        self.events += filled.events
        if filled.windows:
            self.old_windows += sum(start < self._windows_from for _, start in windows)

    @property
    def words(self) -> str:
        """What was new, and what will not stay."""
        there = self.windows_told - self.windows
        if self.windows or self.anomalies or self.events:
            new = f"{self.windows:,} windows new, {there:,} there already"
            lines = [f"{new}; {self.anomalies:,} anomalies and {self.events:,} events new ({self.by})"]
        else:
            lines = [f"nothing new: all {there:,} windows are there already ({self.by})"]
        if self.old_events:
            kept = f"{self._store.keep_events / 3600:g} h (store.keep_events)"
            lines.append(f"{self.old_events:,} events are older than {kept} and were left out")
        if self.old_windows:
            kept = f"{self._store.keep_windows / 86_400:g} days (store.keep_windows)"
            taken = "a server that runs on this history soon takes them out again, but for the minutes and hours"
            lines.append(f"about {self.old_windows:,} windows are older than {kept}: {taken}")
        return "\n".join(lines)


def backfill_recording(
    path: Path,
    data: Path,
    settings: Settings,
    done: Backfill,
    *,
    cold: bool = False,
    tell: Tell | None = None,
    enough: int = ENOUGH,
) -> None:
    """Run a recording, or the folder of a rolling one, into the history in the folder `data`.

    Parameters
    ----------
    done
        Counts as it goes.
    cold
        Start with detectors that know nothing, even if a State lies beside the recording.
    enough
        Roughly the bytes that are handed over at once.

    Raises
    ------
    ConfigError, RecordingError
        When there is no such recording, or its windows would be of another width than those of the history.
    StoreError
        When the history is of another feed, cannot be written, or the server that runs keeps another file.
    """
    header, batches = as_recording(path) if path.is_dir() else read_recording(path)
    feed = header.feed_in(path)
    total = _length(path, header) if tell else None
    with _open(data, feed, header.origin, settings, done, enough) as (filler, run):
        state = state_beside(path)
        if state.is_file() and not cold:
            run.learn(state.read_bytes(), str(state))
        for batch in batches:
            for findings in run.through(batch):
                done.take(filler, findings)
                if tell:
                    tell(batch.arrived_at - header.started_at, total, f"{done.windows:,} windows new")
        for findings in run.rest(flushed=True):
            done.take(filler, findings)
    done.damage = batches.damage


async def backfill_live(
    data: Path, settings: Settings, done: Backfill, *, since: float, patience: float = 120.0, tell: Tell | None = None
) -> None:
    """Follow the live feed from `wikimedia.since` on until it has caught up, into the history in the folder `data`.

    Detectors start from the newest State of that history, if it has one.

    Parameters
    ----------
    since
        The same moment in epoch seconds, for telling how far it is.
    patience
        Seconds without an event after which the feed is given up.

    Raises
    ------
    FeedError
        When the feed refuses, or nothing comes for too long.
    ConfigError, StoreError
        As :func:`backfill_recording` does.
    """
    source = WikimediaSource(settings.wikimedia)
    with _open(data, WIKIMEDIA, Origin.LIVE, settings, done) as (filler, run):
        saved = await asyncio.to_thread(_newest_state, data)
        if saved:
            run.learn(saved, "the State of this history")
        loop, events, spoken = asyncio.get_running_loop(), 0, time.monotonic()
        try:
            async with asyncio.timeout(patience) as limit, contextlib.aclosing(source.batches()) as batches:
                async for batch in batches:
                    portions = list(run.through(batch))
                    if time.monotonic() - spoken > _SPOKEN and not portions:
                        portions = list(run.waiting())
                    for findings in portions:
                        await asyncio.to_thread(done.take, filler, findings)
                        spoken = time.monotonic()
                    events += len(batch.events)
                    if batch.events:
                        limit.reschedule(loop.time() + patience)
                    if tell:
                        state = source.status().state
                        tell(batch.watermark - since, time.time() - since, f"{state.word} {state.note}".strip())
                    if events and batch.status is Status.LIVE:
                        break
        except TimeoutError as error:
            note = source.status().state.note
            raise FeedError(
                f"no event came from the feed for {patience:g} s ({note}); what came before is kept"
            ) from error
        for findings in run.rest(flushed=False):
            await asyncio.to_thread(done.take, filler, findings)


class _Run:
    """A pipeline whose findings are cut into portions."""

    def __init__(self, feed: Feed, origin: Origin, settings: Settings, enough: int) -> None:
        keep = settings.store.keep_events
        simulated = origin is Origin.SIMULATED  # its history begins anew each time, and knows no clock
        self._found: list[Findings] = []
        self._pipeline = Pipeline(feed, settings.pipeline(), {"history": self._found.append})
        events_from = -math.inf if simulated and keep else time.time() - keep
        self._portions = Portions(events_from=events_from, enough=enough)
        self._last: Batch | None = None

    def learn(self, state: bytes, where: str) -> None:
        """Start with detectors that have seen something before."""
        try:
            self._pipeline.restore(state, learned_only=True)
        except StateError as error:
            logger.warning("%s: %s", where, error)

    def through(self, batch: Batch) -> Iterator[Findings]:
        """What is to be handed over after a batch."""
        self._last = batch
        self._pipeline.emit(batch)
        yield from self._cut()

    def waiting(self) -> Iterator[Findings]:
        """What would wait for more to come with it; perhaps empty findings."""
        return self._portions.waiting()

    def rest(self, *, flushed: bool) -> Iterator[Findings]:
        """All that is left; with `flushed` windows that are still open, too."""
        if flushed and self._last is not None:
            self._pipeline.flush(self._last)
        yield from self._cut()
        yield from self._portions.rest()

    @property
    def left_out(self) -> int:
        """Events that are too old to be kept."""
        return self._portions.left_out

    def close(self) -> None:
        self._pipeline.close()

    def _cut(self) -> Iterator[Findings]:
        for findings in self._found:
            yield from self._portions.add(findings)
        self._found.clear()


@contextlib.contextmanager
def _open(
    data: Path, feed: Feed, origin: Origin, settings: Settings, done: Backfill, enough: int = ENOUGH
) -> Iterator[tuple[Filler, _Run]]:
    with contextlib.closing(_Run(feed, origin, settings, enough)) as run, filling(data, feed, origin) as (filler, by):
        done.goes(by, origin)
        _refuse_other_width(data, settings.window.width)
        try:
            yield filler, run
        finally:
            done.old_events = run.left_out


def _refuse_other_width(data: Path, width: float) -> None:
    """Windows of two widths in one history would count the same events twice."""
    found = ask_history(data, f"SELECT DISTINCT width FROM windows WHERE width <> {width!r} LIMIT 1").rows  # noqa: S608
    if found.num_rows:
        there = found.column(0)[0].as_py()
        raise ConfigError(
            f"the history in {data} has windows of {there:g} s, and these would be of {width:g} s; "
            f"add --set window.width={there:g}, or choose another folder with --data"
        )


def _newest_state(data: Path) -> bytes:
    try:
        rows = ask_history(data, "SELECT saved FROM states ORDER BY told DESC LIMIT 1").rows
    except StoreError as error:
        logger.warning("detectors start cold: %s", error)
        return b""
    try:
        return decode_packed(rows.column(0)[0].as_py(), SavedState).state if rows.num_rows else b""
    except StateError as error:
        logger.warning("detectors start cold: %s", error)
        return b""


def _length(path: Path, header: RecordingHeader) -> float | None:
    """Seconds from the first batch of a recording to its last, as far as that can be read."""
    if header.ended_at is not None:
        return header.ended_at - header.started_at
    last = b""
    for last in PackedLines(segments(path)[-1] if path.is_dir() else path):  # noqa: B007 - the last one is wanted
        pass
    try:
        return max(0.0, decode_batch(last).arrived_at - header.started_at)
    except msgspec.DecodeError:
        return None
