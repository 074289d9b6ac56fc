"""SQL over everything that was kept: one SELECT, answered as JSON, CSV or Arrow."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import datetime as dt
import io
import math
from collections.abc import Callable
from threading import BoundedSemaphore, Event
from typing import Any

import pyarrow as pa
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tracewave_panel.api.accepting import best
from tracewave_panel.api.answers import TableForm
from tracewave_panel.api.described import described, told
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.problems import RefusalError
from tracewave_panel.api.questions import SqlOrder, read_body
from tracewave_panel.codec import to_json
from tracewave_panel.errors import TracewaveError
from tracewave_panel.ports import Console, History, Table

__all__ = ["add_asking"]

Answering = Callable[[History, SqlOrder, Event], Response]
"""Runs a query and writes its answer, in one form, until the event is set."""

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"


def add_asking(app: FastAPI, console: Console, *, limits: Limits) -> None:
    """Add the address that answers SQL."""
    text = {"schema": {"type": "string"}}
    app.add_api_route(
        "/api/sql",
        _Asking(console, limits).sql,
        **described(
            TableForm,
            body=SqlOrder,
            refuses=(406,),
            media={CSV: text, ARROW: {"schema": {"type": "string", "format": "binary"}}},
            method="POST",
        ),
    )


class _Asking:
    def __init__(self, console: Console, limits: Limits) -> None:
        self._console = console
        self._most = limits.queries
        self._room = BoundedSemaphore(limits.queries)

    async def sql(self, request: Request) -> Response:
        """Run one SELECT or EXPLAIN on the history. Accept chooses JSON, CSV or an Arrow stream."""
        order = read_body(SqlOrder, request)
        media = best(request.headers.getlist("accept"), (JSON, CSV, ARROW))
        if media is None:
            raise RefusalError(406, f"an answer is {JSON}, {CSV} or {ARROW}; ask for one of them in Accept")
        history = self._console.history
        if history is None:
            raise RefusalError(503, "no history is kept, so there is nothing to ask; start with a data folder")
        if not self._room.acquire(blocking=False):
            detail = f"{self._most} queries run already; ask again in a second"
            raise RefusalError(429, detail, headers={"retry-after": "1"})
        try:
            return await _as_long_as_asked(request, _ANSWERS[media], history, order)
        finally:
            self._room.release()


class _Nothing(Response):
    """What somebody gets who is not there any more; it is counted as a client that left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


async def _as_long_as_asked(request: Request, answer: Answering, history: History, order: SqlOrder) -> Response:
    """Answer of a query, which is stopped when the client hangs up."""
    cancelled = Event()
    asked = asyncio.create_task(run_in_threadpool(answer, history, order, cancelled))
    left = asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait((asked, left), return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            cancelled.set()
            with contextlib.suppress(TracewaveError):
                await asked
            return _Nothing()
        return await asked
    finally:
        cancelled.set()
        left.cancel()
        asked.add_done_callback(_heard)


def _heard(asked: asyncio.Task[Response]) -> None:
    """Take note of what went wrong, which asyncio would log when the server stops in the middle of it."""
    if not asked.cancelled():
        asked.exception()


async def _hung_up(request: Request) -> None:
    # its body was taken in before, so that nothing else can come
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(history: History, order: SqlOrder, cancelled: Event) -> Response:
    table = _asked(history, order, cancelled)
    return told(TableForm(table.columns, tuple(tuple(map(_plain, row)) for row in table.rows)))


def _csv(history: History, order: SqlOrder, cancelled: Event) -> Response:
    table = _asked(history, order, cancelled)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(table.columns)
    writer.writerows([_text(value) for value in row] for row in table.rows)
    return Response(out.getvalue(), headers={"content-type": f"{CSV}; charset=utf-8; header=present"})


def _arrow(history: History, order: SqlOrder, cancelled: Event) -> Response:
    table = history.query_arrow(order.sql, max_rows=order.max_rows, timeout=order.timeout, cancelled=cancelled)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW)


_ANSWERS: dict[str, Answering] = {JSON: _json, CSV: _csv, ARROW: _arrow}


def _asked(history: History, order: SqlOrder, cancelled: Event) -> Table:
    return history.query(order.sql, max_rows=order.max_rows, timeout=order.timeout, cancelled=cancelled)


def _plain(value: Any) -> Any:
    """What JSON can hold: times in ISO 8601, bytes in hexadecimal, and no number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _text(value: Any) -> str:
    plain = _plain(value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else to_json(plain).decode()
