"""Rows of one's own, from a file, a DataFrame or Python, as batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sized
from collections.abc import Mapping as AbcMapping
from pathlib import Path
from typing import Any, NamedTuple

from tracewave_panel.errors import ConfigError
from tracewave_panel.model import Batch
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_file import file_batches
from tracewave_panel.sources.own_rows import row_batches

__all__ = ["OwnRows", "own_rows"]

_AT_ONCE = 10_000  # rows of a DataFrame


class OwnRows(NamedTuple):
    """Batches, what they are called, and how far they are read: parts of 1, or None where that is not known."""

    batches: Iterator[Batch]
    name: str
    done: _Done


class _Done:
    def __init__(self, whole: float | None) -> None:
        self._whole = whole
        self.read = 0

    def part(self) -> float | None:
        """What part of the whole was read."""
        return None if not self._whole else min(1.0, self.read / self._whole)


def own_rows(source: Any, mapping: Mapping, *, lateness: float, hole: float) -> OwnRows:
    """Batches of a CSV or NDJSON file, a DataFrame, or an iterable of dicts.

    Raises
    ------
    ConfigError
        When it is none of these, or has not the fields that the mapping names.
    """
    if isinstance(source, str | os.PathLike):
        return OwnRows(
            file_batches(Path(source), mapping, lateness=lateness, hole=hole), Path(source).name, _Done(None)
        )
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        done = _Done(len(source))
        rows, name = _counted(_of_frame(source, mapping), done), "a DataFrame"
    elif isinstance(source, Iterable) and not isinstance(source, bytes | AbcMapping):
        done = _Done(len(source) if isinstance(source, Sized) else None)
        rows, name = _counted(source, done), "rows"
    else:
        raise ConfigError(
            f"a {type(source).__name__} is nothing to replay; give the path of a CSV or NDJSON file, a DataFrame, or "
            "an iterable of dicts (an async one runs with live())"
        )
    return OwnRows(row_batches(rows, mapping, lateness=lateness, hole=hole), name, done)


def _counted(rows: Iterable[Any], done: _Done) -> Iterator[Any]:
    for row in rows:
        done.read += 1
        yield row


def _of_frame(frame: Any, mapping: Mapping) -> Iterator[dict[str, Any]]:
    """Rows of a DataFrame; its index is a field when it has a name that no column has."""
    if mapping.time not in frame.columns and mapping.time in frame.index.names:
        frame = frame.reset_index()
    names = set(frame.columns)
    absent = sorted({field for _, field in mapping.fields if names.isdisjoint({field, field.partition(".")[0]})})
    if absent:
        raise ConfigError(
            f"the DataFrame has no column {', '.join(absent)}; it has {', '.join(map(str, frame.columns[:20]))}"
        )
    for first in range(0, len(frame), _AT_ONCE):
        part = frame.iloc[first : first + _AT_ONCE].astype(object)
        yield from part.where(part.notna(), None).to_dict("records")
