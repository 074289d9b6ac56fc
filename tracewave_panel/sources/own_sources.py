"""The source that a feed's TOML file describes, and the one over a program's own rows."""

from __future__ import annotations

from collections import abc
from collections.abc import AsyncIterable, Callable
from typing import Any

import msgspec

from tracewave_panel.errors import ConfigError
from tracewave_panel.sources.feed_file import FeedFile, ReadSettings
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own import OwnSource
from tracewave_panel.sources.own_file import OwnFile
from tracewave_panel.sources.own_http import HttpLink
from tracewave_panel.sources.own_link import Link
from tracewave_panel.sources.own_local import FollowLink, IterableLink, StdinLink
from tracewave_panel.sources.own_websocket import WebSocketLink

__all__ = ["iterable_source", "source_of"]


def source_of(described: FeedFile, *, speed: float | None = 1.0) -> OwnSource | OwnFile:
    """A source that reads what the file describes.

    Parameters
    ----------
    speed
        Of a whole file: how many times as fast as it happened; None is as fast as possible.

    Raises
    ------
    ConfigError
        When what it names cannot be used.
    """
    read, mapping = described.read, described.mapping
    if described.whole:
        return OwnFile(described, speed=speed)
    link: Link
    if read.file:
        link = FollowLink(read, mapping)
    elif read.stdin:
        link = StdinLink(read, mapping)
    elif read.format == "websocket":
        link = WebSocketLink(read)
    else:
        link = HttpLink(read)
    return OwnSource(link, mapping, read)


def iterable_source(
    rows: AsyncIterable[abc.Mapping[str, Any]] | Callable[[], AsyncIterable[abc.Mapping[str, Any]]],
    mapping: Mapping,
    *,
    after: float = 6.5,
    **settings: Any,
) -> OwnSource:
    """A live source over an async iterable of dicts, which is read once, on the event loop of the pipeline.

    Parameters
    ----------
    after
        See :class:`~tracewave_panel.sources.own.OwnSource`.
    settings
        Of :class:`~tracewave_panel.sources.feed_file.ReadSettings`: ``clock``, ``only``, ``patience`` and so on.

    Raises
    ------
    ConfigError
        When a setting cannot be used, or the event clock has no field for the time.
    """
    try:
        read = msgspec.convert(settings, ReadSettings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the settings of an iterable: {error}") from None
    if read.clock == "event" and not mapping.time:
        raise ConfigError("time: missing; the event clock needs a field that says when a row happened")
    return OwnSource(IterableLink(rows), mapping, read, after=after)
