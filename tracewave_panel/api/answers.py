"""Whole answers of REST, made of the forms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tracewave_panel.api.forms import (
    AnomalyForm,
    EventForm,
    GapForm,
    LabelForm,
    MuteForm,
    RouteForm,
    ScoresForm,
    SourceForm,
    WindowForm,
)
from tracewave_panel.model import Origin

__all__ = [
    "AnomalyDetailForm",
    "AnomalyPage",
    "GapList",
    "HealthForm",
    "LabelList",
    "MuteList",
    "ScoresPage",
    "StatsForm",
    "TableForm",
    "WindowPage",
]


class AnomalyDetailForm(Struct, frozen=True):
    """An anomaly with what lies around it.

    Windows and their scores reach from 60 windows before it opened to 30 after it closed, or to the
    newest while it is open, as far as they are held; events are the newest of its time. windows_left_out
    and events_left_out count what is held beyond the most that one answer carries; of an episode of
    hours at least so many windows.
    """

    anomaly: AnomalyForm
    windows: tuple[WindowForm, ...]
    scores: tuple[ScoresForm, ...]
    windows_left_out: int
    events: tuple[EventForm, ...]
    events_left_out: int
    mutes: tuple[MuteForm, ...]


class WindowPage(Struct, frozen=True):
    """Windows after the cursor, in the order in which they were told.

    Ask again with this cursor; more says that there was more to read. missed counts what the store let go in between.
    """

    items: tuple[WindowForm, ...]
    cursor: str
    missed: int
    more: bool


class ScoresPage(Struct, frozen=True):
    """Scores after the cursor, one item for each metric of each window; cursor, missed and more as for windows."""

    items: tuple[ScoresForm, ...]
    cursor: str
    missed: int
    more: bool


class AnomalyPage(Struct, frozen=True):
    """Anomalies told after the cursor, each as it was last told; cursor, missed and more as for windows."""

    items: tuple[AnomalyForm, ...]
    cursor: str
    missed: int
    more: bool


class GapList(Struct, frozen=True):
    """Gaps, oldest first; left_out counts older ones beyond the limit."""

    items: tuple[GapForm, ...]
    left_out: int


class LabelList(Struct, frozen=True):
    """Labels that hold, in the order in which they were given."""

    items: tuple[LabelForm, ...]


class MuteList(Struct, frozen=True):
    """Mutes that hold, in the order in which they were given."""

    items: tuple[MuteForm, ...]


class HealthForm(Struct, frozen=True):
    """Whether the process answers (live) and can be relied on (ready), and if not, why.

    Without a token, where one is asked, it is live and nothing more.
    """

    status: Literal["live", "ready", "not_ready"]
    reasons: tuple[str, ...] = ()
    source: str = ""
    window_age: Annotated[float | None, Meta(description="Seconds since the end of the newest window.")] = None


class StatsForm(Struct, frozen=True):
    """Figures of the running pipeline; a figure that is not known is left out."""

    version: str
    feed: str
    origin: Origin
    run: int
    detectors: tuple[str, ...]
    source: SourceForm
    counters: dict[str, int]
    gauges: dict[str, float | None]
    routes: tuple[RouteForm, ...]


class TableForm(Struct, frozen=True):
    """Rows of an answer, with the names of their columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
