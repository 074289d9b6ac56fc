"""A disk that fails and comes back: the page goes on in memory, says why, and history is kept again by itself.

The conditions are real: a small file system in memory, a folder mounted read-only, a process that holds
the file, a folder that is deleted. Where nothing may be mounted, those tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from findings_of import T0, analysis, anomaly, event, findings
from running import until

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Label, Origin
from tracewave_panel.ports import SavedState
from tracewave_panel.stores import keeping as keeping_module
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.keeping import Keeping
from tracewave_panel.stores.open_history import LIVE_FILE, SOCKET_FILE, open_history

NOBODY = 65534

HOLDER = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


def mount(*arguments) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")


@contextmanager
def disk(folder: Path, size: str):
    """A file system of its own, which :func:`mount` may remount with another size."""
    folder.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False, timeout=20)


def fill(folder: Path) -> Path:
    """Leave no byte free; deleting what it returns makes room again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert os.statvfs(folder).f_bavail == 0
    return filler


@contextmanager
def held_by_another(path: Path):
    """The file, open in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "open\n"
            yield other
        finally:
            other.stdin.close()
            other.wait(20)


def opening(data: Path):
    for_ever = 3e9  # what is told here is years old
    return lambda: open_history(
        data, WIKIMEDIA, Origin.LIVE, fresh=False, commit_interval=0.05, keep_events=for_ever, keep_windows=for_ever
    )


@contextmanager
def keeping_in(data: Path, *, labels=tuple):
    keeping = Keeping(opening(data), labels=labels, retry=0.2)
    try:
        yield keeping
    finally:
        keeping.close()


def tell(keeping, *seconds: int) -> None:
    for second in seconds:
        keeping.append(findings(second + 1, analysis(second), events=(event(second),)))


def seconds_in(store) -> list[int]:
    return [int(second - T0) for (second,) in store.query("SELECT epoch(start) FROM windows ORDER BY start").rows]


def not_kept_in(store) -> list[tuple]:
    sql = "SELECT epoch(start), epoch(until), windows, reason FROM not_kept ORDER BY start"
    return [(start - T0, stop - T0, windows, reason) for start, stop, windows, reason in store.query(sql).rows]


def kept_again(keeping):
    until(lambda: keeping.history and not keeping.note and not keeping.backlog, 20, every=0.05)
    return keeping.history.store


# -- when it cannot be opened


def test_disk_that_is_full_at_the_start_leaves_no_broken_file_and_is_used_once_there_is_room(tmp_path):
    with disk(tmp_path / "disk", "24m") as folder:
        filler = fill(folder)
        with keeping_in(folder / "data") as keeping:
            assert "History is not being kept: cannot open history" in keeping.note
            assert "the disk is full; make room" in keeping.note
            tell(keeping, 0, 1)
            time.sleep(0.5)
            assert (keeping.history, keeping.backlog) == (None, 2)
            assert keeping.failures > 1
            filler.unlink()
            store = kept_again(keeping)
            assert seconds_in(store) == [0, 1]
            assert not_kept_in(store) == []


def test_folder_that_is_read_only_is_used_once_it_may_be_written(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with DuckDBStore(data / LIVE_FILE, WIKIMEDIA) as before:
        before.append(findings(1, analysis(0)))
    with disk(data, "1m"):
        mount("--bind", "-o", "ro", tmp_path, data)
        with keeping_in(data / "data") as keeping:
            assert "may not be written; mend its permissions" in keeping.note
            tell(keeping, 1)
            subprocess.run(["umount", data], check=True, timeout=20)
            subprocess.run(["umount", data], check=True, timeout=20)
            (data / "data").mkdir()
            assert seconds_in(kept_again(keeping)) == [1]


@contextmanager
def as_nobody():
    """Without the rights of root, who may write anywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_file_without_permission_is_used_once_it_has_it():
    with TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o777)
        with as_nobody():
            with DuckDBStore(folder / LIVE_FILE, WIKIMEDIA):
                pass
            (folder / LIVE_FILE).chmod(0o400)
            with keeping_in(folder) as keeping:
                assert "may not be written; mend its permissions" in keeping.note
                (folder / LIVE_FILE).chmod(0o600)
                kept_again(keeping)


def test_file_that_another_process_lets_go_is_kept_on_and_nothing_in_it_is_taken_over(tmp_path):
    earlier, given = Label("a", "real", T0 + 1, "anna"), Label("b", "not_real", T0 + 2, "ben")
    with DuckDBStore(tmp_path / LIVE_FILE, WIKIMEDIA) as before:
        # it kept on until after our beginning, and its State is older than what it told last
        before.append(findings(9, *(analysis(second) for second in range(9)), anomalies=(anomaly("a", 6),)))
        before.restore_labels([earlier])
        before.save_state(SavedState(T0, T0 + 2, b"", b"state"))
    with (
        held_by_another(tmp_path / LIVE_FILE) as other,
        keeping_in(tmp_path, labels=lambda: (given,)) as keeping,
    ):
        assert "another process has it open and answers no queries" in keeping.note
        keeping.append(findings(11, analysis(9), analysis(10), anomalies=(anomaly("b", 9),)))
        assert not keeping.late.is_set()
        other.stdin.close()
        store = kept_again(keeping)
        assert keeping.late.is_set()
        tell(keeping, 11)
        store.flush()
        assert seconds_in(store) == list(range(12))
        assert [each.id for each in store.anomalies().items] == ["a", "b"]
        assert store.labels() == (earlier, given)
        assert store.query("SELECT count(*) FROM states").rows == ((1,),)
        assert not_kept_in(store) == []


def test_what_does_not_fit_in_memory_meanwhile_is_noted_as_not_kept(tmp_path):
    with DuckDBStore(tmp_path / LIVE_FILE, WIKIMEDIA):
        pass
    with held_by_another(tmp_path / LIVE_FILE) as other, keeping_in(tmp_path) as keeping:
        told = keeping_module.HELD_FINDINGS + 40
        tell(keeping, *range(told))
        assert (keeping.shed, keeping.not_kept) == (40, 40)
        other.stdin.close()
        store = kept_again(keeping)
        store.flush()
        until(lambda: not_kept_in(store), 10, every=0.05)
        ((start, stop, windows, reason),) = not_kept_in(store)
        assert (start, stop, windows) == (0, 40, 40)
        assert "another process has it open" in reason
        assert seconds_in(store) == list(range(40, told))
        assert keeping.not_kept == 40


def test_history_that_is_never_opened_closes_at_once(tmp_path):
    (tmp_path / LIVE_FILE).write_bytes(b"not a database")
    began = time.monotonic()
    with keeping_in(tmp_path) as keeping:
        assert "it is damaged or no history" in keeping.note
    assert time.monotonic() - began < 5
    assert (tmp_path / LIVE_FILE).read_bytes() == b"not a database"


# -- while it is kept


def test_disk_that_fills_up_is_said_after_some_seconds_and_everything_is_written_later(tmp_path):
    with disk(tmp_path / "disk", "24m") as folder, keeping_in(folder) as keeping:
        tell(keeping, 0)
        kept_again(keeping)
        filler, second = fill(folder), 1
        while not keeping.failures:
            tell(keeping, *range(second, second + 50))
            second += 50
            time.sleep(0.02)
        assert keeping.note == ""  # not at once: it may be a hiccup
        note = until(lambda: keeping.note, 10, every=0.1)
        assert note.startswith("History is not being kept: the disk is full; make room")
        assert note.endswith("what is found waits in memory")
        assert seconds_in(keeping.history.store)[0] == 0  # what was committed can still be asked for
        filler.unlink()
        assert seconds_in(kept_again(keeping)) == list(range(second))
        assert keeping.shed == 0


@pytest.mark.slow
def test_disk_that_is_full_in_a_checkpoint_is_got_over_too(tmp_path):
    with disk(tmp_path / "disk", "20m") as folder, keeping_in(folder) as keeping:
        second = 0
        while not keeping.failures:  # the log may grow to 16 MB before it is worked into the file
            keeping.append(findings(second + 1, *(analysis(second + i, values=30) for i in range(100))))
            keeping.history.store.save_state(SavedState(T0, T0 + second, b"", os.urandom(300_000)))
            second += 100
            time.sleep(0.03)
        assert until(lambda: keeping.note, 10, every=0.1)
        mount("-o", "remount,size=200m", folder)
        store = kept_again(keeping)
        assert seconds_in(store) == list(range(second))
        assert keeping.shed == 0


def test_queue_that_runs_over_in_a_long_fault_is_noted_with_its_reason(tmp_path):
    with disk(tmp_path / "disk", "24m") as folder:
        store = DuckDBStore(folder / LIVE_FILE, WIKIMEDIA, commit_interval=0.02, queue_limit=40)
        try:
            filler, second = fill(folder), 0
            while store.shed < 5:
                store.append(findings(second + 1, analysis(second, values=40)))
                second += 1
                time.sleep(0.002 if store.failures else 0.05)
            filler.unlink()
            store.flush(30)
            until(lambda: not_kept_in(store), 20, every=0.05)
            ((start, stop, windows, reason),) = not_kept_in(store)
            assert reason.startswith("more waited than memory may hold: the disk is full; make room")
            held = seconds_in(store)
            assert windows == store.not_kept == store.shed == second - len(held)
            assert set(range(int(start), int(stop))) == set(range(second)) - set(held)
        finally:
            store.close()


def test_folder_that_vanishes_is_waited_for_and_what_was_told_since_is_in_the_new_file(tmp_path):
    data = tmp_path / "data"
    with keeping_in(data) as keeping:
        keeping.append(findings(1, analysis(0), anomalies=(anomaly("a", 0),)))
        store = kept_again(keeping)
        store.label(Label("a", "real", T0, "anna"))
        store.flush()
        shutil.rmtree(data)
        tell(keeping, 1, 2)
        note = until(lambda: keeping.note, 10, every=0.1)
        assert f"the data folder {data} has vanished; history is kept again when it is back" in note
        assert not data.exists()
        with pytest.raises(StoreError, match="has vanished"):
            store.query("SELECT 1")
        data.mkdir()
        assert kept_again(keeping) is store
        assert seconds_in(store) == [1, 2]
        assert store.query("SELECT anomaly_id FROM labels").rows == (("a",),)
        until((data / SOCKET_FILE).exists, 5, every=0.05)
    with DuckDBStore(data / LIVE_FILE, WIKIMEDIA) as after:
        assert seconds_in(after) == [1, 2]


def test_file_that_is_moved_away_and_back_goes_on(tmp_path):
    with keeping_in(tmp_path / "data") as keeping:
        tell(keeping, 0)
        store = kept_again(keeping)
        (tmp_path / "data").rename(tmp_path / "elsewhere")
        tell(keeping, 1)
        until(lambda: keeping.note, 10, every=0.1)
        (tmp_path / "elsewhere").rename(tmp_path / "data")
        kept_again(keeping)
        tell(keeping, 2)
        store.flush()
        assert seconds_in(store) == [0, 1, 2]
        assert store.analyses().cursor == 3


def test_disk_that_is_taken_out_leaves_nothing_in_its_place_and_is_used_when_it_is_back(tmp_path):
    place = tmp_path / "place"
    with disk(tmp_path / "disk", "24m") as folder:
        place.mkdir()
        mount("--bind", folder, place)
        try:
            with keeping_in(place) as keeping:
                tell(keeping, 0)
                kept_again(keeping)
                subprocess.run(["umount", "-l", place], check=True, timeout=20)
                tell(keeping, 1)
                assert "has vanished" in until(lambda: keeping.note, 10, every=0.1)
                assert list(place.iterdir()) == []
                mount("--bind", folder, place)
                assert seconds_in(kept_again(keeping)) == [0, 1]
        finally:
            subprocess.run(["umount", "-l", place], check=False, timeout=20)
