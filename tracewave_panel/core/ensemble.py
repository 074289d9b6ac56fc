"""From the detectors' scores to one alert: its evidence, confidence and severity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from tracewave_panel.model import Direction, Score, Severity

__all__ = ["Combined", "EnsembleSettings", "Evidence", "EvidenceState", "combine"]

_WEIGHTS = {"zscore": 0.5, "ewma": 0.5, "novelty": 0.1, "seasonal": 3.0}
_SIGNED = 0.2  # score from which a detector's direction counts: one in a hundred


class EnsembleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When windows alert, and how their confidence is graded.

    Attributes
    ----------
    rule
        ``evidence``: windows alert whose evidence is rare enough for the alarm budget. ``agreement``: windows
        alert by their confidence alone, as the first Tracewave did.
    alarm_budget
        Alarms a day that an ordinary feed may raise.
    minimum_evidence
        Evidence that alerts, in place of the alarm budget.
    weights
        Of the detectors in the evidence; 1 for those not named. The two charts of one value share one voice. The
        season's long means, once up, stay up, so that its p understates how seldom they rise. Novelty tells much
        of a series that repeats itself and little of a rate that wanders.
    usual
        Evidence of a detector that is nothing unusual, in powers of ten, and ...
    most
        ... as much as one detector can bring.
    hold
        Windows for which a detector's evidence counts.
    growth
        Evidence asked for with each tenfold of windows beyond 1,000: longer streams bring more rare windows.
    direction
        Which changes alert. What has no direction, such as a mix shift, alerts with ``both`` only.
    minimum_change
        Least change that alerts, as a share of what was expected.
    minimum_confidence, strong_single
        By the agreement rule: least confidence that alerts, and a score from which one detector alone does,
        whatever the others say.
    warning, critical
        Least confidence of these severities; below them an alert is ``info``.
    """

    rule: Literal["evidence", "agreement"] = "evidence"
    alarm_budget: float = 3.0
    minimum_evidence: float | None = None
    weights: Mapping[str, float] = msgspec.field(default_factory=lambda: dict(_WEIGHTS))
    usual: float = 2.0
    most: float = 10.0
    hold: int = 1
    growth: float = 0.0
    direction: Literal["both", "rise", "fall"] = "both"
    minimum_change: float = 0.0
    minimum_confidence: float = 0.5
    strong_single: float = 0.92
    warning: float = 0.65
    critical: float = 0.85

    def __post_init__(self) -> None:
        """Refuse levels that are no scores, or out of order."""
        for name in ("minimum_confidence", "strong_single", "warning", "critical"):
            if not 0 < getattr(self, name) <= 1:
                msg = f"{name} must be above 0 and at most 1, not {getattr(self, name)}"
                raise ValueError(msg)
        if self.warning > self.critical:
            msg = f"warning ({self.warning}) must not be above critical ({self.critical})"
            raise ValueError(msg)
        if self.alarm_budget <= 0:
            raise ValueError(f"alarm_budget must be above 0 alarms a day, not {self.alarm_budget}")
        if self.hold < 1 or not 0 <= self.usual < self.most or self.minimum_change < 0:
            raise ValueError("hold must be at least 1, usual from 0 to below most, minimum_change not negative")
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError("weights must not be negative")

    @property
    def making(self) -> str:
        """The settings that make evidence, as text: returns hold for these only."""
        return f"{sorted(self.weights.items())} {self.usual} {self.most} {self.hold} {self.growth}"


class EvidenceState(msgspec.Struct, frozen=True):
    """What :class:`Evidence` remembers, as plain values."""

    windows: int
    held: tuple[tuple[str, int, float], ...]


class Evidence:
    """Weighted sum of what the detectors' p say beyond the usual.

    p values of detectors that depend on each other are never multiplied as if they were chances of
    the whole; the sum means something only by how often ordinary windows reach it.
    """

    def __init__(self, settings: EnsembleSettings) -> None:
        self._settings = settings
        self._windows = 0
        self._held: dict[str, list[tuple[int, float]]] = {}

    def take(self, scores: Sequence[Score]) -> float:
        """Take in the scores of the next window and return its evidence, at least 0."""
        settings = self._settings
        self._windows += 1
        total = 0.0
        for score in scores:
            if not score.warm:
                continue
            single = min(-math.log10(score.p), settings.most) if score.p < 1.0 else 0.0
            if settings.hold > 1:
                single = self._highest(score.detector, single)
            if single > settings.usual:
                total += settings.weights.get(score.detector, 1.0) * (single - settings.usual)
        if total > 0.0 and settings.growth:
            total -= settings.growth * math.log10(self._windows / 1000.0)
        return max(0.0, total)

    def _highest(self, detector: str, single: float) -> float:
        """Highest evidence of the last `hold` windows; only those that a later one does not exceed are kept."""
        held = self._held.setdefault(detector, [])
        while held and held[-1][1] <= single:
            held.pop()
        held.append((self._windows, single))
        if held[0][0] <= self._windows - self._settings.hold:
            del held[0]
        return held[0][1]

    def snapshot(self) -> EvidenceState:
        """The memory as plain values."""
        return EvidenceState(self._windows, tuple((name, *one) for name, held in self._held.items() for one in held))

    def restore(self, state: EvidenceState) -> None:
        """Go on from a snapshot."""
        self._windows, self._held = state.windows, {}
        for name, window, single in state.held:
            self._held.setdefault(name, []).append((window, single))


class Combined(msgspec.Struct, frozen=True):
    """What the detectors say together."""

    confidence: float
    severity: Severity
    alerting: bool
    direction: Direction


_NOTHING = Combined(0.0, Severity.NONE, alerting=False, direction=0)


def combine(
    scores: Sequence[Score],
    settings: EnsembleSettings = EnsembleSettings(),  # noqa: B008
    *,
    evidence: float = 0.0,
    rarity: float = 0.0,
) -> Combined:
    """Say whether a window alerts, and grade it.

    Confidence is the sum of the scores that fired over the number of detectors that did not abstain;
    full agreement of at least two is critical.

    Parameters
    ----------
    evidence, rarity
        Of the window, as in :class:`~tracewave_panel.model.Analysis`; rarity in days.

    Examples
    --------
    >>> word = dict(p=1e-8, score=0.8, fired=True, direction=1)
    >>> three = [Score(name, **word) for name in ("zscore", "ewma", "trees")]
    >>> combine(three, rarity=9.0).confidence, str(combine(three, rarity=9.0).severity)
    (0.8, 'critical')
    >>> round(combine([three[0], Score("ewma"), Score("trees")]).confidence, 2)
    0.27
    """
    available = [score for score in scores if score.warm]
    if not available:
        return _NOTHING
    fired = [score for score in available if score.fired]
    confidence = round(math.fsum(score.score for score in fired) / len(available), 12) if fired else 0.0
    if settings.rule == "agreement":
        strong = any(score.score >= settings.strong_single for score in fired)
        alerting = bool(fired) and (confidence >= settings.minimum_confidence or strong)
    elif settings.minimum_evidence is not None:
        alerting = evidence > 0.0 and evidence >= settings.minimum_evidence
    else:
        alerting = rarity * settings.alarm_budget >= 1.0
    direction = _direction(available) if alerting or fired else 0
    wanted = settings.direction
    if not alerting or (wanted == "rise" and direction <= 0) or (wanted == "fall" and direction >= 0):
        return Combined(confidence, Severity.NONE, alerting=False, direction=direction)
    severity = Severity.WARNING if confidence >= settings.warning else Severity.INFO
    if len(fired) == len(available) > 1 or confidence >= settings.critical:
        severity = Severity.CRITICAL
    return Combined(confidence, severity, alerting=True, direction=direction)


def _direction(available: Sequence[Score]) -> Direction:
    """Direction of the strongest detector that has one and is not quite ordinary."""
    signed = [score for score in available if score.direction and score.score >= _SIGNED]
    return max(signed, key=_strength).direction if signed else 0


def _strength(score: Score) -> tuple[float, float, str]:
    """Order of detectors that does not depend on the order in which they run."""
    return score.score, -score.p, score.detector
