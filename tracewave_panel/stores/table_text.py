"""Rows of an answer as text: aligned columns, JSON or CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
from rich.cells import cell_len

from tracewave_panel.ports import Table

__all__ = ["format_table", "text_pieces"]


def format_table(table: Table, form: Literal["table", "json", "csv"]) -> str:
    """Text of a table: aligned columns, a JSON array with a row a line, or CSV with a header.

    Times are ISO 8601 with their zone. In the table NULL is shown as such, and control
    characters, which come from the feed and could steer a terminal, as their escapes.

    Examples
    --------
    >>> print(format_table(Table(("wiki", "edits"), [("dewiki", 7), (None, 12)]), "table"))
    wiki    edits
    ------  -----
    dewiki      7
    NULL       12
    >>> print(format_table(Table(("wiki", "edits"), [("dewiki", 7)]), "json"))
    [{"wiki":"dewiki","edits":7}]
    """
    return _as_table(table) if form == "table" else "".join(text_pieces([table], form)).removesuffix("\n")


def text_pieces(tables: Iterable[Table], form: Literal["json", "csv"]) -> Iterator[str]:
    """Text of tables that follow one another under the same columns, the first of which is there; it ends a line."""
    return _as_json(tables) if form == "json" else _as_csv(tables)


def _as_table(table: Table) -> str:
    cells = [[_printable(_text(value, "NULL")) for value in row] for row in table.rows]
    header = [_printable(name) for name in table.columns]
    widths = [max(map(cell_len, column)) for column in zip(header, *cells, strict=True)]
    numeric = [
        any(_is_number(row[index]) for row in table.rows)
        and all(row[index] is None or _is_number(row[index]) for row in table.rows)
        for index in range(len(header))
    ]

    def line(row: list[str]) -> str:
        padded = []
        for cell, width, right in zip(row, widths, numeric, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if right else cell + space)
        return "  ".join(padded).rstrip()

    rules = ["-" * width for width in widths]
    return "\n".join(line(row) for row in (header, rules, *cells))


def _as_json(tables: Iterable[Table]) -> Iterator[str]:
    before = "["
    for table in tables:
        for row in table.rows:
            yield before + _json.encode(dict(zip(table.columns, map(_plain, row), strict=True))).decode()
            before = ",\n"
    yield before.strip(",\n") + "]\n"


def _as_csv(tables: Iterable[Table]) -> Iterator[str]:
    for number, table in enumerate(tables):
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if not number:
            writer.writerow(table.columns)
        writer.writerows([_text(value, "") for value in row] for row in table.rows)
        yield out.getvalue()


_json = msgspec.json.Encoder(decimal_format="number")


def _text(value: Any, null: str) -> str:
    value = _plain(value)
    if value is None:
        return null
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return _json.encode(value).decode()
    return str(value)


def _plain(value: Any) -> Any:
    """What JSON can hold, except that numbers stay as they are."""
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.timedelta):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
