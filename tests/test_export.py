"""Exports hold what history holds: every row once, by UTC day, however it is asked and whatever happens meanwhile."""

from __future__ import annotations

import datetime as dt
import json
import signal
import threading
import time
from operator import itemgetter
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from api_server import kept, served_api
from click.testing import CliRunner
from findings_of import T0, analysis, anomaly, event, findings
from running import running, until

from tracewave_panel.cli import main
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Contribution, Label, Quality
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.exporting import KINDS, export
from tracewave_panel.stores.history import query_folder
from tracewave_panel.stores.open_history import LIVE_FILE, SOCKET_FILE
from tracewave_panel.stores.parquet_files import Described, ParquetFiles
from tracewave_panel.stores.query_socket import QuerySocket

MIDNIGHT = (T0 // 86_400 + 1) * 86_400 - T0
"""Seconds after T0 at which a day begins."""

HOSTILE = "it's; DROP TABLE windows --\x00\x1b[2J"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Windows on both sides of a midnight, one of them revised, with anomalies and hundreds of events in one moment."""
    folder = tmp_path_factory.mktemp("data")
    with DuckDBStore(folder / LIVE_FILE, WIKIMEDIA, commit_interval=0.01) as store:
        for number in range(-30, 31):
            second = MIDNIGHT + number
            quality = {"quality": Quality.GAP, "count": 0} if number == 3 else {}
            events = tuple(event(second, each) for each in range(200 if number == 5 else 3))
            hostile = msgspec.structs.replace(event(second + 0.5), id=HOSTILE + str(number), title="a\n\x07")
            told = (anomaly(f"a{number}", second, closed=second + 1),) if number % 10 == 0 else ()
            store.append(
                findings(second + 1, analysis(second, values=4, **quality), anomalies=told, events=(*events, hostile))
            )
        store.append(findings(MIDNIGHT + 32, analysis(MIDNIGHT + 3, revision=1, quality=Quality.REVISED)))
        store.append(findings(MIDNIGHT + 33, anomalies=(many_reasons(anomaly("why", MIDNIGHT + 20)),)))
        store.flush()
        store.label(Label("a0", "real", T0, "me"))
    return folder


def many_reasons(told):
    reasons = tuple(Contribution("wiki", f"w{number}", 9.0, 1.0, 0.5, 3.0, True) for number in range(5))
    return msgspec.structs.replace(told, contributions=reasons)


def read(*paths: Path) -> list[dict]:
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def rows_of(folder: Path, sql: str) -> list[dict]:
    table = query_folder(folder, sql)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def moment(second: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(T0 + second, dt.UTC)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "anomalies"])
def test_every_row_is_exported_once_in_order_of_time(data, tmp_path, kind):
    file = tmp_path / "all.parquet"
    done = export(data, kind, file)
    exclude = "EXCLUDE (told)" if kind in {"metrics", "events"} else ""
    order = ", ".join(f'"{name}"' for name in (KINDS[kind].time, *KINDS[kind].key))
    expected = rows_of(data, f"SELECT * {exclude} FROM {kind} ORDER BY {order}")
    assert read(file) == expected
    assert (done.rows, done.files) == (len(expected), (file,))
    assert len(expected) >= 61


@pytest.fixture
def served(data):
    """The same history, which a server has open."""
    with DuckDBStore(data / LIVE_FILE, WIKIMEDIA) as store:
        answering = QuerySocket(store, data / SOCKET_FILE)
        yield data
        answering.close()


@pytest.mark.parametrize("at_once", [7, 199, 200, 201])
def test_moment_with_more_rows_than_a_slice_neither_loses_nor_doubles_one(served, tmp_path, at_once):
    data = served
    since, until_ = moment(MIDNIGHT + 4), moment(MIDNIGHT + 7)
    export(data, "events", tmp_path / "some.parquet", since=since, until=until_, at_once=at_once)
    exported = read(tmp_path / "some.parquet")
    expected = rows_of(data, f"SELECT * EXCLUDE (told) FROM events WHERE time >= '{since}' AND time < '{until_}'")
    assert len(exported) == len(expected) == 200 + 2 * 3 + 3
    assert sorted(exported, key=itemgetter("id")) == sorted(expected, key=itemgetter("id"))


def test_anomalies_come_with_their_contributions_and_labels(data, tmp_path):
    export(data, "anomalies", tmp_path / "a.parquet")
    found = {row["id"]: row for row in read(tmp_path / "a.parquet")}
    assert len(found) == 8
    assert [each["value"] for each in found["why"]["contributions"]] == [f"w{number}" for number in range(5)]
    assert [each["rank"] for each in found["why"]["contributions"]] == [1, 2, 3, 4, 5]
    assert found["a0"]["contributions"][0].keys() >= {"dimension", "observed", "share", "named", "samples"}
    assert (found["a0"]["label"], found["a0"]["labelled_by"]) == ("real", "me")
    assert (found["a10"]["label"], found["why"]["closed"]) == (None, None)
    assert found["a0"]["verdict"] == "culprit"


def test_folder_gets_a_file_a_day_and_one_file_keeps_its_row_groups_to_days(data, tmp_path):
    folder, file = tmp_path / "made" / "days", tmp_path / "one.parquet"
    done = export(data, "windows", folder)
    days = [f"windows-{(moment(MIDNIGHT) - dt.timedelta(days=ago)).date()}.parquet" for ago in (1, 0)]
    assert [path.name for path in done.files] == sorted(path.name for path in folder.iterdir()) == days
    before, after = (read(folder / day) for day in days)
    assert len(before) == 30
    assert len(after) == 31
    assert max(row["start"] for row in before) < moment(MIDNIGHT) == min(row["start"] for row in after)
    export(data, "windows", file)
    groups = pq.ParquetFile(file)
    assert [groups.metadata.row_group(number).num_rows for number in range(groups.num_row_groups)] == [30, 31]
    assert read(file) == before + after


def test_columns_say_what_they_mean_and_times_are_utc(data, tmp_path):
    for kind in KINDS:
        schema = pq.read_schema(export(data, kind, tmp_path / f"{kind}.parquet").files[0])
        said = json.loads(schema.metadata[b"tracewave"])
        assert (said["kind"], said["history"]["feed"]) == (kind, "wikimedia")
        for field in schema:
            assert field.metadata[b"comment"], f"{kind}.{field.name} says nothing"
            assert said["columns"][field.name] == field.metadata[b"comment"].decode()
            if pa.types.is_timestamp(field.type):
                assert field.type == pa.timestamp("us", "UTC")
        assert said["time"] in schema.names
    told = duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/windows.parquet' WHERE start >= TIMESTAMPTZ '2023-01-01'")
    assert told.fetchall() == [(61,)]


@pytest.mark.parametrize(
    ("since", "to", "count"),
    [
        ("2023-11-15", None, 31),
        (None, "2023-11-15", 30),
        ("2023-11-14", "2023-11-15", 30),
        ("2023-11-14T23:59:59.000001Z", "2023-11-15T00:00:00.000001+00:00", 1),
        ("2023-11-15T01:00:00+01:00", "2023-11-15T00:00:10", 10),
        ("2023-11-16", None, 0),
        ("1h ago", None, 0),
        ("900000h", "1s ago", 61),
    ],
)
def test_range_begins_with_its_first_moment_and_ends_before_its_last(data, tmp_path, since, to, count):
    file = tmp_path / "range.parquet"
    arguments = [*(["--since", since] if since else []), *(["--to", to] if to else [])]
    done = CliRunner().invoke(main, ["export", "windows", str(file), "--data", str(data), *arguments])
    assert done.exit_code == 0, done.output
    assert len(read(file)) == count
    assert pq.read_schema(file).names[:2] == ["series", "start"]
    assert done.stdout == f"{file}, {count} windows\n"
    assert "answered by the file" in done.stderr


def test_folder_stays_unmade_when_there_is_nothing(data, tmp_path):
    arguments = ["export", "windows", str(tmp_path / "none"), "--data", str(data), "--since", "1h", "-q"]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'none'}: there are no windows, nothing is written\n")
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("windows {taken}", "taken.parquet exists already: choose another name, or add --overwrite"),
        ("windows {days}", "windows-2023-11-15.parquet exists already"),
        ("windows {text}", "text is neither a folder nor named .parquet"),
        ("windows {folder}/no/such.parquet", "cannot make {folder}/no/such.parquet: No such file or directory"),
        ("windows {text}/below", "cannot make the folder {text}/below: "),
        ("windows {folder}/x.parquet --since 2023-11-15 --to 2023-11-15", "--since must be before --to"),
        ("windows {folder}/x.parquet --since yesterday", "'yesterday' is no time; write it as 2026-11-22"),
        ("labels {folder}/x.parquet", "'labels' is not one of"),
        ("windows {folder}/x.parquet --data {folder}", "no history in {folder}; start"),
        ("windows {folder}/x.parquet --data http://127.0.0.1:9", "http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_what_a_person_got_wrong_is_said_and_nothing_is_written(data, tmp_path, arguments, words):
    known = {"folder": tmp_path, "taken": tmp_path / "taken.parquet", "days": tmp_path / "d", "text": tmp_path / "text"}
    known["taken"].write_text("mine")
    known["text"].write_text("mine")
    known["days"].mkdir()
    (known["days"] / "windows-2023-11-15.parquet").write_text("mine")
    (known["days"] / "windows-2023-11-17.parquet").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    asked = arguments.format(**known).split()
    done = CliRunner().invoke(main, ["export", *asked, *([] if "--data" in asked else ["--data", str(data)])])
    assert done.exit_code == 2
    assert words.format(**known) in " ".join(done.stderr.split())
    assert sorted(tmp_path.rglob("*")) == before
    assert all(path.read_text() == "mine" for path in before if path.is_file())


def test_days_are_replaced_when_they_may_be_and_others_are_left_alone(data, tmp_path):
    other = tmp_path / "windows-2023-11-17.parquet"
    other.write_text("mine")
    for _ in range(2):
        export(data, "windows", tmp_path, overwrite=True)
    assert other.read_text() == "mine"
    assert len(read(*sorted(tmp_path.glob("*-1[45].parquet")))) == 61
    with pytest.raises(ConfigError, match=r"windows-2023-11-14\.parquet exists already"):
        export(data, "windows", tmp_path)


# -- meanwhile, and elsewhere


def test_windows_told_again_and_new_ones_meanwhile_are_there_once_or_not_yet(tmp_path):
    with DuckDBStore(tmp_path / LIVE_FILE, WIKIMEDIA, commit_interval=0.005) as store:
        for second in range(200):
            gap = {"quality": Quality.GAP, "count": 0} if second % 2 else {}
            store.append(findings(second + 1, analysis(second, **gap)))
        store.flush()
        stop = threading.Event()

        def revise() -> None:
            for second in range(1, 200, 2):
                again = analysis(second, revision=1, quality=Quality.REVISED)
                store.append(findings(1000 + second, again, analysis(1000 + second)))
                if stop.wait(0.005):
                    return

        writer = threading.Thread(target=revise)
        writer.start()
        try:
            exported = [export_through(store, tmp_path, number) for number in range(3)]
        finally:
            stop.set()
            writer.join()
    for rows in exported:
        starts = [row["start"] for row in rows]
        assert starts == sorted(set(starts))
        assert [start for start in starts if start < moment(200)] == [moment(second) for second in range(200)]


def export_through(store, folder: Path, number: int) -> list[dict]:
    served = QuerySocket(store, folder / "query.sock")
    try:
        done = export(folder, "windows", folder / f"{number}.parquet", until=moment(900), at_once=20)
    finally:
        served.close()
    assert done.by.startswith("the server that has ")
    return read(*done.files)


def test_address_of_an_api_gives_the_same_rows_in_slices(tmp_path):
    with kept(tmp_path / "data", seconds=20) as console, served_api(console) as served:
        done = export(served.url, "scores", tmp_path / "scores.parquet", at_once=30)
        expected = console.history.query("SELECT count(*), count(DISTINCT start) FROM scores").rows[0]
    rows = read(tmp_path / "scores.parquet")
    assert done.by == f"the server at {served.url}"
    assert (len(rows), len({row["start"] for row in rows})) == expected
    assert len(rows) > 40


def with_events(folder: Path, count: int) -> Path:
    with DuckDBStore(folder / LIVE_FILE, WIKIMEDIA) as store:
        store.flush()
    with duckdb.connect(str(folder / LIVE_FILE)) as connection:
        columns = [row[0] for row in connection.execute("DESCRIBE events").fetchall()]
        values = {"time": "make_timestamptz(1700000000000000 + range * 20000)", "series": "'edits'", "told": "range",
                  "id": "printf('%08d', range)", "title": "repeat('title ', 150) || range"}  # fmt: skip
        selected = ", ".join(f"{values.get(name, 'NULL')} AS {name}" for name in columns)
        connection.execute(f"INSERT INTO events BY NAME SELECT {selected} FROM range({count})")
    return folder


class Slow:
    """A history that gives no answer about any slice but the first until it is hung up on."""

    def __init__(self, store) -> None:
        self.store, self.path, self.slices = store, store.path, 0

    def query_arrow(self, sql, *, cancelled, **limits):
        if "ORDER BY" in sql:
            self.slices += 1
            if self.slices > 1:
                until(cancelled.is_set, 60, every=0.02)
        return self.store.query_arrow(sql, cancelled=cancelled, **limits)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_export_leaves_nothing_half_written(tmp_path, number):
    data = with_events(tmp_path / "data", 60_000)
    out = tmp_path / "out"
    out.mkdir()
    command = ("-m", "tracewave_panel", "export", "events", str(out / "e.parquet"), "--data", str(tmp_path))
    with DuckDBStore(data / LIVE_FILE, WIKIMEDIA) as store:
        slow = Slow(store)
        answering = QuerySocket(slow, tmp_path / SOCKET_FILE)
        try:
            with running(*command) as exporting:
                until(lambda: slow.slices > 1, 40, every=0.02)
                (half,) = out.iterdir()
                assert half.name != "e.parquet"
                exporting.end(number)
                assert exporting.process.returncode == 130, exporting.output
                assert "interrupted. Nothing is left half-written" in exporting.output
                assert "Traceback" not in exporting.output
        finally:
            answering.close()
    assert list(out.iterdir()) == []


def test_full_disk_is_said_and_nothing_stays(data, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        done = CliRunner().invoke(main, ["export", "events", str(tmp_path / "e.parquet"), "--data", str(data)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert done.exit_code == 2, done.output
    assert f"cannot write {tmp_path / 'e.parquet'}: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of a process")
def test_memory_stays_bounded_over_many_rows(tmp_path):
    folder = with_events(tmp_path / "data", 300_000)
    program = f"""
from pathlib import Path
from tracewave_panel.stores.exporting import export
def most():
    # not what resource.getrusage says: a program inherits the peak of the one that started it
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
export({str(folder)!r}, "anomalies", Path({str(tmp_path / "a.parquet")!r}))
before = most()
done = export({str(folder)!r}, "events", Path({str(tmp_path / "e.parquet")!r}))
print(done.rows, (most() - before) // 1024, flush=True)
"""
    began = time.monotonic()
    with running("-c", program, environment={"MALLOC_ARENA_MAX": "2"}) as exporting:
        rows, grown = map(int, exporting.wait_for("300000", 60).split())
    print(f"{rows} events in {time.monotonic() - began:.1f} s, {grown} MB more")
    assert grown < 150, "it would take 300 MB at once"
    assert pq.read_metadata(tmp_path / "e.parquet").num_rows == rows == 300_000
    ids = pq.read_table(tmp_path / "e.parquet", columns=["id"]).column("id")
    assert ids.to_pylist() == [f"{number:08d}" for number in range(300_000)]


def test_files_of_days_are_numbered_by_utc_day(tmp_path):
    described = Described("windows", "start", {}, {})
    with ParquetFiles(tmp_path, described, overwrite=False) as files:
        starts = pa.array([-1, 0, 86_400_000_000 - 1, 86_400_000_000], pa.timestamp("us", "UTC"))
        files.write(pa.table({"start": starts}))
        names = [path.name for path in files.finish()]
    assert names == [f"windows-{day}.parquet" for day in ("1969-12-31", "1970-01-01", "1970-01-02")]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
