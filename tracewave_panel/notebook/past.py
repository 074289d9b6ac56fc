"""History as tables: SQL, and stretches of it as runs."""

from __future__ import annotations

import re
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import Feed
from tracewave_panel.stores.asking import ask_history

from .cards import Fact, facts_html, facts_words
from .run import Run
from .stored import Stored, feed_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Past", "history"]

_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LENGTH = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)\s*")
_MOST_OF_API = 100_000
_MOST_AT_ONCE = 1_000_000
_TABLES = """
    SELECT name, kind, comment FROM (
        SELECT table_name AS name, 'table' AS kind, comment FROM duckdb_tables()
        UNION ALL SELECT view_name, 'view', comment FROM duckdb_views() WHERE NOT internal
    ) ORDER BY kind, name
"""
_COLUMNS = """
    SELECT column_name AS name, data_type AS type, comment FROM duckdb_columns()
    WHERE table_name = '{table}' ORDER BY column_index
"""


_EXTENT = "SELECT count(*), min(start), max(start) FROM windows"


def history(place: str | Path = "data", *, token: str = "") -> Past:
    """Open what was kept, for questions.

    Parameters
    ----------
    place
        A data folder, while a server writes it or when none does; a ``.duckdb`` file; or the address of a server's
        API, such as ``http://127.0.0.1:8000``.
    token
        Of an API that asks for one; without it the environment's ``TRACEWAVE_TOKEN`` is taken.

    Returns
    -------
    Past
        Answers SQL, and gives stretches of history as runs.

    Raises
    ------
    StoreError
        When there is no history at this place, or it cannot be read.
    ConfigError
        When the address or the token is none.
    """
    past = Past(place, token=token)
    _ = past.at
    return past


class Past:
    """A history that can be questioned. Made by :func:`history`.

    Attributes
    ----------
    feed
        What it is the history of.
    """

    def __init__(self, place: str | Path, *, token: str = "") -> None:
        self._place = place if isinstance(place, str) and "://" in place else Path(place)
        self._token = token
        self._by = ""

    @property
    def at(self) -> str:
        """Who gave the last answer, in words: a server, a file, or an API."""
        if not self._by:
            _ = self.feed
        return self._by

    @cached_property
    def feed(self) -> Feed:
        """What it is the history of."""
        return feed_of(self._ask)

    def query(self, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0) -> pd.DataFrame:
        """Run one SELECT.

        Parameters
        ----------
        max_rows
            More is refused, so that no cell waits for a table that nobody meant.
        timeout
            Seconds after which the query is stopped.

        Returns
        -------
        DataFrame
            Times in UTC; whole numbers and booleans in which something is NULL as nullable dtypes.

        Raises
        ------
        QueryError
            When the SQL is wrong, not a single SELECT, takes too long, or gives too many rows.
        StoreError
            When the history cannot be read.
        """
        from .answers import frame_of  # noqa: PLC0415 (pandas takes a second)

        return frame_of(self._ask(sql, max_rows=max_rows, timeout=timeout))

    @cached_property
    def tables(self) -> pd.DataFrame:
        """Names of tables and views, and what they hold in words."""
        return self.query(_TABLES).set_index("name")

    def columns(self, table: str) -> pd.DataFrame:
        """Columns of a table or view: their types, and what they mean in words.

        Raises
        ------
        ConfigError
            When there is no such table.
        """
        found = self.query(_COLUMNS.format(table=table.replace("'", "''"))).set_index("name")
        if found.empty:
            raise ConfigError(f"there is no table {table[:80]!r}; there is {', '.join(self.tables.index)}")
        return found

    def between(self, since: Any, until: Any, *, most_events: int = 100_000) -> Run:
        """A stretch of history as a run: windows that start from `since` on and before `until`, both in UTC.

        Raises
        ------
        ConfigError
            When one of them is no moment, or the end is not after the beginning.
        """
        from .stretch import moment  # noqa: PLC0415 (pandas takes a second)

        first, last = moment("since", since), moment("until", until)
        if first is None or last is None or not first < last:
            raise ConfigError(f"between {since} and {until} there is no time; give a moment and a later one")
        page = _MOST_OF_API if isinstance(self._place, str) else _MOST_AT_ONCE
        rows = Stored(self._ask, self.feed, first.timestamp(), last.timestamp(), page=page, most_events=most_events)
        return Run(rows, f"{self._place}, {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC")

    def last(self, length: str, *, most_events: int = 100_000) -> Run:
        """The newest stretch of that length, as ``"90 s"``, ``"15min"``, ``"6h"`` or ``"2d"``.

        It ends with the newest window, which may be long ago.

        Raises
        ------
        ConfigError
            When the length is none.
        """
        parts = _LENGTH.fullmatch(str(length))
        seconds = float(parts[1]) * _UNITS[parts[2]] if parts else 0.0
        if not seconds:
            raise ConfigError(f"last({length!r}) is no length of time; write it as '90 s', '15min', '6h' or '2d'")
        newest = self._ask("SELECT max(epoch_us(start) / 1e6 + width) FROM windows", max_rows=1).column(0)[0].as_py()
        until = time.time() if newest is None else newest
        return self.between(until - seconds, until, most_events=most_events)

    def _ask(self, sql: str, *, max_rows: int, timeout: float = 30.0) -> pa.Table:
        answer = ask_history(self._place, sql, max_rows=max_rows, timeout=timeout, token=self._token)
        self._by = answer.by
        return answer.rows

    def __repr__(self) -> str:
        return facts_words(self._title, self._facts)

    def _repr_html_(self) -> str:
        return facts_html(self._title, self._facts)

    @property
    def _title(self) -> str:
        return f"{self.feed.title}: history"

    @property
    def _facts(self) -> list[Fact]:
        windows, first, last = self._ask(_EXTENT, max_rows=1).to_pylist()[0].values()
        held = f", {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC" if windows else ""
        kinds = self.tables["kind"]
        return [
            ("windows", f"{windows:,}{held}"),
            ("tables", ", ".join(kinds.index[kinds == "table"])),
            ("views", ", ".join(kinds.index[kinds == "view"])),
            ("answered by", self.at),
        ]
