"""How a run begins: history opened, and its State restored, or else its windows learned from."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from tracewave_panel.codec import decode_packed
from tracewave_panel.config import Settings
from tracewave_panel.errors import StateError, StoreError
from tracewave_panel.model import Anomaly, Label
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.plan import Plan
from tracewave_panel.ports import SavedState
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.keeping import Keeping
from tracewave_panel.stores.open_history import OpenHistory, open_history
from tracewave_panel.stores.windows_of_history import PastWindows

__all__ = ["WarmStart", "keeping_of", "learn_late", "restore", "unfinished"]

WARM_START_SECONDS = 8.0
"""How long learning from history may take where there is no State; then windows are left out."""
WARM_START_SHOWN = 600.0
"""Seconds for which a page says that there was one."""
_MEMORIES = 6  # of the explaining baselines, after which a four-hundredth of a count is left

logger = logging.getLogger(__name__)


def keeping_of(plan: Plan, data: Path, settings: Settings, labels: Callable[[], Collection[Label]]) -> Keeping:
    """History of a run in the folder `data`, kept as soon as it can be; `labels` are those the page holds."""
    store = settings.store

    def opened() -> OpenHistory:
        return open_history(
            data,
            plan.feed,
            plan.source.origin,
            fresh=not plan.live,
            commit_interval=store.commit_interval,
            keep_events=store.keep_events,
            keep_windows=store.keep_windows,
        )

    return Keeping(opened, labels=labels)


def learn_late(plan: Plan, pipeline: Pipeline, history: OpenHistory) -> bool:
    """Take what an earlier run learned from a history that was opened late, not where it was; True when that was done.

    Nothing is told again: windows and episodes go on as they are.
    """
    if not plan.live:
        return False
    try:
        # not load_state, after which what the history holds is taken over
        saved = history.store.query("SELECT saved FROM states ORDER BY told DESC LIMIT 1").rows
        if not saved:
            return False
        pipeline.restore(decode_packed(saved[0][0], SavedState).state, learned_only=True)
    except StoreError as error:
        logger.warning("what an earlier run learned is not used: %s", error)
        return False
    logger.info("detectors go on with what the State in history had learned")
    return True


def restore(plan: Plan, pipeline: Pipeline, history: OpenHistory | None) -> tuple[bytes, str | None]:
    """Bring back the State: the source position it belongs to, and for a live run without one the reason."""
    try:
        if plan.live and history:
            saved = history.store.load_state()
            if saved is None:
                return b"", ""
            pipeline.restore(saved.state)
            return saved.position, None
        if plan.learned:
            pipeline.restore(plan.learned.read_bytes(), learned_only=True)
    except StateError as error:
        if plan.live and history:
            history.store.start_afresh()
        logger.warning("%s", error)
        return b"", str(error) if plan.live else None
    return b"", None


def unfinished(pipeline: Pipeline, history: OpenHistory | None, followed: Iterable[str]) -> tuple[Anomaly, ...]:
    """Episodes of which a process that died may have kept a telling to itself.

    Those that the State has open, and of those `followed` by id the ones that ended before it was saved.
    """
    still_open = pipeline.open_episodes
    gone = set(followed).difference(anomaly.id for anomaly in still_open)
    try:
        found = [history.store.anomaly(anomaly_id) for anomaly_id in gone] if history else []
    except StoreError as error:
        logger.warning("ends of episodes may not be told: %s", error)
        found = []
    return (*still_open, *(anomaly for anomaly in found if anomaly and anomaly.closed is not None))


class WarmStart:
    """Has detectors learn from history in place of a State, and keeps what a page says of that."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._note = ""
        self._until = 0.0

    @property
    def note(self) -> str:
        """What a page says at this moment; empty for most of a run."""
        return self._note if time.time() < self._until else ""

    def forget(self) -> None:
        """Say nothing of an earlier run."""
        self._note = ""

    def learn(
        self, plan: Plan, pipeline: Pipeline, store: DuckDBStore, refused: str, stopped: Callable[[], bool]
    ) -> None:
        """Teach the pipeline the windows of `store`, and say so; for a thread beside the loop.

        Parameters
        ----------
        refused
            Why there is no State; empty when none was ever saved.
        stopped
            Asked now and then; True ends it.
        """
        learned = 0
        try:
            past = self._past(plan, store)
            if past:
                self._note, self._until = f"Learning from {len(past):,} windows of history first", math.inf
                learned = past.teach(pipeline.warm, within=WARM_START_SECONDS, stopped=stopped)
        except StoreError as error:
            refused = " ".join(filter(None, (refused, str(error))))
        self._note = ""
        if learned:
            self._say(f"Warm start from {learned:,} windows of history: {refused or 'there is no State'}")
        elif refused:
            self._say(f"Cold start, without windows of history: {refused}")

    def _past(self, plan: Plan, store: DuckDBStore) -> PastWindows | None:
        settings, width = self._settings, self._settings.window.width
        limit = settings.store.warm_start
        if not limit:
            return None
        counted = math.ceil(_MEMORIES * settings.explain.memory / width)
        acceptance = settings.episodes.acceptance
        return PastWindows(store, plan.feed, width=width, limit=limit, counted=counted, acceptance=acceptance)

    def _say(self, words: str) -> None:
        logger.warning("%s", words)  # a run that does not go on from its State is no ordinary one
        self._note, self._until = words, time.time() + WARM_START_SHOWN
