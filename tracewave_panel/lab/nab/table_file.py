"""Rows of a CSV file, gzipped or not, with the line that each stands on."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from tracewave_panel.errors import ConfigError

__all__ = ["table_rows"]


def table_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Line number and the named columns' fields of every row; blank lines are passed over.

    Raises
    ------
    ConfigError
        The file cannot be read, has not these columns, or has a row of another length.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            missing = [column for column in columns if column not in header]
            if missing:
                raise ConfigError(
                    f"{path}: no column {' and no column '.join(missing)}; its first line must name "
                    f"{', '.join(columns)}, and names {', '.join(header) or 'nothing'}"
                )
            places = [header.index(column) for column in columns]
            for row in rows:
                if row and len(row) != len(header):
                    raise ConfigError(
                        f"{path}, line {rows.line_num}: {len(row)} fields under {len(header)} columns; mend the line"
                    )
                if row:
                    yield rows.line_num, [row[place] for place in places]
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as CSV: {error}; fetch the file again") from error
