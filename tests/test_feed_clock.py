"""The feed clock: rules 2 to 5 of time, one by one, then against feeds whose true rate is known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_feed import DISCONNECT, STALL, Scenario, Windows, arrivals, run

from tracewave_panel.codec import decode_packed, pack
from tracewave_panel.core.feed_clock import FeedClock, FeedClockState
from tracewave_panel.core.lag_distribution import LagDistribution
from tracewave_panel.core.telling import Telling
from tracewave_panel.model import Mark, Quality, Status

YEAR = 365 * 86_400.0
GARBAGE = [YEAR, -YEAR, inf, -inf, nan]  # added to now

Arrival = tuple[float, float]  # when, and when it occurred


def steady(start: float, end: float, rate: float) -> list[Arrival]:
    """Arrivals at even distances, with log-normal lags in a fixed order."""
    lags = LagDistribution()
    count = round((end - start) * rate)
    return [
        (when := round(start + (index + 1) / rate, 6), when - lags.quantile(0.001 + 0.998 * (index * 0.381966 % 1.0)))
        for index in range(count)
    ]


def drive(clock: FeedClock, feed: list[Arrival]) -> list[float]:
    """Deliver arrivals one by one, with a tick before each."""
    times = []
    for now, occurred in feed:
        clock.tick(now)
        times += clock.receive(now, [occurred])
    return times


def settled(rate: float = 10.0, until: float = 1000.0, patience: float = 30.0) -> FeedClock:
    """A clock that has learned rate and lag by `until`, its marks taken."""
    clock = FeedClock(patience=patience)
    drive(clock, steady(until - 2000.0 / rate, until, rate))
    clock.take_marks()
    return clock


def ticks(clock: FeedClock, start: float, end: float) -> Iterator[float]:
    """Let time pass at ten ticks a second."""
    for step in range(1, round((end - start) * 10) + 1):
        now = round(start + step / 10, 6)
        clock.tick(now)
        yield now


def wait(clock: FeedClock, start: float, end: float) -> None:
    for _ in ticks(clock, start, end):
        pass


def stretches(marks: tuple[Mark, ...], quality: Quality) -> list[tuple[float, float]]:
    return [(mark.start, mark.end) for mark in marks if mark.quality is quality]


def test_lags_of_long_ago_are_forgotten():
    lags = LagDistribution()
    for lag in [1.0] * 1100 + [5.0] * 1100:
        lags.learn(lag)
    assert (lags.quantile(0.0), lags.quantile(1.0)) == (5.0, 5.0)


@pytest.mark.parametrize(
    ("low", "high", "drawn"), [(-inf, inf, 1.0), (-5.0, -1.0, -1.0), (900.0, 901.0, 900.0), (0.4, 0.4, 0.4)]
)
def test_lag_is_drawn_between_its_bounds_or_clipped_to_the_nearest(low: float, high: float, drawn: float):
    assert LagDistribution().draw(0.5, low, high) == pytest.approx(drawn)


def test_live_event_counts_at_its_arrival_and_moves_the_watermark_there():
    clock = settled()
    assert clock.receive(1000.1, [990.0, 1000.1, 999.9]) == [1000.1] * 3
    assert (clock.watermark, clock.status) == (1000.1, Status.LIVE)


def test_first_usual_event_makes_a_new_feed_live():
    clock = FeedClock()
    assert clock.watermark == -inf
    assert clock.receive(50.0, [49.5]) == [50.0]
    assert (clock.watermark, clock.status) == (50.0, Status.LIVE)
    assert stretches(clock.take_marks(), Quality.PARTIAL) == [(49.5, 50.5)]


def test_rate_lag_and_its_spread_are_learned():
    clock = settled(rate=10.0)
    assert clock._rate.per_second == pytest.approx(10.0, rel=0.05)
    assert clock.lag == pytest.approx(1.0, rel=0.1)
    assert clock._lags.quantile(0.9) == pytest.approx(3.7, rel=0.1)


def test_silence_closes_nothing():
    clock = settled()
    for _ in ticks(clock, 1000.0, 1025.0):
        assert clock.watermark == 1000.0


def test_proof_of_life_makes_a_silence_a_true_zero():
    clock = settled()
    wait(clock, 1000.0, 1010.0)
    clock.alive(1010.0)
    assert clock.watermark == 1000.0, "a queued event may follow"
    wait(clock, 1010.0, 1011.5)
    assert (clock.watermark, clock.status, clock.take_marks()) == (1010.0, Status.LIVE, ())


def test_uncounted_event_at_the_head_of_a_queue_does_not_close_the_stall():
    clock = settled()
    wait(clock, 1000.0, 1010.0)
    clock.alive(1010.0)
    queued = [occurred for _, occurred in steady(1000.0, 1010.0, 10.0)]
    times = clock.receive(1010.0, queued)
    counts = np.bincount(np.asarray(times, int), minlength=1011)[1000:1010]
    assert counts.min() >= 4
    assert counts.max() <= 16


@pytest.mark.parametrize(("rate", "patience", "gap_after"), [(10.0, 30.0, 30.0), (10.0, 5.0, 5.0), (0.2, 30.0, 70.0)])
def test_lost_patience_tells_the_missing_time_as_gap_while_it_passes(rate: float, patience: float, gap_after: float):
    clock = settled(rate=rate, until=20_000.0, patience=patience)
    wait(clock, 20_000.0, 20_000.0 + 0.95 * gap_after)
    assert clock.watermark == 20_000.0
    assert clock.take_marks() == ()
    end = 20_000.0 + 1.2 * gap_after
    wait(clock, 20_000.0 + 0.95 * gap_after, end)
    assert clock.status is Status.GAP
    assert clock.watermark == pytest.approx(end, abs=0.1)
    assert clock.take_marks() == (Mark(20_000.0, clock.watermark, Quality.GAP),)


def test_disconnect_waits_once_however_often_it_is_said():
    clock = settled()
    for now in ticks(clock, 1000.0, 1029.0):
        clock.disconnected(now)
    assert (clock.watermark, clock.status) == (1000.0, Status.CATCH_UP)
    for now in ticks(clock, 1029.0, 1031.0):
        clock.disconnected(now)
    assert clock.status is Status.GAP


def test_connection_that_does_not_resume_leaves_a_gap_and_is_live():
    clock = settled()
    clock.disconnected(1001.0)
    clock.connected(1008.0, resumes=False)
    assert (clock.watermark, clock.status) == (1008.0, Status.LIVE)
    assert clock.take_marks() == (Mark(1000.0, 1008.0, Quality.GAP),)
    assert clock.receive(1008.1, [1004.0]) == [1008.1]


def test_events_proven_lost_leave_a_gap():
    clock = settled()
    clock.lost(1000.4)
    assert clock.receive(1000.4, [1000.0]) == [1000.4]
    assert (clock.watermark, clock.status) == (1000.4, Status.LIVE)
    assert clock.take_marks() == (Mark(1000.0, 1000.4, Quality.GAP),)


def test_events_lost_from_a_backlog_leave_a_gap_where_it_stands():
    clock = settled(patience=100.0)
    clock.disconnected(1000.0)
    clock.connected(1060.0, resumes=True)
    queued = [occurred for _, occurred in steady(1000.0, 1060.0, 10.0)]
    clock.receive(1060.1, queued[:200])
    clock.take_marks()
    clock.lost(1060.2)
    (gap,) = stretches(clock.take_marks(), Quality.GAP)
    assert gap[0] < 1020.0 < gap[1] < 1045.0
    assert clock.status is Status.CATCH_UP


def test_backlog_goes_back_where_it_belongs():
    clock = settled()
    clock.disconnected(1000.0)
    clock.connected(1020.0, resumes=True)
    assert clock.status is Status.CATCH_UP
    feed = steady(1000.0, 1020.0, 10.0)
    times = clock.receive(1020.0, [occurred for _, occurred in feed[:150]])
    assert clock.watermark < 1015.0
    times += clock.receive(1020.0, [occurred for _, occurred in feed[150:]])
    times += drive(clock, steady(1020.0, 1030.0, 10.0))
    assert clock.status is Status.LIVE
    counts = np.bincount(np.asarray(times, int), minlength=1030)[1000:1030]
    assert counts.min() >= 4
    assert counts.max() <= 17
    marks = clock.take_marks()
    assert stretches(marks, Quality.GAP) == []
    backfilled = stretches(marks, Quality.BACKFILLED)
    assert backfilled[0][0] < 1001.0
    assert 1019.0 < backfilled[-1][1] < 1024.0
    partial = stretches(marks, Quality.PARTIAL)
    assert sum(end - start for start, end in partial) < 1.1


def test_backlog_after_a_told_gap_returns_times_in_it():
    clock = settled()
    clock.disconnected(1000.0)
    wait(clock, 1000.0, 1060.0)
    clock.connected(1060.0, resumes=True)
    times = clock.receive(1060.0, [occurred for _, occurred in steady(1000.0, 1050.0, 10.0)])
    assert min(times) < 1002.0
    assert np.median(times) == pytest.approx(1025.0, abs=1.0)
    assert (clock.watermark, clock.status) == (1060.0, Status.CATCH_UP)


def test_hole_in_a_backlog_is_a_gap():
    clock = settled(patience=300.0)
    clock.disconnected(1000.0)
    clock.connected(1100.0, resumes=True)
    queue = [occurred for when, occurred in steady(1000.0, 1100.0, 10.0) if not 1030.0 < when < 1070.0]
    clock.receive(1100.0, queue)
    drive(clock, steady(1100.0, 1105.0, 10.0))
    assert clock.status is Status.LIVE
    (gap,) = stretches(clock.take_marks(), Quality.GAP)
    assert gap[0] < 1035.0
    assert 1070.0 < gap[1] < 1082.0


@pytest.mark.parametrize("silence", [8.0, 20.0])
@pytest.mark.parametrize("disconnect", [True, False])
def test_silence_that_no_backlog_explains_is_a_gap(disconnect: bool, silence: float):
    clock, end = settled(), 1000.0 + silence
    if disconnect:
        clock.disconnected(1000.0)
        clock.connected(end, resumes=True)
    else:
        wait(clock, 1000.0, end)
    drive(clock, steady(end, end + 5.0, 10.0))
    assert clock.status is Status.LIVE
    (gap,) = stretches(clock.take_marks(), Quality.GAP)
    assert gap[0] == 1000.0
    assert end <= gap[1] < end + 3.0


def test_short_stall_is_spread_over_its_silence_without_a_mark():
    clock = settled(rate=2.0)
    wait(clock, 1000.0, 1006.0)
    times = clock.receive(1006.0, [occurred for _, occurred in steady(1000.0, 1006.0, 2.0)])
    assert max(np.bincount(np.asarray(times, int))) <= 5
    assert (clock.watermark, clock.status) == (1000.0, Status.LIVE)
    wait(clock, 1006.0, 1007.0)
    assert clock.watermark == 1006.0
    assert clock.take_marks() == ()


def test_queue_that_comes_at_once_after_a_silence_beyond_chance_is_a_backlog():
    clock = settled()
    wait(clock, 1000.0, 1003.0)
    assert clock.status is Status.LIVE
    clock.receive(1003.0, [occurred for _, occurred in steady(1000.0, 1002.0, 10.0)])
    assert clock.status is Status.CATCH_UP
    drive(clock, steady(1003.0, 1005.0, 10.0))
    assert clock.status is Status.LIVE
    assert stretches(clock.take_marks(), Quality.BACKFILLED)


def test_marks_behind_the_watermark_are_not_told():
    telling = Telling(watermark=10.0)
    telling.mark(8.0, 9.0, Quality.PARTIAL)
    telling.mark(9.0, 11.0, Quality.PARTIAL)
    assert telling.take() == (Mark(10.0, 11.0, Quality.PARTIAL),)


def test_stall_behind_a_living_connection_is_recognised_by_its_lags():
    clock = settled()
    drive(clock, [(when, when - 20.0) for when, _ in steady(1000.0, 1002.0, 10.0)])
    assert clock.status is Status.CATCH_UP


def test_lag_that_has_changed_for_good_is_learned_and_live():
    clock = settled()
    drive(clock, [(when, when - 20.0) for when, _ in steady(1000.0, 1030.0, 10.0)])
    assert clock.status is Status.LIVE
    assert clock.lag == pytest.approx(20.0)


def test_first_connection_with_a_backlog_starts_at_its_stamps():
    clock = FeedClock()
    clock.connected(5000.0, resumes=True)
    feed = steady(2000.0, 5000.0, 10.0)
    times = clock.receive(5000.0, [occurred for _, occurred in feed[:100]])
    assert clock.status is Status.CATCH_UP
    assert 1990.0 < clock.watermark < 2010.0
    for step in range(100, len(feed), 100):
        times += clock.receive(5000.0 + step / 20_000, [occurred for _, occurred in feed[step : step + 100]])
    drive(clock, steady(5001.5, 5003.0, 10.0))
    assert clock.status is Status.LIVE
    counts = np.bincount(np.asarray(times, int), minlength=5000)[2020:4990]
    assert counts.min() >= 1
    assert counts.max() <= 22


def test_new_feed_with_another_lag_is_live_after_a_moment():
    clock = FeedClock()
    drive(clock, [(when, when - 5.0) for when, _ in steady(0.0, 12.0, 5.0)])
    assert clock.status is Status.LIVE
    assert clock.lag == 5.0


def test_feed_whose_stamps_are_useless_counts_on_arrival():
    clock = FeedClock()
    times = drive(clock, [(when, when - YEAR) for when, _ in steady(0.0, 5.0, 5.0)])
    assert clock.status is Status.LIVE
    assert times[-10:] == [when for when, _ in steady(0.0, 5.0, 5.0)][-10:]


def test_new_feed_that_only_proves_its_life_is_live():
    clock = FeedClock()
    clock.alive(100.0)
    clock.tick(101.0)
    assert (clock.watermark, clock.status) == (100.0, Status.LIVE)


def test_resumed_feed_that_only_proves_its_life_missed_nothing():
    clock = settled(rate=0.5)
    clock.disconnected(1000.0)
    clock.connected(1010.0, resumes=True)
    for now in ticks(clock, 1010.0, 1018.0):
        clock.alive(now)
    assert clock.status is Status.LIVE
    assert clock.watermark == pytest.approx(1018.0, abs=0.2)
    assert stretches(clock.take_marks(), Quality.GAP) == []


def test_small_step_back_of_the_clock_is_held():
    clock = settled()
    clock.receive(1000.2, [1000.0])
    assert clock.receive(1000.1, [1000.0]) == [1000.2]
    clock.tick(999.0)
    assert clock.watermark == 1000.2


@pytest.mark.parametrize("now", [1000.12345678, 1000.1234565, 1000.123456499])
def test_times_are_microseconds_and_never_above_now(now: float):
    clock = settled()
    (time,) = clock.receive(now, [999.0])
    assert time == round(time, 6) <= now
    clock.disconnected(now)
    clock.connected(now + 10, resumes=True)
    assert all(time == round(time, 6) <= now + 10 for time in clock.receive(now + 10, [1009.7, 1020.0, 1005.0]))


def test_sleep_of_the_whole_process_is_not_blamed_on_the_feed():
    clock = FeedClock.restore(settled().snapshot())
    clock.disconnected(9000.0)
    wait(clock, 9000.0, 9002.0)
    clock.connected(9002.0, resumes=True)
    assert (clock.watermark, clock.status) == (1000.0, Status.CATCH_UP)
    times = clock.receive(9002.1, [occurred for _, occurred in steady(1000.0, 1500.0, 10.0)])
    assert 1480.0 < clock.watermark < 1500.0
    assert np.bincount(np.asarray(times, int))[1001:1490].max() <= 20
    assert stretches(clock.take_marks(), Quality.GAP) == []


@pytest.mark.parametrize("rates", [(30.0, 7.5, 30.0), (30.0, 90.0, 30.0), (100.0, 25.0, 300.0), (500.0, 125.0, 500.0)])
def test_change_of_rate_is_no_fault(rates: tuple[float, ...]):
    rng = np.random.default_rng(7)
    clock, now = FeedClock(), 0.0
    for index, rate in enumerate(rates):
        for gap, lag in zip(
            rng.exponential(1 / rate, int(60 * rate)), rng.lognormal(0, 1, int(60 * rate)), strict=True
        ):
            now += gap
            clock.tick(now)
            clock.receive(now, [now - lag])
            if index:
                assert clock.status is Status.LIVE
                assert not clock.take_marks()
        clock.take_marks()


def in_status(status: str) -> tuple[FeedClock, float]:
    """A clock in every sort of moment, and the time."""
    clock = FeedClock() if status == "new" else settled(patience=30.0)
    now = 1000.0
    if status in {"disconnected", "gap", "catch_up", "revising"}:
        clock.disconnected(now)
        now = 1029.0 if status in {"disconnected", "catch_up"} else 1040.0
        wait(clock, 1000.0, now)
    if status in {"catch_up", "revising"}:
        clock.connected(now, resumes=True)
        clock.receive(now, [occurred for _, occurred in steady(1000.0, 1015.0, 10.0)])
    if status in {"silent", "settling"}:
        now = 1001.2
        wait(clock, 1000.0, now)
    if status == "settling":
        clock.receive(now, [1000.5])
    return clock, round(now + 0.1, 6)


STATUSES = ["new", "live", "silent", "settling", "disconnected", "gap", "catch_up", "revising"]


@pytest.mark.parametrize("status", STATUSES)
@given(stamp=st.one_of(st.sampled_from(GARBAGE), st.floats(-1e300, -YEAR), st.floats(YEAR, 1e300)))
@settings(max_examples=25, deadline=None)
def test_garbage_stamp_moves_nothing(status: str, stamp: float):
    clock, now = in_status(status)
    clean = FeedClock.restore(clock.snapshot())
    clean.alive(now)
    clock.alive(now)
    (time,) = clock.receive(now, [now + stamp])
    assert time <= now
    assert clock.watermark <= time or clock.status is not Status.LIVE
    assert (clock.watermark, clock.lag, clock.status) == (clean.watermark, clean.lag, clean.status)
    following = steady(now, now + 2.0, 10.0)
    for when, occurred in following:
        assert clock.receive(when, [occurred, occurred])[0] <= when
        clean.receive(when, [occurred, occurred])
    assert (clock.lag, clock.status) == (clean.lag, clean.status)
    assert clock.watermark == pytest.approx(clean.watermark, abs=0.2)


Step = tuple[float, str, list[float]]


def story(seed: int, rate: float) -> list[Step]:
    """Polls of a feed with disconnects and stalls: time, what the source does, occurrences."""
    scenario = Scenario("disconnect", rate, faults=3, shortest=5, longest=45, seed=seed, warm_up=60.0)
    delivery, stamps, _, duration = arrivals(scenario)
    polls = np.round(np.arange(1, int(duration / 0.5)) * 0.5, 6)
    cuts = np.searchsorted(delivery, polls, side="right")
    steps: list[Step] = []
    before, was_down = 0, False
    for now, cut in zip(polls.tolist(), cuts.tolist(), strict=True):
        # every other fault is a stall that nobody announces
        down = any(start < now <= start + length for start, length in scenario.plan()[::2])
        doing = "connected" if was_down and not down else "disconnected" if down and not was_down else "tick"
        was_down = down
        steps.append((now, doing, stamps[before:cut].tolist()))
        before = cut
    return steps


def act(clock: FeedClock, step: Step, cuts: tuple[float, ...] = ()) -> tuple[object, ...]:
    """Do one step, its occurrences cut at the given shares; tell all that can be seen."""
    now, doing, occurred = step
    if doing == "connected":
        clock.connected(now, resumes=True)
    clock.tick(now)
    edges = [0, *sorted(round(cut * len(occurred)) for cut in cuts), len(occurred)]
    times = [time for first, last in pairwise(edges) for time in clock.receive(now, occurred[first:last])]
    if doing == "disconnected":
        clock.disconnected(now)
    return times, clock.watermark, clock.status, clock.lag, clock.take_marks()


STORIES = {rate: story(3, rate) for rate in (0.5, 5.0, 30.0)}


@given(rate=st.sampled_from(list(STORIES)), share=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_restored_clock_goes_on_exactly(rate: float, share: float):
    steps = STORIES[rate]
    at = int(share * len(steps))
    clock = FeedClock()
    for step in steps[:at]:
        act(clock, step)
    other = FeedClock.restore(decode_packed(pack(clock.snapshot()), FeedClockState))
    for step in steps[at : at + 400]:
        assert act(other, step) == act(clock, step)


@given(rate=st.sampled_from(list(STORIES)), cuts=st.tuples(st.floats(0, 1), st.floats(0, 1)))
@settings(max_examples=15, deadline=None)
def test_cut_of_the_same_arrivals_changes_nothing(rate: float, cuts: tuple[float, float]):
    whole, pieces = FeedClock(), FeedClock()
    for step in STORIES[rate]:
        assert act(pieces, step, cuts) == act(whole, step)
    assert whole == pieces


def test_consumer_of_the_simulation_follows_the_contract():
    windows = Windows(10)
    windows.take([1.5], [Mark(2.0, 3.0, Quality.GAP)], 3.5)
    windows.take([2.5, 1.2, 3.1], [], 4.0)
    assert windows.counts.tolist()[:5] == [0, 1, 1, 2, 0]
    assert (windows.revised, windows.late, windows.events, windows.told) == (1, 1, 4, 4)


@pytest.mark.parametrize(
    "scenario",
    [
        *(Scenario(**fault, rate=rate) for rate in (0.5, 2.0, 5.0, 30.0) for fault in (DISCONNECT, STALL)),
        *(Scenario(**fault, rate=30.0, faults=50, seed=2, whole_seconds=True) for fault in (DISCONNECT, STALL)),
        Scenario(**STALL, rate=30.0, faults=50, seed=3, drain=100.0),
        Scenario(**DISCONNECT, rate=30.0, faults=50, seed=4, drain=100.0, patience=300.0, second_fault=True),
        Scenario(**DISCONNECT, rate=5.0, faults=50, seed=5, drain=100.0, patience=300.0, second_fault=True),
        Scenario(**STALL, rate=5.0, faults=50, seed=6, uncounted=20.0),
        *(
            pytest.param(Scenario(**fault, rate=500.0), marks=pytest.mark.slow, id=f"{fault['kind']} 500")
            for fault in (DISCONNECT, STALL)
        ),
    ],
    ids=lambda scenario: f"{scenario.kind} {scenario.rate:g} seed {scenario.seed}",
)
def test_faults_make_no_false_window(scenario: Scenario):
    outcome = run(scenario)
    assert outcome.false_by_arrival > 10, "the scenario must be able to fail"
    assert outcome.false == 0, outcome.worst
    assert outcome.lost == 0
    assert outcome.above_now == 0
    assert outcome.too_late_marks == 0
    assert outcome.late <= 0.05
    assert outcome.partial <= 4
    assert outcome.delay <= 3.0
    assert 0.8 < outcome.lag < 2.0
    if scenario.rate >= 5:
        assert outcome.false_zeros == 0
    if scenario.kind == "stall" or scenario.patience > scenario.longest:
        assert outcome.gap == 0
