"""Builds adapters from settings and runs them on a thread of their own, with its own event loop.

Building a page blocks the dashboard's loop for some tenths of a second; arrival times and counts
must not bend for that, so feed, bus and graph live here, and pages only read stores.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from tracewave_panel.beginning import WarmStart
from tracewave_panel.config import Settings
from tracewave_panel.errors import StoreError, TracewaveError
from tracewave_panel.feeds import Feed
from tracewave_panel.measures import Measures
from tracewave_panel.metrics import Metrics
from tracewave_panel.model import Label, LabelVerdict, Mute, Origin
from tracewave_panel.notify.notifier import Notifier
from tracewave_panel.plan import Plan, Planner
from tracewave_panel.ports import Archive, FeedState, RouteStatus, SourceStatus, Table
from tracewave_panel.running import Run
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.open_history import OpenHistory
from tracewave_panel.stores.ring import RingStore

__all__ = ["Runtime"]

logger = logging.getLogger(__name__)


class Runtime:
    """One pipeline after the other, until stopped; fulfils :class:`~tracewave_panel.ports.Control`.

    Parameters
    ----------
    planner
        Decides what to run; asked again when a run ends because the live feed answers.
    data
        Folder for history, State and the rolling recording; None keeps everything in memory.

    metrics
        What Prometheus is told by; None makes one.

    Attributes
    ----------
    feed
        What the planner says that the feed is.
    store
        What pages read. A new run starts it anew and raises `run`.
    metrics
        Figures of all runs.
    """

    def __init__(
        self, settings: Settings, planner: Planner, *, data: Path | None = None, metrics: Metrics | None = None
    ) -> None:
        self.store = RingStore()
        self.feed: Feed = planner.feed
        self.run = 0
        self.failure: str | None = None
        self._settings = settings
        self._detectors = tuple(settings.lanes().detectors)
        self._planner = planner
        self._data = data
        self.metrics = metrics or Metrics(feed=self.feed, detectors=self._detectors)
        self.metrics.watch_notices(self.routes)
        self._measures = Measures(self.feed)
        self._notifier: Notifier | None = None
        self._current: Run | None = None
        self._warm_start = WarmStart(settings)
        self._started = time.time()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    # -- life

    def start(self, notifier: Notifier | None = None) -> None:
        """Begin, on a thread of its own, and have `notifier` tell people of anomalies; returns at once."""
        self._notifier = notifier
        if notifier:
            notifier.start()
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
        if self._notifier:
            self._notifier.stop()

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
            again = plan is not None and await self._follow(plan)

    async def _until_stopped(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Result of `work`, or None when told to stop before it was done."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
            return None
        return task.result()

    async def _follow(self, plan: Plan) -> bool:
        """Run a plan to its end; True when another should follow."""
        self._warm_start.forget()
        self._measures = measures = Measures(plan.feed, width=self._settings.window.width, detectors=self._detectors)
        self._current = current = Run(
            plan,
            self._settings,
            measures,
            self.store,
            data=self._data,
            notifier=self._notifier,
            warm_start=self._warm_start,
        )
        self.metrics.follow(measures, plan.feed)
        self.run += 1
        return await current.go(self._stopping, self._planner.unreachable)

    # -- Control

    @property
    def origin(self) -> Origin:
        """Where the events on the page come from at this moment."""
        return self._current.plan.source.origin if self._current else Origin.LIVE

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of the detectors that judge, in the order of their scores."""
        return self._detectors

    def source_status(self) -> SourceStatus:
        """What the source says, with why it was chosen and whether history is kept."""
        if self.failure:
            return SourceStatus(FeedState("ended", "", self._started), {}, notice=self.failure)
        current = self._current
        if current is None:
            return SourceStatus(FeedState("connecting", "trying the live feed", self._started), {})
        notice = " ".join(filter(None, (current.plan.note, current.history_note, self._warm_start.note)))
        return msgspec.structs.replace(current.plan.source.status(), notice=notice)

    @property
    def _history(self) -> OpenHistory | None:
        return self._current.history if self._current else None

    @property
    def archive(self) -> Archive:
        """History on disk where it is kept, else what pages read."""
        history, run = self._history, f"{self._started:.3f}.{self.run}"
        if history is None:
            return Archive(self.store, run)
        # the live feed's history goes on counting where an earlier process left off
        return Archive(history.store, "history" if self.origin is Origin.LIVE else run)

    def query(
        self, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0, cancelled: threading.Event | None = None
    ) -> Table:
        """Run one SELECT on the history that is being kept; raises as :class:`~tracewave_panel.ports.History` does."""
        return self._past_store().query(sql, max_rows=max_rows, timeout=timeout, cancelled=cancelled)

    def query_arrow(
        self, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0, cancelled: threading.Event | None = None
    ) -> Any:
        """As :meth:`query`, as a ``pyarrow.Table``."""
        return self._past_store().query_arrow(sql, max_rows=max_rows, timeout=timeout, cancelled=cancelled)

    def _past_store(self) -> DuckDBStore:
        history = self._history
        if history is None:
            note = self._current.history_note if self._current else ""
            raise StoreError(note or "no history is open at this moment; ask again when the feed runs")
        return history.store

    def label(self, anomaly_id: str, verdict: LabelVerdict | None, by: str = "") -> None:
        """Keep or take back a person's word, in history as well where that is open."""
        history, now = self._history, time.time()
        if verdict is None:
            if history:
                history.store.unlabel(anomaly_id, now)
            self.store.unlabel(anomaly_id, now)
        elif history:
            label = Label(anomaly_id, verdict, now, by)
            history.store.label(label)
            self.store.restore_labels((label,))  # history knows anomalies that the page's store let go
        else:
            self.store.label(Label(anomaly_id, verdict, now, by))

    def labels(self) -> dict[str, Label]:
        """Labels that hold, by the anomaly's id."""
        return {label.anomaly_id: label for label in self.store.labels()}

    def mute(self, mute: Mute) -> None:
        """Send no notices of what it names; raises StoreError when it cannot be kept."""
        if self._notifier is None:
            raise StoreError("no notices are sent by this process, so there is nothing to mute")
        self._notifier.mute(mute)

    def unmute(self, mute_id: str) -> None:
        """Take a mute back."""
        if self._notifier:
            self._notifier.unmute(mute_id)

    def mutes(self) -> tuple[Mute, ...]:
        """Mutes that hold, in the order in which they were given."""
        return self._notifier.mutes() if self._notifier else ()

    def routes(self) -> tuple[RouteStatus, ...]:
        """How each route of notices stands."""
        return self._notifier.routes() if self._notifier else ()

    def counters(self) -> dict[str, int]:
        """Totals of this run."""
        totals = self._measures.totals
        if current := self._current:
            totals["waiting"] = current.bus.depth
            totals["not_kept"] = current.keeping.not_kept if current.keeping else 0
            totals.update({f"{name}_failures": count for name, count in current.pipeline.failures.items()})
        return totals

    def gauges(self) -> dict[str, float]:
        """Measured figures of this run."""
        return self._measures.gauges() | {"started": self._started}
