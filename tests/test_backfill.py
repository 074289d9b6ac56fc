"""Backfill adds what history lacks and nothing twice: beside a server, through it, killed in the middle, again."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from findings_of import T0, analysis, anomaly, event, findings
from running import ROOT, ask, event_stream, running, serving, tracewave, until

from tracewave_panel.backfill import Backfill, backfill_recording
from tracewave_panel.cli import main
from tracewave_panel.config import load_settings
from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.model import AnomalyKind, Origin, Quality
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_rows import row_batches
from tracewave_panel.sources.recording import RecordingHeader, RecordingWriter, read_recording, state_beside
from tracewave_panel.sources.replay import shifted
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.filling import filling
from tracewave_panel.stores.frames import take_frame, tell_frame
from tracewave_panel.stores.history import query_folder
from tracewave_panel.stores.messages import MAX_PIECE, Reply, Taken, offer_of
from tracewave_panel.stores.open_history import LIVE_FILE, REPLAY_FILE, SOCKET_FILE
from tracewave_panel.stores.portions import Portions
from tracewave_panel.stores.query_socket import QuerySocket
from tracewave_panel.stores.waiting import EVENTS_LIMIT

BUNDLED = ROOT / "recordings" / "simulated-edits.jsonl.gz"
QUICK = ("--set", "detectors.enabled=zscore,ewma")  # the trees take seconds to import
SETTINGS = load_settings(None, {}, [QUICK[1]])
COUNTS = """
    SELECT (SELECT count(*) FROM windows) AS windows, (SELECT count(DISTINCT (series, start)) FROM windows) AS starts,
           (SELECT count(*) FROM events) AS events, (SELECT count(DISTINCT id) FROM events) AS ids,
           (SELECT count(*) FROM anomalies) AS anomalies, (SELECT count(DISTINCT id) FROM anomalies) AS anomaly_ids
"""
TABLES = {
    "windows": "SELECT * FROM windows ORDER BY series, start",
    "metrics": "SELECT * EXCLUDE (told) FROM metrics ORDER BY series, start, metric",
    "scores": "SELECT * FROM scores ORDER BY series, start, metric, detector",
    "dimension_counts": "SELECT * FROM dimension_counts ORDER BY ALL",
    "anomalies": "SELECT * EXCLUDE (told) FROM anomalies ORDER BY id",
    "contributions": "SELECT * EXCLUDE (samples) FROM contributions ORDER BY anomaly_id, rank",
    "events": "SELECT * EXCLUDE (told) FROM events ORDER BY time, id",
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """Seven minutes of simulated edits with a silence, windows told again and a spike; and a State beside them."""
    out = tmp_path_factory.mktemp("simulated") / "minutes.jsonl.gz"
    state_beside(out).write_bytes(state_beside(BUNDLED).read_bytes())
    return as_recorded(BUNDLED, out, Origin.SIMULATED, first=10_000, last=14_300)


@pytest.fixture(scope="module")
def recorded(simulated) -> Path:
    """The same as it would be had it been recorded from the live feed two hours ago."""
    out = simulated.with_name("live.jsonl.gz")
    state_beside(out).write_bytes(state_beside(BUNDLED).read_bytes())
    return as_recorded(simulated, out, Origin.LIVE, ago=7200.0)


@pytest.fixture(scope="module")
def short(simulated) -> Path:
    """Half a minute of it, with the State."""
    out = simulated.with_name("short.jsonl.gz")
    state_beside(out).write_bytes(state_beside(BUNDLED).read_bytes())
    return as_recorded(simulated, out, Origin.SIMULATED, last=350)


def as_recorded(
    path: Path, out: Path, origin: Origin, *, feed="wikimedia", first=0, last=1 << 40, ago: float | None = None
) -> Path:
    """Some of a recording's batches, as a recording of its own, moved in time."""
    header, batches = read_recording(path)
    shift = 0.0 if ago is None else float(round(time.time() - ago - header.started_at))
    told = [shifted(batch, shift) for number, batch in enumerate(batches) if first <= number < last]
    fresh = RecordingHeader(feed=feed, origin=origin, started_at=told[0].arrived_at)
    with RecordingWriter(out, fresh) as writer:
        for batch in told:
            writer.write(batch)
    return out


def fill(path: Path, data: Path, **fields) -> Backfill:
    done = Backfill(SETTINGS)
    backfill_recording(path, data, SETTINGS, done, **fields)
    return done


def held(data: Path) -> dict:
    return {name: query_folder(data, sql, max_rows=1_000_000).rows for name, sql in TABLES.items()}


def counts(data: Path) -> dict[str, int]:
    table = query_folder(data, COUNTS)
    found = dict(zip(table.columns, table.rows[0], strict=True))
    assert found["windows"] == found["starts"]
    assert found["events"] == found["ids"]
    assert found["anomalies"] == found["anomaly_ids"]
    return {name: found[name] for name in ("windows", "events", "anomalies")}


@pytest.fixture(scope="module")
def whole(recorded, tmp_path_factory) -> tuple[Path, Backfill]:
    """A folder that the recording was filled into in one go."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, fill(recorded, folder)


@contextmanager
def served(folder: Path, file: str = LIVE_FILE, feed=WIKIMEDIA, origin=Origin.LIVE) -> Iterator[DuckDBStore]:
    """A history that a server has open."""
    with DuckDBStore(folder / file, feed, origin=origin, commit_interval=0.02) as store:
        answering = QuerySocket(store, folder / SOCKET_FILE)
        try:
            yield store
        finally:
            answering.close()


# -- into the file


def test_history_holds_what_a_replay_tells(recorded, whole, tmp_path):
    folder, done = whole
    told = tracewave("replay", str(recorded), "--speed", "max", "--json", *QUICK)
    summary = json.loads(told.stdout)
    again = summary["windows_by_quality"].get("revised", 0)
    assert counts(folder)["windows"] == summary["windows"] - again == done.windows
    assert counts(folder)["events"] == summary["events"] == done.events
    anomalies = {each["id"]: each for each in summary["anomalies"] if each["kind"] != "feed_silent"}
    held_ids = {row[0] for row in query_folder(folder, "SELECT id FROM anomalies").rows}
    assert held_ids == set(anomalies)
    assert len(anomalies) == done.anomalies > 0
    closed = query_folder(folder, "SELECT id, epoch(closed), observed FROM anomalies").rows
    assert {(each["id"], each["closed"], each["observed"]) for each in anomalies.values()} == set(closed)


def test_second_time_adds_nothing(recorded, whole):
    folder, done = whole
    before = held(folder)
    again = fill(recorded, folder)
    assert (again.windows, again.anomalies, again.events) == (0, 0, 0)
    assert again.words == (
        f"nothing new: all {done.windows:,} windows are there already "
        f"(into {folder / LIVE_FILE}, which no server has open)"
    )
    assert held(folder) == before


@pytest.mark.slow
def test_only_what_is_missing_is_added(recorded, whole, tmp_path):
    middle = as_recorded(recorded, tmp_path / "middle.jsonl.gz", Origin.LIVE, first=1000, last=2000)
    part = fill(middle, tmp_path)
    before = held(tmp_path)
    rest = fill(recorded, tmp_path)
    assert part.windows + rest.windows == whole[1].windows
    assert part.events + rest.events == whole[1].events
    assert counts(tmp_path)["windows"] == whole[1].windows
    for name in ("windows", "scores"):
        assert set(before[name]) <= set(held(tmp_path)[name]), "what was there was changed"


def test_gap_is_filled_and_other_windows_stay(recorded, whole, tmp_path):
    start = query_folder(whole[0], "SELECT epoch(start) FROM windows ORDER BY start LIMIT 1 OFFSET 100").rows[0][0]
    with DuckDBStore(tmp_path / LIVE_FILE, WIKIMEDIA) as store:
        gap = analysis(start - T0, quality=Quality.GAP, count=0)
        mine = analysis(start + 1 - T0, count=12345)
        store.append(findings(start - T0 + 2, gap, mine))
        store.flush()
    done = fill(recorded, tmp_path)
    assert done.windows == whole[1].windows - 1
    sql = f"SELECT quality, count FROM windows WHERE epoch(start) BETWEEN {start} AND {start + 1} ORDER BY start"
    filled, kept = query_folder(tmp_path, sql).rows
    assert filled[0] != "gap"
    assert kept == ("ok", 12345)


def test_state_beside_a_recording_warms_the_detectors_unless_it_shall_not(short, tmp_path):
    for folder, cold in (("warm", False), ("cold", True)):
        fill(short, tmp_path / folder, cold=cold)
    warm, cold = (
        query_folder(tmp_path / folder, "SELECT warm FROM scores ORDER BY start LIMIT 1 OFFSET 20").rows[0][0]
        for folder in ("warm", "cold")
    )
    assert (warm, cold) == (True, False)


def test_folder_of_a_rolling_recording_is_filled_in_too(recorded, whole, tmp_path):
    rolling = tmp_path / "rolling"
    rolling.mkdir()
    (rolling / f"run-{1_700_000_000_000:013d}-000001.jsonl.gz").write_bytes(recorded.read_bytes())
    done = fill(rolling, tmp_path / "data")
    assert (done.windows, done.events) == (whole[1].windows, whole[1].events)


def test_events_that_would_not_be_kept_are_left_out_and_counted(recorded, whole, tmp_path):
    settings = load_settings(None, {}, [QUICK[1], "store.keep_events=3600", "store.keep_windows=7000"])
    done = Backfill(settings)
    backfill_recording(recorded, tmp_path, settings, done)
    assert (done.windows, done.events) == (whole[1].windows, 0)
    lines = done.words.splitlines()
    assert lines[1] == f"{whole[1].events:,} events are older than 1 h (store.keep_events) and were left out"
    assert re.match(r"about \d+ windows are older than 0\.081\d+ days \(store\.keep_windows\): a server", lines[2])
    assert len(whole[1].words.splitlines()) == 1


def test_no_events_are_stored_where_none_are_kept(short, tmp_path):
    settings = load_settings(None, {}, [QUICK[1], "store.keep_events=0"])
    done = Backfill(settings)
    backfill_recording(short, tmp_path, settings, done)
    assert (done.events, counts(tmp_path)["events"]) == (0, 0)


# -- kinds are kept apart


def test_simulated_data_never_reaches_the_live_history(short, tmp_path):
    real = as_recorded(short, tmp_path / "real.jsonl.gz", Origin.LIVE)
    for path in (short, real):
        fill(path, tmp_path)
    origins = {
        name: query_folder(tmp_path / name, "SELECT value FROM meta WHERE key = 'origin'").rows[0][0]
        for name in (LIVE_FILE, REPLAY_FILE)
    }
    assert origins == {LIVE_FILE: "live", REPLAY_FILE: "simulated"}


@pytest.mark.parametrize(
    ("keeps", "given"), [(LIVE_FILE, "simulated"), (REPLAY_FILE, "recorded")], ids=["simulated", "recorded"]
)
def test_server_that_keeps_the_other_file_refuses_in_words(simulated, recorded, tmp_path, keeps, given):
    path = {"simulated": simulated, "recorded": recorded}[given]
    with served(tmp_path, keeps) as store:
        done = CliRunner().invoke(main, ["backfill", str(path), "--data", str(tmp_path), *QUICK])
        assert store.query("SELECT count(*) FROM windows").rows == ((0,),)
    assert done.exit_code == 2
    assert f"the server keeps {tmp_path / keeps} at this moment, and this belongs into " in done.stderr
    assert "stop the server, or choose another folder" in done.stderr


def test_another_feed_than_the_files_is_refused_in_words(recorded, tmp_path):
    trades = as_recorded(recorded, tmp_path / "trades.jsonl.gz", Origin.LIVE, feed="crypto", last=1)
    unknown = as_recorded(recorded, tmp_path / "unknown.jsonl.gz", Origin.LIVE, feed="telegraph", last=1)
    with served(tmp_path):
        through = CliRunner().invoke(main, ["backfill", str(trades), "--data", str(tmp_path), *QUICK])
    beside = CliRunner().invoke(main, ["backfill", str(trades), "--data", str(tmp_path), *QUICK])
    for done in (through, beside):
        assert done.exit_code == 2
        assert "is the history of something else (feed wikimedia" in done.stderr
    none = CliRunner().invoke(main, ["backfill", str(unknown), "--data", str(tmp_path / "new"), *QUICK])
    assert (none.exit_code, "'telegraph', a feed this version does not know" in none.stderr) == (2, True)
    assert not (tmp_path / "new").exists()


def test_windows_of_another_width_are_refused_in_words(recorded, whole):
    before = counts(whole[0])
    done = CliRunner().invoke(
        main, ["backfill", str(recorded), "--data", str(whole[0]), *QUICK, "--set", "window.width=10"]
    )
    assert done.exit_code == 2
    assert "has windows of 1 s, and these would be of 10 s; add --set window.width=1" in done.stderr
    assert counts(whole[0]) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "say one of: a RECORDING, or --since"),
        ("{recorded} --since 6h", "say one of: a RECORDING, or --since"),
        ("README.md", "README.md is not a Tracewave recording"),
        ("{folder}/missing.gz", "cannot open {folder}/missing.gz: No such file"),
        ("{folder}", "nothing was recorded in {folder} yet"),
        ("{recorded} --data http://127.0.0.1:8000", "history is filled in its data folder"),
        ("{recorded} --data {folder}/h.duckdb", "history is filled in its data folder"),
        ("--since soon", "'soon' is no time"),
        ("{recorded} --data README.md/x", "cannot make the data folder README.md/x"),
    ],
)
def test_what_a_person_got_wrong_is_said(recorded, tmp_path, arguments, words):
    known = {"folder": tmp_path, "recorded": recorded}
    asked = arguments.format(**known).split()
    where = [] if "--data" in asked else ["--data", str(tmp_path / "data")]
    done = CliRunner().invoke(main, ["backfill", *asked, *where, *QUICK])
    assert done.exit_code == 2
    assert words.format(**known) in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


# -- through a server


def test_findings_go_through_the_server_that_has_the_history_open(recorded, whole, tmp_path):
    with served(tmp_path):
        done = fill(recorded, tmp_path)
        assert done.by == f"through the server that has {tmp_path / LIVE_FILE} open"
        assert held(tmp_path) == held(whole[0])
        again = fill(recorded, tmp_path)
    assert (done.windows, done.events, done.anomalies) == (whole[1].windows, whole[1].events, whole[1].anomalies)
    assert again.words.startswith("nothing new")


def test_one_client_at_a_time_fills_and_others_may_ask(tmp_path):
    with served(tmp_path), filling(tmp_path, WIKIMEDIA, Origin.LIVE) as (filler, _):
        told = findings(1, analysis(0), events=(event(0),))
        assert filler.backfill(told) == Taken(windows=1, events=1)
        with pytest.raises(StoreError, match="another backfill goes through the server"):
            filling(tmp_path, WIKIMEDIA, Origin.LIVE).__enter__()
        assert query_folder(tmp_path, "SELECT count(*) FROM windows").rows == ((1,),)
        assert filler.backfill(told) == Taken()


@pytest.mark.parametrize(
    "said",
    [b"", b"\x00", b"\x00\x00\x10\x00half a frame", b"\xff\xff\xff\xff", b"\x00\x00\x00\x05hello"],
    ids=["gone", "half a length", "half a frame", "too long", "nonsense"],
)
def test_client_that_dies_in_the_middle_harms_nothing(tmp_path, said):
    with served(tmp_path):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / SOCKET_FILE))
            tell_frame(client, msgspec.msgpack.encode(offer_of(WIKIMEDIA, LIVE_FILE)), 5)
            assert msgspec.msgpack.decode(take_frame(client, MAX_PIECE, 5), type=Reply).failure == ""
            tell_frame(client, msgspec.msgpack.encode(findings(1, analysis(0))), 5)
            assert msgspec.msgpack.decode(take_frame(client, MAX_PIECE, 10), type=Taken) == Taken(windows=1)
            client.sendall(said)
        until(lambda: can_fill(tmp_path), 10, every=0.05)
        assert query_folder(tmp_path, "SELECT count(*) FROM windows").rows == ((1,),)


def can_fill(folder: Path) -> bool:
    try:
        with filling(folder, WIKIMEDIA, Origin.LIVE):
            return True
    except StoreError:
        return False


def test_what_cannot_be_written_is_told_to_the_client(tmp_path):
    with served(tmp_path), filling(tmp_path, WIKIMEDIA, Origin.LIVE) as (filler, _):
        unwritable = analysis(0, features=(1.0,) * 6, count=1 << 80)
        with pytest.raises((StoreError, OverflowError)):
            filler.backfill(findings(1, unwritable))
        assert filler.backfill(findings(2, analysis(1))) == Taken(windows=1)


def test_server_that_closes_in_the_middle_is_said(tmp_path):
    with served(tmp_path) as store, filling(tmp_path, WIKIMEDIA, Origin.LIVE) as (filler, _):
        filler.backfill(findings(1, analysis(0)))
        store.close()
        with pytest.raises(StoreError, match=r"closed|gave no answer"):
            filler.backfill(findings(2, analysis(1)))


# -- portions


def test_portions_are_bounded_and_hold_everything_once():
    portions, cut, whole_windows = Portions(enough=20_000), [], 200
    for second in range(whole_windows):
        told = findings(second + 1, analysis(second), analysis(second, metric="pages"), events=(event(second),) * 2)
        cut.extend(portions.add(told))
    cut.extend(portions.rest())
    assert len(cut) > 10
    assert max(len(msgspec.msgpack.encode(each)) for each in cut) < 60_000
    assert [each.window.start - T0 for part in cut for each in part.analyses[::2]] == list(range(whole_windows))
    for part in cut:
        assert [each.metric for each in part.analyses] == ["rate", "pages"] * (len(part.analyses) // 2)
    assert sum(len(part.events) for part in cut) == 2 * whole_windows


def test_one_findings_with_many_windows_is_cut_too():
    portions = Portions(enough=20_000)
    cut = list(portions.add(findings(300, *(analysis(second) for second in range(300)))))
    cut.extend(portions.rest())
    assert len(cut) > 10
    assert [each.window.start - T0 for part in cut for each in part.analyses] == list(range(300))


def test_events_of_one_window_are_cut_into_portions_that_no_history_lets_go():
    portions, count = Portions(), 2 * EVENTS_LIMIT
    events = tuple(event(0.5, number) for number in range(count))
    cut = [*portions.add(findings(1, analysis(0), events=events)), *portions.rest()]
    assert max(len(part.events) for part in cut) <= EVENTS_LIMIT / 8
    assert [each.id for part in cut for each in part.events] == [each.id for each in events]


@pytest.mark.slow
def test_second_with_more_events_than_may_wait_is_filled_in_whole(tmp_path):
    portions, count = Portions(), EVENTS_LIMIT + 5000
    events = tuple(event(0.5, number) for number in range(count))
    with filling(tmp_path, WIKIMEDIA, Origin.LIVE) as (filler, _):
        told = [*portions.add(findings(1, analysis(0), events=events)), *portions.rest()]
        assert sum(filler.backfill(each).events for each in told) == count
    assert query_folder(tmp_path, "SELECT count(*) FROM events").rows == ((count,),)


def test_anomaly_waits_with_the_window_that_it_opened_in_until_it_has_closed():
    portions = Portions(enough=1)
    opened = anomaly("a", 1)
    cut = [
        list(portions.add(findings(second + 1, analysis(second), anomalies=told)))
        for second, told in ((0, ()), (1, (opened,)), (2, ()), (3, (msgspec.structs.replace(opened, observed=99.0),)),
                             (4, (msgspec.structs.replace(opened, closed=T0 + 4),)), (5, ()))
    ]  # fmt: skip
    starts = [[each.window.start - T0 for part in parts for each in part.analyses] for parts in cut]
    assert starts == [[0], [], [2], [3], [4, 1], [5]]
    (told,) = [each for parts in cut for part in parts for each in part.anomalies]
    assert told.closed == T0 + 4
    assert list(portions.rest()) == []


def test_window_told_again_waits_for_its_last_telling():
    portions = Portions(enough=1)
    cut = []
    for second, revision, count in ((0, 0, 5), (9, 0, 7), (0, 1, 6)):
        quality = Quality.OK if second else Quality.REVISED if revision else Quality.PARTIAL
        told = analysis(second, revision=revision, count=count, quality=quality)
        cut.extend(portions.add(findings(10, told)))
    cut.extend(portions.rest())
    told = [(each.window.start - T0, each.window.revision, each.window.count) for part in cut for each in part.analyses]
    assert told == [(9, 0, 7), (0, 1, 6)]


def test_anomaly_that_never_closes_comes_last_and_silence_never():
    portions = Portions()
    silent = msgspec.structs.replace(anomaly("s", 2), kind=AnomalyKind.FEED_SILENT)
    told = (anomaly("a", 1), silent)
    gap = analysis(2, quality=Quality.GAP)
    assert list(portions.add(findings(3, analysis(0), analysis(1), gap, anomalies=told))) == []
    (rest,) = portions.rest()
    assert [each.window.start - T0 for each in rest.analyses] == [0, 1]
    assert [each.id for each in rest.anomalies] == ["a"]


# -- real processes


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_is_complete(recorded, whole, tmp_path):
    slowly = f"""
from pathlib import Path
from tracewave_panel.backfill import Backfill, backfill_recording
from tracewave_panel.config import load_settings
settings = load_settings(None, {{}}, [{QUICK[1]!r}])
backfill_recording(Path({str(recorded)!r}), Path({str(tmp_path)!r}), settings, Backfill(settings), enough=100_000)
"""
    for windows in (20, 150):
        with running("-c", slowly) as program:
            until(lambda least=windows: windows_of(tmp_path) >= least, 60, every=0.02)
            program.end(signal.SIGKILL)
    assert 150 <= windows_of(tmp_path) < whole[1].windows
    done = fill(recorded, tmp_path)
    assert 0 < done.windows < whole[1].windows
    assert held(tmp_path) == held(whole[0])


def windows_of(folder: Path) -> int:
    try:
        return query_folder(folder, "SELECT count(*) FROM windows").rows[0][0]
    except StoreError:
        return 0


def test_interrupted_backfill_says_so_and_goes_on(recorded, whole, tmp_path):
    with running("-m", "tracewave_panel", "backfill", str(recorded), "--data", str(tmp_path), *QUICK) as program:
        until((tmp_path / SOCKET_FILE).exists, 40, every=0.02)
        program.end(signal.SIGINT)
        assert program.process.returncode == 130, program.output
        assert "interrupted. What was filled in stays; the same command goes on" in program.output
        assert "Traceback" not in program.output
    assert not (tmp_path / SOCKET_FILE).exists()


@pytest.mark.slow
def test_recording_goes_through_a_live_server_which_goes_on(recorded, whole, tmp_path):
    with event_stream("--rate", "40") as url:
        server = ("--no-api", "--source", "wikimedia", "--data", str(tmp_path), "--set", f"wikimedia.url={url}", *QUICK)
        with serving(*server) as (program, _):
            until(lambda: (tmp_path / SOCKET_FILE).exists() and windows_of(tmp_path) > 2, 40, every=0.2)
            done = tracewave("backfill", str(recorded), "--data", str(tmp_path), *QUICK)
            assert done.returncode == 0, done.stderr
            assert f"{whole[1].windows:,} windows new, 0 there already" in done.stdout
            assert f"through the server that has {tmp_path / LIVE_FILE} open" in done.stdout
            before = windows_of(tmp_path)
            until(lambda: windows_of(tmp_path) > before, 20)
            again = tracewave("backfill", str(recorded), "--data", str(tmp_path), *QUICK)
            assert again.stdout.startswith("nothing new")
            program.end()
    (row,) = ask("SELECT count(*) AS n FROM windows WHERE start < now() - INTERVAL 1 HOUR", tmp_path)
    assert row["n"] == whole[1].windows


@contextmanager
def past_feed(seconds: int, rate: float) -> Iterator[str]:
    """EventStreams with so many seconds behind it, and going on."""
    from servers.eventstreams import EventStreamsServer, Log, at_rate, invent_changes  # noqa: PLC0415

    started, stop, urls = threading.Event(), asyncio.Event(), []
    loops = []

    async def serve() -> None:
        log = Log(invent_changes(int((seconds + 120) * rate)), at_rate(int((seconds + 120) * rate), rate))
        log.started_at = time.time() - seconds
        async with EventStreamsServer(log) as server:
            urls.append(server.url)
            loops.append(asyncio.get_running_loop())
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(20)
    try:
        yield urls[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


@pytest.mark.slow
def test_hours_past_of_the_live_feed_are_filled_in_until_the_present(tmp_path):
    with past_feed(180, 20.0) as url:
        command = ("backfill", "--since", "2m ago", "--data", str(tmp_path), "--set", f"wikimedia.url={url}", *QUICK)
        first = tracewave(*command)
        assert first.returncode == 0, first.stderr
        again = tracewave(*command)
        assert again.returncode == 0, again.stderr
    new = int(re.match(r"(\d+) windows new, 0 there already", first.stdout)[1])
    assert 110 <= new <= 130
    found = counts(tmp_path)
    assert 0 < found["events"] <= 20 * found["windows"]
    added = re.match(r"(\d+) windows new, (\d+) there already", again.stdout)
    assert int(added[2]) >= new - 15, again.stdout
    qualities = dict(query_folder(tmp_path, "SELECT quality, count(*) FROM windows GROUP BY quality").rows)
    assert qualities["backfilled"] >= 100


def test_feed_that_cannot_be_had_is_given_up_in_words(tmp_path):
    refused = "wikimedia.url=http://127.0.0.1:9/v2/stream/recentchange"
    done = CliRunner().invoke(
        main, ["backfill", "--since", "1m", "--data", str(tmp_path), "--set", refused, "--patience", "1s", *QUICK]
    )
    assert done.exit_code == 2
    assert "no event came from the feed for 1 s" in done.stderr


def test_recording_of_a_feed_of_ones_own_is_filled_into_a_history_of_that_feed(recorded, tmp_path):
    mapping = Mapping(name="orders", time="at", dimensions=["country"], measures={"euros": "amount"})
    rows = [{"at": T0 + number / 4, "country": "pt", "amount": 2.5} for number in range(200)]
    out, data = tmp_path / "orders.jsonl.gz", tmp_path / "data"
    header = RecordingHeader(feed="orders", origin=Origin.IMPORTED, started_at=T0, described=mapping.feed)
    with RecordingWriter(out, header) as writer:
        for batch in row_batches(rows, mapping):
            writer.write(batch)
    for new in (50, 0):
        assert fill(out, data).windows == new
    kept = "SELECT count(*), sum(count)::INT, sum(euros) FROM windows"
    assert query_folder(data, kept).rows == ((50, 200, 500.0),)
    assert query_folder(data, "SELECT DISTINCT dimension, value FROM dimension_counts").rows == (("country", "pt"),)
    refused = CliRunner().invoke(main, ["backfill", str(recorded), "--data", str(data), *QUICK])
    assert (refused.exit_code, "is the history of something else (feed orders" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_trades_have_a_history_of_their_own(tmp_path):
    out = tmp_path / "trades.jsonl.gz"
    assert tracewave("simulate", str(out), "--feed", "crypto", "--minutes", "1", *QUICK).returncode == 0
    done = fill(out, tmp_path / "data")
    assert done.windows > 0
    assert CRYPTO.name in str(query_folder(tmp_path / "data", "SELECT value FROM meta WHERE key = 'feed'").rows)
