"""Open a history file, or say in words why not."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.stores import schema

__all__ = ["create_or_open", "open_read_only"]


def create_or_open(path: Path, feed: Feed, *, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Open the history of `feed` for writing; make it if there is none.

    Raises
    ------
    StoreError
        When the file cannot be made, is in use, is no history, or is one of another feed
        or of a newer Tracewave.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot make the data folder {path.parent}: {error.strerror}; choose another with --data"
        raise StoreError(msg) from error
    connection = _connect(path, read_only=False, memory_limit=memory_limit)
    try:
        identity = _identity(feed)
        found = _read_meta(connection, path)
        if found is None:
            _create(connection, feed, identity)
        elif found != identity:
            changed = ", ".join(f"{key} {found.get(key)!r}" for key in identity if found.get(key) != identity[key])
            msg = (
                f"{path} is the history of something else ({changed}); give this feed a folder of its own "
                "with --data, or move the file away"
            )
            raise StoreError(msg)
        # last, because it is what keeps ad-hoc SQL from undoing the rest
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise _in_words(error, path) from error
    except StoreError:
        connection.close()
        raise
    return connection


def open_read_only(path: Path, *, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Open a history that no other process has open.

    Raises
    ------
    StoreError
        When there is none, it is in use, or it is no history.
    """
    if not path.exists():
        msg = f"no history in {path.parent}; start `tracewave serve --data {path.parent}` first"
        raise StoreError(msg)
    connection = _connect(path, read_only=True, memory_limit=memory_limit)
    try:
        if _read_meta(connection, path) is None:
            msg = f"the history in {path.parent} is still empty; wait a moment and ask again"
            raise StoreError(msg)
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise _in_words(error, path) from error
    except StoreError:
        connection.close()
        raise
    return connection


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
        msg = f"{path} is a DuckDB file but no Tracewave history; choose another folder with --data"
        raise StoreError(msg)
    if int(version) > schema.VERSION:
        msg = f"{path} was written by a newer Tracewave (schema {version}, this one knows {schema.VERSION}); upgrade"
        raise StoreError(msg)
    return meta


def _identity(feed: Feed) -> dict[str, str]:
    return {
        "schema_version": str(schema.VERSION),
        "feed": feed.name,
        "features": msgspec.json.encode([feature.name for feature in feed.features]).decode(),
        "dimensions": msgspec.json.encode(feed.dimensions).decode(),
    }


def _create(connection: duckdb.DuckDBPyConnection, feed: Feed, identity: dict[str, str]) -> None:
    connection.begin()
    for statement in schema.statements(feed):
        connection.execute(statement)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", list(identity.items()))
    connection.commit()


def _in_words(error: duckdb.Error, path: Path) -> StoreError:
    said = str(error)
    if "Could not set lock" in said:
        reason = "another process has it open; stop that one, or choose another folder with --data"
    elif "not a valid DuckDB" in said or "Corrupt" in said or "read enough bytes" in said:
        reason = "it is damaged or no history; move it away and start again, or restore a copy"
    elif "Permission denied" in said or "Read-only file system" in said:
        reason = "the folder or file may not be written; mend its permissions, or choose another with --data"
    elif "No space left" in said:
        reason = "the disk is full; make room"
    else:
        reason = "choose another folder with --data if it cannot be mended"
    return StoreError(f"cannot open history {path}: {reason} ({said.splitlines()[0]})")
