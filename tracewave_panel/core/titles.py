"""One line for a person about an anomaly."""

from __future__ import annotations

from collections.abc import Sequence

from tracewave_panel.feeds import Feed
from tracewave_panel.model import AnomalyKind, Contribution, Verdict

__all__ = ["title_of"]

_WORDS = {
    AnomalyKind.RATE_UP: "surge",
    AnomalyKind.RATE_DOWN: "drop",
    AnomalyKind.MIX_SHIFT: "mix shift",
    AnomalyKind.FEED_SILENT: "feed silent",
}


def title_of(feed: Feed, kind: AnomalyKind, verdict: Verdict, contributions: Sequence[Contribution]) -> str:
    """Name the kind, and the leading values that explain it.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> lead = Contribution("wiki", "commons.wikimedia.org", 90.0, 5.0, 0.9, 20.0, named=True)
    >>> title_of(WIKIMEDIA, AnomalyKind.RATE_UP, Verdict.CULPRIT, [lead])
    'Surge on commons.wikimedia.org'
    >>> title_of(WIKIMEDIA, AnomalyKind.RATE_UP, Verdict.GLOBAL, [])
    'Surge, global'
    """
    word = _WORDS[kind]
    if kind is AnomalyKind.FEED_SILENT:
        return word.capitalize()
    if verdict is not Verdict.CULPRIT:
        return f"{word}, global".capitalize() if verdict is Verdict.GLOBAL else word.capitalize()
    leading: dict[str, str] = {}
    for contribution in contributions:
        if contribution.named and (contribution.observed >= contribution.expected) != (kind is AnomalyKind.RATE_DOWN):
            leading.setdefault(contribution.dimension, contribution.value)
    who, place = leading.pop(feed.who, ""), leading.pop(feed.place, "")
    line = f"{who} {word}" if who else word
    line = line[0].upper() + line[1:]
    if place:
        return f"{line} on {place}"
    if leading and not who:
        dimension, value = next(iter(leading.items()))
        return f"{line} in {dimension} {value}"
    return line
