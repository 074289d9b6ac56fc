"""Answers on their way out: as text or Parquet, to standard output or a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from tracewave_panel.answers import settled
from tracewave_panel.errors import ConfigError
from tracewave_panel.stores.select import to_table
from tracewave_panel.stores.table_text import format_table, text_pieces
from tracewave_panel.stores.whole_files import refuse_existing, whole_file

__all__ = ["check_target", "write_answer"]


def check_target(form: str, output: Path | None, *, overwrite: bool) -> None:
    """Refuse, before anything is asked, what could not be written.

    Raises
    ------
    ConfigError
        When a file is in the way, or Parquet would go to a terminal.
    """
    if output is not None:
        refuse_existing(output, overwrite=overwrite)
    elif form == "parquet" and sys.stdout.isatty():
        raise ConfigError("Parquet is nothing for a terminal: name a file with --output, or redirect standard output")


def write_answer(rows: pa.RecordBatchReader, form: str, output: Path | None, *, overwrite: bool) -> None:
    """Write rows as ``table``, ``csv``, ``json`` or ``parquet``; a file is there whole or not at all.

    Raises
    ------
    QueryError
        When a value cannot be shown.
    ConfigError, StoreError
        When the file cannot be made or written.
    """
    with _opened(output, overwrite=overwrite) as out:
        if form == "parquet":
            schema = settled(rows.schema.empty_table()).schema
            with pq.ParquetWriter(pa.PythonFile(out, "w"), schema, compression="zstd") as writer:
                for batch in rows:
                    writer.write_table(settled(pa.Table.from_batches([batch])))
        elif form == "table":
            _say(out, format_table(to_table(rows.read_all()), "table") + "\n")
        else:
            tables = (
                to_table(pa.Table.from_batches(batches, rows.schema)) for batches in chain([[]], map(_alone, rows))
            )
            for piece in text_pieces(tables, "json" if form == "json" else "csv"):
                _say(out, piece)


@contextmanager
def _opened(output: Path | None, *, overwrite: bool) -> Iterator[IO[bytes]]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with whole_file(output, overwrite=overwrite) as file:
            yield file


def _alone(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    return [batch]


def _say(out: IO[bytes], text: str) -> None:
    out.write(text.encode("utf-8", "replace"))
