"""``/ws``: windows and anomalies as they happen, for programs. docs/stream.md says it for those who write them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from tracewave_panel.access import Access
from tracewave_panel.api.broadcast import Broadcast
from tracewave_panel.api.door import HEADERS
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.problems import problem
from tracewave_panel.api.stream_client import Close, Pace, StreamClient
from tracewave_panel.api.stream_door import PER_ADDRESS, Admitted, StreamDoor
from tracewave_panel.api.stream_protocol import FINISH
from tracewave_panel.errors import StoreError
from tracewave_panel.metrics import Metrics
from tracewave_panel.ports import Console

__all__ = ["Pace", "add_no_stream", "add_stream"]

PATH = "/ws"
UNHURRIED = Pace()
_WORDS = {1002: "refused", 1007: "refused", 1008: "refused", 1009: "refused", 1011: "silent", 1012: "stopped"}
"""Under which closes of the protocol itself are counted; the rest are clients that left."""

logger = logging.getLogger(__name__)


def add_stream(
    app: FastAPI,
    console: Console,
    *,
    access: Access,
    metrics: Metrics,
    limits: Limits,
    pace: Pace = UNHURRIED,
    per_address: int = PER_ADDRESS,
) -> None:
    """Add ``/ws`` to an application; its server must speak :class:`~.stream_protocol.StreamProtocol`.

    The store is followed while there is a client, once for all of them.

    Parameters
    ----------
    pace
        How long clients are waited for.
    per_address
        Clients of one address at the same time.
    """
    stream = _Stream(console, StreamDoor(access, limits, per_address=per_address), metrics, pace)
    app.add_api_websocket_route(PATH, stream.serve)
    app.add_api_route(PATH, _no_upgrade, methods=["GET"], include_in_schema=False)


def add_no_stream(app: FastAPI) -> None:
    """Have all other addresses say that no stream is there; by itself the router refuses them as strangers."""
    app.add_api_websocket_route("/{path:path}", _nothing_here)


async def _nothing_here(websocket: WebSocket) -> None:
    await _deny(websocket, problem(404, f"no stream is under this address; it is {PATH}", websocket.scope["path"]))


async def _no_upgrade(request: Request) -> Response:
    headers = {"upgrade": "websocket", "connection": "upgrade"}
    return problem(426, "this address speaks WebSocket only", request.url.path, headers=headers)


class _Stream:
    """Serves clients over one broadcast."""

    def __init__(self, console: Console, door: StreamDoor, metrics: Metrics, pace: Pace) -> None:
        self._door, self._metrics, self._pace = door, metrics, pace
        self._broadcast = Broadcast(console, kept=pace.kept, every=pace.look)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client from its request to its end."""
        admitted = self._door.ask(websocket)
        if isinstance(admitted, Response):
            await _deny(websocket, admitted)
            return
        try:
            self._broadcast.enter()
        except StoreError as error:
            self._door.leave(admitted)
            answer = problem(503, str(error), websocket.url.path, headers={"retry-after": "5"})
            await _deny(websocket, answer)
            return
        try:
            await self._accept(websocket, admitted)
        finally:
            self._broadcast.leave()
            self._door.leave(admitted)

    async def _accept(self, websocket: WebSocket, admitted: Admitted) -> None:
        await websocket.accept(admitted.subprotocol)
        client = StreamClient(websocket, self._broadcast, admitted.after, pace=self._pace, metrics=self._metrics)
        self._metrics.client_opened()
        word = "stopped"
        try:
            word = await _talk(websocket, client)
        finally:
            self._metrics.client_closed(word)


async def _talk(websocket: WebSocket, client: StreamClient) -> str:
    """Tell and listen until one of both ends; return the word for how."""
    listening = asyncio.ensure_future(_listen(websocket))
    telling = asyncio.ensure_future(client.talk())
    try:
        await asyncio.wait((listening, telling), return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            return _WORDS.get(listening.result(), "left")
        close = await _last_word(telling)
        if close is None:
            return "left"
        await _close(websocket, close)
        return close.word
    finally:
        listening.cancel()
        telling.cancel()
        await asyncio.gather(listening, telling, return_exceptions=True)


async def _last_word(telling: asyncio.Future[Close]) -> Close | None:
    """How the telling ended; None: the client was gone."""
    try:
        return await telling
    except WebSocketDisconnect:
        return None
    except Exception:
        logger.exception("a client of the stream could not be told what happened")
        return Close(1011, "something failed that nobody foresaw; the server's log says more", "failed")


async def _listen(websocket: WebSocket) -> int:
    """Wait for the end; nothing that a client says is acted on. Returns the close code."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return int(message.get("code") or 1005)


async def _close(websocket: WebSocket, close: Close) -> None:
    """End a connection without waiting for what it has not read."""
    extensions: dict[str, Any] = websocket.scope.get("extensions", {})
    if FINISH in extensions:
        finish = cast("Callable[[int, str], None]", extensions[FINISH]["call"])
        finish(close.code, close.reason)
    else:
        async with asyncio.timeout(5.0):
            await websocket.close(close.code, close.reason)


async def _deny(websocket: WebSocket, answer: Response) -> None:
    """Answer in place of the upgrade; a client that is gone already needs none."""
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    try:
        await websocket.send_denial_response(answer)
    except WebSocketDisconnect:
        logger.debug("a client was gone before it could be refused")
