"""An answer as a file: CSV, Parquet or JSON."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec
import pyarrow as pa

from tracewave_panel.errors import QueryError

from .answer import nested_words

__all__ = ["MOST_BYTES", "Form", "file_of", "in_pieces"]

Form = Literal["csv", "parquet", "json"]
MOST_BYTES = 32 << 20
"""Of one file."""
PIECE = 384 << 10
"""Bytes of a file in one message to a page."""
_AT_ONCE = 1000  # rows of JSON

_json = msgspec.json.Encoder(decimal_format="number")


def file_of(answer: pa.Table, form: Form) -> bytes:
    """Return the whole answer as the content of a file.

    Times are ISO 8601 in UTC in CSV and JSON. CSV tells NULL (nothing) from an empty text (``""``); what CSV has no
    word for, such as a list, is written as JSON.

    Raises
    ------
    QueryError
        When the form cannot hold the answer, or the file would be larger than 32 MiB.
    """
    try:
        content = _FORMS[form](answer)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise QueryError(f"the answer cannot be written as {form}: {error}; cast the column to VARCHAR") from error
    return content


def in_pieces(content: bytes) -> list[bytes]:
    """Cut a file for its way to the page; an empty one is one piece.

    >>> in_pieces(b"")
    [b'']
    """
    return [content[begin : begin + PIECE] for begin in range(0, len(content) or 1, PIECE)]


def _csv(answer: pa.Table) -> bytes:
    import pyarrow.csv  # noqa: PLC0415 (only who downloads needs it)

    out = io.BytesIO()
    pyarrow.csv.write_csv(_flat(answer), out)
    return _bounded(out.getvalue())


def _parquet(answer: pa.Table) -> bytes:
    import pyarrow.parquet  # noqa: PLC0415 (only who downloads needs it)

    columns = [_as_words(each) if pa.types.is_interval(each.type) else each for each in answer.columns]
    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns, names=answer.column_names), out, compression="zstd")
    return _bounded(out.getvalue())


def _json_rows(answer: pa.Table) -> bytes:
    out, size = [], 0
    for piece in _pieces(answer):
        out.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise _too_large()
    return b"[" + b",\n".join(out) + b"]\n"


def _pieces(answer: pa.Table) -> Iterator[bytes]:
    for begin in range(0, answer.num_rows, _AT_ONCE):
        rows = answer.slice(begin, _AT_ONCE).to_pylist()
        yield b",\n".join(_json.encode({name: plain(value) for name, value in row.items()}) for row in rows)


_FORMS: dict[Form, Callable[[pa.Table], bytes]] = {"csv": _csv, "parquet": _parquet, "json": _json_rows}


def plain(value: Any) -> Any:
    """What JSON can hold; numbers and texts as they are."""
    return nested_words(value) if not isinstance(value, str | int | float | bool | None) else value


def _bounded(content: bytes) -> bytes:
    if len(content) > MOST_BYTES:
        raise _too_large()
    return content


def _too_large() -> QueryError:
    return QueryError(f"the file would be larger than {MOST_BYTES >> 20} MB; take Parquet, or ask for less")


def _flat(answer: pa.Table) -> pa.Table:
    columns = [_as_words(each) if _is_nested(each.type) else each for each in answer.columns]
    return pa.table(columns, names=answer.column_names)


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_interval(kind))


def _as_words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    words = [None if value is None else _word(plain(value)) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(words, pa.string())])


def _word(value: Any) -> str:
    return value if isinstance(value, str) else _json.encode(value).decode()
