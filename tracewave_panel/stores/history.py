"""Ask the history of a data folder, whoever has it open, and show the answer as text."""

from __future__ import annotations

import csv
import datetime as dt
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
from rich.cells import cell_len

from tracewave_panel.errors import HistoryInUseError
from tracewave_panel.ports import Table
from tracewave_panel.stores.database import open_read_only
from tracewave_panel.stores.open_history import LIVE_FILE, REPLAY_FILE, SOCKET_FILE
from tracewave_panel.stores.query_socket import ask
from tracewave_panel.stores.select import Selects, to_table

__all__ = ["format_table", "query_folder"]

_STARTING = 5.0  # seconds: a server that starts has the file open a moment before it answers


def query_folder(
    data: Path, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0, memory_limit: str = "1GB"
) -> Table:
    """Run one SELECT on the history in the folder `data`, while a server writes it or when none does.

    A server answers about what it shows. Without one it is the live feed's history, or if there
    is none, that of the last replay.

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
    patience = time.monotonic() + _STARTING
    while True:
        answer = ask(data / SOCKET_FILE, sql, max_rows=max_rows, timeout=timeout)
        if answer is not None:
            return to_table(answer)
        path = next((data / name for name in (LIVE_FILE, REPLAY_FILE) if (data / name).exists()), data / LIVE_FILE)
        try:
            with open_read_only(path, memory_limit=memory_limit) as connection:
                return to_table(Selects(connection.cursor).arrow(sql, max_rows=max_rows, timeout=timeout))
        except HistoryInUseError:
            if time.monotonic() > patience:
                raise
            time.sleep(0.1)


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
    return _FORMS[form](table)


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


def _as_json(table: Table) -> str:
    rows = (dict(zip(table.columns, map(_plain, row), strict=True)) for row in table.rows)
    lines = (_json.encode(row).decode() for row in rows)
    return "[" + ",\n".join(lines) + "]"


def _as_csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_text(value, "") for value in row] for row in table.rows)
    return out.getvalue().removesuffix("\n")


_FORMS: dict[str, Callable[[Table], str]] = {"table": _as_table, "json": _as_json, "csv": _as_csv}
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
