"""The board that all sessions share: read once, asked often, and fair to the slow."""

from __future__ import annotations

import pytest
from console_stand_in import SpokenControl, analysis, anomaly, console, event, findings

from tracewave_panel.app.board import Board
from tracewave_panel.model import Quality, Severity
from tracewave_panel.ports import FeedState
from tracewave_panel.stores.ring import RingStore

T = 1_700_000_000.0


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class CountingStore(RingStore):
    """A real store that counts how often it is asked."""

    asked = 0

    def analyses(self, after=0, limit=1000):
        self.asked += 1
        return super().analyses(after, limit)


def board_over(store: RingStore, control: SpokenControl | None = None) -> tuple[Board, Hand]:
    hand = Hand()
    return Board(console(store, control), clock=hand), hand


def starts(board: Board, number: int = 0) -> list[float]:
    return [row["start"] / 1000 for row in board.rows(number)]


def test_store_is_read_once_for_all_sessions_that_look_at_the_same_time():
    store = CountingStore()
    board, hand = board_over(store)
    for _ in range(50):
        board.look()
    assert store.asked == 1
    hand.seconds += 1
    board.look()
    assert store.asked == 2


def test_session_gets_only_what_is_newer_than_its_number():
    store = RingStore()
    board, hand = board_over(store)
    store.append(findings(T + 1, analysis(T), anomalies=[anomaly(T)], events=[event(T, 1)]))
    board.look()
    first = board.since(0)
    assert starts(board) == [T]
    assert len(first.anomalies) == len(board.event_rows) == 1
    nothing = board.since(first.number)
    assert (nothing.last, nothing.anomalies, starts(board, first.number)) == (None, (), [])
    hand.seconds += 1
    store.append(findings(T + 2, analysis(T + 1)))
    board.look()
    assert starts(board, first.number) == [T + 1]
    assert starts(board) == [T, T + 1]


def test_slow_session_catches_up_in_one_step():
    store = RingStore()
    board, hand = board_over(store)
    for second in range(40):
        hand.seconds += 1
        store.append(findings(T + second + 1, analysis(T + second)))
        board.look()
    assert starts(board, 3) == [T + second for second in range(3, 40)]
    assert board.since(3).last.window.start == T + 39


def test_board_holds_a_quarter_of_an_hour():
    store = RingStore()
    board, _ = board_over(store)
    store.append(findings(T + 1000, *(analysis(T + second) for second in range(1000))))
    board.look()
    assert starts(board)[0] == T + 100
    assert len(board.windows()) == 900


class Sleeping:
    restless = False
    woken = 0

    def wake(self):
        self.woken += 1


def test_sessions_are_woken_when_there_is_something_new_and_restless_ones_each_second():
    store, control = RingStore(), SpokenControl()
    board, hand = board_over(store, control)
    calm, restless = Sleeping(), Sleeping()
    restless.restless = True
    board.sleepers |= {calm, restless}
    board.tick()
    calm.woken = restless.woken = 0
    for _ in range(8):  # two seconds with nothing new
        hand.seconds += 0.25
        board.tick()
    assert (calm.woken, restless.woken) == (0, 2)
    store.append(findings(T + 1, analysis(T)))
    hand.seconds += 0.25
    board.tick()
    control.state = FeedState("gap", "18 s lost")
    hand.seconds += 0.25
    board.tick()
    assert calm.woken == 2


def test_open_episode_is_kept_however_many_came_after_it():
    store = RingStore()
    board, hand = board_over(store)
    store.append(findings(T + 1, analysis(T), anomalies=[anomaly(T)]))
    board.look()
    later = [anomaly(T + 60 * n, closed=T + 60 * n + 9) for n in range(1, 150)]
    hand.seconds += 1
    store.append(findings(T + 2, anomalies=later))
    board.look()
    kept = board.since(0).anomalies
    assert len(kept) == 60
    assert f"edits-rate-{T:.0f}" in {each.id for each in kept}


def test_window_that_is_told_again_counts_once():
    store = RingStore()
    board, hand = board_over(store)
    store.append(findings(T + 2, analysis(T, quality=Quality.GAP), analysis(T + 1)))
    board.look()
    hand.seconds += 1
    store.append(findings(T + 3, analysis(T, 33.0, quality=Quality.REVISED, revision=1)))
    board.look()
    assert [(window.start, window.quality) for window in board.windows()] == [
        (T, Quality.REVISED),
        (T + 1, Quality.OK),
    ]


def test_header_counts_every_open_episode_and_names_the_worst():
    store = RingStore()
    board, hand = board_over(store)
    open_ones = [anomaly(T + 10 * n, severity=Severity.INFO) for n in range(70)] + [anomaly(T + 5)]
    store.append(findings(T + 1, analysis(T), anomalies=open_ones))
    board.look()
    assert (board.header.open, board.header.worst) == (71, "critical")
    hand.seconds += 1
    store.append(findings(T + 2, anomalies=[anomaly(T + 5, closed=T + 9)]))
    board.look()
    assert (board.header.open, board.header.worst) == (70, "info")


def test_new_run_starts_the_board_over():
    store, control = RingStore(), SpokenControl()
    board, hand = board_over(store, control)
    store.append(findings(T + 1, analysis(T), anomalies=[anomaly(T)]))
    board.look()
    number = board.number
    store.clear()
    control.run += 1
    hand.seconds += 1
    board.look()
    assert board.number >= number, "a session that remembers the last run's number misses nothing of the new one"
    assert board.run == control.run
    assert starts(board) == []
    assert board.header.open == 0


def test_events_of_a_range_are_those_that_count_in_it():
    store = RingStore()
    board, _ = board_over(store)
    store.append(findings(T + 9, *(), events=[event(T + n, n) for n in range(9)]))
    assert [each.id for each in board.events_between(T + 2, T + 5)] == ["event-2", "event-3", "event-4"]


def lists_shown(board: Board, hand: Hand, store: RingStore, windows: bool) -> list:
    """Lists of raw events that ten seconds of five looks a second show, each look with ten events."""
    shown = []
    for tick in range(50):
        hand.seconds = 10 + tick / 5
        edits = [event(T + hand.seconds, 10 * tick + n) for n in range(10)]
        told = [analysis(T + tick // 5)] if windows and tick % 5 == 0 else []
        store.append(findings(T + hand.seconds, *told, events=edits))
        board.look()
        if not shown or shown[-1] is not board.event_rows:
            shown.append(board.event_rows)
    return shown


@pytest.mark.parametrize(("windows", "most"), [(True, 10), (False, 6)])
def test_raw_events_change_seldom_enough_to_be_read_however_many_come(windows, most):
    store = RingStore()
    board, hand = board_over(store)
    shown = lists_shown(board, hand, store, windows)
    assert 4 <= len(shown) <= most
    assert len(shown[-1]) == 12


def test_last_events_are_shown_though_nothing_follows_them():
    store = RingStore()
    board, hand = board_over(store)
    lists_shown(board, hand, store, windows=True)
    number = board.number
    for _ in range(15):
        hand.seconds += 0.2
        board.look()
    assert board.event_rows[0][5] == "https://example.org/diff/499"
    assert board.number == number + 1


def test_windows_of_open_and_closed_episodes_are_known():
    store = RingStore()
    board, _ = board_over(store)
    told = [anomaly(T + 2, closed=T + 4), anomaly(T + 8)]
    store.append(findings(T + 10, *(analysis(T + n) for n in range(10)), anomalies=told))
    board.look()
    assert board.in_episodes() == {T + 2, T + 3, T + 8, T + 9}


def test_words_that_changed_right_after_a_window_are_told_though_nothing_follows():
    store, control = RingStore(), SpokenControl()
    board, hand = board_over(store, control)
    store.append(findings(T + 1, analysis(T)))
    board.look()
    number = board.number
    control.state = FeedState("live", "9 s behind")
    for _ in range(3):  # too soon after the window to be told by itself
        hand.seconds += 0.25
        board.look()
    assert board.number == number
    for _ in range(3):
        hand.seconds += 0.25
        board.look()
    assert board.number == number + 1
    assert "9 s behind" in board.frame(number)
