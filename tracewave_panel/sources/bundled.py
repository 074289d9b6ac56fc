"""The recording that Tracewave ships: half an hour of simulated edits in which something happens every few minutes."""

from __future__ import annotations

from tracewave_panel.sources.synthetic import Simulation, SyntheticSettings, simulate
from tracewave_panel.sources.synthetic_incidents import Incident

__all__ = ["BUNDLED_NAME", "BUNDLED_SETTINGS", "BUNDLED_START", "bundled_simulation"]

BUNDLED_NAME = "simulated-edits.jsonl.gz"
BUNDLED_START = 1_767_225_600.0
"""2026-01-01T00:00Z."""

_MINUTE = 60.0
_WARM_UP = 60 * _MINUTE
BUNDLED_SETTINGS = SyntheticSettings(
    seed=2026,
    incidents=(
        Incident("bot_burst", 20, length=75, effect=3.0, culprit={"wiki": "commons.wikimedia.org"}),
        Incident("drop", 4.5 * _MINUTE, length=75, effect=0.25, culprit={}),
        Incident("wiki_spike", 8 * _MINUTE, length=90, effect=2.0, culprit={"wiki": "de.wikipedia.org"}),
        Incident("flash_crowd", 12 * _MINUTE, length=150, culprit={}),
        Incident("reconnect_backlog", 17 * _MINUTE, length=45),
        Incident("surge", 21 * _MINUTE, length=120, effect=1.5, culprit={}),
        Incident("namespace_spike", 26 * _MINUTE, length=60, effect=2.0, culprit={"namespace": "template"}),
    ),
)


def bundled_simulation() -> Simulation:
    """Simulate the bundled half hour; the hour before it, in which nothing happens, is its warm-up."""
    return simulate(BUNDLED_SETTINGS, BUNDLED_START, 30 * _MINUTE, warm_up=_WARM_UP)
