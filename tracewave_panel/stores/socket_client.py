"""The other end of the socket beside a history: ask the server that has it open, or fill it through it."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from tracewave_panel.codec import pack
from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Findings
from tracewave_panel.stores.frames import socket_address, take_frame, tell_frame
from tracewave_panel.stores.messages import (
    EXCHANGE,
    MAX_ANSWER,
    MAX_FINDINGS,
    MAX_PIECE,
    MAX_QUESTION,
    FillingOffer,
    Question,
    Reply,
    Taken,
    offer_of,
)

__all__ = ["FillingClient", "ask_server"]

_COMMIT = 60.0  # seconds that a server may take to commit a frame of Findings
_UNREADABLE = (OSError, EOFError, msgspec.DecodeError, UnicodeDecodeError)


def ask_server(path: Path, sql: str, out: IO[bytes], *, max_rows: int, timeout: float, file: str = "") -> str | None:
    """Write the rows of an answer to `out` as an Arrow stream, and return the name of the file that it is from.

    Parameters
    ----------
    path
        Of the socket.
    file
        Only of the history of this name, if it is not empty.

    Returns
    -------
    str or None
        None when no server lives there, or it has another file open.

    Raises
    ------
    QueryError
        As :meth:`~tracewave_panel.ports.History.query` does.
    StoreError
        When the server is busy, closing, or does not answer in time.
    """
    question = msgspec.msgpack.encode(Question(sql, max_rows, timeout, file))
    if len(question) > MAX_QUESTION:
        raise QueryError(f"the query is longer than {MAX_QUESTION >> 20} MiB; shorten it")
    client = _connect(path)
    if client is None:
        return None
    with client:
        reply = _begin(client, path, question, timeout + EXCHANGE)
        if reply.elsewhere:
            return None
        size = 0
        try:
            while piece := take_frame(client, MAX_PIECE, EXCHANGE):
                size += len(piece)
                if size > MAX_ANSWER:
                    raise StoreError(f"the server on {path} does not end its answer; ask for less")
                out.write(piece)
        except _UNREADABLE as error:
            raise _broken_off(path, error) from error
    return reply.file


class FillingClient:
    """Hands findings to the server that has a history open; one frame is under way at a time.

    Raises
    ------
    StoreError
        When the server refuses what is offered, or does not answer.
    """

    def __init__(self, client: socket.socket, path: Path, offer: FillingOffer) -> None:
        self._client = client
        self._path = path
        try:
            _begin(client, path, msgspec.msgpack.encode(offer), EXCHANGE)
        except StoreError:
            client.close()
            raise

    @classmethod
    def connect(cls, path: Path, feed: Feed, file: str) -> Self | None:
        """Begin to fill the history `file` of `feed`; None when no server lives on the socket `path`."""
        client = _connect(path)
        return None if client is None else cls(client, path, offer_of(feed, file))

    def backfill(self, findings: Findings) -> Taken:
        """Hand over findings, and wait until what history lacked of them is committed.

        Raises
        ------
        StoreError
            When they could not be written, or the server is gone; what was handed over before is kept.
        """
        packed = pack(findings)
        if len(packed) > MAX_FINDINGS:
            raise StoreError(f"a window of {len(packed) >> 20} MiB is too large to hand over; use shorter windows")
        try:
            tell_frame(self._client, packed, EXCHANGE + _COMMIT)
            answer = take_frame(self._client, MAX_PIECE, EXCHANGE + _COMMIT)
            taken = msgspec.msgpack.decode(answer, type=Taken)
        except _UNREADABLE as error:
            raise _broken_off(self._path, error) from error
        if taken.failure:
            raise StoreError(taken.failure)
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._client, suppress(OSError):
            tell_frame(self._client, b"", EXCHANGE)


def _connect(path: Path) -> socket.socket | None:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(EXCHANGE)
    try:
        with socket_address(path) as address:
            client.connect(address)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        client.close()
        return None
    except OSError as error:
        client.close()
        raise StoreError(f"cannot reach the server on {path}: {error.strerror or error}; ask again") from error
    except BaseException:
        client.close()
        raise
    return client


def _begin(client: socket.socket, path: Path, message: bytes, timeout: float) -> Reply:
    try:
        tell_frame(client, message, EXCHANGE)
    except BrokenPipeError:
        pass  # it refused without reading; its answer says why
    except OSError as error:
        raise StoreError(f"the server on {path} does not take questions: {error}; is it stopped?") from error
    try:
        reply = msgspec.msgpack.decode(take_frame(client, MAX_PIECE, timeout), type=Reply)
    except _UNREADABLE as error:
        raise _broken_off(path, error) from error
    if reply.wrong_query:
        raise QueryError(reply.wrong_query)
    if reply.failure:
        raise StoreError(reply.failure)
    return reply


def _broken_off(path: Path, error: Exception) -> StoreError:
    return StoreError(f"the server on {path} gave no answer: {error}; ask again")
