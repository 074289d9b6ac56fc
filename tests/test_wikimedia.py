"""The Wikimedia source against a loopback server that fails like the public one."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from random import Random

import pytest
from servers.eventstreams import (
    CODFW,
    EQIAD,
    EventStreamsServer,
    Log,
    Refusal,
    at_rate,
    at_speed,
    invent_changes,
    read_capture,
)

from tracewave_panel.errors import ConfigError, RefusedError, StateError
from tracewave_panel.model import Batch, Origin, Quality, Status
from tracewave_panel.ports import Source
from tracewave_panel.sources.wikimedia import WikimediaSettings, WikimediaSource, probe
from tracewave_panel.sources.wikimedia_intake import WikimediaIntake

ALL_KINDS = ("edit", "new", "log", "categorize")


def source_of(server: EventStreamsServer, *, seed: int = 1, **settings: object) -> WikimediaSource:
    fast = {"kinds": ALL_KINDS, "batch_interval": 0.02, "retry_base": 0.05, "retry_cap": 0.1, "idle_timeout": 3.0}
    return WikimediaSource(WikimediaSettings(url=server.url, **{**fast, **settings}), random=Random(seed))


def log_of(changes: Sequence[dict] | int, rate: float = 2000.0, **settings: object) -> Log:
    changes = invent_changes(changes) if isinstance(changes, int) else changes
    return Log(changes, at_rate(len(changes), rate), **settings)


async def run(
    source: WikimediaSource,
    until: Callable[[list[Batch]], bool],
    position: bytes = b"",
    limit: float = 20.0,
) -> list[Batch]:
    """Batches until `until` holds, and the last ones after ``stop``."""
    batches: list[Batch] = []
    async with asyncio.timeout(limit), aclosing(source.batches(position)) as iterator:
        async for batch in iterator:
            batches.append(batch)
            if until(batches):
                await source.stop()
    return batches


async def eventually(holds: Callable[[], bool], limit: float = 10.0) -> None:
    async with asyncio.timeout(limit):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in a server
            await asyncio.sleep(0.01)


def ids(batches: Sequence[Batch]) -> list[str]:
    return [event.id for batch in batches for event in batch.events]


def expected_ids(changes: Sequence[dict]) -> list[str]:
    return [change["meta"]["id"] for change in changes]


def until_events(count: int) -> Callable[[list[Batch]], bool]:
    return lambda batches: sum(len(batch.events) for batch in batches) >= count


def until_seconds(seconds: float) -> Callable[[list[Batch]], bool]:
    end = time.monotonic() + seconds
    return lambda batches: time.monotonic() >= end


def check_batches(batches: Sequence[Batch]) -> None:
    """What holds for every run: time never goes back, and the end can be resumed from."""
    watermarks = [batch.watermark for batch in batches]
    assert watermarks == sorted(watermarks)
    assert all(math.isfinite(watermark) for watermark in watermarks)
    assert batches[-1].position
    for batch in batches:
        arrivals = [event.arrived_at for event in batch.events]
        assert arrivals == sorted(arrivals)
        assert all(arrival <= batch.arrived_at for arrival in arrivals)


FAULTS = {
    "nothing": [],
    "the quarter-hourly close": [(300, "close"), (301, "close"), (900, "close")],
    "a close in the middle of a frame": [(500, "cut"), (501, "cut")],
    "a reset in the middle of a frame": [(500, "abort"), (1000, "abort")],
    "an error event": [(700, "error")],
    "a pause": [(700, "silent:0.4")],
    "nonsense": [(200, "garbage"), (900, "garbage")],
    "a line of ten megabytes": [(700, "huge")],
    "all of them": [(100, "cut"), (200, "garbage"), (400, "error"), (600, "huge"), (800, "abort"), (1000, "close")],
}


@pytest.mark.parametrize("redeliver", [0, 40])
@pytest.mark.parametrize("plan", FAULTS.values(), ids=FAULTS.keys())
async def test_every_change_is_counted_once_and_in_order_through(plan, redeliver):
    changes = invent_changes(1200)
    async with EventStreamsServer(log_of(changes, 3000.0), plan=plan, redeliver=redeliver) as server:
        source = source_of(server)
        batches = await run(source, until_events(1200))
    assert ids(batches) == expected_ids(changes)
    check_batches(batches)
    counters = source.status().counters
    actions = [action for _, action in plan]
    resumes = sum(action in {"close", "cut", "abort", "error"} for action in actions)
    assert counters["events"] == 1200
    assert counters["reconnects"] == resumes == server.statuses[200] - 1
    assert (counters["duplicates"] > 0) == (redeliver > 0 and resumes > 0)
    assert counters["undecodable"] == 3 * actions.count("garbage")
    assert counters["oversized"] == actions.count("huge")
    assert sum(batch.undecodable for batch in batches) == counters["undecodable"] + counters["oversized"]
    assert sum(batch.duplicates for batch in batches) == counters["duplicates"]
    assert counters["lost"] == counters["offset_holes"] == 0
    assert not server.statuses[429], "more than one connection at a time"


async def test_the_2018_capture_is_counted_once_through_disconnects_and_repeats(captures):
    [path] = (captures / "wikipedia").glob("eventstreams_recentchange_wikidata_2018*.xz")
    changes = read_capture(path)
    assert len(changes) == 3818
    plan = [(400, "close"), (1100, "cut"), (1101, "abort"), (2000, "error"), (3000, "close"), (3817, "close")]
    async with EventStreamsServer(Log(changes, at_speed(changes, 150.0)), plan=plan, redeliver=100) as server:
        source = source_of(server)
        batches = await run(source, until_events(3818))
    assert ids(batches) == expected_ids(changes)
    check_batches(batches)
    assert source.status().counters["reconnects"] == 6
    assert source.status().counters["lost"] == 0
    positions = {(event.dimensions[0], event.dimensions[1]) for batch in batches for event in batch.events}
    assert positions == {("www.wikidata.org", "multilingual")}


async def test_a_filtered_capture_with_its_own_stamps_loses_nothing_and_finds_its_holes(captures):
    changes = read_capture(captures / "wikipedia" / "eventstreams_recentchange_2023-07-29_100.ndjson")
    log = log_of(changes, 200.0, restamped=False)
    async with EventStreamsServer(log, plan=[(50, "close")]) as server:
        source = source_of(server)
        batches = await run(source, until_events(100))
    assert ids(batches) == expected_ids(changes)
    counters = source.status().counters
    assert counters["lost"] == 0
    offsets = [change["meta"]["offset"] for change in changes]
    holes = sum(later > earlier + 1 for earlier, later in pairwise(offsets))
    assert counters["offset_holes"] == holes > 80
    assert all(event.occurred_at == int(event.occurred_at) for batch in batches for event in batch.events)


@pytest.mark.parametrize("piece_bytes", [1, 7])
async def test_frames_cut_at_every_byte_are_read(piece_bytes):
    changes = invent_changes(40)
    async with EventStreamsServer(log_of(changes), plan=[(20, "close")], piece_bytes=piece_bytes) as server:
        assert ids(await run(source_of(server), until_events(40))) == expected_ids(changes)


async def test_a_switch_between_datacentres_loses_and_repeats_nothing():
    changes = invent_changes(900)
    log = log_of(changes, topic_of=lambda number: EQIAD if number < 300 or number >= 700 else CODFW)
    plan = [(250, "close"), (400, "cut"), (650, "close"), (850, "abort")]
    async with EventStreamsServer(log, plan=plan, redeliver=30) as server:
        source = source_of(server)
        batches = await run(source, until_events(900))
    assert sorted(ids(batches)) == sorted(expected_ids(changes))
    assert source.status().counters["lost"] == 0
    resumed = json.loads(server.requests[-1][1]["last-event-id"])
    assert {entry["topic"]: "offset" in entry for entry in resumed} == {EQIAD: True, CODFW: True}


async def test_a_stream_that_falls_silent_is_left_and_time_goes_on_meanwhile():
    changes = invent_changes(400)
    async with EventStreamsServer(log_of(changes, 1000.0), plan=[(200, "silent:30")]) as server:
        source = source_of(server, idle_timeout=0.4)
        batches = await run(source, until_events(400))
    assert ids(batches) == expected_ids(changes)
    told = [batch.arrived_at for batch in batches]
    assert max(later - earlier for earlier, later in pairwise(told)) < 0.3
    assert source.status().counters["reconnects"] == 1


async def test_too_many_requests_waits_at_least_as_long_as_asked_and_says_so():
    refusals = [Refusal(429, {"retry-after": "1"})]
    async with EventStreamsServer(log_of(50), refusals=refusals) as server:
        source = source_of(server)
        task = asyncio.create_task(run(source, until_events(50)))
        await asyncio.sleep(0.5)
        state = source.status().state
        assert state.word == "connecting"
        assert "429" in state.note
        assert "too many connections" in state.note
        assert "trying again in 1." in state.note
        await task
        first, second = (request[0] for request in server.requests)
        assert second - first >= 1.0


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "set a contact"),
        (500, "trouble of its own"),
        (503, "tried again"),
        (302, "elsewhere"),
        (418, "check the url"),
    ],
)
async def test_a_refusal_is_told_with_what_to_do_and_tried_again(status, words, caplog):
    refusals = [Refusal(status, {"location": "http://elsewhere.test/"}) for _ in range(3)]
    async with EventStreamsServer(log_of(50), refusals=refusals) as server:
        assert words in str(await probe(WikimediaSettings(url=server.url)))
        with caplog.at_level(logging.INFO, "tracewave_panel"):
            await run(source_of(server), until_events(50))
        assert server.statuses == {status: 3, 200: 1}
    assert len(caplog.messages) == 2
    for message in caplog.messages:
        assert words in message
        assert "trying again in" in message


async def test_an_answer_that_is_no_event_stream_is_told():
    page = Refusal(200, {"content-type": "text/html"}, b"<p>Log in to this hotel's network")
    async with EventStreamsServer(log_of(20), refusals=[page, page]) as server:
        assert "text/html" in str(await probe(WikimediaSettings(url=server.url)))
        assert len(ids(await run(source_of(server), until_events(20)))) == 20


async def test_the_user_agent_names_program_version_and_contact():
    async with EventStreamsServer(log_of(5)) as server:
        await run(source_of(server, contact="ops@example.org"), until_events(5))
        await probe(WikimediaSettings(url=server.url))
        with_contact, without = (request[1]["user-agent"] for request in server.requests)
    assert with_contact.startswith("tracewave-panel/")
    assert "(ops@example.org; " in with_contact
    assert "(https://" in without


def waits_of(messages: Sequence[str]) -> list[float]:
    return [float(message.split("trying again in ")[1].split()[0]) for message in messages if "trying" in message]


async def test_closes_that_delivered_nothing_back_off_and_an_event_ends_that(caplog):
    empty = Refusal(200, {"content-type": "text/event-stream"}, b":ok\n\n")
    plan = [(number, "close") for number in range(20, 180, 20)]
    with caplog.at_level(logging.INFO, "tracewave_panel"):
        async with EventStreamsServer(log_of(200), refusals=[empty] * 4, plan=plan) as server:
            source = source_of(server, retry_base=0.2, retry_cap=50.0, seed=5)
            batches = await run(source, until_events(200))
    assert len(ids(batches)) == 200
    ceilings = [0.2, 0.4, 0.8, 1.6] + [0.2] * len(plan)
    random = Random(5)
    assert waits_of(caplog.messages) == [float(f"{random.uniform(0, ceiling):.1f}") for ceiling in ceilings]


async def test_a_place_that_is_no_longer_understood_is_dropped_once_and_the_feed_goes_on():
    changes = invent_changes(600)
    async with EventStreamsServer(log_of(changes, 1000.0), plan=[(200, "renumber")]) as server:
        source = source_of(server, since="10m")
        batches = await run(source, lambda batches: changes[-1]["meta"]["id"] in ids(batches[-1:]))
    assert server.statuses == {200: 2, 400: 1}
    assert "last-event-id" not in server.requests[-1][1]
    assert ["since=" in request[2] for request in server.requests][::2] == [True, False]
    got, wanted = ids(batches), expected_ids(changes)
    assert got == wanted[:200] + wanted[len(wanted) - len(got) + 200 :]
    assert len(got) < 600


@pytest.mark.parametrize("status", [400, 404])
async def test_a_stream_that_does_not_exist_ends_the_iterator_in_words(status):
    async with EventStreamsServer(log_of(5), refusals=[Refusal(status)]) as server:
        source = source_of(server)
        with pytest.raises(RefusedError, match=f"{status}: .*check the url"):
            await run(source, until_events(5))
        assert source.status().state.word == "ended"
        assert len(server.requests) == 1


async def test_canaries_are_no_events_but_proof_of_life():
    changes = invent_changes(300)
    async with EventStreamsServer(log_of(changes, canary_every=0.1)) as server:
        source = source_of(server, patience=0.5)
        batches = await run(source, until_seconds(2.5))
    assert ids(batches) == expected_ids(changes)
    assert source.status().counters["canaries"] >= 15
    assert not [mark for batch in batches for mark in batch.marks if mark.quality is Quality.GAP]
    assert {batch.status for batch in batches[-20:]} <= {Status.LIVE, Status.CATCH_UP}
    assert time.time() - batches[-1].watermark < 1.5


async def test_kinds_that_are_not_counted_are_tallied_and_advance_the_place():
    changes = invent_changes(600)
    edits = [change for change in changes if change["type"] == "edit"]
    async with EventStreamsServer(log_of(changes), plan=[(300, "close")]) as server:
        source = source_of(server, kinds=("edit",))
        batches = await run(source, until_events(len(edits)))
    assert ids(batches) == expected_ids(edits)
    assert source.status().counters["skipped"] > 100
    assert source.status().counters["duplicates"] == source.status().counters["lost"] == 0


async def test_events_that_a_resume_skips_are_lost_and_told():
    async with EventStreamsServer(log_of(900, 1500.0), plan=[(400, "close")], lose=7) as server:
        source = source_of(server)
        batches = await run(source, until_events(893))
    assert source.status().counters["lost"] == 7
    gaps = [mark for batch in batches for mark in batch.marks if mark.quality is Quality.GAP]
    assert source.status().counters["gaps"] == len(gaps) == 1


@pytest.mark.parametrize("redeliver", [0, 25])
async def test_stopping_and_starting_from_a_position_loses_and_repeats_nothing(redeliver):
    changes = invent_changes(1500)
    async with EventStreamsServer(log_of(changes, 1500.0), redeliver=redeliver) as server:
        got: list[str] = []
        position = b""
        for stop_at in (200, 700, 701, 1500):
            source = source_of(server)
            batches = await run(source, until_events(stop_at - len(got)), position)
            check_batches(batches)
            got += ids(batches)
            position = batches[-1].position
            await asyncio.sleep(0.05)
    assert got == expected_ids(changes)


async def test_a_killed_run_goes_on_from_its_last_checkpoint():
    changes = invent_changes(900)
    async with EventStreamsServer(log_of(changes, 1000.0)) as server:
        kept: list[Batch] = []
        source = source_of(server, checkpoint_interval=0.15)
        async with asyncio.timeout(20), aclosing(source.batches()) as iterator:
            async for batch in iterator:
                kept.append(batch)
                if len(ids(kept)) > 500:
                    break
        checkpoints = [number for number, batch in enumerate(kept) if batch.position]
        assert 1 <= len(checkpoints) <= 4
        before = ids(kept[: checkpoints[-1] + 1])
        after = ids(await run(source_of(server), until_events(900 - len(before)), kept[checkpoints[-1]].position))
    assert before + after == expected_ids(changes)


async def test_a_killed_run_that_finds_no_server_tells_no_silence_as_life():
    async with EventStreamsServer(log_of(300, 1000.0)) as server:
        source = source_of(server, checkpoint_interval=0.0)
        async with aclosing(source.batches()) as iterator:
            killed = await anext(iterator)
    assert killed.position
    async with mute_server() as url:
        source = WikimediaSource(WikimediaSettings(url=url))
        first, *_ = await run(source, lambda batches: True, killed.position)
    assert first.status is Status.CATCH_UP
    assert first.watermark <= killed.arrived_at


async def test_a_position_of_another_version_is_refused_in_words():
    async with EventStreamsServer(log_of(5)) as server:
        with pytest.raises(StateError, match="not a"):
            await run(source_of(server), until_events(1), b"something else")
        assert not server.requests


async def test_since_asks_for_the_past_until_there_is_a_place():
    changes = invent_changes(400)
    async with EventStreamsServer(log_of(changes), plan=[(300, "close")]) as server:
        server.log.produce()
        await asyncio.sleep(0.1)
        batches = await run(source_of(server, since="10m"), until_events(400))
        first, second = server.requests
    assert ids(batches) == expected_ids(changes)
    assert "since=" in first[2]
    assert "last-event-id" not in first[1]
    assert "last-event-id" in second[1]


@pytest.mark.parametrize("since", ["yesterday", "10 parsecs", "m", "2026-13-01", "999999d"])
def test_a_start_time_that_cannot_be_read_is_refused(since):
    with pytest.raises(ConfigError, match="neither an ISO time"):
        WikimediaSource(WikimediaSettings(since=since))


@pytest.mark.parametrize("settings", [{"url": "ftp://x/"}, {"url": "http://"}, {"url": "x"}, {"contact": "a\r\nb: c"}])
def test_settings_that_cannot_work_are_refused_at_once(settings):
    with pytest.raises(ConfigError):
        WikimediaSource(WikimediaSettings(**settings))


async def test_a_line_of_ten_megabytes_is_not_held_in_memory():
    async with EventStreamsServer(log_of(300), plan=[(150, "huge")]) as server:
        source = source_of(server)
        tracemalloc.start()
        try:
            batches = await run(source, until_events(300))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(ids(batches)) == 300
    assert source.status().counters["bytes"] > 10 << 20
    assert peak < 8 << 20


async def test_unreadable_events_are_logged_at_a_bounded_rate(caplog):
    plan = [(number, "garbage") for number in range(0, 200, 2)]
    with caplog.at_level(logging.INFO, "tracewave_panel"):
        async with EventStreamsServer(log_of(250), plan=plan) as server:
            source = source_of(server)
            await run(source, until_events(250))
    assert source.status().counters["undecodable"] == 300
    assert len(caplog.records) == 1
    assert "1 such events so far" in caplog.text


@pytest.mark.parametrize("room", [20_000, 100])
async def test_a_slow_reader_gets_everything(room):
    changes = invent_changes(1500)
    async with EventStreamsServer(log_of(changes, 20_000.0)) as server:
        source = WikimediaSource(WikimediaSettings(url=server.url, kinds=ALL_KINDS), room=room)
        got: list[str] = []
        async with asyncio.timeout(20), aclosing(source.batches()) as iterator:
            async for batch in iterator:
                got += ids([batch])
                assert len(batch.events) < room + 100  # what one read may hold on top
                if len(got) == 1500:
                    break
                await asyncio.sleep(0.05)
    assert got == expected_ids(changes)


@asynccontextmanager
async def mute_server() -> AsyncIterator[str]:
    """Accepts connections and never answers."""
    done = asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        done.set()
        server.close()


async def nothing_left(server: EventStreamsServer | None) -> None:
    def left() -> bool:
        readers = [task for task in asyncio.all_tasks() if "wikimedia" in task.get_name()]
        return bool(readers or (server and server.open_connections))

    await eventually(lambda: not left(), limit=1.0)


@pytest.mark.parametrize("how", ["aclose", "cancel", "stop"])
@pytest.mark.parametrize("condition", ["streaming", "silent", "waiting to reconnect", "backlog"])
async def test_the_iterator_ends_and_releases_the_connection_within_a_second(condition, how):
    plan = {"silent": [(50, "silent:60")], "waiting to reconnect": [(50, "close")]}.get(condition, [])
    rate = 50_000.0 if condition == "backlog" else 1000.0
    async with EventStreamsServer(log_of(2000, rate), plan=plan) as server:
        source = source_of(server, retry_base=60.0, retry_cap=60.0, idle_timeout=60.0)
        got: list[Batch] = []
        iterator = source.batches()

        async def consume() -> None:
            async for batch in iterator:
                got.append(batch)  # noqa: PERF401 - an extension would keep nothing of a cancelled iteration

        if how == "aclose":
            while len(ids(got)) < 20:
                got.append(await anext(iterator))
            began = time.monotonic()
            await iterator.aclose()
        else:
            consumer = asyncio.create_task(consume())
            await eventually(lambda: len(ids(got)) >= 20)
            await asyncio.sleep(0.3)
            began = time.monotonic()
            if how == "cancel":
                consumer.cancel()
            else:
                await source.stop()
            await asyncio.wait({consumer})
            assert consumer.cancelled() == (how == "cancel")
        assert time.monotonic() - began < 1.0
        assert bool(got[-1].position) == (how == "stop") or len(got) == 1  # the first batch has one as well
        assert source.status().state.word == "ended"
        await nothing_left(server)


@pytest.mark.parametrize("how", ["cancel", "stop"])
async def test_without_an_answer_nothing_hangs_and_the_status_tells_the_truth(how):
    async with mute_server() as url:
        assert "did not answer within 0.2 s" in str(await probe(WikimediaSettings(url=url), timeout=0.2))
        source = WikimediaSource(WikimediaSettings(url=url))
        assert source.status().state.note == "not started yet"
        consumer = asyncio.create_task(run(source, until_events(1)))
        await asyncio.sleep(0.3)
        assert source.status().state.word == "connecting"
        assert not consumer.done()
        await (source.stop() if how == "stop" else asyncio.sleep(0, consumer.cancel()))
        done, _ = await asyncio.wait({consumer}, timeout=1.0)
        assert done
        if how == "stop":
            assert consumer.result() == []
        await nothing_left(None)


async def test_a_server_that_is_not_there_is_told_and_tried_again():
    with socket.socket() as bound:  # and not listening: nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        assert "cannot be reached" in str(await probe(WikimediaSettings(url=url)))
        source = WikimediaSource(WikimediaSettings(url=url, retry_base=0.05))
        consumer = asyncio.create_task(run(source, until_events(1)))
        await eventually(lambda: "trying again in" in source.status().state.note)
        assert source.status().state.word == "connecting"
        assert "cannot be reached" in source.status().state.note
        await source.stop()
        assert await consumer == []


async def test_states_are_told_as_they_come():
    words: list[str] = []
    async with EventStreamsServer(log_of(2000, 500.0), plan=[(400, "close")]) as server:
        source = source_of(server, retry_base=1.5, retry_cap=1.5, seed=5)  # waits 0.9 s

        def look(batches: list[Batch]) -> bool:
            state = source.status().state
            if state.word not in words[-1:]:
                words.append(state.word)
                assert state.since <= time.time()
            assert (state.note == "") == (state.word in {"live", "catching_up", "ended"})
            if state.word == "reconnecting":
                assert batches[-1].status is Status.CATCH_UP
            return words[-1] == "live" and "reconnecting" in words

        batches = await run(source, look)
    brief = {"connecting", "catching_up"}
    assert [word for word in words if word not in brief] == ["live", "reconnecting", "live", "ended"]
    assert source.status().state.word == "ended"
    check_batches(batches)


async def test_a_connection_on_which_nothing_comes_is_told_as_a_gap():
    notes: dict[str, str] = {}

    def look(batches: list[Batch]) -> bool:
        state = source.status().state
        notes[state.word] = state.note
        return batches[-1].status is Status.GAP

    async with EventStreamsServer(log_of(2000, 500.0), plan=[(1000, "silent:60")]) as server:
        source = source_of(server, patience=0.5)
        batches = await run(source, look)
    assert notes["gap"] == "connected, but no events come"
    assert Quality.GAP in {mark.quality for batch in batches for mark in batch.marks}
    assert source.status().counters["gaps"] >= 1


async def test_it_is_a_source_of_live_events_and_the_feed_can_be_probed():
    async with EventStreamsServer(log_of(5)) as server:
        source = source_of(server)
        assert isinstance(source, Source)
        assert source.origin is Origin.LIVE
        assert source.status().lag is None
        assert await probe(WikimediaSettings(url=server.url)) is None


NOW = 1_800_000_000.0


def frames(*numbers: int, timestamp: float | None = NOW - 0.5) -> bytes:
    stamped = "" if timestamp is None else f'"timestamp": {timestamp}, '
    return "".join(
        f'data: {{{stamped}"meta": {{"id": "{number}", "domain": "de.wikipedia.org"}}, "type": "edit"}}\n\n'
        for number in numbers
    ).encode()


def intake_of(position: bytes = b"") -> WikimediaIntake:
    return WikimediaIntake(kinds=("edit",), max_event_bytes=1000, patience=30.0, position=position)


def test_bytes_alone_drive_the_intake():
    intake = intake_of()
    assert intake.batch(NOW, with_position=True) is None
    intake.connected(NOW, resumes=False)
    intake.take(frames(1, 1, 2), NOW)
    batch = intake.batch(NOW + 0.1, with_position=True)
    assert [(event.id, event.occurred_at, event.arrived_at) for event in batch.events] == [
        ("1", NOW - 0.5, NOW),
        ("2", NOW - 0.5, NOW),
    ]
    assert (batch.duplicates, batch.arrived_at) == (1, NOW + 0.1)
    restored = intake_of(batch.position)
    restored.connected(NOW + 1, resumes=True)
    restored.take(frames(2, 3, timestamp=NOW + 0.8), NOW + 1)
    assert ids([restored.batch(NOW + 1.1, with_position=False)]) == ["3"]


def test_events_without_a_usable_time_count_at_their_arrival():
    intake = intake_of()
    intake.connected(NOW, resumes=False)
    for number in range(20):
        intake.take(frames(number, timestamp=None if number % 2 else 7.0), NOW + number / 10)
    batch = intake.batch(NOW + 2, with_position=False)
    assert [event.id for event in batch.events] == [str(number) for number in range(20)]
    for event in batch.events:
        assert event.occurred_at == event.arrived_at == event.time


@pytest.mark.slow
async def test_a_minute_of_rough_weather_counts_every_change_once():
    changes = invent_changes(60_000)
    actions = ["close", "cut", "abort", "silent:1.5", "error", "garbage", "huge"]
    plan = [(number, actions[number // 1500 % len(actions)]) for number in range(1500, 60_000, 1500)]
    log = log_of(changes, 1000.0, canary_every=5.0)
    async with EventStreamsServer(log, plan=plan, redeliver=200) as server:
        source = source_of(server, idle_timeout=0.8)
        batches = await run(source, until_events(60_000), limit=120)
    assert ids(batches) == expected_ids(changes)
    check_batches(batches)
