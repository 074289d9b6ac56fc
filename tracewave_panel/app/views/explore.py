"""The Explore page: questions to history, answers as a table, a chart and a file."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ClassVar, TypeVar

import msgspec
import param
from panel.viewable import Viewer

from tracewave_panel.app.asking_component import AskingComponent
from tracewave_panel.app.explore import desk
from tracewave_panel.app.explore.asked import AskedAnomaly, AskedCancel, AskedFile, AskedRun, AskedSchema, asked_of
from tracewave_panel.app.explore.catalogue import catalogue
from tracewave_panel.app.explore.faults import fault_of
from tracewave_panel.app.explore.files import Form, file_of, in_pieces
from tracewave_panel.app.explore.picked import picked
from tracewave_panel.app.frames import Frames
from tracewave_panel.app.theme import asset
from tracewave_panel.errors import StoreError, TracewaveError
from tracewave_panel.ports import Console
from tracewave_panel.ready_queries import ready_queries

__all__ = ["Explore"]

T = TypeVar("T")
PARTS = ("words", "complete", "editor", "side", "begin", "table", "marks", "chart")


class ExploreSheet(AskingComponent):
    """Draws the page; every word enters as ``textContent``, and nothing runs that nobody pressed for."""

    ready = param.String(default="[]", doc="JSON of the ready queries.")
    limits = param.String(default="{}", doc="JSON of what stops a query.")

    _esm = "".join(
        asset(f"components/{name}.js") for name in ("plotting", *(f"explore_{each}" for each in PARTS), "explore")
    )
    _stylesheets: ClassVar[list[str]] = [asset(f"components/{name}.css") for name in ("shared", "explore")]


class Explore(Viewer):
    """What one session asks.

    Parameters
    ----------
    console
        Whose history is asked.
    frames
        The line to the page, which brings the answers.
    """

    def __init__(self, console: Console, frames: Frames, **params: Any) -> None:
        super().__init__(**params)
        self._frames = frames
        self._console = console
        self._question: desk.Question | None = None
        self._number = 0
        ready, limits = _json(ready_queries(console.feed)), _json({"rows": desk.MOST_ROWS, "seconds": desk.SECONDS})
        self._sheet = ExploreSheet(sizing_mode="stretch_both", margin=0, ready=ready, limits=limits)
        self._sheet.on_msg(lambda event: self._heard(event.data))

    def close(self) -> None:
        """Stop what runs, and hold nothing."""
        if self._question:
            self._question.cancel()
        desk.HELD.drop(self)

    def __panel__(self) -> ExploreSheet:
        return self._sheet

    def _heard(self, message: Any) -> None:
        match asked_of(message):
            case AskedRun(sql, number):
                self._run(sql, number)
            case AskedCancel(number) if self._question and number == self._number:
                self._question.cancel()
            case AskedFile(form, number):
                self._beside(partial(self._file, form, number), file={"form": form, "number": number})
            case AskedAnomaly(anomaly):
                self._beside(lambda: [_json({"anomaly": picked(self._console, anomaly)})], anomaly={"id": anomaly})
            case AskedSchema():
                self._beside(lambda: [_json({"schema": catalogue(self._console.history)})], schema={})

    def _run(self, sql: str, number: int) -> None:
        """Ask, after stopping what this session asked before."""
        if self._question:
            self._question.cancel()
        self._number = number
        begun = partial(self._soon, _json({"begun": number}))
        self._question = desk.Question(self._console.history, sql, self, begun)

        self._later(
            self._question.answered,
            lambda told: [_json({"answer": {"number": number, "at": told.at, "seconds": told.seconds, **told.shown}})],
            lambda error: _json({"fault": {"number": number, **fault_of(error, sql)._asdict()}}),
        )

    def _beside(self, work: Callable[[], list[str]], **refused: dict[str, Any]) -> None:
        """Do small work on a thread; a refusal is told with its error in words."""
        (subject, fields), *_ = refused.items()
        self._later(desk.beside(work), lambda said: said, lambda error: _json({subject: fields | {"error": error}}))

    def _later(self, done: Future[T], words: Callable[[T], list[str]], refused: Callable[[str], str]) -> None:
        """Say what comes of it, or why nothing does; put into words on the thread that did it."""

        def tell(done: Future[T]) -> None:
            try:
                messages = words(done.result())
            except TracewaveError as error:
                messages = [refused(str(error))]
            for message in messages:
                self._soon(message)

        done.add_done_callback(tell)

    def _soon(self, message: str) -> None:
        """Say it from the session's own loop, each message in a turn of its own."""
        document = self._frames.document  # None once the session is over
        if document is not None:
            for text in (message, ""):
                document.add_next_tick_callback(partial(setattr, self._frames, "answer", text))

    def _file(self, form: Form, number: int) -> list[str]:
        answer = desk.HELD.get(self)
        if answer is None or number != self._number:
            raise StoreError("this answer is no longer held here; run the query again")
        pieces = in_pieces(file_of(answer, form))
        head = {"form": form, "number": number, "pieces": len(pieces)}
        return [_json({"file": {**head, "place": place, "data": piece}}) for place, piece in enumerate(pieces)]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
