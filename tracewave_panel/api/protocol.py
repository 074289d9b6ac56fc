"""HTTP connections that wait for nobody for ever, as uvicorn does for a first byte, a header and a reader."""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tracewave_panel.api.door import HEADERS
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.problems import problem

__all__ = ["protocol_within"]

_READ_AT_LEAST = 64 * 1024  # bytes of an answer in each `unread_seconds`
_WORDS = {
    400: "this is not HTTP/1.1; send a request as RFC 9112 has it",
    408: "the request did not arrive in time; send it at once",
    431: "the request line and headers are too large; send less",
    501: "this transfer coding is not known here; send the body chunked or with its length",
}


def protocol_within(limits: Limits) -> type[H11Protocol]:
    """Protocol for uvicorn that keeps to the limits on a connection."""
    return type("PatientProtocol", (PatientProtocol,), {"limits": limits})


class PatientProtocol(H11Protocol):
    """One connection.

    - A request must have arrived within `arrival_seconds` of its first byte, and that byte of the
      connection's beginning; what comes later is answered with 408 and cut.
    - A client that reads less than 64 KiB of its answer in `unread_seconds` is cut.
    - Over `connections`, a newcomer is answered with 503; over twice as many, it is cut.
    - What is no HTTP is answered with a problem like everything else.
    """

    limits = Limits()
    _arriving: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None
    _crowded = False
    _drained = False
    _upgraded = False

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.access_log = False  # addresses may carry secrets

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        open_now = len(self.connections)
        if open_now > 2 * self.limits.connections:
            transport.abort()
        elif open_now > self.limits.connections:
            self._crowded, self.app = True, _crowded
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_reader()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._drained = True

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._upgraded = True  # h11 waits for the request's end, which nobody reads any more
        self._forget()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        del msg
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(status if status in _WORDS else 400)

    def _should_upgrade(self) -> bool:
        return not self._crowded and super()._should_upgrade()

    def _look(self) -> None:
        """Keep a time for what is still to arrive, and none when all of it is here."""
        head_begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        under_way = head_begun or self.conn.their_state is h11.SEND_BODY
        if self._upgraded or self.transport.is_closing() or not under_way:
            self._arrived()
        else:
            self._expect()

    def _expect(self) -> None:
        if self._arriving is None:
            self._arriving = self.loop.call_later(self.limits.arrival_seconds, self._too_late)

    def _arrived(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _forget(self) -> None:
        self._arrived()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _too_late(self) -> None:
        self._arriving = None
        self._refuse(408)

    def _watch_reader(self) -> None:
        held = self.transport.get_write_buffer_size()
        if held and self._reading is None:
            self._drained = False
            self._reading = self.loop.call_later(self.limits.unread_seconds, self._look_at_reader, held)

    def _look_at_reader(self, held: int) -> None:
        self._reading = None
        read = held - self.transport.get_write_buffer_size()
        if self._drained or read >= min(_READ_AT_LEAST, held):
            self._watch_reader()
        else:
            self.transport.abort()

    def _refuse(self, status: int) -> None:
        """Answer with a problem where an answer is still possible, and close."""
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        begun = cycle is not None and not cycle.response_complete
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE} and not (begun and cycle.response_started):
            if begun:  # whoever waits for the rest of the request learns that there is none
                cycle.disconnected = True
                cycle.message_event.set()
            answer = problem(status, _WORDS[status], "", headers={**HEADERS, "connection": "close"})
            head = h11.Response(status_code=status, headers=answer.raw_headers, reason=HTTPStatus(status).phrase)
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    detail = "as many connections are open as this server allows; come again later"
    headers = {**HEADERS, "retry-after": "5", "connection": "close"}
    await problem(503, detail, scope["path"], headers=headers)(scope, receive, send)
