"""Rows that SQL gave, as whoever goes on with them needs them."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["settled"]


def settled(answer: pa.Table) -> pa.Table:
    """An answer in which each name stands once, with a number where it came before, and times are in UTC.

    Examples
    --------
    >>> settled(pa.table([[1], [2]], names=["a", "a"])).column_names
    ['a', 'a_1']
    """
    names: dict[str, None] = {}
    for name in answer.column_names:
        unique, copy = name, 0
        while unique in names:
            copy += 1
            unique = f"{name}_{copy}"
        names[unique] = None
    return pa.table([_in_utc(column) for column in answer.columns], names=list(names))


def _in_utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type  # DuckDB calls the zone Etc/UTC
    return column.cast(pa.timestamp(kind.unit, "UTC")) if pa.types.is_timestamp(kind) and kind.tz else column
