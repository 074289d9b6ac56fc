"""Rows from bytes: lines of JSON, or of CSV. No file, no socket, no clock.

Invariants:

- The same bytes give the same rows, wherever they are cut: inside a line, a CRLF or a character.
- A row is told when its line has ended, or by :meth:`finish`, which says that no more bytes come.
- At most `limit` bytes of a line are held; what is longer is skipped and told as a row with a fault.
- What cannot be read spoils no other row: a quote that nobody closes is told, and the lines behind it are read anew.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tracewave_panel.errors import ConfigError
from tracewave_panel.sources.own_rows import Row
from tracewave_panel.sources.row_values import Path, nearest, value_at

__all__ = ["CsvRows", "JsonRows", "Lines", "rows_of"]

MOST_LINES = 100
"""Lines that one row of CSV may go over."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Lines:
    r"""Cut bytes into lines without their ends, of which each has a number; None stands for one that is too long.

    Examples
    --------
    >>> lines = Lines(limit=5)
    >>> lines.feed(b"one\r\ntwo"), lines.feed(b"\ntoo long\n"), lines.finish()
    ([(1, b'one')], [(2, b'two'), (3, None)], [])
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun = bytearray()
        self._length = 0
        self._number = 0

    @property
    def unfinished(self) -> int:
        """Bytes of a line that has begun and not ended."""
        return self._length

    def feed(self, chunk: bytes) -> list[tuple[int, bytes | None]]:
        """Take in the next bytes; return the lines they end."""
        *parts, begun = chunk.split(b"\n")
        lines = []
        for part in parts:
            self._hold(part)
            lines.append(self._end())
        self._hold(begun)
        return lines

    def finish(self) -> list[tuple[int, bytes | None]]:
        """Return a last line that has no end."""
        return [self._end()] if self._length else []

    def _hold(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= self._limit + 1:  # a carriage return does not count
            self._begun += part

    def _end(self) -> tuple[int, bytes | None]:
        line, length = bytes(self._begun), self._length
        self._begun, self._length = bytearray(), 0
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        line = line.removesuffix(b"\r")
        return self._number, None if length > self._limit + 1 or len(line) > self._limit else line


class JsonRows:
    r"""Lines of JSON: an object is a row, a list of objects is several. Blank lines are none.

    Parameters
    ----------
    within
        Where in what a line holds the row or rows are.

    Examples
    --------
    >>> [(row.number, row.fields) for row in JsonRows(limit=99).feed(b'{"n": 1}\n\n[{"n": 2}, {"n": 3}]\n')]
    [(1, {'n': 1}), (3, {'n': 2}), (3, {'n': 3})]
    """

    def __init__(self, *, limit: int, within: Path | None = None) -> None:
        self._lines = Lines(limit)
        self._limit = limit
        self._within = within

    def feed(self, chunk: bytes) -> list[Row]:
        """Take in the next bytes; return the rows they complete."""
        return list(self._rows(self._lines.feed(chunk)))

    def finish(self) -> list[Row]:
        """Return what is left when no more bytes come."""
        return list(self._rows(self._lines.finish()))

    def _rows(self, lines: Iterable[tuple[int, bytes | None]]) -> Iterator[Row]:
        for number, line in lines:
            if line is None:
                yield _too_long(number, self._limit)
            elif line.strip():
                yield from rows_of(line, number, self._within)


def rows_of(message: bytes | str, number: int, within: Path | None = None) -> Iterator[Row]:
    """Rows of one JSON text.

    >>> [row.fields for row in rows_of('{"data": [{"n": 1}, {"n": 2}]}', 1, Path("data", ()))]
    [{'n': 1}, {'n': 2}]
    """
    try:
        value: Any = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        yield Row(number, fault=f"not JSON ({error}); it starts with {message[:60]!r}")
        return
    if within is not None and isinstance(value, dict):
        value = value_at(value, within)
        if value is None:
            yield Row(number, fault=f"there is nothing at {within.name}")
            return
    for fields in value if isinstance(value, list) else [value]:
        fine = isinstance(fields, dict)
        yield Row(number, fields) if fine else Row(number, fault="no object with fields; one a line is wanted")


class CsvRows:
    r"""Rows of CSV, with quotes as in RFC 4180: cells may hold delimiters, doubled quotes and line ends.

    Parameters
    ----------
    columns
        Names of the cells; empty: the first row has them.
    fields
        What is going to be read, by meaning: a file without such a column is refused.
    where
        The file's name, for words.

    Examples
    --------
    >>> rows = CsvRows(limit=99)
    >>> [row.fields for row in rows.feed(b'at,what\n1,"a, ""b""\nc"\n2')], [row.fault for row in rows.finish()]
    ([{'at': '1', 'what': 'a, "b"\nc'}], ['1 cell, where 2 are wanted (at, what)'])
    """

    def __init__(
        self,
        *,
        limit: int,
        delimiter: str = ",",
        columns: tuple[str, ...] = (),
        fields: Iterable[tuple[str, str]] = (),
        where: str = "CSV",
    ) -> None:
        self._lines = Lines(limit)
        self._limit = limit
        self._delimiter = delimiter
        self._columns = columns
        self._fields = tuple(fields)
        self._where = where
        self._held: list[tuple[int, str]] = []  # lines of a row whose quote is still open
        if columns:
            self._check(1)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the cells, as far as they are known."""
        return self._columns

    def feed(self, chunk: bytes) -> list[Row]:
        """Take in the next bytes; return the rows they complete.

        Raises
        ------
        ConfigError
            When the first row names no columns that the mapping could read.
        """
        return list(self._rows(self._lines.feed(chunk)))

    def finish(self) -> list[Row]:
        """Return what is left when no more bytes come; raises as :meth:`feed`."""
        rows = list(self._rows(self._lines.finish()))
        while self._held:
            rows += self._give_up()
        return rows

    def _rows(self, lines: Iterable[tuple[int, bytes | None]]) -> Iterator[Row]:
        for number, line in lines:
            fault = f"a line of over {self._limit:,} bytes" if line is None else ""
            text = ""
            if line is not None:
                try:
                    text = line.decode()
                except UnicodeDecodeError as error:
                    fault = f"not UTF-8 text at byte {error.start + 1}"
            if fault:
                while self._held:
                    yield from self._give_up()
                yield Row(number, fault=fault)
            else:
                yield from self._take(number, text)

    def _take(self, number: int, text: str) -> Iterator[Row]:
        if not self._held and not text.strip():
            return
        self._held.append((number, text))
        if _leaves_open(text, self._delimiter, is_open=len(self._held) > 1):
            size = sum(len(line) for _, line in self._held)
            if len(self._held) > MOST_LINES or size > self._limit:
                yield from self._give_up()
            return
        held, self._held = self._held, []
        yield from self._row(held[0][0], "\n".join(line for _, line in held))

    def _give_up(self) -> Iterator[Row]:
        """Tell the first held line as broken, and read the others anew."""
        (number, _), *others = self._held
        self._held = []
        yield Row(number, fault="a quote that begins here is not closed")
        for other in others:
            yield from self._take(*other)

    def _row(self, number: int, text: str) -> Iterator[Row]:
        try:
            cells = next(csv.reader(_kept(text), delimiter=self._delimiter), [])
        except csv.Error as error:
            yield Row(number, fault=f"not CSV ({error})")
            return
        if not self._columns:
            self._columns = tuple(cell.strip() for cell in cells)
            self._check(number)
        elif len(cells) != len(self._columns):
            have = f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"
            names = ", ".join(self._columns[:12])
            yield Row(number, fault=f"{have}, where {len(self._columns)} are wanted ({names})")
        else:
            yield Row(number, dict(zip(self._columns, cells, strict=True)))

    def _check(self, number: int) -> None:
        where, columns = f"{self._where}, line {number}", self._columns
        twice = next((name for position, name in enumerate(columns) if name in columns[:position]), None)
        if twice is not None:
            raise ConfigError(f"{where}: two columns are called {twice!r}; rename one, or list `columns` in [read]")
        for kind, field in self._fields:
            if field not in columns:
                other = next((sign for sign in ";\t|" if len(columns) == 1 and sign in columns[0]), "")
                hint = (
                    f"cells seem to be apart by {other!r}: set delimiter in [read]"
                    if other
                    else nearest(field, columns)
                )
                raise ConfigError(f"{where}: there is no column {field!r} ({kind}); {hint}")


def _kept(text: str) -> list[str]:
    """Lines with their ends; other signs that Python takes for one are none in CSV."""
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), last]


def _too_long(number: int, limit: int) -> Row:
    return Row(number, fault=f"a line of over {limit:,} bytes; max_bytes in [read] sets the limit")


def _leaves_open(line: str, delimiter: str, *, is_open: bool) -> bool:
    """Whether a quoted cell goes on in the next line."""
    at = 0
    while True:
        if not is_open:
            if not line.startswith('"', at):
                at = line.find(delimiter, at) + 1
                if not at:
                    return False
                continue
            at += 1
        closing = line.find('"', at)
        while closing >= 0 and line.startswith('"', closing + 1):  # a doubled one is a quote within
            closing = line.find('"', closing + 2)
        if closing < 0:
            return True
        at = line.find(delimiter, closing + 1) + 1
        if not at:
            return False
        is_open = False
