"""Who may listen to the stream: looked at before the upgrade, so that a refusal is an HTTP answer with its reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from starlette.responses import Response
from starlette.websockets import WebSocket

from tracewave_panel.access import Access, Scope, client_of
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.problems import problem
from tracewave_panel.api.rates import WrongTokens
from tracewave_panel.api.stream_position import OLDEST, Position, parse_position

__all__ = ["BEARER", "PER_ADDRESS", "SUBPROTOCOL", "Admitted", "StreamDoor"]

SUBPROTOCOL = "tracewave"
"""What is spoken; a browser that brings a token in a subprotocol names this one too."""
BEARER = "tracewave.bearer."
"""Begins the subprotocol in which a browser, which can set no header, brings its token."""
PER_ADDRESS = 250
RETRY = 10


class Admitted(NamedTuple):
    """A client that may come in: where it is counted, and what it asked for."""

    address: str
    after: Position | str | None
    subprotocol: str | None


class StreamDoor:
    """Asks for host, origin, token and cursor, and counts who is inside.

    Parameters
    ----------
    per_address
        Clients of one address at the same time.
    """

    def __init__(
        self,
        access: Access,
        limits: Limits,
        *,
        per_address: int = PER_ADDRESS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._access, self._limits, self._per_address = access, limits, per_address
        self._wrong = WrongTokens(clock=clock)
        self._inside: Counter[str] = Counter()

    def ask(self, websocket: WebSocket) -> Admitted | Response:
        """Let a client in, who must be let out again with :meth:`leave`, or say why not."""
        peer = websocket.client.host if websocket.client else "unix"
        visitor = self._access.visitor(peer, forwarded_for=websocket.headers.get("x-forwarded-for", ""))
        address = client_of(visitor.address)
        refused = self._refuse(websocket, address)
        if refused:
            status, detail, headers = refused
            return problem(status, detail, websocket.url.path, headers=headers)
        given = websocket.query_params.getlist("cursor")
        if len(given) > 1 or websocket.query_params.keys() - {"cursor"}:
            # passed over, a cursor under another name would begin with now, and what was missed would stay so
            detail = "the address of this stream has one parameter, cursor, and has it once"
            return problem(422, detail, websocket.url.path)
        try:
            after = OLDEST if given == [OLDEST] else parse_position(given[0]) if given else None
        except ValueError as error:
            return problem(400, str(error), websocket.url.path)
        self._inside[address] += 1
        offered = websocket.scope.get("subprotocols", ())
        return Admitted(address, after, SUBPROTOCOL if SUBPROTOCOL in offered else None)

    def leave(self, admitted: Admitted) -> None:
        """Let a client out."""
        self._inside[admitted.address] -= 1
        if not self._inside[admitted.address]:
            del self._inside[admitted.address]

    def _refuse(self, websocket: WebSocket, address: str) -> tuple[int, str, dict[str, str]] | None:
        headers = websocket.headers
        if not self._access.knows_host(headers.get("host", "")):
            return 421, "this server does not go by the name in the Host header; its settings say which it knows", {}
        if any(not self._access.trusts_origin(origin) for origin in headers.getlist("origin")):
            return 403, "a page of this origin may not listen here; the settings say which may", {}
        if refused := self._refuse_token(websocket, address):
            return refused
        wait = {"retry-after": str(RETRY)}
        if self._inside[address] >= self._per_address:
            return 429, f"{self._per_address} clients of this address listen already", wait
        if self._inside.total() >= self._limits.clients:
            return 503, f"{self._limits.clients} clients listen already, as many as this server has room for", wait
        return None

    def _refuse_token(self, websocket: WebSocket, address: str) -> tuple[int, str, dict[str, str]] | None:
        if not self._access.asks:
            return None
        given = _tokens(websocket)
        grant = self._access.grant(given[0]) if len(given) == 1 else None
        if not given:
            detail = "a token is needed; send it as Authorization: Bearer and the token, or in a subprotocol"
            return 401, detail, {"www-authenticate": 'Bearer realm="tracewave"'}
        if wait := self._wrong.wait(address, grant.name if grant else None):
            return 429, f"too many wrong tokens came from there; try again in {wait} s", {"retry-after": str(wait)}
        if grant is None:
            self._wrong.wrong(address)
            bearer = 'Bearer realm="tracewave", error="invalid_token"'
            return 401, "the token is not one of this server", {"www-authenticate": bearer}
        self._wrong.right(address, grant.name)
        if not grant.scope.covers(Scope.READ):
            return 403, f"this needs a token with the scope {Scope.READ}", {}
        return None


def _tokens(websocket: WebSocket) -> list[str]:
    """Every token that came; one that is no single word is empty, and no server's."""
    tokens = []
    for value in websocket.headers.getlist("authorization"):
        scheme, _, token = value.partition(" ")
        tokens.append(token.strip() if scheme.lower() == "bearer" else "")
    offered = websocket.scope.get("subprotocols", ())
    tokens.extend(each.removeprefix(BEARER) for each in offered if each.startswith(BEARER))
    return tokens
