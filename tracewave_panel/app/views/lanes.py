"""The detectors: one lane each, with its score, its threshold, and why it abstains."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from typing import Any

import panel as pn
from bokeh.models import FixedTicker, LinearAxis, Range1d
from bokeh.models.annotations.geometry import Span
from panel.viewable import Viewer

from tracewave_panel.app.live_table import FIRE
from tracewave_panel.app.sheet_row import SheetRow
from tracewave_panel.app.theme import detector_look, paint, plain_axis
from tracewave_panel.app.timeline import Timeline
from tracewave_panel.app.wording import one_line
from tracewave_panel.model import Analysis

__all__ = ["Lanes"]

LOWEST, HIGHEST = -0.08, 1.16  # of a lane: room for the line at 0 and for the figure at 1


class Lanes(Viewer):
    """A lane for each detector that the windows tell of; one that appears later gets its lane then."""

    def __init__(self, timeline: Timeline, **params: Any) -> None:
        super().__init__(**params)
        self._timeline = timeline
        self._rows: dict[str, SheetRow] = {}
        self._column = pn.Column(sizing_mode="stretch_width", margin=0)

    def tell(self, last: Analysis) -> None:
        """Add lanes for new detectors, and say which of them abstain after this window and why."""
        for place, name in enumerate(self._timeline.table.detectors):
            if name not in self._rows:
                self._rows[name] = self._lane(place, name)
        if len(self._column) < len(self._rows):
            self._column.objects = list(self._rows.values())
        for score in last.scores:
            row = self._rows[score.detector]
            reason = "" if score.warm else one_line(score.reason) or "not ready"
            row.param.update(reason=reason, seconds=last.window.width)

    def _lane(self, place: int, name: str) -> SheetRow:
        look = detector_look(name)
        source = self._timeline.table.source
        plot = self._timeline.plot(Range1d(start=LOWEST, end=HIGHEST))
        plot.add_layout(plain_axis(LinearAxis, ticker=FixedTicker(ticks=[FIRE, 1])), "left")
        area = plot.varea("start", FIRE, f"above_{place}", source=source, fill_alpha=0.3)
        line = plot.line("start", f"score_{place}", source=source, line_width=1.4, line_join="round")
        threshold = Span(location=FIRE, dimension="width", line_dash=[4, 3])
        plot.add_layout(threshold)
        paint(area.glyph, fill_color=look.colour)
        paint(line.glyph, line_color=look.colour)
        paint(threshold, line_color="--text-3")
        return SheetRow(
            kind="lane",
            heading=look.name,
            subheading=look.sees,
            hint=f"{look.sentence} Fires at {FIRE}.".strip(),
            colour=look.colour,
            place=place,
            plot=pn.pane.Bokeh(plot, sizing_mode="stretch_both"),
        )

    def __panel__(self) -> pn.Column:
        return self._column
