"""Open a history file, or say in words why not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import msgspec

from tracewave_panel.errors import HistoryInUseError, StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Origin
from tracewave_panel.stores import schema
from tracewave_panel.stores.database_words import cannot_open
from tracewave_panel.stores.place import Place

__all__ = ["Database", "open_read_only"]

_CLOSE_TIMEOUT = 5.0
_TOLD_SINCE_4 = ("measures", "actor", "subject")
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
        self._trouble = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make the data folder {path.parent}: {error.strerror}; choose another with --data"
            ) from error
        self.connection = self._open()
        self._place = Place.of(path)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection that another thread may use beside the writer's.

        Raises
        ------
        StoreError
            While the file cannot be opened anew.
        """
        try:
            return self.connection.cursor()
        except duckdb.ConnectionException as error:
            raise StoreError(self._trouble or "history is being opened anew; ask again in a moment") from error

    def check_place(self) -> None:
        """See that the file is still where it was opened; what is written to one that is not is lost.

        Raises
        ------
        StoreError
            When it has vanished or is another; :meth:`reopen` is what may help.
        """
        there = Place.of(self._path)
        if there.folder is None:
            raise self._vanished()
        if there.file != self._place.file:
            raise StoreError(f"the history {self._path} has vanished or was replaced; it is opened anew")

    def _vanished(self) -> StoreError:
        return StoreError(f"the data folder {self._path.parent} has vanished; history is kept again when it is back")

    def reopen(self) -> bool:
        """Open the file anew, which DuckDB asks for after some errors of the disk, and which another file needs.

        A folder that has vanished, or lies on another disk without a history, is left alone: it is
        waited for.

        Returns
        -------
        bool
            Whether it is another file than before.

        Raises
        ------
        StoreError
            When that fails.
        """
        before = self._place
        try:
            self.close()
            self.connection = self._open(before)
        except StoreError as error:
            self._trouble = str(error)
            raise
        self._trouble = ""
        self._place = Place.of(self._path)
        return self._place.file != before.file

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

    def _open(self, before: Place | None = None) -> duckdb.DuckDBPyConnection:
        if before and not Place.of(self._path).may_hold_another(before):
            raise self._vanished()
        path, made = self._path, not self._path.exists()
        try:
            return self._opened(path)
        except HistoryInUseError:
            raise
        except StoreError:
            # a file whose first block did not fit on the disk could never be opened again
            if made:
                _remove_unfinished(path)
            raise

    def _opened(self, path: Path) -> duckdb.DuckDBPyConnection:
        connection = _connect(path, read_only=False, memory_limit=self._memory_limit)
        with _closed_on_error(connection, path):
            identity = _identity(self._feed)
            found = _read_meta(connection, path)
            if found is None:
                meta = {"schema_version": str(schema.VERSION), **identity, "origin": self._origin.value}
                _create(connection, self._feed, meta)
            elif differing := _differing(identity, found):
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
        raise cannot_open(path, error) from error
    except StoreError:
        connection.close()
        raise


def _remove_unfinished(path: Path) -> None:
    for left in (path, path.with_name(f"{path.name}.wal")):
        with suppress(OSError):
            left.unlink()


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
                # whoever asks brings a thread along; the pool leaves a processor to the feed
                "threads": max(1, (os.cpu_count() or 2) - 1),
            },
        )
        connection.execute("SET TimeZone = 'UTC'")
    except duckdb.Error as error:
        raise cannot_open(path, error) from error
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
        **{name: msgspec.json.encode(getattr(feed, name)).decode() for name in _TOLD_SINCE_4},
    }


def _differing(identity: dict[str, str], found: dict[str, str]) -> str:
    """In what a file differs, in words; files of before schema 4 do not tell everything."""
    kept = {name: found.get(name, told if name in _TOLD_SINCE_4 else "none") for name, told in identity.items()}
    return ", ".join(f"{name} {kept[name]}" for name in identity if kept[name] != identity[name])


def _create(connection: duckdb.DuckDBPyConnection, feed: Feed, meta: dict[str, str]) -> None:
    connection.begin()
    for statement in schema.statements(feed):
        connection.execute(statement)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
    connection.commit()


def _migrate(connection: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    lacking = "INSERT INTO meta SELECT $name, $told WHERE NOT EXISTS (FROM meta WHERE key = $name)"
    for name, told in _identity(feed).items():
        connection.execute(lacking, {"name": name, "told": told})
    for transaction in schema.migrations(feed):
        connection.begin()
        for statement in transaction:
            connection.execute(statement)
        connection.commit()
