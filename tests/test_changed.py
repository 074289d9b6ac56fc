"""What the views of a brushed range say, and how seldom they speak."""

from __future__ import annotations

import json

import msgspec
import pytest
from console_stand_in import event

from tracewave_panel.app.event_rows import event_row
from tracewave_panel.app.views.changed import Changed
from tracewave_panel.app.views.events import Events
from tracewave_panel.core.brushed import RangeChange
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.model import Contribution, Verdict

T = 1_700_000_000.0
BURST = RangeChange(
    start=T,
    end=T + 59,
    rows=(
        Contribution("wiki", "commons.wikimedia.org", 83.4, 6.9, 0.88, 14.0, True),
        Contribution("actor_type", "human", 22.9, 25.6, -0.03, -0.5, False),
    ),
    completeness=0.91,
    verdict=Verdict.CULPRIT,
    direction=1,
    observed=131.0,
    usual=41.6,
    judged=56.0,
    partial=1.0,
    missing=2.0,
    windows=841,
    since=T - 900,
    until=T,
)


def said(change: RangeChange | None) -> dict:
    view = Changed(WIKIMEDIA)
    view.show(change)
    return json.loads(view.__panel__().ranking or "{}")


def with_(**fields) -> RangeChange:
    return msgspec.structs.replace(BURST, **fields)


def test_culprit_is_told_by_its_rows_and_how_much_they_account_for():
    told = said(BURST)
    assert (told["range"], told["accounted"], told["conclusion"]) == (
        "22:13:20 to 22:14:19",
        ["91 %", "accounted for"],
        "",
    )
    assert [(row["dimension"], row["usual"], row["seen"], row["signed"]) for row in told["rows"]] == [
        ("wiki", "6.9", "83.4", "+76.5"),
        ("actor type", "25.6", "22.9", "−2.7"),
    ]
    assert told["rests"] == (
        "usual of 841 windows, 21:58:20 to 22:13:20; 2 s of the range lost in gaps; 1 s partial: rates may be too low"
    )


@pytest.mark.parametrize(
    ("change", "accounted", "conclusion"),
    [
        (
            with_(verdict=Verdict.GLOBAL),
            ["", "global"],
            "Everything rose alike: 131 edits a second, usually 41.6. No single slice stands out.",
        ),
        (
            with_(verdict=Verdict.GLOBAL, direction=-1, observed=0.04),
            ["", "global"],
            "Everything fell alike: 0.04 edits a second, usually 41.6. No single slice stands out.",
        ),
        (
            with_(verdict=Verdict.NONE, direction=0, observed=42.0),
            ["", "as usual"],
            "As usual: 42.0 edits a second, usually 41.6, and the mix did not change.",
        ),
        (
            with_(verdict=Verdict.NONE, direction=0, judged=0.0),
            ["", "as usual"],
            "The mix is as usual. The total says nothing: every window of it is partial.",
        ),
        (
            with_(direction=0, observed=42.0),
            ["91 %", "of the shift"],
            "The total is as usual, the mix is not: 42.0 edits a second, usually 41.6.",
        ),
        (with_(rows=(), reason="All of it is a gap."), ["", ""], "All of it is a gap."),
    ],
)
def test_every_verdict_has_its_words(change, accounted, conclusion):
    told = said(change)
    assert (told["accounted"], told["conclusion"]) == (accounted, conclusion)


def test_rates_under_one_show_two_digits_and_an_excess_of_nothing_has_no_sign():
    row = Contribution("wiki", "arz", 0.42, 0.05, 0.9, 5.0, True)
    still = Contribution("wiki", "de", 0.1, 0.1001, 0.0, 0.0, False)
    told = said(with_(rows=(row, still)))
    assert [(each["usual"], each["seen"], each["signed"]) for each in told["rows"]] == [
        ("0.05", "0.42", "+0.37"),
        ("0.10", "0.10", "0.00"),
    ]


def test_ranking_is_sent_once_and_cleared_by_none():
    view, heard = Changed(WIKIMEDIA), []
    view.__panel__().param.watch(heard.append, "ranking")
    view.show(BURST)
    view.show(BURST)
    assert len(heard) == 1
    view.show(None)
    view.show(None)
    assert len(heard) == 2
    assert view.__panel__().ranking == ""


def test_range_shows_its_newest_events_and_how_many_are_held():
    view = Events(WIKIMEDIA)
    view.show_range([event(T + number % 50, number) for number in range(7418)])
    brushed = json.loads(view.__panel__().brushed)
    assert (brushed["count"], brushed["gone"], len(brushed["events"])) == ("7,418", False, 12)
    assert {row[0] for row in brushed["events"]} == {"22:14:09"}
    view.show_range(None)
    assert view.__panel__().brushed == ""


@pytest.mark.parametrize(
    ("held", "total", "count", "gone"),
    [
        (100, None, "100", False),
        (7418, 7425, "7,418", False),
        (5000, 7418, "5,000 of 7,418 still held", True),
        (0, 7418, "0 of 7,418 still held", True),
        (0, 0, "0", False),
    ],
)
def test_range_says_when_the_store_no_longer_holds_all_of_it(held, total, count, gone):
    view = Events(WIKIMEDIA)
    view.show_range([event(T, number) for number in range(held)], total)
    brushed = json.loads(view.__panel__().brushed)
    assert (brushed["count"], brushed["gone"]) == (count, gone)


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("commons.wikimedia.org", "commons"),
        ("en.wikipedia.org", "enwiki"),
        ("www.wikidata.org", "wikidata"),
        ("fr.wiktionary.org", "frwiktionary"),
        ("kraken", "kraken"),
        ("<b>.wikipedia.org", "<b>.wikipedia.org"),
    ],
)
def test_wikis_go_by_their_short_names(place, shown):
    assert event_row(WIKIMEDIA, event(T, 1, dimensions=(place, "", "", "", "")))[1] == shown


def test_feed_without_edits_names_its_own_columns_and_leaves_prices_unsigned():
    view = Events(CRYPTO)
    assert view.__panel__().heading == "Raw trades"
    assert json.loads(view.__panel__().columns) == ["time", "exchange", "who", "title", "price", "open"]
    trade = event(T, 1, dimensions=("kraken", "BTC-USD", "buy"), measures=(67_123.4, 0.1, 6_712.3))
    assert event_row(CRYPTO, trade)[4] == "67,123"


@pytest.mark.parametrize(
    ("value", "shown"), [(62.0, "62"), (-9.5, "\N{MINUS SIGN}9.50"), (0.0123, "0.0123"), (0.0, "0")]
)
def test_cents_of_a_measure_are_shown(value, shown):
    assert event_row(CRYPTO, event(T, 1, dimensions=("kraken",), measures=(value,)))[4] == shown


def test_only_web_addresses_leave_the_server():
    assert event_row(WIKIMEDIA, event(T, 1, link="javascript:alert(1)"))[5] == ""
