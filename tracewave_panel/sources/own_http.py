"""A stream over HTTP: server-sent events, or lines of JSON that keep coming."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import httpx

from tracewave_panel.sources.event_stream import EventStream, refusal, user_agent
from tracewave_panel.sources.feed_file import ReadSettings
from tracewave_panel.sources.own_lines import JsonRows, rows_of
from tracewave_panel.sources.own_link import Ending, Receiver
from tracewave_panel.sources.own_rows import Row
from tracewave_panel.sources.row_values import path_of
from tracewave_panel.sources.sse import SseParser

__all__ = ["HttpLink"]

_WHAT_TO_DO = {
    400: "the request was not understood: check the url",
    401: "it wants to know who reads: set headers in [read]",
    403: "it lets nobody read with what was sent: check headers in [read]",
    404: "there is no such stream: check the url",
    429: "too many connections or requests from this address: end other readers of this feed",
}
_NO_PLACE = frozenset({400, 404, 409, 410, 412})
"""What a server may answer to an id that it no longer knows."""


class HttpLink:
    """Reads one url; goes on after the last id that the server gave, if it gives ids.

    Raises
    ------
    ConfigError
        When the url is none.
    """

    counted = "message"

    def __init__(self, read: ReadSettings) -> None:
        self._read = read
        self._stream = EventStream(
            read.url,
            agent=user_agent("", "watches a stream for anomalies"),
            connect_timeout=read.connect_timeout,
            idle_timeout=read.idle_timeout,
            headers=read.headers,
        )
        self.where = self._stream.host
        self._within = path_of(read.within) if read.within else None
        self._number = 0

    async def follow(self, receiver: Receiver) -> Ending:
        """Read one connection to its end."""
        last_id = receiver.resume.encode()
        events = self._read.format == "sse"
        async with self._stream.connect(last_event_id=last_id) as response:
            refused = refusal(response, time.time(), advice=_WHAT_TO_DO, events=events)
            if refused is not None:
                if last_id and response.status_code in _NO_PLACE:
                    receiver.take((), resume="")
                    return Ending(f"{refused}; going on from now, what was missed is lost")
                raise refused
            receiver.connected(resumes=bool(last_id))
            wait = await (self._events(response, receiver) if events else self._lines(response, receiver))
        return Ending(f"{self.where} closed the stream", wait=wait)

    async def _events(self, response: httpx.Response, receiver: Receiver) -> float | None:
        parser, resume = SseParser(self._read.max_bytes), receiver.resume
        comments = 0
        async with aclosing(_chunks(response)) as chunks:
            async for chunk in chunks:
                rows: list[Row] = []
                others = 0
                for told in parser.feed(chunk):
                    self._number += 1
                    if self._read.types and told.event not in self._read.types:
                        others += 1
                    elif told.skipped_bytes:
                        fault = f"a message of {told.skipped_bytes:,} bytes; max_bytes in [read] sets the limit"
                        rows.append(Row(self._number, fault=fault))
                    else:
                        rows += rows_of(told.data, self._number, self._within)
                resume = parser.last_id or resume
                if rows:
                    receiver.take(rows, resume=resume)
                elif others or parser.comments > comments:
                    receiver.alive()
                comments = parser.comments
                await receiver.room()
        return parser.retry

    async def _lines(self, response: httpx.Response, receiver: Receiver) -> None:
        parser = JsonRows(limit=self._read.max_bytes, within=self._within)
        async with aclosing(_chunks(response)) as chunks:
            async for chunk in chunks:
                rows = parser.feed(chunk)
                if rows:
                    receiver.take(rows)
                elif not chunk.strip():  # blank lines keep a connection alive
                    receiver.alive()
                await receiver.room()


def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    # httpx returns a generator and calls it an iterator
    return cast(AsyncGenerator[bytes, None], response.aiter_bytes())
