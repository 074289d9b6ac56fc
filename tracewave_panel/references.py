"""Reference tables on disk: those that Tracewave ships, and a user's own."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

import msgspec

from tracewave_panel.core.calibration import REFERENCE_VERSION, Reference
from tracewave_panel.errors import ConfigError, StoreError

__all__ = ["load_reference", "save_reference", "shipped_reference"]


class _Header(msgspec.Struct, frozen=True):
    version: int


def load_reference(path: Path | str) -> Reference:
    """Read a reference.

    Raises
    ------
    ConfigError
        When there is none, it is of another version, or damaged.
    """
    path = Path(path)
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: the reference cannot be read ({error.strerror})") from error


def save_reference(path: Path | str, reference: Reference) -> None:
    """Write a reference, a number a line, so that two of them can be compared.

    Raises
    ------
    StoreError
        When the disk refuses.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(reference), indent=1) + b"\n")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; make room and try again") from error


@lru_cache
def shipped_reference(feed: str, width: float) -> Reference | None:
    """The reference that comes with Tracewave for a feed and window width, if there is one."""
    file = resources.files("tracewave_panel") / "reference_tables" / f"{feed}-{width:g}s.json"
    return _decoded(file.read_bytes(), file.name) if file.is_file() else None


def _decoded(content: bytes, where: str) -> Reference:
    try:
        version = msgspec.json.decode(content, type=_Header).version
        if version != REFERENCE_VERSION:
            raise ConfigError(
                f"{where}: a reference of version {version}, this Tracewave reads {REFERENCE_VERSION}; "
                "make it anew with tracewave calibrate"
            )
        return msgspec.json.decode(content, type=Reference)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{where}: not a reference ({error}); make it anew with tracewave calibrate") from error
