"""A transaction that leaves nothing behind when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb

__all__ = ["transaction"]


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Begin; commit at the end, or on any error roll back and raise it."""
    try:
        connection.begin()
    except duckdb.TransactionException:  # the one before could not be undone, as where memory had run out
        connection.rollback()
        connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        with suppress(duckdb.Error):
            connection.rollback()
        raise
