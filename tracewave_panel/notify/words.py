"""What a notice says. Text of the feed is hostile: it gets no line breaks, no markup, no mentions and an end."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, AnomalyKind, Contribution, Origin, Verdict

__all__ = ["about_held", "body_of", "fit", "moment", "subject_of"]

SUBJECT_MOST = 140
PARTS, SAMPLES = 4, 3
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# what chat services and mail readers would make links, mentions or markup of
_DISARMED = str.maketrans({"@": "＠", "<": "‹", ">": "›", "`": "'", "*": "∗", "[": "(", "]": ")", "|": "¦", "~": "∼"})  # noqa: RUF001
_ORIGINS = {
    Origin.LIVE: ("", ""),
    Origin.IMPORTED: ("RECORDED: ", "This is a replay of recorded data, not what happens now."),
    Origin.SIMULATED: ("SIMULATED: ", "This is simulated data: nothing of it happened."),
}
_HELD = {"limit": "over the limit of notices an hour", "hours": "outside the route's hours"}


def fit(text: str, limit: int) -> str:
    """Text of the feed on one line, without what could steer a reader's program, cut to `limit` characters.

    >>> fit("Page" + chr(13) + chr(10) + "Bcc: everybody", 15)
    'Page Bcc: ever…'
    """
    seen = "".join(
        character if unicodedata.category(character) not in _UNSEEN else " " if character.isspace() else ""
        for character in text[: 4 * limit]
    )
    line = " ".join(seen.translate(_DISARMED).replace("://", ":/ /").split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def moment(seconds: float) -> str:
    """Seconds since the epoch in words.

    >>> moment(1_700_000_000.0)
    '2023-11-14 22:13:20 UTC'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def subject_of(anomaly: Anomaly, phase: str, origin: Origin) -> str:
    """One line: what is told, and of what."""
    word = "closed" if phase == "closed" else anomaly.severity.value if anomaly.severity.rank else "info"
    return f"{_ORIGINS[origin][0]}Tracewave {word}: {fit(anomaly.title, SUBJECT_MOST - 40)}"


def body_of(anomaly: Anomaly, phase: str, origin: Origin, feed: Feed, links: Mapping[str, str]) -> str:
    """Plain text: what was seen, why, who agrees, and where to look."""
    paragraphs = [
        _ORIGINS[origin][1],
        "\n".join(filter(None, (_seen(anomaly, feed), _when(anomaly, phase), _rarity(anomaly)))),
        _why(anomaly, feed),
        _detectors(anomaly),
        "\n".join(f"{name}: {address}" for name, address in links.items()),
    ]
    return "\n\n".join(filter(None, paragraphs))


def about_held(held: Mapping[str, int]) -> str:
    """One line on the notices that were held back since the last one that was not.

    >>> about_held({"limit": 2})
    'Held back since the notice before this one: 2 over the limit of notices an hour.'
    """
    parts = [f"{held[state]} {words}" for state, words in _HELD.items() if held.get(state)]
    return f"Held back since the notice before this one: {', '.join(parts)}." if parts else ""


def _seen(anomaly: Anomaly, feed: Feed) -> str:
    where = f"series {fit(anomaly.series, 60)}, metric {fit(anomaly.metric, 40)}"
    if anomaly.kind is AnomalyKind.FEED_SILENT:
        return f"No events came, where they were expected ({where})."
    unit = _unit(anomaly, feed)
    observed = f"{_figure(anomaly.observed)}{unit} observed"
    if anomaly.expected is None:
        return f"{observed} ({where})."
    return f"{observed} against {_figure(anomaly.expected)} expected{_ratio(anomaly)} ({where})."


def _ratio(anomaly: Anomaly) -> str:
    """As a card says it: nothing of a mix that shifted, since how much there was is not what changed."""
    if not anomaly.expected or anomaly.kind is AnomalyKind.MIX_SHIFT:
        return ""
    times = anomaly.observed / anomaly.expected
    return f", {times:.2f}×" if times < 1 else f", {times:.1f}×"  # noqa: RUF001 (it is what pages write)


def _when(anomaly: Anomaly, phase: str) -> str:
    if phase == "closed" and anomaly.closed is not None:
        lasted = _length(anomaly.closed - anomaly.opened)
        return f"Lasted {lasted}, from {moment(anomaly.opened)} to {moment(anomaly.closed)}."
    return f"Began {moment(anomaly.opened)}; strongest so far at {moment(anomaly.peaked)}."


def _rarity(anomaly: Anomaly) -> str:
    often = _often(anomaly.rarity)
    doubt = " This is a first estimate: the feed is not calibrated yet." if anomaly.provisional else ""
    return f"An ordinary feed shows as much {often}.{doubt}" if often else ""


def _often(days: float) -> str:
    """How rare, from the days between two ordinary episodes like it, in the words of the page."""
    for least, length, unit in ((730, 365.25, "years"), (60, 30.44, "months"), (1.5, 1, "days")):
        if days >= least:
            return "less than once in 100 years" if days >= 36_525 else f"once in {days / length:.0f} {unit}"
    for least, times, unit in ((1 / 24, 1, "a day"), (1 / 1440, 24, "an hour")):
        if days >= least:
            number = 1 / (times * days)
            return f"once {unit}" if number < 1.5 else f"{number:.0f} times {unit}"
    return "all the time" if days > 0 else ""


def _why(anomaly: Anomaly, feed: Feed) -> str:
    if anomaly.kind is AnomalyKind.FEED_SILENT:
        return ""
    if anomaly.verdict is Verdict.GLOBAL:
        return "Why: no single part stands out; the whole feed changed."
    named = [part for part in anomaly.contributions if part.named][:PARTS]
    if not named:
        return "Why: not known yet."
    unit = _unit(anomaly, feed) if anomaly.metric in {"rate", "trades"} else ""
    lines = [f"Why: what is named below accounts for {100 * anomaly.completeness:.0f} % of the change."]
    lines += [
        f"- {part.dimension} {fit(part.value, 80)}: {_figure(part.observed)}{unit} against {_figure(part.expected)}"
        for part in named
    ]
    if titles := _titles(named):
        lines.append(f"Among them: {'; '.join(titles)}")
    return "\n".join(lines)


def _titles(named: list[Contribution]) -> list[str]:
    """Titles of the newest events of the named parts, each once."""
    titles = {fit(sample.title, 80): None for part in named for sample in reversed(part.samples)}
    return [title for title in titles if title][:SAMPLES]


def _detectors(anomaly: Anomaly) -> str:
    agreeing, judging = len(anomaly.agreeing), len(anomaly.agreeing) + len(anomaly.quiet)
    if not judging:
        return ""
    words = [f"Detectors: {agreeing} of {judging} agree ({', '.join(anomaly.agreeing) or 'none'})"]
    if anomaly.quiet:
        words.append(f"not {', '.join(anomaly.quiet)}")
    if anomaly.abstained:
        words.append(f"still learning: {', '.join(anomaly.abstained)}")
    return f"{'; '.join(words)}. Confidence {anomaly.confidence:.2f}."


def _unit(anomaly: Anomaly, feed: Feed) -> str:
    return next((f" {metric.unit}" for metric in feed.metrics if metric.name == anomaly.metric), "")


def _figure(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _length(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
