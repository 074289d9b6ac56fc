"""The anomalies: one card an episode, and what people say of them."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.card import card_text
from tracewave_panel.app.theme import asset, detector_look
from tracewave_panel.app.wording import length
from tracewave_panel.errors import TracewaveError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Label, LabelVerdict
from tracewave_panel.ports import Control

__all__ = ["Cards"]

LIMIT = 30
_NO_LABELS: Mapping[str, Label] = {}


class _Asked(msgspec.Struct):
    """What a page asks: a label for an anomaly, or with None that it holds no longer."""

    id: Annotated[str, msgspec.Meta(max_length=400)]
    verdict: LabelVerdict | None
    number: int


class CardList(JSComponent):
    """Keeps one element an id and changes it in place; every word enters as ``textContent``."""

    cards = param.String(default="[]", doc="JSON of all cards, newest first.")
    noun = param.String(doc="What the events are called, in the plural.")
    judging = param.String(doc="How many detectors judge, for the empty state.")
    answer = param.String(doc="JSON of the last answer to a label: number, id, and the error in words or nothing.")

    _esm = asset("components/card.js") + asset("components/cards.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/cards.css")]


class Cards(Viewer):
    """The last telling of the newest thirty episodes.

    Parameters
    ----------
    control
        Takes the labels that a person gives; None: labels are shown and cannot be given.
    """

    def __init__(self, feed: Feed, control: Control | None = None, **params: Any) -> None:
        super().__init__(**params)
        self._unit = feed.metrics[0].unit.replace("events/s", "/s")
        self._control = control
        self._told: dict[str, Anomaly] = {}
        self._labels = _NO_LABELS
        self._list = CardList(noun=feed.metrics[0].noun)
        self._list.on_msg(lambda event: self._heard(event.data))

    def tell(
        self,
        anomalies: tuple[Anomaly, ...],
        last: Analysis | None,
        labels: Mapping[str, Label] | None = None,
    ) -> None:
        """Take in new tellings and the labels that hold (None: as before); sends only what changed."""
        labels = self._labels if labels is None else labels
        if anomalies:
            self._told.update({anomaly.id: anomaly for anomaly in anomalies})
            # An open one keeps its place, however many came and went after it.
            kept = sorted(self._told.values(), key=lambda told: (told.closed is None, told.opened), reverse=True)[
                :LIMIT
            ]
            self._told = {told.id: told for told in sorted(kept, key=lambda told: told.opened, reverse=True)}
        if anomalies or any(labels.get(held) != self._labels.get(held) for held in self._told):
            texts = (card_text(anomaly, labels, self._unit) for anomaly in self._told.values())
            self._list.cards = f"[{','.join(texts)}]"
        self._labels = labels
        if not self._told and last is not None:
            self._list.judging = _judging(last)

    def _heard(self, message: Any) -> None:
        """Give or take back a label for the page; whoever else looks at it is told with the next news."""
        try:
            asked = msgspec.convert(message, _Asked)
        except msgspec.ValidationError:
            return  # no page of ours says such a thing
        error = "" if self._control else "labels are not taken here"
        try:
            if self._control:
                self._control.label(asked.id, asked.verdict)
                self.tell((), None, self._control.labels())
        except TracewaveError as refused:
            error = str(refused)
        self._list.answer = msgspec.json.encode({"number": asked.number, "id": asked.id, "error": error}).decode()

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
