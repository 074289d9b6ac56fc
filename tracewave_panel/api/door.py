"""What every request passes before it is looked at: who asks, from where, how often, and how much is sent.

Three plain ASGI layers: Frame (headers of answers, figures, what nobody expected), Door (host, origin,
rate, token) and Intake (the body).
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from tracewave_panel.access import Access, Rate, Scope, client_of
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.problems import problem
from tracewave_panel.api.rates import WrongTokens
from tracewave_panel.metrics import Metrics

__all__ = ["HEADERS", "Door", "Frame", "Intake", "Operation", "Table"]

HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer that does not bring its own."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_ADDRESSES = 10_000  # whose requests are counted: those that came last
_LEFT = 499  # counted where a client went before its answer

Refused = tuple[int, str, dict[str, str]]
"""Status, words and further headers."""

logger = logging.getLogger(__name__)


class Operation(NamedTuple):
    """What the door knows of an address.

    Attributes
    ----------
    bodies
        Methods that need a body.
    open, uncounted
        Whether anybody may come, and as often as they like.
    """

    template: str
    bodies: frozenset[str] = frozenset()
    open: bool = False
    uncounted: bool = False


class Table(NamedTuple):
    """Finds the operation of a request.

    Attributes
    ----------
    operations
        Patterns of paths without the prefix, and what lies there.
    scopes
        What a method and template ask for beyond READ; a method that changes asks for ADMIN unless it is here.
    """

    operations: list[tuple[re.Pattern[str], Operation]]
    scopes: dict[tuple[str, str], Scope]

    def of(self, connection: Connection) -> Operation | None:
        """Operation that a connection asks for."""
        path, root = connection["path"], connection.get("root_path", "")
        if root and (path == root or path.startswith(f"{root}/")):
            path = path[len(root) :] or "/"
        return next((operation for pattern, operation in self.operations if pattern.match(path)), None)

    def needed(self, method: str, operation: Operation | None) -> Scope:
        """Scope that a request asks for."""
        safe = method in {"GET", "HEAD", "OPTIONS"} or operation is None
        return self.scopes.get((method, operation.template if operation else ""), Scope.READ if safe else Scope.ADMIN)

    def takes_body(self, connection: Connection) -> bool:
        """Whether what is asked for needs a body; what any other request brings is never read."""
        operation = self.of(connection)
        return operation is not None and connection["method"] in operation.bodies


class Frame:
    """Counts each request, gives each answer its headers, and answers when something failed unexpectedly."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, table: Table, prefix: str) -> None:
        self._app, self._metrics, self._table, self._prefix = app, metrics, table, prefix

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        connection["root_path"] = self._prefix
        if connection["type"] != "http":
            await self._app(connection, receive, send)
            return
        begun, status = time.perf_counter(), _LEFT

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name.lower() for name, _ in message["headers"]}
                added = ((name.encode(), value.encode()) for name, value in HEADERS.items())
                message = {
                    **message,
                    "headers": [*message["headers"], *(each for each in added if each[0] not in given)],
                }
            await send(message)

        try:
            await self._app(connection, receive, send_framed)
        except asyncio.CancelledError:
            if status != _LEFT:
                raise
            answer = problem(503, "the server stops; ask again in some seconds", connection["path"])
            await answer(connection, receive, send_framed)
        except Exception:
            logger.exception("a request of %s failed unexpectedly", _template(self._table.of(connection)))
            if status == _LEFT:
                answer = problem(500, "something failed that nobody foresaw; the log says more", connection["path"])
                await answer(connection, receive, send_framed)
        finally:
            method = connection["method"] if connection["method"] in _METHODS else "other"
            took = time.perf_counter() - begun
            self._metrics.request(_template(self._table.of(connection)), method, status, took)


class Door:
    """Lets in who names this server, comes from a page it trusts, asks not too often, and may do what it asks."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        limits: Limits,
        table: Table,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._access, self._table, self._head = app, access, table, limits.head_bytes
        each = 1.0 / limits.requests_per_second
        self._rate = Rate(burst=limits.burst, each=each, most=_ADDRESSES, clock=clock)
        self._wrong = WrongTokens(clock=clock, free=limits.wrong_tokens)

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with what is in its way."""
        if connection["type"] != "http":
            await self._app(connection, receive, send)
            return
        refusal = self._refuse(connection)
        if refusal is None:
            await self._app(connection, receive, send)
        else:
            status, detail, headers = refusal
            await problem(status, detail, connection["path"], headers=headers)(connection, receive, send)

    def _refuse(self, connection: Connection) -> Refused | None:
        headers = Headers(scope=connection)
        operation = self._table.of(connection)
        client = connection.get("client")
        forwarded = ",".join(headers.getlist("x-forwarded-for"))
        address = client_of(self._access.visitor(client[0], forwarded_for=forwarded).address) if client else "unix"
        if refusal := self._malformed(connection, headers):
            return refusal
        if not self._access.knows_host(headers.get("host", "")):
            return 421, "this server does not go by the name in the Host header; its settings say which it knows", {}
        if any(not self._access.trusts_origin(origin) for origin in headers.getlist("origin")):
            return 403, "a page of this origin may not ask here; the settings say which may", {}
        if not (operation and operation.uncounted) and (wait := math.ceil(self._rate.wait(address))):
            return 429, f"too many requests; ask again in {wait} s", {"retry-after": str(wait)}
        return self._refuse_token(connection, headers.getlist("authorization"), operation, address)

    def _malformed(self, connection: Connection, headers: Headers) -> Refused | None:
        if connection.get("http_version") not in {"1.0", "1.1"}:
            return 505, "this server speaks HTTP/1.1", {}
        if "content-length" in headers and "transfer-encoding" in headers:
            return 400, "a body has a length or comes in chunks, not both", {"connection": "close"}
        if len(connection["query_string"]) + sum(len(name) + len(value) for name, value in headers.raw) > self._head:
            return 431, f"the headers are larger than {self._head} bytes; send less", {}
        return None

    def _refuse_token(
        self, connection: Connection, given: Iterable[str], operation: Operation | None, address: str
    ) -> Refused | None:
        token = _bearer(list(given))
        grant = None if token == "" and self._access.asks else self._access.grant(token)
        connection.setdefault("state", {})["grant"] = grant
        if self._access.asks and token is not None:
            if wait := self._wrong.wait(address, grant.name if grant else None):
                return 429, f"too many wrong tokens came from there; try again in {wait} s", {"retry-after": str(wait)}
            if grant is None:
                self._wrong.wrong(address)
                bearer = 'Bearer realm="tracewave", error="invalid_token"'
                return 401, "the token is not one of this server", {"www-authenticate": bearer}
            self._wrong.right(address, grant.name)
        if grant is None:
            if operation and operation.open:
                return None
            detail = "a token is needed; send it as Authorization: Bearer and the token"
            return 401, detail, {"www-authenticate": 'Bearer realm="tracewave"'}
        needed = self._table.needed(connection["method"], operation)
        if not grant.scope.covers(needed):
            bearer = f'Bearer realm="tracewave", error="insufficient_scope", scope="{needed}"'
            detail = f"this needs a token with the scope {needed}, and this one has {grant.scope}"
            return 403, detail, {"www-authenticate": bearer}
        return None


class Intake:
    """Takes in a body whole, up to a size and within a time, and leaves it in the request's state."""

    def __init__(self, app: ASGIApp, *, limits: Limits, table: Table) -> None:
        self._app, self._most, self._table = app, limits.body_bytes, table
        self._patience = limits.arrival_seconds * 0.9  # the connection itself is cut after the whole of it

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Pass a request on with its body, or answer with what is wrong with that."""
        if connection["type"] != "http" or not self._table.takes_body(connection):
            await self._app(connection, receive, send)
            return
        headers = Headers(scope=connection)
        kind, _, charset = headers.get("content-type", "").partition(";")
        coded = headers.get("content-encoding", "identity").lower() != "identity"
        foreign = charset.strip().lower().replace('"', "") not in {"", "charset=utf-8"}
        if kind.strip().lower() != "application/json" or foreign or coded:
            answer = problem(415, "the body must be application/json, in UTF-8 and not compressed", connection["path"])
            await answer(connection, receive, send)
            return
        body: bytes | None = None
        status, detail = 413, f"the body is larger than {self._most} bytes; send less"
        if int(headers.get("content-length", "0")) <= self._most:
            try:
                async with asyncio.timeout(self._patience):
                    body = await self._take_in(receive)
            except TimeoutError:
                status, detail = 408, "the body did not arrive in time; send it at once"
            except ConnectionError:
                return
        if body is None:
            end = {"connection": "close"} if status == 408 else {}
            await problem(status, detail, connection["path"], headers=end)(connection, receive, send)
            return
        connection.setdefault("state", {})["body"] = body
        await self._app(connection, receive, send)

    async def _take_in(self, receive: Receive) -> bytes | None:
        """Whole body; None when it is too large.

        Raises
        ------
        ConnectionError
            When the client went away.
        """
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            body += message.get("body", b"")
            if len(body) > self._most:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _template(operation: Operation | None) -> str:
    return operation.template if operation else "other"


def _bearer(given: list[str]) -> str | None:
    """Token of an Authorization header; None without one, and empty for one that holds no single token."""
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    return token.strip() if len(given) == 1 and scheme.lower() == "bearer" else ""
