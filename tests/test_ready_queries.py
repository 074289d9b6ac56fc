"""The ready queries: each runs as it is, on a history with nothing in it and on one with everything in it."""

from __future__ import annotations

import math
import re

import msgspec
import pytest
from console_stand_in import DETECTORS, anomaly, event, findings

from tracewave_panel.errors import QueryError
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA, Feature, Feed, Metric
from tracewave_panel.model import Analysis, Label, Quality, Score, Severity, Window
from tracewave_panel.ready_queries import query_of_anomaly, ready_queries
from tracewave_panel.stores.duckdb import DuckDBStore

BEGIN = 1_790_000_040.0  # on the minute
STRANGE = Feed(
    name="strange",
    title='Strange "names"',
    dimensions=("user agent", "drop table; --", "it's"),
    measures=("size in $place",),
    features=(Feature("rate", "rate"), Feature("share of 'x'", "share", "it's", "x\n-- y")),
    metrics=(Metric("rate", "rate", "events/s", "calls of\nmany"),),
    series=("one", "two"),
    place="user agent",
    who="it's",
    actor="who did it",
    subject="select",
)
FEEDS = (WIKIMEDIA, msgspec.structs.replace(CRYPTO, series=CRYPTO.series[:2]), STRANGE)
LONG, BURST = 120, (90, 100)  # seconds


def told(feed: Feed, second: int) -> list[Analysis]:
    """One window of each series: every other event is of the first value, and in a burst all of them are."""
    start, burst, gap = BEGIN + second, BURST[0] <= second < BURST[1], 40 <= second < 45
    many = 0 if gap else 40 if burst else 10
    counts = tuple({"a": many - 2, "b": 2} if burst else {"a": many // 2, "b": many // 2} for _ in feed.dimensions)
    features = tuple(float(many) if feature.fold == "rate" else 0.25 for feature in feed.features)
    quality = Quality.GAP if gap else Quality.PARTIAL if second == 45 else Quality.OK
    late = 3 if second == 50 else 0
    scores = tuple(
        Score(name, score=0.9 if burst and place else 0.1, fired=burst and place > 0, p=0.1)
        if name != "seasonal"
        else Score(name, warm=False, reason="learning", windows_left=9)
        for place, name in enumerate(DETECTORS)
    )
    return [
        Analysis(
            metric=metric.name,
            window=Window(series, start, 1.0, many, features, counts, quality=quality, late=late),
            observed=float(many),
            expected=10.0,
            spread=2.0,
            scores=scores,
            severity=Severity.CRITICAL if burst else Severity.NONE,
            alerting=burst,
        )
        for series in feed.series
        for metric in feed.metrics
    ]


def fill(store: DuckDBStore, feed: Feed) -> str:
    """Two minutes with a gap and a burst, which is an anomaly with a label; return its id."""
    opened, closed = (BEGIN + second for second in BURST)
    found = anomaly(
        opened, closed, id="it's -- an id", series=feed.series[0], metric=feed.metrics[0].name, title="Burst"
    )
    for second in range(LONG):
        events = [
            event(
                BEGIN + second + 0.5,
                second,
                series=feed.series[0],
                dimensions=("a",) * len(feed.dimensions),
                measures=(1.0,) * len(feed.measures),
            )
        ]
        told_now = [found] if second == BURST[1] else []
        store.append(findings(BEGIN + second + 1, *told(feed, second), anomalies=told_now, events=events))
    store.label(Label(found.id, "real", BEGIN + 110))
    return found.id


@pytest.fixture(scope="module", params=FEEDS, ids=lambda feed: feed.name)
def histories(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    with (
        DuckDBStore(folder / "empty.duckdb", request.param) as empty,
        DuckDBStore(folder / "filled.duckdb", request.param) as filled,
    ):
        found = fill(filled, request.param)
        filled.flush()
        yield request.param, empty, filled, found


def test_every_one_runs_on_an_empty_history(histories):
    feed, empty, _, _ = histories
    for each in (*ready_queries(feed), query_of_anomaly(feed, "none", BEGIN, None)):
        assert empty.query(each.sql).columns, each.name


def test_every_one_finds_rows_where_there_are_some(histories):
    feed, _, filled, _ = histories
    bare = {"gaps"}  # gaps are told by marks, of which this history has none
    rows = {each.name: filled.query(each.sql).rows for each in ready_queries(feed)}
    assert {name for name, found in rows.items() if not found} == bare


def test_question_of_an_anomaly_says_who_was_above_the_usual(histories):
    feed, _, filled, found = histories
    asked = query_of_anomaly(feed, found, BEGIN + BURST[0], BEGIN + BURST[1])
    table = filled.query(asked.sql)
    assert table.columns == ("what", "rate", "usual", "excess")
    what, rate, usual, excess = table.rows[0]
    assert what.endswith(" a")
    assert rate == 38
    assert usual == 5, "the gap counted as quiet time"
    assert math.isclose(excess, rate - usual)


def test_open_anomaly_is_asked_up_to_the_last_window(histories):
    feed, _, filled, found = histories
    rates = {row[0]: row[1] for row in filled.query(query_of_anomaly(feed, found, BEGIN + 110, None).sql).rows}
    assert rates[f"{feed.dimensions[0]} a"] == 5


def test_names_are_for_addresses_and_each_once():
    for feed in FEEDS:
        queries = ready_queries(feed)
        names = [each.name for each in queries]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[\w-]+", name) for name in names)
        assert all(each.title and each.teaches.endswith(".") and "\n" not in each.title for each in queries)
        assert all(each.sql.startswith("-- ") for each in queries)


def test_feed_without_shares_has_no_question_about_one():
    bare = msgspec.structs.replace(WIKIMEDIA, features=WIKIMEDIA.features[:1])
    names = {each.name for each in ready_queries(WIKIMEDIA)} - {each.name for each in ready_queries(bare)}
    assert names == {"bot-share-by-hour"}


def test_wrong_table_would_be_noticed(histories):
    _, empty, _, _ = histories
    with pytest.raises(QueryError):
        empty.query("SELECT * FROM dimensions_by_day")
