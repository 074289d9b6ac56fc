"""SQL from other processes, over a Unix socket beside the history that this process has open.

DuckDB lets no second process open a file that one writes. So the server that owns it answers:
one connection, one question, one answer, each a frame of a four-byte length and msgpack; the
rows travel as an Arrow stream, which costs the server no Python objects.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import BoundedSemaphore, Lock, Thread

import msgspec
import pyarrow as pa

from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.stores.duckdb import DuckDBStore

__all__ = ["QuerySocket", "ask"]

MAX_QUESTION = 1 << 20
"""Bytes."""

MAX_ANSWER = 1 << 29
"""Bytes."""

MAX_CLIENTS = 8
"""Questions that are answered at the same time."""

MAX_TIMEOUT = 600.0
"""Seconds of running time that a client may ask for."""

EXCHANGE = 10.0
"""Seconds in which a question must have arrived, and in which an answer must have been taken."""

_POLL = 0.25
_LONGEST_ADDRESS = 100
_LENGTH = struct.Struct(">I")


class _Question(msgspec.Struct, frozen=True):
    sql: str
    max_rows: int
    timeout: float


class _Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    rows: bytes = b""
    wrong_query: str = ""
    failure: str = ""


class QuerySocket:
    """Answers questions about `store` on the socket `path` until closed.

    Only the user who runs the server may connect. A socket that a dead server left is replaced.
    Each question has a thread of its own; beyond eight at a time a client is told to come again,
    and one that hangs is dropped after ten seconds.

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
                question = _receive(client, MAX_QUESTION, EXCHANGE)
                _send(client, msgspec.msgpack.encode(self._answer(question)), EXCHANGE)
        finally:
            self._places.release()
            with self._lock:
                self._clients.pop(client, None)

    def _answer(self, question: bytes) -> _Answer:
        try:
            asked = msgspec.msgpack.decode(question, type=_Question)
            rows = self._store.query_arrow(asked.sql, max_rows=asked.max_rows, timeout=min(asked.timeout, MAX_TIMEOUT))
        except msgspec.DecodeError as error:
            return _Answer(failure=f"the server does not understand the question: {error}; use the same version")
        except QueryError as error:
            return _Answer(wrong_query=str(error))
        except StoreError as error:
            return _Answer(failure=str(error))
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, rows.schema) as writer:
            writer.write_table(rows)
        return _Answer(rows=stream.getvalue().to_pybytes())

    def _refuse(self, client: socket.socket) -> None:
        busy = _Answer(failure=f"{MAX_CLIENTS} queries run at this moment; ask again when one has ended")
        with client, suppress(OSError):
            _send(client, msgspec.msgpack.encode(busy), _POLL)


def ask(path: Path, sql: str, *, max_rows: int, timeout: float) -> pa.Table | None:
    """Ask the server on the socket `path`; None when none lives there.

    Raises
    ------
    QueryError
        As :meth:`~tracewave_panel.ports.History.query` does.
    StoreError
        When the server is busy, closing, or does not answer in time.
    """
    question = msgspec.msgpack.encode(_Question(sql, max_rows, timeout))
    if len(question) > MAX_QUESTION:
        raise QueryError(f"the query is longer than {MAX_QUESTION >> 20} MiB; shorten it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(EXCHANGE)
        try:
            with _address(path) as address:
                client.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise StoreError(f"cannot reach the server on {path}: {error.strerror or error}; ask again") from error
        try:
            _send(client, question, EXCHANGE)
        except BrokenPipeError:
            pass  # it refused without reading; its answer says why
        except OSError as error:
            raise StoreError(f"the server on {path} does not take questions: {error}; is it stopped?") from error
        try:
            answer = msgspec.msgpack.decode(_receive(client, MAX_ANSWER, timeout + EXCHANGE), type=_Answer)
        except (OSError, EOFError, msgspec.DecodeError) as error:
            raise StoreError(f"the server on {path} gave no answer: {error}; ask again") from error
    if answer.wrong_query:
        raise QueryError(answer.wrong_query)
    if answer.failure:
        raise StoreError(answer.failure)
    return pa.ipc.open_stream(answer.rows).read_all()


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(path) as address:
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


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """A name for `path` that fits into a socket address, which holds about a hundred bytes."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        short = Path(f"/proc/self/fd/{folder}")
        if not short.exists():
            raise StoreError(f"the path {path} is too long for a socket; choose a shorter folder with --data")
        yield str(short / path.name)
    finally:
        os.close(folder)


def _send(connection: socket.socket, payload: bytes, timeout: float) -> None:
    connection.settimeout(timeout)
    connection.sendall(_LENGTH.pack(len(payload)) + payload)


def _receive(connection: socket.socket, limit: int, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, deadline))
    if length > limit:
        raise EOFError(f"a frame of {length} bytes is over the limit of {limit}")
    return _exactly(connection, length, deadline)


def _exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    received = bytearray()
    while len(received) < size:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        chunk = connection.recv(min(size - len(received), 1 << 20))
        if not chunk:
            raise EOFError("it hung up")
        received += chunk
    return bytes(received)
