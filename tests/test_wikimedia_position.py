"""What is new, what is repeated, what is lost, and where to resume: without a server."""

from __future__ import annotations

import json

import pytest

from tracewave_panel.codec import pack
from tracewave_panel.core.feed_clock import FeedClock
from tracewave_panel.errors import StateError
from tracewave_panel.sources.recent_change import ChangeMeta, RecentChange
from tracewave_panel.sources.wikimedia_position import ResumePoint, decode_position

EQIAD, CODFW = "eqiad.mediawiki.recentchange", "codfw.mediawiki.recentchange"
SERVED = json.dumps(
    [{"topic": EQIAD, "partition": 0, "timestamp": 1001}, {"topic": CODFW, "partition": 0, "offset": -1}],
)


def change(offset: int | None, event_id: str | None = ..., topic: str | None = EQIAD) -> RecentChange:
    event_id = f"{topic}-{offset}" if event_id is ... else event_id
    return RecentChange(ChangeMeta(id=event_id, topic=topic, partition=0, offset=offset))


def read(place: ResumePoint, *offsets: int, topic: str = EQIAD) -> list[bool]:
    return [place.is_new(change(offset, topic=topic), float(offset)) for offset in offsets]


def restored(place: ResumePoint) -> ResumePoint:
    return ResumePoint(decode_position(pack(place.position(FeedClock().snapshot()))))


def test_without_a_place_there_is_nothing_to_resume():
    assert ResumePoint().last_event_id() == b""


def test_known_topics_resume_at_their_next_offset_and_quiet_ones_at_the_time_of_the_last_event():
    place = ResumePoint()
    place.last_id = SERVED
    assert json.loads(place.last_event_id()) == [
        {"topic": EQIAD, "partition": 0, "timestamp": 1001},
        {"topic": CODFW, "partition": 0, "timestamp": 1001},
    ]
    read(place, 10, 11)
    assert json.loads(place.last_event_id()) == [
        {"topic": EQIAD, "partition": 0, "offset": 12},
        {"topic": CODFW, "partition": 0, "timestamp": 1001},
    ]
    read(place, 500, topic=CODFW)
    assert [entry["offset"] for entry in json.loads(place.last_event_id())] == [12, 501]


def test_without_any_time_a_quiet_topic_resumes_as_the_server_said():
    place = ResumePoint()
    place.last_id = json.dumps([{"topic": CODFW, "partition": 0, "offset": -1}])
    assert json.loads(place.last_event_id()) == json.loads(place.last_id)


@pytest.mark.parametrize(
    ("last_id", "sent"),
    [
        ("plain-17", b"plain-17"),
        ("{}", b"{}"),
        ("tab\there", b""),
        ("ünï", b""),
        ("[" * 9000, b""),
        (f'[{{"topic":"a","partition":0,"offset":{10**30}}}]' + " " * 9000, b""),
        ("x" * 9000, b""),
    ],
)
def test_an_id_of_another_form_goes_back_only_if_a_header_can_hold_it(last_id, sent):
    place = ResumePoint()
    place.last_id = last_id
    assert place.last_event_id() == sent
    read(place, 3)
    assert json.loads(place.last_event_id()) == [{"topic": EQIAD, "partition": 0, "offset": 4}]


@pytest.mark.parametrize("through_bytes", [False, True])
def test_repeated_events_are_told_from_new_ones_also_after_a_restart(through_bytes):
    place = ResumePoint()
    assert read(place, 10, 11, 12) == [True, True, True]
    if through_bytes:
        place = restored(place)
    place.resumed()
    assert read(place, 11, 12, 13, 13) == [False, False, True, False]
    assert (place.lost, place.offset_holes) == (0, 0)


def test_an_event_that_was_produced_twice_counts_once_and_the_place_advances():
    place = ResumePoint()
    read(place, 10)
    assert not place.is_new(change(11, event_id=f"{EQIAD}-10"), 11.0)
    assert json.loads(place.last_event_id())[0]["offset"] == 12


def test_without_offsets_ids_alone_tell():
    place = ResumePoint()
    assert [place.is_new(change(None, event_id), 1.0) for event_id in ("a", "b", "a")] == [True, True, False]


def test_without_any_identity_every_event_is_new():
    place = ResumePoint()
    assert [place.is_new(change(None, None, None), 1.0) for _ in range(3)] == [True, True, True]


def test_a_topic_made_anew_counts_from_its_new_offsets():
    place = ResumePoint()
    read(place, 9_000, 9_001)
    assert place.is_new(change(0, "later"), 9_002.0)
    assert place.is_new(change(1, "and later"), 9_003.0)
    assert json.loads(place.last_event_id())[0]["offset"] == 2


def test_old_ids_are_forgotten_but_their_offsets_still_tell():
    place = ResumePoint()
    assert all(read(place, *range(60_000)))
    assert not any(read(place, 0, 100, 59_999))
    assert len(place._newer_ids) + len(place._older_ids) <= 50_000
    assert len(pack(place.position(FeedClock().snapshot()))) < 60_000


def test_a_jump_directly_after_a_resume_is_loss_and_one_inside_a_connection_is_a_hole():
    place = ResumePoint()
    read(place, *range(200), 203)
    assert (place.lost, place.offset_holes) == (0, 1)
    place.resumed()
    read(place, 210, 212)
    assert (place.lost, place.offset_holes) == (6, 2)


def test_each_topic_is_judged_by_itself():
    place = ResumePoint()
    read(place, 1, 2)
    read(place, 70, topic=CODFW)
    place.resumed()
    read(place, 3)
    read(place, 75, topic=CODFW)
    assert place.lost == 4


def test_jumps_of_a_filtered_stream_prove_nothing():
    place = ResumePoint()
    read(place, *range(0, 600, 3))
    place.resumed()
    read(place, 700)
    assert place.lost == 0
    assert place.offset_holes == 200


def test_an_unreadable_event_explains_the_jump_behind_it():
    place = ResumePoint()
    read(place, 1)
    place.resumed()
    place.unreadable()
    read(place, 3)
    assert (place.lost, place.offset_holes) == (0, 1)


def test_a_forgotten_place_resumes_from_now_but_knows_what_was_seen():
    place = ResumePoint()
    place.last_id = SERVED
    read(place, 10)
    place.forget_place()
    assert place.last_event_id() == b""
    assert read(place, 10, 50) == [False, True]
    assert place.lost == 0


def test_a_position_is_not_changed_by_what_is_read_after_it():
    place = ResumePoint()
    read(place, 10)
    position = place.position(FeedClock().snapshot())
    read(place, 11)
    assert position.cursors[0].next_offset == 11


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"\x00", "not a"),
        (b"garbage", "not a"),
        (pack({"format": "wikimedia/0"}), "wikimedia/0.*start without a position"),
        (pack({"format": "binance/1"}), "binance/1"),
        (pack({"format": "wikimedia/1"}), "WikimediaPosition"),
    ],
)
def test_a_damaged_or_foreign_position_is_refused_in_words(packed, words):
    with pytest.raises(StateError, match=words):
        decode_position(packed)
