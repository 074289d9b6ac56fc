"""A data folder's history, open for writing and for questions from other processes."""

from __future__ import annotations

from pathlib import Path

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Label, Origin
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.query_socket import QuerySocket

__all__ = ["LIVE_FILE", "REPLAY_FILE", "SOCKET_FILE", "OpenHistory", "open_history"]

LIVE_FILE = "history.duckdb"
REPLAY_FILE = "replay.duckdb"
SOCKET_FILE = "query.sock"

_LABELS_KEPT = 1000  # a simulation that begins at another time never tells its anomalies again


class OpenHistory:
    """A store and the socket on which other processes query it."""

    def __init__(self, store: DuckDBStore, socket: QuerySocket) -> None:
        self.store = store
        self._socket = socket

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


def open_history(data: Path, feed: Feed, origin: Origin, *, fresh: bool, commit_interval: float = 1.0) -> OpenHistory:
    """Open the history in the folder `data`.

    Parameters
    ----------
    fresh
        A replay or simulation: it gets a file of its own, which it starts anew, so that it
        never mixes with the live feed's history. The labels stay: a replay tells its anomalies
        under the same ids.
    commit_interval
        Seconds between commits.

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
        path.unlink()
    store = DuckDBStore(path, feed, origin=origin, commit_interval=commit_interval)
    try:
        if labels:
            store.restore_labels(labels)
        return OpenHistory(store, QuerySocket(store, data / SOCKET_FILE))
    except StoreError:
        store.close()
        raise
