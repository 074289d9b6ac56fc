"""What is too old is deleted while the history is written and asked, and its place is used again."""

from __future__ import annotations

import time
from itertools import count

import duckdb
import pytest
from findings_of import T0, analysis, anomaly, event, findings
from running import until

from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Label, Mark, Quality
from tracewave_panel.stores import schema
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.shedding import NotKept
from tracewave_panel.stores.upkeep import Upkeep

DAY = 86_400.0
MINUTE = 60


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.duckdb"


def opened(path, *, keep_events=DAY, keep_windows=90 * DAY, now=None, interval=0.02):
    upkeep = Upkeep(keep_events=keep_events, keep_windows=keep_windows, now=now)
    return DuckDBStore(path, WIKIMEDIA, commit_interval=interval, upkeep=upkeep)


def one(store, sql):
    ((value,),) = store.query(sql).rows
    return value


def oldest(store, table="windows", moment="start"):
    return one(store, f"SELECT epoch(min({moment})) FROM {table}") - T0


def tell(store, begin, stop, *, every=1):
    for second in range(begin, stop, every):
        store.append(findings(second + 1, analysis(second), events=tuple(event(second, n) for n in range(3))))


def insert(path, hours: int) -> None:
    """Hours of windows with scores and counts, as a history of long ago holds them."""
    with opened(path):
        pass
    features = ", ".join(f"30.0 AS {feature.name}" for feature in WIKIMEDIA.features)
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"""
            INSERT INTO windows BY NAME SELECT 'edits' AS series, to_timestamp({T0} + i) AS start, 1.0 AS width,
            'ok' AS quality, 0 AS revision, 30 AS count, 0 AS late, 0 AS dropped, {features}
            FROM range({hours} * 3600) t(i)
        """)
        connection.execute(f"""
            INSERT INTO dimension_counts SELECT 'edits', to_timestamp({T0} + i), 'wiki', 'w' || v, v
            FROM range({hours} * 3600) t(i), range(20) u(v)
        """)
        connection.execute(f"""
            INSERT INTO scores BY NAME SELECT 'edits' AS series, to_timestamp({T0} + i) AS start, 'rate' AS metric,
            'd' || v AS detector, random() AS p FROM range({hours} * 3600) t(i), range(5) u(v)
        """)


@pytest.mark.slow
def test_what_is_too_old_goes_with_all_that_belongs_to_it_and_the_rest_stays(path):
    with opened(path, keep_events=24, keep_windows=120) as store:
        store.append(findings(1, anomalies=(anomaly("old", 0, closed=5),), gaps=(Mark(T0 - 50, T0 - 40, Quality.GAP),)))
        store.restore_labels([Label("old", "real", T0, "anna")])
        store.note_missing(NotKept(T0 - 30, T0 - 20, 10, "the disk was full"))
        for begin in range(0, 1200, 100):
            tell(store, begin, begin + 100)
            store.flush()
        until(lambda: oldest(store) >= 1070 and oldest(store, "events", "time") >= 1174, 60, every=0.05)
        assert 1070 <= oldest(store) <= 1080
        assert one(store, "SELECT count(*) FROM windows") == 1200 - oldest(store)
        for table in schema.DEPENDANTS:
            assert oldest(store, table) == oldest(store), table
        assert 1174 <= oldest(store, "events", "time") <= 1176
        assert one(store, "SELECT count(*) FROM events") == 3 * (1200 - oldest(store, "events", "time"))
        kept = ("anomalies", "contributions", "labels", "gaps", "not_kept")
        assert [one(store, f"SELECT count(*) FROM {table}") for table in kept] == [1] * 5
        assert one(store, "SELECT sum(events) FROM rate_by_minute") == 30 * 1200
        assert store.kept_since == T0 + oldest(store)
        assert store.failures == 0


@pytest.mark.slow
def test_file_with_short_retention_stops_growing_though_people_read(path):
    with opened(path):
        pass
    sizes, upkeep = [], Upkeep(keep_events=3600, keep_windows=3600, now=None)
    with duckdb.connect(str(path)) as connection, connection.cursor() as reader:
        connection.execute("SET wal_autocheckpoint = '2MB'")  # as often, for its size, as a day's file is checkpointed
        for hour in range(36):
            for minutes in range(0, 60, 15):
                begin = T0 + 3600 * hour + 60 * minutes
                connection.execute(f"""
                    INSERT INTO events BY NAME SELECT to_timestamp({begin} + i / 10) AS time, uuid()::VARCHAR AS id,
                    'Page ' || (i * 7919 % 5000) AS page, 'edits' AS series, i AS told FROM range(9000) t(i)
                """)
                reader.begin()
                reader.execute("SELECT count(*), count(DISTINCT id) FROM events").fetchall()
                while upkeep.waiting:
                    upkeep.turn(connection)
                reader.rollback()
                for kept in upkeep._kept:
                    kept.look_at = 0.0
            sizes.append(path.stat().st_size)
        ((left,),) = connection.execute("SELECT count(*) FROM events").fetchall()
    assert 36_000 <= left <= 48_000
    assert max(sizes[18:]) < 1.25 * max(sizes[9:18])


@pytest.mark.slow
def test_months_of_old_data_go_in_slices_that_hold_nothing_up(path):
    insert(path, hours=72)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM meta WHERE key = 'rolled_until'")
        connection.execute(f"INSERT INTO meta VALUES ('rolled_until', '{int((T0 + 7 * DAY) * 1e6)}')")
    with opened(path, keep_events=1, keep_windows=3600, now=lambda: T0 + 90 * DAY, interval=0.05) as store:
        second, longest, begun = 7 * int(DAY), 0, time.monotonic()
        while one(store, "SELECT count(*) FROM windows") > 1 + second - 7 * DAY and time.monotonic() - begun < 25:
            tell(store, second, second + 1)
            second += 1
            longest = max(longest, store.backlog)
            time.sleep(0.05)
        assert longest < 30
        assert max(store.commit_seconds) < 1.5
        until(lambda: one(store, "SELECT count(*) FROM dimension_counts") < 100_000, 60)


def test_newest_window_and_event_stay_however_old_they_are(path):
    with opened(path) as store:
        tell(store, 0, 200)
    with opened(path, keep_events=60, keep_windows=60, now=lambda: T0 + 1000 * DAY) as store:
        tell(store, 200, 201)
        until(lambda: one(store, "SELECT count(*) FROM events") == 3, 10, every=0.05)
        assert one(store, "SELECT epoch(max(start)) FROM windows") == T0 + 200
    with opened(path) as store:
        assert store.analyses(limit=1000).cursor == 201


def test_events_that_are_not_to_be_kept_go_to_the_last_one(path):
    with opened(path) as store:
        tell(store, 0, 10)
    with opened(path, keep_events=0) as store:
        tell(store, 10, 11)
        until(lambda: one(store, "SELECT count(*) FROM events") == 0, 10, every=0.05)
        assert one(store, "SELECT count(*) FROM windows") == 11


def test_windows_wait_for_their_minute_to_be_made(path):
    with opened(path) as store:
        tell(store, 0, 600)
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"UPDATE meta SET value = '{int((T0 + 300) * 1e6)}' WHERE key = 'rolled_until'")
    upkeep = Upkeep(keep_events=DAY, keep_windows=1, now=lambda: T0 + DAY)
    with duckdb.connect(str(path)) as connection:
        while upkeep.turn(connection):
            pass
        ((first,),) = connection.execute("SELECT epoch(min(start)) FROM windows").fetchall()
    assert first == T0 + 300


@pytest.mark.parametrize(
    ("now", "left"), [(None, 1000), (lambda: T0 + 1000, 1000), (lambda: T0 + 50_000, 1), (lambda: T0, 1000)]
)
def test_age_is_by_the_clock_or_by_the_newest_window(path, now, left):
    with opened(path) as store:
        tell(store, 0, 1000)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM meta WHERE key = 'rolled_until'")
        connection.execute(f"INSERT INTO meta VALUES ('rolled_until', '{int((T0 + DAY) * 1e6)}')")
        upkeep = Upkeep(keep_events=DAY, keep_windows=5000, now=now)
        while upkeep.turn(connection):
            pass
        assert connection.execute("SELECT count(*) FROM windows").fetchall() == [(left,)]


def test_turn_ends_after_a_moment_and_the_next_goes_on(path):
    insert(path, hours=8)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM meta WHERE key = 'rolled_until'")
        connection.execute(f"INSERT INTO meta VALUES ('rolled_until', '{int((T0 + 7 * DAY) * 1e6)}')")
        looks = count(step=0.04)  # a clock that goes on with each look
        upkeep = Upkeep(keep_events=DAY, keep_windows=60, now=lambda: T0 + 90 * DAY, clock=lambda: next(looks))
        turns = 0
        while upkeep.waiting:
            upkeep.turn(connection)
            turns += 1
        assert connection.execute("SELECT count(*) FROM windows").fetchall() == [(1,)]
    assert turns > 10
