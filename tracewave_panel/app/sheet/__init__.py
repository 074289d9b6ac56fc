"""The sheet of the Live page: rows of figures on one time axis, made once a process.

A page of seven Bokeh figures costs its session some hundred milliseconds. Nothing in them differs between
sessions, and the page fills them from frames; so they travel in the page's text and belong to no session.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import msgspec
from bokeh.document import Document
from bokeh.plotting import figure

from tracewave_panel.app.live_table import FIRE
from tracewave_panel.app.theme import detector_look
from tracewave_panel.feeds import Feed

from .agreement import agreement
from .lanes import lane
from .pulse import pulse
from .timeline import Timeline

__all__ = ["Row", "sheet", "sheet_text"]


class Row(msgspec.Struct, frozen=True):
    """One row: a name on the left, a figure on the time axis, its figures on the right.

    Attributes
    ----------
    kind
        Which figures the row reads out: ``pulse``, ``lane`` or ``agreement``.
    heading, subheading, hint
        Its name, a few words, and a sentence for who points at the name.
    colour
        Token of its line.
    place, detector
        Of a lane: number of its columns, and name by which frames tell why it abstains.
    """

    kind: str
    heading: str
    subheading: str
    hint: str = ""
    colour: str = "--text-3"
    place: int = 0
    detector: str = ""


def sheet(feed: Feed, detectors: tuple[str, ...]) -> list[tuple[Row, figure]]:
    """Rows from top to bottom with their figures, which share one table and one axis."""
    metric = feed.metrics[0]
    timeline = Timeline(feed, detectors)
    heading = metric.name.capitalize() if metric.unit != "events/s" else "Events a second"
    rows = [(Row("pulse", heading, "bands: one and 2.5 spreads around the expected"), pulse(timeline))]
    for place, name in enumerate(detectors):
        look = detector_look(name)
        hint = f"{look.sentence} Fires at {FIRE}.".strip()
        row = Row("lane", look.name, look.sees, hint, look.colour, place, name)
        rows.append((row, lane(timeline, place, look.colour)))
    rows.append((Row("agreement", "Agreement", "detectors firing"), agreement(timeline, len(detectors))))
    return rows


@lru_cache(maxsize=8)
def sheet_text(feed: Feed, detectors: tuple[str, ...]) -> str:
    """Return the sheet as JSON for the page's ``rows.js``, safe inside a script element."""
    document = Document()
    rows = sheet(feed, detectors)
    for _, plot in rows:
        document.add_root(plot)
    described: dict[str, Any] = {
        "document": document.to_json(deferred=False),
        "rows": [msgspec.to_builtins(row) | {"root": plot.id} for row, plot in rows],
        "detectors": detectors,
    }
    return json.dumps(described).replace("<", "\\u003c")
