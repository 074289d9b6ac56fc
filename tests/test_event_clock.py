"""Time for data that has no arrival clock."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracewave_panel.core.event_clock import EventClock

YEAR = 365 * 86_400.0

stamps = st.lists(st.integers(0, 20_000).map(float), min_size=1, max_size=60)
ordinary = st.lists(st.integers(0, 600).map(float), min_size=8, max_size=40).map(lambda times: [1e9 + t for t in times])


def run(sequence, cuts=()):
    clock, times, watermarks = EventClock(), [], []
    edges = [0, *sorted(cuts), len(sequence)]
    for begin, end in pairwise(edges):
        times += clock.receive(sequence[begin:end])
        watermarks.append(clock.watermark)
    return times + clock.finish(), watermarks, clock


@pytest.mark.parametrize(
    ("sequence", "times", "watermark"),
    [
        ([], [], -math.inf),
        ([5.0], [5.0], -5.0),
        ([100.0, 103.0, 101.0, 104.0], [100.0, 103.0, 101.0, 104.0], 94.0),
        # a jump that three others confirm
        ([0.0, 1, 2, 3, 9000, 9001, 9002, 9003], [0, 1, 2, 3, 9000, 9001, 9002, 9003], 8993.0),
        # one that only two confirm, at the end
        ([0.0, 1, 2, 3, 9000, 9001, 9002], [0, 1, 2, 3, 3, 3, 3], -7.0),
        # a wrong stamp just before a true jump
        ([0.0, 1, 2, 3, 9e9, 9000, 9001, 9002, 9003], [0, 1, 2, 3, 3, 9000, 9001, 9002, 9003], 8993.0),
        # rows two hours apart: nothing confirms the last three
        ([0.0, 7200, 14_400, 21_600, 28_800], [0, 7200, 7200, 7200, 7200], 7190.0),
        # the very first stamp is wrong
        ([9e9, 0, 1, 2], [0, 0, 1, 2], -8.0),
        ([-9e9, 0, 1, 2], [0, 0, 1, 2], -8.0),
        # a stamp behind keeps its own time
        ([100.0, 101, 102, 103, 7, 104], [100, 101, 102, 103, 7, 104], 94.0),
    ],
)
def test_times_and_watermark(sequence, times, watermark):
    told, _, clock = run(sequence)
    assert told == times
    assert clock.watermark == watermark


def test_stamps_in_doubt_are_held_back_and_then_told_in_order():
    clock = EventClock()
    assert clock.receive([0.0, 1.0, 2.0, 3.0]) == [0.0, 1.0, 2.0, 3.0]
    assert clock.receive([9000.0, 9001.0]) == []
    assert clock.watermark == -7.0
    assert clock.receive([9002.0, 9003.0]) == [9000.0, 9001.0, 9002.0, 9003.0]


@given(stamps, st.data())
def test_cuts_do_not_matter(sequence, data):
    cuts = data.draw(st.lists(st.integers(0, len(sequence)), max_size=8))
    times, watermarks, clock = run(sequence, cuts)
    whole, _, reference = run(sequence)
    assert times == whole
    assert clock.watermark == reference.watermark
    assert watermarks == sorted(watermarks)
    assert len(times) == len(sequence)


@given(stamps, st.integers(0, 60))
def test_snapshot_goes_on_exactly(sequence, cut):
    clock = EventClock()
    times = clock.receive(sequence[:cut])
    other = EventClock()
    other.restore(clock.snapshot())
    times += other.receive(sequence[cut:]) + other.finish()
    assert times == run(sequence)[0]


@given(ordinary, st.integers(0, 40), st.sampled_from([YEAR, -YEAR, 2 * 3600.0, 1e12]))
def test_one_wrong_stamp_moves_nothing(sequence, position, wrong):
    position = min(position, len(sequence))
    without, _, clean = run(sequence)
    times, _, clock = run([*sequence[:position], 1e9 + 300 + wrong, *sequence[position:]])
    assert clock.watermark == clean.watermark
    told = times.pop(position)
    assert times == without
    assert told <= max(sequence)
