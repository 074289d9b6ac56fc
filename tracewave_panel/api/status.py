"""How the running pipeline stands: health, figures, and Prometheus' text."""

from __future__ import annotations

import time
from importlib.metadata import version

from fastapi import FastAPI, Request
from starlette.responses import Response

from tracewave_panel.api.answers import HealthForm, StatsForm
from tracewave_panel.api.described import described, told
from tracewave_panel.api.questions import HealthQuery, read_query
from tracewave_panel.api.telling import finite, route_form, source_form
from tracewave_panel.errors import StoreError
from tracewave_panel.metrics import CONTENT_TYPE, Metrics
from tracewave_panel.model import Origin
from tracewave_panel.ports import Console, Store

__all__ = ["add_status"]

OVERDUE = 60.0
"""Seconds after which a live feed's newest window is too old, or five of its widths where that is longer."""
_SILENT = frozenset({"connecting", "reconnecting", "gap", "ended"})


def add_status(app: FastAPI, console: Console, *, metrics: Metrics) -> None:
    """Add the addresses of health and figures."""
    status = _Status(console, metrics)
    health = described(HealthForm, query=HealthQuery)
    health["responses"][503] = {**health["responses"][200], "description": "It cannot be relied on; reasons say why."}
    app.add_api_route("/api/health", status.health, **health)
    app.add_api_route("/api/stats", status.stats, **described(StatsForm))
    text = {"text/plain": {"schema": {"type": "string"}}}
    app.add_api_route("/metrics", status.metrics, **described(None, media=text))


class _Status:
    def __init__(self, console: Console, metrics: Metrics) -> None:
        self._console, self._metrics = console, metrics

    def health(self, request: Request) -> Response:
        """Whether the process answers and can be relied on, with reasons; 503 when it cannot."""
        asked = read_query(HealthQuery, request)
        if request.state.grant is None:
            return told(HealthForm("live"))
        reasons, age = self._reasons()
        source = self._console.control.source_status().state
        if asked.probe == "live":
            return told(HealthForm("live", reasons, source.word, age))
        return told(HealthForm("not_ready" if reasons else "ready", reasons, source.word, age), 503 if reasons else 200)

    def stats(self) -> Response:
        """Figures of the pipeline, its source and its notices."""
        control = self._console.control
        return told(
            StatsForm(
                version=version("tracewave-panel"),
                feed=self._console.feed.name,
                origin=control.origin,
                run=control.run,
                detectors=control.detectors,
                source=source_form(control.source_status()),
                counters=control.counters(),
                gauges={name: finite(value) for name, value in control.gauges().items()},
                routes=tuple(map(route_form, control.routes())),
            )
        )

    def metrics(self) -> Response:
        """Every figure in Prometheus' text format."""
        return Response(self._metrics.render(), headers={"content-type": CONTENT_TYPE})

    def _reasons(self) -> tuple[tuple[str, ...], float | None]:
        """Why it cannot be relied on, and the age of the newest window in seconds."""
        control, reasons = self._console.control, []
        state = control.source_status().state
        if state.word in _SILENT:
            reasons.append(f"the source is {state.word}: {state.note}" if state.note else f"the source is {state.word}")
        age: float | None = None
        try:
            control.archive.store.gaps(since=time.time())
            end, width = _newest(self._console.store)
            age = time.time() - end if end else None
        except StoreError as error:
            reasons.append(f"the store cannot be read: {error}")
        else:
            if age is None:
                reasons.append("no window has closed yet")
            elif control.origin is Origin.LIVE and age > max(OVERDUE, 5 * width):
                reasons.append(f"the newest window ended {age:.0f} s ago")
        return tuple(reasons), age


def _newest(store: Store) -> tuple[float, float]:
    """End and width of the window told last; nought where there is none."""
    newest = store.analyses(2**62, 1).cursor
    items = store.analyses(max(0, newest - 1), 1).items
    return (items[-1].window.end, items[-1].window.width) if items else (0.0, 0.0)
