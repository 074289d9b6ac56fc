"""The socket beside a history that this process has open: others ask it, and fill it.

DuckDB lets no second process open a file that one writes. So the server that owns it answers SQL, and
takes findings that its history lacks; what is said is in :mod:`~tracewave_panel.stores.messages`.
"""

from __future__ import annotations

import select
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock, Thread

import msgspec
import pyarrow as pa

from tracewave_panel.codec import decode_packed
from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.model import Findings
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.frames import FramedOutput, socket_address, take_frame, tell_frame
from tracewave_panel.stores.messages import (
    EXCHANGE,
    MAX_FINDINGS,
    MAX_QUESTION,
    SILENCE,
    FillingOffer,
    Question,
    Reply,
    Taken,
)

__all__ = ["QuerySocket"]

MAX_CLIENTS = 8
"""Clients that are served at the same time."""

MAX_TIMEOUT = 600.0
"""Seconds of running time that a client may ask for."""

_POLL = 0.25
_ROWS_AT_ONCE = 10_000
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class QuerySocket:
    """Answers questions about `store` on the socket `path`, and has it filled, until closed.

    Only the user who runs the server may connect. A socket that a dead server left is replaced.
    Each client has a thread of its own; beyond eight at a time one is told to come again, and one
    that hangs is dropped after ten seconds. A query ends when whoever asked it hangs up. One
    client at a time fills history; its next frame is read when the last one is committed.

    Raises
    ------
    StoreError
        When another server answers on `path`, or it cannot be made.
    """

    def __init__(self, store: DuckDBStore, path: Path) -> None:
        self._store = store
        self._path = path
        self._clients: dict[socket.socket, Thread] = {}
        self._lock = Lock()
        self._filling = Lock()
        self._places = BoundedSemaphore(MAX_CLIENTS)
        self._closing = False
        self._listener = _listen(path)
        self._inode = path.stat().st_ino
        self._acceptor = Thread(target=self._accept, name="tracewave-query-socket")
        self._acceptor.start()

    def close(self) -> None:
        """Hang up on every client and remove the socket; close the store first to stop its queries."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._acceptor.join()
        with self._lock:
            clients = dict(self._clients)
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in clients.values():
            thread.join()
        self._listener.close()
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                time.sleep(_POLL)  # out of file descriptors, most likely: some will be free again
                continue
            # a client that asks again may be back before the thread of its last question has let go
            if not self._places.acquire(timeout=_POLL):
                self._refuse(client)
                continue
            thread = Thread(target=self._serve, args=(client,), name="tracewave-query")
            with self._lock:
                self._clients[client] = thread
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, suppress(OSError, EOFError):
                self._attend(client, take_frame(client, MAX_QUESTION, EXCHANGE))
        finally:
            self._places.release()
            with self._lock:
                self._clients.pop(client, None)

    def _attend(self, client: socket.socket, message: bytes) -> None:
        try:
            asked = msgspec.msgpack.decode(message, type=Question | FillingOffer)
        except _UNREADABLE as error:
            words = f"the server does not understand what it is asked: {error}; use the same version"
            _reply(client, Reply(failure=words))
            return
        if isinstance(asked, Question):
            self._answer(client, asked)
        elif self._filling.acquire(blocking=False):
            try:
                self._fill(client, asked)
            finally:
                self._filling.release()
        else:
            _reply(client, Reply(failure="another backfill goes through the server; wait for its end"))

    def _answer(self, client: socket.socket, asked: Question) -> None:
        file, timeout = self._store.path.name, min(asked.timeout, MAX_TIMEOUT)
        if asked.file not in {"", file}:
            _reply(client, Reply(file, elsewhere=True))
            return
        try:
            rows = self._store.query_arrow(
                asked.sql, max_rows=asked.max_rows, timeout=timeout, cancelled=_HungUp(client)
            )
        except QueryError as error:
            _reply(client, Reply(file, wrong_query=str(error)))
        except StoreError as error:
            _reply(client, Reply(file, failure=str(error)))
        else:
            _reply(client, Reply(file))
            out = FramedOutput(client, EXCHANGE)
            with pa.ipc.new_stream(pa.PythonFile(out, "w"), rows.schema) as writer:
                writer.write_table(rows, max_chunksize=_ROWS_AT_ONCE)
            out.finish()

    def _fill(self, client: socket.socket, offered: FillingOffer) -> None:
        try:
            refused = self._refused(offered)
        except StoreError as error:
            refused = str(error)
        _reply(client, Reply(failure=refused))
        if refused:
            return
        while packed := take_frame(client, MAX_FINDINGS, SILENCE):
            try:
                taken = Taken(*self._store.backfill(decode_packed(packed, Findings)))
            except StoreError as error:
                taken = Taken(failure=str(error))
            tell_frame(client, msgspec.msgpack.encode(taken), EXCHANGE)

    def _refused(self, offered: FillingOffer) -> str:
        """Why what is offered does not belong here; empty when it does."""
        file = self._store.path.name
        if offered.file != file:
            return (
                f"the server keeps {self._path.with_name(file)} at this moment, and this belongs into {offered.file}, "
                "for simulated and real data are never mixed; stop the server, or choose another folder with --data"
            )
        meta = dict(self._store.query("SELECT key, value FROM meta").rows)
        for key in ("feed", "features", "dimensions"):
            if meta.get(key) != getattr(offered, key):
                return (
                    f"{self._path.with_name(file)} is the history of something else ({key} {meta.get(key)}, and this "
                    f"is {getattr(offered, key)}); choose another folder with --data"
                )
        return ""

    def _refuse(self, client: socket.socket) -> None:
        busy = Reply(failure=f"{MAX_CLIENTS} queries run at this moment; ask again when one has ended")
        with client, suppress(OSError):
            tell_frame(client, msgspec.msgpack.encode(busy), _POLL)


def _reply(client: socket.socket, reply: Reply) -> None:
    tell_frame(client, msgspec.msgpack.encode(reply), EXCHANGE)


class _HungUp(Event):
    """Set as soon as the client hangs up: whoever waits looks now and then."""

    def __init__(self, client: socket.socket) -> None:
        super().__init__()
        self._poll = select.poll()
        self._poll.register(client, select.POLLIN)

    def is_set(self) -> bool:
        # a client says nothing after its question, so what can be read is the end
        return bool(self._poll.poll(0))


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket_address(path) as address:
            _clear_away(path, address)
            listener.bind(address)
            # before listen nobody can connect, so there is no moment at which another user could
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    except OSError as error:
        listener.close()
        raise StoreError(f"cannot make the query socket {path}: {error.strerror or error}") from error
    except StoreError:
        listener.close()
        raise
    listener.listen(MAX_CLIENTS)
    listener.settimeout(_POLL)
    return listener


def _clear_away(path: Path, address: str) -> None:
    """Remove the socket of a dead server."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise StoreError(f"{path} is in the way of the query socket and is none; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            path.unlink()
            return
    raise StoreError(f"another server answers on {path}; stop it, or choose another folder with --data")
