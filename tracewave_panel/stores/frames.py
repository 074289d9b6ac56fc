"""Frames on a Unix socket: a four-byte length, then so many bytes; every wait has an end."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracewave_panel.errors import StoreError

__all__ = ["FramedOutput", "socket_address", "take_frame", "tell_frame"]

_LENGTH = struct.Struct(">I")
_LONGEST_ADDRESS = 100
_PIECE = 1 << 20


def tell_frame(connection: socket.socket, payload: bytes, timeout: float) -> None:
    """Send one frame, in at most `timeout` seconds."""
    connection.settimeout(timeout)
    connection.sendall(_LENGTH.pack(len(payload)) + payload)


def take_frame(connection: socket.socket, limit: int, timeout: float) -> bytes:
    """Receive one frame, in at most `timeout` seconds.

    Raises
    ------
    EOFError
        When the other side hung up, or its frame has more than `limit` bytes.
    OSError
        When the connection fails, or the time is over.
    """
    deadline = time.monotonic() + timeout
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, deadline))
    if length > limit:
        raise EOFError(f"a frame of {length} bytes is over the limit of {limit}")
    return _exactly(connection, length, deadline)


def _exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    received = bytearray()
    while len(received) < size:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        chunk = connection.recv(min(size - len(received), _PIECE))
        if not chunk:
            raise EOFError("it hung up")
        received += chunk
    return bytes(received)


class FramedOutput:
    """A file to write to, whose bytes travel as frames of a megabyte; an empty one says that it is whole.

    Parameters
    ----------
    timeout
        Seconds in which the other side must have taken a frame.
    """

    closed = False

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes, and send what makes whole frames."""
        self._waiting += data
        while len(self._waiting) >= _PIECE:
            tell_frame(self._connection, bytes(self._waiting[:_PIECE]), self._timeout)
            del self._waiting[:_PIECE]
        return len(data)

    def flush(self) -> None:
        """Nothing: a frame is sent when it is full."""

    def finish(self) -> None:
        """Send the rest, and say that this was all."""
        if self._waiting:
            tell_frame(self._connection, bytes(self._waiting), self._timeout)
        tell_frame(self._connection, b"", self._timeout)


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
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
