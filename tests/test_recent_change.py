"""One recentchange JSON object to an Event, whatever is missing from it."""

from __future__ import annotations

import json
import lzma
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracewave_panel.codec import to_json
from tracewave_panel.errors import FeedError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Event
from tracewave_panel.sources.recent_change import decode, occurrence_time, to_event

ARRIVED = 1_800_000_000.5

EDIT = {
    "$schema": "/mediawiki/recentchange/1.0.0",
    "meta": {
        "uri": "https://hu.wikipedia.org/wiki/Tisza",
        "request_id": "7d0c7b6a-0000-4000-8000-000000000000",
        "id": "3b9f0a52-1111-4111-8111-111111111111",
        "domain": "hu.wikipedia.org",
        "stream": "mediawiki.recentchange",
        "dt": "2027-01-15T08:00:00.250Z",
        "topic": "eqiad.mediawiki.recentchange",
        "partition": 0,
        "offset": 7_000_000_001,
    },
    "id": 12,
    "type": "edit",
    "namespace": 0,
    "title": "Tisza",
    "comment": "",
    "timestamp": 1_799_999_998,
    "user": "Kis Ágnes",
    "bot": False,
    "minor": True,
    "length": {"old": 1200, "new": 1150},
    "revision": {"old": 41, "new": 42},
    "server_url": "https://hu.wikipedia.org",
    "server_name": "hu.wikipedia.org",
    "server_script_path": "/w",
    "wiki": "huwiki",
}


def changed(**fields: object) -> bytes:
    """EDIT with `fields` replaced; ``...`` removes one; ``meta`` is merged."""
    meta = {**EDIT["meta"], **fields.pop("meta", {})}
    whole = {**EDIT, **fields, "meta": {name: value for name, value in meta.items() if value is not ...}}
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


def event_of(**fields: object) -> Event:
    return to_event(decode(changed(**fields)), time=ARRIVED + 1, arrived_at=ARRIVED)


def dimension(event: Event, name: str) -> str:
    return event.dimensions[WIKIMEDIA.dimensions.index(name)]


def test_an_edit_becomes_an_event_with_every_field():
    assert event_of() == Event(
        time=ARRIVED + 1,
        occurred_at=1_800_000_000.25,
        arrived_at=ARRIVED,
        series="edits",
        id="3b9f0a52-1111-4111-8111-111111111111",
        dimensions=("hu.wikipedia.org", "hu", "article", "registered", "edit"),
        measures=(-50.0,),
        actor="Kis Ágnes",
        subject="hu.wikipedia.org:Tisza",
        title="Tisza",
        link="https://hu.wikipedia.org/w/index.php?diff=42&oldid=41",
    )


def test_the_place_in_the_stream_is_known_before_the_event_is_built():
    change = decode(changed())
    assert (change.meta.topic, change.meta.partition, change.meta.offset) == (
        "eqiad.mediawiki.recentchange",
        0,
        7_000_000_001,
    )
    assert (change.id, change.type, change.canary) == (EDIT["meta"]["id"], "edit", False)


def test_the_order_of_fields_does_not_matter():
    names = list(EDIT)
    for seed in range(5):
        Random(seed).shuffle(names)
        shuffled = json.dumps({name: EDIT[name] for name in names}).encode()
        assert to_event(decode(shuffled), ARRIVED, ARRIVED) == to_event(decode(changed()), ARRIVED, ARRIVED)


@pytest.mark.parametrize("absent", [..., None])
@pytest.mark.parametrize("name", [name for name in EDIT if name != "meta"])
def test_any_field_but_meta_may_be_missing_or_null(name, absent):
    event = event_of(**{name: absent})
    assert len(event.dimensions) == len(WIKIMEDIA.dimensions)
    assert len(event.measures) == len(WIKIMEDIA.measures)
    assert all(event.dimensions)


def test_meta_alone_is_enough():
    event = to_event(decode(b'{"meta": {}}'), ARRIVED, ARRIVED)
    assert event == Event(
        ARRIVED, ARRIVED, ARRIVED, "edits", "", ("", "multilingual", "unknown", "unknown", "unknown"), (0.0,)
    )


def test_without_an_id_the_place_in_the_stream_is_the_id():
    assert event_of(meta={"id": ...}).id == "eqiad.mediawiki.recentchange/0/7000000001"


def test_a_canary_is_known_by_its_domain():
    assert decode(changed(meta={"domain": "canary"})).canary


@pytest.mark.parametrize(
    ("dt", "timestamp", "occurred"),
    [
        ("2027-01-15T08:00:00.250Z", 1_799_999_998, 1_800_000_000.25),
        ("2027-01-15T08:00:00.000Z", 1_799_999_998, 1_800_000_000.0),
        ("2027-01-15T08:00:00Z", 1_799_999_998, 1_799_999_998.0),
        ("2027-01-15T08:00:00+00:00", 1_799_999_998, 1_799_999_998.0),
        ("2027-01-15T09:00:00+01:00", None, 1_800_000_000.0),
        ("2027-01-15T08:00:00", None, 1_800_000_000.0),
        (None, 1_799_999_998, 1_799_999_998.0),
        ("not.a.time", 1_799_999_998, 1_799_999_998.0),
        ("9999-12-31T23:59:59.999Z", 1_799_999_998, 1_799_999_998.0),
        ("0001-01-01T00:00:00.5+23:59", None, None),
        ("2027-01-15T08:00:00Z", 1_799_999_998_000, 1_800_000_000.0),  # milliseconds by mistake
        (None, 0, None),
        (None, -1e300, None),
        ("", None, None),
    ],
)
def test_a_change_happened_at_its_finest_usable_time(dt, timestamp, occurred):
    data = changed(meta={"dt": dt}, timestamp=timestamp)
    assert occurrence_time(decode(data)) == occurred
    assert to_event(decode(data), ARRIVED, ARRIVED).occurred_at == (ARRIVED if occurred is None else occurred)


@pytest.mark.parametrize(
    ("domain", "language"),
    [
        ("en.wikipedia.org", "en"),
        ("zh-min-nan.wikipedia.org", "zh-min-nan"),
        ("simple.wikipedia.org", "simple"),
        ("de.wiktionary.org", "de"),
        ("fr.wikisource.org", "fr"),
        ("www.wikidata.org", "multilingual"),
        ("commons.wikimedia.org", "multilingual"),
        ("meta.wikimedia.org", "multilingual"),
        ("species.wikimedia.org", "multilingual"),
        ("www.mediawiki.org", "multilingual"),
        ("wikisource.org", "multilingual"),
        ("test.wikipedia.org", "multilingual"),
        ("www.wikifunctions.org", "multilingual"),
        ("localhost", "multilingual"),
    ],
)
def test_language_is_the_first_label_of_a_project_that_has_languages(domain, language):
    assert dimension(event_of(server_name=domain), "language") == language
    event = event_of(server_name=..., meta={"domain": domain})
    assert (dimension(event, "wiki"), dimension(event, "language")) == (domain, language)


@pytest.mark.parametrize(
    ("number", "word"),
    [(0, "article"), (1, "talk"), (3, "user talk"), (6, "file"), (14, "category"), (-1, "special"), (146, "ns 146")],
)
def test_namespaces_are_told_in_words(number, word):
    assert dimension(event_of(namespace=number), "namespace") == word


@pytest.mark.parametrize(
    ("user", "bot", "actor_type"),
    [
        ("Kis Ágnes", False, "registered"),
        ("AlphaBot", True, "bot"),
        ("AlphaBot", False, "registered"),
        ("203.0.113.9", False, "anonymous"),
        ("2001:DB8:0:0:0:0:0:1", False, "anonymous"),
        ("2001:db8::1", False, "anonymous"),
        ("~2026-54049-03", False, "temporary"),
        ("~tilde", False, "registered"),
        ("1.2.3", False, "registered"),
        ("Abe", False, "registered"),
        ("999.1.1.1", False, "registered"),
        ("203.0.113.9", True, "bot"),
        (None, False, "unknown"),
        (None, True, "bot"),
    ],
)
def test_who_acts_is_told_by_name_and_flag(user, bot, actor_type):
    event = event_of(user=user, bot=bot)
    assert dimension(event, "actor") == actor_type
    assert event.actor == (user or "")


@pytest.mark.parametrize(
    ("length", "change"),
    [
        ({"old": 10, "new": 25}, 15.0),
        ({"old": 25, "new": 10}, -15.0),
        ({"new": 25}, 25.0),
        ({"old": None, "new": 25}, 25.0),
        ({"old": 25}, 0.0),
        ({}, 0.0),
        (None, 0.0),
    ],
)
def test_byte_change_is_new_less_old(length, change):
    assert event_of(length=length).measures == (change,)


@pytest.mark.parametrize(
    ("fields", "link"),
    [
        ({"revision": {"new": 42}, "type": "new"}, "https://hu.wikipedia.org/w/index.php?oldid=42"),
        ({"revision": ..., "type": "log"}, "https://hu.wikipedia.org/wiki/Tisza"),
        ({"server_url": ...}, "https://hu.wikipedia.org/w/index.php?diff=42&oldid=41"),
        ({"server_script_path": ""}, "https://hu.wikipedia.org/index.php?diff=42&oldid=41"),
        ({"server_url": "javascript:alert(1)//"}, ""),
        ({"revision": ..., "meta": {"uri": "data:text/html,x"}}, ""),
        ({"revision": ..., "meta": {"uri": ...}}, ""),
    ],
)
def test_a_link_leads_to_the_difference_and_is_http_or_nothing(fields, link):
    assert event_of(**fields).link == link


UNREADABLE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b'{"meta": null}',
    b'{"meta": {"offset": 1e400}}',
    b'{"meta": {"offset": 99999999999999999999}}',
    b'{"meta": {}, "length": {"new": 123456789012345678901234567890}}',
    b'{"meta": {}, "title": 7}',
    b'{"meta": {}, "title": "\xff"}',
    b'{"meta": {}, "title": "\\ud800"}',
    b'{"meta": {}, "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]


@pytest.mark.parametrize("data", UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_cannot_be_read_says_so_in_one_kind_of_error(data):
    with pytest.raises(FeedError, match="not a recentchange"):
        decode(data)


@given(st.binary(max_size=80), st.integers(0, 600))
def test_spoilt_bytes_give_an_event_that_can_be_stored_or_a_feed_error(garbage, place):
    data = changed()
    try:
        change = decode(data[:place] + garbage + data[place + len(garbage) :])
    except FeedError:
        return
    event = to_event(change, ARRIVED, ARRIVED)
    assert msgspec.json.decode(to_json(event), type=Event) == event


def test_every_change_of_the_2018_capture_is_read(captures):
    [path] = (captures / "wikipedia").glob("eventstreams_recentchange_wikidata_2018*.xz")
    lines = lzma.decompress(path.read_bytes()).splitlines()
    events = [to_event(decode(line), ARRIVED, ARRIVED) for line in lines]
    assert len({event.id for event in events}) == len(events) == 3818
    assert {event.dimensions[:2] for event in events} == {("www.wikidata.org", "multilingual")}
    kinds = [dimension(event, "kind") for event in events]
    assert {kind: kinds.count(kind) for kind in kinds} == {"edit": 3754, "new": 42, "log": 22}
    begin, end = datetime(2018, 3, 7, 16, 16, tzinfo=UTC), datetime(2018, 3, 7, 16, 22, tzinfo=UTC)
    assert all(begin.timestamp() <= event.occurred_at < end.timestamp() for event in events)
    assert all(event.link.startswith("https://www.wikidata.org/") for event in events)
    for line, event in zip(lines, events, strict=True):
        raw = json.loads(line)
        assert event.occurred_at == raw["timestamp"]
        assert event.measures == (float(raw.get("length", {}).get("new", 0) - (raw.get("length", {}).get("old") or 0)),)


def test_every_change_of_the_2023_capture_is_read(captures):
    path = captures / "wikipedia" / "eventstreams_recentchange_2023-07-29_100.ndjson"
    events = [to_event(decode(line), ARRIVED, ARRIVED) for line in path.read_bytes().splitlines()]
    assert len(events) == 100
    assert {event.dimensions[:2] for event in events} == {("en.wikipedia.org", "en")}
    assert sum(dimension(event, "actor") == "anonymous" for event in events) > 0
    assert (
        max(event.occurred_at for event in events) - min(event.occurred_at for event in events)
        < timedelta(minutes=3).total_seconds()
    )
