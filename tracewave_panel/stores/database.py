"""Open a history file, or say in words why not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import msgspec

from tracewave_panel.errors import HistoryInUseError, StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Origin
from tracewave_panel.stores import schema

__all__ = ["Database", "open_read_only"]

_CLOSE_TIMEOUT = 5.0
_LAST_TOLD = """
    SELECT (SELECT max(told) FROM metrics), (SELECT max(told) FROM anomalies), (SELECT max(told) FROM states)
"""


class Database:
    """The history of one feed, open for writing; made if there is none, brought up to date if it is older.

    Raises
    ------
    StoreError
        When the file cannot be made, is in use, is no history, or is one of another feed
        or of a newer Tracewave.
    """

    def __init__(self, path: Path, feed: Feed, *, origin: Origin, memory_limit: str) -> None:
        self._path = path
        self._feed = feed
        self._origin = origin
        self._memory_limit = memory_limit
        self.connection = self._open()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection that another thread may use beside the writer's."""
        return self.connection.cursor()

    def reopen(self) -> None:
        """Open the file anew, which DuckDB asks for after some errors of the disk."""
        self.close()
        self.connection = self._open()

    def close(self) -> None:
        """Release the file; waits a little for cursors that are still busy.

        Raises
        ------
        StoreError
            When one stays busy.
        """
        deadline = time.monotonic() + _CLOSE_TIMEOUT
        while True:
            try:
                self.connection.close()
            except duckdb.ResourceInUseException as error:
                if time.monotonic() > deadline:
                    raise StoreError(f"a query on {self._path} does not stop; it is released when it ends") from error
                time.sleep(0.01)
            else:
                return

    def last_told(self) -> tuple[int, int, int]:
        """Highest running numbers of analyses, anomalies and States."""
        with _closed_on_error(self.connection, self._path):
            ((analyses, anomalies, states),) = self.connection.execute(_LAST_TOLD).fetchall()
        return analyses or 0, anomalies or 0, states or 0

    def _open(self) -> duckdb.DuckDBPyConnection:
        path = self._path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make the data folder {path.parent}: {error.strerror}; choose another with --data"
            ) from error
        connection = _connect(path, read_only=False, memory_limit=self._memory_limit)
        with _closed_on_error(connection, path):
            identity = _identity(self._feed)
            found = _read_meta(connection, path)
            if found is None:
                meta = {"schema_version": str(schema.VERSION), **identity, "origin": self._origin.value}
                _create(connection, self._feed, meta)
            elif not identity.items() <= found.items():
                differing = ", ".join(f"{key} {found.get(key)}" for key in identity if found.get(key) != identity[key])
                raise StoreError(
                    f"{path} is the history of something else ({differing}); "
                    "give this feed a folder of its own with --data, or move the file away"
                )
            elif int(found["schema_version"]) < schema.VERSION:
                _migrate(connection, self._feed)
            # last, because it is what keeps ad-hoc SQL from undoing the rest
            connection.execute("SET lock_configuration = true")
        return connection


def open_read_only(path: Path, *, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Open a history that no other process has open.

    Raises
    ------
    StoreError
        When there is none, it is in use, or it is no history.
    """
    if not path.exists():
        raise StoreError(f"no history in {path.parent}; start `tracewave serve --data {path.parent}` first")
    connection = _connect(path, read_only=True, memory_limit=memory_limit)
    with _closed_on_error(connection, path):
        if _read_meta(connection, path) is None:
            raise StoreError(f"the history in {path.parent} is still empty; wait a moment and ask again")
        connection.execute("SET lock_configuration = true")
    return connection


@contextmanager
def _closed_on_error(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        connection.close()
        raise _in_words(error, path) from error
    except StoreError:
        connection.close()
        raise


def _connect(path: Path, *, read_only: bool, memory_limit: str) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(
            str(path),
            read_only=read_only,
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "enable_external_access": False,
                "max_temp_directory_size": "2GB",
                "memory_limit": memory_limit,
                "python_enable_replacements": False,
            },
        )
        connection.execute("SET TimeZone = 'UTC'")
    except duckdb.Error as error:
        raise _in_words(error, path) from error
    return connection


def _read_meta(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str] | None:
    """What the file says it is; None when it holds nothing at all."""
    names = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not names:
        return None
    meta = {}
    if "meta" in names:
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    version = meta.get("schema_version", "")
    if not version.isdecimal():
        raise StoreError(f"{path} is a DuckDB file but no Tracewave history; choose another folder with --data")
    if int(version) > schema.VERSION:
        raise StoreError(
            f"{path} was written by a newer Tracewave (schema {version}, this one knows {schema.VERSION}); "
            "upgrade Tracewave, or choose another folder with --data"
        )
    return meta


def _identity(feed: Feed) -> dict[str, str]:
    return {
        "feed": feed.name,
        "features": msgspec.json.encode([feature.name for feature in feed.features]).decode(),
        "dimensions": msgspec.json.encode(feed.dimensions).decode(),
    }


def _create(connection: duckdb.DuckDBPyConnection, feed: Feed, meta: dict[str, str]) -> None:
    connection.begin()
    for statement in schema.statements(feed):
        connection.execute(statement)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
    connection.commit()


def _migrate(connection: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    for transaction in schema.migrations(feed):
        connection.begin()
        for statement in transaction:
            connection.execute(statement)
        connection.commit()


def _in_words(error: duckdb.Error, path: Path) -> StoreError:
    said = str(error)
    if "Could not set lock" in said:
        reason = "another process has it open and answers no queries; stop it, or choose another folder with --data"
        return HistoryInUseError(f"cannot open history {path}: {reason} ({said.splitlines()[0]})")
    if "not a valid DuckDB" in said or "Corrupt" in said or "read enough bytes" in said:
        reason = "it is damaged or no history; move it away and start again, or restore a copy"
    elif "Permission denied" in said or "Read-only file system" in said:
        reason = "the folder or file may not be written; mend its permissions, or choose another with --data"
    elif "No space left" in said:
        reason = "the disk is full; make room"
    else:
        reason = "choose another folder with --data if it cannot be mended"
    return StoreError(f"cannot open history {path}: {reason} ({said.splitlines()[0]})")
