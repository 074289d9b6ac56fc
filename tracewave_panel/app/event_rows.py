"""Raw events as rows of words: when, where, who, what, how much, and the address."""

from __future__ import annotations

import re

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Event

from .wording import MINUS, clock, one_line, web_address

__all__ = ["event_row"]

THOUSANDS = 1000.0
WIKI = re.compile(r"(\w[\w-]*)\.(wik\w+)\.org")


def event_row(feed: Feed, event: Event) -> tuple[str, ...]:
    """Words of one event; they are the feed's and stay hostile text.

    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> event_row(WIKIMEDIA, Event(0.0, 0.0, 0.0, "edits", "1", ("en.wikipedia.org",), (12.0,), "Ada", title="Tagus"))
    ('00:00:00', 'enwiki', 'Ada', 'Tagus', '+12', '')
    """
    amount = ""
    if event.measures:
        amount = _amount(event.measures[0], "+" if feed.metrics[0].noun == "edits" else "")
    place = event.dimensions[0] if event.dimensions else ""
    return (
        clock(event.time),
        one_line(_short(place), 60),
        one_line(event.actor, 60),
        one_line(event.title or event.subject),
        amount,
        web_address(event.link),
    )


def _amount(value: float, sign: str) -> str:
    """A measure as a person wants it: what is small or has cents keeps them, thousands do without.

    >>> [_amount(value, "") for value in (12.0, 9.5, 0.00123456, 67_123.45)]
    ['12', '9.50', '0.001235', '67,123']
    """
    whole = abs(value) >= THOUSANDS or value == round(value)
    form = ",.0f" if whole else ".2f" if abs(value) >= 1 else ".4g"
    return f"{value:{sign}{form}}".replace("-", MINUS)


def _short(place: str) -> str:
    """Short name of a wiki; any other place as it is."""
    host = WIKI.fullmatch(place)
    if not host:
        return place
    name, project = host.groups()
    if project == "wikimedia":
        return name
    return project if name == "www" else name + project.replace("wikipedia", "wiki")
