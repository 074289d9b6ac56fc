"""Serves the page from the running event loop."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import panel as pn
from bokeh.server.server import Server
from panel.io.server import get_server
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import RequestHandler

from tracewave_panel.errors import ConfigError, PortInUseError

from .admission import SESSIONS, Door, crowded_page
from .board import Board
from .dashboard import SESSION_TOKEN_EXPIRATION, build_page
from .pages import PAGES
from .state import Console

__all__ = ["LINGER", "sampling", "start", "stop"]

TICK = 250
"""Milliseconds between two looks for something new."""
LINGER = 15.0
"""Seconds for which a session waits for its browser, at first and after it is gone."""
LOOKS = 3
"""How often in that time sessions are looked over; one is let go at the next look."""


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
    board, door = Board(console), Door(sessions)
    try:
        server = get_server(
            {"/" if page is PAGES[0] else f"/{page.name}": _page(board, door, page.name) for page in PAGES},
            address=address,
            port=port,
            loop=IOLoop.current(),
            start=False,
            websocket_origin=[f"localhost:{port}", f"127.0.0.1:{port}", f"{address}:{port}", *origins],
            session_token_expiration=SESSION_TOKEN_EXPIRATION,
            unused_session_lifetime_milliseconds=round(linger * 1000),
            check_unused_sessions_milliseconds=round(linger * 1000 / LOOKS),
            extra_patterns=[(r"/healthz", Health)],
        )
    finally:
        # Panel takes the interrupt for itself; it belongs to whoever runs the loop.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, interrupt)
    if port == 0:
        server._tornado.websocket_origins.update(  # noqa: SLF001
            f"{host}:{server.port}" for host in ("localhost", "127.0.0.1", address)
        )
    server.start()
    _boards[server] = board
    ticking = sampling(board, door, ended=lambda: server._stopped)  # noqa: SLF001 (a server tells nobody)
    ticking.start()
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
