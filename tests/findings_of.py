"""Findings with numbers to recognise, for the tests of stores."""

from __future__ import annotations

from typing import Any

from tracewave_panel.model import (
    Analysis,
    Anomaly,
    AnomalyKind,
    Contribution,
    Event,
    Findings,
    Quality,
    Score,
    Severity,
    Status,
    Verdict,
    Window,
)

T0 = 1_700_000_000.0


def analysis(second: float, *, values: int = 8, metric: str = "rate", **window: Any) -> Analysis:
    """One metric of the window that starts `second` seconds after T0, with `values` values a dimension."""
    counts = tuple({f"{name}{number}": number + 1 for number in range(values)} for name in "wlnak")
    fields = {"count": 30, "features": (30.0, 1.0, 2.0, 0.3, 0.1, 55.0), "dimension_counts": counts, **window}
    return Analysis(
        metric=metric,
        window=Window(series="edits", start=T0 + second, width=1.0, **fields),
        observed=30.0,
        expected=29.0,
        spread=5.0,
        scores=(Score("zscore", 4.5, 1e-5, 0.5, True, 1, 29.0), Score("ewma", 0.1, 0.5, 0.03)),
        confidence=0.25,
        severity=Severity.WARNING,
        alerting=True,
        contributions=(Contribution("wiki", "w1", 20.0, 3.0, 0.8, 9.0, True),),
    )


def anomaly(identity: str, opened: float, *, updated: float | None = None, closed: float | None = None) -> Anomaly:
    """An episode that opened `opened` seconds after T0."""
    return Anomaly(
        id=identity,
        series="edits",
        metric="rate",
        kind=AnomalyKind.RATE_UP,
        opened=T0 + opened,
        peaked=T0 + opened,
        updated=T0 + (opened if updated is None else updated),
        closed=None if closed is None else T0 + closed,
        severity=Severity.CRITICAL,
        confidence=0.9,
        rarity=1e-12,
        direction=1,
        observed=90.0,
        expected=30.0,
        agreeing=("zscore", "ewma"),
        quiet=(),
        abstained=("half_space_trees",),
        verdict=Verdict.CULPRIT,
        contributions=(Contribution("wiki", "w1", 60.0, 5.0, 0.9, 12.0, True),),
        completeness=0.9,
        quality=Quality.OK,
        title="w1: \x1b[31mthree times as many edits",
    )


def event(second: float, number: int = 0) -> Event:
    """One edit."""
    return Event(T0 + second, T0 + second, T0 + second, "edits", f"{second}-{number}")


def findings(second: float, *analyses: Analysis, **found: Any) -> Findings:
    """What the batch that ends `second` seconds after T0 gave."""
    return Findings(T0 + second, T0 + second, Status.LIVE, analyses=analyses, **found)
