"""Findings with every field filled, for stores to keep."""

from __future__ import annotations

from typing import Any

from tracewave_panel.feeds import Feed
from tracewave_panel.model import (
    Analysis,
    Anomaly,
    AnomalyKind,
    Contribution,
    Findings,
    Quality,
    Sample,
    Score,
    Severity,
    Status,
    Verdict,
    Window,
)

__all__ = ["T0", "some_analysis", "some_anomaly", "some_findings"]

T0 = 1_700_000_000.0
"""Start of the window with number 0."""


def some_findings(second: int, **found: Any) -> Findings:
    """What the batch made that ended the window of that number."""
    return Findings(arrived_at=T0 + second + 1, watermark=T0 + second + 1, status=Status.LIVE, **found)


def some_analysis(
    feed: Feed, second: int, metric: str = "rate", *, quality: Quality = Quality.OK, revision: int = 0, values: int = 4
) -> Analysis:
    """One alerting analysis of the window of that number, with so many `values` in each dimension."""
    counts = tuple({f"{name} {number}": number + 1 for number in range(values)} for name in feed.dimensions)
    window = Window(
        series="edits",
        start=T0 + second,
        width=1.0,
        count=10,
        features=tuple(0.1 * number + second for number in range(len(feed.features))),
        dimension_counts=counts,
        late=1,
        dropped=2,
        quality=quality,
        revision=revision,
    )
    return Analysis(
        metric=metric,
        window=window,
        observed=10.0,
        expected=9.5,
        spread=3.0,
        scores=(
            Score("zscore", 4.2, 1e-5, 0.5, fired=True, direction=1, expected=9.5, spread=3.0, span=10),
            Score("ewma", 0.2, 0.4, 0.04),
            Score("half_space_trees", warm=False, reason="needs 200 more windows", windows_left=200),
        ),
        confidence=0.25,
        evidence=3.5,
        rarity=0.4,
        severity=Severity.INFO,
        alerting=True,
        direction=1,
        verdict=Verdict.CULPRIT,
        contributions=_contributions(),
        completeness=0.9,
        provisional=True,
    )


def some_anomaly(identity: str, second: int) -> Anomaly:
    """One open anomaly that began with the window of that number."""
    samples = tuple(Sample(f"edit {number}", T0 + second + number / 8, "<i>Page</i>", "") for number in range(3))
    return Anomaly(
        id=identity,
        series="edits",
        metric="rate",
        kind=AnomalyKind.RATE_UP,
        opened=T0 + second,
        peaked=T0 + second,
        updated=T0 + second,
        closed=None,
        severity=Severity.WARNING,
        confidence=0.7,
        rarity=9.0,
        direction=1,
        observed=90.0,
        expected=30.5,
        agreeing=("zscore", "ewma"),
        quiet=(),
        abstained=("half_space_trees",),
        verdict=Verdict.CULPRIT,
        contributions=_contributions(samples),
        completeness=0.8,
        quality=Quality.OK,
        title="<b>dewiki</b> 'three times' as many edits",
        evidence=7.25,
        provisional=True,
    )


def _contributions(samples: tuple[Sample, ...] = ()) -> tuple[Contribution, ...]:
    return (
        Contribution("wiki", "dewiki", 60.0, 5.0, 0.9, 12.5, named=True, samples=samples),
        Contribution("actor", "user", 10.0, 9.0, -0.01, -0.3, named=False),
    )
