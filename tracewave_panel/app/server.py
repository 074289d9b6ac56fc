"""Serves the page from the running event loop."""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import panel as pn
from bokeh.server.server import Server
from panel.io.server import get_server
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import RequestHandler

from tracewave_panel.access import Access, AccessSettings, Rate
from tracewave_panel.errors import ConfigError, PortInUseError
from tracewave_panel.ports import Console

from .admission import SESSIONS, Door, crowded_page
from .board import Board
from .dashboard import SESSION_TOKEN_EXPIRATION, build_page
from .gate import Gate, GateLimits
from .page_headers import Framing, PageHeaders
from .pages import PAGES
from .sign_in import PasswordSignIn

__all__ = ["LINGER", "sampling", "start", "stop", "watching"]

TICK = 250
"""Milliseconds between two looks for something new."""
LINGER = 15.0
"""Seconds for which a session waits for its browser, at first and after it is gone."""
LOOKS = 3
"""How often in that time sessions are looked over; one is let go at the next look."""


LIMITS = GateLimits()


logger = logging.getLogger(__name__)
_boards: WeakKeyDictionary[Server, Board] = WeakKeyDictionary()


class Health(RequestHandler):
    """Answers while the event loop turns; makes no session."""

    def get(self) -> None:
        """Say ok."""
        self.set_header("Cache-Control", "no-store")
        self.write({"status": "ok"})


def start(
    console: Console,
    *,
    address: str,
    port: int,
    origins: Sequence[str] = (),
    sessions: int = SESSIONS,
    linger: float = LINGER,
    access: Access | None = None,
    prefix: str = "",
    framed: bool = False,
    limits: GateLimits = LIMITS,
) -> Server:
    """Start listening in the running event loop and return at once.

    Parameters
    ----------
    console
        What every session shows.
    address, port
        Where to listen; port 0 takes a free one, told by ``server.port``.
    origins
        Further ``host:port`` names under which browsers may reach the page.
    sessions
        The most pages shown at a time; whoever comes then is asked to wait.
    linger
        Seconds for which a session without a browser is kept.
    access
        Who may come in, and under which names; None: everybody who reaches the address, under its own names.
    prefix
        Path under which a proxy has the pages, such as ``/tracewave``; it passes the path on as it is.
    framed
        Whether pages of this computer, and of `origins`, may show the page in a frame, as a notebook does.
    limits
        What the port bears.

    Returns
    -------
    Server
        Listening. Call ``server.stop()`` in the same loop to end it.

    Raises
    ------
    PortInUseError
        When another program listens there already.
    ConfigError
        When the address is not one of this computer's, or the port needs more rights.
    """
    asyncio.get_running_loop()
    _try_to_listen(address, port)
    interrupt = signal.getsignal(signal.SIGINT)
    access = access or Access(AccessSettings())
    board, door = Board(console), Door(sessions, Rate(burst=limits.pages, each=limits.pages_each))
    try:
        server = get_server(
            {"/" if page is PAGES[0] else f"/{page.name}": _page(board, door, page.name) for page in PAGES},
            address=address,
            port=port,
            loop=IOLoop.current(),
            start=False,
            prefix=prefix,
            cookie_path=prefix or "/",
            websocket_origin=[f"127.0.0.1:{port}"],
            session_token_expiration=SESSION_TOKEN_EXPIRATION,
            unused_session_lifetime_milliseconds=round(linger * 1000),
            check_unused_sessions_milliseconds=round(linger * 1000 / LOOKS),
            extra_patterns=[(r"/healthz", Health)],
            transforms=[partial(PageHeaders, Framing.notebook(origins) if framed else Framing())],
            log_function=_log_request,
            websocket_max_message_size=limits.message,
            http_server_kwargs=limits.server_options(),
            **_signing(access, prefix),
        )
    finally:
        # Panel takes the interrupt for itself; it belongs to whoever runs the loop.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, interrupt)
    assert server.port is not None
    access.serve(address, server.port, origins)
    application = server._tornado  # noqa: SLF001 (Bokeh asks for origins before the port is known)
    application.websocket_origins.update(access.origins())
    gate = Gate(application, access, limits)
    server._http.request_callback = gate  # noqa: SLF001 (Bokeh makes the server and keeps it to itself)
    server.start()
    gate.begin()
    _boards[server] = board

    def ended() -> bool:
        if server._stopped:  # noqa: SLF001 (a server tells nobody)
            gate.end()
        return bool(server._stopped)  # noqa: SLF001

    sampling(board, door, ended).start()
    return server


def stop(server: Server) -> None:
    """End a server in its loop, and have logging and Panel forget it, which would keep it and its store for good."""
    server.stop()
    server.unlisten()
    if board := _boards.pop(server, None):
        board.vitals.log.remove()
    for key, (kept, *_) in list(pn.state._servers.items()):  # noqa: SLF001 (there is no other way)
        if kept is server:
            del pn.state._servers[key]  # noqa: SLF001


def watching(server: Server) -> int:
    """How many pages of a server are open; 0 once it is stopped."""
    board = _boards.get(server)
    return board.vitals.sessions if board else 0


def sampling(board: Board, door: Door, ended: Callable[[], bool] = lambda: False) -> PeriodicCallback:
    """Keep the log's last lines, and return what samples the vital signs each second until that has ended."""

    def tick() -> None:
        if ended():
            ticking.stop()
            board.vitals.log.remove()
            return
        board.vitals.sessions = door.watching
        board.tick()

    board.vitals.log.install()
    ticking = PeriodicCallback(tick, TICK)
    return ticking


def _signing(access: Access, prefix: str) -> dict[str, Any]:
    """What Bokeh is told of cookies, tokens and signing in.

    A page carries a token with what its session is told of the request. The cookies stay out of it, which scripts
    must not read, and only tokens of our making open a session.
    """
    told: dict[str, Any] = {
        "include_headers": [],
        "include_cookies": [],
        "exclude_headers": None,
        "sign_sessions": True,
        "secret_key": secrets.token_bytes(32),
    }
    if not access.asks_pages:
        return told
    if access.password is not None:
        provider: Any = PasswordSignIn(access, prefix)
    else:
        from .provider_sign_in import ProviderSignIn  # noqa: PLC0415 (it changes Panel's configuration)

        provider = ProviderSignIn(access, prefix)
    return {**told, "auth_provider": provider, "cookie_secret": access.cookie_secret}


def _log_request(handler: RequestHandler) -> None:
    """Log an answer without the query, which may hold what a provider told its visitor."""
    request, status = handler.request, handler.get_status()
    level = logging.ERROR if status >= 500 else logging.DEBUG
    logger.log(level, "%d %s %s (%s)", status, request.method, request.path, request.remote_ip)


def _page(board: Board, door: Door, page: str) -> Callable[[], pn.Template]:
    """Return what makes a page of that name, as long as there is room."""
    return lambda: build_page(board, page) if door.admit() else crowded_page(door)


def _try_to_listen(address: str, port: int) -> None:
    """Bind and let go: Tornado, when it cannot bind, leaks its socket and speaks in numbers."""
    try:
        socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            msg = f"port {port} on {address} is taken by another program; choose another port, or stop that program"
            raise PortInUseError(msg) from error
        msg = (
            f"cannot listen on {address}:{port} ({error.strerror}); choose an address of this computer and a free port"
        )
        raise ConfigError(msg) from error
