"""The page for plain ``panel serve tracewave_panel/app/main.py``; all sessions see the one pipeline of the process."""

import os
import sys
from pathlib import Path

import panel as pn

from tracewave_panel.access import Access
from tracewave_panel.app.admission import Door, crowded_page, refusal, refused_page
from tracewave_panel.app.board import Board
from tracewave_panel.app.dashboard import build_page
from tracewave_panel.app.pages import PAGES
from tracewave_panel.app.server import sampling
from tracewave_panel.ports import Console
from tracewave_panel.shared import shared_runtime, shared_settings


def start_board(door: Door) -> Board:
    """Start the pipeline, and all that its pages share."""
    runtime = shared_runtime()
    board = Board(Console(runtime.feed, runtime.store, runtime, runtime))
    sampling(board, door).start()
    return board


def is_locked() -> bool:
    """Whether the settings want visitors to sign in."""
    data = Path(os.environ.get("TRACEWAVE_DATA", "data"))
    return Access(shared_settings().access, environment=os.environ, data=data).asks_pages


def build() -> pn.Template:
    """Build what the current session may see."""
    locked = pn.state.as_cached("tracewave-locked", is_locked)
    refused = refusal(os.environ, sys.orig_argv, locked=locked)
    if refused:
        return refused_page(refused)
    door = pn.state.as_cached("tracewave-door", lambda: Door(shared_settings().page.sessions))
    if not door.admit():
        return crowded_page(door)
    board = pn.state.as_cached("tracewave-board", lambda: start_board(door))
    asked = pn.state.session_args.get("page", [b""])[0].decode(errors="replace")
    page = asked if asked in {page.name for page in PAGES} else PAGES[0].name
    return build_page(board, page, routing="query")


if pn.state.served:
    build().servable()
