"""What an error of the database or its disk means, and what a person can do about it."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tracewave_panel.errors import HistoryInUseError, StoreError

__all__ = ["cannot_open", "why"]


def cannot_open(path: Path, error: duckdb.Error) -> StoreError:
    """Error in words for a history that cannot be opened."""
    said = str(error)
    if "Could not set lock" in said:
        reason = "another process has it open and answers no queries; stop it, or choose another folder with --data"
        return HistoryInUseError(f"cannot open history {path}: {reason} ({said.splitlines()[0]})")
    return StoreError(f"cannot open history {path}: {why(said)} ({said.splitlines()[0]})")


def why(said: str) -> str:
    """What a person can do about an error of the disk.

    >>> why('IO Error: Could not write file "/data/history.duckdb": No space left on device')
    'the disk is full; make room'
    """
    if "not a valid DuckDB" in said or "Corrupt" in said or "read enough bytes" in said:
        return "it is damaged or no history; move it away and start again, or restore a copy"
    if "Permission denied" in said or "Read-only file system" in said or "Operation not permitted" in said:
        return "the folder or file may not be written; mend its permissions, or choose another with --data"
    if "Out of Memory" in said or "MemoryError" in said:
        return "memory is short while queries run; it is tried again at once"
    if "No space left" in said or "quota exceeded" in said:
        return "the disk is full; make room"
    if "File too large" in said:
        return "the file may grow no further; raise the limit on the size of files"
    return "choose another folder with --data if it cannot be mended"
