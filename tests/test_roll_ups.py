"""Roll-ups per minute and hour: right after every telling, revision, takeover, backfill and deletion."""

from __future__ import annotations

import random
from collections import defaultdict

import msgspec
import pytest
from findings_of import T0, analysis, event, findings

from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.model import Mark, Quality
from tracewave_panel.ports import SavedState
from tracewave_panel.stores.duckdb import DuckDBStore

T0_IN_MINUTE, T0_IN_HOUR = T0 % 60, T0 % 3600  # 20 and 800


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.duckdb"


@pytest.fixture
def store(path):
    with opened(path) as store:
        yield store


def opened(path, feed=WIKIMEDIA, **options):
    return DuckDBStore(path, feed, commit_interval=0.01, **options)


def ask(store, sql):
    """Rows, the database's own: a SELECT through the store is checked and bounded, which takes its time."""
    with store._database.cursor() as cursor:
        answer = cursor.sql(sql).to_arrow_table()
    return list(zip(*(column.to_pylist() for column in answer.columns), strict=True))


def told(second, *, width=1.0, count=30, series="edits", wiki=None, **window):
    each = analysis(second, count=count, **window)
    counts = ({"w0": count} if wiki is None else wiki, {}, {}, {}, {})
    changed = msgspec.structs.replace(each.window, width=width, series=series, dimension_counts=counts)
    return msgspec.structs.replace(each, window=changed)


def gap(second, **window):
    return told(second, count=0, wiki={}, quality=Quality.GAP, features=(0.0,) * 6, **window)


def written(store, *found):
    for each in found:
        store.append(each)
    store.flush(30)


def added_up(windows, length):
    """What a minute or hour should say, from the windows as they are stored."""
    sums = defaultdict(lambda: [0, 0, 0.0, 0.0, 0, 0, 0.0])
    for series, start, width, quality, count, late, dropped in windows:
        row = sums[series, start // length * length]
        observed = quality != "gap"
        row[0] += 1
        row[1] += count
        row[2] += width * observed
        row[3] += width * (not observed)
        row[4] += late
        row[5] += dropped
        row[6] = max(row[6], count / width * observed)
    return {key: tuple(round(value, 6) for value in row) for key, row in sums.items()}


def check(store):
    """Every stored minute and hour, and both views, say what the windows do."""
    windows = ask(
        store, "SELECT series, CAST(epoch(start) AS DOUBLE), width, quality, count, late, dropped FROM windows"
    )
    for length, seconds in (("minute", 60), ("hour", 3600)):
        expected = added_up(windows, seconds)
        stored = ask(
            store,
            f"SELECT series, epoch({length}), windows, events, seconds, missing, late, dropped, coalesce(peak, 0) "
            f"FROM windows_by_{length}",
        )
        keys = [(series, moment) for series, moment, *_ in stored]
        assert len(keys) == len(set(keys)), f"a {length} is rolled up twice"
        for series, moment, *row in stored:
            assert tuple(round(value, 6) for value in row) == expected[series, moment], (length, moment - T0)
        view = ask(store, f"SELECT series, epoch({length}), events, missing, late, dropped FROM rate_by_{length}")
        assert {(series, moment): tuple(row) for series, moment, *row in view} == {
            key: (events, missing, late, dropped) for key, (_, events, _, missing, late, dropped, _) in expected.items()
        }
        assert len(view) == len(expected)
        assert differing(store, length) == 0, f"dimension counts by {length} differ"


def differing(store, length):
    ((rows,),) = ask(
        store,
        f"""
        WITH expected AS (
            SELECT series, date_trunc('{length}', start) AS {length}, dimension, value,
                   CAST(sum(count) AS BIGINT) AS events
            FROM dimension_counts GROUP BY ALL
        ), found AS (SELECT series, {length}, dimension, value, events FROM dimensions_by_{length})
        SELECT (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM found))
             + (SELECT count(*) FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM expected))
        """,
    )
    return rows


def rolled(store, length="minute"):
    sql = f"SELECT epoch({length}) - {T0}, events FROM windows_by_{length} ORDER BY ALL"
    return ask(store, sql)


# -- as time goes on


def test_minute_is_rolled_up_once_it_is_past_and_the_view_has_the_rest(store):
    for second in range(38, 42):
        written(store, findings(second + 1, told(second)))
        check(store)
    assert rolled(store) == [(-20, 60)]
    assert ask(store, "SELECT events, rate, peak FROM rate_by_minute") == [(60, 30.0, 30.0), (60, 30.0, 30.0)]


def test_hour_is_rolled_up_once_it_is_past(store):
    written(store, findings(1, told(0)), findings(2000, told(1999)), findings(2801, told(2800)))
    assert rolled(store, "hour") == [(-800, 60)]
    check(store)
    written(store, findings(2861, told(2860)), findings(6401, told(6400)))
    assert rolled(store, "hour") == [(-800, 60), (2800, 60)]
    check(store)


def test_minutes_that_many_commits_and_few_pass_are_the_same(path, tmp_path):
    seconds = [*range(0, 300, 26), *range(2700, 3000, 62)]
    with opened(path) as slow, opened(tmp_path / "at once.duckdb") as fast:
        for second in seconds:
            written(slow, findings(second + 1, told(second)))
        written(fast, *(findings(second + 1, told(second)) for second in seconds))
        check(slow)
        check(fast)
        for table in ("windows_by_minute", "windows_by_hour", "dimension_counts_by_minute", "dimension_counts_by_hour"):
            assert ask(slow, f"FROM {table} ORDER BY ALL") == ask(fast, f"FROM {table} ORDER BY ALL")


@pytest.mark.parametrize("width", [0.1, 0.25, 1.0, 7.0, 60.0, 90.0, 3600.0, 86_400.0])
def test_windows_of_any_width_count_to_the_minute_they_start_in(store, width):
    started = T0 // width * width - T0
    windows = [told(round(started + number * width, 6), width=width, count=number % 5) for number in range(120)]
    for part in range(0, 120, 40):
        written(store, findings(windows[part + 39].window.end - T0, *windows[part : part + 40]))
        check(store)
    assert ask(store, "SELECT sum(events) FROM rate_by_hour") == [(sum(each.window.count for each in windows),)]


def test_series_are_rolled_up_each_for_itself(store):
    for second in range(35, 120, 5):
        written(store, findings(second + 1, told(second), told(second, series="other", count=7)))
    check(store)
    assert ask(store, "SELECT series, events FROM windows_by_minute WHERE epoch(minute) < 1.7e9 ORDER BY 1") == [
        ("edits", 30),
        ("other", 7),
    ]


def test_series_that_lags_behind_is_added_to_its_minutes(store):
    written(store, findings(200, told(150)))
    written(store, findings(201, told(30, series="late", count=3), told(90, series="late", count=4)))
    written(store, findings(202, told(31, series="late", count=5)))
    check(store)
    late = ask(store, "SELECT windows, events FROM windows_by_minute WHERE series = 'late' ORDER BY minute")
    assert late == [(2, 8), (1, 4)]


def test_what_minutes_and_hours_say_of_features(store):
    of = ["rate", "pages", "editors", "bot_share", "new_share", "byte_change"]
    windows = [
        told(0, count=10, features=(10.0, 4.0, 2.0, 0.1, 0.0, 100.0)),
        told(1, count=30, features=(30.0, 8.0, 4.0, 0.5, 0.4, 20.0)),
        told(2, count=0, features=(0.0,) * 6, wiki={}),
        gap(3),
        told(2900, count=40, features=(40.0, 9.0, 3.0, 0.2, 0.1, 50.0)),
        told(6500),
    ]
    written(store, findings(6501, *windows))
    ((first, *_),) = [ask(store, f"SELECT {', '.join(of)}, peak, missing FROM windows_by_minute ORDER BY minute")]
    # rate and numbers of different values by time, shares and means by events
    assert first == pytest.approx((40 / 3, 4.0, 2.0, (1 + 15) / 40, 12 / 40, (1000 + 600) / 40, 30.0, 1.0))
    by_hour = ask(store, f"SELECT {', '.join(of)} FROM windows_by_hour ORDER BY hour")
    assert by_hour[0] == pytest.approx(first[:6])
    assert by_hour[1] == pytest.approx((40.0, 9.0, 3.0, 0.2, 0.1, 50.0))


def test_last_price_and_volume_of_a_minute(path):
    windows = []
    for second, count, price in ((0, 2, 100.0), (1, 3, 101.5), (2, 0, 0.0), (90, 1, 99.0)):
        each = analysis(second, count=count, features=(float(count), 10.0 * count, price, 0.5))
        counts = ({"kraken": count} if count else {}, {}, {})
        windows.append(
            msgspec.structs.replace(each, window=msgspec.structs.replace(each.window, dimension_counts=counts))
        )
    with opened(path, CRYPTO) as store:
        written(store, findings(91, *windows))
        assert ask(store, "SELECT volume, price FROM rate_by_minute ORDER BY minute") == [(50.0, 101.5), (10.0, 99.0)]
        assert ask(store, "SELECT volume, price FROM rate_by_hour") == [(60.0, 99.0)]


def test_minute_of_gaps_alone_has_no_rate(store):
    written(store, findings(160, *(gap(second) for second in range(40, 100)), told(150)))
    assert ask(store, "SELECT events, rate, missing, peak, pages FROM rate_by_minute") == [
        (0, None, 60.0, None, None),
        (30, 30.0, 0.0, 30.0, 1.0),
    ]
    check(store)


# -- told again


def test_gap_that_is_told_again_is_added_up_again_with_its_hour(store):
    written(store, findings(4000, told(0), gap(1), told(3999)))
    assert ask(store, "SELECT events, missing FROM windows_by_hour ORDER BY hour LIMIT 1") == [(30, 1.0)]
    written(store, findings(4001, told(1, count=5, quality=Quality.REVISED, revision=1)))
    assert ask(store, "SELECT events, missing FROM windows_by_minute ORDER BY minute LIMIT 1") == [(35, 0.0)]
    assert ask(store, "SELECT events, missing FROM windows_by_hour ORDER BY hour LIMIT 1") == [(35, 0.0)]
    check(store)
    written(store, findings(4002, gap(1)))  # a lower revision changes nothing
    check(store)


def test_takeover_takes_minutes_back_and_rolls_them_up_again(path):
    with opened(path) as store:
        written(store, *(findings(second + 1, told(second)) for second in range(0, 3000, 20)))
        store.save_state(SavedState(T0 + 3000, T0 + 3000, b"", b""))
        written(store, *(findings(second + 1, told(second)) for second in range(3000, 9000, 20)))
        check(store)
    with opened(path) as store:
        store.load_state()
        for second in range(3000, 7000, 200):
            again = (told(each, count=7, wiki={"w1": 7}) for each in range(second, second + 200, 20))
            written(store, findings(second + 200, *again))
            if second % 1000 == 0:
                check(store)
        assert len(rolled(store, "hour")) == 2
        check(store)


@pytest.mark.parametrize("begins", [40, 47, 100, 2800, 2833, 5000])
def test_takeover_at_any_moment_of_a_minute(path, begins):
    with opened(path) as store:
        written(store, findings(begins, *(told(second) for second in range(0, begins, 3))))
        store.save_state(SavedState(T0 + begins, T0 + begins, b"", b""))
        after = (*range(begins, begins + 200, 3), *range(begins + 200, 8000, 30))
        written(store, findings(8000, *(told(second) for second in after)))
    with opened(path) as store:
        store.load_state()
        written(store, findings(begins + 1, told(begins)))
        check(store)
        written(store, findings(begins + 9000, told(begins + 4000), told(begins + 8999)))
        check(store)


def test_restart_within_a_minute_goes_on_with_it(path):
    for second in (36, 38, 42, 43, 97, 103):
        with opened(path) as store:
            written(store, findings(second + 1, told(second)))
            check(store)


def test_any_order_of_telling_gives_the_same_minutes(path):
    chance = random.Random(11)
    with opened(path) as store:
        for _ in range(12):
            seconds = sorted(chance.sample(range(0, 8000, 5), chance.randint(1, 6)))
            found = [told(s, count=chance.randint(0, 9)) if chance.random() < 0.8 else gap(s) for s in seconds]
            written(store, findings(seconds[-1] + 1, *found))
        check(store)


# -- after windows are gone


def forget(store, before, table="windows"):
    """As the upkeep does."""

    def job(connection):
        for name in ("windows", "metrics", "scores", "dimension_counts", "window_contributions"):
            connection.execute(f"DELETE FROM {name} WHERE epoch(start) < {T0 + before}")

    store._writer.run(job, 10)


def test_minutes_outlive_their_windows(path):
    with opened(path) as store:
        written(store, *(findings(second + 1, told(second)) for second in range(0, 4000, 10)))
        before = ask(store, "FROM rate_by_minute"), ask(store, "FROM dimensions_by_hour")
        forget(store, 3000)
        assert (ask(store, "FROM rate_by_minute"), ask(store, "FROM dimensions_by_hour")) == before
        # what comes late for a minute whose windows are gone does not take its place
        written(store, findings(4001, told(100, count=1, revision=1, quality=Quality.REVISED)))
        assert (ask(store, "FROM rate_by_minute"), ask(store, "FROM dimensions_by_hour")) == before


def test_minute_that_was_not_over_when_its_run_ended_outlives_its_windows(path):
    with opened(path) as store:
        written(store, findings(51, *(told(second) for second in range(50))))
    with opened(path) as store:
        forget(store, 50)
        assert ask(store, "SELECT sum(events) FROM rate_by_minute") == [(1500,)]
        written(store, findings(9001, told(9000)))
        assert ask(store, "SELECT sum(events) FROM rate_by_hour") == [(1530,)]


def test_takeover_leaves_a_minute_whose_windows_are_gone(path):
    with opened(path) as store:
        written(store, findings(60, *(told(second) for second in range(60))))
        store.save_state(SavedState(T0 + 60, T0 + 60, b"", b""))
        written(store, findings(100, *(told(second) for second in range(60, 300))))
    with opened(path) as store:
        store.load_state()
        forget(store, 59)
        written(store, findings(300, told(60, count=1)))
        assert rolled(store) == [(-20, 1200), (40, 1800)]


# -- backfill


def test_backfill_writes_what_is_lacking_once(store):
    written(store, findings(100, told(50), gap(51), told(52), told(200), events=(event(50), event(52))))
    cursor = store.analyses().cursor
    found = findings(
        100,
        told(50, count=1),
        told(51, count=5),
        gap(53),
        told(54, count=6),
        events=(event(50), event(51), event(54)),
        gaps=(Mark(T0 + 53, T0 + 54, Quality.GAP),),
    )
    assert store.backfill(found) == (2, 0, 2)
    assert ask(store, f"SELECT epoch(start) - {T0}, count FROM windows ORDER BY 1") == [
        (50, 30),
        (51, 5),
        (52, 30),
        (54, 6),
        (200, 30),
    ]
    check(store)
    assert ask(store, "FROM gaps") == []
    assert [each.window.start - T0 for each in store.analyses(cursor).items] == [51, 54]
    assert store.backfill(found) == (0, 0, 0)
    assert sorted(each.time - T0 for each in store.events().items) == [50, 51, 52, 54]
    check(store)


def test_backfill_of_past_hours_is_rolled_up(store):
    written(store, findings(90_000, told(86_400)))
    assert store.backfill(findings(1, *(told(second) for second in range(0, 9000, 50)))) == (180, 0, 0)
    check(store)
    assert len(rolled(store, "hour")) == 3
