"""Ask a history one SELECT, whoever has it open: a running server, nobody, or an API elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, NamedTuple

import duckdb
import pyarrow as pa

from tracewave_panel.errors import HistoryInUseError, StoreError
from tracewave_panel.stores.asking_url import ask_url
from tracewave_panel.stores.database import open_read_only
from tracewave_panel.stores.open_history import LIVE_FILE, REPLAY_FILE, SOCKET_FILE
from tracewave_panel.stores.select import Selects
from tracewave_panel.stores.socket_client import ask_server

__all__ = ["Answer", "AnswerStream", "answering", "ask_history"]

_STARTING = 5.0  # seconds: a server that starts has the file open a moment before it answers
_ENDING = 5.0
_IN_MEMORY = 1 << 25  # bytes of an answer that are held in memory; the rest goes to a file without a name
_MEMORY_LIMIT = "1GB"


class Answer(NamedTuple):
    """The rows, and in words whose answer it is."""

    rows: pa.Table
    by: str


class AnswerStream(NamedTuple):
    """The rows batch by batch, and in words whose answer it is."""

    rows: pa.RecordBatchReader
    by: str


def ask_history(
    place: str | Path, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0, token: str = ""
) -> Answer:
    """Run one SELECT on the history at `place`.

    Parameters
    ----------
    place
        A data folder, a ``.duckdb`` file or the ``http(s)`` address of a server's API. A folder is answered for
        by the server that runs there, about what it shows; without one it is the live feed's history, or if there
        is none, that of the last replay.
    timeout
        Seconds after which the query is stopped; an API allows no more than 30.
    token
        For an API that asks for one: as it is, ``env:NAME`` or ``file:PATH``; without it the environment's
        ``TRACEWAVE_TOKEN`` is taken.

    Raises
    ------
    QueryError
        When the SQL is wrong, not a single SELECT, takes too long, or gives too many rows.
    StoreError
        When there is no history, it cannot be opened, or the server does not answer or refuses.
    ConfigError
        When the address or the token is none.
    """
    with answering(place, sql, max_rows=max_rows, timeout=timeout, token=token) as answer:
        return Answer(answer.rows.read_all(), answer.by)


@contextmanager
def answering(
    place: str | Path,
    sql: str,
    *,
    max_rows: int = 100_000,
    timeout: float = 30.0,
    token: str = "",
    patience: float = 0.0,
) -> Iterator[AnswerStream]:
    """As :func:`ask_history`, with rows that need not fit into memory all at once.

    Everything that can go wrong has done so before the first row is given.

    Parameters
    ----------
    patience
        Seconds for which an API that says that it is busy is asked again.
    """
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
        if "://" in str(place):
            by = ask_url(str(place), sql, spool, max_rows=max_rows, timeout=timeout, token=token, patience=patience)
        else:
            here = _here(Path(place), sql, spool, max_rows=max_rows, timeout=timeout)
            if isinstance(here, AnswerStream):
                yield here
                return
            by = here
        yield AnswerStream(_read(spool, by), by)


def _here(place: Path, sql: str, spool: IO[bytes], *, max_rows: int, timeout: float) -> AnswerStream | str:
    """Rows of a file that nobody has open, or, once they are in `spool`, who gave them."""
    is_file = place.suffix == ".duckdb" and not place.is_dir()
    folder, wanted = (place.parent, place.name) if is_file else (place, "")
    patience = time.monotonic() + _STARTING
    if is_file and not place.exists():
        raise StoreError(f"there is no {place}; check its name, or name the data folder")
    while True:
        file = ask_server(folder / SOCKET_FILE, sql, spool, max_rows=max_rows, timeout=timeout, file=wanted)
        if file is not None:
            return f"the server that has {folder / file} open"
        known = (folder / name for name in (LIVE_FILE, REPLAY_FILE))
        path = place if is_file else next((path for path in known if path.exists()), folder / LIVE_FILE)
        try:
            with _released(open_read_only(path, memory_limit=_MEMORY_LIMIT)) as connection:
                rows = Selects(connection.cursor).arrow(sql, max_rows=max_rows, timeout=timeout)
        except HistoryInUseError:
            if time.monotonic() > patience:
                raise
            time.sleep(0.1)
        else:
            return AnswerStream(rows.to_reader(), f"the file {path}, which no server has open")


@contextmanager
def _released(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Let go of the file at the end; a query that was stopped may have it open for a moment longer."""
    try:
        yield connection
    finally:
        patience = time.monotonic() + _ENDING
        while True:
            try:
                connection.close()
            except duckdb.ResourceInUseException:
                if time.monotonic() > patience:
                    break  # it is let go of when that query ends, or this process
                time.sleep(0.01)
            else:
                break


def _read(spool: IO[bytes], by: str) -> pa.RecordBatchReader:
    spool.seek(0)
    try:
        return pa.ipc.open_stream(pa.PythonFile(spool, "r"))
    except pa.ArrowException as error:
        raise StoreError(f"{by} gave an answer that cannot be read: {error}; ask again") from error
