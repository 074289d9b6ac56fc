"""What cards say of mutes and what they ask of the server, over a real RingStore and without a browser."""

from __future__ import annotations

import json
import time

import pytest
from console_stand_in import SpokenControl, anomaly, console, dashboard_over, findings
from panel.models.esm import DataEvent
from visiting import HOSTILE

from tracewave_panel.app.board import Board
from tracewave_panel.app.card import card_json, card_text
from tracewave_panel.app.notices import Said, kind_words, mute_of, mutes_on
from tracewave_panel.app.views.cards import Cards
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.model import AnomalyKind, Mute
from tracewave_panel.ports import RouteStatus
from tracewave_panel.stores.ring import RingStore

T = 1_700_000_000.0
HOUR = 3600.0
KIND = {"series": "edits", "metric": "rate", "kind": "rate_up"}


@pytest.fixture
def store():
    made = RingStore()
    made.append(findings(T, anomalies=[anomaly(T - 100, T - 50, id="closed"), anomaly(T, id="open")]))
    return made


def press(view, **message) -> dict:
    """What the page is answered when it says this."""
    shown = view.__panel__()
    shown._process_event(DataEvent(None, data=message))
    return json.loads(shown.answer or "{}")


def cards_of(view) -> dict[str, dict]:
    return {card["id"]: card for card in json.loads(view.__panel__().cards)}


def told(store, control, by="") -> Cards:
    view = Cards(WIKIMEDIA, control, by)
    view.tell(store.anomalies().items, None, Said.to(control))
    return view


# -- which mute is asked for, and on which cards it is


@pytest.mark.parametrize(
    ("silence", "expected"),
    [
        ("hour", Mute("episode:open", T, T + HOUR, anomaly_id="open", by="Ada")),
        ("four_hours", Mute("episode:open", T, T + 4 * HOUR, anomaly_id="open", by="Ada")),
        ("until_closed", Mute("episode:open", T, None, anomaly_id="open", by="Ada")),
        ("day", Mute("kind:edits:rate:rate_up", T, T + 24 * HOUR, **KIND, by="Ada")),
        ("until_undone", Mute("kind:edits:rate:rate_up", T, None, **KIND, by="Ada")),
    ],
)
def test_choice_on_a_card_names_its_episode_or_its_kind(silence, expected):
    asked = mute_of(anomaly(T, id="open"), silence, T, "Ada")
    assert asked == expected
    assert asked.silences(anomaly(T, id="open"), T)


@pytest.mark.parametrize(
    ("feed", "parts", "words"),
    [
        (WIKIMEDIA, ("rate_up", "rate", "edits"), "surges in edits"),
        (WIKIMEDIA, ("mix_shift", "rate", "edits"), "mix shifts in edits"),
        (WIKIMEDIA, ("feed_silent", "rate", "edits"), "a silent feed"),
        (CRYPTO, ("feed_silent", "trades", "kraken:BTC-USD"), "a silent feed on kraken:BTC-USD"),
        (CRYPTO, ("rate_down", "trades", "kraken:BTC-USD"), "drops in trades on kraken:BTC-USD"),
        (CRYPTO, ("", "", "kraken:BTC-USD"), "everything on kraken:BTC-USD"),
        (CRYPTO, ("", "price", ""), "everything in price"),
        (WIKIMEDIA, ("", "", ""), "everything"),
        (WIKIMEDIA, ("a kind\nof its own", "unknown", ""), "a kind of its own in unknown"),
    ],
)
def test_sort_of_anomaly_has_plain_words(feed, parts, words):
    assert kind_words(feed, *parts) == words


@pytest.mark.parametrize("kind", list(AnomalyKind))
def test_every_kind_has_words_of_its_own(kind):
    assert kind.value not in kind_words(WIKIMEDIA, kind, "rate", "edits")


def test_snooze_is_on_its_episode_while_that_is_open_and_a_kind_on_all_of_it():
    snooze = Mute("s", T, None, anomaly_id="one")
    kind = Mute("k", T, T + 9, series="edits", metric="rate", kind="rate_up")
    mutes = (snooze, kind)
    assert mutes_on(anomaly(T, id="one"), mutes) == mutes
    assert mutes_on(anomaly(T, id="another"), mutes) == (kind,)
    assert mutes_on(anomaly(T, T + 5, id="one"), mutes) == (kind,)
    assert mutes_on(anomaly(T, id="down", kind=AnomalyKind.RATE_DOWN), mutes) == ()


@pytest.mark.parametrize(
    ("fields", "words", "undo"),
    [
        ({"anomaly_id": "one"}, "Notices snoozed", True),
        ({"kind": "rate_up"}, "Notices of this kind are muted", True),
        ({"series": "edits"}, "Notices of this series are muted", False),
        ({}, "All notices are muted", False),
    ],
)
def test_card_says_in_words_what_mutes_it_and_undoes_no_more_than_its_kind(fields, words, undo):
    said = Said(mutes=(Mute("m", T, T + 60, by=HOSTILE[0] + "\u202e", **fields),))
    (mute,) = card_json(anomaly(T, id="one"), said, WIKIMEDIA)["muted"]
    assert (mute["words"], mute["undo"], mute["until"], mute["at"]) == (words, undo, T + 60, T)
    assert mute["by"] == HOSTILE[0]


def test_text_of_a_card_is_made_once_until_a_mute_is_on_it():
    one = anomaly(T, id="made once")
    first = card_text(one, Said(), WIKIMEDIA)
    assert card_text(one, Said(mutes=(Mute("x", T, anomaly_id="another"),), notified=True), WIKIMEDIA) is first
    mutes = Said(mutes=(Mute("x", T, anomaly_id="made once"),))
    muted = card_text(one, mutes, WIKIMEDIA)
    assert muted != first
    assert card_text(anomaly(T, id="made once"), mutes, WIKIMEDIA) is muted


# -- what a session asks


def test_snooze_reaches_the_control_with_its_giver_and_the_card_at_once(store):
    control = SpokenControl()
    view = told(store, control, "Ada")
    begin = time.time()
    assert press(view, id="open", silence="hour", number=1) == {"number": 1, "id": "open", "error": ""}
    (mute,) = control.mutes()
    assert (mute.id, mute.anomaly_id, mute.by) == ("episode:open", "open", "Ada")
    assert begin <= mute.given_at <= time.time()
    assert mute.until == mute.given_at + HOUR
    assert [bool(card["muted"]) for card in cards_of(view).values()] == [True, False]


def test_undo_takes_the_mute_back(store):
    control = SpokenControl()
    view = told(store, control)
    press(view, id="closed", silence="day", number=1)
    assert all(card["muted"] for card in cards_of(view).values())
    assert press(view, id="open", undo="kind:edits:rate:rate_up", number=2)["error"] == ""
    assert control.mutes() == ()
    assert not any(card["muted"] for card in cards_of(view).values())


def test_second_choice_replaces_the_first(store):
    control = SpokenControl()
    view = told(store, control)
    for number, silence in enumerate(("hour", "four_hours", "until_closed")):
        press(view, id="open", silence=silence, number=number)
    assert [(mute.id, mute.until) for mute in control.mutes()] == [("episode:open", None)]


def test_mute_that_is_refused_changes_no_card_and_is_answered_in_words(store):
    control = SpokenControl(refusal="the disk is full")
    view = told(store, control)
    assert press(view, id="open", silence="hour", number=3)["error"] == "the disk is full"
    assert control.mutes() == ()
    assert not any(card["muted"] for card in cards_of(view).values())


def test_anomaly_that_is_not_among_the_cards_is_not_muted(store):
    control = SpokenControl()
    assert "load the page again" in press(told(store, control), id="elsewhere", silence="hour", number=1)["error"]
    assert control.mutes() == ()


def test_without_a_control_nothing_is_muted(store):
    view = Cards(WIKIMEDIA)
    view.tell(store.anomalies().items, None)
    assert "not taken" in press(view, id="open", silence="hour", number=1)["error"]


@pytest.mark.parametrize(
    "message",
    [
        {"id": "open", "silence": "forever", "number": 1},
        {"id": "open", "silence": None, "number": 1},
        {"id": "open", "undo": 7, "number": 1},
        {"id": "open", "undo": "x" * 1001, "number": 1},
        {"id": "open", "silence": "hour", "verdict": "real", "number": 1},
        {"id": "open", "silence": "hour", "until": 9e9, "number": 1},
        {"silence": "hour", "number": 1},
        ["hour"],
    ],
)
def test_message_that_no_page_of_ours_sends_is_ignored(store, message):
    control = SpokenControl()
    view = told(store, control)
    view.__panel__()._process_event(DataEvent(None, data=message))
    assert view.__panel__().answer == ""
    assert control.mutes() == ()
    assert control.given == {}


def test_label_carries_who_gave_it(store):
    control = SpokenControl()
    view = told(store, control, HOSTILE[0])
    press(view, id="open", verdict="real", number=1)
    assert control.given["open"].by == HOSTILE[0]
    assert cards_of(view)["open"]["label"]["by"] == HOSTILE[0][:40]


# -- all sessions of a board


def test_mute_is_on_the_cards_of_every_session_as_one_text(store):
    control = SpokenControl(archived=store)
    moments = iter(range(100))
    board = Board(console(store, control), clock=lambda: float(next(moments)))
    board.look()
    before = board.number
    board.look()
    assert board.number == before, "nothing is told where nothing was said"
    control.mute(Mute("episode:open", T, anomaly_id="open"))
    board.look()
    assert board.number == before + 1
    here, there = Cards(WIKIMEDIA, control), Cards(WIKIMEDIA, control)
    for view in (here, there):
        view.tell(board.since(0).anomalies, None, board.said)
    assert here.__panel__().cards == there.__panel__().cards
    assert cards_of(here)["open"]["muted"]
    control.unmute("episode:open")
    board.look()
    assert board.number == before + 2


def test_mute_that_runs_out_leaves_the_card_by_itself(store):
    control = SpokenControl(archived=store)
    dashboard = dashboard_over(store, control)
    control.mute(Mute("episode:open", time.time(), time.time() + 0.5, anomaly_id="open"))
    dashboard.refresh()
    assert cards_of(dashboard.live.cards)["open"]["muted"]
    time.sleep(0.6)
    dashboard.refresh()
    assert not cards_of(dashboard.live.cards)["open"]["muted"]


def test_mute_elsewhere_sends_no_cards(store):
    control = SpokenControl(archived=store)
    dashboard = dashboard_over(store, control)
    sent: list = []
    dashboard.live.cards.__panel__().param.watch(sent.append, "cards")
    control.mute(Mute("elsewhere", T, anomaly_id="elsewhere"))
    dashboard.refresh()
    assert sent == []


def test_page_knows_whether_notices_are_sent(store):
    control = SpokenControl(archived=store)
    dashboard = dashboard_over(store, control)
    shown = dashboard.live.cards.__panel__()
    assert shown.notified is False
    control.told_routes = (RouteStatus("on call"),)
    dashboard.refresh()
    assert shown.notified is True


def test_paused_page_shows_what_is_muted_all_the_same(store):
    control = SpokenControl(archived=store)
    dashboard = dashboard_over(store, control)
    dashboard.navigator.paused = True
    control.mute(Mute("episode:open", T, anomaly_id="open"))
    dashboard.refresh()
    assert cards_of(dashboard.live.cards)["open"]["muted"]
