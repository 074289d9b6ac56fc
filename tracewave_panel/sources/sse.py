"""Server-sent events from bytes: no socket, no clock.

Follows the event stream section of the HTML standard. Invariants:

- The same bytes give the same events, wherever they are cut: inside a line, a CRLF or a character.
- An event is delivered by the blank line that ends it; what an end of the stream leaves unfinished
  is never delivered.
- At most `max_event_bytes` of one line and of one event's data are held. What is larger is counted
  while it is skipped, and told as an event with `skipped_bytes` instead of data.
"""

from __future__ import annotations

import msgspec

__all__ = ["ServerSentEvent", "SseParser"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_RETRY = 9  # digits: eleven days in milliseconds
_EVENT = b"event: message"


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream.

    Attributes
    ----------
    event
        Its type, ``message`` unless the stream says otherwise.
    data
        Undecoded; lines joined by a line feed. Empty when the event was too large.
    id
        The last id the stream has given, with this event or an earlier one.
    skipped_bytes
        Size of what was too large to be held; 0 for an ordinary event.
    """

    event: str
    data: bytes
    id: str
    skipped_bytes: int = 0


class SseParser:
    r"""Cut a stream of bytes into events.

    Parameters
    ----------
    max_event_bytes
        Largest line, and largest data of one event, that is held in memory.

    Attributes
    ----------
    last_id
        Id of the last frame that was complete: what to send as ``Last-Event-ID``.
    retry
        Seconds that the stream asks to wait before reconnecting, if it said so.
    comments
        Lines that mean nothing but that the stream is alive.

    Examples
    --------
    >>> parser = SseParser()
    >>> parser.feed(b":ok\n\nid: 7\ndata: he")
    []
    >>> parser.feed(b"llo\n\n")
    [ServerSentEvent(event='message', data=b'hello', id='7', skipped_bytes=0)]
    """

    def __init__(self, max_event_bytes: int = 1 << 20) -> None:
        self.last_id = ""
        self.retry: float | None = None
        self.comments = 0
        self._limit = max_event_bytes
        self._line = bytearray()  # begun and not ended; only its first byte once it is too long
        self._line_bytes = 0
        self._after_return = False
        self._at_start = True
        self._after_blank = False  # and nothing of the next event is held
        self._event = b""
        self._id = ""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._skipped = 0

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take in the next bytes; return the events they complete."""
        if self._after_return and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_return = False
        if b"\r" in chunk:
            self._after_return = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[ServerSentEvent] = []
        *lines, begun = chunk.split(b"\n")
        at, end = 0, len(lines)
        while at < end:
            if self._after_blank:
                at = self._take_usual(lines, at, events)
            if at < end:
                self._end_line(lines[at], events)
                at += 1
        if begun:
            self._hold(begun)
            self._after_blank = False
        return events

    def _take_usual(self, lines: list[bytes], at: int, events: list[ServerSentEvent]) -> int:
        """Take events from a place on that have the lines which nearly all have; return the place behind them."""
        longest, first = self._limit - len(_EVENT), at
        event_id = b""
        while at + 3 < len(lines) and lines[at] == _EVENT and not lines[at + 3]:
            named, data = lines[at + 1], lines[at + 2]
            usual = data.startswith(b"data: ") and named.startswith(b"id: ") and b"\0" not in named
            if not usual or len(named) + len(data) > longest:
                break
            event_id = named[4:]
            events.append(ServerSentEvent("message", data[6:], event_id.decode("utf-8", "replace")))
            at += 4
        if at > first:
            self._id = self.last_id = event_id.decode("utf-8", "replace")
        return at

    def _end_line(self, part: bytes, events: list[ServerSentEvent]) -> None:
        line, size = self._whole_line(part) if self._line_bytes or self._at_start else (part, len(part))
        self._after_blank = not size
        if size > self._limit:
            self._skip_line(line, size)
        elif line:
            self._take_line(line)
        else:
            self._end_event(events)

    def _hold(self, part: bytes) -> None:
        self._line_bytes += len(part)
        if self._line_bytes <= self._limit:
            self._line += part
        else:
            self._line = (self._line or bytearray(part))[:1]

    def _whole_line(self, part: bytes) -> tuple[bytes, int]:
        self._hold(part)
        line, size = bytes(self._line), self._line_bytes
        self._line, self._line_bytes = bytearray(), 0
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        return line, size

    def _skip_line(self, line: bytes, size: int) -> None:
        if line.startswith(b":"):  # a comment of any length means nothing
            self.comments += 1
        else:
            self._skipped += size

    def _take_line(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not field:
            self.comments += 1
        elif field == b"data":
            self._data_bytes += len(value) + 1
            if self._data_bytes <= self._limit:
                self._data.append(value)
            else:
                self._data.clear()
        elif field == b"event":
            self._event = value
        elif field == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit() and len(value) <= _LONGEST_RETRY:
            self.retry = int(value) / 1000

    def _end_event(self, events: list[ServerSentEvent]) -> None:
        self.last_id = self._id
        if self._skipped or self._data_bytes > self._limit:
            self._skipped += self._data_bytes
        if self._data or self._skipped:
            event = self._event.decode("utf-8", "replace") or "message"
            data = b"" if self._skipped else b"\n".join(self._data)
            events.append(ServerSentEvent(event, data, self._id, self._skipped))
            self._data = []
            self._data_bytes = self._skipped = 0
        self._event = b""
