"""What lies between a source of one's own and where its rows come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tracewave_panel.sources.own_rows import Row

__all__ = ["Ending", "Link", "Receiver", "RowParser"]


class Ending(NamedTuple):
    """Why a link ended, in words; whether for good; and what wait it asks for, in seconds."""

    words: str
    final: bool = False
    wait: float | None = None


class RowParser(Protocol):
    """What cuts bytes into rows."""

    def feed(self, chunk: bytes) -> list[Row]:
        """Take in the next bytes; return the rows they complete."""
        ...

    def finish(self) -> list[Row]:
        """Return what is left when no more bytes come."""
        ...


class Receiver(Protocol):
    """Whom a link tells what it reads."""

    @property
    def resume(self) -> str:
        """From where to go on; empty: from now."""
        ...

    def connected(self, *, resumes: bool) -> None:
        """Say that it reads now; `resumes`: from where it stopped."""
        ...

    def take(self, rows: Sequence[Row], *, resume: str = "") -> None:
        """Hand over rows that came at this moment, and from where to go on after them."""
        ...

    def alive(self) -> None:
        """Say that what is read answers and has no rows."""
        ...

    async def room(self) -> None:
        """Wait until more can be taken."""
        ...


class Link(Protocol):
    """Reads rows from one place, again and again.

    Attributes
    ----------
    where
        The place in a few words without secrets: a host, a file's name.
    counted
        What a row is called there: a row, a line, a message.
    """

    where: str
    counted: str

    async def follow(self, receiver: Receiver) -> Ending:
        """Read until it ends; is called again after a wait unless the ending is final.

        Raises
        ------
        FeedError
            When it cannot be read at present.
        """
        ...
