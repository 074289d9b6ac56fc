"""Other people's captures become recordings; nothing is lost or reordered on the way."""

from __future__ import annotations

import gzip
import ipaddress
import json
import lzma
from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest

from tracewave_panel.errors import ConfigError, RecordingError
from tracewave_panel.model import Mark, Origin, Quality
from tracewave_panel.sources.druid_rows import decode_row
from tracewave_panel.sources.imports import import_druid, import_eventstreams, import_sse
from tracewave_panel.sources.recording import read_recording


def change(second, number, **fields):
    return {
        "meta": {"id": f"id-{number}", "domain": "de.wikipedia.org"},
        "type": "edit",
        "namespace": 0,
        "title": f"Seite {number}",
        "user": "Jemand",
        "server_name": "de.wikipedia.org",
        "timestamp": 1_700_000_000 + second,
        "length": {"old": 5, "new": 9},
        **fields,
    }


def ndjson(rows):
    return b"\n".join(json.dumps(row).encode() for row in rows)


def recorded(path):
    header, reader = read_recording(path)
    batches = list(reader)
    return header, batches, [event for batch in batches for event in batch.events]


def is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def steps_back(moments):
    return sum(later < earlier for earlier, later in pairwise(moments))


def assert_sound(batches, events, report):
    """What every import must hold."""
    assert report.events == len(events)
    assert report.rows == report.events + report.undecodable + report.canaries + report.skipped
    assert report.batches == len(batches)
    assert report.undecodable == sum(batch.undecodable for batch in batches)
    for moments in ([b.arrived_at for b in batches], [b.watermark for b in batches], [e.arrived_at for e in events]):
        assert steps_back(moments) == 0
    assert all(event.time <= event.arrived_at for event in events)
    assert batches[-1].watermark == max(event.time for event in events)


def test_the_druid_day_is_complete(captures, tmp_path):
    source = captures / "wikipedia" / "druid_wikiticker-2015-09-12-sampled.json.gz"
    seen = []
    report = import_druid(source, tmp_path / "a.jsonl.gz", progress=lambda part, events: seen.append((part, events)))
    header, batches, events = recorded(report.path)
    with gzip.open(source) as file:
        rows = [json.loads(line) for line in file]
    assert len(events) == len(rows) == 39_244
    assert_sound(batches, events, report)
    assert (header.origin, header.feed) == (Origin.IMPORTED, "wikimedia")
    assert "Apache-2.0" in header.licence
    assert "reconstructed" in header.arrival
    assert seen == sorted(seen)
    assert seen[-1] == (1.0, 39_244)
    assert [event.title for event in events] == [row["page"] for row in rows]
    assert [event.measures[0] for event in events] == [row["delta"] for row in rows]
    assert [event.time for event in events] == [datetime.fromisoformat(row["time"]).timestamp() for row in rows]
    wikis = Counter(row["channel"].removeprefix("#") + ".org" for row in rows)
    assert Counter(event.dimensions[0] for event in events) == wikis
    # the file's own isAnonymous misses editors with an IPv6 address
    actors = Counter("bot" if r["isRobot"] else "anonymous" if is_address(r["user"]) else "registered" for r in rows)
    assert Counter(event.dimensions[3] for event in events) == actors
    assert actors["bot"] == 15_420
    kinds = Counter("new" if row["isNew"] else "edit" for row in rows)
    assert Counter(event.dimensions[4] for event in events) == kinds
    namespaces = Counter(event.dimensions[2] for event in events)
    assert namespaces["article"] == sum(row["namespace"] == "Main" for row in rows)
    assert namespaces["unknown"] < 400
    assert len({event.id for event in events}) == 39_244
    assert events[0].id == "druid-000001"
    assert events[0].link == "https://en.wikipedia.org/wiki/Talk:Oswald_Tilghman"
    assert max(b.arrived_at - a.arrived_at for a, b in pairwise(batches)) <= 10.0


def test_the_capture_of_2018_keeps_its_order(captures, tmp_path):
    source = captures / "wikipedia" / "eventstreams_recentchange_wikidata_2018-03-07T1616.jsonl.xz"
    report = import_eventstreams(source, tmp_path / "a.jsonl.gz")
    _, batches, events = recorded(report.path)
    with lzma.open(source) as file:
        rows = [json.loads(line) for line in file]
    assert len(events) == len(rows) == 3818
    assert_sound(batches, events, report)
    assert [event.id for event in events] == [row["meta"]["id"] for row in rows]
    assert steps_back([event.time for event in events]) == steps_back([row["timestamp"] for row in rows]) == 80
    edits = import_eventstreams(source, tmp_path / "b.jsonl.gz", kinds=("edit", "new"))
    assert (edits.events, edits.skipped, edits.rows) == (3796, 22, 3818)


def test_a_last_line_without_end_counts(captures, tmp_path):
    source = captures / "wikipedia" / "eventstreams_recentchange_2023-07-29_100.ndjson"
    report = import_eventstreams(source, tmp_path / "a.jsonl.gz")
    _, batches, events = recorded(report.path)
    assert len(events) == len(source.read_text().split("\n")) == 100
    assert_sound(batches, events, report)


@pytest.mark.parametrize("name", ["sse_verbatim_2022-12-11.sse", "sse_verbatim_2026-09-12_recentchange.sse"])
def test_raw_captures_are_read(captures, tmp_path, name):
    source = captures / "wikipedia" / name
    report = import_sse(source, tmp_path / "a.jsonl.gz")
    _, batches, events = recorded(report.path)
    frames = [json.loads(line[6:]) for line in source.read_text().splitlines() if line.startswith("data: ")]
    assert [event.id for event in events] == [frame["meta"]["id"] for frame in frames]
    assert_sound(batches, events, report)


def test_other_streams_hold_no_event_and_leave_no_file(captures, tmp_path):
    with pytest.raises(RecordingError, match="1 skipped"):
        import_sse(captures / "wikipedia" / "sse_verbatim_2025-09-06_page-create.sse", tmp_path / "a.jsonl.gz")
    assert not list(tmp_path.iterdir())


def test_what_is_left_out_is_counted(tmp_path):
    rows = [
        change(0, 0),
        change(1, 1, meta={"id": "c", "domain": "canary"}),
        change(2, 2, type="categorize"),
        change(3, 3, timestamp=None),
        change(4, 4, type="log"),
    ]
    (tmp_path / "in.ndjson").write_bytes(b"\nnonsense\n" + ndjson(rows) + b"\n\xff\n")
    report = import_eventstreams(tmp_path / "in.ndjson", tmp_path / "a.jsonl.gz")
    _, batches, events = recorded(report.path)
    assert (report.rows, report.events, report.undecodable, report.canaries, report.skipped) == (7, 2, 3, 1, 1)
    assert [event.id for event in events] == ["id-0", "id-4"]
    assert_sound(batches, events, report)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_packing_makes_no_difference(tmp_path, pack):
    (tmp_path / "in").write_bytes(pack(ndjson([change(i, i) for i in range(50)])))
    assert import_eventstreams(tmp_path / "in", tmp_path / "a.jsonl.gz").events == 50


def test_a_capture_that_broke_off_is_read_up_to_there(tmp_path):
    whole = gzip.compress(ndjson([change(i, i, comment=str(hash(i * 1.1))) for i in range(5000)]))
    (tmp_path / "in").write_bytes(whole[: len(whole) // 2])
    report = import_eventstreams(tmp_path / "in", tmp_path / "a.jsonl.gz")
    assert 2000 < report.events < 3000
    assert "ends in the middle" in report.damage


def test_frames_of_every_sort(tmp_path):
    frames = b":ok\n\n"
    for number in range(3):
        frames += b"event: message\nid: [%d]\ndata: %s\n\n" % (number, json.dumps(change(number, number)).encode())
    frames += b"event: error\ndata: {}\n\ndata: nonsense\n\nevent: message\ndata: " + json.dumps(change(9, 9)).encode()
    (tmp_path / "in.sse").write_bytes(frames)
    report = import_sse(tmp_path / "in.sse", tmp_path / "a.jsonl.gz")
    assert (report.events, report.skipped, report.undecodable) == (4, 1, 1)


def test_quiet_time_moves_the_watermark_and_a_hole_is_a_gap(tmp_path):
    seconds = [0, 35, 36, 37, 38, 39, 20_000, 20_001, 20_002, 20_003]
    (tmp_path / "in").write_bytes(ndjson([change(second, i) for i, second in enumerate(seconds)]))
    report = import_eventstreams(tmp_path / "in", tmp_path / "a.jsonl.gz")
    _, batches, events = recorded(report.path)
    start = 1_700_000_000
    assert_sound(batches, events, report)
    assert [event.time - start for event in events] == seconds
    assert [batch.arrived_at - start for batch in batches if not batch.events][:3] == [10, 20, 30]
    marks = [mark for batch in batches for mark in batch.marks]
    assert marks == [Mark(start + 39.0, start + 20_000.0, Quality.GAP)]
    assert len(batches) < 20


def test_one_wrong_stamp_does_not_move_the_rest(tmp_path):
    rows = [change(i, i) for i in range(30)]
    rows[7]["timestamp"] += 400 * 86_400
    rows[20]["timestamp"] -= 400 * 86_400
    (tmp_path / "in").write_bytes(ndjson(rows))
    report = import_eventstreams(tmp_path / "in", tmp_path / "a.jsonl.gz")
    _, batches, events = recorded(report.path)
    assert_sound(batches, events, report)
    assert batches[-1].watermark == 1_700_000_029.0
    assert (events[7].time, events[7].occurred_at) == (1_700_000_006.0, 1_734_560_007.0)


def test_druid_rows_of_other_projects_and_languages():
    row = {"time": "2015-09-12T00:46:58.771Z", "page": "A b?", "user": "U"}
    read = decode_row(json.dumps({**row, "channel": "#www.wikidata", "namespace": "Обсуждение участника"}).encode(), 7)
    assert (read.server_name, read.namespace, read.id) == ("www.wikidata.org", 3, "druid-000007")
    assert read.meta.uri == "https://www.wikidata.org/wiki/A_b%3F"


def test_wrong_files_are_refused_in_words(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        import_druid(tmp_path / "missing", tmp_path / "a.jsonl.gz")
    (tmp_path / "in").write_bytes(b"")
    with pytest.raises(RecordingError, match="holds no event"):
        import_druid(tmp_path / "in", tmp_path / "a.jsonl.gz")
    (tmp_path / "in").write_bytes(ndjson([change(0, 0)]))
    (tmp_path / "a.jsonl.gz").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="exists already"):
        import_eventstreams(tmp_path / "in", tmp_path / "a.jsonl.gz")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == b"mine"
