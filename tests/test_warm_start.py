"""A run without its State starts with detectors that learned from history."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import duckdb
import msgspec
import pytest
from findings_of import T0, analysis, anomaly, findings
from running import event_stream, free_port, until

from tracewave_panel import codec
from tracewave_panel.config import load_settings
from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Quality
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.plan import Planner
from tracewave_panel.ports import SavedState
from tracewave_panel.runtime import Runtime
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.open_history import LIVE_FILE
from tracewave_panel.stores.windows_of_history import PastWindows

EVERY = {"width": 1.0, "limit": 1000, "counted": 1000, "acceptance": 900}
QUICK = (
    "window.width=0.1",
    "detectors.enabled=zscore,ewma,trees",
    "detectors.zscore.warm_up=60",
    "detectors.ewma.warm_up=60",
    "detectors.trees.window=10",
    "detectors.trees.warm_up=25",
)


# -- reading windows back


@contextmanager
def history(path, *told):
    with DuckDBStore(path / LIVE_FILE, WIKIMEDIA) as store:
        for each in told:
            store.append(each)
        store.flush()
        yield store


def taught(store, **asked) -> list:
    learned = []
    PastWindows(store, WIKIMEDIA, **{**EVERY, **asked}).teach(
        lambda windows: learned.extend(windows) or len(windows), within=60
    )
    return learned


def seconds(windows) -> list[float]:
    return [window.start - T0 for window in windows]


def test_windows_come_back_as_they_were_told_oldest_first(tmp_path):
    told = [analysis(second, values=3, late=second % 2) for second in range(4)]
    with history(tmp_path, findings(4, *told)) as store:
        assert taught(store) == [each.window for each in told]


@pytest.mark.parametrize(
    ("quality", "learned"),
    [
        (Quality.OK, True),
        (Quality.BACKFILLED, True),
        (Quality.PARTIAL, False),
        (Quality.GAP, False),
        (Quality.REVISED, False),
    ],
)
def test_only_windows_that_were_judged_are_learned(tmp_path, quality, learned):
    with history(tmp_path, findings(1, analysis(0, quality=quality))) as store:
        assert bool(taught(store)) == learned


@pytest.mark.parametrize(
    ("episodes", "left"),
    [
        ([anomaly("a", 2, closed=5)], [0, 1, 5, 6, 7, 8, 9]),
        ([anomaly("a", 1, closed=8), anomaly("b", 2, closed=4)], [0, 8, 9]),
        ([anomaly("open", 3)], [0, 1, 2, 8, 9]),
        ([anomaly("open", 3, updated=9)], [0, 1, 2, 9]),
    ],
    ids=["closed", "one in another", "never closed", "never closed but told later"],
)
def test_nothing_is_learned_inside_an_episode(tmp_path, episodes, left):
    told = findings(10, *(analysis(second) for second in range(10)), anomalies=tuple(episodes))
    with history(tmp_path, told) as store:
        assert seconds(taught(store, acceptance=5)) == left


def test_an_episode_of_another_series_takes_nothing_away(tmp_path):
    other = msgspec.structs.replace(anomaly("a", 0, closed=9), series="trades")
    with history(tmp_path, findings(3, analysis(0), analysis(1), anomalies=(other,))) as store:
        assert seconds(taught(store)) == [0, 1]


def test_windows_of_another_width_are_not_read(tmp_path):
    with history(tmp_path, findings(1, analysis(0))) as store:
        assert not PastWindows(store, WIKIMEDIA, **{**EVERY, "width": 2.0})


def test_the_newest_are_read_and_only_the_newest_of_them_with_their_counts(tmp_path):
    insert_windows(tmp_path, 12_000)
    with history(tmp_path, findings(12_001, analysis(12_000, values=2))) as store:
        learned = taught(store, limit=11_001, counted=10)
        assert seconds(learned) == list(range(1_000, 12_001))
        assert learned[-1].dimension_counts[0] == {"w0": 1, "w1": 2}
        assert learned[0].dimension_counts == ({},) * 5


def insert_windows(path, count: int) -> None:
    with history(path):
        pass
    with duckdb.connect(str(path / LIVE_FILE)) as connection:
        connection.execute(
            f"""
            INSERT INTO windows
            SELECT 'edits', to_timestamp({T0} + i), 1.0, 'ok', 0, 30, 0, 0, 30.0 + i % 7, 20.0, 9.0, 0.4, 0.1, 300.0
            FROM range({count}) t(i)
            """
        )


def test_when_time_is_short_the_middle_is_left_out_and_the_newest_learned_last(tmp_path):
    insert_windows(tmp_path, 60_000)
    learned = []

    def slow(windows) -> int:
        learned.extend(windows)
        time.sleep(len(windows) / 20_000)
        return len(windows)

    with history(tmp_path) as store:
        past = PastWindows(store, WIKIMEDIA, **{**EVERY, "limit": 60_000})
        began = time.monotonic()
        assert past.teach(slow, within=1.0) == len(learned)
        assert time.monotonic() - began < 3.0
    starts = seconds(learned)
    assert 10_000 <= len(starts) < 40_000
    assert starts == sorted(set(starts))
    assert (starts[0], starts[-1]) == (0, 59_999)


def test_a_run_that_is_stopped_learns_no_further(tmp_path):
    insert_windows(tmp_path, 20_000)
    learned = []
    with history(tmp_path) as store:
        past = PastWindows(store, WIKIMEDIA, **{**EVERY, "limit": 20_000})
        count = past.teach(
            lambda windows: learned.extend(windows) or len(windows), within=60, stopped=lambda: bool(learned)
        )
    assert 0 < count == len(learned) < 20_000


def test_warming_tells_nothing_and_leaves_out_what_was_not_judged():
    told = []
    pipeline = Pipeline(WIKIMEDIA, load_settings(None, {}, QUICK).pipeline(), {"sink": told.append})
    windows = [analysis(second).window for second in range(40)]
    gap = analysis(40, quality=Quality.GAP).window
    assert pipeline.warm([*windows, gap]) == 40
    assert told == []


# -- a whole run


@contextmanager
def started(data, spec: str, *assignments: str):
    settings = load_settings(None, {}, (*QUICK, "wikimedia.retry_base=0.2", *assignments))
    runtime = Runtime(settings, Planner(settings, spec, data=data), data=data)
    runtime.start()
    try:
        yield runtime
    finally:
        runtime.stop()
    assert runtime.failure is None


def first_scored(runtime):
    return until(lambda: next((each for each in runtime.store.analyses().items if each.scores), None), 30, every=0.1)


def seen(runtime, windows: int) -> Runtime:
    until(lambda: runtime.counters().get("windows", 0) >= windows, 30, every=0.1)
    return runtime


@pytest.fixture(scope="module")
def stream():
    with event_stream("--count", "100000", "--rate", "50", "--canaries", "1") as url:
        yield f"wikimedia.url={url}"


@pytest.fixture(scope="module")
def ran(tmp_path_factory, stream):
    """A history that a run of some seconds left behind, its State in good order."""
    data = tmp_path_factory.mktemp("ran")
    with started(data, "wikimedia", stream) as runtime:
        seen(runtime, 100)
    return data


@pytest.fixture
def data(ran, tmp_path):
    shutil.copy(ran / LIVE_FILE, tmp_path)
    return tmp_path


def rows(data, sql: str) -> list[tuple]:
    with duckdb.connect(str(data / LIVE_FILE), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def rewrite_states(data, change) -> None:
    """Put `change` of the pipeline's bytes in the place of every State."""
    with duckdb.connect(str(data / LIVE_FILE)) as connection:
        for told, packed in connection.execute("SELECT told, saved FROM states").fetchall():
            saved = codec.decode_packed(packed, SavedState)
            changed = codec.pack(msgspec.structs.replace(saved, state=change(saved.state)))
            connection.execute("UPDATE states SET saved = ? WHERE told = ?", [changed, told])


def damage(data) -> None:
    rewrite_states(data, lambda state: state[:200] + bytes([state[200] ^ 1]) + state[201:])


def make_older(data) -> None:
    def older(state: bytes) -> bytes:
        packed = codec.pack({**msgspec.msgpack.decode(state[16:]), "version": 0})
        return hashlib.blake2b(packed, digest_size=16).digest() + packed

    rewrite_states(data, older)


def lose(data) -> None:
    with duckdb.connect(str(data / LIVE_FILE)) as connection:
        connection.execute("DELETE FROM states")


def make_nonsense(data) -> None:
    with duckdb.connect(str(data / LIVE_FILE)) as connection:
        connection.execute("UPDATE states SET saved = 'no msgpack'::BLOB")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damage, "is damaged"),
        (make_older, "the saved State has version 0"),
        (make_nonsense, "saved bytes are not a SavedState"),
        (lose, "there is no State"),
    ],
)
def test_without_its_state_a_run_starts_warm_from_history_and_says_so(data, stream, caplog, spoil, words):
    everything = "SELECT epoch_us(start), quality, count, rate FROM windows ORDER BY start"
    spoil(data)
    before = rows(data, everything)
    with started(data, "wikimedia", stream) as runtime:
        seen(runtime, 15)
        notice = runtime.source_status().notice
    judged = sum(quality in {"ok", "backfilled"} for _, quality, *_ in before)
    assert f"Warm start from {judged:,} windows of history: " in notice
    assert words in notice
    assert notice in caplog.text
    told = runtime.store.analyses().items
    scored = [each for each in told if each.scores]
    assert len(scored) > 5
    assert all(score.warm for each in scored for score in each.scores)
    after = rows(data, everything)
    assert after[: len(before)] == before
    assert len(after) == len(before) + len(told) == len({start for start, *_ in after})
    assert sum(each.window.count for each in told) == sum(count for _, _, count, _ in after[len(before) :])


def test_with_its_state_a_run_goes_on_and_learns_nothing_twice(data, stream, caplog):
    caplog.set_level("INFO")
    with started(data, "wikimedia", stream) as runtime:
        seen(runtime, 5)
        assert runtime.source_status().notice == ""
    assert "start" not in caplog.text


def test_windows_of_another_width_leave_the_start_cold_and_that_is_said(data, stream):
    with started(data, "wikimedia", stream, "window.width=0.2") as runtime:
        first = first_scored(runtime)
        assert "Cold start, without windows of history: the saved State has window width 0.1" in (
            runtime.source_status().notice
        )
    assert not any(score.warm for score in first.scores)


def test_a_warm_start_can_be_switched_off(data, stream):
    lose(data)
    with started(data, "wikimedia", stream, "store.warm_start=0") as runtime:
        first = first_scored(runtime)
        assert runtime.source_status().notice == ""
    assert not any(score.warm for score in first.scores)


def test_a_first_start_says_nothing_of_history(tmp_path, stream):
    with started(tmp_path, "wikimedia", stream) as runtime:
        seen(runtime, 3)
        assert runtime.source_status().notice == ""


def test_a_simulation_learns_nothing_from_the_live_feeds_history(data, caplog):
    lose(data)
    caplog.set_level("INFO")
    nobody = f"wikimedia.url=http://127.0.0.1:{free_port()}/v2/stream/recentchange"
    with started(data, "synthetic", nobody) as runtime:
        seen(runtime, 5)
    assert "windows of history" not in caplog.text


# -- a history that cannot be opened at first

HOLDER = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


SLOW = ("detectors.zscore.warm_up=100", "detectors.ewma.warm_up=100", "detectors.trees.warm_up=100")


def leave_behind(data) -> None:
    """What an earlier run learned, and its last windows, of a quarter of an hour ago."""
    pipeline = Pipeline(WIKIMEDIA, load_settings(None, {}, (*QUICK, *SLOW)).pipeline(), {})
    then = round(time.time() - 900) - T0
    told = [analysis(then + number) for number in range(5)]
    assert pipeline.warm(msgspec.structs.replace(told[0].window, width=0.1, start=n / 10) for n in range(300)) == 300
    with history(data, findings(then + 5, *told)) as store:
        store.save_state(SavedState(time.time(), T0 + then + 5, b"", pipeline.snapshot()))


def test_a_run_without_its_history_goes_on_and_takes_it_up_when_another_process_lets_go(tmp_path, stream, caplog):
    caplog.set_level("INFO")
    leave_behind(tmp_path)
    before = rows(tmp_path, "SELECT epoch_us(start) FROM windows ORDER BY start")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / LIVE_FILE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        with started(tmp_path, "wikimedia", stream, *SLOW) as runtime:
            first = first_scored(runtime)
            assert not any(score.warm for score in first.scores)
            assert "another process has it open" in runtime.source_status().notice
            with pytest.raises(StoreError, match=r"History is not being kept: .* another process has it open"):
                runtime.query("SELECT 1")
            assert runtime.archive.store is runtime.store
            other.stdin.close()
            until(lambda: not runtime.source_status().notice, 40, every=0.1)
            until(lambda: "detectors go on with what the State in history had learned" in caplog.text, 20, every=0.05)
            assert runtime.query("SELECT count(*) FROM windows").rows[0][0] >= len(before)
            assert runtime.archive.epoch == "history"
            begun = runtime.store.analyses().cursor
            until(lambda: runtime.store.analyses().cursor > begun + 3, 30, every=0.05)
            judged = [each.scores for each in runtime.store.analyses().items if each.scores]
            assert [score.reason for score in judged[-1] if not score.warm] == []
        told = runtime.store.analyses().items
    after = rows(tmp_path, "SELECT epoch_us(start) FROM windows ORDER BY start")
    assert after[: len(before)] == before
    assert len(after) == len(before) + len(told) == len(set(after))
    assert rows(tmp_path, "SELECT count(*) FROM not_kept") == [(0,)]
