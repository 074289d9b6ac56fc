"""The API as one application: its addresses, and what stands before them."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.routing import compile_path

from tracewave_panel.access import Access, Scope
from tracewave_panel.api.asking import add_asking
from tracewave_panel.api.changing import LABEL, MUTE, add_changing
from tracewave_panel.api.documents import add_documents
from tracewave_panel.api.door import Door, Frame, Intake, Operation, Table
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.problems import add_problems
from tracewave_panel.api.reading import add_reading
from tracewave_panel.api.status import add_status
from tracewave_panel.api.stream import add_no_stream, add_stream
from tracewave_panel.metrics import Metrics
from tracewave_panel.ports import Console

__all__ = ["build_api"]

_SCOPES = {
    ("POST", "/api/sql"): Scope.READ,
    ("PUT", LABEL): Scope.LABEL,
    ("DELETE", LABEL): Scope.LABEL,
    ("PUT", MUTE): Scope.ADMIN,
    ("DELETE", MUTE): Scope.ADMIN,
}
_BODIES = {"/api/sql": frozenset({"POST"}), LABEL: frozenset({"PUT"}), MUTE: frozenset({"PUT"})}
_OPEN = frozenset({"/", "/api/health", "/docs", "/docs/{asset}", "/openapi.json"})
_UNCOUNTED = frozenset({"/api/health", "/metrics"})


def build_api(
    console: Console,
    *,
    access: Access,
    metrics: Metrics,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    prefix: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """Application that answers about a running pipeline.

    Parameters
    ----------
    console
        The pipeline.
    access
        Decides on tokens, hosts, origins, and whose word on a visitor's address is believed.
    metrics
        Counts requests, and is shown under ``/metrics``.
    limits
        Bounds of what one client and all may ask.
    prefix
        Path under which a proxy shows this server, such as ``/tracewave``; the proxy may take it off or leave it on.
    clock
        Monotonic seconds that rates are counted in.
    """
    table = Table([], _SCOPES)
    layers = [
        Middleware(Frame, metrics=metrics, table=table, prefix=prefix),
        Middleware(Door, access=access, limits=limits, table=table, clock=clock),
        Middleware(Intake, limits=limits, table=table),
    ]
    app = FastAPI(
        title="Tracewave",
        version=version("tracewave-panel"),
        description="What a live feed did, what was unusual about it, and why. Times are ISO 8601 with their zone; "
        "lists are read by cursor; what goes wrong is told as problem details (RFC 9457).",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        middleware=layers,
    )
    app.state.limits, app.state.access = limits, access
    add_problems(app)
    add_status(app, console, metrics=metrics)
    add_reading(app, console)
    add_changing(app, console, access=access)
    add_asking(app, console, limits=limits)
    for route in app.routes:
        if isinstance(route, APIRoute):  # a list of sentences reads better than one of names
            summary, _, route.description = route.description.partition(". ")
            route.summary = summary.rstrip(".")
    add_documents(app, access=access, prefix=prefix)
    add_stream(app, console, access=access, metrics=metrics, limits=limits)
    paths = dict.fromkeys(str(getattr(route, "path", "")) for route in app.routes)
    table.operations.extend(
        (compile_path(path)[0], Operation(path, _BODIES.get(path, frozenset()), path in _OPEN, path in _UNCOUNTED))
        for path in paths
    )
    add_no_stream(app)
    return app
