"""The history of a data folder as rows of Python values, whoever has it open."""

from __future__ import annotations

from pathlib import Path

from tracewave_panel.ports import Table
from tracewave_panel.stores.asking import ask_history
from tracewave_panel.stores.select import to_table

__all__ = ["query_folder"]


def query_folder(data: Path, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0) -> Table:
    """Run one SELECT on the history in the folder `data`, while a server writes it or when none does.

    Parameters
    ----------
    timeout
        Seconds after which the query is stopped.

    Raises
    ------
    QueryError
        When the SQL is wrong, not a single SELECT, takes too long, or gives too many rows.
    StoreError
        When there is no history, or it cannot be opened.
    """
    return to_table(ask_history(data, sql, max_rows=max_rows, timeout=timeout).rows)
