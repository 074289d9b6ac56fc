"""Rows of an answer as plain values of Python."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tracewave_panel.answers import settled
from tracewave_panel.errors import QueryError
from tracewave_panel.ports import Table

__all__ = ["to_table"]


def to_table(arrow: pa.Table) -> Table:
    """Rows as Python values: aware datetimes in UTC, whole numbers as int, NULL as None.

    Raises
    ------
    QueryError
        When Python has no value for one of them, such as an infinite timestamp.
    """
    answer = settled(arrow)
    columns = []
    for name, column in zip(answer.column_names, answer.columns, strict=True):
        try:
            values = column.to_pylist()
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise QueryError(f"column {name} cannot be shown; cast it to VARCHAR ({error})") from error
        convert = _CONVERSIONS.get(column.type.id)
        columns.append([None if value is None else convert(value) for value in values] if convert else values)
    return Table(tuple(answer.column_names), tuple(zip(*columns, strict=True)))


def _from_decimal(value: Decimal) -> int | Decimal:
    return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else value


def _from_interval(value: pa.MonthDayNano) -> dt.timedelta | str:
    rest = dt.timedelta(days=value.days, microseconds=value.nanoseconds // 1000)
    return f"{value.months} months {rest}" if value.months else rest


_CONVERSIONS: dict[int, Any] = {
    pa.lib.Type_DECIMAL128: _from_decimal,
    pa.lib.Type_INTERVAL_MONTH_DAY_NANO: _from_interval,
    pa.lib.Type_TIMESTAMP: lambda value: value.astimezone(dt.UTC) if value.tzinfo else value,
}
