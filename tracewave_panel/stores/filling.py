"""Fill the history in a data folder, through the server that has it open or by opening it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from tracewave_panel.errors import HistoryInUseError, StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Findings, Origin
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.open_history import LIVE_FILE, REPLAY_FILE, SOCKET_FILE
from tracewave_panel.stores.query_socket import QuerySocket
from tracewave_panel.stores.socket_client import FillingClient

__all__ = ["Filled", "Filler", "file_for", "filling"]

_STARTING = 5.0  # seconds: a server that starts has the file open a moment before it answers
_COMMIT_INTERVAL = 0.05  # seconds: each portion waits for its commit


class Filled(Protocol):
    """How much of some findings history lacked."""

    @property
    def windows(self) -> int:
        """Windows that are new."""
        ...

    @property
    def anomalies(self) -> int:
        """Anomalies that are new."""
        ...

    @property
    def events(self) -> int:
        """Events that are new."""
        ...


class Filler(Protocol):
    """Takes findings for a history."""

    def backfill(self, findings: Findings) -> Filled:
        """Write what history lacks of them, and return when that is committed."""
        ...


def file_for(origin: Origin) -> str:
    """Name of the file that data of this origin belongs into: simulated and real data are never mixed."""
    return REPLAY_FILE if origin is Origin.SIMULATED else LIVE_FILE


@contextmanager
def filling(data: Path, feed: Feed, origin: Origin) -> Iterator[tuple[Filler, str]]:
    """Open the history for what is to be filled in, and say in words through whom.

    Where no server runs, this process answers questions about the history meanwhile, as a server does.

    Raises
    ------
    StoreError
        When the history is of another feed, the server that runs has another file open, or the file cannot be used.
    """
    path, address = data / file_for(origin), data / SOCKET_FILE
    patience = time.monotonic() + _STARTING
    while True:
        client = FillingClient.connect(address, feed, path.name)
        if client is not None:
            with client:
                yield client, f"through the server that has {path} open"
            return
        try:
            history = _OwnHistory(path, address, feed, origin)
        except HistoryInUseError:
            if time.monotonic() > patience:
                raise
            time.sleep(0.1)
            continue
        with closing(history):
            yield history.store, f"into {path}, which no server has open"
        return


class _OwnHistory:
    """A history that this process opens, and the socket on which it answers meanwhile."""

    def __init__(self, path: Path, address: Path, feed: Feed, origin: Origin) -> None:
        self.store = DuckDBStore(path, feed, origin=origin, commit_interval=_COMMIT_INTERVAL)
        try:
            self._socket = QuerySocket(self.store, address)
        except StoreError:
            self.store.close()
            raise

    def close(self) -> None:
        try:
            self.store.close()
        finally:
            self._socket.close()
