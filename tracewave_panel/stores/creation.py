"""SQL that makes tables and views, and says what they are."""

from __future__ import annotations

from collections.abc import Iterator

from tracewave_panel.feeds import Feed
from tracewave_panel.stores.columns import identifier, text
from tracewave_panel.stores.tables import tables
from tracewave_panel.stores.views import views

__all__ = ["comments", "made_tables", "made_views"]


def made_tables(feed: Feed) -> Iterator[str]:
    """Statements that make the tables that are not there."""
    for table in tables(feed).values():
        yield f"CREATE TABLE IF NOT EXISTS {table.name} ({table.definition})"


def made_views(feed: Feed) -> Iterator[str]:
    """Statements that make the views anew."""
    for view in views(feed, tables(feed)).values():
        yield f"CREATE OR REPLACE VIEW {view.name} AS {view.select}"


def comments(feed: Feed) -> Iterator[str]:
    """Statements that say what each table, view and column means."""
    of_tables = tables(feed)
    for table in of_tables.values():
        yield f"COMMENT ON TABLE {table.name} IS {text(table.comment)}"
        for column in table.columns:
            yield f"COMMENT ON COLUMN {table.name}.{identifier(column.name)} IS {text(column.comment)}"
    for view in views(feed, of_tables).values():
        yield f"COMMENT ON VIEW {view.name} IS {text(view.comment)}"
        for name, comment in view.columns.items():
            yield f"COMMENT ON COLUMN {view.name}.{identifier(name)} IS {text(comment)}"
