"""An answer as the page shows it: by column, with the kind of each."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from tracewave_panel.errors import QueryError

__all__ = ["MOST_SHOWN", "nested_words", "shown"]

MOST_SHOWN = 5_000
"""Rows that a page is sent."""
MOST_CELLS = 250_000
"""Cells that a page is sent: with many columns it gets fewer rows."""
MOST_TEXT = 1_000
"""Characters of a cell that a page is sent."""
EXACT = 1 << 53
"""Whole numbers up to this are exact in a browser."""
_ENDLESS = (1 << 63) - 1


def shown(answer: pa.Table) -> dict[str, Any]:
    """Return what a page shows of an answer: its columns, how many rows there are, and the first of them by column.

    Kinds are ``number``, ``time`` (milliseconds since the epoch), ``bool`` and ``text``; None is NULL.

    Raises
    ------
    QueryError
        When a value has no words.

    Examples
    --------
    >>> shown(pa.table({"wiki": ["dewiki", None], "edits": [7, 12]}))["data"]
    [['dewiki', None], [7, 12]]
    """
    try:
        return _shown(answer)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise QueryError(f"the answer cannot be shown: {error}; cast the column to VARCHAR") from error


def _shown(answer: pa.Table) -> dict[str, Any]:
    rows = min(answer.num_rows, MOST_SHOWN, max(1, MOST_CELLS // max(1, answer.num_columns)))
    columns, data = [], []
    for name, column in zip(answer.column_names, answer.columns, strict=True):
        kind, values = _values(column.slice(0, rows))
        columns.append({"name": name, "kind": kind, "type": _type_words(column.type)})
        data.append(values)
    return {"columns": columns, "rows": answer.num_rows, "shown": rows, "data": data}


def nested_words(value: Any) -> Any:
    """What JSON can hold of a value inside an answer: times as ISO 8601 in UTC, bytes as hexadecimal digits."""
    match value:
        case dt.datetime():
            return (value.astimezone(dt.UTC) if value.tzinfo else value).isoformat().replace("+00:00", "Z")
        case dt.date() | dt.time():
            words = value.isoformat()
        case bytes():
            words = value.hex()
        case pa.MonthDayNano():
            words = f"{value.months} months {value.days} days {value.nanoseconds / 1e9:g} s"
        case dt.timedelta():
            words = str(value)
        case dict():
            return {str(key): nested_words(each) for key, each in value.items()}
        case list() | tuple():
            return [nested_words(each) for each in value]
        case _:
            return value
    return words


def _values(column: pa.ChunkedArray) -> tuple[str, list[Any]]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        whole = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()).to_pylist()
        return "time", [_milliseconds(value) for value in whole]
    if pa.types.is_boolean(kind):
        return "bool", column.to_pylist()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number", [_number(value) for value in column.to_pylist()]
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return "text", column.cast(pa.string()).to_pylist()
    return "text", [_text(value) for value in column.to_pylist()]


def _milliseconds(value: int | None) -> float | str | None:
    if value is None:
        return None
    return value / 1000 if abs(value) < _ENDLESS else "infinity" if value > 0 else "-infinity"


def _number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() and abs(value) <= EXACT
        return int(value) if whole else float(value) if abs(value) < EXACT else str(value)
    if isinstance(value, int) and abs(value) > EXACT:
        return str(value)
    return value


def _text(value: Any) -> str | None:
    if value is None:
        return None
    words = value if isinstance(value, str) else msgspec.json.encode(nested_words(value)).decode()
    return words if len(words) <= MOST_TEXT else f"{words[:MOST_TEXT]}…"


def _type_words(kind: pa.DataType) -> str:
    for fits, words in _TYPES:
        if fits(kind):
            return words
    return str(kind)


_TYPES = (
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_boolean, "bool"),
    (pa.types.is_integer, "int"),
    (pa.types.is_floating, "float"),
    (pa.types.is_decimal, "decimal"),
    (pa.types.is_date, "date"),
    (pa.types.is_string, "text"),
    (pa.types.is_list, "list"),
    (pa.types.is_struct, "struct"),
    (pa.types.is_null, "null"),
)
