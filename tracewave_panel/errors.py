"""Everything Tracewave raises on purpose, split by who can mend it.

::

    TracewaveError
    ├── ConfigError        yours: a setting, an argument, a file name
    │   └── PortInUseError     another program listens where the page should
    ├── FeedError          theirs: the feed is gone, refuses, or speaks nonsense
    │   ├── RefusedError       it answered and said no (403, 429, unknown stream)
    │   └── RecordingError     a recording cannot be read at all
    └── StoreError         the disk's: history cannot be written or read
        ├── HistoryInUseError  another process has the history open
        ├── QueryError         the SQL given is refused or wrong
        └── StateError         a saved State is damaged or of another version

A message says what happened, where, and what to do.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "FeedError",
    "HistoryInUseError",
    "PortInUseError",
    "QueryError",
    "RecordingError",
    "RefusedError",
    "StateError",
    "StoreError",
    "TracewaveError",
]


class TracewaveError(Exception):
    """Base of every error raised on purpose."""


class ConfigError(TracewaveError):
    """A setting or argument is wrong; the person who started Tracewave can mend it."""


class PortInUseError(ConfigError):
    """Another program already listens on the address the page should have."""


class FeedError(TracewaveError):
    """The feed failed; it is worth trying again later unless a subclass says otherwise."""


class RefusedError(FeedError):
    """The feed answered and refused.

    Parameters
    ----------
    message
        What was refused, and what to do.
    retry_after
        Seconds the feed asked to wait, if it said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RecordingError(FeedError):
    """A file is not a recording, or no part of it can be read."""


class StoreError(TracewaveError):
    """History cannot be written or read."""


class HistoryInUseError(StoreError):
    """Another process has the history open; one that is just starting will soon answer questions about it."""


class QueryError(StoreError):
    """The SQL given is refused or wrong."""


class StateError(StoreError):
    """A saved State is damaged, or was written by another version."""
