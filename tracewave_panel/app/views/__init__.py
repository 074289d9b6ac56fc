"""One Viewer a file; views do not know each other."""

from __future__ import annotations

VIEWS = {
    "status": "tracewave_panel.app.views.status:Status",
    "tiles": "tracewave_panel.app.views.tiles:Tiles",
    "pulse": "tracewave_panel.app.views.pulse:Pulse",
    "lanes": "tracewave_panel.app.views.lanes:Lanes",
    "agreement": "tracewave_panel.app.views.agreement:Agreement",
    "cards": "tracewave_panel.app.views.cards:Cards",
    "events": "tracewave_panel.app.views.events:Events",
    "counters": "tracewave_panel.app.views.counters:Counters",
}
"""Name on the page -> Viewer, from top to bottom."""
