"""What one anomaly's card says, as plain values: the same for every session, and made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, AnomalyKind, Contribution, Label, Mute, Verdict

from .notices import Said, kind_words, muted_json, mutes_on
from .theme import detector_look
from .wording import NONE, clock, figure, one_line, ratio, web_address

__all__ = ["card_json", "card_text"]

PARTS = 4  # contributions a card shows
SESSIONS_SHARE = 256  # texts kept: thirty cards, and what they said while they grew


def card_json(anomaly: Anomaly, said: Said, feed: Feed) -> dict[str, Any]:
    """Everything that a card shows. Times are seconds; texts of the feed are cut and still hostile."""
    agreeing, judging = len(anomaly.agreeing), len(anomaly.agreeing) + len(anomaly.quiet)
    detectors = [
        *((detector_look(name), "agrees") for name in anomaly.agreeing),
        *((detector_look(name), "quiet") for name in anomaly.quiet),
        *((detector_look(name), "abstains") for name in anomaly.abstained),
    ]
    return {
        "id": anomaly.id,
        "title": one_line(anomaly.title),
        "severity": anomaly.severity.value if anomaly.severity.rank else "info",
        "opened": anomaly.opened,
        "closed": anomaly.closed,
        "observed": figure(anomaly.observed),
        "expected": NONE if anomaly.expected is None else figure(anomaly.expected),
        "ratio": ratio(anomaly),
        "unit": feed.metrics[0].unit.replace("events/s", "/s"),
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
        "label": _label(said.labels.get(anomaly.id)),
        "kind": kind_words(feed, anomaly.kind, anomaly.metric, anomaly.series),
        "muted": muted_json(mutes_on(anomaly, said.mutes)),
    }


def card_text(anomaly: Anomaly, said: Said, feed: Feed) -> str:
    """JSON of a card, made once for all sessions as long as neither the anomaly nor what is said of it changes."""
    return _text(anomaly, said.labels.get(anomaly.id), mutes_on(anomaly, said.mutes), feed)


@lru_cache(maxsize=SESSIONS_SHARE)
def _text(anomaly: Anomaly, label: Label | None, mutes: tuple[Mute, ...], feed: Feed) -> str:
    labels = {} if label is None else {anomaly.id: label}
    return msgspec.json.encode(card_json(anomaly, Said(labels, mutes), feed)).decode()


def _label(label: Label | None) -> dict[str, Any] | None:
    if label is None:
        return None
    return {"verdict": label.verdict, "at": label.labelled_at, "by": one_line(label.by, 40)}


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
