"""Windows: nothing lost, nothing told twice, and no cut of the stream shows."""

from __future__ import annotations

import time
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import WIDTHS, cuts, streams

from tracewave_panel import codec
from tracewave_panel.core.windows import TumblingWindows, WindowsState, window_index
from tracewave_panel.feeds import WIKIMEDIA, Feature, Feed
from tracewave_panel.model import Batch, Dropped, Event, Mark, Quality, Status, Window

HOUR = 3600.0
MEASURED = msgspec.structs.replace(
    WIKIMEDIA,
    features=(*WIKIMEDIA.features, Feature("sum", "sum", "byte_change"), Feature("last", "last", "byte_change")),
)


def edit(moment: float, series: str = "edits", wiki: str = "enwiki", actor: str = "bot", change: float = 0.0) -> Event:
    return Event(
        moment, moment, moment, series, "1", (wiki, "en", "article", actor, "edit"), (change,), actor=actor, subject="p"
    )


def batch(watermark: float, *events: Event, **more) -> Batch:
    return Batch(watermark, watermark, events=events, **more)


def started(width: float = 1.0, feed: Feed = WIKIMEDIA) -> TumblingWindows:
    """Windows whose first, cut one (0) lies behind."""
    windows = TumblingWindows(feed, width)
    windows.push(batch(width, edit(0.0)))
    return windows


def brief(told: list[Window]) -> list[tuple[float, int, str]]:
    return [(window.start, window.count, str(window.quality)) for window in told]


def test_quiet_second_emits_empty_window():
    told = started().push(batch(4.0, edit(3.5)))
    assert [window.features[0] for window in told] == [0.0, 0.0, 1.0]
    assert brief(told) == [(1.0, 0, "ok"), (2.0, 0, "ok"), (3.0, 1, "ok")]


def test_window_closes_when_the_watermark_reaches_its_end_and_not_before():
    windows = started()
    assert windows.push(batch(1.999, edit(1.5))) == []
    assert brief(windows.push(batch(2.0))) == [(1.0, 1, "ok")]


def test_first_window_is_partial():
    assert brief(TumblingWindows(WIKIMEDIA).push(batch(9.0, edit(7.9)))) == [(7.0, 1, "partial"), (8.0, 0, "ok")]


def test_nothing_is_told_before_the_first_event():
    assert TumblingWindows(WIKIMEDIA).push(batch(1e9)) == []


def test_event_older_than_the_first_watermark_is_late_in_the_window_open_then():
    windows = TumblingWindows(WIKIMEDIA)
    windows.push(batch(100.0))
    assert windows.push(batch(100.5, edit(90.0))) == []
    (window,) = windows.push(batch(101.0))
    assert (window.start, window.count, window.late, window.quality) == (100.0, 1, 1, Quality.PARTIAL)


def test_event_stamped_far_behind_folds_into_the_open_window_as_late():
    windows = started()
    (window,) = windows.push(batch(2.0, edit(1.5), edit(-3e9), edit(0.2)))
    assert (window.start, window.count, window.late) == (1.0, 3, 2)


def test_event_far_ahead_waits_for_its_own_window():
    windows = started()
    assert brief(windows.push(batch(2.0, edit(4e9)))) == [(1.0, 0, "ok")]
    assert brief(windows.flush()) == [(4e9, 1, "partial")]


def test_watermark_that_goes_back_tells_nothing_again():
    windows = started()
    windows.push(batch(5.0))
    assert windows.push(batch(3.0, edit(3.5))) == []
    assert brief(windows.push(batch(6.0))) == [(5.0, 1, "ok")]


def test_each_series_is_told_from_its_own_first_event_on_and_declared_ones_from_the_start():
    windows = started()
    told = windows.push(batch(3.0, edit(2.1, "other")))
    assert [(w.start, w.series, w.count) for w in told] == [
        (1.0, "edits", 0),
        (1.0, "other", 0),
        (2.0, "edits", 0),
        (2.0, "other", 1),
    ]
    assert [w.series for w in windows.push(batch(4.0, edit(3.0, "a")))] == ["a", "edits", "other"]


def test_features_and_dimension_counts_follow_the_feed():
    events = (
        edit(1.0, wiki="enwiki", actor="bot", change=-30.0),
        edit(1.1, wiki="dewiki", actor="bot", change=10.0),
        edit(1.2, wiki="enwiki", actor="Ann", change=2.0),
    )
    (window,) = started(60.0).push(batch(120.0, *(edit_at(event, 60.0 + event.time) for event in events)))
    assert window.features == pytest.approx((3 / 60, 1.0, 2.0, 2 / 3, 0.0, 14.0))
    assert window.dimension_counts[0] == {"enwiki": 2, "dewiki": 1}


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ((), (0.0, 0.0, 0.0)),
        ((1.2,), (-5.0, -5.0, 5.0)),
        ((1.2, 1.4, 1.9), (2.0, 4.0, 4.0)),
        ((1.9, 1.4, 1.2), (2.0, 4.0, 4.0)),  # the newest is the last to arrive
        ((1.2, 0.5), (-2.0, 3.0, 4.0)),  # a late one too
    ],
)
def test_sum_is_signed_and_last_is_of_the_newest_arrival(moments, expected):
    changes = (-5.0, 3.0, 4.0)
    windows = started(feed=MEASURED)
    events = [edit(moment, change=change) for moment, change in zip(moments, changes, strict=False)]
    (window,) = windows.push(batch(2.0, *events))
    names = ("sum", "last", "byte_change")
    assert tuple(window.features[MEASURED.feature_index(name)] for name in names) == expected


def edit_at(event: Event, moment: float) -> Event:
    return Event(moment, moment, moment, *(getattr(event, name) for name in event.__struct_fields__[3:]))


@pytest.mark.parametrize("width", [0.1, 0.3, 1.0, 60.0])
@given(index=st.integers(0, 2**44))
@settings(max_examples=100, deadline=None)
def test_event_on_a_border_belongs_to_the_window_it_opens(width, index):
    assert window_index(index * width, width) == index


@pytest.mark.parametrize("width", [0.1, 0.3, 1.0, 60.0])
@given(moment=st.floats(-1e10, 1e10))
@settings(max_examples=100, deadline=None)
def test_every_moment_lies_in_its_window(width, moment):
    index = window_index(moment, width)
    assert index * width <= moment < (index + 1) * width


def test_long_run_of_narrow_windows_keeps_exact_starts():
    windows = TumblingWindows(WIKIMEDIA, 0.1)
    first = 17_000_000_000
    told = []
    for index in range(first, first + 500):
        told += windows.push(batch((index + 1) * 0.1, edit(index * 0.1)))
    assert [window.start for window in told] == [index * 0.1 for index in range(first, first + 500)]
    assert {window.count for window in told} == {1}


@pytest.mark.parametrize(
    ("marks", "quality"),
    [
        ([], "ok"),
        ([Mark(1.0, 2.0, Quality.BACKFILLED)], "backfilled"),
        ([Mark(1.9, 1.95, Quality.PARTIAL)], "partial"),
        ([Mark(0.0, 1.0, Quality.PARTIAL), Mark(2.0, 3.0, Quality.GAP)], "ok"),
        ([Mark(0.0, 9.0, Quality.BACKFILLED), Mark(1.5, 9.0, Quality.PARTIAL)], "partial"),
        ([Mark(0.0, 9.0, Quality.PARTIAL), Mark(1.5, 9.0, Quality.GAP), Mark(1.0, 2.0, Quality.BACKFILLED)], "gap"),
    ],
    ids=["none", "backfilled", "touched by partial", "neighbours only", "partial wins", "gap wins"],
)
def test_worst_mark_on_a_window_holds(marks, quality):
    assert brief(started().push(batch(2.0, marks=tuple(marks)))) == [(1.0, 0, quality)]


def test_mark_may_come_long_before_its_windows_close():
    windows = started()
    windows.push(batch(1.2, marks=(Mark(3.0, 4.0, Quality.BACKFILLED),)))
    assert [quality for _, _, quality in brief(windows.push(batch(5.0)))] == ["ok", "ok", "backfilled", "ok"]


def test_gap_with_events_is_partial_for_every_series():
    gap = (Mark(1.0, 4.0, Quality.GAP),)
    told = started().push(batch(4.0, edit(2.5, "other"), marks=gap))
    assert [(w.start, w.series, str(w.quality)) for w in told if w.series == "edits"] == [
        (1.0, "edits", "gap"),
        (2.0, "edits", "partial"),
        (3.0, "edits", "gap"),
    ]


def test_mark_inside_the_open_window_outlasts_the_watermark_that_passed_it():
    windows = started()
    windows.push(batch(2.5, marks=(Mark(2.1, 2.3, Quality.PARTIAL),)))
    assert brief(windows.push(batch(3.0))) == [(2.0, 0, "partial")]


@pytest.mark.parametrize("mark", [(), (Mark(1.0, 3.0, Quality.BACKFILLED),), (Mark(1.0, 3.0, Quality.GAP),)])
def test_window_that_lost_events_is_partial_and_counts_them(mark):
    told = started().push(batch(3.0, dropped=(Dropped("edits", 1.0, 5), Dropped("edits", 1.0, 2)), marks=mark))
    assert (told[0].dropped, told[0].quality) == (7, Quality.PARTIAL)
    assert told[1].dropped == 0


def test_loss_in_a_closed_window_counts_in_the_open_one():
    windows = started()
    windows.push(batch(5.0))
    (window,) = windows.push(batch(6.0, dropped=(Dropped("edits", 2.0, 3),)))
    assert (window.start, window.dropped, window.quality) == (5.0, 3, Quality.PARTIAL)


def test_event_for_a_gap_window_tells_it_again_with_rising_revisions():
    windows = started()
    windows.push(batch(4.0, marks=(Mark(1.0, 4.0, Quality.GAP),)))
    assert windows.push(batch(4.5, edit(2.5), edit(2.6))) == []
    first = windows.push(batch(5.0))
    again = windows.push(batch(6.0, edit(2.7), edit(3.1)))
    assert [(w.start, w.count, w.revision, str(w.quality)) for w in first] == [
        (2.0, 2, 1, "revised"),
        (4.0, 0, 0, "ok"),
    ]
    assert [(w.start, w.count, w.revision) for w in again] == [(2.0, 3, 2), (3.0, 1, 1), (5.0, 0, 0)]
    assert {w.late for w in first + again} == {0}


def test_revisions_wait_until_the_feed_is_live_again():
    windows = started()
    windows.push(batch(4.0, marks=(Mark(1.0, 4.0, Quality.GAP),)))
    caught_up = windows.push(batch(5.0, edit(2.5), status=Status.CATCH_UP))
    assert brief(caught_up) == [(4.0, 0, "ok")]
    assert brief(windows.push(batch(6.0))) == [(2.0, 1, "revised"), (5.0, 0, "ok")]


def test_jump_over_eight_hours_without_a_mark_tells_every_quiet_window():
    told = started().push(batch(8 * HOUR))
    assert len(told) == 8 * HOUR - 1
    assert {window.quality for window in told} == {Quality.OK}


@pytest.mark.parametrize("years", [1, 50])
def test_jump_of_years_over_a_gap_tells_its_ends_and_knows_its_whole_length(years):
    windows, end = started(), years * 365 * 24 * HOUR
    began = time.process_time()
    told = windows.push(batch(end + 1.0, marks=(Mark(1.0, end, Quality.GAP),)))
    assert time.process_time() - began < 2.0
    assert (told[0].start, told[-2].start, len(told)) == (1.0, end - 1.0, 3602)
    assert brief(told[-1:]) == [(end, 0, "ok")]
    assert windows.gap_around(told[0].start) == windows.gap_around(told[-2].start) == Mark(1.0, end, Quality.GAP)


def test_event_in_the_untold_middle_of_a_long_gap_is_told_as_a_revision():
    windows = started()
    windows.push(batch(8 * HOUR, marks=(Mark(1.0, 8 * HOUR, Quality.GAP),)))
    told = windows.push(batch(8 * HOUR + 1, edit(5 * HOUR)))
    assert brief(told) == [(5 * HOUR, 1, "revised"), (8 * HOUR, 0, "ok")]


def test_gap_that_grows_by_pieces_is_one_gap():
    windows = started(0.1)
    for index in range(1, 60):
        windows.push(batch((index + 1) * 0.1, marks=(Mark(index * 0.1, (index + 1) * 0.1, Quality.GAP),)))
    assert windows.gap_around(30 * 0.1) == Mark(1 * 0.1, 60 * 0.1, Quality.GAP)


def test_marks_do_not_pile_up_before_the_first_event():
    windows = TumblingWindows(WIKIMEDIA)
    for second in range(100):
        windows.push(batch(second + 1.0, marks=(Mark(second, second + 1.0, Quality.GAP),)))
    assert windows.snapshot().marks == ()


def test_flush_tells_what_is_open_without_closing_it():
    windows = started()
    windows.push(batch(1.2, edit(1.1), edit(4.0), dropped=(Dropped("edits", 6.0, 2),)))
    assert [(w.start, w.count, w.dropped) for w in windows.flush()] == [(1.0, 1, 0), (4.0, 1, 0), (6.0, 0, 2)]
    assert brief(windows.push(batch(2.0, edit(1.3)))) == [(1.0, 2, "ok")]


def test_flush_before_anything_came_tells_nothing():
    assert TumblingWindows(WIKIMEDIA).flush() == []


def test_window_of_many_events_is_the_same_in_one_batch_or_many():
    events = [edit(1.0 + i / 20_000, wiki=f"w{i % 7}", change=1.0 / (i + 1)) for i in range(10_000)]
    whole, pieces = started(feed=MEASURED), started(feed=MEASURED)
    for start in range(0, 10_000, 997):
        pieces.push(batch(1.0, *events[start : start + 997]))
        pieces.snapshot()
    assert codec.pack(whole.push(batch(2.0, *events))) == codec.pack(pieces.push(batch(2.0)))


@pytest.mark.parametrize(
    ("count", "stride"), [(0, 1), (1, 1), (64, 1), (65, 2), (128, 2), (129, 4), (5000, 128), (10_000, 256)]
)
@pytest.mark.parametrize("size", [1, 7, 64, 4096, 10_000])
def test_samples_are_every_so_manyth_event_however_they_came(count, stride, size):
    events = [numbered(i, 1.0 + i / 20_000) for i in range(count)]
    windows = started()
    for start in range(0, count, size):
        windows.push(batch(1.0, *events[start : start + size]))
        if start % 3 == 0:
            saved = codec.pack(windows.snapshot()) if count < 200 or size > 500 else None
            if saved:
                windows = TumblingWindows(WIKIMEDIA)
                windows.restore(codec.decode_packed(saved, WindowsState))
    (window,) = windows.push(batch(2.0))
    assert list(window.samples) == events[::stride]
    assert len(window.samples) <= 64


def numbered(number: int, moment: float) -> Event:
    return Event(moment, moment, moment, "edits", str(number), ("enwiki", "en", "article", "bot", "edit"), (0.0,))


def test_gap_and_what_is_told_again_of_it_have_no_samples():
    windows = started()
    (gap,) = windows.push(batch(2.0, marks=(Mark(1.0, 2.0, Quality.GAP),)))
    told = windows.push(batch(3.0, edit(1.5), edit(2.5)))
    assert [(w.start, str(w.quality), len(w.samples)) for w in (gap, *told)] == [
        (1.0, "gap", 0),
        (1.0, "revised", 0),
        (2.0, "ok", 1),
    ]


def test_state_holds_samples_of_open_windows_alone():
    windows = started()
    windows.push(batch(2.0, marks=(Mark(1.0, 2.0, Quality.GAP),)))
    for second in range(2, 50):
        windows.push(batch(second + 1.0, *(edit(1.5) for _ in range(80)), *(edit(float(second)) for _ in range(80))))
    assert len(codec.pack(windows.snapshot())) < 1000
    windows.push(batch(50.0, *(edit(50.5) for _ in range(80))))
    assert len(codec.pack(windows.snapshot())) > 1000


@given(st.data(), WIDTHS)
@settings(max_examples=100, deadline=None)
def test_any_cut_between_watermarks_tells_the_same(data, width):
    stream = data.draw(streams(width))
    whole, cut = TumblingWindows(MEASURED, width), TumblingWindows(MEASURED, width)
    told = [window for part in stream for window in whole.push(part)]
    again = [window for part in data.draw(cuts(stream)) for window in cut.push(part)]
    assert codec.pack([*told, *whole.flush()]) == codec.pack([*again, *cut.flush()])


@given(st.data(), WIDTHS)
@settings(max_examples=100, deadline=None)
def test_every_event_and_loss_is_counted_once_and_every_revision_told_once(data, width):
    stream = data.draw(streams(width))
    windows = TumblingWindows(WIKIMEDIA, width)
    told = [window for part in stream for window in windows.push(part)]
    told += windows.flush()
    keys = Counter((window.series, window.start, window.revision) for window in told)
    assert set(keys.values()) <= {1}
    final = {(window.series, window.start): window for window in sorted(told, key=lambda window: window.revision)}
    assert sum(window.count for window in final.values()) == sum(len(part.events) for part in stream)
    assert sum(window.dropped for window in final.values()) == sum(loss.count for p in stream for loss in p.dropped)


@given(st.data(), WIDTHS)
@settings(max_examples=100, deadline=None)
def test_windows_are_told_gapless_in_order_and_the_damaged_ones_are_partial(data, width):
    stream = data.draw(streams(width))
    windows = TumblingWindows(WIKIMEDIA, width)
    told = [window for part in stream for window in windows.push(part)]
    first_tellings = [window for window in told if window.revision == 0]
    assert [(w.start, w.series) for w in first_tellings] == sorted((w.start, w.series) for w in first_tellings)
    starts = sorted({round(window.start / width) for window in first_tellings})
    assert starts == list(range(starts[0], starts[0] + len(starts))) if starts else True
    for window in first_tellings:
        if window.dropped:
            assert window.quality is Quality.PARTIAL
        if window.quality is Quality.GAP:
            assert window.count == window.dropped == 0
        assert window.late <= window.count
        assert window.features[0] == window.count / width


@given(st.data(), WIDTHS)
@settings(max_examples=100, deadline=None)
def test_snapshot_at_every_point_gives_the_same_continuation(data, width):
    windows, restored = TumblingWindows(MEASURED, width), TumblingWindows(MEASURED, width)
    for part in data.draw(streams(width)):
        assert codec.pack(restored.push(part)) == codec.pack(windows.push(part))
        saved = codec.pack(restored.snapshot())
        assert saved == codec.pack(windows.snapshot())
        restored = TumblingWindows(MEASURED, width)
        restored.restore(codec.decode_packed(saved, WindowsState))
    assert codec.pack(restored.flush()) == codec.pack(windows.flush())


def test_event_for_a_window_that_a_gap_cut_makes_it_a_revision():
    windows = TumblingWindows(WIKIMEDIA)
    windows.push(Batch(9.5, 9.5, events=(edit(8.5),)))
    windows.push(Batch(10.4, 10.4, events=(edit(10.2),)))
    windows.push(Batch(44.9, 44.9, Status.GAP, marks=(Mark(10.4, 44.9, Quality.GAP),)))
    back = Batch(45.0, 45.0, Status.CATCH_UP, (edit(10.6),), (Mark(44.9, 45.0, Quality.GAP),))
    told = windows.push(back)
    late = (edit(44.5), edit(45.2))
    told += windows.push(Batch(47.0, 46.0, Status.CATCH_UP, late, (Mark(45.0, 46.0, Quality.BACKFILLED),)))
    told += windows.push(Batch(48.0, 48.0))
    seen = {(window.start, window.quality.value, window.count, window.late) for window in told}
    assert seen >= {(45.0, "backfilled", 1, 0), (10.0, "revised", 2, 0), (44.0, "revised", 1, 0)}
