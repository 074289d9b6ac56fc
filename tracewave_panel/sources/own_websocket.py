"""Messages of a WebSocket: each is JSON, a row or a list of rows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from tracewave_panel.errors import ConfigError, FeedError, RefusedError
from tracewave_panel.sources.backoff import parse_retry_after
from tracewave_panel.sources.event_stream import user_agent
from tracewave_panel.sources.feed_file import ReadSettings
from tracewave_panel.sources.own_lines import rows_of
from tracewave_panel.sources.own_link import Ending, Receiver
from tracewave_panel.sources.own_rows import Row
from tracewave_panel.sources.row_values import path_of

__all__ = ["WebSocketLink"]

_TOO_BIG = 1009
_PONG_WITHIN = 10.0
_PINGS = 4.0
"""How often within `patience` it is asked whether the other side is there."""
_WHAT_TO_DO = {
    401: "it wants to know who reads: set headers in [read]",
    403: "it lets nobody read with what was sent: check headers in [read]",
    404: "there is no such stream: check the url",
    429: "too many connections from this address",
}


class WebSocketLink:
    """Reads one url; what is sent while it is not connected is lost, and told as a gap.

    A pong proves that a silence is one: it comes behind everything that was sent before it.

    Raises
    ------
    ConfigError
        When the url is none.
    """

    counted = "message"

    def __init__(self, read: ReadSettings) -> None:
        self._read = read
        self.where = urlsplit(read.url).hostname or ""
        if not self.where:
            raise ConfigError("url: it names no host")
        self._within = path_of(read.within) if read.within else None
        given = read.subscribe
        messages = [] if given is None else given if isinstance(given, list) else [given]
        self._messages = [each if isinstance(each, str) else json.dumps(each) for each in messages]
        self._number = 0

    async def follow(self, receiver: Receiver) -> Ending:
        """Read one connection to its end."""
        try:
            async with asyncio.timeout(self._read.connect_timeout) as opening:
                connection = await connect(
                    self._read.url,
                    additional_headers=self._read.headers,
                    user_agent_header=user_agent("", "watches a stream for anomalies"),
                    max_size=self._read.max_bytes,
                    ping_interval=None,
                    open_timeout=None,
                    close_timeout=0.5,
                )
                opening.reschedule(None)
        except (OSError, TimeoutError, WebSocketException) as error:
            raise self._not_connected(error) from error
        try:
            async with connection:
                for message in self._messages:
                    await connection.send(message)
                receiver.connected(resumes=False)
                return await self._receive(connection, receiver)
        except ConnectionClosed as closed:
            return self._closed(closed, receiver)
        except (OSError, WebSocketException) as error:
            raise FeedError(f"the connection to {self.where} failed: {type(error).__name__}") from error

    async def _receive(self, connection: ClientConnection, receiver: Receiver) -> Ending:
        pinging = asyncio.create_task(self._ping(connection, receiver), name="own stream pings")
        try:
            while True:
                message: Any = await connection.recv()
                self._number += 1
                receiver.take(list(rows_of(message, self._number, self._within)))
                await receiver.room()
        finally:
            pinging.cancel()
            await asyncio.wait({pinging})

    async def _ping(self, connection: ClientConnection, receiver: Receiver) -> None:
        """Ask now and then whether the other side is there; close when it does not answer."""
        while True:
            await asyncio.sleep(min(self._read.patience / _PINGS, self._read.idle_timeout))
            try:
                async with asyncio.timeout(_PONG_WITHIN):
                    await (await connection.ping())
            except TimeoutError:
                with contextlib.suppress(WebSocketException, OSError):
                    await connection.close(reason="no pong")
                return
            except (WebSocketException, OSError):
                return
            receiver.alive()

    def _closed(self, closed: ConnectionClosed, receiver: Receiver) -> Ending:
        sent = closed.sent
        if sent is not None and sent.code == _TOO_BIG:
            self._number += 1
            fault = f"a message of over {self._read.max_bytes:,} bytes; max_bytes in [read] sets the limit"
            receiver.take([Row(self._number, fault=fault)])
            return Ending(f"{self.where} sent a message that is too large, which ends a connection")
        if sent is not None and sent.reason == "no pong":
            return Ending(f"{self.where} did not answer for {_PONG_WITHIN:g} s")
        return Ending(f"{self.where} closed the connection")

    def _not_connected(self, error: Exception) -> FeedError:
        match error:
            case InvalidStatus():
                status = error.response.status_code
                words = _WHAT_TO_DO.get(status, "the request was not accepted: check the url")
                wait = parse_retry_after(error.response.headers.get("retry-after", ""), 0.0)
                return RefusedError(f"{self.where} answered {status}: {words}", retry_after=wait)
            case InvalidURI():
                return FeedError(f"{self.where}: the url is none that a WebSocket has")
            case TimeoutError():
                return FeedError(f"{self.where} did not answer in time")
            case InvalidHandshake() | WebSocketException():
                return FeedError(f"{self.where} speaks no WebSocket there ({type(error).__name__}): check the url")
            case _:
                return FeedError(f"{self.where} cannot be reached: {error.__class__.__name__}")
