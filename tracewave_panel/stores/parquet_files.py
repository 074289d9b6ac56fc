"""Parquet files of an export: one, whose row groups keep to UTC days, or one a day in a folder."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tracewave_panel.errors import ConfigError
from tracewave_panel.stores.whole_files import refuse_existing, whole_file

__all__ = ["Described", "ParquetFiles"]

_DAY = 86_400_000_000  # microseconds
_EPOCH = dt.date(1970, 1, 1)


class Described(NamedTuple):
    """What is written: the kind, the column of its time, what the columns mean, and ``meta`` of the history."""

    kind: str
    time: str
    comments: Mapping[str, str]
    meta: Mapping[str, str]


class ParquetFiles:
    """Writes tables that follow one another in time; each file is there whole or not at all.

    Columns carry what they mean as ``comment``; the file says under ``tracewave`` what it is, as JSON.

    Parameters
    ----------
    target
        A file whose name ends in ``.parquet``, or a folder.
    overwrite
        Whether files that exist may be replaced.

    Raises
    ------
    ConfigError
        When a file is in the way, or the folder cannot be made.
    """

    def __init__(self, target: Path, described: Described, *, overwrite: bool) -> None:
        self._target = target
        self._described = described
        self._overwrite = overwrite
        self._folder = target.is_dir() or target.suffix != ".parquet"
        self._written: list[Path] = []
        self._open = ExitStack()
        self._writer: pq.ParquetWriter | None = None
        self._day: int | None = None
        if not self._folder:
            refuse_existing(target, overwrite=overwrite)
        elif target.exists() and not target.is_dir():
            raise ConfigError(f"{target} is neither a folder nor named .parquet; name one or the other")

    def refuse_existing(self, first: int, last: int) -> None:
        """Refuse days whose files exist; times in microseconds."""
        if not self._folder or self._overwrite:
            return
        known = {self._path(day) for day in range(first // _DAY, last // _DAY + 1)} if self._target.is_dir() else set()
        for path in sorted(known & set(self._target.iterdir()) if known else known):
            refuse_existing(path, overwrite=False)

    def write(self, table: pa.Table) -> None:
        """Add rows, the oldest first; without rows only a single file is made."""
        table = table.cast(self._schema(table.schema))
        if not table.num_rows and not self._folder and self._writer is None:
            self._begin(self._target, table.schema)
        for day, rows in _by_day(table, self._described.time):
            if self._folder and day != self._day:
                self._end()
                self._begin(self._path(day), table.schema)
            elif self._writer is None:
                self._begin(self._target, table.schema)
            self._day = day
            assert self._writer is not None
            self._writer.write_table(rows, row_group_size=len(rows))

    def finish(self) -> tuple[Path, ...]:
        """End the last file, and say which were written."""
        self._end()
        return tuple(self._written)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def _path(self, day: int) -> Path:
        return self._target / f"{self._described.kind}-{_EPOCH + dt.timedelta(days=day)}.parquet"

    def _begin(self, path: Path, schema: pa.Schema) -> None:
        if self._folder:
            try:
                self._target.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"cannot make the folder {self._target}: {error.strerror}; choose another") from error
        file = self._open.enter_context(whole_file(path, overwrite=self._overwrite))
        self._writer = self._open.enter_context(pq.ParquetWriter(file, schema, compression="zstd"))
        self._written.append(path)

    def _end(self) -> None:
        self._open.close()
        self._writer = None

    def _schema(self, schema: pa.Schema) -> pa.Schema:
        comments = self._described.comments
        fields = [
            pa.field(field.name, _in_utc(field.type), metadata={"comment": comments.get(field.name, "")})
            for field in schema
        ]
        said = {"kind": self._described.kind, "time": self._described.time, "columns": dict(comments)}
        about = msgspec.json.encode({**said, "history": dict(self._described.meta)})
        return pa.schema(fields, metadata={"tracewave": about})


def _by_day(table: pa.Table, time: str) -> Iterator[tuple[int, pa.Table]]:
    days = table.column(time).cast(pa.int64()).to_numpy() // _DAY
    starts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)] if len(days) else []
    for start, stop in pairwise(starts):
        yield int(days[start]), table.slice(start, stop - start)


def _in_utc(kind: pa.DataType) -> pa.DataType:
    """The type with times in "UTC", which DuckDB calls by its longer name."""
    if pa.types.is_timestamp(kind) and kind.tz:
        return pa.timestamp(kind.unit, "UTC")
    if pa.types.is_list(kind):
        return pa.list_(_in_utc(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(each.name, _in_utc(each.type)) for each in kind])
    return kind
