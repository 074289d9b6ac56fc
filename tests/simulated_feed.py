"""A feed with lag, faults and backlogs whose true rate is known, and a consumer that counts windows.

Used by the tests and by the benchmark of the feed clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import process_time

import numpy as np
from scipy.stats import poisson

from tracewave_panel.core.feed_clock import FeedClock
from tracewave_panel.lab.faults import FAULTS, schedule
from tracewave_panel.model import Mark, Quality

FALSE_P = 1e-7
POLL = 0.1  # seconds
DISCONNECT, STALL = (
    {"kind": kind, "shortest": FAULTS[kind].shortest, "longest": FAULTS[kind].longest}
    for kind in ("disconnect", "stall")
)
WORST = [Quality.OK, Quality.BACKFILLED, Quality.PARTIAL, Quality.GAP]


@dataclass(frozen=True)
class Scenario:
    """A feed and its faults. Times in seconds, rates in events/s."""

    kind: str  # disconnect: the connection is known to be lost; stall: the server falls silent
    rate: float
    faults: int = 200
    shortest: float = 5.0
    longest: float = 120.0
    seed: int = 1
    drain: float = 4000.0
    lag_median: float = 1.0
    lag_p99: float = 11.0
    whole_seconds: bool = False
    second_fault: bool = False  # another stall of 1-6 s a moment after the backlog began to come
    uncounted: float = 0.0  # events/s of a kind that is not counted, in the same queue: proofs of life
    patience: float = 30.0
    warm_up: float = 400.0  # before the first fault

    def plan(self) -> list[tuple[float, float]]:
        """Start and length of each fault."""
        load = (self.rate + self.uncounted) / self.drain
        lengths = self.shortest, self.longest
        drawn = schedule(*lengths, faults=self.faults, seed=self.seed, after=self.warm_up, load=load)
        return [(fault.start, fault.length) for fault in drawn]


def deliver(arrival: np.ndarray, starts: Sequence[tuple[float, float]], drain: float) -> np.ndarray:
    """Hold arrivals (sorted) back while a fault lasts; let the queue go at `drain` events/s, first in first out."""
    delivery = arrival.copy()
    for start, length in starts:
        index, clock = int(np.searchsorted(delivery, start)), start + length
        while index < len(delivery) and delivery[index] < clock:
            delivery[index] = clock
            clock += 1.0 / drain
            index += 1
    return delivery


def arrivals(scenario: Scenario) -> tuple[np.ndarray, np.ndarray, list[tuple[float, float]], float]:
    """Delivery and stamp of every event (nan: not counted); the faults; the duration."""
    rng = np.random.default_rng(scenario.seed)
    plan = scenario.plan()
    duration = sum(plan[-1]) + 120
    both = scenario.rate + scenario.uncounted
    occurred = rng.uniform(0, duration, rng.poisson(both * duration))
    sigma = np.log(scenario.lag_p99 / scenario.lag_median) / 2.326
    arrival = occurred + np.exp(rng.normal(np.log(scenario.lag_median), sigma, len(occurred)))
    order = np.argsort(arrival, kind="stable")
    arrival, occurred = arrival[order], occurred[order]
    faults = list(plan)
    if scenario.second_fault:
        for start, length in plan:
            faults.append((start + length + rng.uniform(0.2, 0.8) * both * length / scenario.drain, rng.uniform(1, 6)))
    delivery = deliver(arrival, sorted(faults), scenario.drain)
    stamps = np.floor(occurred) if scenario.whole_seconds else occurred
    if scenario.uncounted:
        stamps[rng.uniform(size=len(stamps)) < scenario.uncounted / both] = np.nan
    return delivery, stamps, sorted(faults), duration


class Windows:
    """Counts one-second windows by the contract of Batch: marks, events, then the watermark."""

    def __init__(self, seconds: int) -> None:
        self.counts = np.zeros(seconds, np.int64)
        self.quality = np.zeros(seconds, np.int8)  # index into WORST
        self.told = 0  # windows before this index are closed
        self.events = self.late = self.revised = self.too_late_marks = 0

    def take(self, events: Sequence[float], marks: Iterable[Mark], watermark: float) -> None:
        """Fold one batch."""
        for mark in marks:
            first, end = max(0, int(mark.start)), int(np.ceil(mark.end))
            worst, told = WORST.index(mark.quality), max(self.told, first)
            self.too_late_marks += bool((self.quality[first : min(end, self.told)] < worst).any())
            self.quality[told:end] = np.maximum(self.quality[told:end], worst)
        self.events += len(events)
        if len(events):
            index = np.asarray(events).astype(np.int64)
            closed = index < self.told
            if closed.any():
                gap = closed & (self.quality[index] == WORST.index(Quality.GAP))
                self.revised += int(gap.sum())
                self.late += int((closed & ~gap).sum())
                self.counts[self.told] += int((closed & ~gap).sum())
                np.add.at(self.counts, index[gap], 1)
                index = index[~closed]
            if len(index) and index[0] == index[-1] and (index == index[0]).all():
                self.counts[index[0]] += len(index)
            else:
                np.add.at(self.counts, index, 1)
        if watermark > self.told:
            self.told = int(watermark)


@dataclass(frozen=True)
class Outcome:
    """What a run of the clock did with a scenario."""

    false: int
    false_by_arrival: int
    false_zeros: int
    far: tuple[float, float]
    near: tuple[float, float]
    partial: float
    gap: float
    late: float
    lost: int
    delay: float
    lag: float
    spread: float
    live_cost: float
    backlog_cost: float
    too_late_marks: int
    above_now: int
    worst: tuple[float, ...]


def run(scenario: Scenario) -> Outcome:
    """Drive a FeedClock through a scenario and judge every window against the true rate."""
    delivery, stamps, faults, duration = arrivals(scenario)
    polls = np.round(np.arange(1, int(duration / POLL)) * POLL, 6)
    cuts = np.searchsorted(delivery, polls, side="right")
    down = np.zeros(len(polls), bool)
    if scenario.kind == "disconnect":
        for start, length in scenario.plan():
            down |= (polls > start) & (polls <= start + length)
    clock, windows = FeedClock(patience=scenario.patience), Windows(int(duration) + 10)
    clock.connected(0.0, resumes=True)
    delay, before, above_now = np.zeros(len(polls)), 0, 0
    cost, counted = {False: 0.0, True: 0.0}, {False: 0, True: 0}
    was_down = False
    for k, (now, cut) in enumerate(zip(polls.tolist(), cuts.tolist(), strict=True)):
        if was_down and not down[k]:
            clock.connected(now, resumes=True)
        clock.tick(now)
        times: list[float] = []
        if cut > before:
            chunk = stamps[before:cut]
            if scenario.uncounted:
                if np.isnan(chunk).any():
                    clock.alive(now)
                chunk = chunk[~np.isnan(chunk)]
            chunk = chunk.tolist()
            began = process_time()
            times = clock.receive(now, chunk)
            backlog = clock.status != "live" or len(chunk) > 3 * scenario.rate * POLL + 10
            cost[backlog] += process_time() - began
            counted[backlog] += len(chunk)
            above_now += max(times, default=now) > now
        if down[k] and not was_down:
            clock.disconnected(now)
        before, was_down = cut, bool(down[k])
        windows.take(times, clock.take_marks(), clock.watermark)
        delay[k] = now - clock.watermark
    rate, judged_from = scenario.rate, 300
    inside = slice(judged_from, int(duration) - 60)
    x, quality = windows.counts[inside], windows.quality[inside]
    p = np.minimum(poisson.sf(x - 1, rate), poisson.cdf(x, rate))
    z = 2 * np.sqrt(x + 0.375) - 2 * np.sqrt(rate + 0.375)
    near = np.zeros(len(windows.counts), bool)
    silent = np.zeros(len(windows.counts), bool)
    for start, length in faults:
        near[int(start) - 3 : int(start + length) + 40] = True
        silent[int(start) + 1 : int(start + length)] = True
    usual = ~near[np.minimum(polls.astype(int), len(near) - 1)] & (polls > judged_from)
    near, silent = near[inside], silent[inside]
    judged = quality <= WORST.index(Quality.BACKFILLED)
    naive = np.bincount(delivery[~np.isnan(stamps)].astype(int), minlength=len(windows.counts))[inside]
    naive_p = np.minimum(poisson.sf(naive - 1, rate), poisson.cdf(naive, rate))

    def extremes(mask: np.ndarray) -> tuple[float, float]:
        return (float(z[mask].max()), float(z[mask].min())) if mask.any() else (0.0, 0.0)

    false = judged & (p < FALSE_P)
    lags = clock.snapshot().clock._lags
    return Outcome(
        false=int(false.sum()),
        false_by_arrival=int((naive_p < FALSE_P).sum()),
        false_zeros=int(((quality == 0) & silent & (x == 0)).sum()),
        far=extremes(judged & ~near),
        near=extremes(judged & near),
        partial=float((quality == WORST.index(Quality.PARTIAL)).sum()) / scenario.faults,
        gap=float((quality == WORST.index(Quality.GAP)).sum()) / scenario.faults,
        late=100.0 * windows.late / len(stamps),
        lost=int(np.count_nonzero(~np.isnan(stamps[:before])) - windows.counts.sum()),
        delay=float(np.median(delay[usual])),
        lag=clock.lag,
        spread=lags.spread(0.99),
        live_cost=1e6 * cost[False] / max(1, counted[False]),
        backlog_cost=1e6 * cost[True] / max(1, counted[True]),
        too_late_marks=windows.too_late_marks,
        above_now=above_now,
        worst=tuple((np.flatnonzero(false) + judged_from).tolist()),
    )
