"""Builds adapters from settings and runs them on a thread of their own, with its own event loop.

Building a page blocks the dashboard's loop for some tenths of a second; arrival times and counts
must not bend for that, so feed, bus and graph live here, and pages only read stores.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from tracewave_panel.buses.memory import MemoryBus
from tracewave_panel.config import Settings
from tracewave_panel.errors import StateError, StoreError, TracewaveError
from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.measures import Measures
from tracewave_panel.model import Batch, Label, LabelVerdict, Origin
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.plan import RETRY_SECONDS, Plan, Planner
from tracewave_panel.ports import FeedState, SavedState, SourceStatus
from tracewave_panel.recorder import live_header
from tracewave_panel.sources.rolling_recording import RollingRecording
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.open_history import LIVE_FILE, REPLAY_FILE, OpenHistory, open_history
from tracewave_panel.stores.ring import RingStore
from tracewave_panel.stores.windows_of_history import PastWindows

__all__ = ["Runtime"]

WARM_START_SECONDS = 8.0
"""How long learning from history may take where there is no State; then windows are left out."""
WARM_START_SHOWN = 600.0
"""Seconds for which a page says that there was one."""
_MEMORIES = 6  # of the explaining baselines, after which a four-hundredth of a count is left

logger = logging.getLogger(__name__)


class Runtime:
    """One pipeline after the other, until stopped; fulfils :class:`~tracewave_panel.ports.Control`.

    Parameters
    ----------
    planner
        Decides what to run; asked again when a run ends because the live feed answers.
    data
        Folder for history, State and the rolling recording; None keeps everything in memory.

    Attributes
    ----------
    store
        What pages read. A new run starts it anew and raises `run`.
    """

    feed: Feed = WIKIMEDIA

    def __init__(self, settings: Settings, planner: Planner, *, data: Path | None = None) -> None:
        self.store = RingStore()
        self.run = 0
        self.failure: str | None = None
        self._settings = settings
        self._detectors = tuple(settings.lanes().detectors)
        self._planner = planner
        self._data = data
        self._measures = Measures(self.feed)
        self._plan: Plan | None = None
        self._pipeline: Pipeline | None = None
        self._bus: MemoryBus | None = None
        self._history: OpenHistory | None = None
        self._history_note = ""
        self._start_note = ""
        self._start_note_until = 0.0
        self._started = time.time()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    # -- life

    def start(self) -> None:
        """Begin, on a thread of its own; returns at once."""
        self._thread = threading.Thread(target=self._main, name="tracewave-feed", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End the feed, commit everything, and join the thread.

        Raises
        ------
        StoreError
            When that takes longer than `timeout` seconds.
        """
        if self._thread is None:
            return
        if self._loop is None:
            self._stopping.set()  # told before the loop turns: it will not begin a run
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise StoreError(f"the feed's thread did not end within {timeout:g} s; the last seconds may not be stored")

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except TracewaveError as error:
            self.failure = str(error)
            logger.error("%s", error)  # noqa: TRY400 (the words are for the person who runs it)
        except Exception as error:
            self.failure = f"the feed's thread failed: {error}"
            logger.exception("the feed's thread failed")

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        again = True
        while again and not self._stopping.is_set():
            plan = await self._until_stopped(self._planner.choose())
            again = plan is not None and await self._run(plan)

    async def _until_stopped(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Result of `work`, or None when told to stop before it was done."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
            return None
        return task.result()

    # -- one run

    async def _run(self, plan: Plan) -> bool:
        """Run a plan to its end; True when another should follow."""
        self.store.clear()
        self._measures = measures = Measures(plan.feed)
        self._start_note = ""
        self._history, self._history_note = self._open_history(plan)
        sinks = {"page": self.store.append}
        if self._history and self._data:
            self.store.restore_labels(self._history.store.labels())
            sinks["history"] = self._history.store.append
            measures.watch_history(self._history.store, self._data / (LIVE_FILE if plan.live else REPLAY_FILE))
        sinks["totals"] = measures.take  # the last: it takes the time
        self._pipeline = pipeline = Pipeline(plan.feed, self._settings.pipeline(), sinks)
        self._bus = MemoryBus(self._settings.bus.capacity, shed=plan.live)
        measures.watch_bus(self._bus, self._settings.bus.capacity)
        position, refused = self._restore(plan, pipeline)
        self._plan = plan
        self.run += 1
        try:
            if refused is not None and self._history:
                await asyncio.to_thread(self._learn_history, plan, pipeline, self._history.store, refused)
            async with asyncio.TaskGroup() as tasks:
                watcher = tasks.create_task(self._watch(plan))
                consumer = tasks.create_task(self._consume(plan, pipeline, self._bus))
                await self._produce(plan, position, self._bus)
                switched = watcher.done() and not self._stopping.is_set()
                watcher.cancel()
                await self._bus.close()
                await consumer
        except* TracewaveError as group:
            raise group.exceptions[0] from None
        finally:
            pipeline.close()
            if self._history:
                self._history.close()
                self._history = None
        return switched

    def _open_history(self, plan: Plan) -> tuple[OpenHistory | None, str]:
        if self._data is None:
            return None, ""
        try:
            origin, interval = plan.source.origin, self._settings.store.commit_interval
            return open_history(self._data, plan.feed, origin, fresh=not plan.live, commit_interval=interval), ""
        except StoreError as error:
            logger.error("history is not being kept: %s", error)  # noqa: TRY400
            return None, f"History is not being kept: {error}"

    def _restore(self, plan: Plan, pipeline: Pipeline) -> tuple[bytes, str | None]:
        """Bring back the State: the source position it belongs to, and for a live run without one the reason."""
        try:
            if plan.live and self._history:
                saved = self._history.store.load_state()
                if saved is None:
                    return b"", ""
                pipeline.restore(saved.state)
                return saved.position, None
            if plan.learned:
                pipeline.restore(plan.learned.read_bytes(), learned_only=True)
        except StateError as error:
            logger.warning("%s", error)
            return b"", str(error) if plan.live else None
        return b"", None

    def _learn_history(self, plan: Plan, pipeline: Pipeline, store: DuckDBStore, refused: str) -> None:
        """Let the detectors learn from history in place of a State, and say so; for a thread beside the loop."""
        learned = 0
        try:
            past = self._past(plan, store)
            if past:
                self._start_note = f"Learning from {len(past):,} windows of history before the feed is asked"
                self._start_note_until = math.inf
                learned = past.teach(pipeline.warm, within=WARM_START_SECONDS, stopped=self._stopping.is_set)
        except StoreError as error:
            refused = " ".join(filter(None, (refused, str(error))))
        self._start_note = ""
        if learned:
            self._say(f"Warm start from {learned:,} windows of history: {refused or 'there is no State'}")
        elif refused:
            self._say(f"Cold start, without windows of history: {refused}")

    def _past(self, plan: Plan, store: DuckDBStore) -> PastWindows | None:
        settings, width = self._settings, self._settings.window.width
        limit = settings.store.warm_start
        counted = math.ceil(_MEMORIES * settings.explain.memory / width)
        acceptance = settings.episodes.acceptance
        if not limit:
            return None
        return PastWindows(store, plan.feed, width=width, limit=limit, counted=counted, acceptance=acceptance)

    def _say(self, words: str) -> None:
        """Log how the run started, and have pages say it for some minutes."""
        logger.warning("%s", words)  # a run that does not go on from its State is no ordinary one
        self._start_note, self._start_note_until = words, time.time() + WARM_START_SHOWN

    async def _watch(self, plan: Plan) -> None:
        """End the source when told to stop, or when the live feed answers after all."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RETRY_SECONDS if plan.fallback else None)
                break
            if await self._planner.unreachable() is None:
                logger.info("the live feed answers; going over to it")
                break
        await plan.source.stop()

    async def _produce(self, plan: Plan, position: bytes, bus: MemoryBus) -> None:
        rolling = self._rolling(plan)
        try:
            async with contextlib.aclosing(plan.source.batches(position)) as batches:
                async for batch in batches:
                    await bus.publish(batch)
                    if rolling:
                        rolling = self._record(rolling, batch)
        finally:
            if rolling:
                rolling.close()

    def _rolling(self, plan: Plan) -> RollingRecording | None:
        if not plan.live or self._data is None or not self._settings.store.rolling:
            return None
        try:
            header = live_header(plan.feed.name, time.time())
            return RollingRecording(self._data / "rolling", header, keep=self._settings.store.rolling)
        except TracewaveError as error:
            logger.warning("the last minutes are not being recorded: %s", error)
            return None

    def _record(self, rolling: RollingRecording, batch: Batch) -> RollingRecording | None:
        try:
            rolling.write(batch)
        except StoreError as error:
            logger.warning("the last minutes are no longer being recorded: %s", error)
            return None
        return rolling

    async def _consume(self, plan: Plan, pipeline: Pipeline, bus: MemoryBus) -> None:
        last: Batch | None = None
        async for batch in bus.subscribe():
            self._measures.begin()
            pipeline.emit(batch)
            last = batch
            if batch.position and plan.live and self._history:
                self._history.store.save_state(
                    SavedState(time.time(), batch.watermark, batch.position, pipeline.snapshot())
                )
            await asyncio.sleep(0)
        if last is not None:
            pipeline.flush(last)

    # -- Control

    @property
    def origin(self) -> Origin:
        """Where the events on the page come from at this moment."""
        return self._plan.source.origin if self._plan else Origin.LIVE

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of the detectors that judge, in the order of their scores."""
        return self._detectors

    def source_status(self) -> SourceStatus:
        """What the source says, with why it was chosen and whether history is kept."""
        if self.failure:
            return SourceStatus(FeedState("ended", "", self._started), {}, notice=self.failure)
        if self._plan is None:
            return SourceStatus(FeedState("connecting", "trying the live feed", self._started), {})
        start = self._start_note if time.time() < self._start_note_until else ""
        notice = " ".join(filter(None, (self._plan.note, self._history_note, start)))
        return msgspec.structs.replace(self._plan.source.status(), notice=notice)

    def label(self, anomaly_id: str, verdict: LabelVerdict | None) -> None:
        """Keep or take back a person's word, in history as well where that is open."""
        history, now = self._history, time.time()
        if verdict is None:
            if history:
                history.store.unlabel(anomaly_id, now)
            self.store.unlabel(anomaly_id, now)
        elif history:
            label = Label(anomaly_id, verdict, now)
            history.store.label(label)
            self.store.restore_labels((label,))  # history knows anomalies that the page's store let go
        else:
            self.store.label(Label(anomaly_id, verdict, now))

    def labels(self) -> dict[str, Label]:
        """Labels that hold, by the anomaly's id."""
        return {label.anomaly_id: label for label in self.store.labels()}

    def counters(self) -> dict[str, int]:
        """Totals of this run."""
        totals = self._measures.totals
        if self._bus:
            totals["waiting"] = self._bus.depth
        if self._pipeline:
            totals.update({f"{name}_failures": count for name, count in self._pipeline.failures.items()})
        return totals

    def gauges(self) -> dict[str, float]:
        """Measured figures of this run."""
        return self._measures.gauges() | {"started": self._started}
