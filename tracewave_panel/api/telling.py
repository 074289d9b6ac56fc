"""Model values into the forms in which they go out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TypeVar
from urllib.parse import quote

from tracewave_panel.api.forms import (
    AnomalyForm,
    Change,
    ContributionForm,
    EventForm,
    GapForm,
    JudgementForm,
    LabelForm,
    MuteForm,
    RouteForm,
    SampleForm,
    ScoreForm,
    ScoresForm,
    SourceForm,
    WindowForm,
)
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Contribution, Direction, Event, Label, Mark, Mute, Score
from tracewave_panel.ports import RouteStatus, SourceStatus

__all__ = [
    "anomaly_form",
    "event_form",
    "finite",
    "gap_form",
    "label_form",
    "moment",
    "mute_form",
    "route_form",
    "scores_form",
    "seconds",
    "source_form",
    "window_forms",
    "window_key",
]

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHANGES: dict[Direction, Change] = {1: "up", -1: "down", 0: "none"}


def moment(at: float) -> datetime:
    """Aware time of epoch seconds, to the microsecond; what no calendar holds becomes its nearest end.

    Examples
    --------
    >>> moment(0.5).isoformat()
    '1970-01-01T00:00:00.500000+00:00'
    """
    try:
        return _EPOCH + timedelta(microseconds=round(at * 1e6))
    except (OverflowError, ValueError):
        return datetime.max.replace(tzinfo=UTC) if at > 0 else datetime.min.replace(tzinfo=UTC)


def seconds(at: datetime) -> float:
    """Epoch seconds of an aware time."""
    return (at - _EPOCH).total_seconds()


def finite(value: float | None) -> float | None:
    """The number, or None for what JSON cannot hold."""
    return value if value is not None and math.isfinite(value) else None


def window_forms(feed: Feed, analyses: Iterable[Analysis]) -> tuple[WindowForm, ...]:
    """One form for each window, with a judgement for each of its metrics, which follow each other."""
    windows = []
    for (series, start, revision), found in groupby(analyses, window_key):
        told = tuple(found)
        window = told[0].window
        windows.append(
            WindowForm(
                series=series,
                start=moment(start),
                end=moment(window.end),
                revision=revision,
                quality=window.quality,
                count=window.count,
                late=window.late,
                dropped=window.dropped,
                features=_named((feature.name for feature in feed.features), map(finite, window.features)),
                dimensions=_named(feed.dimensions, map(dict, window.dimension_counts)),
                judgements=tuple(map(_judgement, told)),
            )
        )
    return tuple(windows)


def scores_form(analysis: Analysis) -> ScoresForm:
    """What each detector said of one analysis."""
    window = analysis.window
    return ScoresForm(
        window.series, moment(window.start), window.revision, analysis.metric, tuple(map(_score, analysis.scores))
    )


def anomaly_form(anomaly: Anomaly, label: Label | None) -> AnomalyForm:
    """An anomaly with its label, and where its page is."""
    return AnomalyForm(
        id=anomaly.id,
        series=anomaly.series,
        metric=anomaly.metric,
        kind=anomaly.kind,
        title=anomaly.title,
        severity=anomaly.severity,
        opened=moment(anomaly.opened),
        peaked=moment(anomaly.peaked),
        updated=moment(anomaly.updated),
        closed=None if anomaly.closed is None else moment(anomaly.closed),
        direction=_CHANGES[anomaly.direction],
        observed=finite(anomaly.observed),
        expected=finite(anomaly.expected),
        confidence=finite(anomaly.confidence),
        evidence=finite(anomaly.evidence),
        rarity_days=finite(anomaly.rarity),
        provisional=anomaly.provisional,
        quality=anomaly.quality,
        agreeing=anomaly.agreeing,
        quiet=anomaly.quiet,
        abstained=anomaly.abstained,
        verdict=anomaly.verdict,
        completeness=finite(anomaly.completeness),
        contributions=tuple(map(_contribution, anomaly.contributions)),
        label=label_form(label) if label else None,
        page=f"/?anomaly={quote(anomaly.id, safe='')}",
    )


def event_form(feed: Feed, event: Event) -> EventForm:
    """A raw event, its values by name."""
    return EventForm(
        id=event.id,
        series=event.series,
        time=moment(event.time),
        occurred_at=_known(event.occurred_at),
        arrived_at=_known(event.arrived_at),
        dimensions=_named(feed.dimensions, event.dimensions),
        measures=_named(feed.measures, map(finite, event.measures)),
        actor=event.actor,
        subject=event.subject,
        title=event.title,
        link=event.link,
    )


def gap_form(gap: Mark) -> GapForm:
    """A stretch that is missing."""
    return GapForm(moment(gap.start), moment(gap.end), gap.end - gap.start, gap.quality)


def label_form(label: Label) -> LabelForm:
    """A label."""
    return LabelForm(label.anomaly_id, label.verdict, moment(label.labelled_at), label.by)


def mute_form(mute: Mute) -> MuteForm:
    """A mute."""
    until = None if mute.until is None else moment(mute.until)
    return MuteForm(
        mute.id, moment(mute.given_at), until, mute.anomaly_id, mute.series, mute.metric, mute.kind, mute.by
    )


def route_form(route: RouteStatus) -> RouteForm:
    """A route of notices."""
    return RouteForm(
        name=route.name,
        sent=route.sent,
        failed=route.failed,
        given_up=route.given_up,
        held=route.held,
        waiting=route.waiting,
        last_sent=None if route.last_sent is None else moment(route.last_sent),
        last_error=route.last_error,
    )


def source_form(status: SourceStatus) -> SourceForm:
    """A source."""
    state = status.state
    since = moment(state.since) if state.since else None
    return SourceForm(state.word, state.note, since, finite(status.lag), status.notice, dict(status.counters))


def _judgement(analysis: Analysis) -> JudgementForm:
    return JudgementForm(
        metric=analysis.metric,
        observed=finite(analysis.observed),
        expected=finite(analysis.expected),
        spread=finite(analysis.spread),
        confidence=finite(analysis.confidence),
        evidence=finite(analysis.evidence),
        rarity_days=finite(analysis.rarity),
        severity=analysis.severity,
        alerting=analysis.alerting,
        direction=_CHANGES[analysis.direction],
        provisional=analysis.provisional,
    )


def _score(score: Score) -> ScoreForm:
    return ScoreForm(
        detector=score.detector,
        statistic=finite(score.statistic),
        p=finite(score.p),
        score=finite(score.score),
        fired=score.fired,
        direction=_CHANGES[score.direction],
        expected=finite(score.expected),
        spread=finite(score.spread),
        warm=score.warm,
        reason=score.reason,
        windows_left=score.windows_left,
        span=score.span,
    )


def _contribution(part: Contribution) -> ContributionForm:
    return ContributionForm(
        dimension=part.dimension,
        value=part.value,
        observed=finite(part.observed),
        expected=finite(part.expected),
        share=finite(part.share),
        significance=finite(part.significance),
        named=part.named,
        samples=tuple(SampleForm(each.id, moment(each.time), each.title, each.link) for each in part.samples),
    )


def window_key(analysis: Analysis) -> tuple[str, float, int]:
    """Which telling of which window it judges."""
    window = analysis.window
    return window.series, window.start, window.revision


def _known(at: float) -> datetime | None:
    return moment(at) if math.isfinite(at) else None


def _named(names: Iterable[str], values: Iterable[T]) -> dict[str, T]:
    return dict(zip(names, values, strict=False))
