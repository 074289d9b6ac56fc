"""What goes out, over REST and the WebSocket alike. OpenAPI's schemas are made from these very classes.

Times are aware, features and dimensions go by their names, and what is not a finite number is null.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from tracewave_panel.model import AnomalyKind, LabelVerdict, Quality, Severity, Verdict

__all__ = [
    "AnomalyForm",
    "Change",
    "ContributionForm",
    "EventForm",
    "GapForm",
    "JudgementForm",
    "LabelForm",
    "Moment",
    "MuteForm",
    "RouteForm",
    "SampleForm",
    "ScoreForm",
    "ScoresForm",
    "SourceForm",
    "WindowForm",
]

Moment = Annotated[datetime, Meta(tz=True)]
"""A time with its zone: ISO 8601 in UTC."""
Change = Literal["up", "down", "none"]


class JudgementForm(Struct, frozen=True):
    """What was made of one metric of a window.

    Observed and expected are in the metric's unit. Evidence counts powers of ten beyond the usual;
    rarity_days says between how many days an ordinary episode of this strength comes once.
    Provisional figures rest on a safe default and not on what this feed was seen to do.
    """

    metric: str
    observed: float | None
    expected: float | None
    spread: float | None
    confidence: float | None
    evidence: float | None
    rarity_days: float | None
    severity: Severity
    alerting: bool
    direction: Change
    provisional: bool


class WindowForm(Struct, frozen=True):
    """One window of one series: start is in it, end is not. A later revision takes the place of an earlier one."""

    series: str
    start: Moment
    end: Moment
    revision: int
    quality: Quality
    count: int
    late: int
    dropped: int
    features: dict[str, float | None]
    dimensions: dict[str, dict[str, int]]
    judgements: tuple[JudgementForm, ...]


class ScoreForm(Struct, frozen=True):
    """One detector's word; a cold one abstains, and says why."""

    detector: str
    statistic: float | None
    p: float | None
    score: float | None
    fired: bool
    direction: Change
    expected: float | None
    spread: float | None
    warm: bool
    reason: str
    windows_left: int
    span: int


class ScoresForm(Struct, frozen=True):
    """What each detector said of one metric of one window."""

    series: str
    start: Moment
    revision: int
    metric: str
    scores: tuple[ScoreForm, ...]


class SampleForm(Struct, frozen=True):
    """An event that shows what a contribution is made of. Title and link come from the feed as they are."""

    id: str
    time: Moment
    title: str
    link: str


class ContributionForm(Struct, frozen=True):
    """One dimension value's part in a change: events a second, and its share of the whole change."""

    dimension: str
    value: str
    observed: float | None
    expected: float | None
    share: float | None
    significance: float | None
    named: bool
    samples: tuple[SampleForm, ...]


class LabelForm(Struct, frozen=True):
    """A person's word on one anomaly."""

    anomaly_id: str
    verdict: LabelVerdict
    labelled_at: Moment
    by: str


class AnomalyForm(Struct, frozen=True):
    """An episode, as it was last told. It is open while closed is null. The title holds words from the feed."""

    id: str
    series: str
    metric: str
    kind: AnomalyKind
    title: str
    severity: Severity
    opened: Moment
    peaked: Moment
    updated: Moment
    closed: Moment | None
    direction: Change
    observed: float | None
    expected: float | None
    confidence: float | None
    evidence: float | None
    rarity_days: float | None
    provisional: bool
    quality: Quality
    agreeing: tuple[str, ...]
    quiet: tuple[str, ...]
    abstained: tuple[str, ...]
    verdict: Verdict
    completeness: float | None
    contributions: tuple[ContributionForm, ...]
    label: LabelForm | None
    page: Annotated[str, Meta(description="Path of its page under the dashboard's address.")]


class EventForm(Struct, frozen=True):
    """One raw event. Actor, subject, title and link come from the feed as they are."""

    id: str
    series: str
    time: Moment
    occurred_at: Moment | None
    arrived_at: Moment | None
    dimensions: dict[str, str]
    measures: dict[str, float | None]
    actor: str
    subject: str
    title: str
    link: str


class GapForm(Struct, frozen=True):
    """A stretch that the feed did not deliver: start is in it, end is not."""

    start: Moment
    end: Moment
    seconds: float
    quality: Quality


class MuteForm(Struct, frozen=True):
    """Silence for notices of what it names; an empty word stands for every one. Without until it has no end."""

    id: str
    given_at: Moment
    until: Moment | None
    anomaly_id: str
    series: str
    metric: str
    kind: str
    by: str


class RouteForm(Struct, frozen=True):
    """How one route of notices stands; the totals count since the start."""

    name: str
    sent: int
    failed: int
    given_up: int
    held: int
    waiting: int
    last_sent: Moment | None
    last_error: str


class SourceForm(Struct, frozen=True):
    """What the source says about itself; lag is the median of arrival less occurrence, in seconds."""

    state: str
    note: str
    since: Moment | None
    lag: float | None
    notice: str
    counters: dict[str, int]
