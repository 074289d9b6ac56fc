"""Where a reader of the WebSocket stands, as text that it hands back unread."""

from __future__ import annotations

import re

from msgspec import Struct

from tracewave_panel.model import Origin

__all__ = ["OLDEST", "Position", "parse_position", "to_microseconds"]

OLDEST = "oldest"
"""What a reader sends in place of a cursor to be told everything that is kept."""
_MOST = 160  # characters
_NUMBER = "(0|[1-9][0-9]{0,17})"
_WRITTEN = re.compile(rf"([a-z]+)-([0-9a-f]{{8}})-{_NUMBER}-{_NUMBER}-{_NUMBER}-{_NUMBER}-{_NUMBER}")
_LARGEST = 10**18 - 1


class Position(Struct, frozen=True):
    """Everything up to here is known.

    Attributes
    ----------
    origin, process, run
        Whose numbers they are: where the events come from, the server's process, its run.
    analyses, anomalies
        Cursors into the store of that run.
    until
        End of the newest window that is known, in microseconds UTC; 0: none is.
    revised
        Start of the newest window that is known in a later revision, in microseconds UTC; 0: none is.

    Examples
    --------
    >>> position = Position(Origin.LIVE, "0a1b2c3d", 1, 1042, 17, 1_795_328_412_000_000)
    >>> str(position)
    'live-0a1b2c3d-1-1042-17-1795328412000000-0'
    >>> parse_position(str(position)) == position
    True
    """

    origin: Origin
    process: str
    run: int
    analyses: int = 0
    anomalies: int = 0
    until: int = 0
    revised: int = 0

    def __str__(self) -> str:
        numbers = (self.run, self.analyses, self.anomalies, self.until, self.revised)
        return "-".join((self.origin.value, self.process, *map(str, numbers)))

    def of_run(self, other: Position) -> bool:
        """Whether both count in the same numbers."""
        return (self.process, self.run) == (other.process, other.run)

    def leads_to(self, other: Position) -> bool:
        """Whether time goes on from one run to the other: the live feed's does, a replay is a story of its own."""
        return self.of_run(other) or self.origin is other.origin is Origin.LIVE


def parse_position(text: str) -> Position:
    """Read a cursor.

    Raises
    ------
    ValueError
        When it is none, with words for whoever sent it.
    """
    found = _WRITTEN.fullmatch(text) if len(text) <= _MOST else None
    if not found or found[1] not in set(Origin):
        raise ValueError(
            f"the cursor is not one of this stream; send what a message gave, or {OLDEST} for all that is kept, "
            "or leave it out to begin with now"
        )
    return Position(Origin(found[1]), found[2], *(int(number) for number in found.groups()[2:]))


def to_microseconds(at: float) -> int:
    """Whole microseconds of epoch seconds, within what a cursor can name."""
    return min(_LARGEST, max(0, round(at * 1e6))) if at == at else 0  # noqa: PLR0124 (not a number)
