"""A stream of one's own through the whole of Tracewave: pipeline, history, page and recordings."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from math import floor
from pathlib import Path
from random import Random

import duckdb
import pytest
from running import ROOT, serving, tracewave, until
from test_own_sources import frame, head, http, send, websocket
from visiting import HOSTILE, visit

from tracewave_panel.config import load_settings
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.plan import Planner
from tracewave_panel.recorder import LastMinutes
from tracewave_panel.runtime import Runtime
from tracewave_panel.sources.feed_file import load_feed
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_file import file_batches
from tracewave_panel.sources.own_rows import row_batches
from tracewave_panel.sources.own_sources import iterable_source
from tracewave_panel.sources.rolling_recording import RollingReader
from tracewave_panel.stores.asking import ask_history
from tracewave_panel.stores.open_history import LIVE_FILE, REPLAY_FILE

T0 = 1_767_225_600.0
QUICK = ("--set", "detectors.enabled=zscore,ewma")  # the trees take seconds to import
SETTINGS = load_settings(None, {}, [QUICK[1]])
EXAMPLE = "examples/own-stream/orders.toml"
EVENT = """
[event]
time = "at"
id = "id"
actor = "customer.name"
subject = "item"
label = "item"
link = "url"
place = "country"
[event.dimensions]
country = "customer.country"
order = "channel"
[event.measures]
euros = "amount"
"""
NAMES = 'name = "orders"\ntitle = "Shop orders"\nnoun = "orders"\n'


def orders(seconds=40, hostile=False):
    random = Random(5)
    rows = []
    for second in range(seconds):
        for _ in range(random.randrange(1, 12)):
            text = random.choice(HOSTILE) if hostile else random.choice(["lamp", "chair"])
            rows.append(
                {
                    "at": T0 + second + random.randrange(1000) / 1000,
                    "id": len(rows),
                    "customer": {
                        "name": text if hostile else f"c{random.randrange(9)}",
                        "country": random.choice("abc"),
                    },
                    "item": text,
                    "channel": text if hostile else random.choice(["web", "app"]),
                    "amount": random.randrange(1, 100),
                    "url": f"javascript:{text}" if hostile else "https://shop.example/1",
                }
            )
    return sorted(rows, key=lambda row: row["at"])


ORDERS = orders()


def described(folder, read):
    path = folder / "orders.toml"
    path.write_text(f"{NAMES}[read]\n{read}\n{EVENT}")
    return path


def ndjson(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def csv_of(rows):
    flat = [
        {**row, "customer.name": row["customer"]["name"], "customer.country": row["customer"]["country"]}
        for row in rows
    ]
    columns = [name for name in flat[0] if name != "customer"]
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(flat)
    return written.getvalue()


def stored(path, sql):
    with duckdb.connect(str(path), read_only=True) as history:
        return history.execute(sql).fetchall()


def counted(data):
    """Events in closed windows of a history that a server keeps."""
    answer = ask_history(data, "SELECT coalesce(sum(count), 0)::BIGINT AS n FROM windows")
    return answer.rows.to_pylist()[0]["n"]


def check_history(path, rows=ORDERS):
    """Windows, sums and dimension counts are those that the rows say, counted here."""
    counts = Counter(floor(row["at"]) for row in rows)
    told = stored(path, "SELECT epoch(start)::BIGINT, count FROM windows WHERE count > 0 ORDER BY start")
    assert told == sorted(counts.items())
    sums = Counter()
    for row in rows:
        sums[floor(row["at"])] += row["amount"]
    told = stored(path, "SELECT epoch(start)::BIGINT, euros::BIGINT FROM windows WHERE count > 0 ORDER BY start")
    assert told == sorted(sums.items())
    values = Counter(("country", row["customer"]["country"]) for row in rows)
    values.update(Counter(("order", row["channel"]) for row in rows))
    told = stored(path, "SELECT dimension, value, sum(count)::BIGINT FROM dimension_counts GROUP BY ALL")
    assert {(dimension, value): count for dimension, value, count in told} == values


@asynccontextmanager
async def way_of(way, folder):
    """A planner whose feed brings ORDERS in one of the ways there are."""
    own_times = 'clock = "event"\n'
    if way in {"ndjson", "csv"}:
        (folder / f"orders.{way}").write_text(ndjson(ORDERS) if way == "ndjson" else csv_of(ORDERS))
        yield described(folder, f'file = "orders.{way}"')
    elif way == "growing file":
        (folder / "orders.ndjson").write_text(ndjson(ORDERS))
        yield described(folder, own_times + 'file = "orders.ndjson"\nfollow = true\nbegin = "start"')
    elif way == "sse":

        async def events(writer, number, headers):
            first = int(headers.get("last-event-id", -1)) + 1
            await send(writer, head(), *(frame(ORDERS[n], n) for n in range(first, min(first + 90, len(ORDERS)))))
            await asyncio.sleep(0 if first + 90 < len(ORDERS) else 30)

        async with http(events) as (url, _):
            yield described(folder, own_times + f'url = "{url}"\nretry_base = 0.02\nretry_cap = 0.02')
    else:

        async def messages(connection, number):
            for at in range(0, len(ORDERS), 50):
                await connection.send(json.dumps({"rows": ORDERS[at : at + 50]}))
            await connection.wait_closed()

        async with websocket(messages) as (url, _):
            yield described(folder, own_times + f'url = "{url}"\nwithin = "rows"')


@pytest.mark.parametrize("way", ["ndjson", "csv", "growing file", "sse", "websocket"])
async def test_every_way_in_ends_in_the_windows_that_the_rows_say(way, tmp_path):
    whole = way in {"ndjson", "csv"}
    async with way_of(way, tmp_path) as path:
        data = tmp_path / "data"
        data.mkdir()
        planner = Planner(SETTINGS, f"own:{path}", speed=None, data=data)
        assert planner.feed.title == "Shop orders"
        runtime = Runtime(SETTINGS, planner, data=data)
        assert runtime.feed is planner.feed
        runtime.start()
        try:
            async with asyncio.timeout(60):
                while runtime.counters().get("events", 0) < len(ORDERS) - 12:
                    assert runtime.failure is None
                    await asyncio.sleep(0.05)
            if whole:  # the last window, too, is told when the file ends, and not again at the end of the run
                await asyncio.to_thread(until, lambda: counted(data) == len(ORDERS), 60, 0.1)
                assert runtime.source_status().state.word == "ended"
                told = len(runtime.store.analyses(limit=10_000).items)
            else:
                await asyncio.sleep(0.3)
        finally:
            await asyncio.to_thread(runtime.stop)
        assert runtime.failure is None
    if whole:
        assert len(runtime.store.analyses(limit=10_000).items) == told
    check_history(data / (REPLAY_FILE if whole else LIVE_FILE))
    origin = "imported" if whole else "live"
    meta = dict(stored(data / (REPLAY_FILE if whole else LIVE_FILE), "SELECT key, value FROM meta"))
    assert (meta["feed"], meta["origin"]) == ("orders", origin)


@pytest.mark.slow
def test_standard_input_of_a_real_process(tmp_path):
    path = described(tmp_path, 'stdin = true\nclock = "event"')
    data = tmp_path / "data"
    command = [sys.executable, "-m", "tracewave_panel", "serve", "--source", f"own:{path}", "--port", "0", "--api-port",
               "0", "--data", str(data), *QUICK]  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRACEWAVE_")}
    with subprocess.Popen(command, cwd=ROOT, env=inherited, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as program:  # fmt: skip
        try:
            half = len(ORDERS) // 2
            program.stdin.write(ndjson(ORDERS[:half]) + "not a row\n")
            program.stdin.flush()
            before = sum(floor(row["at"]) < floor(ORDERS[half - 1]["at"]) - 13 for row in ORDERS)
            until((data / LIVE_FILE).exists, 60)
            until(lambda: counted(data) >= before, 60)
            program.stdin.write(ndjson(ORDERS[half:]))
            program.stdin.close()
            until(lambda: counted(data) == len(ORDERS), 60)
            program.terminate()
            program.wait(20)
            printed = program.stdout.read()
        finally:
            if program.poll() is None:
                program.kill()
    assert "standard input, line" in printed
    assert "not JSON" in printed
    check_history(data / LIVE_FILE)


REFUSED = {
    "own:": "--source own:: choose auto, wikimedia, synthetic, recording:PATH or own:FEED.toml",
    "own:nothing.toml": "nothing.toml: the feed's file cannot be read (No such file or directory); check the name",
    "own": "--source own: choose auto",
}


@pytest.mark.parametrize(("spec", "words"), REFUSED.items())
def test_what_cannot_be_a_feed_is_refused_before_anything_starts(spec, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        Planner(SETTINGS, spec)


def test_a_person_reads_why_in_one_line(tmp_path):
    path = described(tmp_path, "stdin = true").with_name("broken.toml")
    path.write_text("[read]\nstdin = true\n[event]\ntiem = 'at'\n")
    ended = tracewave("serve", "--source", f"own:{path}", "--port", "0", "--no-api")
    said = f"tracewave: {path}: [event] tiem: there is no such key; did you mean time?\n"
    assert (ended.returncode, ended.stderr) == (2, said)


def test_a_file_that_is_not_there_is_refused_before_anything_starts(tmp_path):
    path = described(tmp_path, 'file = "nothing.csv"')
    with pytest.raises(ConfigError, match=r"orders.toml: \[read\] file: .*nothing.csv cannot be read \(No such file"):
        Planner(SETTINGS, f"own:{path}")


@pytest.mark.parametrize("spec", ["synthetic", "auto", "wikimedia"])
def test_every_planner_knows_its_feed_at_once(spec):
    assert Planner(SETTINGS, spec).feed is WIKIMEDIA


def run_over(settings, planner, data, seconds=20.0):
    """What the status said once the run was told to end."""
    runtime = Runtime(settings, planner, data=data)
    runtime.start()
    try:
        until(lambda: runtime.failure or runtime.counters().get("events", 0) >= 100, seconds, 0.05)
        notice = runtime.source_status().notice
    finally:
        runtime.stop()
    return runtime, notice


async def rows_now():
    for number in range(10_000):
        yield {"country": "abc"[number % 3], "number": number}
        await asyncio.sleep(0.001)


def test_a_planner_of_a_source_runs_it_and_keeps_its_last_minutes_with_the_feed(tmp_path):
    mapping = Mapping(name="mine", title="My rows", dimensions=["country"], measures=["number"])
    settings, data = SETTINGS, tmp_path / "data"
    data.mkdir()
    planner = Planner.of_source(settings, iterable_source(rows_now, mapping, after=0.1), mapping.feed)
    runtime, notice = run_over(settings, planner, data)
    assert runtime.feed == mapping.feed
    assert (runtime.failure, notice) == (None, "")
    header = RollingReader(data / "rolling").header
    assert header.feed_in("orders") == mapping.feed
    assert header.licence == ""
    # which is played again as the feed that it is
    again = Planner(settings, f"recording:{data / 'rolling'}", speed=None)
    assert again.feed == mapping.feed
    # and never in place of the live feed of edits
    assert Planner(settings, "auto", data=data)._fall_back("no network").feed is WIKIMEDIA


def test_history_of_another_feed_is_left_alone_in_words(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    first = Mapping(name="mine", dimensions=["country"])
    run_over(SETTINGS, Planner.of_source(SETTINGS, iterable_source(rows_now, first, after=0.1), first.feed), data)
    before = stored(data / LIVE_FILE, "SELECT count(*) FROM windows")
    for other in (
        Mapping(name="yours", dimensions=["country"]),
        Mapping(name="mine", dimensions=["country", "number"]),
    ):
        source = iterable_source(rows_now, other, after=0.1)
        runtime, notice = run_over(SETTINGS, Planner.of_source(SETTINGS, source, other.feed), data)
        assert runtime.failure is None
        assert notice.startswith("History is not being kept: ")
        assert "history.duckdb is the history of something else" in notice
        assert "give this feed a folder of its own with --data" in notice
    assert stored(data / LIVE_FILE, "SELECT count(*) FROM windows") == before


def test_last_minutes_of_edits_stay_as_they_were(tmp_path):
    last = LastMinutes(tmp_path / "rolling", WIKIMEDIA, keep=60.0)
    batches = list(row_batches([{"at": T0, "d": "x"}], Mapping(time="at", dimensions=["d"])))
    last.write(batches[0])
    last.close()
    header = RollingReader(tmp_path / "rolling").header
    assert (header.feed, header.feed_in("orders")) == ("wikimedia", WIKIMEDIA)
    assert "Wikimedia" in header.licence


def test_a_feed_of_ones_own_is_recorded_with_what_it_is_and_replayed(tmp_path):
    (tmp_path / "orders.ndjson").write_text(ndjson(ORDERS))
    path, out = described(tmp_path, 'file = "orders.ndjson"'), tmp_path / "orders.jsonl.gz"
    recorded = tracewave("record", f"own:{path}", str(out))
    assert recorded.returncode == 0, recorded.stderr
    assert f"{len(ORDERS)} events" in recorded.stdout
    assert "all of orders.ndjson was read" in recorded.stdout
    path.unlink()
    replayed = tracewave("replay", str(out), "--speed", "max", "--json", *QUICK)
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(replayed.stdout)["events"] == len(ORDERS)
    refused = tracewave("record", "nothing", str(tmp_path / "x"))
    assert (refused.returncode, refused.stderr) == (
        2,
        "tracewave: nothing: what can be recorded is wikimedia or own:FEED.toml\n",
    )


@pytest.mark.browser
def test_the_page_shows_a_feed_of_ones_own_in_its_words_and_its_text_as_text(tmp_path, browser):
    pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    rows = orders(120, hostile=True)
    (tmp_path / "orders.csv").write_text(csv_of(rows))
    path = described(tmp_path, 'file = "orders.csv"')
    with serving("--source", f"own:{path}", "--speed", "max", "--data", str(tmp_path / "data"), *QUICK) as (_, address):
        port = int(address.rpartition(":")[2])
        with visit(browser, port, viewport={"width": 1440, "height": 1000}) as seen:
            page = seen.page
            page.get_by_text("all of orders.csv was read").first.wait_for(timeout=60_000)
            page.get_by_text("00:01:58").first.wait_for(timeout=60_000)
            for words in ("Shop orders", "Orders a second", "Customers", "Items", "Euros", "orders/s", "Recorded"):
                page.get_by_text(words).first.wait_for()
            assert page.get_by_text("edits").count() == 0
            page.get_by_text("00:01:59").first.wait_for()  # raw events are listed at most every two seconds
            page.get_by_text(rows[-1]["item"][:40]).first.wait_for()
            assert page.evaluate("window.struck") is None
            assert page.locator("a[href^='javascript' i]").count() == 0
            assert seen.errors == []
            if shots := os.environ.get("TRACEWAVE_SHOTS"):
                page.screenshot(path=Path(shots) / "own.png")


def documented(page):
    """TOML tables, Python and commands of a page, in order."""
    text = (ROOT / page).read_text()
    return {kind: re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("toml", "python", "bash")}


def test_the_documented_feed_can_be_read_and_the_documented_program_runs(tmp_path):
    page = documented("docs/own-stream.md")
    (tmp_path / "orders.toml").write_text(page["toml"][0])
    feed = load_feed(tmp_path / "orders.toml", {"SHOP_TOKEN": "x"}).mapping.feed
    assert [metric.name for metric in feed.metrics] == ["orders", "takings"]
    ran = subprocess.run(
        [sys.executable, "-c", page["python"][0]], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "1 1767225600.0\n"), ran.stderr


def test_the_example_runs_as_it_is_printed(tmp_path):
    shown = (ROOT / "examples" / "own-stream" / "orders.toml").read_text()
    readme = documented("README.md")
    if any("own:" in command for command in readme["bash"]):
        table = next(toml for toml in readme["toml"] if "placed_at" in toml)
        assert table == shown[shown.index("title") :]
        assert any(f"serve --source own:{EXAMPLE}" in command for command in readme["bash"])
    script = [sys.executable, str(ROOT / "examples" / "own-stream" / "make_orders.py")]
    made = subprocess.run([*script, "--seconds", "300"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert all(json.loads(line)["order"] for line in made.splitlines())
    (tmp_path / "orders.ndjson").write_text(made)
    (tmp_path / "orders.toml").write_text(shown.replace("stdin = true", 'file = "orders.ndjson"'))
    batches = file_batches(tmp_path / "orders.ndjson", load_feed(tmp_path / "orders.toml").mapping)
    assert sum(len(batch.events) for batch in batches) == len(made.splitlines()) > 3000
    # and as a person types it, through a pipe
    with subprocess.Popen(script, stdout=subprocess.PIPE) as maker:
        command = [sys.executable, "-m", "tracewave_panel", "serve", "--source", f"own:{EXAMPLE}", "--port", "0",
                   "--no-api", "--data", str(tmp_path / "data"), *QUICK]  # fmt: skip
        with subprocess.Popen(command, cwd=ROOT, stdin=maker.stdout, stdout=subprocess.PIPE, text=True) as program:
            try:
                assert "Tracewave is at " in program.stdout.readline()
                until((tmp_path / "data" / "query.sock").exists, 40)
                until(lambda: counted(tmp_path / "data") > 0, 40)
            finally:
                maker.kill()
                program.terminate()
                program.wait(20)
