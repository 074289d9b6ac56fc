"""From alerting windows to anomalies: one card an episode.

Invariants
----------
- A series has at most one open episode a metric.
- An episode opens at its first alerting window and closes once `quiet` windows in a row did not
  alert; its end is that of the last one that did. Windows that are not judged prolong nothing.
- Within `cooldown` windows of an opening no other opens.
- Its id is derived from series, metric, kind and opening, so a replay gives the same one.
- A level that alerts for `acceptance` windows is the new normal: the episode closes, and none opens
  before a window that does not alert.
"""

from __future__ import annotations

import hashlib
import math

import msgspec

from tracewave_panel.core.titles import title_of
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, AnomalyKind, Direction, Quality, Severity, Verdict, Window

__all__ = ["EpisodeSettings", "Episodes", "EpisodesState"]

_KINDS: dict[Direction, AnomalyKind] = {
    1: AnomalyKind.RATE_UP,
    -1: AnomalyKind.RATE_DOWN,
    0: AnomalyKind.MIX_SHIFT,
}


class EpisodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How episodes close and when they are told again; lengths in windows.

    Attributes
    ----------
    quiet
        Windows without an alert that close an episode.
    acceptance
        Windows after which an episode is taken as the new normal and closed.
    retell
        It is told again when it becomes so many times rarer, its severity rises, or another value leads its
        explanation.
    cooldown
        Windows from an opening on in which no other episode opens.
    """

    quiet: int = 60
    acceptance: int = 900
    retell: float = 100.0
    cooldown: int = 1

    def __post_init__(self) -> None:
        """Refuse lengths that never open or never close."""
        if min(self.quiet, self.acceptance, self.cooldown) < 1 or self.retell <= 1:
            msg = "quiet, acceptance and cooldown must be at least 1, retell above 1"
            raise ValueError(msg)


class Episode(msgspec.Struct):
    """An open episode: the anomaly as last formed, and what closes it."""

    anomaly: Anomaly
    told: Anomaly
    last_alert_end: float
    quiet: int = 0
    age: int = 0
    accepted: bool = False


class EpisodesState(msgspec.Struct, frozen=True):
    """Open episodes, and when the last one opened, by series and metric."""

    open: tuple[tuple[str, str, Episode], ...]
    opened: tuple[tuple[str, str, float], ...] = ()


class Episodes:
    """Follow analyses, window by window, and tell anomalies as they open, grow and close."""

    def __init__(self, feed: Feed, settings: EpisodeSettings = EpisodeSettings()) -> None:  # noqa: B008
        self._feed = feed
        self._settings = settings
        self._open: dict[tuple[str, str], Episode] = {}
        self._opened: dict[tuple[str, str], float] = {}

    @property
    def open(self) -> tuple[Anomaly, ...]:
        """Episodes that are open, as last told; one that was accepted as the new normal is not."""
        return tuple(episode.told for episode in self._open.values() if not episode.accepted)

    def follow(self, analysis: Analysis) -> list[Anomaly]:
        """Take in the next analysis of its series and return what is to be told."""
        window = analysis.window
        if window.revision:
            return []
        key = window.series, analysis.metric
        told = self._follow_silence(analysis)
        if not window.quality.judged:
            return told
        episode = self._open.get(key)
        if episode is None:
            if analysis.alerting and self._rested(key, window):
                anomaly = self._anomaly(analysis)
                self._open[key] = Episode(anomaly, anomaly, window.end, age=1)
                self._opened[key] = window.start
                told.append(anomaly)
            return told
        told.extend(self._grow(key, episode, analysis))
        return told

    def _rested(self, key: tuple[str, str], window: Window) -> bool:
        opened = self._opened.get(key, -math.inf)
        return window.start - opened > (self._settings.cooldown - 0.5) * window.width

    def _grow(self, key: tuple[str, str], episode: Episode, analysis: Analysis) -> list[Anomaly]:
        window = analysis.window
        if episode.accepted:
            if not analysis.alerting:
                del self._open[key]
            return []
        episode.age += 1
        if analysis.alerting:
            episode.quiet, episode.last_alert_end = 0, window.end
            if analysis.rarity > episode.anomaly.rarity or analysis.severity.rank > episode.anomaly.severity.rank:
                episode.anomaly = self._anomaly(analysis, episode.anomaly)
        else:
            episode.quiet += 1
        episode.accepted = episode.age >= self._settings.acceptance
        if episode.quiet >= self._settings.quiet or episode.accepted:
            if not analysis.alerting:
                del self._open[key]
            return [msgspec.structs.replace(episode.anomaly, closed=episode.last_alert_end, updated=window.start)]
        if self._worth_telling(episode.told, episode.anomaly):
            episode.told = episode.anomaly
            return [episode.anomaly]
        return []

    def _worth_telling(self, told: Anomaly, now: Anomaly) -> bool:
        rarer = now.rarity >= told.rarity * self._settings.retell
        return rarer or now.severity.rank > told.severity.rank or _leader(now) != _leader(told)

    def _follow_silence(self, analysis: Analysis) -> list[Anomaly]:
        """Tell the first gap window as a silent feed, and its end; once a series, by its first metric."""
        window = analysis.window
        if analysis.metric != self._feed.metrics[0].name:
            return []
        key = window.series, AnomalyKind.FEED_SILENT.value
        episode = self._open.get(key)
        if window.quality is Quality.GAP:
            if episode is None:
                anomaly = self._silence(analysis)
                self._open[key] = Episode(anomaly, anomaly, window.end)
                return [anomaly]
            episode.last_alert_end = window.end
        elif episode is not None and window.quality.judged:  # a partial one may lie within the gap
            del self._open[key]
            return [msgspec.structs.replace(episode.anomaly, closed=episode.last_alert_end, updated=window.start)]
        return []

    def _anomaly(self, analysis: Analysis, opened: Anomaly | None = None) -> Anomaly:
        window = analysis.window
        kind = opened.kind if opened else _KINDS[analysis.direction]
        start = opened.opened if opened else window.start
        severity = max(analysis.severity, opened.severity, key=lambda s: s.rank) if opened else analysis.severity
        return Anomaly(
            id=opened.id if opened else _identity(window.series, analysis.metric, kind, start),
            series=window.series,
            metric=analysis.metric,
            kind=kind,
            opened=start,
            peaked=window.start,
            updated=window.start,
            closed=None,
            severity=severity,
            confidence=max(analysis.confidence, opened.confidence) if opened else analysis.confidence,
            rarity=max(analysis.rarity, opened.rarity) if opened else analysis.rarity,
            direction=analysis.direction,
            observed=analysis.observed,
            expected=analysis.expected,
            agreeing=tuple(score.detector for score in analysis.scores if score.fired),
            quiet=tuple(score.detector for score in analysis.scores if score.warm and not score.fired),
            abstained=tuple(score.detector for score in analysis.scores if not score.warm),
            verdict=analysis.verdict,
            contributions=analysis.contributions,
            completeness=analysis.completeness,
            quality=window.quality,
            title=title_of(self._feed, kind, analysis.verdict, analysis.contributions),
            evidence=max(analysis.evidence, opened.evidence) if opened else analysis.evidence,
            provisional=analysis.provisional,
        )

    def _silence(self, analysis: Analysis) -> Anomaly:
        window, kind = analysis.window, AnomalyKind.FEED_SILENT
        return Anomaly(
            id=_identity(window.series, analysis.metric, kind, window.start),
            series=window.series,
            metric=analysis.metric,
            kind=kind,
            opened=window.start,
            peaked=window.start,
            updated=window.start,
            closed=None,
            severity=Severity.WARNING,
            confidence=1.0,
            rarity=0.0,
            direction=0,
            observed=0.0,
            expected=analysis.expected,
            agreeing=(),
            quiet=(),
            abstained=(),
            verdict=Verdict.NONE,
            contributions=(),
            completeness=0.0,
            quality=window.quality,
            title=title_of(self._feed, kind, Verdict.NONE, ()),
        )

    def snapshot(self) -> EpisodesState:
        """Open episodes as plain values."""
        episodes = ((*key, msgspec.structs.replace(episode)) for key, episode in self._open.items())
        opened = ((*key, start) for key, start in self._opened.items())
        return EpisodesState(tuple(episodes), tuple(opened))

    def restore(self, state: EpisodesState) -> None:
        """Go on from a snapshot."""
        self._open = {(series, metric): msgspec.structs.replace(held) for series, metric, held in state.open}
        self._opened = {(series, metric): start for series, metric, start in state.opened}


def _leader(anomaly: Anomaly) -> tuple[str, str] | None:
    lead = anomaly.contributions[0] if anomaly.contributions else None
    return (lead.dimension, lead.value) if lead and lead.named else None


def _identity(series: str, metric: str, kind: AnomalyKind, opened: float) -> str:
    return hashlib.sha256(f"{series}|{metric}|{kind.value}|{opened!r}".encode()).hexdigest()[:12]
