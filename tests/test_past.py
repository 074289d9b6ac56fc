"""History as tables: SQL with dtypes, and stretches that are the very tables of a replay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from api_server import kept, served_api

from tracewave_panel import Mapping, Past, Run, history, replay
from tracewave_panel.errors import ConfigError, QueryError, StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Origin
from tracewave_panel.notebook.answers import frame_of
from tracewave_panel.notebook.own import own_rows
from tracewave_panel.notebook.stored import Stored
from tracewave_panel.plan import BUNDLED
from tracewave_panel.playback import replay as play
from tracewave_panel.playback import replay_batches
from tracewave_panel.settings import Settings
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.open_history import SOCKET_FILE
from tracewave_panel.stores.query_socket import QuerySocket

TABLES = ("windows", "scores", "anomalies", "gaps", "counts", "events")
START = 1_767_225_600


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which a replay of the bundled recording was stored."""
    made = tmp_path_factory.mktemp("history")
    with DuckDBStore(made / "history.duckdb", WIKIMEDIA, origin=Origin.SIMULATED) as store:
        play(BUNDLED, Settings().pipeline(), tell=store.append)
        store.flush(60)
    return made


@pytest.fixture(scope="module")
def past(folder) -> Past:
    return history(folder)


@pytest.fixture(scope="module")
def stored(past) -> Run:
    return past.last("1h")


@pytest.fixture(scope="module")
def replayed() -> Run:
    return replay(BUNDLED)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """A folder whose history somebody writes, and the address of an API that answers about it."""
    made = tmp_path_factory.mktemp("running")
    with kept(made) as console, served_api(console) as api:
        socket = QuerySocket(console.history, made / SOCKET_FILE)
        yield made, api.url
        socket.close()


@pytest.mark.parametrize("table", TABLES)
def test_stored_run_is_the_same_tables_as_its_replay(table, stored, replayed):
    pd.testing.assert_frame_equal(getattr(stored, table), getattr(replayed, table))


def test_stored_anomaly_is_explained_in_the_same_words(stored, replayed):
    for anomaly_id in replayed.anomalies.index:
        told = stored.explain(anomaly_id)
        assert told._repr_html_() == replayed.explain(anomaly_id)._repr_html_()
        pd.testing.assert_frame_equal(told.table, replayed.explain(anomaly_id).table)


def test_stretch_holds_the_windows_that_start_in_it_and_what_overlaps_it(past):
    part = past.between("2026-01-01 00:17:10", pd.Timestamp("2026-01-01 01:18:00", tz="Europe/Berlin"))
    assert part.windows.index[[0, -1]].strftime("%M:%S").tolist() == ["17:10", "17:59"]
    assert part.anomalies["kind"].tolist() == ["feed_silent"]
    assert part.gaps["seconds"].tolist() == [45.0]
    assert part.events["time"].min() >= pd.Timestamp("2026-01-01 00:17:10", tz="UTC")
    assert past.last("90 s").windows.index[0] == pd.Timestamp("2026-01-01 00:28:30", tz="UTC")
    few = past.between("2026-01-01", "2026-01-02", most_events=5)
    assert len(few.events) == 5
    assert few.events.attrs["missed"] == 68_130 - 5


def test_long_tables_come_in_pages(past, stored):
    since = stored.windows.index[0].timestamp()
    paged = Run(Stored(past._ask, past.feed, since, since + 300, page=700, most_events=0), "in pages")
    pd.testing.assert_frame_equal(paged.windows, stored.windows.iloc[:300])
    first = stored.scores[stored.scores["time"] < stored.windows.index[300]]
    assert len(first) > 1400
    assert paged.scores["score"].equals(first["score"])


def test_folder_file_and_address_give_the_same_and_say_who_answers(running):
    folder, url = running
    said = {}
    for name, place in (("folder", str(folder)), ("file", folder / "history.duckdb"), ("address", url)):
        asked = history(place)
        assert asked.query("SELECT count(*) AS n FROM windows")["n"].tolist() == [300]
        run = asked.last("5min")
        assert (len(run.windows), len(run.scores)) == (300, 1500)
        said[name] = asked.at
    assert "server that has" in said["folder"]
    assert "server that has" in said["file"]
    assert url.removeprefix("http://") in said["address"]


def test_tables_and_columns_say_what_they_are(past):
    tables = past.tables
    assert {"windows", "scores", "anomalies", "events", "rate_by_minute"} <= set(tables.index)
    assert tables.loc["rate_by_minute", "kind"] == "view"
    assert tables["comment"].str.len().min() > 10
    columns = past.columns("windows")
    assert columns.loc["start", "comment"] == "first moment of the window"
    assert columns.loc["rate", "type"] == "DOUBLE"
    with pytest.raises(ConfigError, match="there is no table 'widnows'; there is anomalies"):
        past.columns("widnows")
    with pytest.raises(ConfigError, match="there is no table"):
        past.columns("x' OR '1'='1")


@pytest.mark.parametrize(
    ("sql", "dtype", "first"),
    [
        ("now()", "datetime64[us, UTC]", None),
        ("TIMESTAMP '2026-01-01'", "datetime64[us]", pd.Timestamp("2026-01-01")),
        ("DATE '2026-01-01'", "datetime64[s]", pd.Timestamp("2026-01-01")),
        ("sum(1)", "int64", 1),
        ("1.5::DECIMAL(4, 2)", "float64", 1.5),
        ("1::TINYINT", "int8", 1),
        ("unnest([1, NULL])", "Int32", 1),
        ("unnest([true, NULL])", "boolean", True),
        ("true", "bool", True),
        ("NULL::DOUBLE", "float64", None),
        ("'a'", "str", "a"),
        ("INTERVAL 90 SECOND", "timedelta64[us]", pd.Timedelta(seconds=90)),
        ("170141183460469231731687303715884105727", "float64", 2.0**127),
    ],
)
def test_answers_have_dtypes_to_compute_with(past, sql, dtype, first):
    answer = past.query(f"SELECT {sql} AS told")
    assert str(answer["told"].dtype) == dtype
    if first is not None:
        assert answer["told"].iloc[0] == first


def test_answers_keep_columns_of_one_name_and_no_rows():
    twice = frame_of(pa.table([pa.array([1]), pa.array([2])], names=["n", "n"]))
    assert twice.columns.tolist() == ["n", "n_1"]
    assert frame_of(pa.table({"n": pa.array([], pa.int64())}))["n"].dtype == "int64"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM nowhere", "nowhere"),
        ("DROP TABLE windows", "only SELECT"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("SELECT * FROM scores", "more than 100 rows"),
    ],
)
def test_sql_that_is_refused_says_why(past, sql, words):
    with pytest.raises(QueryError, match=words):
        past.query(sql, max_rows=100)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda past: past.last("soon"), "last('soon') is no length of time; write it as '90 s', '15min'"),
        (lambda past: past.last("0 h"), "is no length of time"),
        (lambda past: past.between("yesterday-ish", "2026-01-01"), "since='yesterday-ish' is no moment"),
        (lambda past: past.between("2026-01-02", "2026-01-01"), "there is no time"),
        (lambda past: past.between(None, "2026-01-01"), "there is no time"),
        (lambda past: past.last("1h").explain("x"), "there is no anomaly 'x'; the nearest are"),
    ],
)
def test_stretch_that_is_none_is_refused_in_words(past, ask, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        ask(past)


@pytest.mark.parametrize("place", ["nothing-here", "nothing.duckdb", "http://127.0.0.1:9"])
def test_place_without_a_history_is_said_at_once(place, tmp_path):
    with pytest.raises(StoreError):
        history(place if "://" in place else tmp_path / place)


def test_history_of_ones_own_feed_is_read_from_itself(tmp_path):
    mapping = Mapping(name="orders", time="at", actor="who", dimensions=["country"], measures={"euros": "amount"})
    rows = [{"at": START + n / 4, "country": "de", "amount": 2.5, "who": "ada"} for n in range(400)]
    own = own_rows(rows, mapping, lateness=10.0, hole=3600.0)
    with DuckDBStore(tmp_path / "history.duckdb", mapping.feed, origin=Origin.IMPORTED) as store:
        replay_batches(mapping.feed, own.batches, Settings().pipeline(), name="orders", tell=store.append)
        store.flush(30)
    kept_run, run = history(tmp_path).last("1h"), replay(rows, mapping=mapping)
    assert kept_run.feed.name == "orders"
    for table in TABLES:
        pd.testing.assert_frame_equal(getattr(kept_run, table), getattr(run, table))


def test_cells_say_what_is_there(past, stored, folder):
    for text in (repr(past), past._repr_html_()):
        for words in ("Wikimedia edits: history", "1,800", "rate_by_minute", str(folder)):
            assert words in text
    assert "3 critical" in stored._repr_html_()
    assert "4b32cc6c9f54" in stored._repr_html_()
