"""One Viewer a file; views do not know each other."""

from __future__ import annotations

VIEWS = {
    "navigator": "tracewave_panel.app.views.navigator:Navigator",
    "status": "tracewave_panel.app.views.status:StatusLine",
    "tiles": "tracewave_panel.app.views.tiles:Tiles",
    "cards": "tracewave_panel.app.views.cards:Cards",
    "changed": "tracewave_panel.app.views.changed:Changed",
    "events": "tracewave_panel.app.views.events:Events",
    "explore": "tracewave_panel.app.views.explore:Explore",
    "health": "tracewave_panel.app.views.health:Health",
    "counters": "tracewave_panel.app.views.counters:CounterLine",
}
"""Name of its place in the page -> Viewer, from top to bottom."""
