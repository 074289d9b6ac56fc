"""What a page is told each tick: one text, made once for all sessions that know the same.

A Bokeh change of a table of sixty columns costs a session half a millisecond, every Panel parameter as
much again. One plain property costs a tenth of that; ``frames.js`` spreads the text over the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
from bokeh.core.properties import Int, String
from bokeh.model import DataModel

from .header import Header
from .live_table import MILLISECONDS, SPAN, Row

__all__ = ["Frame", "Frames", "columns_of"]


class Frames(DataModel):
    """The line between a session and its page: frames one way, how far they were drawn the other.

    What the Explore page asked for comes as `answer`, emptied in between so that the same is told twice.
    """

    text: str = String(default="")  # type: ignore[assignment]
    seen: int = Int(default=0)  # type: ignore[assignment]
    answer: str = String(default="")  # type: ignore[assignment]
    asks: int = Int(default=0)  # type: ignore[assignment]


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """One tick's news. Not-a-number travels as null.

    Attributes
    ----------
    number
        Of the board when it was made; what the page answers when it has drawn the frame.
    header, totals
        Of the frame around the pages.
    rows, held
        New windows by column, and how many of them a page keeps.
    detectors
        Names by the number of their columns.
    reasons
        Why each detector abstains after the last window; empty while it judges.
    events
        Newest raw events, newest first.
    waiting
        Windows that a paused page does not have.
    now
        End in milliseconds and metric of the last window, for pages without the table.
    reload
        Whether what the page shows is of another run.
    """

    number: int
    header: Header | None = None
    totals: Sequence[tuple[str, str]] = ()
    rows: Mapping[str, Sequence[float]] | None = None
    held: int = 0
    detectors: Sequence[str] | None = None
    reasons: Mapping[str, str] | None = None
    events: Sequence[Sequence[str]] | None = None
    waiting: int | None = None
    now: tuple[float, float] | None = None
    reload: bool = False

    @property
    def text(self) -> str:
        """As JSON."""
        return msgspec.json.encode(self).decode()


def columns_of(rows: Sequence[Row]) -> tuple[dict[str, list[float]] | None, int]:
    """Rows by column, and how many windows of their width a page holds; None and 0 for no rows."""
    if not rows:
        return None, 0
    names = dict.fromkeys(name for row in rows for name in row)
    held = math.ceil(SPAN * MILLISECONDS / (rows[-1]["end"] - rows[-1]["start"]))
    return {name: [row.get(name, math.nan) for row in rows] for name in names}, held
