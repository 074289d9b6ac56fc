"""The page for plain ``panel serve tracewave_panel/app/main.py``; all sessions see the one pipeline of the process."""

import panel as pn

from tracewave_panel.app.dashboard import build_page
from tracewave_panel.app.state import Console
from tracewave_panel.shared import shared_runtime

if pn.state.served:
    runtime = shared_runtime()
    build_page(Console(runtime.feed, runtime.store, runtime)).servable()
