"""Every source keeps the promises of its port; the check finds sources that do not."""

from __future__ import annotations

import asyncio
import math
import pkgutil
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import pytest
from servers.eventstreams import EventStreamsServer, Log, at_rate, invent_changes

from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Mark, Quality
from tracewave_panel.ports import FeedState
from tracewave_panel.sources import SOURCES
from tracewave_panel.sources.feed_file import ReadSettings
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_local import IterableLink
from tracewave_panel.sources.synthetic import SyntheticSettings, SyntheticSource, simulate, write_simulation
from tracewave_panel.sources.synthetic_incidents import Incident
from tracewave_panel.sources.wikimedia import WikimediaSettings
from tracewave_panel.testing import check_source

START = 1_767_225_600.0
EVENTFUL = SyntheticSettings(speed=100.0, incidents=(Incident("reconnect_backlog", 3, length=4),))
ENTRIES = [
    ("wikimedia", "streaming", 25),
    ("wikimedia", "through disconnects", 25),
    ("recording", "at its pace", 150),
    ("recording", "as fast as possible", 150),
    ("recording", "round and round", 500),
    ("synthetic", "through a disconnect", 150),
    ("own", "an iterable", 25),
]


@asynccontextmanager
async def wikimedia(source, how):
    plan = [(number, "cut") for number in range(100, 9000, 150)] if how == "through disconnects" else []
    log = Log(invent_changes(10_000), at_rate(10_000, 500.0), canary_every=0.2)
    async with EventStreamsServer(log, plan=plan, redeliver=20) as server:
        settings = WikimediaSettings(server.url, batch_interval=0.02, retry_base=0.02, retry_cap=0.05)
        yield partial(source, settings)


@asynccontextmanager
async def recording(source, how, folder):
    path = folder / "edits.jsonl.gz"
    write_simulation(path, simulate(EVENTFUL, START, 20))
    ways = {
        "at its pace": {"speed": 100.0},
        "as fast as possible": {"speed": None},
        "round and round": {"speed": 500.0, "loop": True, "rebase_to": START + 1e6},
    }
    yield partial(source, path, **ways[how])


@asynccontextmanager
async def synthetic(source):
    yield lambda: source(EVENTFUL, clock=lambda: START)


@asynccontextmanager
async def own(source):
    async def edits():
        number = 0
        while True:
            number += 1
            yield {"id": number, "wiki": "de", "bytes": 3}
            await asyncio.sleep(0.005)

    fields = dict.fromkeys(WIKIMEDIA.dimensions, "wiki")
    mapping = Mapping(name="mine", id="id", dimensions=fields, measures={"byte_change": "bytes"})
    settings = ReadSettings(batch_interval=0.02)
    yield lambda: source(IterableLink(edits), mapping, settings)


@pytest.mark.parametrize(("name", "how", "batches"), ENTRIES)
async def test_every_source_keeps_its_promises(name, how, batches, tmp_path):
    source = pkgutil.resolve_name(SOURCES[name])
    made = {
        "wikimedia": partial(wikimedia, how=how),
        "recording": partial(recording, how=how, folder=tmp_path),
        "synthetic": synthetic,
        "own": own,
    }
    async with made[name](source) as make_source:
        await check_source(make_source, resumes=name in {"wikimedia", "own"}, batches=batches)


def test_no_source_is_left_out():
    assert {name for name, *_ in ENTRIES} == set(SOURCES)


replaced = msgspec.structs.replace


def with_last_event(batch, **fields):
    *others, last = batch.events
    return replaced(batch, events=(*others, replaced(last, **fields)))


SPOILED = {
    "watermark goes back": lambda batch: replaced(batch, watermark=START - 100.0),
    "watermark is nan": lambda batch: replaced(batch, watermark=math.nan),
    "arrived_at goes back": lambda batch: replaced(batch, arrived_at=START - 100.0),
    "after its batch": lambda batch: with_last_event(batch, arrived_at=batch.arrived_at + 1.0),
    "number of dimensions": lambda batch: with_last_event(batch, dimensions=("en.wikipedia.org",)),
    "number of measures": lambda batch: with_last_event(batch, measures=()),
    "the time of .* is inf": lambda batch: with_last_event(batch, time=math.inf),
    "arrival of .* goes back": lambda batch: with_last_event(batch, arrived_at=START - 100.0),
    "handed over twice": lambda batch: with_last_event(batch, id=batch.events[0].id),
    "is no Event": lambda batch: replaced(batch, events=("edit",)),
    "is no Batch": lambda batch: batch.events,
    "not bytes": lambda batch: replaced(batch, position="3"),
    "has passed its end": lambda batch: replaced(batch, marks=(Mark(START - 9.0, START - 8.0, Quality.GAP),)),
    "no stretch of time": lambda batch: replaced(batch, marks=(Mark(START + 9.0, START + 8.0, Quality.GAP),)),
    "neither partial nor gap": lambda batch: replaced(batch, marks=(Mark(START, START + 99.0, Quality.OK),)),
}


class Sound(SyntheticSource):
    """What the broken ones are made from: 100 s of simulated edits in a second."""

    def __init__(self):
        super().__init__(EVENTFUL, clock=lambda: START)


@pytest.mark.parametrize(("words", "spoil"), SPOILED.items(), ids=SPOILED.keys())
async def test_check_finds_a_batch_that_breaks_a_promise(words, spoil):
    class Spoiled(Sound):
        async def batches(self, position=b""):
            async for batch in super().batches(position):
                yield spoil(batch) if batch.arrived_at > START + 1.0 and len(batch.events) > 1 else batch

    with pytest.raises(AssertionError, match=words):
        await check_source(Spoiled, resumes=False)


class NeverStops(Sound):
    async def stop(self):
        pass


class GoesOnForAWhile(Sound):
    stopped = False

    async def stop(self):
        self.stopped = True

    async def batches(self, position=b""):
        left = 3
        async for batch in super().batches(position):
            yield batch
            left -= self.stopped
            if not left:
                return


class ClosesSlowly(Sound):
    async def batches(self, position=b""):
        try:
            async for batch in super().batches(position):
                yield batch
        finally:
            await asyncio.sleep(1.5)


class LeavesItsReader(Sound):
    async def batches(self, position=b""):
        self.reader = asyncio.create_task(asyncio.sleep(3), name="reader")
        async for batch in super().batches(position):
            yield batch


class BeginsAnew(Sound):
    async def batches(self, position=b""):
        async for batch in super().batches():
            yield replaced(batch, position=b"somewhere")


class ForgetsACounter(Sound):
    def status(self):
        told = super().status()
        return replaced(told, counters={"events": told.counters["events"]})


class CountsNothing(Sound):
    def status(self):
        told = super().status()
        return replaced(told, counters=dict.fromkeys(told.counters, 0))


class CountsBack(Sound):
    def status(self):
        told = super().status()
        return replaced(told, counters=told.counters | {"skipped": 1000 - told.counters["events"]})


class HasAWordOfItsOwn(Sound):
    def status(self):
        return replaced(super().status(), state=FeedState("wonderful"))


@pytest.mark.parametrize(
    ("broken", "resumes", "words"),
    [
        (NeverStops, False, "end of the iteration after stop.. takes over 1 s"),
        (GoesOnForAWhile, False, "after stop.. there came 2 batches"),
        (ClosesSlowly, False, "takes over 1 s"),
        (LeavesItsReader, False, "leaves tasks that still run after 1 s: reader"),
        (Sound, True, "carries no position"),
        (BeginsAnew, True, "goes back"),
        (ForgetsACounter, False, "has no counter undecodable"),
        (CountsNothing, False, "status.. counts 0"),
        (CountsBack, False, "counter skipped went from 1000 back"),
        (HasAWordOfItsOwn, False, "wonderful"),
    ],
)
async def test_check_finds_a_source_that_breaks_a_promise(broken, resumes, words):
    with pytest.raises(AssertionError, match=words):
        await check_source(broken, resumes=resumes)


async def test_check_says_when_the_feed_brings_too_little(tmp_path):
    async with recording(pkgutil.resolve_name(SOURCES["recording"]), "as fast as possible", tmp_path) as make_source:
        with pytest.raises(AssertionError, match="of 1000 batches came"):
            await check_source(make_source, resumes=False, batches=1000)
