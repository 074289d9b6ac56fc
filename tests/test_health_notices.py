"""What the Health page says of the routes of notices and of mutes, without a browser."""

from __future__ import annotations

import json

import pytest
from console_stand_in import SpokenControl, anomaly, console, findings
from panel.models.esm import DataEvent
from visiting import HOSTILE

from tracewave_panel.app.notices import notices_json
from tracewave_panel.app.views.health import Health
from tracewave_panel.app.vitals import Vitals
from tracewave_panel.errors import StoreError
from tracewave_panel.model import Mute
from tracewave_panel.ports import RouteStatus
from tracewave_panel.stores.ring import RingStore

T = 1_700_000_000.0


@pytest.fixture
def store():
    made = RingStore()
    told = [anomaly(T - 100, T - 50, id="closed"), anomaly(T, id="open", title="Bot burst" + HOSTILE[1])]
    made.append(findings(T, anomalies=told))
    return made


def vitals_of(control: SpokenControl) -> Vitals:
    vitals = Vitals(control, memory=lambda: 300e6, processor_time=lambda: 0.0)
    vitals.sample(T)
    return vitals


def press(view: Health, message) -> dict:
    view.__panel__()._process_event(DataEvent(None, data=message))
    return json.loads(view.__panel__().answer or "{}")


def said(view: Health) -> dict:
    return json.loads(view.__panel__().notices)


def test_route_is_told_in_counts_age_and_trouble():
    routes = [
        RouteStatus("on call", 12_480, 2, 0, 37, 0, T - 260, ""),
        RouteStatus("webhook", 0, 14, 2, 0, 3, None, "no answer within 10 s"),
    ]
    told = notices_json(console(), routes, (), T)
    assert told["routes"] == [
        {"name": "on call", "counts": ["12,480", "0", "2", "37"], "last": "4 min ago", "trouble": ""},
        {
            "name": "webhook",
            "counts": ["0", "3", "14", "0"],
            "last": "never",
            "trouble": "2 given up after too many tries; no answer within 10 s",
        },
    ]


def test_words_from_outside_are_cut_to_one_line():
    long = HOSTILE[0] + "\n\u202e" + "x" * 400
    told = notices_json(console(), [RouteStatus(long, last_error=long)], [Mute("m", T, kind=long, by=long)], T)
    (route,), (mute,) = told["routes"], told["mutes"]
    assert [len(text) for text in (route["name"], route["trouble"], mute["words"], mute["by"])] == [60, 200, 120, 40]
    assert not any(mark in json.dumps(told, ensure_ascii=False) for mark in ("\n", "\u202e"))


def test_mute_is_listed_by_the_title_of_its_episode_or_the_words_of_its_sort(store):
    mutes = (
        Mute("a", T, T + 60, anomaly_id="open"),
        Mute("b", T, None, anomaly_id="forgotten"),
        Mute("c", T, None, series="edits", metric="rate", kind="rate_up"),
        Mute("d", T),
    )
    listed = notices_json(console(store), (), mutes, T)["mutes"]
    words = ["Bot burst" + HOSTILE[1], "forgotten", "Surges in edits", "Everything"]
    assert [(each["id"], each["words"], each["episode"]) for each in listed] == list(
        zip("abcd", words, (True, True, False, False), strict=True)
    )


def test_snooze_until_an_episode_closes_is_listed_no_longer_once_it_has(store):
    mutes = (Mute("a", T, None, anomaly_id="closed"), Mute("b", T, T + 60, anomaly_id="closed"))
    assert [each["id"] for each in notices_json(console(store), (), mutes, T)["mutes"]] == ["b"]


def test_notices_are_told_with_a_sample_and_only_when_they_changed(store):
    control = SpokenControl(told_routes=(RouteStatus("on call", last_sent=T - 300),))
    vitals, view = vitals_of(control), Health(console(store, control))
    view.tell(vitals)
    heard: list = []
    view.__panel__().param.watch(heard.append, "notices")
    for second in range(1, 50):
        vitals.sample(T + second)
        view.tell(vitals)
    assert heard == []
    assert [each["name"] for each in said(view)["routes"]] == ["on call"]
    control.mute(Mute("m", T))
    vitals.sample(T + 50)
    view.tell(vitals)
    assert len(heard) == 1
    assert [each["id"] for each in said(view)["mutes"]] == ["m"]


def test_pages_share_one_text(store):
    control = SpokenControl(told_routes=(RouteStatus("on call"),))
    vitals = vitals_of(control)
    here, there = Health(console(store, control)), Health(console(store, control))
    for view in (here, there):
        view.tell(vitals)
    assert here.__panel__().notices is there.__panel__().notices


def test_mute_taken_back_is_gone_here_at_once_and_elsewhere_with_the_next_sample(store):
    control = SpokenControl(told_routes=(RouteStatus("on call"),))
    control.mute(Mute("m", T))
    control.mute(Mute("n", T))
    vitals = vitals_of(control)
    here, there = Health(console(store, control)), Health(console(store, control))
    for view in (here, there):
        view.tell(vitals)
    assert press(here, {"undo": "m", "number": 4}) == {"number": 4, "error": ""}
    assert list(control.muted) == ["n"]
    assert [each["id"] for each in said(here)["mutes"]] == ["n"]
    vitals.sample(T + 1)
    there.tell(vitals)
    assert [each["id"] for each in said(there)["mutes"]] == ["n"]


class Refusing(SpokenControl):
    """Takes nothing back."""

    def unmute(self, mute_id):
        raise StoreError("the disk is full")


def test_mute_that_cannot_be_taken_back_is_answered_in_words(store):
    control = Refusing()
    control.mute(Mute("m", T))
    view = Health(console(store, control))
    assert press(view, {"undo": "m", "number": 1}) == {"number": 1, "error": "the disk is full"}


@pytest.mark.parametrize(
    "message", [{}, {"undo": 1, "number": 1}, {"undo": "m"}, "m", {"undo": "x" * 1001, "number": 1}]
)
def test_message_that_no_page_of_ours_sends_is_ignored(store, message):
    control = SpokenControl()
    control.mute(Mute("m", T))
    assert press(Health(console(store, control)), message) == {}
    assert list(control.muted) == ["m"]


def test_page_without_a_console_says_nothing_of_notices():
    view = Health()
    view.tell(vitals_of(SpokenControl()))
    assert view.__panel__().notices == ""
    assert press(view, {"undo": "m", "number": 1}) == {}
