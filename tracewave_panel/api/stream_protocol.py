"""How uvicorn speaks WebSocket here: what a client may send is bounded, and every connection that closes does end.

uvicorn waits for room before it writes, so what a client that reads nothing makes the server hold is the transport's
buffer and the kernel's; both are made small. What it leaves open is mended: a close frame behind a full buffer was
never sent, and a transport that is closed with a full buffer waits for its peer for ever.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from asyncio import BaseTransport, TimerHandle
from collections import deque
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

__all__ = ["FINISH", "StreamProtocol"]

FINISH = "tracewave.finish"
"""Extension of the scope under which an application finds :meth:`StreamProtocol.finish`, as ``call``."""
MESSAGE_BYTES = 1024
MESSAGES_A_SECOND = 10
FRAGMENTS = 32
PING_EVERY, PONG_WITHIN = 12.0, 10.0
"""Seconds; with PATIENCE, a half-open connection is gone within half a minute."""
PATIENCE, STOPPING = 5.0, 1.0
"""Seconds for which a closed connection may finish reading, ordinarily and when the server stops."""
BUFFER = 32 * 1024
"""Bytes that wait in this process for one client before its sender waits too; a single message may exceed it."""
KERNEL_BUFFER = 64 * 1024


class StreamProtocol(WebSocketsSansIOProtocol):
    """One connection; pass the class to uvicorn as ``ws``. Messages are not compressed."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = ServerProtocol(max_size=MESSAGE_BYTES, logger=logging.getLogger("uvicorn.error"))
        self.ping_interval, self.ping_timeout = PING_EVERY, PONG_WITHIN
        self._received: deque[float] = deque(maxlen=MESSAGES_A_SECOND)
        self._ending: TimerHandle | None = None

    # -- bounds

    def connection_made(self, transport: BaseTransport) -> None:
        """Keep what waits for a client small."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=BUFFER, low=BUFFER // 4)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)

    def handle_text(self, event: Frame) -> None:
        """Take in a message, if it is not one too many."""
        if self._admits():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Take in a message, if it is not one too many."""
        if self._admits():
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """Take in a fragment, if it is not one too many."""
        if self._admits():
            if len(self.frames) >= FRAGMENTS:
                self._fail(1008, f"a message may have {FRAGMENTS} fragments")
            else:
                super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer, if it is not one too many."""
        if self._admits():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take in an answer, if it is not one too many."""
        if self._admits():
            super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        """See that a message is well formed, and go no further: clients of this server only listen."""
        data, self.frames = b"".join(self.frames), []
        if self.curr_msg_data_type == "text":
            try:
                data.decode()
            except UnicodeDecodeError:
                self._fail(1007, "a text message must be UTF-8")

    def _admits(self) -> bool:
        if self.close_sent:
            return False
        now = self.loop.time()
        received = self._received
        if len(received) == MESSAGES_A_SECOND and now - received[0] < 1.0:
            self._fail(1008, f"over {MESSAGES_A_SECOND} messages a second")
            return False
        received.append(now)
        return True

    def handle_parser_exception(self) -> None:
        """Say what was wrong with what came, once."""
        if not self.close_sent:
            self._part()

    def _fail(self, code: int, reason: str) -> None:
        """Close, and take in nothing more."""
        self.conn.fail(code, reason)
        self._part()

    def _part(self) -> None:
        """Write what the closed protocol has to say, and read on for a moment: unread bytes would make that lost."""
        told = self.conn.close_sent
        code, reason = (told.code, told.reason) if told else (1006, "")
        self._written_close(code, reason)
        self._end_within(STOPPING)

    # -- ends

    def finish(self, code: int, reason: str, patience: float = PATIENCE) -> None:
        """Close at once, whatever is still to be written, and end the connection if that is not read in time.

        Parameters
        ----------
        code, reason
            What the client is told once it has read what was written before.
        patience
            Seconds for which it may do so.
        """
        if self.close_sent or self.transport.is_closing():
            return
        if self.conn.state is OPEN:
            self.conn.send_close(code, reason)
        self._written_close(code, reason)
        self._end_within(patience)

    def _written_close(self, code: int, reason: str) -> None:
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def _end_within(self, seconds: float) -> None:
        if self._ending is None or self._ending.when() > self.loop.time() + seconds:
            if self._ending is not None:
                self._ending.cancel()
            self._ending = self.loop.call_later(seconds, self._end)
        if self.close_timer is None:  # what it does comes after the end: it only tells uvicorn not to close at once
            self.close_timer = self.loop.call_later(seconds + 1.0, self.transport.abort)

    def _end(self) -> None:
        """Let go of the connection and of everything that waits in the kernel for it."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None and self.transport.get_write_buffer_size():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        """End a connection whose other end does not answer."""
        self.pong_timer = self.pending_ping_payload = None
        self.finish(1011, f"no answer to a ping within {PONG_WITHIN:g} s")

    def handle_close(self, event: Frame) -> None:
        """Answer a client that leaves; one that does not read the answer is let go all the same."""
        super().handle_close(event)
        self._end_within(PATIENCE)

    def eof_received(self) -> None:
        """See that a half-closed connection ends."""
        super().eof_received()
        self._end_within(PATIENCE)

    def shutdown(self) -> None:
        """Tell the client that the server stops, and be gone soon."""
        if self.handshake_complete and not self.close_sent:
            self.finish(1012, "the server stops; come back with your cursor", STOPPING)
        else:
            super().shutdown()
        self._end_within(STOPPING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        if self._ending is not None:
            self._ending.cancel()
        super().connection_lost(exc)

    # -- the application's side

    async def run_asgi(self) -> None:
        """Give the application a way to close that does not wait."""
        extensions = self.scope["extensions"]
        extensions[FINISH] = {"call": self.finish}
        await super().run_asgi()
        if self.transport.is_closing():
            self._end_within(PATIENCE)

    async def send(self, message: ASGISendEvent) -> None:
        """Send; an answer in place of the upgrade is an end, which uvicorn 0.54 reports as an error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True
