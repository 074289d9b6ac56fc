"""Trials of faults: groups of edits are judged as single Events are, and nothing but the faults is blamed on them."""

from __future__ import annotations

from math import inf, isfinite

import pytest

from tracewave_panel.config import Settings
from tracewave_panel.core.feed_clock import FeedClock
from tracewave_panel.core.lane import LaneSettings
from tracewave_panel.core.windows import TumblingWindows
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.lab.faults import Poisson, fault_trials, overdispersed
from tracewave_panel.lab.route import Fault, Route
from tracewave_panel.model import Batch
from tracewave_panel.sources.synthetic_incidents import Incident, plant
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings, Traffic

START = 1_767_225_600.0
LANES, EPISODES = Settings().lanes(), Settings().episodes


def told_by_single_events(stream, minutes, faults, known):
    """The plain way: an Event an edit, a batch a read."""
    clock, windows, queue, told = FeedClock(), TumblingWindows(WIKIMEDIA), [], []
    clock.connected(START, resumes=True)
    unsent, was_down = [], False
    for read in range(1, 600 * minutes + 1):
        now = round(START + read / 10, 3)
        if read % 600 == 1:
            block = stream.block()
            queue += [(block, at) for at in range(len(block.cell))]
        down = any(fault.start < now <= fault.end for fault in faults)
        if known and down and not was_down:
            clock.disconnected(now)
        if known and was_down and not down:
            clock.connected(now, resumes=True)
        was_down = down
        clock.tick(now)
        ready = 0
        while not down and ready < min(400, len(queue)) and queue[ready][0].arrived_at[queue[ready][1]] <= now:
            ready += 1
        times = clock.receive(now, [float(block.occurred_at[at]) for block, at in queue[:ready]])
        for (block, at), time in zip(queue[:ready], times, strict=True):
            unsent.append(block.event(at, id="", time=time, arrived_at=now))
        del queue[:ready]
        if isfinite(clock.watermark):
            told += windows.push(Batch(now, clock.watermark, clock.status, tuple(unsent), clock.take_marks()))
            unsent = []
    return told + windows.flush()


@pytest.mark.parametrize(
    ("rate", "stream", "faults", "known"),
    [
        (0.5, Poisson, [Fault(300.0, 45.0)], True),
        (5.0, Poisson, [Fault(130.0, 15.0), Fault(250.05, 47.3)], True),
        (30.0, overdispersed, [Fault(130.0, 15.0), Fault(190.0, 3.21), Fault(250.0, 47.0)], False),
        (300.0, Poisson, [Fault(100.0, 40.0)], True),
    ],
)
def test_groups_make_the_windows_that_single_events_make(rate, stream, faults, known):
    faults = [Fault(START + fault.start, fault.length) for fault in faults]
    minutes = 4 if rate == 300 else 7
    route, edits = Route(LANES, EPISODES, START, faults, known=known), stream(rate, 5, START)
    for _ in range(minutes):
        route.take(edits.block())
    route.flush()
    told = told_by_single_events(stream(rate, 5, START), minutes, faults, known)
    assert len({window.quality for window in told}) >= 3, "else this proves little"
    assert [(window.start, window.quality, window.revision) for window in route.told] == [
        (window.start, window.quality, window.revision) for window in told
    ]
    judged = [(window.count, window.features) for window in told if window.quality.judged]
    assert [(window.count, window.features) for window in route.told if window.quality.judged] == judged
    assert route.lost == 0


def test_faults_cause_no_anomaly_and_lose_no_event():
    told = []
    rows = fault_trials(
        LANES, EPISODES, faults=6, rates=(5.0, 30.0), warm_up=1500.0, progress=lambda done, note: told.append(done)
    )
    assert [(row.kind, row.rate) for row in rows] == [
        (kind, rate) for kind in ("disconnect", "stall") for rate in (5.0, 30.0)
    ]
    for row in rows:
        assert (row.faults, row.false_anomalies, row.lost) == (6, 0, 0)
        assert row.windows > 300
        assert 0 < row.partial <= 4
    for row in rows[:2]:
        assert row.silent > 0
        assert 29.0 < row.silence_told_after <= 35.0
    assert [(row.silent, row.silence_told_after) for row in rows[2:]] == [(0, None)] * 2
    assert told == sorted(told)
    assert 0 <= told[0] < told[-1] < 1


class ArrivalClock(FeedClock):
    """Counts what has queued up as if it had just happened, as a clock that knows of no fault does."""

    def receive(self, now, occurred):
        self._confirm(now)
        return [now] * len(occurred)

    def tick(self, now):
        self._confirm(now)

    def disconnected(self, now):
        self._confirm(now)

    def connected(self, now, *, resumes):
        self._confirm(now)


def test_anomalies_under_a_clock_that_counts_arrivals_are_blamed_on_the_faults():
    rows = fault_trials(LANES, EPISODES, faults=4, rates=(30.0,), warm_up=1500.0, clock=ArrivalClock)
    for row in rows:
        assert row.false_anomalies > 0
        assert (row.plain_anomalies, row.silent, row.lost) == (0, 0, 0)
    assert rows[0].silence_told_after == inf


def test_what_the_undisturbed_stream_raises_too_is_not_blamed_on_the_faults():
    def surging(rate, seed, start):
        surge = plant(Incident("surge", 1640.0, length=40, effect=6.0), start, seed)
        return Traffic(SyntheticSettings(seed=seed, rate=rate), start, iter([surge]))

    for row in fault_trials(LANES, EPISODES, faults=3, rates=(30.0,), warm_up=1500.0, stream=surging):
        assert (row.plain_anomalies, row.false_anomalies) == (1, 0)


def test_windows_of_another_width_are_refused():
    with pytest.raises(ConfigError, match="windows of 60 s"):
        fault_trials(LaneSettings(LANES.detectors, width=60.0), EPISODES)
