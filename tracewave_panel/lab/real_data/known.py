"""What is known of each capture."""

from __future__ import annotations

import tomllib
from datetime import datetime
from importlib import resources
from typing import Literal

import msgspec

from tracewave_panel.model import Direction

__all__ = ["Capture", "Known", "known_captures"]


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happened.

    Attributes
    ----------
    start, end
        When; without an end it is a moment.
    wiki
        Where, for edits: an explanation should name it.
    direction
        Of the change, 0 if it has none; an episode of the opposite one is not about it.
    metric
        That changed; any if not given.
    quiet
        Nothing may be raised then.
    """

    what: str
    start: datetime
    end: datetime | None = None
    wiki: str = ""
    direction: Direction = 0
    metric: str = ""
    quiet: bool = False

    def around(self, opened: float, tolerance: float) -> bool:
        """Whether an episode that opens then, seconds, is in time."""
        return abs(self.offset(opened)) <= tolerance

    def offset(self, opened: float) -> float:
        """Seconds from the nearer end to an opening, below 0 before it began, and 0 while it lasts."""
        start, end = self.start.timestamp(), (self.end or self.start).timestamp()
        return min(0.0, opened - start) or max(0.0, opened - end)

    def duration(self) -> float:
        """Seconds."""
        return ((self.end or self.start) - self.start).total_seconds()


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file, how it is read and judged, and what is known of it.

    Attributes
    ----------
    file
        Below the folder of captures.
    kind
        Of data, in the configuration.
    tolerances
        Seconds, rising; the first is the one that counts.
    short
        Whether the configuration's variants are run on it too.
    known_of
        Another capture, whose known things these are too.
    """

    name: str
    file: str
    reader: Literal["edits", "wikis", "bars", "flow"]
    kind: str
    tolerances: tuple[float, ...]
    known: tuple[Known, ...] = ()
    short: bool = False
    known_of: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    captures: tuple[Capture, ...]


def known_captures() -> tuple[Capture, ...]:
    """All captures that something is known of."""
    content = (resources.files(__package__) / "known.toml").read_text(encoding="utf-8")
    captures = msgspec.convert(tomllib.loads(content), _File).captures
    known = {capture.name: capture.known for capture in captures}
    return tuple(
        msgspec.structs.replace(capture, known=known[capture.known_of]) if capture.known_of else capture
        for capture in captures
    )
