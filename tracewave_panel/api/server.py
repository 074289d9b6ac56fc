"""Serves the API from the running event loop, beside the dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from tracewave_panel.api.limits import Limits
from tracewave_panel.api.protocol import protocol_within
from tracewave_panel.api.stream_protocol import StreamProtocol
from tracewave_panel.errors import ConfigError, PortInUseError

__all__ = ["ApiServer", "start_api"]

_STARTING = 10.0  # seconds
_GRACE = 1  # seconds for requests under way when it is stopped


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the loop."""
        yield


class ApiServer:
    """A listening server.

    Attributes
    ----------
    port
        Where it listens.
    """

    def __init__(self, server: _Server, task: asyncio.Task[None], port: int) -> None:
        self.port = port
        self._server, self._task = server, task

    async def stop(self) -> None:
        """End within three seconds, whatever is open; a second call does nothing."""
        self._server.should_exit = True
        _, running = await asyncio.wait({self._task}, timeout=_GRACE + 1.0)
        for connection in list(self._server.server_state.connections):
            if (transport := connection.transport) is not None:
                transport.abort()
        if running:
            self._server.force_exit = True
            _, running = await asyncio.wait(running, timeout=0.5)
        for task in running:
            task.cancel()
            await asyncio.wait({task}, timeout=0.5)


async def start_api(app: FastAPI, *, address: str, port: int) -> ApiServer:
    """Start listening in the running event loop and return once it does.

    Parameters
    ----------
    app
        As ``build_api`` makes it.
    address, port
        Where to listen; port 0 takes a free one.

    Raises
    ------
    PortInUseError
        When another program listens there already.
    ConfigError
        When the address is not one of this computer's, or the port needs more rights, or the start fails.
    """
    limits: Limits = app.state.limits
    config = uvicorn.Config(
        app,
        http=protocol_within(limits),
        ws=StreamProtocol,
        ws_max_size=limits.message_bytes,
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=limits.head_bytes,
    )
    listening = _listen(address, port)
    found: int = listening.getsockname()[1]
    app.state.access.serve(address, found)
    server = _Server(config)
    task = asyncio.create_task(_serve(server, listening), name="tracewave-api")
    started = asyncio.create_task(server.listening.wait())
    await asyncio.wait({task, started}, timeout=_STARTING, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if not server.started:
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)
        listening.close()
        raise ConfigError(f"the API could not start on {address}:{port}; the log says why")
    return ApiServer(server, task, found)


async def _serve(server: _Server, listening: socket.socket) -> None:
    try:
        await server.serve(sockets=[listening])
    except SystemExit as error:  # uvicorn's word for a start that failed; it is not the process's end
        raise ConfigError("the API could not start") from error
    finally:
        listening.close()


def _listen(address: str, port: int) -> socket.socket:
    """Socket that is bound, in the words of the dashboard where it cannot be."""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family, backlog=512)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} on {address} is taken by another program; choose another port, or stop that program"
            ) from error
        raise ConfigError(
            f"cannot listen on {address}:{port} ({error.strerror}); choose an address of this computer and a free port"
        ) from error
