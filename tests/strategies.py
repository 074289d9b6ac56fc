"""Hypothesis strategies for streams of batches, with everything that goes wrong in them."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
from hypothesis import strategies as st

from tracewave_panel.model import (
    Analysis,
    Anomaly,
    AnomalyKind,
    Batch,
    Contribution,
    Dropped,
    Event,
    Findings,
    Mark,
    Quality,
    Sample,
    Score,
    Severity,
    Status,
    Verdict,
    Window,
)

WIDTHS = st.sampled_from([0.1, 1.0, 60.0])
_START = 17_000  # in windows
_MARKED = st.sampled_from([Quality.GAP, Quality.PARTIAL, Quality.BACKFILLED])


_SERIES = ("edits", "abc", "other")
_VALUES = tuple(
    product(_SERIES, ("enwiki", "dewiki"), ("bot", "registered"), ("edit", "new"), ("Ann", "Ċ"), (0.1, 7e5))
)


def edits(moments: st.SearchStrategy[float]) -> st.SearchStrategy[Event]:
    """Wikimedia events at some moments, of the declared series and of two others."""

    def edit(moment: float, number: int) -> Event:
        series, wiki, who, kind, actor, change = _VALUES[number % len(_VALUES)]
        dimensions = (wiki, "en", "article", who, kind)
        return Event(
            moment, 0.0, 0.0, series, str(number), dimensions, (change * number,), actor=actor, subject=f"p{number % 3}"
        )

    return st.builds(edit, moments, st.integers(0, 999))


def moments(first: int, last: int, width: float) -> st.SearchStrategy[float]:
    """Times from window `first` to `last`, one in four exactly on a border."""
    return st.integers(4 * first, 4 * last).map(lambda q: q // 4 * width + q % 4 * width / 4)


@st.composite
def streams(draw: st.DrawFn, width: float, *, longest_jump: int = 30) -> list[Batch]:
    """Batches with late, early and foreign events, gaps, losses, every status and quiet stretches."""
    reached = _START
    watermark = reached * width
    # a source may speak before it has events
    batches = [Batch(watermark, watermark)] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(3, 8))):
        before = reached
        reached += draw(st.sampled_from([0, 0, 1, 1, 2, 5, longest_jump]))
        watermark = max(watermark, draw(moments(reached, reached + 1, width)))
        around = moments(before - 12, reached + 4, width)
        starts = st.integers(before - 3, reached + 3)
        marks = st.builds(
            lambda start, length, part, quality: Mark((start + part) * width, (start + part + length) * width, quality),
            starts,
            st.integers(1, 12),
            st.sampled_from([0.0, 0.0, 0.5]),
            _MARKED,
        )
        losses = st.builds(
            Dropped, st.sampled_from(["edits", "lost"]), starts.map(lambda i: i * width), st.integers(1, 9)
        )
        batches.append(
            Batch(
                arrived_at=watermark,
                watermark=watermark,
                status=draw(st.sampled_from(Status)),
                events=tuple(draw(st.lists(edits(around), max_size=12))),
                marks=tuple(draw(st.lists(marks, max_size=2))),
                dropped=tuple(draw(st.lists(losses, max_size=1))),
            )
        )
    return batches


@st.composite
def cuts(draw: st.DrawFn, batches: list[Batch]) -> list[Batch]:
    """The same stream, the events between two watermarks cut into batches anew."""
    cut: list[Batch] = []
    watermark = _START * 0.05  # before everything
    for batch in batches:
        events, dropped, marks = batch.events, batch.dropped, batch.marks
        while draw(st.booleans()):
            size = draw(st.integers(0, len(events)))
            told = draw(st.integers(0, len(marks)))
            cut.append(
                Batch(
                    batch.arrived_at,
                    watermark,
                    status=draw(st.sampled_from(Status)),
                    events=events[:size],
                    marks=marks[:told],
                    dropped=dropped,
                )
            )
            events, dropped, marks = events[size:], (), marks[told:]
        cut.append(msgspec.structs.replace(batch, events=events, dropped=dropped, marks=marks))
        watermark = batch.watermark
    return cut


_floats = st.floats(allow_nan=False, allow_infinity=False)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_counts = st.dictionaries(_text, st.integers(0, 2**40), max_size=4)
_whole = st.integers(0, 2**40)
_directions = st.sampled_from([-1, 0, 1])
_optional = st.none() | _floats

EVENTS = st.builds(
    Event,
    time=_floats,
    occurred_at=_floats,
    arrived_at=_floats,
    series=_text,
    id=_text,
    dimensions=st.lists(_text, max_size=3).map(tuple),
    measures=st.lists(_floats, max_size=3).map(tuple),
    actor=_text,
    subject=_text,
    title=_text,
    link=_text,
)
MARKS = st.builds(Mark, _floats, _floats, st.sampled_from(Quality))
LOSSES = st.builds(Dropped, _text, _floats, _whole)
BATCHES = st.builds(
    Batch,
    arrived_at=_floats,
    watermark=_floats,
    status=st.sampled_from(Status),
    events=st.lists(EVENTS, max_size=3).map(tuple),
    marks=st.lists(MARKS, max_size=2).map(tuple),
    dropped=st.lists(LOSSES, max_size=2).map(tuple),
    undecodable=_whole,
    duplicates=_whole,
    position=st.binary(max_size=20),
)
WINDOWS = st.builds(
    Window,
    series=_text,
    start=_floats,
    width=_floats,
    count=_whole,
    features=st.lists(_floats, max_size=4).map(tuple),
    dimension_counts=st.lists(_counts, max_size=3).map(tuple),
    late=_whole,
    dropped=_whole,
    quality=st.sampled_from(Quality),
    revision=_whole,
    samples=st.lists(EVENTS, max_size=2).map(tuple),
)
SCORES = st.builds(
    Score,
    detector=_text,
    statistic=_floats,
    p=_floats,
    score=_floats,
    fired=st.booleans(),
    direction=_directions,
    expected=_optional,
    spread=_optional,
    warm=st.booleans(),
    reason=_text,
    windows_left=_whole,
    span=_whole,
)
SAMPLES = st.builds(Sample, _text, _floats, _text, _text)
_samples = st.lists(SAMPLES, max_size=3).map(tuple)
CONTRIBUTIONS = st.builds(Contribution, _text, _text, _floats, _floats, _floats, _floats, st.booleans(), _samples)
_explained: dict[str, Any] = {
    "direction": _directions,
    "verdict": st.sampled_from(Verdict),
    "contributions": st.lists(CONTRIBUTIONS, max_size=2).map(tuple),
    "completeness": _floats,
    "evidence": _floats,
    "provisional": st.booleans(),
}
ANALYSES = st.builds(
    Analysis,
    metric=_text,
    window=WINDOWS,
    observed=_floats,
    expected=_optional,
    spread=_optional,
    scores=st.lists(SCORES, max_size=3).map(tuple),
    confidence=_floats,
    rarity=_floats,
    severity=st.sampled_from(Severity),
    alerting=st.booleans(),
    **_explained,
)
_names = st.lists(_text, max_size=2).map(tuple)
ANOMALIES = st.builds(
    Anomaly,
    id=_text,
    series=_text,
    metric=_text,
    kind=st.sampled_from(AnomalyKind),
    opened=_floats,
    peaked=_floats,
    updated=_floats,
    closed=_optional,
    severity=st.sampled_from(Severity),
    confidence=_floats,
    rarity=_floats,
    observed=_floats,
    expected=_optional,
    agreeing=_names,
    quiet=_names,
    abstained=_names,
    quality=st.sampled_from(Quality),
    title=_text,
    **_explained,
)
FINDINGS = st.builds(
    Findings,
    arrived_at=_floats,
    watermark=_floats,
    status=st.sampled_from(Status),
    analyses=st.lists(ANALYSES, max_size=2).map(tuple),
    anomalies=st.lists(ANOMALIES, max_size=2).map(tuple),
    gaps=st.lists(MARKS, max_size=2).map(tuple),
    events=st.lists(EVENTS, max_size=2).map(tuple),
    late=_whole,
    dropped=_whole,
    undecodable=_whole,
    duplicates=_whole,
)
MODELS = {
    Event: EVENTS,
    Mark: MARKS,
    Dropped: LOSSES,
    Batch: BATCHES,
    Window: WINDOWS,
    Score: SCORES,
    Sample: SAMPLES,
    Contribution: CONTRIBUTIONS,
    Analysis: ANALYSES,
    Anomaly: ANOMALIES,
    Findings: FINDINGS,
}
