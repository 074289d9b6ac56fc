"""Files that are there whole or not at all: written under another name, and renamed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tracewave_panel.errors import ConfigError, StoreError

__all__ = ["refuse_existing", "whole_file"]


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse a name that is taken.

    Raises
    ------
    ConfigError
        When it is, and nothing there may be replaced.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists already: choose another name, or add --overwrite")


@contextmanager
def whole_file(path: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file to write to that gets its name when the block ends well; otherwise nothing of it stays.

    Raises
    ------
    ConfigError
        When the name is taken, or no file can be made there.
    StoreError
        When the disk refuses.
    """
    refuse_existing(path, overwrite=overwrite)
    waiting = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            file = waiting.open("wb")
        except OSError as error:
            words = f"cannot make {path}: {error.strerror}; choose a folder that can be written to"
            raise ConfigError(words) from error
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        refuse_existing(path, overwrite=overwrite)
        waiting.replace(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; make room, or choose another place"
        ) from error
    finally:
        with suppress(OSError):
            waiting.unlink(missing_ok=True)
