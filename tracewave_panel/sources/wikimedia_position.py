"""Where a reader stands in a Wikimedia stream, and what it has seen: pure.

A stream is fed by several topics, one a datacentre, each with offsets of its own; `meta` names
both. The ids that the server sends hold timestamps, by which a resume repeats or skips events of
one millisecond, so a place is kept as the next offset of each topic, which is exact.

What a jump in the offsets means depends on where it is. The first event of a topic after a resume
at offset N must be N: a larger one proves that events were lost. Inside a connection the server
sends all that it has, so a jump there is a hole in the log itself (a filtered capture, or a record
without an event); it is counted and means nothing more. A topic with a hole in over one event
of a hundred is filtered, and its jumps prove nothing across a resume either.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

import msgspec

from tracewave_panel.codec import decode_packed
from tracewave_panel.core.feed_clock import FeedClockState
from tracewave_panel.errors import StateError
from tracewave_panel.sources.recent_change import RecentChange

__all__ = ["ResumePoint", "TopicCursor", "WikimediaPosition", "decode_position"]

_FORMAT = "wikimedia/1"
_ID_BYTES = 8
_SHORT_ID = 64  # characters; of longer ones a digest is remembered
_REMEMBERED_IDS = 50_000
_SAVED_IDS = 5_000  # offsets find all other duplicates after a restart
_FILTERED = 100
_LONGEST_ID = 8_192


class TopicCursor(msgspec.Struct, gc=False):
    """How far one partition of a topic has been read.

    Attributes
    ----------
    next_offset
        Offset that should come next.
    newest
        Latest time of occurrence seen, in seconds.
    events, holes
        How many events were seen, and before how many of them offsets were missing.
    """

    topic: str
    partition: int
    next_offset: int
    newest: float
    events: int = 0
    holes: int = 0


class WikimediaPosition(msgspec.Struct, frozen=True):
    """What ``Batch.position`` holds, packed: enough to go on without loss or repetition."""

    format: str
    cursors: tuple[TopicCursor, ...]
    last_id: str
    recent_ids: bytes
    clock: FeedClockState


class _AnyPosition(msgspec.Struct):
    format: str


_Number = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]


class _Place(msgspec.Struct, omit_defaults=True):
    topic: str
    partition: int
    offset: _Number | None = None
    timestamp: _Number | None = None


_places = msgspec.json.Decoder(list[_Place])


def decode_position(packed: bytes) -> WikimediaPosition:
    """Read a position.

    Raises
    ------
    StateError
        When it is damaged, of another source, or of another version.
    """
    found = decode_packed(packed, _AnyPosition).format
    if found != _FORMAT:
        raise StateError(
            f"the saved position is of the form {found!r} and this version reads {_FORMAT!r}: "
            "start without a position; what happened meanwhile is then missing",
        )
    return decode_packed(packed, WikimediaPosition)


class ResumePoint:
    """Tells new events from repeated ones, and says where to resume.

    Parameters
    ----------
    position
        Where an earlier run stopped.

    Attributes
    ----------
    last_id
        Last id the stream gave, kept for topics that have given no event yet.
    lost
        Events that a resume skipped.
    offset_holes
        Places inside a connection where offsets were missing.
    """

    def __init__(self, position: WikimediaPosition | None = None) -> None:
        self.last_id = ""
        self.lost = 0
        self.offset_holes = 0
        self._cursors: dict[tuple[str, int], TopicCursor] = {}
        self._resumed: set[tuple[str, int]] = set()
        # two generations, in order: the older one is forgotten as a whole
        self._newer_ids: dict[str | bytes, None] = {}
        self._older_ids: dict[str | bytes, None] = {}
        self._saved_ids: dict[bytes, None] = {}  # digests; they go with the second generation
        if position is not None:
            self.last_id = position.last_id
            self._cursors = {(cursor.topic, cursor.partition): cursor for cursor in position.cursors}
            packed = position.recent_ids
            self._saved_ids = {packed[at : at + _ID_BYTES]: None for at in range(0, len(packed), _ID_BYTES)}

    def resumed(self) -> None:
        """Note that a connection was resumed here: the next event of each topic shows whether any is missing."""
        self._resumed = set(self._cursors)

    def unreadable(self) -> None:
        """Note an event that cannot be read: the jump in the offsets behind it is explained."""
        self._resumed.clear()

    def forget_place(self) -> None:
        """Resume from now: the server does not understand the place. What was seen stays known."""
        self.last_id = ""
        self._cursors.clear()

    def is_new(self, change: RecentChange, occurred_at: float) -> bool:
        """Whether this change was not seen before; advances the place either way."""
        meta = change.meta
        seen = self._remember(meta.id or change.id)
        topic, offset = meta.topic, meta.offset
        if topic is None or offset is None:
            return not seen
        key = (topic, meta.partition or 0)
        cursor = self._cursors.get(key)
        if cursor is None:
            cursor = self._cursors[key] = TopicCursor(*key, next_offset=offset, newest=occurred_at)
        missing = offset - cursor.next_offset
        if missing < 0 and (seen or occurred_at <= cursor.newest):
            return False
        # an unseen newer event at a lower offset: the topic was made anew and counts from the start
        if missing > 0:
            self._judge_jump(key, cursor, missing)
        if self._resumed:
            self._resumed.discard(key)
        cursor.next_offset = offset + 1
        cursor.newest = max(cursor.newest, occurred_at)
        cursor.events += 1
        return not seen

    def _judge_jump(self, key: tuple[str, int], cursor: TopicCursor, missing: int) -> None:
        if key in self._resumed and cursor.holes * _FILTERED <= cursor.events:
            self.lost += missing
        else:
            cursor.holes += 1
            self.offset_holes += 1

    def _remember(self, event_id: str) -> bool:
        if not event_id:
            return False
        newer = self._newer_ids
        key = event_id if len(event_id) <= _SHORT_ID else _digest(event_id)
        if key in newer or key in self._older_ids or (self._saved_ids and _digest(event_id) in self._saved_ids):
            return True
        if len(newer) >= _REMEMBERED_IDS // 2:
            if self._older_ids:
                self._saved_ids = {}
            self._older_ids, self._newer_ids = newer, {}
        self._newer_ids[key] = None
        return False

    def last_event_id(self) -> bytes:
        """Value of ``Last-Event-ID`` to resume with; empty when there is no place to resume from.

        A topic that has given nothing stands in the server's ids at offset -1, "its end, whenever you
        come back": a switch of datacentre while nobody was connected would be lost, and nothing would
        show it. It is asked for from the time of the last event of the others instead.
        """
        known = [_Place(cursor.topic, cursor.partition, cursor.next_offset) for cursor in self._cursors.values()]
        try:
            told = _places.decode(self.last_id) if self.last_id else []
        except (
            msgspec.DecodeError,
            RecursionError,
        ):  # an id of another kind of server goes back as it came, if a header can hold it
            if not known and self.last_id.isascii() and self.last_id.isprintable() and len(self.last_id) <= _LONGEST_ID:
                return self.last_id.encode()
            told = []
        latest = max((place.timestamp or 0 for place in told), default=0)
        for place in told:
            if (place.topic, place.partition) not in self._cursors:
                silent = place.timestamp is None and (place.offset is None or place.offset < 0)
                known.append(_Place(place.topic, place.partition, timestamp=latest) if silent and latest else place)
        return msgspec.json.encode(known) if known else b""

    def position(self, clock: FeedClockState) -> WikimediaPosition:
        """All of it, frozen."""
        recent = [*self._saved_ids, *self._older_ids, *self._newer_ids][-_SAVED_IDS:]
        cursors = tuple(msgspec.structs.replace(cursor) for cursor in self._cursors.values())
        return WikimediaPosition(_FORMAT, cursors, self.last_id, b"".join(map(_digest, recent)), clock)


def _digest(event_id: str | bytes) -> bytes:
    """Of an id that is not a digest yet."""
    return event_id if isinstance(event_id, bytes) else blake2b(event_id.encode(), digest_size=_ID_BYTES).digest()
