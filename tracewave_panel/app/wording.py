"""Words that several views use: times, lengths, figures, and feed text made fit for one line."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from tracewave_panel.model import Anomaly, AnomalyKind

__all__ = ["MINUS", "NONE", "TIMES", "clock", "figure", "length", "one_line", "ratio", "web_address"]


MINUS, NONE, TIMES = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"


def clock(moment: float) -> str:
    """Time of day in UTC of seconds since the epoch.

    >>> clock(1_700_000_000.9)
    '22:13:20'
    """
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")


def length(seconds: float) -> str:
    """A length of time in its two largest units.

    >>> [length(seconds) for seconds in (7.9, 150, 7_320, 90_000)]
    ['7 s', '2 min 30 s', '2 h 02 min', '1 d 1 h']
    """
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def figure(value: float) -> str:
    """A number to three figures or so, never in powers of ten.

    >>> [figure(value) for value in (0.4, 41.63, 131.2, 12_345.0)]
    ['0.4', '41.6', '131', '12,345']
    """
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def ratio(anomaly: Anomaly) -> str:
    """How many times what was expected was seen; empty where that says nothing."""
    if not anomaly.expected or anomaly.kind is AnomalyKind.MIX_SHIFT:
        return ""
    times = anomaly.observed / anomaly.expected
    return f"{times:.2f}{TIMES}" if times < 1 else f"{times:.1f}{TIMES}"


def one_line(text: str, limit: int = 160) -> str:
    """Text from the feed without control and direction characters, cut to `limit` characters.

    It is still hostile text: only ``textContent`` and canvas may take it.

    >>> one_line("a" + chr(0x202E) + "b" + chr(10) + "c", 10)
    'ab c'
    """
    kept = "".join(
        character if unicodedata.category(character) not in {"Cc", "Cf", "Cs"} else " " * character.isspace()
        for character in text[: 2 * limit]
    )
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def web_address(link: str) -> str:
    """An address from the feed if a page may link to it, else nothing.

    >>> [web_address(link) for link in ("https://example.org/diff/1", "javascript:alert(1)")]
    ['https://example.org/diff/1', '']
    """
    return link if link.startswith(("https://", "http://")) else ""
