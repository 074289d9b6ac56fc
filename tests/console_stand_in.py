"""A plausible stream of findings and a Control that says what a test tells it to: what the page's tests look at."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tracewave_panel.app.board import Board
from tracewave_panel.app.dashboard import Dashboard
from tracewave_panel.app.server import start
from tracewave_panel.app.server import stop as end
from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import (
    Analysis,
    Anomaly,
    AnomalyKind,
    Contribution,
    Event,
    Findings,
    Label,
    LabelVerdict,
    Mute,
    Origin,
    Quality,
    Sample,
    Score,
    Severity,
    Status,
    Verdict,
    Window,
)
from tracewave_panel.ports import Archive, Console, FeedState, RouteStatus, SourceStatus
from tracewave_panel.stores.ring import RingStore

DETECTORS = ("zscore", "ewma", "trees", "novelty", "seasonal")
CALM = (0.1, 0.08, 0.12, 0.05, 0.07)
SPANS = (10, 0, 0, 120, 1)
ABSTAINING = {
    "trees": ("learning, 212 windows left", 212),
    "novelty": ("learning, 50 min left", 3000),
    "seasonal": ("learning the day, 2 d 3 h left", 183_600),
}


@dataclass
class SpokenControl:
    """Fulfils the port Control with what it was last told."""

    origin: Origin = Origin.LIVE
    run: int = 1
    detectors: tuple[str, ...] = DETECTORS
    state: FeedState = field(default_factory=lambda: FeedState("live", "1.1 s behind"))
    totals: dict[str, int] = field(default_factory=lambda: {"events": 12_480, "late": 50, "windows": 300})
    measured: dict[str, float] = field(default_factory=dict)
    given: dict[str, Label] = field(default_factory=dict)
    refusal: str = ""
    archived: RingStore = field(default_factory=RingStore)
    muted: dict[str, Mute] = field(default_factory=dict)
    told_routes: tuple[RouteStatus, ...] = ()

    def source_status(self) -> SourceStatus:
        return SourceStatus(self.state, {"events": 12_480, "undecodable": 0, "reconnects": 1}, lag=1.1)

    def counters(self) -> dict[str, int]:
        return dict(self.totals)

    def label(self, anomaly_id: str, verdict: LabelVerdict | None, by: str = "") -> None:
        if self.refusal:
            raise StoreError(self.refusal)
        labels = dict(self.given)
        labels.pop(anomaly_id, None)
        self.given = labels | ({anomaly_id: Label(anomaly_id, verdict, time.time(), by)} if verdict else {})

    @property
    def archive(self) -> Archive:
        return Archive(self.archived, f"stand-in-{self.run}")

    def mute(self, mute: Mute) -> None:
        if self.refusal:
            raise StoreError(self.refusal)
        self.muted = {**self.muted, mute.id: mute}

    def unmute(self, mute_id: str) -> None:
        self.muted = {key: mute for key, mute in self.muted.items() if key != mute_id}

    def mutes(self) -> tuple[Mute, ...]:
        return tuple(mute for mute in self.muted.values() if mute.holds(time.time()))

    def routes(self) -> tuple[RouteStatus, ...]:
        return self.told_routes

    def labels(self) -> dict[str, Label]:
        return self.given

    def gauges(self) -> dict[str, float]:
        return dict(self.measured)


def console(store: RingStore | None = None, control: SpokenControl | None = None) -> Console:
    store = store or RingStore()
    return Console(WIKIMEDIA, store, control or SpokenControl(archived=store))


def dashboard_over(store: RingStore, control: SpokenControl | None = None, page: str = "live") -> Dashboard:
    """A session's console whose page has said that it is ready, over a board that reads at every look."""
    moments = itertools.count()
    built = Dashboard(Board(console(store, control), clock=lambda: float(next(moments))), page)
    built.navigator.ready = True
    return built


def window(start: float, rate: float = 41.0, **fields) -> Window:
    features = (rate, rate * 0.86, 12 + rate * 0.3, min(0.9, 0.38 + max(0.0, rate - 60) / 250), 0.06, 312.0)
    return Window("edits", start, 1.0, round(rate), features, ({}, {}, {}, {}, {}), **fields)


def analysis(start: float, rate: float = 41.0, scores=CALM, cold=(), provisional=False, **fields) -> Analysis:
    judging = [score for name, score in zip(DETECTORS, scores, strict=True) if name not in cold]
    fired = [score for score in judging if score >= 0.5]
    return Analysis(
        metric="rate",
        window=window(start, rate, **fields),
        observed=rate,
        expected=41.2,
        spread=6.1,
        scores=tuple(
            Score(name, warm=False, reason=ABSTAINING[name][0], windows_left=ABSTAINING[name][1])
            if name in cold
            else Score(name, score=score, fired=score >= 0.5, span=span)
            for name, score, span in zip(DETECTORS, scores, SPANS, strict=True)
        ),
        confidence=sum(fired) / max(1, len(judging)),
        rarity=9.0 if fired else 1e-4,
        severity=Severity.CRITICAL if fired else Severity.NONE,
        alerting=len(fired) > 1,
        provisional=provisional,
    )


def samples_at(moment: float, *numbers: int) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            f"{moment:.0f}-{number}",
            moment + number,
            f"File:Vista da Torre de Belém ao entardecer, Lisboa, {1900 + number}.jpg",
            f"https://commons.wikimedia.org/w/index.php?diff={number}",
        )
        for number in numbers
    )


def anomaly(opened: float, closed: float | None = None, **fields) -> Anomaly:
    defaults = {
        "id": f"edits-rate-{opened:.0f}",
        "series": "edits",
        "metric": "rate",
        "kind": AnomalyKind.RATE_UP,
        "opened": opened,
        "peaked": opened + 3,
        "updated": opened + 5,
        "closed": closed,
        "severity": Severity.CRITICAL,
        "confidence": 0.9,
        "rarity": 9.0,
        "direction": 1,
        "observed": 131.0,
        "expected": 41.6,
        "agreeing": ("zscore", "ewma"),
        "quiet": ("trees", "novelty"),
        "abstained": ("seasonal",),
        "verdict": Verdict.CULPRIT,
        "contributions": (
            Contribution("wiki", "commons.wikimedia.org", 83.4, 6.9, 0.88, 14.0, True, samples_at(opened, 1, 2, 3)),
            Contribution("actor", "bot", 91.1, 15.8, 0.87, 13.0, True, samples_at(opened, 2, 3, 4)),
            Contribution("namespace", "6 File", 74.0, 4.4, 0.80, 12.0, True),
            Contribution("actor", "human", 22.9, 25.6, -0.03, -0.5, False),
        ),
        "completeness": 0.91,
        "quality": Quality.OK,
        "title": "Bot burst on commons.wikimedia.org",
    }
    return Anomaly(**{**defaults, **fields})


def event(moment: float, number: int, **fields) -> Event:
    wikis = ("commons.wikimedia.org", "en.wikipedia.org", "www.wikidata.org", "de.wikipedia.org", "arz.wikipedia.org")
    titles = (
        "File:Plan de Marrakech, 1935 (détail).jpg",
        "Talk:2026 Tagus flood",
        "Q118209334",
        "Liste der Baudenkmäler in Halle",
        "قائمة مدن مصر",
    )
    defaults = {
        "time": moment,
        "occurred_at": moment - 1,
        "arrived_at": moment,
        "series": "edits",
        "id": f"event-{number}",
        "dimensions": (wikis[number % 5], "en", "0", "human", "edit"),
        "measures": (float((number * 37) % 900 - 200),),
        "actor": ("ExampleBot", "~2026-54049-03", "Łukasz", "ArchiveExampleBot", "高橋")[number % 5],
        "title": titles[number % 5],
        "link": f"https://example.org/diff/{number}",
    }
    return Event(**{**defaults, **fields})


def findings(at: float, *analyses: Analysis, anomalies=(), events=()) -> Findings:
    return Findings(at, at, Status.LIVE, analyses=analyses, anomalies=tuple(anomalies), events=tuple(events))


def story(end: float, seconds: int = 300, cold=("seasonal",), provisional=False) -> Iterator[Findings]:
    """Five minutes with a gap, a backfill, partial and late windows, a closed drop and an open burst."""
    draw = random.Random(41)
    begin = math.floor(end) - seconds
    drift = 0.0
    drop, burst = (begin + seconds - 170, begin + seconds - 147), begin + seconds - 59
    gap, filled = begin + seconds - 242, begin + seconds - 224
    for second in range(seconds):
        start = float(begin + second)
        drift = 0.45 * drift + draw.gauss(0, 0.62)
        level, scores = 41.2, [abs(draw.gauss(0, 0.08)) for _ in DETECTORS]
        quality = Quality.OK
        if gap <= start < filled:
            quality = Quality.GAP
        elif filled <= start < filled + 22:
            quality = Quality.BACKFILLED
        elif gap - 3 <= start < gap or filled + 22 <= start < filled + 25:
            quality = Quality.PARTIAL
        if drop[0] <= start < drop[1]:
            level, scores = 16.0, [0.88, 0.85, 0.62, 0.2, 0.4]
        elif start >= burst:
            level, scores = 128.0, [0.97, 0.93, 0.83, 0.82, 0.4]
        elif begin + seconds - 106 <= start < begin + seconds - 101:
            level, scores = 74.0, [0.46, 0.33, 0.56, 0.1, 0.2]
        rate = max(1.0, (math.sqrt(level) + 0.82 * drift + draw.gauss(0, 0.25)) ** 2)
        scores = [min(1.0, max(0.0, score + draw.gauss(0, 0.02))) for score in scores]
        abstaining = (*(("trees",) if second < seconds // 3 else ()), *cold)
        late = int(draw.random() < 0.05)
        told = [analysis(start, rate, scores, abstaining, provisional, quality=quality, late=late)]
        anomalies = []
        if start == drop[1]:
            anomalies = [
                anomaly(drop[0], drop[1], severity=Severity.WARNING, title="Drop on www.wikidata.org", observed=15.8,
                        expected=41.4, confidence=0.63, agreeing=DETECTORS[:3], quiet=DETECTORS[3:4],
                        kind=AnomalyKind.RATE_DOWN, rarity=1 / 8, provisional=provisional)
            ]  # fmt: skip
        elif start == burst + 1:
            anomalies = [
                anomaly(begin - 2400.0, begin - 2200.0, severity=Severity.INFO, title="Flash crowd, global",
                        observed=66.9, expected=39.0, confidence=0.41, verdict=Verdict.GLOBAL, contributions=(),
                        provisional=provisional),
                anomaly(burst, agreeing=DETECTORS[:4], quiet=(), provisional=provisional),
            ]  # fmt: skip
        edits = [event(start + 0.1 * number, 5 * second + number) for number in range(4)]
        yield findings(start + 1, *told, anomalies=anomalies, events=edits)


@contextmanager
def served(console: Console, port: int = 0) -> Iterator[int]:
    """Serve the page from a loop in a thread of its own; yield the port."""
    listening: list[int] = []
    ready, stop = threading.Event(), None

    async def serve() -> None:
        nonlocal stop
        stop = asyncio.Event()
        server = start(console, address="127.0.0.1", port=port)
        listening.append(server.port)
        loops.append(asyncio.get_running_loop())
        ready.set()
        await stop.wait()
        end(server)
        await asyncio.sleep(0.2)

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="page")
    thread.start()
    try:
        assert ready.wait(20), "the page did not start to listen"
        yield listening[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)


def feed_on(store: RingStore, stop: threading.Event, number: int = 0) -> None:
    """Append a window a second until stopped; every second of it calm but for the burst that goes on."""
    draw = random.Random(7)
    begin = math.floor(time.time())
    while not stop.wait(max(0.0, begin + 1 - time.time())):
        edits = [event(begin + 0.1 * part, number + part) for part in range(4)]
        number += 4
        burst = analysis(float(begin), draw.gauss(128, 9), (0.95, 0.92, 0.8, 0.81, 0.4), cold=("seasonal",))
        store.append(findings(begin + 1.0, burst, events=edits))
        begin += 1
