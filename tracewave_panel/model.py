"""The nouns. All frozen; times are float seconds since the epoch in UTC, lengths are seconds.

Event -> Batch -> Window -> Analysis (with Scores and Contributions) -> Anomaly
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

__all__ = [
    "Analysis",
    "Anomaly",
    "AnomalyKind",
    "Batch",
    "Contribution",
    "Direction",
    "Dropped",
    "Event",
    "Findings",
    "Label",
    "LabelVerdict",
    "Mark",
    "Mute",
    "Origin",
    "Quality",
    "Sample",
    "Score",
    "Severity",
    "Status",
    "Verdict",
    "Window",
]

Direction = Literal[-1, 0, 1]
"""Of a change: 1 a rise, -1 a fall, 0 the mix alone."""
LabelVerdict = Literal["real", "not_real"]
"""What a person says of an anomaly."""


class Status(StrEnum):
    """What a source knows about its feed at the moment of a Batch."""

    LIVE = "live"
    GAP = "gap"
    CATCH_UP = "catch_up"


class Origin(StrEnum):
    """Where events come from. A page names it; simulated data is never shown as real."""

    LIVE = "live"
    IMPORTED = "imported"
    SIMULATED = "simulated"


class Quality(StrEnum):
    """How far a window can be trusted.

    ``ok`` and ``backfilled`` windows are judged and learned from; ``partial``, ``gap`` and
    ``revised`` ones are shown, never judged.
    """

    OK = "ok"
    PARTIAL = "partial"
    GAP = "gap"
    BACKFILLED = "backfilled"
    REVISED = "revised"

    @property
    def judged(self) -> bool:
        """Whether detectors score and learn such a window."""
        return self in {Quality.OK, Quality.BACKFILLED}


class Severity(StrEnum):
    """How much an anomaly asks for attention."""

    NONE = "none"
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Position from 0 (none) to 3 (critical)."""
        return list(Severity).index(self)


class AnomalyKind(StrEnum):
    """What sort of unusual thing an anomaly is."""

    RATE_UP = "rate_up"
    RATE_DOWN = "rate_down"
    MIX_SHIFT = "mix_shift"
    FEED_SILENT = "feed_silent"


class Verdict(StrEnum):
    """What an explanation concluded."""

    CULPRIT = "culprit"
    GLOBAL = "global"
    NONE = "none"


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing that happened in the feed: an edit, a trade.

    Attributes
    ----------
    time
        When it counts (rule 3 of time): the feed clock's answer, not the feed's.
    occurred_at, arrived_at
        When the feed says it happened, and when its bytes were read here.
    series
        The time series it belongs to.
    id
        Unique within the feed; what duplicates are found by.
    dimensions, measures
        Values in the order in which the :class:`~tracewave_panel.feeds.Feed` names them.
    actor, subject
        Who did it and to what (editor and page, or buyer side and symbol).
    title, link
        Words and address for a person. Both are hostile text.
    """

    time: float
    occurred_at: float
    arrived_at: float
    series: str
    id: str
    dimensions: tuple[str, ...] = ()
    measures: tuple[float, ...] = ()
    actor: str = ""
    subject: str = ""
    title: str = ""
    link: str = ""


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What the feed clock says of a stretch of time ``[start, end)``, before its windows close.

    ``partial``, ``gap`` or ``backfilled``; of several marks on one window the worst holds
    (gap, then partial, then backfilled).
    """

    start: float
    end: float
    quality: Quality


class Dropped(msgspec.Struct, frozen=True, gc=False):
    """Events that a full buffer shed: how many of one series within the second from `time`."""

    series: str
    time: float
    count: int


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a source hands over. An empty batch still moves time.

    Attributes
    ----------
    arrived_at
        The arrival clock at the moment of handing over.
    watermark
        Nothing earlier than this is still expected.
    status
        What the source knows about its feed.
    events
        In order of arrival.
    marks
        Stretches of time whose windows are not ordinary ones.
    dropped
        Events that were shed on the way.
    undecodable, duplicates
        How many events since the last batch could not be read, or had been seen before.
    position
        Resume token: all that the source needs to go on after this batch. Empty: this batch
        is no resting place, and no State is saved after it.
    """

    arrived_at: float
    watermark: float
    status: Status = Status.LIVE
    events: tuple[Event, ...] = ()
    marks: tuple[Mark, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    undecodable: int = 0
    duplicates: int = 0
    position: bytes = b""


class Window(msgspec.Struct, frozen=True):
    """One tumbling window ``[start, start + width)`` of one series, told once a revision.

    Attributes
    ----------
    features
        Floats in the feed's fixed order.
    dimension_counts
        For each of the feed's dimensions, how often each value occurred.
    late
        Events among `count` that belong to an earlier, closed window.
    dropped
        Events of this window that a full buffer shed; they are not in `count`.
    revision
        0 at first; one more each time a ``gap`` window is told again with events that
        came after all.
    samples
        Some of its events, evenly spread over it, for an explanation to show.
    """

    series: str
    start: float
    width: float
    count: int
    features: tuple[float, ...]
    dimension_counts: tuple[Mapping[str, int], ...]
    late: int = 0
    dropped: int = 0
    quality: Quality = Quality.OK
    revision: int = 0
    samples: tuple[Event, ...] = ()

    @property
    def end(self) -> float:
        """First moment after the window."""
        return self.start + self.width


class Score(msgspec.Struct, frozen=True):
    """One detector's word on one window.

    Attributes
    ----------
    statistic
        The detector's own number: a z, a control-chart deviation, a tree mass score.
    p
        Chance of a statistic this extreme on an ordinary window.
    score
        ``min(1, -log10(p) / 10)``: 0.5 is one in 100,000.
    fired
        Whether the detector, on its own, calls this window unusual.
    direction
        1 a rise, -1 a fall, 0 neither can be said (multivariate detectors).
    expected, spread
        What the detector expected of the metric and about one standard deviation around it, in
        the metric's unit, if it expects a value.
    warm
        A cold detector abstains: its other fields are neutral and it leaves the denominator.
    reason
        Why it abstains, in words; empty when warm.
    windows_left
        How many more windows it needs until it is warm.
    span
        Over how many windows it looked where it found its statistic; 0 when that is not said.
    """

    detector: str
    statistic: float = 0.0
    p: float = 1.0
    score: float = 0.0
    fired: bool = False
    direction: Direction = 0
    expected: float | None = None
    spread: float | None = None
    warm: bool = True
    reason: str = ""
    windows_left: int = 0
    span: int = 0


class Sample(msgspec.Struct, frozen=True):
    """An event that shows what a Contribution is made of. `title` and `link` are hostile text."""

    id: str
    time: float
    title: str
    link: str


class Contribution(msgspec.Struct, frozen=True):
    """One dimension value's part in a change.

    Attributes
    ----------
    observed, expected
        Events of this value a second over the alarm so far, and as many as its baseline gives.
    share
        Part of the whole change that it carries; negative when it went the other way.
    significance
        Signed root of G: about standard normal when the mix did not change.
    named
        Whether it passed the bar that keeps rare noise from leading.
    samples
        Up to three of its events, the newest last.
    """

    dimension: str
    value: str
    observed: float
    expected: float
    share: float
    significance: float
    named: bool
    samples: tuple[Sample, ...] = ()


class Analysis(msgspec.Struct, frozen=True):
    """One metric of one Window, scored, combined and explained.

    Attributes
    ----------
    observed, expected
        The metric in this window, and what the detectors expected (None: nobody knew).
    spread
        About one standard deviation of the metric around `expected`, in the metric's unit.
    confidence
        Sum of the scores of the detectors that fired over the number available.
    evidence
        Weighted sum of what the detectors' p say beyond the usual, in powers of ten.
    rarity
        Days between two ordinary episodes with at least this evidence: "once in 9 days" is 9.
    alerting
        Whether the ensemble's rule calls this window anomalous.
    completeness
        Share of the change that the named contributions account for.
    provisional
        Whether p and rarity rest on a safe default, not on what this feed was seen to do.
    """

    metric: str
    window: Window
    observed: float
    expected: float | None = None
    spread: float | None = None
    scores: tuple[Score, ...] = ()
    confidence: float = 0.0
    evidence: float = 0.0
    rarity: float = 0.0
    severity: Severity = Severity.NONE
    alerting: bool = False
    direction: Direction = 0
    verdict: Verdict = Verdict.NONE
    contributions: tuple[Contribution, ...] = ()
    completeness: float = 0.0
    provisional: bool = False


class Anomaly(msgspec.Struct, frozen=True):
    """An episode: what one card shows. Told again, under the same id, as it grows and closes.

    Attributes
    ----------
    id
        Derived from series, metric, kind and `opened`, so a replay gives the same one.
    opened, peaked, closed
        Start of the first alerting window, of the strongest, and the end of the last one
        (None while the episode is open).
    updated
        Start of the window that this telling was made from.
    observed, expected
        The metric at the peak.
    evidence, rarity, provisional
        As of the Analysis at the peak; a silent feed has neither, and is told as it is.
    agreeing, quiet, abstained
        Names of the detectors that fired at the peak, that were warm and did not, and that
        were not warm.
    title
        One line for a person. Holds values from the feed: hostile text.
    """

    id: str
    series: str
    metric: str
    kind: AnomalyKind
    opened: float
    peaked: float
    updated: float
    closed: float | None
    severity: Severity
    confidence: float
    rarity: float
    direction: Direction
    observed: float
    expected: float | None
    agreeing: tuple[str, ...]
    quiet: tuple[str, ...]
    abstained: tuple[str, ...]
    verdict: Verdict
    contributions: tuple[Contribution, ...]
    completeness: float
    quality: Quality
    title: str
    evidence: float = 0.0
    provisional: bool = False


class Label(msgspec.Struct, frozen=True):
    """A person's word on one anomaly; it outlives the telling that it was given on.

    Attributes
    ----------
    labelled_at
        When it was given, by this computer's clock.
    by
        Who gave it, as far as that is known. Hostile text.
    """

    anomaly_id: str
    verdict: LabelVerdict
    labelled_at: float
    by: str = ""


class Mute(msgspec.Struct, frozen=True):
    """Silence for notices; pages and stores go on as ever.

    An empty `anomaly_id`, `series`, `metric` or `kind` stands for every one.

    Attributes
    ----------
    id
        What it is taken back by.
    anomaly_id, series, metric, kind
        What is silenced: one episode, or all of a sort.
    given_at, until
        From when to when it holds; without an end it holds until it is taken back.
    by
        Who gave it, as far as that is known. Hostile text.

    Examples
    --------
    >>> Mute("m1", given_at=0.0, until=10.0, series="edits", kind="rate_up").holds(9.0)
    True
    """

    id: str
    given_at: float
    until: float | None = None
    anomaly_id: str = ""
    series: str = ""
    metric: str = ""
    kind: str = ""
    by: str = ""

    def holds(self, now: float) -> bool:
        """Whether it has not run out."""
        return self.until is None or now < self.until

    def silences(self, anomaly: Anomaly, now: float) -> bool:
        """Whether notices of this anomaly are not to be sent."""
        return self.holds(now) and all(
            wanted in {"", found}
            for wanted, found in (
                (self.anomaly_id, anomaly.id),
                (self.series, anomaly.series),
                (self.metric, anomaly.metric),
                (self.kind, anomaly.kind.value),
            )
        )


class Findings(msgspec.Struct, frozen=True):
    """What the graph made of one Batch: the unit that stores append.

    Attributes
    ----------
    analyses
        One for each metric of each window that closed, gap windows included.
    anomalies
        Every telling of an episode: opened, grown or closed.
    gaps
        Stretches that were found to be missing.
    events
        The batch's events, for views that show raw ones.
    late, dropped, undecodable, duplicates
        What this batch added to each count.
    """

    arrived_at: float
    watermark: float
    status: Status
    analyses: tuple[Analysis, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    gaps: tuple[Mark, ...] = ()
    events: tuple[Event, ...] = ()
    late: int = 0
    dropped: int = 0
    undecodable: int = 0
    duplicates: int = 0
