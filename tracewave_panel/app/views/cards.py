"""The anomalies: one card an episode, and what people say of them."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

import time
from typing import Any, ClassVar

import msgspec
import param
from panel.viewable import Viewer

from tracewave_panel.app.asked import Asked, AskedLabel, AskedSilence, AskedUndo, asked_of
from tracewave_panel.app.asking_component import AskingComponent
from tracewave_panel.app.card import card_text
from tracewave_panel.app.notices import Said, mute_of
from tracewave_panel.app.theme import asset, detector_look
from tracewave_panel.app.wording import length
from tracewave_panel.errors import StoreError, TracewaveError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly
from tracewave_panel.ports import Control

__all__ = ["Cards"]

LIMIT = 30


class CardList(AskingComponent):
    """Keeps one element an id and changes it in place; every word enters as ``textContent``."""

    cards = param.String(default="[]", doc="JSON of all cards, newest first.")
    noun = param.String(doc="What the events are called, in the plural.")
    judging = param.String(doc="How many detectors judge, for the empty state.")
    notified = param.Boolean(doc="Whether notices are sent at all, so that they can be silenced.")
    answer = param.String(doc="JSON of the last answer to a press: number, id, and the error in words or nothing.")

    _esm = "".join(asset(f"components/{name}.js") for name in ("notices", "silence", "card", "cards"))
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/cards.css")]


class Cards(Viewer):
    """The last telling of the newest thirty episodes.

    Parameters
    ----------
    control
        Takes the labels and mutes that a person gives; None: they are shown and cannot be given.
    by
        Who looks at the page, as far as that is known.
    """

    def __init__(self, feed: Feed, control: Control | None = None, by: str = "", **params: Any) -> None:
        super().__init__(**params)
        self._feed = feed
        self._control = control
        self._by = by
        self._told: dict[str, Anomaly] = {}
        self._said = Said()
        self._list = CardList(noun=feed.metrics[0].noun)
        self._list.on_msg(lambda event: self._heard(event.data))

    def tell(self, anomalies: tuple[Anomaly, ...], last: Analysis | None, said: Said | None = None) -> None:
        """Take in new tellings and what people said (None: as before); sends only what changed."""
        said = self._said if said is None else said
        if anomalies:
            self._told.update({anomaly.id: anomaly for anomaly in anomalies})
            # An open one keeps its place, however many came and went after it.
            kept = sorted(self._told.values(), key=lambda told: (told.closed is None, told.opened), reverse=True)[
                :LIMIT
            ]
            self._told = {told.id: told for told in sorted(kept, key=lambda told: told.opened, reverse=True)}
        if anomalies or self._is_said_anew(said):
            texts = (card_text(anomaly, said, self._feed) for anomaly in self._told.values())
            self._list.cards = f"[{','.join(texts)}]"
        self._said, self._list.notified = said, said.notified
        if not self._told and last is not None:
            self._list.judging = _judging(last)

    def _is_said_anew(self, said: Said) -> bool:
        """Whether a card that is held may have another label or other mutes than before."""
        before = self._said
        return said.mutes != before.mutes or any(
            said.labels.get(held) != before.labels.get(held) for held in self._told
        )

    def _heard(self, message: Any) -> None:
        """Do what is asked on a card of the page; whoever else looks at it is told with the next news."""
        asked = asked_of(message)
        if asked is None:
            return  # no page of ours says such a thing
        error = ""
        try:
            self._do(asked)
        except TracewaveError as refused:
            error = str(refused)
        self._list.answer = msgspec.json.encode({"number": asked.number, "id": asked.id, "error": error}).decode()

    def _do(self, asked: Asked) -> None:
        control = self._control
        if control is None:
            raise StoreError("labels and mutes are not taken here")
        match asked:
            case AskedLabel():
                control.label(asked.id, asked.verdict, self._by)
            case AskedSilence() if asked.id not in self._told:
                raise StoreError("this anomaly is no longer among the cards; load the page again")
            case AskedSilence():
                control.mute(mute_of(self._told[asked.id], asked.silence, time.time(), self._by))
            case AskedUndo():
                control.unmute(asked.undo)
        self.tell((), None, Said.to(control))

    def __panel__(self) -> CardList:
        return self._list


def _judging(last: Analysis) -> str:
    cold = [
        f"{detector_look(score.detector).name} in {length(score.windows_left * last.window.width)}"
        for score in last.scores
        if not score.warm
    ]
    warm = len(last.scores) - len(cold)
    return f"{warm} of {len(last.scores)} detectors judge" + (f"; {', '.join(cold)}" if cold else "")
