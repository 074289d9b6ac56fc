"""One Wikimedia ``recentchange`` JSON object to an Event of the feed ``wikimedia``.

:func:`decode` is cheap and says what a reader must know of every change: where it stands in the
stream and whether it counts. :func:`to_event` is for those that do.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated

import msgspec

from tracewave_panel.errors import FeedError
from tracewave_panel.model import Event

__all__ = ["ChangeMeta", "OldNew", "RecentChange", "decode", "event_at", "occurrence_time", "to_event"]

_Integer = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]

_FIRST_USABLE_TIME = 978_307_200.0  # 2001-01-01, before the first Wikipedia
_LAST_USABLE_TIME = 4_102_444_800.0  # 2100-01-01

_PROJECTS = frozenset(
    ("wikipedia", "wiktionary", "wikibooks", "wikinews", "wikiquote", "wikisource", "wikiversity", "wikivoyage"),
)
_NOT_LANGUAGES = frozenset(
    ("www", "m", "mul", "beta", "incubator", "login", "nostalgia", "sources", "ten", "test", "test2", "thankyou"),
)

_NAMESPACES = {
    -2: "media",
    -1: "special",
    0: "article",
    1: "talk",
    2: "user",
    3: "user talk",
    4: "project",
    5: "project talk",
    6: "file",
    7: "file talk",
    8: "mediawiki",
    9: "mediawiki talk",
    10: "template",
    11: "template talk",
    12: "help",
    13: "help talk",
    14: "category",
    15: "category talk",
    828: "module",
    829: "module talk",
}

_temporary_account = re.compile(r"~\d{4}-")
_address_characters = re.compile(r"[0-9A-Fa-f.:]+")
_starts_of_addresses = frozenset("0123456789ABCDEFabcdef.:")
_LONGEST_MOMENT = 40  # characters
_LONGEST_CACHED = 300  # characters


class ChangeMeta(msgspec.Struct, gc=False):
    """Where a change stands in the stream. The server adds topic, partition and offset."""

    id: str | None = None
    dt: str | None = None
    domain: str | None = None
    uri: str | None = None
    topic: str | None = None
    partition: _Integer | None = None
    offset: _Integer | None = None


class OldNew(msgspec.Struct, gc=False):
    """A number before and after a change."""

    old: _Integer | None = None
    new: _Integer | None = None


class RecentChange(msgspec.Struct, gc=False):
    """The fields of a ``recentchange`` that Tracewave reads; all but `meta` may be missing or null."""

    meta: ChangeMeta
    type: str | None = None
    namespace: _Integer | None = None
    title: str | None = None
    user: str | None = None
    bot: bool | None = None
    timestamp: float | None = None
    length: OldNew | None = None
    revision: OldNew | None = None
    server_name: str | None = None
    server_url: str | None = None
    server_script_path: str | None = None

    @property
    def canary(self) -> bool:
        """Whether it is one of the synthetic events that only prove that a stream is alive."""
        return self.meta.domain == "canary"

    @property
    def id(self) -> str:
        """Unique within the feed: ``meta.id``, else the place in the stream; empty when there is neither."""
        meta = self.meta
        if meta.id or meta.offset is None:
            return meta.id or ""
        return f"{meta.topic}/{meta.partition}/{meta.offset}"


_decoder = msgspec.json.Decoder(RecentChange)


def decode(data: bytes) -> RecentChange:
    """Read the JSON of one change.

    Raises
    ------
    FeedError
        When it is not JSON, has no ``meta``, or a field is of another type than it should be.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FeedError(f"not a recentchange: {error}; it starts with {data[:80]!r}") from error


def occurrence_time(change: RecentChange) -> float | None:
    """When the change happened, in seconds since the epoch; None when it does not say so usably.

    ``meta.dt`` where it is finer than a second, else ``timestamp``, else ``meta.dt``. Times before
    2001 or after 2100 are not believed.
    """
    dt = change.meta.dt or ""
    if "." not in dt:
        return _usable(change.timestamp) or _usable(_seconds(dt))
    return _usable(_seconds(dt)) or _usable(change.timestamp)


def _usable(seconds: float | None) -> float | None:
    usable = seconds is not None and _FIRST_USABLE_TIME <= seconds < _LAST_USABLE_TIME
    return seconds if usable else None


def _seconds(dt: str) -> float | None:
    return (_parsed if len(dt) <= _LONGEST_MOMENT else _parsed.__wrapped__)(dt)


@lru_cache(maxsize=1024)  # of a busy feed many changes share a millisecond
def _parsed(dt: str) -> float | None:
    try:
        moment = datetime.fromisoformat(dt)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def to_event(change: RecentChange, time: float, arrived_at: float) -> Event:
    """Make the Event of a change.

    Parameters
    ----------
    time
        When it counts, by the feed clock.
    arrived_at
        When its bytes were read; also stands for a missing time of occurrence.

    Examples
    --------
    >>> change = decode(b'{"meta": {"id": "a", "domain": "de.wikipedia.org"}, "type": "edit", "title": "Elbe",'
    ...                 b' "namespace": 1, "user": "192.0.2.7", "length": {"old": 9, "new": 7}}')
    >>> event = to_event(change, time=1.8e9, arrived_at=1.8e9)
    >>> event.dimensions, event.measures, event.subject
    (('de.wikipedia.org', 'de', 'talk', 'anonymous', 'edit'), (-2.0,), 'de.wikipedia.org:Elbe')
    """
    occurred_at = occurrence_time(change)
    return event_at(change, time, arrived_at, arrived_at if occurred_at is None else occurred_at)


def event_at(change: RecentChange, time: float, arrived_at: float, occurred_at: float) -> Event:
    """As :func:`to_event`, of a change whose time of occurrence was looked up before."""
    meta, length, user = change.meta, change.length, change.user or ""
    wiki, title, kind = change.server_name or meta.domain or "", change.title or "", change.type or "unknown"
    of_kind = _dimensions if len(wiki) + len(kind) <= _LONGEST_CACHED else _dimensions.__wrapped__
    grown = 0.0 if length is None or length.new is None else float(length.new - (length.old or 0))
    return Event(
        time,
        occurred_at,
        arrived_at,
        "edits",
        meta.id or change.id,
        of_kind(wiki, change.namespace, _actor_type(user, bot=change.bot), kind),
        (grown,),
        user,
        f"{wiki}:{title}" if title else "",
        title,
        _link(change, wiki),
    )


@lru_cache(maxsize=8192)  # events share them, which saves memory and time wherever they are counted and kept
def _dimensions(wiki: str, namespace: int | None, actor_type: str, kind: str) -> tuple[str, ...]:
    return wiki, _language(wiki), _namespace(namespace), actor_type, kind


def _language(domain: str) -> str:
    labels = domain.split(".")
    of_a_language = len(labels) == 3 and labels[1] in _PROJECTS and labels[0] not in _NOT_LANGUAGES
    return labels[0] if of_a_language else "multilingual"


def _namespace(number: int | None) -> str:
    if number is None:
        return "unknown"
    return _NAMESPACES.get(number) or f"ns {number}"


def _actor_type(user: str, *, bot: bool | None) -> str:
    if bot:
        return "bot"
    if not user:
        return "unknown"
    if user[0] == "~" and _temporary_account.match(user):
        return "temporary"
    if user[0] in _starts_of_addresses and _address_characters.fullmatch(user):
        try:
            ip_address(user)
        except ValueError:
            return "registered"
        return "anonymous"
    return "registered"


def _link(change: RecentChange, wiki: str) -> str:
    revision, script_path = change.revision, change.server_script_path
    if revision is None or revision.new is None or not wiki:
        link = change.meta.uri or ""
    else:
        server = change.server_url or f"https://{wiki}"
        script_path = "/w" if script_path is None else script_path
        if revision.old is None:
            link = f"{server}{script_path}/index.php?oldid={revision.new}"
        else:
            link = f"{server}{script_path}/index.php?diff={revision.new}&oldid={revision.old}"
    return link if link.startswith(("https://", "http://")) else ""
