"""The page's tables, words and views over a real RingStore, without a browser."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time

import httpx
import msgspec
import panel as pn
import pytest
from bokeh.document import Document
from bokeh.plotting import figure
from console_stand_in import (
    DETECTORS,
    SpokenControl,
    analysis,
    anomaly,
    console,
    dashboard_over,
    event,
    findings,
    samples_at,
    story,
)

from tracewave_panel.app.dashboard import SESSION_TOKEN_EXPIRATION, Dashboard
from tracewave_panel.app.header import Header, status_word
from tracewave_panel.app.live_table import EpisodeTable, LiveTable, row_of
from tracewave_panel.app.server import start
from tracewave_panel.app.state import Reader
from tracewave_panel.app.theme import paint, token
from tracewave_panel.app.wording import one_line
from tracewave_panel.errors import ConfigError, PortInUseError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Contribution, Origin, Quality, Sample, Severity, Verdict
from tracewave_panel.ports import FeedState
from tracewave_panel.stores.ring import RingStore

T = 1_700_000_000.0


def filled(seconds: int = 300, end: float = T) -> RingStore:
    store = RingStore()
    for each in story(end, seconds):
        store.append(each)
    return store


def told(document: Document, act) -> list:
    """Document events that an act causes."""
    heard: list = []
    document.on_change(heard.append)
    act()
    document.remove_on_change(heard.append)
    return heard


@pytest.fixture
def quiet_panel():
    yield
    pn.state.kill_all_servers()


def test_reader_takes_all_that_is_held_first_and_only_news_after():
    store = filled(30)
    reader = Reader(console(store))
    first = reader.read()
    assert len(first.analyses) == 30
    assert reader.read().analyses == ()
    store.append(findings(T + 1, analysis(T), events=[event(T, number) for number in range(40)]))
    news = reader.read()
    assert [a.window.start for a in news.analyses] == [T]
    assert [e.id for e in news.events] == [f"event-{number}" for number in range(40)]


def test_reader_pages_through_more_than_one_page_of_items():
    store = RingStore()
    for second in range(2100):
        store.append(findings(T + second + 1, analysis(T + second)))
    assert len(Reader(console(store)).read().analyses) == 2100


def test_reader_says_how_many_it_was_too_slow_to_read():
    store = RingStore(analyses=10)
    reader = Reader(console(store))
    reader.read()
    for second in range(25):
        store.append(findings(T + second + 1, analysis(T + second)))
    assert reader.read().missed == 15


def test_first_columns_are_plain_lists_of_equal_length():
    table = LiveTable(WIKIMEDIA)
    assert all(type(column) is list for column in table.source.data.values())
    table.take(Reader(console(filled())).read().analyses)
    assert all(type(column) is list for column in table.source.data.values())
    assert {len(column) for column in table.source.data.values()} == {300}


def test_rows_that_were_told_once_make_the_same_table_in_every_session():
    read = Reader(console(filled(60))).read().analyses
    own, shared = LiveTable(WIKIMEDIA), LiveTable(WIKIMEDIA)
    own.take(read)
    rows = [row_of(WIKIMEDIA, each, own.detectors) for each in read]
    shared.take_rows(rows[:40], own.detectors)
    shared.take_rows(rows[40:], own.detectors)
    assert shared.detectors == own.detectors
    for name, column in own.source.data.items():
        assert shared.source.data[name] == pytest.approx(column, nan_ok=True), name


def test_rows_told_before_a_detector_appeared_have_no_score_of_it():
    table, early = LiveTable(WIKIMEDIA), ("zscore",)
    table.take_rows([row_of(WIKIMEDIA, analysis(T), early)], early)
    table.take_rows(
        [row_of(WIKIMEDIA, analysis(T + 1), DETECTORS), row_of(WIKIMEDIA, analysis(T + 2), early)], DETECTORS
    )
    assert table.source.data["score_0"] == [0.1, 0.1, 0.1]
    assert table.source.data["score_1"] == pytest.approx([math.nan, 0.08, math.nan], nan_ok=True)


def test_rollover_keeps_a_quarter_of_an_hour():
    table = LiveTable(WIKIMEDIA)
    table.take([analysis(T)])
    for second in range(1, 1000):
        table.take([analysis(T + second)])
    starts = table.source.data["start"]
    assert len(starts) == 900
    assert starts[-1] == (T + 999) * 1000
    assert starts == sorted(starts)


def test_told_again_gap_is_patched_where_it_lies():
    table = LiveTable(WIKIMEDIA)
    table.take([analysis(T), analysis(T + 1, quality=Quality.GAP), analysis(T + 2)])
    assert math.isnan(table.source.data["observed"][1])
    table.take([analysis(T + 1, 33.0, quality=Quality.REVISED, revision=1)])
    data = table.source.data
    assert data["start"] == [T * 1000, (T + 1) * 1000, (T + 2) * 1000]
    assert data["backfilled"][1] == data["observed"][1] == 33.0
    assert math.isnan(data["gap"][1])
    assert math.isnan(data["line"][1])


def test_window_from_before_that_was_never_told_finds_its_place():
    table = LiveTable(WIKIMEDIA)
    table.take([analysis(T), analysis(T + 2)])
    table.take([analysis(T + 1)])
    assert table.source.data["start"] == [T * 1000, (T + 1) * 1000, (T + 2) * 1000]


@pytest.mark.parametrize(
    ("quality", "column"),
    [
        (Quality.OK, "line"),
        (Quality.BACKFILLED, "backfilled"),
        (Quality.REVISED, "backfilled"),
        (Quality.PARTIAL, "partial"),
    ],
)
def test_each_quality_is_drawn_by_its_own_mark(quality, column):
    table = LiveTable(WIKIMEDIA)
    table.take([analysis(T, 50.0, quality=quality)])
    drawn = {name for name in ("line", "backfilled", "partial") if table.source.data[name] == [50.0]}
    assert drawn == {column}


def test_nothing_is_drawn_or_counted_inside_a_gap():
    table = LiveTable(WIKIMEDIA)
    table.take([analysis(T, 50.0, (0.9,) * 5, quality=Quality.GAP)])
    for name in ("observed", "line", "backfilled", "partial", "score_0", "fired", "feature_0"):
        assert math.isnan(table.source.data[name][0]), name
    assert table.source.data["gap"] == [T * 1000]


def test_cold_detector_has_no_score_and_counts_down():
    table = LiveTable(WIKIMEDIA)
    table.take([analysis(T, cold=("trees",))])
    data = table.source.data
    assert math.isnan(data["score_2"][0])
    assert data["left_2"] == [212.0]
    assert data["warm"] == [4.0]


def test_unknown_expectation_leaves_no_band():
    table = LiveTable(WIKIMEDIA)
    cold = analysis(T)
    table.take([type(cold)(metric="rate", window=cold.window, observed=3.0)])
    for name in ("expected", "low", "high", "lowest", "highest"):
        assert math.isnan(table.source.data[name][0]), name


def test_open_episode_needs_no_message_to_grow():
    episodes = EpisodeTable()
    episodes.take([anomaly(T)])
    assert episodes.source.data["end"] == [EpisodeTable.OPEN_END]
    episodes.take([anomaly(T, closed=T + 60)])
    assert episodes.source.data["end"] == [(T + 60) * 1000]
    assert len(episodes.source.data["title"]) == 1


def test_one_window_is_one_stream_and_quiet_is_no_message():
    store = filled()
    dashboard = dashboard_over(store)
    document = Document()
    dashboard.template.server_doc(document)
    assert told(document, dashboard.refresh) == []
    store.append(findings(T + 1, analysis(T)))
    heard = told(document, dashboard.refresh)
    assert [type(change).__name__ for change in heard] == ["ColumnsStreamedEvent"]


def test_page_costs_less_than_forty_bare_figures_and_a_tick_less_than_a_fifth_of_one():
    store = filled(900)

    def page() -> Dashboard:
        dashboard = dashboard_over(store)
        dashboard.template.server_doc(Document())
        return dashboard

    def bare_figures() -> None:
        document = Document()
        for _ in range(10):
            bare = figure()
            bare.line([0, 1], [0, 1])
            document.add_root(bare)

    page(), bare_figures()
    built = least_cost(page)
    bare = least_cost(bare_figures) / 10
    dashboard = page()
    ticks = []
    for second in range(100):
        store.append(findings(T + second + 1, analysis(T + second), events=[event(T + second, second)]))
        ticks.append(least_cost(dashboard.refresh, times=1))
    tick = sorted(ticks)[50]
    print(f"page {1000 * built:.0f} ms, tick {1000 * tick:.2f} ms, a bare figure {1000 * bare:.0f} ms")
    assert built < 40 * bare
    assert tick < bare / 5


def least_cost(call, times=4):
    """Seconds of CPU of the least disturbed of several calls."""
    costs = []
    for _ in range(times):
        begun = time.process_time()
        call()
        costs.append(time.process_time() - begun)
    return min(costs)


def test_empty_store_makes_a_page_and_the_first_window_brings_the_lanes():
    store = RingStore()
    dashboard = dashboard_over(store)
    assert len(dashboard.live.lanes.__panel__()) == 0
    store.append(findings(T + 1, analysis(T, cold=("trees",))))
    dashboard.refresh()
    dashboard.refresh()
    rows = list(dashboard.live.lanes.__panel__())
    assert [row.heading for row in rows] == ["z-score", "EWMA", "Half-Space Trees", "Novelty", "Seasonal"]
    assert [row.reason for row in rows] == ["", "", "learning, 212 windows left", "", ""]
    assert len({row.colour for row in rows}) == len({row.subheading for row in rows}) == 5


def test_detector_that_appears_later_gets_its_lane_and_its_columns():
    store = RingStore()
    dashboard = dashboard_over(store)
    first = analysis(T)
    store.append(findings(T + 1, type(first)(**{**_fields(first), "scores": first.scores[:1]})))
    dashboard.refresh()
    store.append(findings(T + 2, analysis(T + 1)))
    dashboard.refresh()
    dashboard.refresh()
    assert len(dashboard.live.lanes.__panel__()) == 5
    assert math.isnan(dashboard.live.table.source.data["score_2"][0])
    assert dashboard.live.table.source.data["score_2"][1] == 0.12


def _fields(value) -> dict:
    return {name: getattr(value, name) for name in value.__struct_fields__}


@pytest.mark.parametrize(
    ("state", "origin", "expected"),
    [
        (FeedState("live", "1.1 s behind"), Origin.LIVE, ("LIVE", "live", "1.1 s behind")),
        (FeedState("live"), Origin.SIMULATED, ("SIMULATED", "calm", "")),
        (FeedState("replay"), Origin.SIMULATED, ("SIMULATED", "calm", "")),
        (FeedState("live"), Origin.IMPORTED, ("REPLAY", "calm", "")),
        (FeedState("replay", "10x"), Origin.IMPORTED, ("REPLAY 10x", "calm", "")),
        (FeedState("replay", "2.5 x, 14 Nov"), Origin.IMPORTED, ("REPLAY 2.5x", "calm", "14 Nov")),
        (FeedState("replay", "as fast as it goes"), Origin.IMPORTED, ("REPLAY", "calm", "as fast as it goes")),
        (FeedState("catching_up", "3 s left"), Origin.LIVE, ("CATCHING UP", "warn", "3 s left")),
        (FeedState("catching_up"), Origin.SIMULATED, ("CATCHING UP", "warn", "")),
        (FeedState("reconnecting", "reset by peer"), Origin.LIVE, ("RECONNECTING", "warn", "reset by peer")),
        (FeedState("connecting"), Origin.LIVE, ("CONNECTING", "warn", "")),
        (FeedState("gap", "18 s lost"), Origin.LIVE, ("GAP", "warn", "18 s lost")),
        (FeedState("ended"), Origin.IMPORTED, ("ENDED", "calm", "")),
        (FeedState("melting"), Origin.LIVE, ("MELTING", "warn", "")),
    ],
)
def test_status_is_never_better_than_the_source_says(state, origin, expected):
    assert status_word(state, origin) == expected


def test_status_follows_the_source_and_counts_open_anomalies():
    store, control = RingStore(), SpokenControl()
    dashboard = dashboard_over(store, control)
    line = dashboard.status.__panel__()
    assert header_of(line) == Header("LIVE", "LIVE", "live", "1.1 s behind")
    control.state = FeedState("reconnecting", "the server closed the stream; next try in 4 s")
    store.append(findings(T, anomalies=[anomaly(T - 60, severity=Severity.WARNING)]))
    dashboard.refresh()
    note = "the server closed the stream; next try in 4 s"
    assert header_of(line) == Header("LIVE", "RECONNECTING", "warn", note, open=1, worst="warning")
    store.append(findings(T, anomalies=[anomaly(T - 60, closed=T)]))
    dashboard.refresh()
    assert header_of(line).open == 0


def header_of(line) -> Header:
    return msgspec.json.decode(line.header, type=Header)


def cards_of(dashboard: Dashboard) -> list[dict]:
    return json.loads(dashboard.live.cards.__panel__().cards)


def test_card_keeps_its_id_while_it_grows_and_closes():
    store = RingStore()
    dashboard = dashboard_over(store)
    for telling in (anomaly(T), anomaly(T, observed=150.0), anomaly(T, closed=T + 20)):
        store.append(findings(T + 1, anomalies=[telling]))
        dashboard.refresh()
    (card,) = cards_of(dashboard)
    assert (card["id"], card["closed"]) == (f"edits-rate-{T:.0f}", T + 20)


def test_card_says_what_was_seen_expected_and_why():
    store = RingStore()
    store.append(findings(T, anomalies=[anomaly(T)]))
    (card,) = cards_of(dashboard_over(store))
    assert (card["observed"], card["expected"], card["ratio"], card["confidence"]) == ("131", "41.6", "3.1×", "0.90")
    assert card["conclusion"] == "91 % accounted for"
    assert card["detectors"] == [
        ["z-score", "agrees", "--d-z"],
        ["EWMA", "agrees", "--d-ewma"],
        ["Half-Space Trees", "quiet", "--d-trees"],
        ["Novelty", "quiet", "--d-novelty"],
        ["Seasonal", "abstains", "--d-seasonal"],
    ]
    assert [(part["value"], round(part["excess"], 1)) for part in card["why"]][::3] == [
        ("commons.wikimedia.org", 76.5),
        ("human", -2.7),
    ]


def test_card_says_how_rare_it_is_and_whether_that_is_only_a_default():
    store = RingStore()
    store.append(findings(T, anomalies=[anomaly(T, rarity=0.125, provisional=True)]))
    (card,) = cards_of(dashboard_over(store))
    assert (card["rarity"], card["provisional"]) == (0.125, True)


def test_samples_are_shown_once_each_with_the_first_named_value_they_belong_to():
    shown, again = samples_at(T, 1, 2), samples_at(T, 2, 3)
    parts = [
        Contribution("wiki", "commons", 9.0, 1.0, 0.9, 9.0, True, shown),
        Contribution("actor", "bot", 9.0, 1.0, 0.9, 9.0, True, again),
        Contribution("actor", "human", 9.0, 1.0, 0.1, 1.0, False, samples_at(T, 4)),
        Contribution("kind", "edit", 9.0, 1.0, 0.9, 9.0, True, again),
    ]
    store = RingStore()
    store.append(findings(T, anomalies=[anomaly(T, contributions=tuple(parts))]))
    (card,) = cards_of(dashboard_over(store))
    assert [(group["value"], [event[0] for event in group["events"]]) for group in card["samples"]] == [
        ("commons", ["22:13:21", "22:13:22"]),
        ("bot", ["22:13:23"]),
    ]


def test_sample_links_only_to_the_web():
    sample = Sample("1", T, "a title", "javascript:alert(1)")
    part = Contribution("wiki", "commons", 9.0, 1.0, 0.9, 9.0, True, (sample,))
    store = RingStore()
    store.append(findings(T, anomalies=[anomaly(T, contributions=(part,))]))
    (card,) = cards_of(dashboard_over(store))
    assert card["samples"][0]["events"] == [["22:13:20", "a title", ""]]


def test_table_holds_how_far_each_detector_looked_and_how_rare_the_window_is():
    table = LiveTable(WIKIMEDIA)
    table.take([analysis(T, cold=("trees",), provisional=True), analysis(T + 1, quality=Quality.PARTIAL)])
    data = table.source.data
    assert (data["span_0"][0], data["span_3"][0], data["rarity"][0], data["provisional"][0]) == (10.0, 120.0, 1e-4, 1.0)
    assert all(math.isnan(value) for value in (data["span_2"][0], data["span_0"][1], data["rarity"][1]))


def test_global_change_names_no_slice():
    store = RingStore()
    store.append(findings(T, anomalies=[anomaly(T, verdict=Verdict.GLOBAL)]))
    (card,) = cards_of(dashboard_over(store))
    assert card["conclusion"] == "global: no single slice stands out"


def test_thirty_newest_cards_are_kept():
    store = RingStore()
    store.append(findings(T, anomalies=[anomaly(T + number) for number in range(40)]))
    cards = cards_of(dashboard_over(store))
    assert [card["opened"] for card in cards] == [T + number for number in range(39, 9, -1)]


def test_empty_feed_of_anomalies_says_who_judges():
    store = RingStore()
    store.append(findings(T + 1, analysis(T, cold=("novelty", "seasonal"))))
    assert dashboard_over(store).live.cards.__panel__().judging == (
        "3 of 5 detectors judge; Novelty in 50 min 00 s, Seasonal in 2 d 3 h"
    )


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "//example.org", "JAVASCRIPT:alert(1)"])
def test_only_web_addresses_become_links(link):
    store = RingStore()
    store.append(findings(T, events=[event(T, 1, link=link)]))
    rows = json.loads(dashboard_over(store).live.events.__panel__().events)
    assert rows[0][-1] == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("a\u202eb\u2066c\x00d", "abcd"),
        ("two\nlines", "two lines"),
        ("x" * 30, "x" * 19 + "…"),
        ("<b>&amp;", "<b>&amp;"),
    ],
)
def test_one_line_loses_direction_and_control_characters_only(text, line):
    assert one_line(text, 20) == line


def test_every_painted_property_is_a_token_of_the_dark_theme():
    document = Document()
    dashboard_over(filled(60)).template.server_doc(document)
    painted = [tag["paint"] for model in document.models for tag in model.tags if isinstance(tag, dict)]
    assert len(painted) > 40
    for tokens in painted:
        for value in tokens.values():
            assert all(token(name).startswith("#") for name in ([value] if isinstance(value, str) else value))


def test_unknown_token_is_refused():
    with pytest.raises(KeyError):
        paint(EpisodeTable().source, name="--nothing")


async def test_root_shows_the_page_and_healthz_makes_no_session(quiet_panel):
    server = start(console(filled(10)), address="127.0.0.1", port=0)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            health = await client.get("/healthz")
            assert (health.status_code, health.json()) == (200, {"status": "ok"})
            assert server.get_sessions("/") == []
            page = await client.get("/")
            assert page.status_code == 200
            assert '<html lang="en" data-page="live"' in page.text
            assert "<title>Live · Tracewave</title>" in page.text
            font = await client.get(
                "/components/tracewave_panel.app.theme/ConsoleTemplate/_resources/assets/assets/fonts/inter-latin-wght-normal.woff2"
            )
            assert font.content[:4] == b"wOF2"
        assert len(server.get_sessions("/")) == 1
        assert SESSION_TOKEN_EXPIRATION == 86_400
    finally:
        server.stop()
        server.unlisten()
        await asyncio.sleep(0.1)


async def test_taken_port_is_told_in_words():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"port {port} on 127\.0\.0\.1 is taken.*another port"):
            start(console(), address="127.0.0.1", port=port)


async def test_foreign_address_is_told_in_words():
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
        start(console(), address="192.0.2.1", port=0)
