"""What history looks like on disk: which schema, and the SQL that makes it."""

from __future__ import annotations

from collections.abc import Iterator

from tracewave_panel.feeds import Feed
from tracewave_panel.stores import migrations as older
from tracewave_panel.stores.columns import Column, TableSchema
from tracewave_panel.stores.creation import comments, made_tables, made_views
from tracewave_panel.stores.tables import DEPENDANTS, tables
from tracewave_panel.stores.views import View
from tracewave_panel.stores.views import views as views_over

__all__ = ["DEPENDANTS", "VERSION", "Column", "TableSchema", "View", "migrations", "statements", "tables", "views"]

VERSION = 4


def views(feed: Feed) -> dict[str, View]:
    """Every view by name."""
    return views_over(feed, tables(feed))


def statements(feed: Feed) -> Iterator[str]:
    """SQL that makes an empty database a history of `feed`."""
    yield from made_tables(feed)
    yield from made_views(feed)
    yield from comments(feed)


def migrations(feed: Feed) -> tuple[tuple[str, ...], ...]:
    """SQL that brings a history of any older schema to this one, a transaction each."""
    return older.migrations(feed, VERSION)
