"""What the cards say and what they send, over a real RingStore and without a browser."""

from __future__ import annotations

import json

import pytest
from console_stand_in import SpokenControl, anomaly, findings
from panel.models.esm import DataEvent

from tracewave_panel.app.card import card_json, card_text
from tracewave_panel.app.notices import Said
from tracewave_panel.app.views.cards import Cards
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Label
from tracewave_panel.stores.ring import RingStore

T = 1_700_000_000.0


class Session:
    """One session's cards over a store, and how often they were sent."""

    def __init__(self, store: RingStore, control: SpokenControl) -> None:
        self.store, self.control = store, control
        self.view = Cards(WIKIMEDIA, control)
        self.sent: list[str] = []
        self.view.__panel__().param.watch(lambda change: self.sent.append(change.name), ["cards", "answer"])
        self._cursor = 0
        self.look()

    def look(self) -> None:
        page = self.store.anomalies(self._cursor)
        self._cursor = page.cursor
        self.view.tell(page.items, None, Said.to(self.control))

    def press(self, **message) -> dict:
        """What the page is answered when it says this."""
        shown = self.view.__panel__()
        shown._process_event(DataEvent(None, data=message))
        return json.loads(shown.answer or "{}")

    @property
    def cards(self) -> list[dict]:
        return json.loads(self.view.__panel__().cards)


@pytest.fixture
def store():
    made = RingStore()
    made.append(findings(T, anomalies=[anomaly(T - 100, T - 50, id="old"), anomaly(T, id="new")]))
    return made


def test_card_without_a_label_says_so():
    assert card_json(anomaly(T), Said(), WIKIMEDIA)["label"] is None


def test_card_says_who_labelled_it_cut_to_one_line():
    told = anomaly(T)
    label = Label(told.id, "real", T + 9, "Ada\n\u202eLovelace" + "e" * 60)
    given = Said({told.id: label, "other": Label("other", "not_real", T)})
    said = card_json(told, given, WIKIMEDIA)["label"]
    assert (said["verdict"], said["at"]) == ("real", T + 9)
    assert said["by"].startswith("Ada Lovelacee")
    assert len(said["by"]) == 40


def test_text_of_a_card_is_made_once_until_it_or_its_label_changes():
    told, label = anomaly(T, id="cached once"), Label("cached once", "real", T)
    first = card_text(told, Said(), WIKIMEDIA)
    assert card_text(told, Said({"another": label}), WIKIMEDIA) is first
    labelled = card_text(told, Said({told.id: label}), WIKIMEDIA)
    assert labelled is not first
    assert card_text(anomaly(T, id="cached once"), Said({told.id: label}), WIKIMEDIA) is labelled
    assert json.loads(labelled) == json.loads(json.dumps(card_json(told, Said({told.id: label}), WIKIMEDIA)))


def test_nothing_is_sent_when_nothing_changed(store):
    session = Session(store, SpokenControl())
    session.sent.clear()
    session.look()
    session.control.given = {"elsewhere": Label("elsewhere", "real", T)}
    session.look()
    assert session.sent == []


def test_label_of_one_session_is_on_the_card_of_every_session(store):
    control = SpokenControl()
    here, there = Session(store, control), Session(store, control)
    assert here.press(id="old", verdict="not_real", number=1) == {"number": 1, "id": "old", "error": ""}
    assert [card["label"] and card["label"]["verdict"] for card in here.cards] == [None, "not_real"]
    there.look()
    assert there.cards == here.cards
    assert here.press(id="old", verdict=None, number=2)["error"] == ""
    assert [card["label"] for card in here.cards] == [None, None]


def test_card_changes_before_the_answer_that_ends_the_waiting(store):
    session = Session(store, SpokenControl())
    session.sent.clear()
    session.press(id="new", verdict="real", number=1)
    assert session.sent == ["cards", "answer"]


def test_label_that_is_refused_changes_no_card_and_is_answered_in_words(store):
    session = Session(store, SpokenControl(refusal="the disk is full"))
    before = session.cards
    assert session.press(id="new", verdict="real", number=7) == {"number": 7, "id": "new", "error": "the disk is full"}
    assert session.cards == before


def test_without_a_control_labels_are_shown_and_refused_in_words(store):
    session = Session(store, SpokenControl(given={"new": Label("new", "real", T)}))
    session.view = Cards(WIKIMEDIA)
    session.view.tell(store.anomalies().items, None, Said.to(session.control))
    assert session.cards[0]["label"]["verdict"] == "real"
    assert "not taken" in session.press(id="new", verdict=None, number=1)["error"]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"id": "new", "verdict": "perhaps", "number": 1},
        {"id": "x" * 401, "verdict": "real", "number": 1},
        {"id": ["new"], "verdict": "real", "number": 1},
        {"id": "new", "verdict": "real", "number": "1"},
    ],
)
def test_message_that_no_page_of_ours_sends_is_ignored(store, message):
    session = Session(store, SpokenControl())
    assert session.press(**message) == {}
    assert session.control.given == {}


def test_labels_stay_while_their_cards_grow_and_close(store):
    session = Session(store, SpokenControl())
    session.press(id="new", verdict="real", number=1)
    store.append(findings(T + 9, anomalies=[anomaly(T, T + 8, id="new")]))
    session.look()
    assert [(card["closed"], bool(card["label"])) for card in session.cards] == [(T + 8, True), (T - 50, False)]
