"""Server-sent events: however the bytes are cut, the same events come out."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracewave_panel.sources.sse import ServerSentEvent, SseParser

STREAM = (
    ":ok\n\n"
    'event: message\nid: [{"topic":"eqiad.mediawiki.recentchange","partition":0,"timestamp":1}]\n'
    'data: {"title":"Öl – 北京 🦊"}\n\n'
    "data: first\ndata: second\n\n"
    "event: error\ndata: {}\n\n"
    "retry: 2500\nid: 8\n\n"
    "data\n\n"
).encode()

EVENTS = [
    ServerSentEvent(
        "message",
        '{"title":"Öl – 北京 🦊"}'.encode(),
        '[{"topic":"eqiad.mediawiki.recentchange","partition":0,"timestamp":1}]',
    ),
    ServerSentEvent(
        "message", b"first\nsecond", '[{"topic":"eqiad.mediawiki.recentchange","partition":0,"timestamp":1}]'
    ),
    ServerSentEvent("error", b"{}", '[{"topic":"eqiad.mediawiki.recentchange","partition":0,"timestamp":1}]'),
    ServerSentEvent("message", b"", "8"),
]


AS_MANY = {"min_size": STREAM.count(b"\n"), "max_size": STREAM.count(b"\n")}


def parse(*chunks: bytes, limit: int = 1 << 20) -> list[ServerSentEvent]:
    parser = SseParser(limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def one_by_one(stream: bytes) -> list[bytes]:
    return [stream[index : index + 1] for index in range(len(stream))]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_line_ending_gives_the_same_events_whole_and_byte_by_byte(ending, mark):
    stream = mark + STREAM.replace(b"\n", ending)
    assert parse(stream) == EVENTS
    assert parse(*one_by_one(stream)) == EVENTS


@given(
    st.lists(st.integers(0, 10_000), max_size=12),
    # a CR before an LF would be one line ending, so a stream mixes CRLF with one of them
    st.sampled_from([b"\n", b"\r"]).flatmap(lambda other: st.lists(st.sampled_from([b"\r\n", other]), **AS_MANY)),
)
def test_cuts_and_mixed_line_endings_change_nothing(places, endings):
    pieces = STREAM.split(b"\n")
    stream = b"".join(piece + ending for piece, ending in zip(pieces, [*endings, b""], strict=True))
    assert parse(*cut(stream, places)) == EVENTS


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_no_bytes_break_the_parser_and_no_cut_changes_what_it_reads(garbage, places):
    assert parse(*cut(garbage, places), limit=20) == parse(garbage, limit=20)


CASES = {
    "a comment is no event": (b": hello\n\n", []),
    "an unfinished frame is not delivered": (b"data: a\n\ndata: b\n", [b"a"]),
    "an unfinished line is not delivered": (b"data: a\n\ndata: b", [b"a"]),
    "only one space is removed": (b"data:  a\n\ndata:b\n\n", [b" a", b"b"]),
    "an unknown field is ignored": (b"data: a\nstuff: b\n\n", [b"a"]),
    "a line without a colon is a field with no value": (b"data\ndata\n\n", [b"\n"]),
    "an event without data is not delivered": (b"event: message\nid: 1\n\n", []),
    "a byte order mark is no part of the first line": (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"a", b"b"]),
    "only the first byte order mark is one": (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"]),
    "blank lines alone are nothing": (b"\n\n\n\n", []),
}


@pytest.mark.parametrize(("stream", "data"), CASES.values(), ids=CASES.keys())
def test_framing_follows_the_standard(stream, data):
    assert [event.data for event in parse(stream)] == data
    assert [event.data for event in parse(*one_by_one(stream))] == data


def test_last_id_is_that_of_the_last_complete_frame_and_stays():
    parser = SseParser()
    events = parser.feed(b"id: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid: 3\ndata: unfinished\n")
    assert [event.id for event in events] == ["1", "1", "1"]
    assert parser.last_id == "1"
    parser.feed(b"\nid\n\n")
    assert parser.last_id == ""


@pytest.mark.parametrize(("value", "seconds"), [(b"1500", 1.5), (b"-1", None), (b"1e3", None), (b"9" * 5000, None)])
def test_retry_is_a_plain_number_of_milliseconds(value, seconds):
    parser = SseParser()
    parser.feed(b"retry: " + value + b"\n\n")
    assert parser.retry == seconds


def test_an_event_type_lasts_for_one_event():
    assert [event.event for event in parse(b"event: error\ndata: a\n\ndata: b\n\n")] == ["error", "message"]


@pytest.mark.parametrize("limit", [64, 65])
def test_an_event_of_exactly_the_limit_is_read_and_a_larger_one_told(limit):
    event = b"data: " + b"x" * 58 + b"\n\n"  # a line of 64 bytes
    [fits] = parse(event, limit=limit)
    assert (len(fits.data), fits.skipped_bytes) == (58, 0)
    for chunks in ([b"data: " + b"x" * 60 + b"\n\n"], one_by_one(b"data: " + b"x" * 60 + b"\n\n")):
        [told] = parse(*chunks, limit=limit)
        assert (told.data, told.skipped_bytes) == (b"", 66)


def test_an_oversized_event_is_told_with_its_size_and_id_and_the_next_one_is_read():
    stream = b"id: 7\ndata: " + b"x" * 500 + b"\ndata: more\n\ndata: next\n\n"
    for chunks in ([stream], one_by_one(stream)):
        first, second = parse(*chunks, limit=100)
        assert (first.id, first.data, first.skipped_bytes) == ("7", b"", 506 + len(b"more") + 1)
        assert (second.data, second.skipped_bytes) == (b"next", 0)


def test_many_small_lines_cannot_make_an_oversized_event():
    stream = b"data: " + b"\ndata: ".join([b"12345678"] * 50) + b"\n\n"
    for chunks in ([stream], one_by_one(stream)):
        [event] = parse(*chunks, limit=100)
        assert (event.data, event.skipped_bytes) == (b"", 450)
    [event] = parse(b"data\n" * 200 + b"\n", limit=100)
    assert event.skipped_bytes == 200


def test_a_comment_of_any_length_spoils_no_event():
    stream = b":" + b"x" * 500 + b"\ndata: a\n\n"
    for chunks in ([stream], one_by_one(stream)):
        assert parse(*chunks, limit=100) == [ServerSentEvent("message", b"a", "")]


def test_a_line_of_ten_megabytes_takes_no_memory():
    parser = SseParser(1 << 20)
    chunk = b"x" * 65_536
    parser.feed(b"data: ")
    tracemalloc.start()
    try:
        for _ in range(160):
            parser.feed(chunk)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert peak < 3 << 20
    [event] = parser.feed(b"\n\n")
    assert event.skipped_bytes == len(b"data: ") + 160 * 65_536


@pytest.mark.parametrize(
    ("name", "count", "event_bytes"),
    [
        ("sse_verbatim_2022-12-11.sse", 3, 500),
        ("sse_verbatim_2025-09-06_page-create.sse", 1, 500),
        ("sse_verbatim_2026-09-12_recentchange.sse", 3, 500),
    ],
)
def test_verbatim_captures_give_their_events_however_they_are_cut(captures, name, count, event_bytes):
    stream = (captures / "wikipedia" / name).read_bytes().rstrip(b"\n") + b"\n\n"
    events = parse(stream)
    assert len(events) == count
    for event in events:
        assert event.event == "message"
        assert len(event.data) > event_bytes
        assert event.data.startswith(b'{"$schema"')
        assert event.data.endswith(b"}")
        assert '"topic":"eqiad.' in event.id
    assert parse(*one_by_one(stream)) == events
    assert parse(stream, b"data: tail") == events
    assert parse(stream.replace(b"\n", b"\r\n")) == events
    for width in (2, 3, 7, 1000):
        assert parse(*(stream[start : start + width] for start in range(0, len(stream), width))) == events
