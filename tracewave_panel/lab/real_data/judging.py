"""Captures through the pipeline, and what it raised against what is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tracewave_panel.feeds import Feed
from tracewave_panel.lab.real_data.known import Capture, Known
from tracewave_panel.model import Anomaly, AnomalyKind, Batch, Findings
from tracewave_panel.pipeline import Pipeline, PipelineSettings

__all__ = ["Found", "Raised", "Run", "Tolerance", "matched", "run_capture", "tolerances_of"]


class Raised(msgspec.Struct, frozen=True):
    """An episode: its last telling, and the places that any telling named.

    Attributes
    ----------
    places
        Values of the feed's `place` dimension.
    rank
        By evidence, among those of its metric in the capture; the strongest is 1.
    """

    anomaly: Anomaly
    places: tuple[str, ...]
    rank: int = 0

    @property
    def silence(self) -> bool:
        """Whether it tells of missing data."""
        return self.anomaly.kind is AnomalyKind.FEED_SILENT


class Run(msgspec.Struct, frozen=True):
    """What the engine made of a capture.

    Attributes
    ----------
    series, lanes
        How many series, and how many metrics of all of them together.
    windows
        A series and metric each, by quality.
    provisional
        Of the judged ones: how many rested on a safe default.
    holes
        Stretches of missing rows that the capture has.
    first, last
        Start of the first judged window and end of the last, seconds.
    width
        Of a window, seconds.
    alerting
        Starts of the windows that alerted, by series and metric.
    """

    series: int
    lanes: int
    windows: Mapping[str, int]
    judged: int
    provisional: int
    holes: int
    first: float
    last: float
    raised: tuple[Raised, ...]
    width: float
    alerting: Mapping[tuple[str, str], tuple[float, ...]]

    @property
    def days(self) -> float:
        """From the first judged window to the last."""
        return (self.last - self.first) / 86_400.0


class Found(msgspec.Struct, frozen=True):
    """What was raised about something known.

    Attributes
    ----------
    verdict
        ``hit``; ``in time only`` when nothing that was raised then is about it; ``miss``; of what must stay quiet
        ``quiet``, ``false``, or ``unproven`` when an earlier alarm lasted.
    alerting
        Part of the windows in time that alerted, of the series and metric that it is about. An episode that lasts,
        or whose level was accepted as the new normal, lets no other open.
    by
        Episodes that opened in time, in that order; of a hit only those that are about it.
    nearest
        Of those about it that opened within the widest tolerance.
    """

    known: Known
    verdict: str
    alerting: float
    by: tuple[Raised, ...]
    nearest: Raised | None


class Tolerance(msgspec.Struct, frozen=True):
    """Hits when episodes may open so many seconds off, and how many as many openings at random would make."""

    seconds: float
    hits: int
    by_chance: float


def run_capture(feed: Feed, settings: PipelineSettings, batches: Iterable[Batch]) -> Run:
    """Send batches through a pipeline that starts cold."""
    tellings: dict[str, list[Anomaly]] = {}
    windows: Counter[str] = Counter()
    series: set[str] = set()
    alerting: dict[tuple[str, str], list[float]] = {}
    provisional, starts = 0, []

    def take(findings: Findings) -> None:
        nonlocal provisional
        for analysis in findings.analyses:
            windows[analysis.window.quality.value] += 1
            series.add(analysis.window.series)
            if analysis.alerting:
                alerting.setdefault((analysis.window.series, analysis.metric), []).append(analysis.window.start)
            if analysis.window.quality.judged:
                provisional += analysis.provisional
                starts.append(analysis.window.start)
        for anomaly in findings.anomalies:
            tellings.setdefault(anomaly.id, []).append(anomaly)

    pipeline, holes = Pipeline(feed, settings, {"run": take}), 0
    for batch in batches:
        holes += len(batch.marks)
        pipeline.emit(batch)
    pipeline.close()
    assert not pipeline.failures["run"], "a sink that fails is only counted by the pipeline"
    raised = sorted(
        (Raised(told[-1], _places(feed, told)) for told in tellings.values()),
        key=lambda one: (one.anomaly.opened, one.anomaly.series, one.anomaly.metric),
    )
    return Run(
        series=len(series),
        lanes=len(series) * len(feed.metrics),
        windows=dict(sorted(windows.items())),
        judged=len(starts),
        provisional=provisional,
        holes=holes,
        first=min(starts),
        last=max(starts) + settings.width,
        raised=_ranked(raised),
        width=settings.width,
        alerting={lane: tuple(held) for lane, held in alerting.items()},
    )


def _places(feed: Feed, told: Sequence[Anomaly]) -> tuple[str, ...]:
    named = (one for anomaly in told for one in anomaly.contributions if one.named and one.dimension == feed.place)
    return tuple(dict.fromkeys(one.value for one in named))


def _ranked(raised: Sequence[Raised]) -> tuple[Raised, ...]:
    ranks: dict[str, int] = {}
    metrics: Counter[str] = Counter()
    for one in sorted(raised, key=lambda one: -one.anomaly.evidence):
        if not one.silence:
            metrics[one.anomaly.metric] += 1
            ranks[one.anomaly.id] = metrics[one.anomaly.metric]
    return tuple(msgspec.structs.replace(one, rank=ranks.get(one.anomaly.id, 0)) for one in raised)


def matched(capture: Capture, run: Run) -> tuple[Found, ...]:
    """Say of each known thing whether it was found, within the capture's first tolerance."""
    return tuple(_found(capture, known, run, capture.tolerances[0]) for known in capture.known)


def _found(capture: Capture, known: Known, run: Run, tolerance: float) -> Found:
    in_time = [one for one in run.raised if not one.silence and known.around(one.anomaly.opened, tolerance)]
    if capture.reader == "wikis":  # other wikis' series say nothing of this one
        in_time = [one for one in in_time if one.anomaly.series == known.wiki]
    about = [one for one in run.raised if _is_about(capture, known, one)]
    hits = [one for one in in_time if one in about]
    near = [one for one in about if known.around(one.anomaly.opened, capture.tolerances[-1])]
    nearest = min(near, key=lambda one: abs(known.offset(one.anomaly.opened)), default=None)
    alerting = _alerting(capture, known, run, tolerance)
    if known.quiet:
        verdict = "false" if in_time else "unproven" if alerting else "quiet"
        return Found(known, verdict, alerting, tuple(in_time), None)
    if hits:
        return Found(known, "hit", alerting, tuple(hits), nearest)
    return Found(known, "in time only" if in_time else "miss", alerting, tuple(in_time), nearest)


def _alerting(capture: Capture, known: Known, run: Run, tolerance: float) -> float:
    in_time = {
        start
        for (series, metric), starts in run.alerting.items()
        if (capture.reader != "wikis" or series == known.wiki) and known.metric in {"", metric}
        for start in starts
        if known.around(start, tolerance)
    }
    return min(1.0, len(in_time) * run.width / max(run.width, known.duration() + 2.0 * tolerance))


def _is_about(capture: Capture, known: Known, raised: Raised) -> bool:
    """Whether an episode could be of the known thing: by what changed, which way, and where."""
    anomaly = raised.anomaly
    opposite = {1: AnomalyKind.RATE_DOWN, -1: AnomalyKind.RATE_UP, 0: None}[known.direction]
    if raised.silence or anomaly.kind is opposite or (known.metric and anomaly.metric != known.metric):
        return False
    if capture.reader == "wikis":
        return anomaly.series == known.wiki
    return not known.wiki or known.wiki in raised.places


def tolerances_of(capture: Capture, run: Run) -> tuple[Tolerance, ...]:
    """Hits at each of the capture's tolerances, beside those of chance.

    Chance is that of as many episodes as are about the known thing, each opening at a random moment.
    """
    expected = [known for known in capture.known if not known.quiet]
    told = []
    for seconds in capture.tolerances:
        hits = sum(_found(capture, known, run, seconds).verdict == "hit" for known in expected)
        by_chance = 0.0
        for known in expected:
            about = sum(_is_about(capture, known, one) for one in run.raised)
            part = min(1.0, (known.duration() + 2.0 * seconds) / (run.last - run.first))
            by_chance += 1.0 - (1.0 - part) ** about
        told.append(Tolerance(seconds, hits, by_chance))
    return tuple(told)
