"""Serves the page from the running event loop."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Sequence

from bokeh.server.server import Server
from panel.io.server import get_server
from tornado.ioloop import IOLoop
from tornado.web import RequestHandler

from tracewave_panel.errors import ConfigError, PortInUseError

from .dashboard import SESSION_TOKEN_EXPIRATION, build_page
from .state import Console

__all__ = ["start"]


class Health(RequestHandler):
    """Answers while the event loop turns; makes no session."""

    def get(self) -> None:
        """Say ok."""
        self.set_header("Cache-Control", "no-store")
        self.write({"status": "ok"})


def start(console: Console, *, address: str, port: int, origins: Sequence[str] = ()) -> Server:
    """Start listening in the running event loop and return at once.

    Parameters
    ----------
    console
        What every session shows.
    address, port
        Where to listen; port 0 takes a free one, told by ``server.port``.
    origins
        Further ``host:port`` names under which browsers may reach the page.

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
    try:
        server = get_server(
            {"/": lambda: build_page(console)},
            address=address,
            port=port,
            loop=IOLoop.current(),
            start=False,
            websocket_origin=[f"localhost:{port}", f"127.0.0.1:{port}", f"{address}:{port}", *origins],
            session_token_expiration=SESSION_TOKEN_EXPIRATION,
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
    return server


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
