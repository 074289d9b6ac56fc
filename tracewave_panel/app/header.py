"""What the frame says: where the events come from, an honest word on the connection, what is open, what was lost."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from tracewave_panel.model import Anomaly, Origin
from tracewave_panel.ports import Console, FeedState

from .wording import TIMES, one_line

__all__ = ["Header", "header", "status_word", "totals"]

ORIGINS = {Origin.LIVE: "LIVE", Origin.IMPORTED: "RECORDED", Origin.SIMULATED: "SIMULATED"}
WORDS = {
    "live": ("LIVE", "live"),
    "replay": ("REPLAY", "calm"),
    "catching_up": ("CATCHING UP", "warn"),
    "reconnecting": ("RECONNECTING", "warn"),
    "connecting": ("CONNECTING", "warn"),
    "gap": ("GAP", "warn"),
    "ended": ("ENDED", "calm"),
}
SPEED = re.compile(rf"(\d+(?:\.\d+)?)\s*[x{TIMES}](?![\w.])[,;:]?\s*")
CALM = "info"


class Header(msgspec.Struct, frozen=True):
    """Values of the header's line, the same for all sessions.

    Attributes
    ----------
    origin, word, tone, note
        Where the events come from; the status word, how it is coloured, and what follows it.
    notice
        What a banner says for as long as it holds.
    open, worst
        How many anomalies are open, and the severity of the worst of them.
    """

    origin: str = ORIGINS[Origin.LIVE]
    word: str = "CONNECTING"
    tone: str = "warn"
    note: str = ""
    notice: str = ""
    open: int = 0
    worst: str = CALM


def header(console: Console, open_anomalies: Iterable[Anomaly]) -> Header:
    """Ask the source how things stand, and count what is open."""
    origin = console.control.origin
    said = console.control.source_status()
    word, tone, note = status_word(said.state, origin)
    severities = [anomaly.severity for anomaly in open_anomalies]
    worst = max(severities, key=lambda severity: severity.rank, default=None)
    return Header(
        origin=ORIGINS[origin],
        word=word,
        tone=tone,
        note=note,
        notice=one_line(said.notice, 400),
        open=len(severities),
        worst=worst.value if worst and worst.rank else CALM,
    )


def totals(console: Console, missed: int) -> tuple[tuple[str, str], ...]:
    """Pairs of name and figure for the footer; `missed` is what pages were too slow to read."""
    source = console.control.source_status()
    counters = {**source.counters, **console.control.counters()}
    events, late = counters.get("events", 0), counters.get("late", 0)
    told = [("Lag median", f"{source.lag:.1f} s")] if source.lag is not None else []
    told.append(("Late", f"{100 * late / events:.1f} %" if events else "0"))
    told += [(name.capitalize(), f"{counters.get(name, 0):,}") for name in ("dropped", "undecodable", "reconnects")]
    told += [("Store failures", f"{counters['store_failures']:,}")] if counters.get("store_failures") else []
    told += [("Not shown here", f"{missed:,}")] if missed else []
    return tuple(told)


def status_word(state: FeedState, origin: Origin) -> tuple[str, str, str]:
    """Word, tone and note for what the source says of itself; never better than it says.

    >>> status_word(FeedState("live", "1.1 s behind"), Origin.LIVE)
    ('LIVE', 'live', '1.1 s behind')
    >>> status_word(FeedState("replay", "10x of 14 Nov"), Origin.IMPORTED)
    ('REPLAY 10x', 'calm', 'of 14 Nov')
    """
    word, tone = WORDS.get(state.word, (one_line(state.word, 20).upper(), "warn"))
    note = one_line(state.note, 120)
    if word in {"LIVE", "REPLAY"} and origin is Origin.SIMULATED:
        word, tone = "SIMULATED", "calm"
    elif word == "LIVE" and origin is Origin.IMPORTED:
        word, tone = "REPLAY", "calm"
    if word == "REPLAY" and (speed := SPEED.match(note)):
        word, note = f"REPLAY {speed[1]}x", note[speed.end() :]
    return word, tone, note
