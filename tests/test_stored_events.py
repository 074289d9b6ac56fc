"""Raw events of a history: every field, pages, and each once however runs end."""

from __future__ import annotations

import math
import time

import msgspec
import pytest
from findings_of import T0, analysis, anomaly, event, findings

from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.model import Event
from tracewave_panel.ports import Page, SavedState
from tracewave_panel.stores.duckdb import DuckDBStore

EDIT = Event(
    time=T0 + 0.25,
    occurred_at=T0 - 1.125,
    arrived_at=T0 + 0.5,
    series="edits",
    id="1",
    dimensions=("dewiki", "de", "0", "user", "edit"),
    measures=(-120.0,),
    actor="Ada",
    subject="dewiki:Katze",
    title="Katze",
    link="https://de.wikipedia.org/?diff=1",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.duckdb"


def opened(path, feed=WIKIMEDIA, **options):
    return DuckDBStore(path, feed, commit_interval=0.01, **options)


def ask(store, sql):
    with store._database.cursor() as cursor:
        return cursor.execute(sql).fetchall()


def told(store, *found):
    for each in found:
        store.append(each)
    store.flush()


def seen(store):
    return [each.id for each in store.events(limit=10_000).items]


def saved(second):
    return SavedState(T0 + second, T0 + second, b"position", b"state")


def edits(*seconds, run=""):
    return tuple(msgspec.structs.replace(event(second), actor=run) for second in seconds)


def runs(store):
    return [(each.id, each.actor) for each in store.events().items]


# -- fields and pages


def test_every_field_comes_back(path):
    with opened(path) as store:
        told(store, findings(1, events=(EDIT,)))
        assert store.events() == Page((EDIT,), 1)
        columns = "id, wiki, language, namespace, actor, kind, byte_change, editor, page, title, told"
        assert ask(store, f"SELECT {columns}, epoch_us(occurred_at) FROM events") == [
            ("1", "dewiki", "de", "0", "user", "edit", -120.0, "Ada", "dewiki:Katze", "Katze", 1, 1_699_999_998_875_000)
        ]


def test_trades_have_columns_of_their_own(path):
    trade = msgspec.structs.replace(
        EDIT, dimensions=("kraken", "BTC-USD", "buy"), measures=(37_000.0, 0.5, 18_500.0), subject="BTC-USD"
    )
    with opened(path, CRYPTO) as store:
        told(store, findings(1, events=(trade,)))
        assert store.events().items == (trade,)
        columns = "exchange, symbol, side, price, quantity, notional, trader, pair"
        assert ask(store, f"SELECT {columns} FROM events") == [
            ("kraken", "BTC-USD", "buy", 37_000.0, 0.5, 18_500.0, "Ada", "BTC-USD")
        ]


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        ({"title": "\ud800 and text"}, {"title": "? and text"}),
        ({"title": "'; DROP TABLE events; --\x00"}, {}),
        (
            {"dimensions": ("dewiki", "\udfff", "0", "user", "edit")},
            {"dimensions": ("dewiki", "?", "0", "user", "edit")},
        ),
        ({"dimensions": (), "measures": ()}, {}),
        ({"measures": (math.inf,)}, {}),
        ({"occurred_at": 1e300}, {"occurred_at": math.nan}),
        ({"occurred_at": -math.inf}, {"occurred_at": math.nan}),
    ],
)
def test_odd_event_harms_nothing_beside_it(path, odd, kept):
    strange = msgspec.structs.replace(EDIT, **odd)
    with opened(path) as store:
        told(store, findings(1, analysis(0), events=(EDIT, strange)))
        assert store.shed == 0
        plain, came_back = store.events().items
        assert plain == EDIT
        assert repr(came_back) == repr(msgspec.structs.replace(strange, **kept))
        assert len(store.analyses().items) == 1


def test_pages_follow_the_cursor_over_a_restart(path):
    with opened(path) as store:
        told(store, *(findings(second, events=edits(second, second + 0.5)) for second in range(5)))
        first = store.events(limit=3)
        assert ([each.id for each in first.items], first.cursor, first.missed) == (["0-0", "0.5-0", "1-0"], 3, 0)
    with opened(path) as store:
        told(store, findings(5, events=edits(5)))
        rest = store.events(first.cursor)
        assert [each.time - T0 for each in rest.items] == [1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]
        assert (rest.cursor, rest.missed) == (11, 0)
        assert store.events(rest.cursor) == Page((), 11)
        assert store.events(500) == Page((), 11)


def test_events_that_expired_are_missed(path):
    with opened(path) as store:
        told(store, *(findings(second, events=edits(second)) for second in range(10)))
        store._writer.run(lambda connection: connection.execute("DELETE FROM events WHERE told <= 6"), 5)
        page = store.events(after=2, limit=2)
        assert ([each.time - T0 for each in page.items], page.cursor, page.missed) == ([6, 7], 8, 4)
        assert store.events(after=7).missed == 0


def test_where_none_are_kept_they_are_only_counted(path):
    with opened(path, keep_events=0) as store:
        told(store, findings(1, analysis(0), events=edits(0, 1)))
        assert store.events() == Page((), 2, 2)
        assert ask(store, "SELECT count(*) FROM events") == [(0,)]


def test_shed_events_are_missed(path):
    with opened(path, queue_limit=5) as store:
        store.flush()
        with store._writer._changed:  # the writer takes nothing meanwhile
            for second in range(8):
                store.append(findings(second, events=edits(second)))
        store.flush()
        page = store.events()
        assert ([each.time - T0 for each in page.items], page.missed) == ([3, 4, 5, 6, 7], 3)


# -- each once, however a run ends


def test_run_that_goes_on_forgets_what_was_told_after_the_state_and_only_that(path):
    with opened(path) as store:
        told(store, findings(1, analysis(0), events=edits(0.5, run="first")))
        store.save_state(saved(1))
        late = edits(-30, 1.5, run="killed")  # an event of half a minute ago counts in the window of this second
        told(store, findings(2, analysis(1), events=late), findings(3, analysis(2), events=edits(2.5, run="killed")))
    with opened(path) as store:
        store.load_state()
        told(store, findings(1.9, events=edits(1.25, run="second")))  # before its first window
        told(store, findings(2, analysis(1), events=edits(-30, run="second")))
        assert runs(store) == [("0.5-0", "first"), ("1.25-0", "second"), ("-30-0", "second")]
        told(store, findings(3, analysis(2), events=edits(2.5, run="second")))
        page = store.events()
        assert len(page.items) == 4
        assert page.missed == 0
        assert store.events(after=1).missed == 0


def test_run_that_starts_afresh_leaves_events_as_they_are(path):
    with opened(path) as store:
        store.save_state(saved(0))
        told(store, *(findings(second + 1, analysis(second), events=edits(second)) for second in range(5)))
    with opened(path) as store:
        store.load_state()  # and refuses it
        told(store, findings(100, events=edits(99.5)), findings(101, analysis(100)))
        assert seen(store) == ["0-0", "1-0", "2-0", "3-0", "4-0", "99.5-0"]


def test_run_that_says_it_starts_afresh_takes_nothing_over(path):
    with opened(path) as store:
        store.save_state(saved(0))
        told(store, findings(5, events=edits(1, 2)))
    with opened(path) as store:
        store.load_state()
        store.start_afresh()
        told(store, findings(6, analysis(0, count=1), events=edits(3)))  # the same wide window
        assert seen(store) == ["1-0", "2-0", "3-0"]


def test_events_of_a_run_that_was_killed_before_it_told_a_window_go_too(path):
    with opened(path) as store:
        told(store, findings(1, analysis(0), events=edits(0)))
        store.save_state(saved(1))
        told(store, findings(2, events=edits(1.1, run="first")))
    with opened(path) as store:
        store.load_state()
        told(store, findings(2, events=edits(1.2, run="second")))
    with opened(path) as store:
        store.load_state()
        told(store, findings(2, analysis(1), events=edits(1.1, 1.2, run="third")))
        assert runs(store) == [("0-0", ""), ("1.1-0", "third"), ("1.2-0", "third")]


def test_state_that_follows_before_a_window_settles_the_events(path):
    with opened(path) as store:
        store.save_state(saved(1))
        told(store, findings(2, events=edits(1.1, run="first")))
    with opened(path) as store:
        store.load_state()
        told(store, findings(2, events=edits(1.2, run="second")))
        store.save_state(saved(1.5))
        store.flush()
        assert runs(store) == [("1.2-0", "second")]
    with opened(path) as store:
        store.load_state()
        told(store, findings(2, analysis(1), events=edits(1.7, run="third")))
        assert runs(store) == [("1.2-0", "second"), ("1.7-0", "third")]


def test_without_a_state_an_event_told_again_is_there_once(path):
    with opened(path) as store:
        told(store, findings(3, analysis(0), events=edits(0, 1, 2, run="killed")))
    with opened(path) as store:
        assert store.load_state() is None
        again = msgspec.structs.replace(edits(1, run="again")[0], time=T0 + 1.75)  # caught up: at another time
        told(store, findings(3, analysis(0), events=(again,)), findings(4, events=edits(2, 3, run="again")))
        assert runs(store) == [("0-0", "killed"), ("1-0", "again"), ("2-0", "again"), ("3-0", "again")]


def test_same_id_twice_in_one_run_is_two_events(path):
    with opened(path) as store:
        told(store, findings(1, events=edits(0)))
    with opened(path) as store:
        told(store, findings(2, events=edits(1, 1)), findings(3, events=edits(1)))
        assert seen(store) == ["0-0", "1-0", "1-0", "1-0"]


def test_events_without_an_id_are_never_taken_for_one_another(path):
    nameless = tuple(msgspec.structs.replace(each, id="") for each in edits(1, 1))
    with opened(path) as store:
        told(store, findings(2, events=nameless))
    with opened(path) as store:
        told(store, findings(2, events=nameless))
        assert seen(store) == [""] * 4


def test_twenty_runs_from_one_state_leave_the_events_of_the_last(path):
    with opened(path) as store:
        told(store, findings(1, analysis(0), events=edits(0)))
        store.save_state(saved(1))
    for run in range(6):
        with opened(path) as store:
            store.load_state()
            told(store, findings(2, events=edits(1.5, run=str(run))), findings(3, analysis(1), analysis(2)))
            told(store, findings(4, analysis(3), events=edits(3 + run / 10, run=str(run))))
            assert runs(store) == [("0-0", ""), ("1.5-0", str(run)), (f"{3 + run / 10}-0", str(run))]
            assert store.events().missed == 0


# -- backfill


def test_anomalies_are_filled_in_with_their_windows_and_grow_with_later_tellings(path):
    known, new = anomaly("known", 0), anomaly("new", 2)
    elsewhere = anomaly("elsewhere", 0.5)
    with opened(path) as store:
        told(store, findings(1, analysis(0), anomalies=(known,)))
        store.load_state()
        grown = msgspec.structs.replace(known, title="told again")
        assert store.backfill(findings(3, analysis(0), analysis(2), anomalies=(grown, new, elsewhere))) == (1, 1, 0)
        closed = anomaly("new", 2, updated=5, closed=5)
        assert store.backfill(findings(6, analysis(5), anomalies=(closed,))) == (1, 0, 0)
        assert store.backfill(findings(3, analysis(2), anomalies=(new,))) == (0, 0, 0)
        assert store.anomalies().items == (known, closed)


def test_backfill_goes_on_beside_the_live_run_and_blocks_until_it_is_committed(path):
    with opened(path) as store:
        for second in range(1000, 1020):
            store.append(findings(second + 1, analysis(second), events=edits(second)))
        begin = time.monotonic()
        assert store.backfill(findings(1, analysis(0), events=edits(0))) == (1, 0, 1)
        assert ask(store, "SELECT count(*) FROM windows") == [(21,)]
        assert time.monotonic() - begin < 10
        assert store.backfill(findings(1)) == (0, 0, 0)


def test_backfill_does_not_take_over(path):
    with opened(path) as store:
        store.save_state(saved(1))
        told(store, findings(3, analysis(1), analysis(2), events=edits(1, 2)))
    with opened(path) as store:
        store.load_state()
        store.backfill(findings(2, analysis(0), events=edits(0)))
        assert ask(store, "SELECT count(*) FROM windows") == [(3,)]
        assert len(seen(store)) == 3
