"""What there is to ask: tables and views, their columns and their words, read by SQL like everything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracewave_panel.errors import QueryError, StoreError
from tracewave_panel.ports import History

__all__ = ["NO_HISTORY", "catalogue"]

NO_HISTORY = "no history is kept, so there is nothing to ask; start with a data folder (--data)"

_RELATIONS = """
SELECT table_name AS name, comment, estimated_size AS rows FROM duckdb_tables() WHERE NOT internal
UNION ALL
SELECT view_name, comment, NULL FROM duckdb_views() WHERE NOT internal
"""
_COLUMNS = """
SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal
ORDER BY table_name, column_index
"""
_SINCE = "SELECT epoch(min(start)) FROM windows"
_SECONDS = 5.0
_TYPES = {
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "VARCHAR": "text",
    "VARCHAR[]": "list of text",
    "DOUBLE": "float",
    "FLOAT": "float",
    "BIGINT": "int",
    "HUGEINT": "int",
    "INTEGER": "int",
    "TINYINT": "int",
    "BOOLEAN": "bool",
    "BLOB": "bytes",
}


def catalogue(history: History | None) -> dict[str, Any]:
    """Return the views and the tables, in this order, each with its columns; and since when there are windows.

    Raises
    ------
    StoreError
        When no history is kept, or it cannot be read.
    """
    if history is None:
        raise StoreError(NO_HISTORY)
    columns: dict[str, list[tuple[str, str, str]]] = {}
    rows = history.query(_COLUMNS, timeout=_SECONDS).rows
    known = _meanings(rows)
    for table, name, kind, comment in rows:
        meaning = comment or known.get(name) or ""
        columns.setdefault(table, []).append((name, _type(kind), meaning))
    relations = [
        {"name": name, "view": count is None, "comment": comment or "", "rows": count, "columns": columns.get(name, [])}
        for name, comment, count in history.query(_RELATIONS, timeout=_SECONDS).rows
    ]
    relations.sort(key=lambda each: (not each["view"], each["name"]))
    return {"relations": relations, "since": _since(history)}


def _since(history: History) -> float | None:
    try:
        ((since,),) = history.query(_SINCE, timeout=_SECONDS).rows
    except QueryError:
        return None
    return None if since is None else float(since)


def _meanings(rows: Iterable[tuple[Any, ...]]) -> dict[str, str | None]:
    """Words on a column that mean the same wherever it is: a view's own columns have none."""
    meanings: dict[str, str | None] = {}
    for _, name, _, comment in rows:
        if comment:
            meanings[name] = comment if meanings.get(name, comment) == comment else None
    return meanings


def _type(words: str) -> str:
    return _TYPES.get(words) or ("struct" if words.startswith("STRUCT") else words.lower())
