"""What is said on the socket beside a history, in msgpack; both sides are of the same version.

A client begins with a :class:`Question` or a :class:`FillingOffer` and gets a :class:`Reply`. After one
that refuses nothing, the rows of an answer follow as an Arrow stream in frames, the last one empty; or
the client sends frames of Findings, the last one empty, and each is answered by a :class:`Taken`.
"""

from __future__ import annotations

import msgspec

from tracewave_panel.feeds import Feed

__all__ = [
    "EXCHANGE",
    "MAX_ANSWER",
    "MAX_FINDINGS",
    "MAX_PIECE",
    "MAX_QUESTION",
    "SILENCE",
    "FillingOffer",
    "Question",
    "Reply",
    "Taken",
    "offer_of",
]

MAX_QUESTION = 1 << 20
"""Bytes."""

MAX_PIECE = 1 << 20
"""Bytes of a frame of rows."""

MAX_ANSWER = 1 << 29
"""Bytes of all the rows of an answer."""

MAX_FINDINGS = 1 << 25
"""Bytes of a frame of Findings."""

EXCHANGE = 10.0
"""Seconds in which a frame must have arrived, or have been taken."""

SILENCE = 60.0
"""Seconds that a client which fills history may think about its next frame."""


class Question(msgspec.Struct, frozen=True, tag_field="kind", tag="question", omit_defaults=True):
    """One SELECT; `timeout` in seconds. With `file`, only of the history of that name."""

    sql: str
    max_rows: int
    timeout: float
    file: str = ""


class FillingOffer(msgspec.Struct, frozen=True, tag_field="kind", tag="filling"):
    """Findings of a feed for the history in `file`; its names as in ``meta``."""

    file: str
    feed: str
    features: str
    dimensions: str


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a server begins to answer.

    Attributes
    ----------
    file
        Name of the history that it has open.
    elsewhere
        It was asked about another file, which is not its own.
    wrong_query, failure
        Why nothing follows: the SQL's fault, or another's.
    """

    file: str = ""
    elsewhere: bool = False
    wrong_query: str = ""
    failure: str = ""


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of a frame of Findings history lacked, or why it was not written."""

    windows: int = 0
    anomalies: int = 0
    events: int = 0
    failure: str = ""


def offer_of(feed: Feed, file: str) -> FillingOffer:
    """An offer of Findings of `feed` for the history `file`."""
    return FillingOffer(
        file,
        feed.name,
        msgspec.json.encode([feature.name for feature in feed.features]).decode(),
        msgspec.json.encode(feed.dimensions).decode(),
    )
