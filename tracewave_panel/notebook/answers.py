"""Answers to SQL as DataFrames."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from tracewave_panel.answers import settled

__all__ = ["frame_of"]

_NULLABLE = {pa.bool_(): "boolean", **{getattr(pa, f"{sign}int{bits}")(): f"{'U' if sign else ''}Int{bits}"
                                       for sign in ("", "u") for bits in (8, 16, 32, 64)}}  # fmt: skip


def frame_of(answer: pa.Table) -> pd.DataFrame:
    """Rows with the dtypes that one computes with.

    Times are in UTC, whole numbers and booleans in which something is NULL have nullable dtypes, wide whole numbers
    (of ``sum``) are int64 where they fit, decimals float64. Two columns of one name are told apart by a number.

    Examples
    --------
    >>> frame_of(pa.table({"edits": [7, None], "bot": [True, False]})).dtypes.astype(str).to_dict()
    {'edits': 'Int64', 'bot': 'bool'}
    """
    told = settled(answer)
    columns = {name: _series(column) for name, column in zip(told.column_names, told.columns, strict=True)}
    return pd.DataFrame(columns, index=pd.RangeIndex(answer.num_rows))


def _series(column: pa.ChunkedArray) -> pd.Series[Any]:
    kind = column.type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.int64() if kind.scale == 0 and _fits(column) else pa.float64())
        kind = column.type
    if pa.types.is_interval(kind):
        return _lengths(column)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    plain: pd.Series[Any] = column.to_pandas() if not (kind in _NULLABLE and column.null_count) else _nullable(column)
    return plain


def _nullable(column: pa.ChunkedArray) -> pd.Series[Any]:
    return pd.Series(column.to_pylist(), dtype=_NULLABLE[column.type])


def _lengths(column: pa.ChunkedArray) -> pd.Series[Any]:
    """Intervals as lengths of time, except those in months, which have none."""
    told = column.to_pylist()
    if any(each is not None and each.months for each in told):
        return pd.Series(told, dtype="object")
    micros = [None if each is None else each.days * 86_400_000_000 + each.nanoseconds // 1000 for each in told]
    return pd.to_timedelta(pd.Series(micros, dtype="Int64"), unit="us").astype("timedelta64[us]")


def _fits(column: pa.ChunkedArray) -> bool:
    try:
        column.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True
