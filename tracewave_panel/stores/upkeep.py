"""What a history forgets: raw events and windows that are older than they are kept for.

What is deleted is given back at the next checkpoint, which DuckDB makes by itself once its log holds
16 MB: new rows fill the place, so a file whose feed is steady stops growing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import duckdb

from tracewave_panel.stores import schema
from tracewave_panel.stores.transaction import transaction

__all__ = ["Retention", "Upkeep"]

TURN = 0.15
"""Seconds that a turn may take before it lets the writer commit again; a slice is never cut short."""

LOOK = 10.0
"""Longest time between two looks at what there is, in seconds: a fast replay's day passes in a minute."""

_SHORT, _LONG = 0.02, 0.08  # a slice that took less may be longer next time, one that took more is halved
_FIRST_SLICE = 60.0
_NEVER = float("inf")


class Retention:
    """One table and those whose rows go with its own.

    Parameters
    ----------
    table, moment
        The table, and which of its columns says how old a row is.
    dependants
        Tables with a column of the same name and meaning.
    keep
        Seconds.
    """

    def __init__(self, table: str, moment: str, keep: float, dependants: tuple[str, ...] = ()) -> None:
        self.table, self.moment, self.keep, self.dependants = table, moment, keep, dependants
        self.slice = _FIRST_SLICE
        self.look_at = -_NEVER
        # often enough that the file stays near its size, seldom enough that whole blocks come free
        self.step = min(3600.0, max(1.0, keep / 24))


class Upkeep:
    """Deletes what is too old, a slice of time after the other, on the thread that writes.

    The newest window and the newest event always stay: the numbers that cursors count in go on from
    there when the file is opened again.

    Parameters
    ----------
    keep_events, keep_windows
        Seconds; None of windows keeps them for ever.
    now
        Seconds since the epoch, by which age is counted; None: the newest window's start, as a
        replay or a simulation needs that happens at another time.
    clock
        Seconds that only grow.

    Attributes
    ----------
    kept_since
        Start of the oldest window, as last looked at; None until there is one.
    """

    def __init__(
        self,
        *,
        keep_events: float,
        keep_windows: float,
        now: Callable[[], float] | None = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kept_since: float | None = None
        self._now, self._clock = now, clock
        self._kept = (
            Retention("events", "time", keep_events),
            Retention("windows", "start", keep_windows, schema.DEPENDANTS),
        )

    @property
    def waiting(self) -> bool:
        """Whether the next turn would find something to do at once."""
        return any(kept.look_at <= self._clock() for kept in self._kept)

    def turn(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Delete for a moment, each slice a transaction; returns how many slices there were.

        Raises
        ------
        duckdb.Error
            When the disk fails; what is left is deleted later.
        """
        ends, slices = self._clock() + TURN, 0
        for kept in self._kept:
            while kept.look_at <= self._clock() < ends:
                slices += self._slice(connection, kept)
        return slices

    def _slice(self, connection: duckdb.DuckDBPyConnection, kept: Retention) -> bool:
        """Delete one slice; False when there was nothing to do, and the next look is later."""
        began = self._clock()
        oldest, newest = _ends(connection, kept)
        if oldest is None or newest is None:
            kept.look_at = began + min(LOOK, kept.step)
            return False
        if kept.table == "windows":
            self.kept_since = oldest
        now = self._now() if self._now else newest
        # what is not kept at all goes whole
        cut = min(now - kept.keep, newest) if kept.keep else newest + 1.0
        due = now - kept.keep - oldest
        if kept.keep and (due < kept.step or cut <= oldest):
            kept.look_at = began + min(LOOK, max(1.0, kept.step - due))
            return False
        if kept.table == "windows":
            cut = min(cut, _rolled_until(connection))  # minutes that are not made yet are made of windows
            if cut <= oldest:
                kept.look_at = began + min(LOOK, kept.step)
                return False
        upto = min(cut, oldest + kept.slice)
        older = f"WHERE {kept.moment} < make_timestamptz(?)"
        with transaction(connection):
            for table in (kept.table, *kept.dependants):
                connection.execute(f"DELETE FROM {table} {older}", [round(upto * 1e6)])  # noqa: S608 - our own names
        took = self._clock() - began
        kept.slice *= 2 if took < _SHORT else 0.5 if took > _LONG else 1
        return True


def _ends(connection: duckdb.DuckDBPyConnection, kept: Retention) -> tuple[float | None, float | None]:
    sql = f"SELECT epoch(min({kept.moment})), epoch(max({kept.moment})) FROM {kept.table}"  # noqa: S608 - our own
    return connection.execute(sql).fetchall()[0]


def _rolled_until(connection: duckdb.DuckDBPyConnection) -> float:
    rows = connection.execute("SELECT CAST(value AS DOUBLE) / 1e6 FROM meta WHERE key = 'rolled_until'").fetchall()
    return rows[0][0] if rows else -_NEVER
