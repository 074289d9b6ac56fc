"""The header: which feed, from where, how fast, how much is open, and an honest word on the connection."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

import re
from typing import Any, ClassVar

import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.state import Console
from tracewave_panel.app.theme import asset
from tracewave_panel.app.timeline import SEVERITIES
from tracewave_panel.app.wording import TIMES, one_line
from tracewave_panel.model import Anomaly, Origin
from tracewave_panel.ports import FeedState

__all__ = ["Status", "status_word"]

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


class StatusLine(JSComponent):
    """Says what the server last said; the page itself adds STALE and OFFLINE, which no server can."""

    feed = param.String()
    unit = param.String()
    origin = param.String()
    word = param.String(default="CONNECTING")
    tone = param.String(default="warn")
    note = param.String()
    notice = param.String()
    open = param.Integer(default=0, doc="Open anomalies.")
    worst = param.String(default="info", doc="Severity of the worst open one.")
    reload = param.Boolean(default=False, doc="Whether the page is to be loaded again.")

    _esm = asset("components/status.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/status.css")]


class Status(Viewer):
    """The header's line of a session."""

    def __init__(self, console: Console, **params: Any) -> None:
        super().__init__(**params)
        self._control = console.control
        self._line = StatusLine(feed=console.feed.title, unit=console.feed.metrics[0].unit)
        self._open: dict[str, int] = {}

    def tell(self, anomalies: tuple[Anomaly, ...]) -> None:
        """Take in new tellings and ask the source how things stand."""
        for anomaly in anomalies:
            if anomaly.closed is None:
                self._open[anomaly.id] = anomaly.severity.rank
            else:
                self._open.pop(anomaly.id, None)
        origin = self._control.origin
        said = self._control.source_status()
        word, tone, note = status_word(said.state, origin)
        self._line.param.update(
            origin=ORIGINS[origin],
            word=word,
            tone=tone,
            note=note,
            notice=one_line(said.notice, 400),
            open=len(self._open),
            worst=SEVERITIES[max(0, max(self._open.values(), default=1) - 1)],
        )

    def start_over(self) -> None:
        """Have the page loaded again: what it shows is of another run."""
        self._line.reload = True

    def __panel__(self) -> StatusLine:
        return self._line
