"""SQL that brings a history of any older schema to this one."""

from __future__ import annotations

from tracewave_panel.feeds import Feed
from tracewave_panel.stores.creation import comments, made_tables, made_views
from tracewave_panel.stores.minutes import counts_by_hour, counts_by_minute, hours, minutes
from tracewave_panel.stores.tables import tables

__all__ = ["migrations"]

_ADDED = (
    ("metrics", "evidence", "0"),
    ("metrics", "provisional", "true"),
    ("anomalies", "evidence", "0"),
    ("anomalies", "provisional", "true"),
    ("scores", "span", "0"),
    ("contributions", "samples", "[]"),
    ("states", "events", "0"),
)
_LAST_MINUTE = "(SELECT date_trunc('minute', max(start)) FROM windows)"


def migrations(feed: Feed, version: int) -> tuple[tuple[str, ...], ...]:
    """SQL that brings a history of any older schema to `version`, a transaction each.

    The last one says that it is done; whatever stopped before that is done again. Schema 2 knows
    evidence, and what was rarity, the chance of a window, as days between two such windows;
    schema 3 knows labels; schema 4 raw events and roll-ups, made of the windows that are there.
    """
    columns = {(table, column.name): column for table, schema in tables(feed).items() for column in schema.columns}
    added = tuple(
        f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {columns[table, name].type} DEFAULT {value}"
        for table, name, value in _ADDED
    )
    views = ("DROP VIEW IF EXISTS dimension_shares_by_minute", *made_views(feed))
    days = "CASE WHEN rarity > 0 THEN (SELECT coalesce(max(width), 1) FROM windows) / 86400 / rarity ELSE 0 END"
    was_1 = "(SELECT value FROM meta WHERE key = 'schema_version') = '1'"
    converted = tuple(f"UPDATE {table} SET rarity = {days} WHERE {was_1}" for table in ("metrics", "anomalies"))  # noqa: S608 - our own
    done = f"UPDATE meta SET value = '{version}' WHERE key = 'schema_version'"  # noqa: S608 - our own number
    return (*made_tables(feed), *added), (*views, *comments(feed)), (*converted, *_rolled_up(feed), done)


def _rolled_up(feed: Feed) -> tuple[str, ...]:
    """Roll up all windows but those of the last minute and hour, which may go on."""
    over = f"start < {_LAST_MINUTE}"
    counted = "INSERT INTO dimension_counts_by"
    hours_over = f"minute < date_trunc('hour', {_LAST_MINUTE})"
    return (
        f"INSERT INTO windows_by_minute BY NAME {minutes(feed, f'windows WHERE {over}')}",
        f"{counted}_minute BY NAME {counts_by_minute(f'dimension_counts WHERE {over}')}",
        f"INSERT INTO windows_by_hour BY NAME {hours(feed, f'windows_by_minute WHERE {hours_over}')}",
        f"{counted}_hour BY NAME {counts_by_hour(f'dimension_counts_by_minute WHERE {hours_over}')}",
        "DELETE FROM meta WHERE key = 'rolled_until'",
        f"""
        INSERT INTO meta SELECT 'rolled_until', CAST(epoch_us(moment) AS VARCHAR)
        FROM (SELECT {_LAST_MINUTE} AS moment) WHERE moment IS NOT NULL
        """,  # noqa: S608 - our own words
    )
