"""The Health page: how the feed, the detectors, the store and the pages do."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

import time
from typing import Any, ClassVar

import msgspec
import param
from panel.viewable import Viewer

from tracewave_panel.app.asked import back_of
from tracewave_panel.app.asking_component import AskingComponent
from tracewave_panel.app.happenings import Happening
from tracewave_panel.app.health_figures import DAY, WINDOW_BAR, panels, rounded, spark
from tracewave_panel.app.notices import notices_json
from tracewave_panel.app.theme import asset
from tracewave_panel.app.vitals import HOUR, Vitals
from tracewave_panel.app.wording import NONE, clock, length, one_line
from tracewave_panel.errors import TracewaveError
from tracewave_panel.ports import Console

__all__ = ["Health"]

SHOWN = 40
CHARTS = (
    ("rates", ("events_in", "events")),
    ("hour", ("lag_median", "lag_p95", "lag_p99")),
    ("hour", ("window_ms_median", "window_ms_p99")),
)


class HealthSheet(AskingComponent):
    """Draws the page; every word enters as ``textContent``."""

    now = param.String(default="", doc="JSON of the figures; every second.")
    past = param.String(default="", doc="JSON of the last hour; every ten seconds.")
    told = param.String(default="", doc="JSON of what happened and of the log; when there is something new.")
    notices = param.String(default="", doc="JSON of the routes of notices and of the mutes; when that changed.")
    answer = param.String(default="", doc="JSON of the last answer to a press: its number, and the error or nothing.")

    _esm = "".join(
        asset(f"components/{name}.js") for name in ("plotting", "health_charts", "notices", "health_notices", "health")
    )
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/health.css")]


class Health(Viewer):
    """What one session shows of the vitals that all share.

    Parameters
    ----------
    console
        Whose mutes are listed and can be taken back; None: nothing is said of notices.
    """

    def __init__(self, console: Console | None = None, **params: Any) -> None:
        super().__init__(**params)
        self._console = console
        self._told = self._drawn = 0.0
        self._sheet = HealthSheet()
        self._sheet.on_msg(lambda event: self._heard(event.data))

    def tell(self, vitals: Vitals) -> None:
        """Show what was sampled since; for about once a second while the page is the one that is shown."""
        if vitals.status is None or vitals.now == self._told:
            return
        self._told = vitals.now
        self._sheet.now = vitals.once("now", lambda: _json(_now(vitals)))
        times = vitals.times
        if times and times[-1] != self._drawn:
            self._drawn = times[-1]
            self._sheet.past = vitals.once("past", lambda: _json(_past(vitals, times)))
        self._sheet.told = vitals.once("told", lambda: _json(_events(vitals)))
        console = self._console
        if console:
            self._sheet.notices = vitals.once(
                "notices", lambda: _json(notices_json(console, vitals.routes, vitals.mutes, vitals.now))
            )

    def _heard(self, message: Any) -> None:
        """Take a mute back; other pages are told with the next sample."""
        console, asked = self._console, back_of(message)
        if console is None or asked is None:
            return  # no page of ours says such a thing
        error = ""
        try:
            console.control.unmute(asked.undo)
            routes, mutes = console.control.routes(), console.control.mutes()
            self._sheet.notices = _json(notices_json(console, routes, mutes, time.time()))
        except TracewaveError as refused:
            error = str(refused)
        self._sheet.answer = _json({"number": asked.number, "error": error})

    def __panel__(self) -> HealthSheet:
        return self._sheet


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _now(vitals: Vitals) -> dict[str, Any]:
    up = vitals.now - vitals.since
    return {"up": length(up), "day": up >= DAY, "panels": panels(vitals)}


def _events(vitals: Vitals) -> dict[str, Any]:
    happened = [_row(each, vitals.now) for each in reversed(vitals.happenings[-SHOWN:])]
    lines = [(clock(line.time), line.level, line.logger, line.words) for line in reversed(vitals.log.lines)]
    return {"happened": happened, "log": lines}


def _past(vitals: Vitals, times: list[float]) -> dict[str, Any]:
    ask = {"rates": vitals.rates, "hour": vitals.hour}
    begin = max(vitals.since, vitals.now - HOUR)
    return {
        "begin": begin,
        "end": times[-1],
        "whole": vitals.now - vitals.since >= HOUR,
        "sparks": [[spark(vitals, row) for row in rows] for _, rows in panels(vitals)],
        "histogram": vitals.histogram(),
        "times": [round(time, 1) for time in times],
        "charts": [[[rounded(value) for value in ask[kind](name)] for name in names] for kind, names in CHARTS],
        "bar": WINDOW_BAR,
        "cuts": [
            (max(each.began, begin), each.ended or vitals.now)
            for each in vitals.happenings
            if (each.ended or vitals.now) > begin and not each.moment
        ],
    }


def _row(each: Happening, now: float) -> tuple[str, ...]:
    lasted = NONE if each.moment else length((each.ended or now) - each.began)
    counts = [NONE if value is None else f"{value:,.0f}" for value in (each.filled, each.lost)]
    seconds = [count if count in {NONE, "0"} else f"{count} s" for count in counts]
    partial = NONE if each.partial is None else f"{each.partial:,.0f}"
    told = NONE if each.told is None else _anomalies(int(each.told))
    return clock(each.began), each.what, one_line(each.note, 120), lasted, *seconds, partial, told


def _anomalies(count: int) -> str:
    return f"{count} {'anomaly' if count == 1 else 'anomalies'}" if count else "nothing"
