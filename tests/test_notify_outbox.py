"""The outbox alone: order, once-ness, memory and damage."""

from __future__ import annotations

import sqlite3

import pytest
from console_stand_in import anomaly

from tracewave_panel.errors import StoreError
from tracewave_panel.model import Mute, Origin
from tracewave_panel.notify.notice import Notice, Standing, Telling
from tracewave_panel.notify.outbox import FILE, Outbox

T0 = 1_700_000_000.0


@pytest.fixture
def outbox():
    made = Outbox(None)
    yield made
    made.close()


def notice(identity: str = "a", phase: str = "opened", made_at: float = T0) -> Notice:
    told = anomaly(T0, T0 + 60 if phase == "closed" else None, id=identity)
    return Notice(told, phase, "ops", "subject", f"{identity} {phase}", b"{}", b"", made_at)


def due(outbox: Outbox, now: float) -> object:
    found = outbox.next_due("ops", now, 600.0)
    return (found[0], found[1].body, found[2]) if isinstance(found, tuple) else found


def test_closing_waits_for_its_opening_and_delays_no_other(outbox):
    for each in (notice(), notice(phase="closed"), notice("b")):
        outbox.put(each)
    outbox.retry(1, T0 + 100)
    assert due(outbox, T0) == (3, "b opened", 0)
    outbox.settle(3, Standing.SENT)
    assert due(outbox, T0) == T0 + 100
    assert due(outbox, T0 + 100) == (1, "a opened", 1)
    outbox.settle(1, Standing.SENT)
    assert due(outbox, T0 + 100) == (2, "a closed", 0)
    outbox.settle(2, Standing.SENT)
    assert due(outbox, T0 + 100) is None


def test_once_the_endpoint_answers_everything_is_due(outbox):
    for identity in "abc":
        outbox.put(notice(identity))
        outbox.retry(ord(identity) - 96, T0 + 100)
    assert due(outbox, T0 + 5) == T0 + 100
    outbox.hasten("ops", T0 + 5)
    assert due(outbox, T0 + 5) == (1, "a opened", 1)
    outbox.hasten("other", T0)


def test_moment_that_the_clock_jumped_back_from_counts_as_come(outbox):
    outbox.put(notice(made_at=T0 + 90_000))
    assert due(outbox, T0) == (1, "a opened", 0)


@pytest.mark.parametrize("standing", [Standing.SENT, Standing.GIVEN_UP])
def test_notice_that_was_dealt_with_is_not_put_again(outbox, standing):
    outbox.put(notice())
    outbox.settle(1, standing)
    outbox.put(notice())
    outbox.hold("a", "opened", "ops", Standing.MUTED, T0)
    assert (due(outbox, T0), outbox.standing("a", "opened", "ops")) == (None, standing)


def test_notice_that_was_held_back_is_put_with_what_is_told_now(outbox):
    outbox.hold("a", "opened", "ops", Standing.SNOOZED, T0)
    assert (due(outbox, T0), outbox.waiting()) == (None, {})
    outbox.put(notice())
    assert (due(outbox, T0), outbox.waiting()) == ((1, "a opened", 0), {"ops": 1})


def test_what_was_held_back_is_summed_up_once(outbox):
    for identity, standing in (("a", Standing.LIMIT), ("b", Standing.HOURS), ("c", Standing.MUTED)):
        outbox.hold(identity, "opened", "ops", standing, T0)
    assert outbox.held("ops", "d") == {"limit": 1, "hours": 1}
    assert outbox.held("ops", "b") == {"limit": 1}
    outbox.put(notice("d"))
    assert outbox.held("ops", "e") == {}


def test_only_the_last_hour_and_what_was_not_held_back_counts_for_the_limit(outbox):
    outbox.put(notice("a", made_at=T0 - 3601))
    outbox.put(notice("b"))
    outbox.hold("c", "opened", "ops", Standing.LIMIT, T0)
    assert outbox.recent("ops", T0) == 1


def test_old_notices_are_forgotten_and_those_that_wait_are_not(outbox):
    outbox.put(notice("waits"))
    outbox.hold("old", "opened", "ops", Standing.LIMIT, T0)
    outbox.remember_episode(Telling(anomaly(T0, id="old"), Origin.LIVE), T0)
    outbox.forget(T0 + 100, 50)
    assert outbox.standing("old", "opened", "ops") is None
    assert outbox.standing("waits", "opened", "ops") is Standing.WAITING


def test_episode_is_held_while_it_is_open_and_its_notice_may_return(outbox):
    lasting = Telling(anomaly(T0, id="a"), Origin.IMPORTED)
    outbox.remember_episode(lasting, T0)
    assert outbox.held_episodes() == []
    outbox.hold("a", "opened", "ops", Standing.HOURS, T0)
    assert outbox.held_episodes() == [lasting]
    outbox.remember_episode(Telling(anomaly(T0, T0 + 9, id="a"), Origin.IMPORTED), T0)
    assert outbox.held_episodes() == []


def test_content_of_another_make_is_given_up_and_the_rest_goes_on(tmp_path):
    outbox = Outbox(tmp_path)
    for identity in "ab":
        outbox.put(notice(identity))
    outbox.mute(Mute("m", T0))
    outbox.mute(Mute("n", T0))
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("UPDATE notices SET content = x'c1' WHERE number = 1")
        database.execute("UPDATE mutes SET content = x'c1' WHERE id = 'm'")
    database.close()
    assert due(outbox, T0) == (2, "b opened", 0)
    assert [mute.id for mute in outbox.mutes()] == ["n"]
    outbox.close()


def test_outbox_of_another_version_is_refused_and_left_alone(tmp_path):
    Outbox(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(StoreError, match="made by another version"):
        Outbox(tmp_path)


def test_closed_outbox_says_so(outbox):
    outbox.close()
    with pytest.raises(StoreError, match="cannot be kept"):
        outbox.waiting()
