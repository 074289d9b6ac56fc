"""One Viewer a file; views do not know each other."""

from __future__ import annotations

VIEWS = {
    "navigator": "tracewave_panel.app.views.navigator:Navigator",
    "status": "tracewave_panel.app.views.status:Status",
    "tiles": "tracewave_panel.app.views.tiles:Tiles",
    "pulse": "tracewave_panel.app.views.pulse:Pulse",
    "lanes": "tracewave_panel.app.views.lanes:Lanes",
    "agreement": "tracewave_panel.app.views.agreement:Agreement",
    "cards": "tracewave_panel.app.views.cards:Cards",
    "changed": "tracewave_panel.app.views.changed:Changed",
    "events": "tracewave_panel.app.views.events:Events",
    "health": "tracewave_panel.app.views.health:Health",
    "counters": "tracewave_panel.app.views.counters:Counters",
}
"""Name of its place in the page -> Viewer, from top to bottom."""
