"""The anomalies: one card an episode."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.theme import asset, detector_look
from tracewave_panel.app.wording import NONE, clock, figure, length, one_line, ratio, web_address
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, AnomalyKind, Contribution, Verdict

__all__ = ["Cards"]

LIMIT = 30
PARTS = 4  # contributions a card shows


class CardList(JSComponent):
    """Keeps one element an id and changes it in place; every word enters as ``textContent``."""

    cards = param.String(default="[]", doc="JSON of all cards, newest first.")
    noun = param.String(doc="What the events are called, in the plural.")
    judging = param.String(doc="How many detectors judge, for the empty state.")

    _esm = asset("components/cards.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/cards.css")]


class Cards(Viewer):
    """The last telling of the newest thirty episodes."""

    def __init__(self, feed: Feed, **params: Any) -> None:
        super().__init__(**params)
        self._unit = feed.metrics[0].unit.replace("events/s", "/s")
        self._told: dict[str, Anomaly] = {}
        self._list = CardList(noun=feed.metrics[0].noun)

    def tell(self, anomalies: tuple[Anomaly, ...], last: Analysis | None) -> None:
        """Take in new tellings; sends nothing when there are none."""
        if anomalies:
            self._told.update({anomaly.id: anomaly for anomaly in anomalies})
            newest = sorted(self._told.values(), key=lambda anomaly: anomaly.opened, reverse=True)[:LIMIT]
            self._told = {anomaly.id: anomaly for anomaly in newest}
            self._list.cards = msgspec.json.encode([self._card(anomaly) for anomaly in newest]).decode()
        if not self._told and last is not None:
            self._list.judging = _judging(last)

    def _card(self, anomaly: Anomaly) -> dict[str, Any]:
        detectors = [
            *((detector_look(name), "agrees") for name in anomaly.agreeing),
            *((detector_look(name), "quiet") for name in anomaly.quiet),
            *((detector_look(name), "abstains") for name in anomaly.abstained),
        ]
        agreeing, judging = len(anomaly.agreeing), len(anomaly.agreeing) + len(anomaly.quiet)
        return {
            "id": anomaly.id,
            "title": one_line(anomaly.title),
            "severity": anomaly.severity.value if anomaly.severity.rank else "info",
            "opened": anomaly.opened,
            "closed": anomaly.closed,
            "observed": figure(anomaly.observed),
            "expected": NONE if anomaly.expected is None else figure(anomaly.expected),
            "ratio": ratio(anomaly),
            "unit": self._unit,
            "confidence": f"{anomaly.confidence:.2f}",
            "rarity": anomaly.rarity,
            "provisional": anomaly.provisional,
            "agreement": f"{agreeing} of {judging} agree",
            "detectors": [(look.name, word, look.colour) for look, word in detectors],
            "verdict": anomaly.verdict.value,
            "completeness": anomaly.completeness,
            "conclusion": _conclusion(anomaly),
            "why": [_part(part) for part in anomaly.contributions[:PARTS]],
            "samples": _samples(anomaly.contributions[:PARTS]),
        }

    def __panel__(self) -> CardList:
        return self._list


def _part(part: Contribution) -> dict[str, Any]:
    return {
        "dimension": part.dimension,
        "value": one_line(part.value, 80),
        "excess": part.observed - part.expected,
        "named": part.named,
    }


def _samples(parts: Sequence[Contribution]) -> list[dict[str, Any]]:
    """Events of the named parts; one that belongs to several is shown with the first."""
    shown: set[str] = set()
    groups = []
    for part in parts:
        new = [sample for sample in part.samples if part.named and sample.id not in shown]
        shown.update(sample.id for sample in new)
        events = [(clock(sample.time), one_line(sample.title), web_address(sample.link)) for sample in new]
        if events:
            groups.append({"dimension": part.dimension, "value": one_line(part.value, 80), "events": events})
    return groups


def _conclusion(anomaly: Anomaly) -> str:
    if anomaly.verdict is Verdict.CULPRIT:
        return f"{100 * anomaly.completeness:.0f} % accounted for"
    if anomaly.kind is AnomalyKind.FEED_SILENT:
        return "no events at all: there is nothing to compare"
    if anomaly.verdict is Verdict.GLOBAL:
        return "global: no single slice stands out"
    return "no explanation yet"


def _judging(last: Analysis) -> str:
    cold = [
        f"{detector_look(score.detector).name} in {length(score.windows_left * last.window.width)}"
        for score in last.scores
        if not score.warm
    ]
    warm = len(last.scores) - len(cold)
    return f"{warm} of {len(last.scores)} detectors judge" + (f"; {', '.join(cold)}" if cold else "")
