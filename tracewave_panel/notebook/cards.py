"""What stands in a cell: an anomaly's card, and short cards of runs and histories. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, TypeAlias

from tracewave_panel.app.card import card_json
from tracewave_panel.app.notices import Said
from tracewave_panel.app.wording import MINUS, figure, length, one_line
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly

from .colours import severity_colour, style_sheet

__all__ = ["Fact", "anomaly_lines", "box", "card_html", "card_words", "facts_html", "facts_words", "how_rare", "mark"]

Fact: TypeAlias = tuple[str, str]
"""A name and what is said under it, both plain text."""

_SIGNS = {"critical": "◆", "warning": "▲", "info": "●"}
_STYLE = (
    ".tracewave{font:13px/1.45 system-ui,sans-serif;color:var(--tw-text);background:var(--tw-panel);max-width:720px;"
    "border:1px solid var(--tw-line);border-left-width:3px;border-radius:5px;padding:10px 14px;margin:4px 0}"
    ".tracewave table{border-collapse:collapse;margin:6px 0;font:inherit;color:inherit;background:none;border:0}"
    ".tracewave td,.tracewave th{padding:2px 14px 2px 0;text-align:left;border:0;background:none;color:inherit}"
    ".tracewave tr{background:none!important}"
    ".tracewave td.n{text-align:right;font-variant-numeric:tabular-nums}.tracewave th{font-weight:normal}"
    ".tracewave th,.tracewave .k{color:var(--tw-text-3)}.tracewave .t{font-size:15px;font-weight:600;margin:2px 0}"
    ".tracewave .c{display:inline-block;border:1px solid var(--tw-line-strong);border-radius:3px;padding:0 6px;"
    "margin:2px 4px 2px 0}.tracewave .abstains,.tracewave .quiet{color:var(--tw-text-3);border-style:dashed}"
    ".tracewave a{color:var(--tw-live)}.tracewave td.b{width:160px;padding-right:10px}"
    ".tracewave td.b i{display:block;height:8px;min-width:1px}"
)


def box(parts: Iterable[str], edge: str = "--line-strong") -> str:
    """HTML of a card that fits light and dark notebooks; its parts are HTML already."""
    inside = "".join(parts)
    return (
        f"<style>{style_sheet()}{_STYLE}</style>"
        f'<div class="tracewave" style="border-left-color:var(--tw-{edge[2:]})">{inside}</div>'
    )


def mark(severity: str, words: str) -> str:
    """Shape and word of a severity in its colour."""
    name = severity if severity in _SIGNS else "info"
    colour = severity_colour(name)[2:]
    return f'<span style="color:var(--tw-{colour})">{_SIGNS[name]} {escape(words)}</span>'


def facts_html(title: str, facts: Iterable[Fact], *, more: str = "", edge: str = "--live") -> str:
    """A short card: a title and some facts; `more` is HTML already."""
    rows = "".join(f'<tr><th class="k">{escape(name)}</th><td>{escape(said)}</td></tr>' for name, said in facts if said)
    return box((f'<div class="t">{escape(title)}</div>', f"<table>{rows}</table>", more), edge)


def facts_words(title: str, facts: Iterable[Fact]) -> str:
    """The same as plain text."""
    told = [(name, said) for name, said in facts if said]
    wide = max((len(name) for name, _ in told), default=0)
    return "\n".join([_printable(title), *(f"  {name:<{wide}}  {_printable(said)}" for name, said in told)])


def anomaly_lines(anomalies: Iterable[Anomaly]) -> str:
    """HTML of a table: a line an anomaly."""
    rows = [
        f'<tr><td>{mark(anomaly.severity.value, anomaly.severity.value)}</td><td class="k">{_when(anomaly.opened)}</td>'
        f'<td><bdi>{escape(one_line(anomaly.title, 90))}</bdi></td><td class="k">{escape(anomaly.id)}</td></tr>'
        for anomaly in anomalies
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def how_rare(days: float) -> str:
    """Days between two such episodes in words; empty where that is not known.

    >>> [how_rare(days) for days in (0, 0.02, 0.25, 9.2, 400.0, 40_000.0)]
    ['', '2 times an hour', '4 times a day', 'once in 9 days', 'once in 13 months', 'less than once in 100 years']
    """
    if not days > 0:
        return ""
    for least, long, word in ((730.0, 365.25, "years"), (60.0, 30.44, "months"), (1.5, 1.0, "days")):
        if days >= least:
            return "less than once in 100 years" if days >= 36_525 else f"once in {days / long:.0f} {word}"
    if days >= 1 / 1440:
        times, unit = (1 / days, "a day") if days >= 1 / 24 else (1 / (24 * days), "an hour")
        return f"once {unit}" if times < 1.5 else f"{times:.0f} times {unit}"
    return "ordinary"


def card_html(anomaly: Anomaly, feed: Feed) -> str:
    """The card of the Live page, with what the page shows of it unfolded."""
    card = _card(anomaly, feed)
    when = f"opened {_when(anomaly.opened)}, {_state(anomaly)}"
    head = f'{mark(card["severity"], card["severity"].upper())} <span class="k">{escape(when)}</span>'
    chips = "".join(
        f'<span class="c {word}">{escape(name if word == "agrees" else f"{name} {word}")}</span>'
        for name, word, _ in card["detectors"]
    )
    return box(
        (
            f"<div>{head}</div>",
            f'<div class="t">{escape(card["title"])}</div>',
            f"<div>{escape(_seen(card))}</div>",
            f"<div>{escape(_rare(card))}</div>" if _rare(card) else "",
            f"<div>{chips}</div>" if chips else "",
            _bars(card["why"], severity_colour(card["severity"])[2:]),
            f"<div>{escape(card['conclusion'])}</div>",
            _samples(card["samples"]),
            f'<div class="k">id {escape(anomaly.id)}</div>',
        ),
        severity_colour(card["severity"]),
    )


def card_words(anomaly: Anomaly, feed: Feed) -> str:
    """The card as plain text."""
    card = _card(anomaly, feed)
    by_word = {
        word: [name for name, said, _ in card["detectors"] if said == word] for word in ("agrees", "quiet", "abstains")
    }
    lines = [
        f"{card['severity'].upper()}  {_printable(card['title'])}",
        f"opened {_when(anomaly.opened)}, {_state(anomaly)}",
        _seen(card),
        _rare(card),
        "; ".join(f"{word}: {', '.join(names)}" for word, names in by_word.items() if names),
        *(f"  {_signed(part['excess']):>8}  {part['dimension']} {_printable(part['value'])}" for part in card["why"]),
        card["conclusion"],
    ]
    return "\n".join(filter(None, lines))


def _card(anomaly: Anomaly, feed: Feed) -> dict[str, Any]:
    unit = next((metric.unit for metric in feed.metrics if metric.name == anomaly.metric), "")
    return card_json(anomaly, Said(), feed) | {"unit": "/s" if unit.endswith("/s") else f" {unit}".rstrip()}


def _when(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _state(anomaly: Anomaly) -> str:
    return "still open" if anomaly.closed is None else f"closed after {length(anomaly.closed - anomaly.opened)}"


def _seen(card: dict[str, Any]) -> str:
    times = f", {card['ratio']}" if card["ratio"] else ""
    seen = f"{card['observed']}{card['unit']} against {card['expected']}{times}"
    return f"{seen}; confidence {card['confidence']}, {card['agreement']}"


def _rare(card: dict[str, Any]) -> str:
    words = how_rare(card["rarity"])
    said = f"How rare: {words}" if words else ""
    return f"{said} (provisional)".strip() if card["provisional"] else said


def _signed(excess: float) -> str:
    return f"{'+' if excess >= 0 else MINUS}{figure(abs(excess))}"


def _bars(parts: Sequence[dict[str, Any]], colour: str) -> str:
    if not parts:
        return ""
    most = max(abs(part["excess"]) for part in parts) or 1.0
    zero = 25 if any(part["excess"] < 0 for part in parts) else 0
    rows = []
    for part in parts:
        wide = (100 - zero) * abs(part["excess"]) / most
        up = part["excess"] >= 0
        wide = wide if up else min(zero, wide)
        shade = f"var(--tw-{colour})" if part["named"] else "var(--tw-text-3)"
        bar = f"margin-left:{zero if up else zero - wide:.1f}%;width:{wide:.1f}%;background:{shade}"
        rows.append(
            f'<tr><td class="k">{escape(part["dimension"])}</td><td><bdi>{escape(part["value"])}</bdi></td>'
            f'<td class="b"><i style="{bar}"></i></td><td class="n">{_signed(part["excess"])}/s</td></tr>'
        )
    return f"<table>{''.join(rows)}</table>"


def _samples(groups: Sequence[dict[str, Any]]) -> str:
    rows = []
    for group in groups:
        for time, title, address in group["events"]:
            words = f"<bdi>{escape(title or 'untitled')}</bdi>"
            if address:
                words = f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer nofollow">{words}</a>'
            of = escape(f"{group['dimension']} {group['value']}")
            rows.append(f'<tr><td class="k">{escape(time)}</td><td>{words}</td><td class="k">{of}</td></tr>')
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
