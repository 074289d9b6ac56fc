"""The detectors of one metric of one series: their scores, what these mean, and what is learned."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tracewave_panel.core.calibration import DetectorTable, Reference, Returns, calibrated, spoke
from tracewave_panel.core.detectors.base import Detector, DetectorState
from tracewave_panel.core.ensemble import Combined, EnsembleSettings, Evidence, EvidenceState, combine
from tracewave_panel.core.own_history import OwnHistory, OwnHistorySettings, OwnHistoryState
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.model import Score, Severity, Window

__all__ = ["Judgement", "Lane", "LaneSettings", "LaneState"]

_DAY = 86_400.0
_OBSERVED = 60
_LEAST_P = 1e-300


class LaneSettings(msgspec.Struct, frozen=True):
    """What a lane is made of.

    Attributes
    ----------
    detectors
        Class and settings of each, by name, in the order in which they are shown.
    references
        Frozen tables; a lane takes those of its feed and width, and learns its own where there are none.
    width
        Of the windows, seconds.
    quiet
        Windows that separate two episodes.
    """

    detectors: Mapping[str, tuple[Any, Any]]
    width: float = 1.0
    ensemble: EnsembleSettings = EnsembleSettings()
    references: tuple[Reference, ...] = ()
    own_history: OwnHistorySettings = OwnHistorySettings()
    quiet: int = 60

    def reference_of(self, feed: str) -> Reference | None:
        """The tables made for a feed and this width."""
        wanted = feed, self.width
        return next((one for one in self.references if (one.feed, one.width) == wanted), None)


class Judgement(msgspec.Struct, frozen=True):
    """What a lane says of a window."""

    scores: tuple[Score, ...]
    evidence: float
    rarity: float
    provisional: bool
    combined: Combined


class LaneState(msgspec.Struct, frozen=True):
    """What a lane has learned, and what settings made its detectors."""

    detectors: Mapping[str, tuple[str, DetectorState]]
    evidence: EvidenceState
    own_history: OwnHistoryState | None
    alarm: tuple[int, int]
    observed: tuple[float, ...]


class Lane:
    """Detectors side by side, on one metric of one series."""

    def __init__(self, feed: Feed, metric: Metric, settings: LaneSettings) -> None:
        self.metric = metric
        self.index = feed.feature_index(metric.feature)
        self._settings = settings
        self._detectors: dict[str, Detector] = {
            name: make(feed, metric, parameters) for name, (make, parameters) in settings.detectors.items()
        }
        self._made_of = {name: made_of(parameters) for name, (_, parameters) in settings.detectors.items()}
        reference = settings.reference_of(feed.name)
        self._tables = tables_of(reference, metric.name, self._made_of)
        self._returns = returns_of(reference, metric.name, self._tables, settings.ensemble)
        self._evidence = Evidence(settings.ensemble)
        self._observed: deque[float] = deque(maxlen=_OBSERVED)
        self._alarm = self._lull = 0  # alerting windows of the present alarm, and windows since the last
        self._own: OwnHistory | None = None
        if not self._returns or self._tables.keys() != self._detectors.keys():
            unknown = {name: held.two_sided for name, held in self._detectors.items() if name not in self._tables}
            self._own = OwnHistory(settings.own_history, unknown, settings.quiet)

    def judge(self, window: Window) -> Judgement:
        """Score and combine; to be called once a judged window, before `learn`."""
        scores = tuple(
            [self._calibrated(name, detector.score_one(window)) for name, detector in self._detectors.items()]
        )
        evidence = self._evidence.take(scores)
        warm = [score for score in scores if score.warm]
        rarity, provisional = self._rarity(warm, evidence)
        self._observed.append(window.features[self.index])
        combined = combine(scores, self._settings.ensemble, evidence=evidence, rarity=rarity)
        if combined.alerting and self._too_small(warm):
            combined = msgspec.structs.replace(combined, alerting=False, severity=Severity.NONE)
        if self._own is not None:
            self._learn_history(warm, evidence, alerting=combined.alerting)
        return Judgement(scores, evidence, rarity, provisional, combined)

    def _table(self, name: str) -> DetectorTable | None:
        return self._tables.get(name) or (self._own.tables.get(name) if self._own else None)

    def _calibrated(self, name: str, score: Score) -> Score:
        table = self._table(name) if score.warm else None
        named = score if score.detector == name else msgspec.structs.replace(score, detector=name)
        return calibrated(named, table.log10(score.statistic)) if table else named

    def _rarity(self, warm: Sequence[Score], evidence: float) -> tuple[float, bool]:
        """Days between two ordinary episodes like this, and whether that is only a safe default."""
        if not warm:
            return 0.0, False
        days = self._settings.width / _DAY
        returns = self._returns.get(spoke([score.detector for score in warm]))
        tables = all(self._table(score.detector) for score in warm)
        if returns is None and self._own is not None and tables:
            returns = self._own.returns
        if returns is not None:
            return returns.windows(evidence) * days, False
        # Bonferroni: p values of detectors that depend on each other are never multiplied
        return days / (len(warm) * max(min(score.p for score in warm), _LEAST_P)), True

    def _too_small(self, warm: Sequence[Score]) -> bool:
        """Whether the change is under the least asked for, over the windows that the strongest detector looked at."""
        least = self._settings.ensemble.minimum_change
        expecting = [score for score in warm if score.expected is not None]
        if not least or not expecting:
            return False
        strongest = min(expecting, key=lambda score: (score.p, score.detector))
        assert strongest.expected is not None
        recent = list(self._observed)[-max(1, strongest.span) :]
        return abs(sum(recent) / len(recent) - strongest.expected) < least * abs(strongest.expected)

    def _learn_history(self, warm: Sequence[Score], evidence: float, *, alerting: bool) -> None:
        """Learn what is ordinary, and of an alarm its beginning.

        Alarms that were left out whole would cut off the tail, and alarms would become ever more.
        """
        assert self._own is not None
        self._lull = 0 if alerting else self._lull + 1
        if self._lull >= self._settings.quiet:
            self._alarm = 0
        self._alarm += alerting
        if not alerting or self._alarm == 1:
            for score in warm:
                if score.detector not in self._tables:
                    self._own.learn(score.detector, score.statistic)
        if self._alarm <= self._settings.quiet and all(self._table(score.detector) for score in warm):
            self._own.learn_evidence(evidence)

    def learn(self, window: Window) -> None:
        """Learn a judged window."""
        for detector in self._detectors.values():
            detector.learn_one(window)

    def snapshot(self) -> LaneState:
        """Everything learned so far."""
        return LaneState(
            {name: (self._made_of[name], held.snapshot()) for name, held in self._detectors.items()},
            self._evidence.snapshot(),
            self._own.snapshot() if self._own else None,
            (self._alarm, self._lull),
            tuple(self._observed),
        )

    def restore(self, state: LaneState) -> None:
        """Go on from a snapshot; a detector that is new, or has other settings now, starts cold."""
        for name, detector in self._detectors.items():
            made_of_then, learned = state.detectors.get(name, ("", {}))
            if made_of_then == self._made_of[name]:
                detector.restore(learned)
        self._evidence.restore(state.evidence)
        self._alarm, self._lull = state.alarm
        self._observed = deque(state.observed, maxlen=_OBSERVED)
        if state.own_history is not None and self._own is not None:
            self._own.restore(state.own_history)


def made_of(parameters: object) -> str:
    """Settings of a detector as text, which tables and snapshots carry."""
    return repr(parameters)


def tables_of(reference: Reference | None, metric: str, made: Mapping[str, str]) -> dict[str, DetectorTable]:
    """Tables of the detectors whose settings are those that the reference was made with."""
    tables = reference.tables.get(metric, {}) if reference else {}
    return {
        name: tables[name] for name, made_now in made.items() if name in tables and tables[name].settings == made_now
    }


def returns_of(
    reference: Reference | None, metric: str, tables: Mapping[str, DetectorTable], ensemble: EnsembleSettings
) -> dict[str, Returns]:
    """Returns of each choice of detectors that all have tables, if evidence is made as it was then."""
    if reference is None or reference.ensemble != ensemble.making:
        return {}
    held = reference.returns.get(metric, {})
    return {key: returns for key, returns in held.items() if all(name in tables for name in key.split("+"))}
