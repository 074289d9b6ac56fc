"""One run of the pipeline, from a plan to its end: source, bus, graph and stores."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tracewave_panel.beginning import WarmStart, keeping_of, learn_late, restore, unfinished
from tracewave_panel.buses.memory import MemoryBus
from tracewave_panel.config import Settings
from tracewave_panel.errors import TracewaveError
from tracewave_panel.measures import Measures
from tracewave_panel.model import Batch
from tracewave_panel.notify.notifier import Notifier
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.plan import RETRY_SECONDS, Plan
from tracewave_panel.ports import SavedState
from tracewave_panel.recorder import LastMinutes
from tracewave_panel.stores.open_history import LIVE_FILE, REPLAY_FILE, OpenHistory
from tracewave_panel.stores.ring import RingStore

__all__ = ["Run"]

logger = logging.getLogger(__name__)


class Run:
    """A plan at work; made anew for each.

    Parameters
    ----------
    page
        What pages read; it is started anew.
    data
        Folder for history, State and the rolling recording; None keeps everything in memory.
    warm_start
        Learns from history where there is no State.

    Attributes
    ----------
    keeping
        Keeps history as soon as its disk lets it; None without a folder.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        measures: Measures,
        page: RingStore,
        *,
        data: Path | None,
        notifier: Notifier | None,
        warm_start: WarmStart,
    ) -> None:
        self.plan, self.measures = plan, measures
        self._settings, self._data, self._warm_start = settings, data, warm_start
        page.clear()
        self.keeping = keeping_of(plan, data, settings, page.labels) if data else None
        self._page = page
        sinks = {"page": page.append}
        if self.keeping and data:
            if self.history:
                page.restore_labels(self.history.store.labels())
            sinks["history"] = self.keeping.append
            measures.watch_history(self.keeping, data / (LIVE_FILE if plan.live else REPLAY_FILE))
        if notifier:
            sinks["notices"] = lambda findings: notifier.take(findings, plan.source.origin)
        sinks["totals"] = measures.take  # the last: it takes the time
        self.pipeline = Pipeline(plan.feed, settings.pipeline(), sinks)
        self.bus = MemoryBus(settings.bus.capacity, shed=plan.sheds)
        measures.watch_bus(self.bus, settings.bus.capacity)
        measures.watch_source(plan.name, plan.source.status)
        measures.watch_sinks(self.pipeline.failures)
        self._position, self._refused = restore(plan, self.pipeline, self.history)
        measures.go_on_from(self.pipeline.open_episodes)
        if notifier and plan.live:
            followed = notifier.followed(plan.source.origin)
            notifier.go_on_from(unfinished(self.pipeline, self.history, followed), plan.source.origin)

    @property
    def history(self) -> OpenHistory | None:
        """What is kept; None where none is, or cannot be at this moment, and after the end."""
        return self.keeping.history if self.keeping else None

    @property
    def history_note(self) -> str:
        """Why history is not being kept, in words; empty when it is."""
        return self.keeping.note if self.keeping else ""

    async def go(self, stopping: asyncio.Event, unreachable: Callable[[], Awaitable[str | None]]) -> bool:
        """Run the plan to its end; True when another should follow.

        Parameters
        ----------
        stopping
            Ends it.
        unreachable
            Asked now and then by a run in place of the live feed: why that cannot be had, or None when it can.
        """
        try:
            if self._refused is not None and self.history:
                store, stopped = self.history.store, stopping.is_set
                learn = self._warm_start.learn
                await asyncio.to_thread(learn, self.plan, self.pipeline, store, self._refused, stopped)
            async with asyncio.TaskGroup() as tasks:
                watcher = tasks.create_task(self._watch(stopping, unreachable))
                consumer = tasks.create_task(self._consume())
                await self._produce()
                switched = watcher.done() and not stopping.is_set()
                await self.bus.close()
                await consumer  # which tells the last windows, however long pages stay open
                if self.plan.stays:
                    await stopping.wait()
                watcher.cancel()
        except* TracewaveError as group:
            raise group.exceptions[0] from None
        finally:
            self.pipeline.close()
            if self.keeping:
                self.keeping.close()
        return switched

    async def _watch(self, stopping: asyncio.Event, unreachable: Callable[[], Awaitable[str | None]]) -> None:
        """End the source when told to stop, or when the live feed answers after all."""
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), RETRY_SECONDS if self.plan.fallback else None)
                break
            if await unreachable() is None:
                logger.info("the live feed answers; going over to it")
                break
        await self.plan.source.stop()

    async def _produce(self) -> None:
        plan, last = self.plan, None
        keep = self._settings.store.rolling
        if plan.live and self._data and keep:
            last = LastMinutes(self._data / "rolling", plan.feed, keep=keep)
        try:
            async with contextlib.aclosing(plan.source.batches(self._position)) as batches:
                async for batch in batches:
                    await self.bus.publish(batch)
                    if last:
                        last.write(batch)
        finally:
            if last:
                last.close()

    async def _consume(self) -> None:
        last: Batch | None = None
        async for batch in self.bus.subscribe():
            self.measures.begin()
            self.pipeline.emit(batch)
            last = batch
            if self.keeping and self.keeping.late.is_set():
                self.keeping.late.clear()
                await asyncio.to_thread(self._take_up)
            if batch.position and self.plan.live and self.history:
                self.history.store.save_state(
                    SavedState(time.time(), batch.watermark, batch.position, self.pipeline.snapshot())
                )
            await asyncio.sleep(0)
        if last is not None:
            self.pipeline.flush(last)

    def _take_up(self) -> None:
        """Take from a history that was opened late what people said, and what detectors learned that are still cold."""
        history = self.history
        if history is None:
            return
        self._page.restore_labels(history.store.labels())
        told = self.measures.gauges()
        judging = any(name.startswith("fired_") for name in told)
        if not judging or any(name.startswith("cold_") for name in told):
            learn_late(self.plan, self.pipeline, history)
