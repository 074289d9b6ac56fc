"""Where a file lies, to see that it still does: one that was deleted goes on taking what is written, for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["Place"]


class Place(NamedTuple):
    """Device and number of a file and of its folder; None of what is not there."""

    folder: tuple[int, int] | None
    file: tuple[int, int] | None

    @classmethod
    def of(cls, path: Path) -> Place:
        """Where `path` leads at this moment."""
        return cls(_identity(path.parent), _identity(path))

    def may_hold_another(self, before: Place) -> bool:
        """Whether a file that was at `before` may be made or opened here.

        Not where its folder has vanished, and not in a folder of another disk that lacks it: that
        is a disk which was taken out, and what lies under its place is not meant.
        """
        if self.folder is None:
            return False
        return self.file is not None or before.folder is None or self.folder[0] == before.folder[0]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_dev, told.st_ino
