"""Recordings: written, damaged, read, played, looped and rolled."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracewave_panel.errors import ConfigError, RecordingError
from tracewave_panel.model import Batch, Dropped, Event, Mark, Origin, Quality, Status
from tracewave_panel.ports import Source
from tracewave_panel.sources.recording import RecordingHeader, RecordingWriter, read_recording
from tracewave_panel.sources.replay import RecordingSource, shifted
from tracewave_panel.sources.rolling_recording import RollingRecording, as_recording, newest, segments

HEADER = RecordingHeader(feed="wikimedia", origin=Origin.LIVE, started_at=1000.0)

moments = st.floats(0, 4e9)
texts = st.text(max_size=20)
events = st.builds(
    Event,
    time=moments,
    occurred_at=moments,
    arrived_at=moments,
    series=texts,
    id=texts,
    dimensions=st.lists(texts, max_size=3).map(tuple),
    measures=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=2).map(tuple),
    actor=texts,
    subject=texts,
    title=texts,
    link=texts,
)
batches = st.builds(
    Batch,
    arrived_at=moments,
    watermark=moments,
    status=st.sampled_from(Status),
    events=st.lists(events, max_size=4).map(tuple),
    marks=st.lists(st.builds(Mark, moments, moments, st.sampled_from(Quality)), max_size=2).map(tuple),
    dropped=st.lists(st.builds(Dropped, texts, moments, st.integers(0, 9)), max_size=2).map(tuple),
    undecodable=st.integers(0, 99),
    duplicates=st.integers(0, 99),
    position=st.binary(max_size=9),
)


def edit(moment, name="a"):
    return Event(moment, moment - 1, moment, "edits", name, ("en.wikipedia.org",), (4.0,))


def some_batches(count=5, start=1000.0, step=1.0):
    return [
        Batch(start + i * step, start + i * step, events=(edit(start + i * step, f"{start:g}-{i}"),))
        for i in range(count)
    ]


def write(path, told, header=HEADER):
    with RecordingWriter(path, header, overwrite=True) as recording:
        for batch in told:
            recording.write(batch)
    return path


async def played(source, count=10**9):
    told = []
    iterator = source.batches()
    async for batch in iterator:
        told.append(batch)
        if len(told) == count:
            break
    await iterator.aclose()
    return told


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(batches, max_size=6))
def test_what_is_read_is_what_was_written_without_positions(tmp_path, told):
    path = write(tmp_path / "a.jsonl.gz", told)
    header, reader = read_recording(path)
    assert header == HEADER
    assert list(reader) == [msgspec.structs.replace(batch, position=b"") for batch in told]
    assert reader.damage is None


def test_other_programs_can_read_a_recording(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", some_batches(3))
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert lines[0]["format"] == "tracewave-recording"
    assert lines[0]["origin"] == "live"
    assert [line["arrived_at"] for line in lines[1:]] == [1000.0, 1001.0, 1002.0]


def test_unpacked_and_joined_recordings_are_read_too(tmp_path):
    told = some_batches(4)
    whole = gzip.decompress(write(tmp_path / "a.jsonl.gz", told).read_bytes())
    (tmp_path / "plain.jsonl").write_bytes(whole)
    (tmp_path / "members.jsonl.gz").write_bytes(
        b"".join(gzip.compress(line) for line in whole.splitlines(keepends=True))
    )
    for name in ("plain.jsonl", "members.jsonl.gz"):
        _, reader = read_recording(tmp_path / name)
        assert list(reader) == told
        assert reader.damage is None


def test_every_truncation_reads_a_prefix_and_says_so(tmp_path, caplog):
    told = some_batches(12)
    packed = write(tmp_path / "whole.jsonl.gz", told).read_bytes()
    path = tmp_path / "cut.jsonl.gz"
    lengths = set()
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        try:
            _, reader = read_recording(path)
        except RecordingError:
            unreadable = length
            continue
        got = list(reader)
        assert got == told[: len(got)]
        assert f"Read {len(got)} batches with {len(got)} events" in reader.damage
        assert f"after line {len(got) + 1}," in reader.damage
        lengths.add(len(got))
    assert max(lengths) == 12
    assert unreadable < 200  # only while the header is cut
    assert caplog.records[-1].message == reader.damage


@pytest.mark.parametrize("how", ["flip", "zero", "text"])
def test_damage_in_the_middle_ends_the_reading_there(tmp_path, how):
    told = some_batches(3000)
    path = write(tmp_path / "a.jsonl.gz", told)
    packed = bytearray(path.read_bytes())
    middle = len(packed) // 2
    if how == "flip":
        packed[middle] ^= 0xFF
    elif how == "zero":
        packed[middle : middle + 64] = bytes(64)
    else:
        lines = gzip.decompress(packed).split(b"\n")
        lines[1500] = b"\xff not a batch"
        packed = gzip.compress(b"\n".join(lines))
    path.write_bytes(packed)
    _, reader = read_recording(path)
    got = list(reader)
    sound = next((i for i, (a, b) in enumerate(zip(got, told, strict=False)) if a != b), len(got))
    assert 1000 < sound < 2000
    assert reader.damage is not None
    assert (sound, len(got)) == (1499, 1499) if how == "text" else len(got) < 3000


def packed_header(**changes) -> bytes:
    return gzip.compress(msgspec.json.encode(msgspec.structs.replace(HEADER, **changes)) + b"\n", mtime=0)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, ConfigError, "No such file"),
        ("folder", ConfigError, "Is a directory"),
        (b"", RecordingError, "it is empty"),
        (b"hello\nworld\n", RecordingError, "not a Tracewave recording"),
        (gzip.compress(b"hello\n", mtime=0), RecordingError, "not a Tracewave recording"),
        (gzip.compress(b'{"arrived_at": 1.0, "watermark": 1.0}\n', mtime=0), RecordingError, "no header"),
        (b"\x1f\x8b\x08\x00rubbish", RecordingError, "not a Tracewave recording"),
        (packed_header(version=7), RecordingError, "7"),
        (packed_header(format="x"), RecordingError, "x of"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(tmp_path, content, error, words):
    path = tmp_path / "a.jsonl.gz"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=words) as raised:
        read_recording(path)
    assert str(path) in str(raised.value)


def test_a_recording_is_not_overwritten_unasked(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", some_batches(2))
    with pytest.raises(ConfigError, match="exists already"):
        RecordingWriter(path, HEADER)
    with pytest.raises(ConfigError, match="cannot make"):
        RecordingWriter(tmp_path / "missing" / "a.jsonl.gz", HEADER)
    assert len(list(read_recording(path)[1])) == 2


def test_a_killed_writer_leaves_all_but_the_last_second(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    program = (
        "import itertools, sys, time\n"
        "from tracewave_panel.model import Batch, Origin\n"
        "from tracewave_panel.sources.recording import RecordingHeader, RecordingWriter\n"
        "header = RecordingHeader(feed='wikimedia', origin=Origin.LIVE, started_at=0.0)\n"
        f"writer = RecordingWriter({str(path)!r}, header)\n"
        "for i in itertools.count():\n"
        "    writer.write(Batch(float(i), time.time()))\n"
        "    time.sleep(0.01)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program])
    try:
        deadline = time.monotonic() + 20
        while not path.exists() or len(list(read_recording(path)[1])) < 150:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    killed_at = time.time()
    _, reader = read_recording(path)
    got = list(reader)
    assert [batch.arrived_at for batch in got] == list(range(len(got)))
    assert killed_at - got[-1].watermark < 1.5
    assert "writer was stopped" in reader.damage


async def test_a_replay_gives_the_recorded_batches(tmp_path):
    told = some_batches(20)
    source = RecordingSource(write(tmp_path / "a.jsonl.gz", told))
    assert isinstance(source, Source)
    assert source.origin is Origin.LIVE
    assert source.status().state.word == "connecting"
    assert await played(source) == told
    status = source.status()
    assert (status.state.word, status.counters["events"]) == ("ended", 20)


async def test_replay_at_ten_times_takes_a_tenth(tmp_path):
    source = RecordingSource(write(tmp_path / "a.jsonl.gz", some_batches(51, step=0.2)), speed=10)
    began = time.monotonic()
    await played(source)
    assert 0.98 <= time.monotonic() - began < 1.4
    assert "10x" in source.status().state.note


async def test_a_loop_goes_forward_in_time_with_ids_of_its_own(tmp_path):
    told = some_batches(10, start=1000.25)
    source = RecordingSource(write(tmp_path / "a.jsonl.gz", told), loop=True)
    got = await played(source, 35)
    assert got[:10] == told
    for moments_ in ([b.arrived_at for b in got], [b.watermark for b in got], [b.events[0].time for b in got]):
        assert moments_ == sorted(moments_)
    assert len({batch.events[0].id for batch in got}) == 35
    assert {(b.watermark - a.watermark) % 1 for a, b in zip(got[:10], got[10:20], strict=True)} == {0.0}
    assert "loop 4" in source.status().state.note


async def test_the_time_between_two_rounds_is_a_gap(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", some_batches(10))
    got = await played(RecordingSource(path, loop=True, step=60.0), 11)
    assert got[10].marks == (Mark(1009.0, 1060.0, Quality.GAP),)
    assert not any(batch.marks for batch in got[:10])


async def test_an_empty_recording_does_not_loop_for_ever(tmp_path):
    assert await played(RecordingSource(write(tmp_path / "a.jsonl.gz", []), loop=True)) == []


async def test_rebasing_moves_by_whole_steps(tmp_path):
    told = some_batches(3, start=1000.25)
    path = write(tmp_path / "a.jsonl.gz", told, msgspec.structs.replace(HEADER, started_at=1000.25))
    source = RecordingSource(path, rebase_to=500_000.0, step=60.0)
    got = await played(source)
    assert source.shift % 60 == 0
    assert 500_000 - 60 < got[0].arrived_at <= 500_000
    assert got == [shifted(batch, source.shift) for batch in told]
    assert got[0].events[0].id == f"1000.25-0{source.shift:+.0f}"


async def test_stop_ends_a_waiting_replay_at_once(tmp_path):
    source = RecordingSource(write(tmp_path / "a.jsonl.gz", some_batches(3, step=1000)), speed=1)
    iterator = source.batches()
    await anext(iterator)
    await source.stop()
    began = time.monotonic()
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
    assert time.monotonic() - began < 0.2


async def test_a_damaged_recording_plays_up_to_the_damage(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", some_batches(500))
    path.write_bytes(path.read_bytes()[:-200])
    source = RecordingSource(path)
    assert 0 < len(await played(source)) < 500
    assert "damaged" in source.status().state.note


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_never_ends_is_refused(tmp_path, speed):
    with pytest.raises(ConfigError, match="positive"):
        RecordingSource(write(tmp_path / "a.jsonl.gz", []), speed=speed)


def test_shifting_moves_every_time():
    batch = Batch(1.0, 2.0, Status.GAP, (edit(3.0),), (Mark(4.0, 5.0, Quality.GAP),), (Dropped("edits", 6.0, 7),), 8, 9)
    moved = shifted(batch, 60.0)
    expected = Batch(
        61.0,
        62.0,
        Status.GAP,
        (edit(63.0, "a+60"),),
        (Mark(64.0, 65.0, Quality.GAP),),
        (Dropped("edits", 66.0, 7),),
        8,
        9,
    )
    assert moved == expected
    assert shifted(batch, 0.0) is batch


def roll(folder, told, **settings_):
    rolling = RollingRecording(folder, HEADER, **settings_)
    for batch in told:
        rolling.write(batch)
    return rolling


def test_a_rolling_recording_keeps_what_it_should_and_no_more(tmp_path):
    told = some_batches(500)
    roll(tmp_path, told, keep=100, segment=20).close()
    header, got = as_recording(tmp_path)
    got = list(got)
    assert got == told[-len(got) :]
    assert 100 <= len(got) <= 140
    assert header.started_at == got[0].arrived_at
    assert header.origin is Origin.LIVE
    assert len(segments(tmp_path)) <= 7
    assert [batch.arrived_at for batch in as_recording(tmp_path, since=1480.0)[1]] == list(range(1480, 1500))


def test_a_rolling_recording_has_a_bounded_size(tmp_path):
    noise = [
        Batch(float(i), float(i), events=(msgspec.structs.replace(edit(float(i)), title=os.urandom(5000).hex()),))
        for i in range(300)
    ]
    roll(tmp_path, noise, keep=1e9, segment=10, max_bytes=400_000).close()
    assert 200_000 < sum(path.stat().st_size for path in segments(tmp_path)) <= 400_000
    got = list(as_recording(tmp_path)[1])
    assert got == noise[-len(got) :]


def test_the_next_run_goes_on_where_a_killed_one_stopped(tmp_path):
    first = some_batches(50)
    roll(tmp_path, first, segment=20).close()
    last = segments(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[:-8])  # a killed process has flushed, and closed nothing
    # a resumed feed hands over the last batch's event once more
    again = msgspec.structs.replace(first[-1], arrived_at=1070.0, watermark=1070.0)
    second = [again, *some_batches(30, start=1071.0)]
    roll(tmp_path, second, segment=20).close()
    got = list(as_recording(tmp_path)[1])
    assert got[:50] == first
    assert got[50] == Batch(1070.0, 1070.0, marks=(Mark(1049.0, 1070.0, Quality.GAP),), duplicates=1)
    assert got[51:] == second[1:]
    assert list(as_recording(tmp_path)[1]) == got
    assert {read_recording(path)[0].started_at for path in newest(tmp_path)} == {1070.0, 1090.0}


async def test_the_folder_of_a_rolling_recording_can_be_played(tmp_path):
    told = some_batches(50)
    roll(tmp_path, told, segment=20).close()
    got = await played(RecordingSource(tmp_path, loop=True), 60)
    assert got[:50] == told
    assert got[50].events[0].id == "1000-0+49"


def test_a_hole_behind_a_damaged_segment_is_a_gap(tmp_path):
    roll(tmp_path, some_batches(60), segment=20).close()
    middle = segments(tmp_path)[1]
    middle.write_bytes(middle.read_bytes()[:-60])
    _, reader = as_recording(tmp_path)
    got = list(reader)
    (seam,) = [mark for batch in got for mark in batch.marks]
    assert (seam.end, seam.quality) == (1040.0, Quality.GAP)
    assert 1020 <= seam.start < 1039
    assert middle.name in reader.damage


def test_only_segments_are_deleted(tmp_path):
    (tmp_path / "run-notes.txt").write_text("mine")
    roll(tmp_path, some_batches(500), keep=10, segment=5).close()
    assert (tmp_path / "run-notes.txt").exists()


def test_an_unreadable_segment_is_passed_over(tmp_path, caplog):
    roll(tmp_path, some_batches(10), segment=5).close()
    segments(tmp_path)[0].write_bytes(b"")
    assert [batch.arrived_at for batch in as_recording(tmp_path)[1]] == [1005.0, 1006.0, 1007.0, 1008.0, 1009.0]
    assert "it is empty" in caplog.text


def test_an_empty_folder_has_nothing_to_keep(tmp_path):
    assert newest(tmp_path) == ()
    with pytest.raises(RecordingError, match="nothing was recorded"):
        as_recording(Path(tmp_path / "never made"))
