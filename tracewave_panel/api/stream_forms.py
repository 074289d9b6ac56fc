"""Messages of the WebSocket. Windows and anomalies in them are those of REST, encoded once for all clients."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Raw, Struct

from tracewave_panel.api.forms import Moment
from tracewave_panel.codec import to_json
from tracewave_panel.model import Origin

__all__ = ["Heartbeat", "Hello", "Message", "Missed", "News", "RunBegins", "Thinned", "written"]


class Message(Struct, frozen=True, tag_field="type"):
    """What every message has: its type, and where the reader stands once it has read it."""


class Hello(Message, frozen=True, tag="hello"):
    """Comes first. `resumed` says whether what follows goes on from the cursor that was given."""

    version: str
    feed: str
    origin: Origin
    run: int
    resumed: bool
    heartbeat_seconds: float
    cursor: str


class News(Message, frozen=True, tag="news"):
    """What happened."""

    windows: tuple[Raw, ...]
    anomalies: tuple[Raw, ...]
    cursor: str


class Thinned(Message, frozen=True, tag="thinned"):
    """The reader was slow: windows between `since` and `until` were left out, REST has them; anomalies never are."""

    windows: int
    since: Moment | None
    until: Moment | None
    anomalies: tuple[Raw, ...]
    cursor: str


class Missed(Message, frozen=True, tag="missed"):
    """The server holds them no longer, or not here: how many windows, null when nobody knows."""

    windows: int | None
    since: Moment | None
    until: Moment | None
    cursor: str


class RunBegins(Message, frozen=True, tag="run"):
    """Another run began, such as the live feed after a replay; what follows is of it."""

    run: int
    origin: Origin
    cursor: str


class Heartbeat(Message, frozen=True, tag="heartbeat"):
    """Nothing happened, and the line works."""

    time: Moment
    cursor: str


def written(message: Message) -> str:
    """JSON text of a message.

    Examples
    --------
    >>> written(News((), (), "here"))
    '{"type":"news","windows":[],"anomalies":[],"cursor":"here"}'
    """
    return to_json(message).decode()


def now() -> datetime:
    """The time for a heartbeat."""
    return datetime.now(UTC)
