"""Before the pages: whom the dashboard's port listens to at all, and for how long.

Tornado asks its delegate before any handler is looked for, so that what is refused here costs no session and is
refused on each address alike: pages, assets, websockets and what Bokeh and Panel add of their own.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, NamedTuple
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.iostream import IOStream
from tornado.web import Application

from tracewave_panel.access import Access, client_of, is_loopback

__all__ = ["Gate", "GateLimits"]

LOOK = 5_000
"""Milliseconds between two looks at who reads nothing."""
SERVED = ("panel", "tracewave_panel.app")
"""Packages whose components have assets."""

logger = logging.getLogger(__name__)


class GateLimits(NamedTuple):
    """What one port bears.

    Attributes
    ----------
    body
        Bytes of a request's body; only signing in has one.
    connections, each
        Most that are open at a time, in all and for one address. This computer and the proxies believed are
        held to the first alone.
    header, idle
        Bytes of a request's head, and seconds in which it must have come; an unused connection lives as long.
    body_seconds
        In which a body must have come.
    stalled
        Seconds after which a reader that took nothing of what waits for it is let go.
    message
        Bytes of a message on the websocket.
    pages, pages_each
        Pages that one address may open at once, and seconds until it may open one more: each takes a quarter of a
        second of this computer.
    """

    body: int = 8 << 10
    connections: int = 800
    each: int = 64
    header: int = 32 << 10
    idle: float = 30.0
    body_seconds: float = 10.0
    stalled: float = 60.0
    message: int = 1 << 20
    pages: int = 30
    pages_each: float = 2.0

    def server_options(self) -> dict[str, Any]:
        """What Tornado's server sees to by itself."""
        return {
            "max_header_size": self.header,
            "max_body_size": 8 * self.body,
            "idle_connection_timeout": self.idle,
            "body_timeout": self.body_seconds,
        }


class _Refusal(NamedTuple):
    status: int
    reason: str
    words: str
    elsewhere: str = ""


CROWDED = _Refusal(503, "Service Unavailable", "too many connections are open; come again in a minute")
STRANGE_HOST = _Refusal(
    421,
    "Misdirected Request",
    "this server is not known by the name in the address; whoever runs it can add it: access.origins",
)
TOO_LARGE = _Refusal(413, "Content Too Large", "no page takes so long a body")
STRANGE_ORIGIN = _Refusal(
    403, "Forbidden", "pages of another site may not speak to this server; whoever runs it can add it: access.origins"
)
NOTHING = _Refusal(404, "Not Found", "there is nothing here")


class Gate(HTTPServerConnectionDelegate):
    """Looks at each request before the application does.

    Parameters
    ----------
    application
        Takes what is let through.
    access
        Knows the server's names and proxies.
    limits
        What the port bears.

    Attributes
    ----------
    most
        Bytes of a request's body.
    """

    def __init__(self, application: Application, access: Access, limits: GateLimits) -> None:
        self._application = application
        self._access = access
        self._limits = limits
        self.most = limits.body
        self._prefix: str = getattr(application, "prefix", "")
        self._open: WeakKeyDictionary[IOStream, _Reading] = WeakKeyDictionary()
        self._sweeping = PeriodicCallback(self.sweep, min(LOOK, limits.stalled * 250))

    def begin(self) -> None:
        """Begin to look at who reads nothing."""
        self._sweeping.start()

    def end(self) -> None:
        """Look no more."""
        self._sweeping.stop()

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Take the next request of a connection."""
        assert isinstance(request_conn, HTTP1Connection)
        stream, peer = request_conn.stream, _peer(request_conn)
        self._open.setdefault(stream, _Reading(peer, client_of(peer), 0, IOLoop.current().time()))
        refusal = CROWDED if self._crowded(peer) else None
        return _Guard(self, self._application.start_request(server_conn, request_conn), request_conn, refusal)

    def on_close(self, server_conn: object) -> None:
        """Tell the application."""
        self._application.on_close(server_conn)

    @property
    def connections(self) -> int:
        """How many are open, websockets among them."""
        return sum(not stream.closed() for stream in self._open)

    def sweep(self) -> None:
        """Let go of whoever took nothing for long."""
        now = IOLoop.current().time()
        for stream, seen in list(self._open.items()):
            if stream.closed():
                continue
            taken = stream._total_write_done_index  # noqa: SLF001 (Tornado tells nobody how far a reader is)
            if not stream.writing() or taken != seen.taken:
                self._open[stream] = seen._replace(taken=taken, since=now)
            elif now - seen.since > self._limits.stalled:
                logger.warning("closed a connection of %s, which read nothing for a minute", seen.peer)
                stream.close()

    def _crowded(self, peer: str) -> bool:
        held = [seen.client for stream, seen in self._open.items() if not stream.closed()]
        if len(held) > self._limits.connections:
            return True
        free = is_loopback(peer) or self._access.believes(peer)
        return not free and held.count(client_of(peer)) > self._limits.each

    def look(self, connection: HTTP1Connection, asked: RequestStartLine, headers: HTTPHeaders) -> _Refusal | None:
        """Why a request is not let through, or None; also says of it who its visitor is."""
        if not self._access.knows_host(headers.get("Host", "")):
            return STRANGE_HOST
        if int(length if (length := headers.get("Content-Length", "0")).isdecimal() else 0) > self._limits.body:
            return TOO_LARGE
        if "origin" in headers and "upgrade" in headers and not self._access.trusts_origin(headers["Origin"]):
            return STRANGE_ORIGIN
        if self._is_closed(asked.path):
            return NOTHING
        path, _, query = asked.path.partition("?")
        if self._prefix and path == self._prefix:  # what the page names beside itself lies below it
            below = f"{path}/{query and '?'}{query}"
            return _Refusal(308, "Permanent Redirect", "the pages are below this path", below)
        context: Any = connection.context
        visitor = self._access.visitor(
            _peer(connection),
            forwarded_for=headers.get("X-Forwarded-For", ""),
            protocol=headers.get("X-Forwarded-Proto", ""),
            secure=context._orig_protocol == "https",  # noqa: SLF001 (what an earlier request changed)
        )
        context.remote_ip, context.protocol = visitor.address, "https" if visitor.secure else "http"
        return None

    def _is_closed(self, target: str) -> bool:
        """Whether an address of Bokeh's or Panel's must not be asked for.

        ``autoload.js`` hands a page's token to any site that asks. ``components`` imports the module that the
        address names, so that anybody could have any program of this computer's imported.
        """
        path = unquote(target.partition("?")[0])
        if path.endswith("/autoload.js"):
            return True
        components = f"{self._prefix}/components/"
        if not path.startswith(components):
            return False
        module = path.removeprefix(components).partition("/")[0]
        return module not in sys.modules or not module.startswith(SERVED)


class _Reading(NamedTuple):
    """How many bytes an address had taken, and when it took the last; under which client it is counted."""

    peer: str
    client: str
    taken: int
    since: float


def _peer(connection: HTTP1Connection) -> str:
    address = getattr(connection.context, "address", None)
    return str(address[0]) if isinstance(address, tuple) else "unknown"


class _Guard(HTTPMessageDelegate):
    """One request: refused at its head, or handed on."""

    def __init__(
        self, gate: Gate, onward: HTTPMessageDelegate, connection: HTTP1Connection, refusal: _Refusal | None
    ) -> None:
        self._gate, self._onward, self._connection, self._refusal = gate, onward, connection, refusal
        self._taken = 0

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:
        assert isinstance(start_line, RequestStartLine)
        self._refusal = self._refusal or self._gate.look(self._connection, start_line, headers)
        if self._refusal is None:
            return self._onward.headers_received(start_line, headers)
        self._refuse(self._refusal)
        return None

    def _refuse(self, refusal: _Refusal) -> None:
        logger.info("refused a request of %s: %s", _peer(self._connection), refusal.words)
        body = f"{refusal.status} {refusal.reason}: {refusal.words}\n".encode()
        told = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
            **({"Retry-After": "60"} if refusal.status == CROWDED.status else {}),
            **({"Location": refusal.elsewhere} if refusal.elsewhere else {}),
        }
        stream = self._connection.stream
        answer = ResponseStartLine("HTTP/1.1", refusal.status, refusal.reason)
        self._connection.write_headers(answer, HTTPHeaders(told), body)
        self._connection.finish()
        # at once, the rest of what is sent would reset the connection before the answer is read
        IOLoop.current().call_later(0.5, stream.close)

    def data_received(self, chunk: bytes) -> Any:
        self._taken += len(chunk)
        if self._refusal is None and self._taken > self._gate.most:  # in pieces it has no length beforehand
            self._refusal = TOO_LARGE
            self._refuse(TOO_LARGE)
        return None if self._refusal else self._onward.data_received(chunk)

    def finish(self) -> None:
        if not self._refusal:
            self._onward.finish()

    def on_connection_close(self) -> None:
        if not self._refusal:
            self._onward.on_connection_close()
