"""How much one client, and all of them, may ask."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Limits"]


class Limits(Struct, frozen=True):
    """Bounds of the API; what goes beyond is refused with a status that says so.

    Attributes
    ----------
    body_bytes
        The largest body of a request.
    head_bytes
        The largest request line with its headers.
    requests_per_second, burst
        What one address may ask for lastingly, and at once; health and metrics are not counted.
    wrong_tokens
        After which an address has to wait, twice as long each time.
    connections
        Open at the same time, WebSockets among them.
    queries
        SQL that runs at the same time.
    arrival_seconds
        Within which a request must have arrived, from its first byte (or the connection) on.
    unread_seconds
        After which an answer is given up of which too little was read in the meantime.
    idle_seconds
        For which a connection stays open after an answer.
    clients
        WebSockets at the same time.
    message_bytes
        The largest message of a WebSocket's client.
    """

    body_bytes: int = 256 * 1024
    head_bytes: int = 32 * 1024
    requests_per_second: float = 50.0
    burst: int = 100
    wrong_tokens: int = 5
    connections: int = 1000
    queries: int = 4
    arrival_seconds: float = 10.0
    unread_seconds: float = 20.0
    idle_seconds: int = 15
    clients: int = 500
    message_bytes: int = 16 * 1024
