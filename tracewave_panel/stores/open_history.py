"""A data folder's history, open for writing and for questions from other processes."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Label, Origin
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.query_socket import QuerySocket
from tracewave_panel.stores.upkeep import Upkeep

__all__ = ["LIVE_FILE", "REPLAY_FILE", "SOCKET_FILE", "OpenHistory", "open_history"]

LIVE_FILE = "history.duckdb"
REPLAY_FILE = "replay.duckdb"
SOCKET_FILE = "query.sock"

logger = logging.getLogger(__name__)

_LABELS_KEPT = 1000  # a simulation that begins at another time never tells its anomalies again


class OpenHistory:
    """A store and the socket on which other processes query it."""

    def __init__(self, store: DuckDBStore, socket: QuerySocket, path: Path | None = None) -> None:
        self.store = store
        self._socket = socket
        self._path = path

    def see_to_socket(self) -> None:
        """Make the socket anew where it has vanished with its folder, which has come back since."""
        if self._path is None or not self._path.exists() or (address := self._path.with_name(SOCKET_FILE)).exists():
            return
        try:
            fresh = QuerySocket(self.store, address)
        except StoreError as error:
            logger.warning("other processes cannot query history: %s", error)
            return
        self._socket.close()
        self._socket = fresh

    def close(self) -> None:
        """Stop queries, write what is left, and release the folder.

        Raises
        ------
        StoreError
            When something could not be written.
        """
        try:
            self.store.close()
        finally:
            self._socket.close()


def open_history(
    data: Path,
    feed: Feed,
    origin: Origin,
    *,
    fresh: bool,
    commit_interval: float = 1.0,
    keep_events: float = 86_400.0,
    keep_windows: float = 7_776_000.0,
) -> OpenHistory:
    """Open the history in the folder `data`.

    Parameters
    ----------
    fresh
        A replay or simulation: it gets a file of its own, which it starts anew, so that it
        never mixes with the live feed's history. The labels stay: a replay tells its anomalies
        under the same ids.
    commit_interval
        Seconds between commits.
    keep_events, keep_windows
        Seconds for which raw events and windows are kept: by the clock, or those of a replay
        counted back from its newest window.

    Raises
    ------
    StoreError
        When the folder or file cannot be used, or another server uses it.
    """
    path = data / (REPLAY_FILE if fresh else LIVE_FILE)
    labels: tuple[Label, ...] = ()
    if fresh and path.exists():
        with DuckDBStore(path, feed) as before:  # a file that another process has open is not taken from it
            labels = before.labels()[-_LABELS_KEPT:]
        try:
            path.unlink()
        except OSError as error:
            raise StoreError(f"cannot start {path} anew: {error.strerror}; choose another with --data") from error
    upkeep = Upkeep(keep_events=keep_events, keep_windows=keep_windows, now=None if fresh else time.time)
    store = DuckDBStore(
        path, feed, origin=origin, commit_interval=commit_interval, upkeep=upkeep, keep_events=keep_events
    )
    try:
        if labels:
            store.restore_labels(labels)
        return OpenHistory(store, QuerySocket(store, data / SOCKET_FILE), path)
    except StoreError:
        store.close()
        raise
