"""What a table is made of, and rows as Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

__all__ = ["SAMPLES", "TIME", "Column", "TableSchema", "identifier", "text"]

SAMPLES = "STRUCT(id VARCHAR, time TIMESTAMPTZ, title VARCHAR, link VARCHAR)[]"
TIME = pa.timestamp("us", "UTC")
_ARROW = {
    "VARCHAR": pa.string(),
    "VARCHAR[]": pa.list_(pa.string()),
    "TIMESTAMPTZ": TIME,
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "TINYINT": pa.int8(),
    "BOOLEAN": pa.bool_(),
    "BLOB": pa.binary(),
    SAMPLES: pa.list_(pa.struct({"id": pa.string(), "time": TIME, "title": pa.string(), "link": pa.string()})),
}


class Column(msgspec.Struct, frozen=True):
    """One column: its name, SQL type and meaning."""

    name: str
    type: str
    comment: str


class TableSchema(msgspec.Struct, frozen=True):
    """One table: its name, meaning and columns in order."""

    name: str
    comment: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def definition(self) -> str:
        """Columns as ``CREATE TABLE`` wants them."""
        return ", ".join(f"{identifier(column.name)} {column.type}" for column in self.columns)

    def arrow(self, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
        """Rows as an Arrow table; times are whole microseconds since the epoch."""
        values = zip(*rows, strict=True)
        return self.arrow_of(dict(zip(self.names, values, strict=True)))

    def arrow_of(self, columns: Mapping[str, Any]) -> pa.Table:
        """Columns by name as an Arrow table: Arrow arrays, or sequences that one is made of."""
        arrays = [_array(columns[column.name], _ARROW[column.type]) for column in self.columns]
        return pa.table(arrays, names=list(self.names))


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)
