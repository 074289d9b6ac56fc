"""The outbox: every notice once, kept over restarts, with the mutes and the episodes that are open.

Invariants
----------
- There is one row for an anomaly, a phase and a route, whatever became of it, for as long as it is remembered.
- A notice that waits has a moment at which it is due; any other has none, and no content.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

from tracewave_panel import codec
from tracewave_panel.errors import StateError, StoreError
from tracewave_panel.model import Anomaly, Mute, Origin
from tracewave_panel.notify.notice import Notice, Phase, Standing, Telling

__all__ = ["FILE", "Outbox"]

FILE = "notices.sqlite"
VERSION = 1
HOUR = 3600.0
EPISODE_REMEMBERED = 2 * 86_400.0
_SCHEMA = """
CREATE TABLE notices (
    number INTEGER PRIMARY KEY,
    anomaly_id TEXT NOT NULL,
    phase TEXT NOT NULL,
    route TEXT NOT NULL,
    standing TEXT NOT NULL,
    made_at REAL NOT NULL,
    due_at REAL,
    tries INTEGER NOT NULL DEFAULT 0,
    summed INTEGER NOT NULL DEFAULT 0,
    content BLOB,
    UNIQUE (anomaly_id, phase, route)
) STRICT;
CREATE INDEX notices_due ON notices (route, standing, due_at);
CREATE TABLE episodes (
    anomaly_id TEXT PRIMARY KEY, origin TEXT NOT NULL, told_at REAL NOT NULL, content BLOB NOT NULL
) STRICT;
CREATE TABLE mutes (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, content BLOB NOT NULL) STRICT;
"""

logger = logging.getLogger(__name__)


class Outbox:
    """Notices on disk, or in memory; safe from any thread.

    Parameters
    ----------
    folder
        Data folder, in which ``notices.sqlite`` is made for its owner alone; None: memory.

    Raises
    ------
    StoreError
        By every method, when the file cannot be read or written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._lock = threading.RLock()
        self._path = None if folder is None else folder / FILE
        try:
            if self._path:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
                self._path.chmod(0o600)  # notices hold what happened, and SQLite's other files take this mode
            self._database = sqlite3.connect(self._path or ":memory:", timeout=5.0, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"{self._path}: notices cannot be kept ({error}); check the folder and the disk"
            ) from error
        with self._transaction() as database:
            found = database.execute("PRAGMA user_version").fetchone()[0]
        if found not in {0, VERSION}:
            self.close()
            raise StoreError(f"{self._path}: made by another version ({found}, not {VERSION}); move it away")
        with self._transaction() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            if not found:
                database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, self._database:
                yield self._database
        except sqlite3.Error as error:
            place = self._path or "the outbox in memory"
            raise StoreError(f"{place}: notices cannot be kept ({error}); check the folder and the disk") from error

    # -- notices

    def standing(self, anomaly_id: str, phase: Phase, route: str) -> Standing | None:
        """What became of a notice so far; None when there is none."""
        asked = "SELECT standing FROM notices WHERE anomaly_id = ? AND phase = ? AND route = ?"
        with self._transaction() as database:
            row = database.execute(asked, (anomaly_id, phase, route)).fetchone()
        return Standing(row[0]) if row else None

    def recent(self, route: str, now: float) -> int:
        """How many notices the route took in the last hour."""
        asked = (
            "SELECT count(*) FROM notices WHERE route = ? AND made_at > ? AND standing IN ('waiting','sent','given_up')"
        )
        with self._transaction() as database:
            return int(database.execute(asked, (route, now - HOUR)).fetchone()[0])

    def held(self, route: str, anomaly_id: str) -> dict[str, int]:
        """How many notices of other anomalies were held back by the limit and the hours, and in no summary yet."""
        asked = (
            "SELECT standing, count(*) FROM notices WHERE route = ? AND anomaly_id <> ?"
            " AND standing IN ('limit','hours') AND summed = 0 GROUP BY standing"
        )
        with self._transaction() as database:
            return dict(database.execute(asked, (route, anomaly_id)).fetchall())

    def put(self, notice: Notice) -> None:
        """Have a notice sent, and count what its summary told of as told."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO notices (anomaly_id, phase, route, standing, made_at, due_at, content)"
                " VALUES (?, ?, ?, 'waiting', ?, ?, ?) ON CONFLICT (anomaly_id, phase, route) DO UPDATE"
                " SET standing = 'waiting', made_at = excluded.made_at, due_at = excluded.due_at, tries = 0,"
                " content = excluded.content WHERE standing NOT IN ('waiting', 'sent', 'given_up')",
                (
                    notice.anomaly.id,
                    notice.phase,
                    notice.route,
                    notice.made_at,
                    notice.made_at,
                    codec.pack(notice),
                ),
            )
            database.execute(
                "UPDATE notices SET summed = 1 WHERE route = ? AND standing IN ('limit','hours')", (notice.route,)
            )

    def hold(self, anomaly_id: str, phase: Phase, route: str, standing: Standing, now: float) -> None:
        """Write down that a notice is held back, and why."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO notices (anomaly_id, phase, route, standing, made_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (anomaly_id, phase, route) DO UPDATE SET standing = excluded.standing"
                " WHERE standing NOT IN ('waiting', 'sent', 'given_up')",
                (anomaly_id, phase, route, standing.value, now),
            )

    def next_due(self, route: str, now: float, furthest: float) -> tuple[int, Notice, int] | float | None:
        """Number, notice and tries of what is to be sent now; else the moment of the next; None when none waits.

        A closing comes after its opening. A moment more than `furthest` seconds ahead is one that the
        clock jumped back from: it counts as come.
        """
        asked = (
            "SELECT number, due_at, tries, content FROM notices AS one WHERE route = ? AND standing = 'waiting'"
            " AND NOT EXISTS (SELECT 1 FROM notices AS first WHERE first.anomaly_id = one.anomaly_id"
            " AND first.route = one.route AND one.phase = 'closed' AND first.phase = 'opened'"
            " AND first.standing = 'waiting') ORDER BY due_at, number LIMIT 1"
        )
        with self._transaction() as database:
            row = database.execute(asked, (route,)).fetchone()
        if row is None:
            return None
        number, due_at, tries, content = row
        if now < due_at <= now + furthest:
            return float(due_at)
        try:
            return int(number), codec.decode_packed(content, Notice), int(tries)
        except StateError as error:
            logger.warning("notify %s: a notice in the outbox is given up: %s", route, error)
            self.settle(number, Standing.GIVEN_UP)
            return self.next_due(route, now, furthest)

    def settle(self, number: int, standing: Standing) -> None:
        """Write down what became of a notice that waited; its content is let go."""
        with self._transaction() as database:
            database.execute(
                "UPDATE notices SET standing = ?, due_at = NULL, content = NULL WHERE number = ?", (standing, number)
            )

    def retry(self, number: int, due_at: float) -> None:
        """Have a notice tried again at `due_at`."""
        with self._transaction() as database:
            database.execute("UPDATE notices SET due_at = ?, tries = tries + 1 WHERE number = ?", (due_at, number))

    def hasten(self, route: str, due_at: float) -> None:
        """Have every notice of a route that waits tried at `due_at` or before: its endpoint answers again."""
        with self._transaction() as database:
            database.execute(
                "UPDATE notices SET due_at = ? WHERE route = ? AND standing = 'waiting' AND due_at > ?",
                (due_at, route, due_at),
            )

    def waiting(self) -> dict[str, int]:
        """How many notices wait, by route."""
        asked = "SELECT route, count(*) FROM notices WHERE standing = 'waiting' GROUP BY route"
        with self._transaction() as database:
            return dict(database.execute(asked).fetchall())

    def drop_route(self, route: str) -> None:
        """Give up what waits for a route that is no more."""
        with self._transaction() as database:
            database.execute(
                "UPDATE notices SET standing = 'given_up', due_at = NULL, content = NULL"
                " WHERE route = ? AND standing = 'waiting'",
                (route,),
            )

    def forget(self, now: float, remember: float) -> None:
        """Let go what is older than it has to be remembered."""
        with self._transaction() as database:
            database.execute("DELETE FROM notices WHERE standing <> 'waiting' AND made_at < ?", (now - remember,))
            database.execute("DELETE FROM episodes WHERE told_at < ?", (now - EPISODE_REMEMBERED,))

    # -- open episodes

    def remember_episode(self, telling: Telling, now: float) -> None:
        """Keep the last telling of an open episode; let go that of a closed one."""
        anomaly, origin = telling
        with self._transaction() as database:
            if anomaly.closed is None:
                database.execute(
                    "INSERT OR REPLACE INTO episodes VALUES (?, ?, ?, ?)",
                    (anomaly.id, origin.value, now, codec.pack(anomaly)),
                )
            else:
                database.execute("DELETE FROM episodes WHERE anomaly_id = ?", (anomaly.id,))

    def held_episodes(self) -> list[Telling]:
        """Open episodes of which a notice is held back by a snooze or by the hours."""
        asked = (
            "SELECT content, origin FROM episodes WHERE anomaly_id IN (SELECT anomaly_id FROM notices"
            " WHERE phase = 'opened' AND standing IN ('snoozed', 'hours')) ORDER BY told_at"
        )
        with self._transaction() as database:
            rows = database.execute(asked).fetchall()
        found = []
        for content, origin in rows:
            with contextlib.suppress(StateError):
                found.append(Telling(codec.decode_packed(content, Anomaly), Origin(origin)))
        return found

    def followed(self, origin: Origin) -> frozenset[str]:
        """Ids of the episodes that were open when they were told last."""
        with self._transaction() as database:
            rows = database.execute("SELECT anomaly_id FROM episodes WHERE origin = ?", (origin.value,)).fetchall()
        return frozenset(anomaly_id for (anomaly_id,) in rows)

    def alive(self, anomaly_ids: Collection[str]) -> frozenset[str]:
        """Which of these episodes are open, or have a notice that waits."""
        asked = "SELECT anomaly_id FROM episodes UNION SELECT anomaly_id FROM notices WHERE standing = 'waiting'"
        with self._transaction() as database:
            return frozenset(anomaly_id for (anomaly_id,) in database.execute(asked) if anomaly_id in anomaly_ids)

    # -- mutes

    def mutes(self) -> list[Mute]:
        """Mutes in the order in which they were given; one that cannot be read is left out."""
        with self._transaction() as database:
            rows = database.execute("SELECT content FROM mutes ORDER BY number").fetchall()
        found = []
        for (content,) in rows:
            with contextlib.suppress(StateError):
                found.append(codec.decode_packed(content, Mute))
        return found

    def mute(self, mute: Mute) -> None:
        """Keep a mute, in place of one with the same id."""
        with self._transaction() as database:
            database.execute("DELETE FROM mutes WHERE id = ?", (mute.id,))
            database.execute("INSERT INTO mutes (id, content) VALUES (?, ?)", (mute.id, codec.pack(mute)))

    def unmute(self, mute_ids: list[str]) -> None:
        """Let mutes go."""
        with self._transaction() as database:
            database.executemany("DELETE FROM mutes WHERE id = ?", [(mute_id,) for mute_id in mute_ids])

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._database.close()
