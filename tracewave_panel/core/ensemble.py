"""From the detectors' scores to one confidence and severity."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from tracewave_panel.model import Direction, Score, Severity

__all__ = ["Combined", "EnsembleSettings", "combine"]


class EnsembleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When windows alert, and how their confidence is graded.

    Attributes
    ----------
    minimum_confidence
        Least confidence that alerts.
    strong_single
        A score from which one detector alone alerts, whatever the others say.
    warning, critical
        Least confidence of these severities; below them an alert is ``info``.
    """

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


class Combined(msgspec.Struct, frozen=True):
    """What the detectors say together."""

    confidence: float
    rarity: float
    severity: Severity
    alerting: bool
    direction: Direction


def combine(scores: Sequence[Score], settings: EnsembleSettings = EnsembleSettings()) -> Combined:  # noqa: B008
    """Agreement of detectors: confidence is the sum of the scores that fired over the number available.

    A detector that abstains is not available. Full agreement of at least two is critical. Rarity
    is the smallest p times the number of detectors asked (Bonferroni): p values of detectors
    that depend on each other are never multiplied.

    Examples
    --------
    >>> word = dict(p=1e-8, score=0.8, fired=True, direction=1)
    >>> three = [Score(name, **word) for name in ("zscore", "ewma", "trees")]
    >>> combine(three).confidence, str(combine(three).severity)
    (0.8, 'critical')
    >>> round(combine([three[0], Score("ewma"), Score("trees")]).confidence, 2)
    0.27
    """
    available = [score for score in scores if score.warm]
    if not available:
        return Combined(0.0, 1.0, Severity.NONE, alerting=False, direction=0)
    fired = [score for score in available if score.fired]
    confidence = round(math.fsum(score.score for score in fired) / len(available), 12)
    rarity = min(1.0, len(available) * min(score.p for score in available))
    strong = any(score.score >= settings.strong_single for score in fired)
    alerting = bool(fired) and (confidence >= settings.minimum_confidence or strong)
    severity = Severity.NONE
    if alerting:
        unanimous = len(fired) == len(available) > 1
        if unanimous or confidence >= settings.critical:
            severity = Severity.CRITICAL
        else:
            severity = Severity.WARNING if confidence >= settings.warning else Severity.INFO
    directed = max((score for score in fired if score.direction), key=_strength, default=None)
    return Combined(confidence, rarity, severity, alerting, directed.direction if directed else 0)


def _strength(score: Score) -> tuple[float, float, str]:
    """Order of detectors that does not depend on the order in which they run."""
    return score.score, -score.p, score.detector
