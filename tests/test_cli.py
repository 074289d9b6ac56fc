"""The commands, as a person runs them."""

from __future__ import annotations

import gzip
import json
import math
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest
from running import ROOT, event_stream, free_port, running, tracewave, until

from tracewave_panel.sources.recording import read_recording

BUNDLED = ROOT / "recordings" / "simulated-edits.jsonl.gz"
DRUID = Path("wikipedia") / "druid_wikiticker-2015-09-12-sampled.json.gz"
LATENESS = 10.0
QUICK = ("--set", "detectors.enabled=zscore,ewma")  # the trees take seconds to import
SUMMARY = {
    "events", "windows", "late", "dropped", "undecodable", "duplicates", "windows_by_quality", "anomalies",
    "cpu_s", "wall_s", "events_per_cpu_s", "digest",
}  # fmt: skip
ANOMALY = {"id", "opened", "closed", "severity", "confidence", "direction", "agreeing", "contributions"}


def replayed(path: Path, *arguments: str) -> dict:
    """Summary of ``tracewave replay --json``."""
    done = tracewave("replay", str(path), "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def at_full_speed(path: Path, *arguments: str) -> dict:
    return replayed(path, "--speed", "max", *arguments)


@pytest.fixture(scope="module")
def bundled() -> dict:
    """What the bundled recording comes to."""
    return at_full_speed(BUNDLED)


@pytest.fixture(scope="module")
def minute(tmp_path_factory) -> Path:
    """A minute of simulated edits, made by the command."""
    out = tmp_path_factory.mktemp("simulated") / "minute.jsonl.gz"
    done = tracewave("simulate", str(out), "--minutes", "1")
    assert done.returncode == 0, done.stderr
    assert all(made.name in done.stdout for made in out.parent.iterdir())
    return out


def test_replay_tells_what_the_bundled_recording_came_to(bundled):
    assert bundled.keys() >= SUMMARY
    assert bundled["anomalies"]
    assert all(anomaly.keys() >= ANOMALY for anomaly in bundled["anomalies"])
    assert bundled["windows"] == sum(bundled["windows_by_quality"].values()) > 1800
    assert bundled["events"] == sum(len(batch.events) for batch in read_recording(BUNDLED)[1])
    assert bundled["events_per_cpu_s"] == pytest.approx(bundled["events"] / bundled["cpu_s"], rel=0.01)


def test_replay_gives_the_same_digest_again_and_another_one_with_other_settings(bundled):
    assert at_full_speed(BUNDLED)["digest"] == bundled["digest"]
    assert at_full_speed(BUNDLED, "--set", "window.width=2")["digest"] != bundled["digest"]


@pytest.mark.slow
def test_replay_in_words_tells_anomalies_as_they_come_and_the_same_digest(bundled):
    done = tracewave("replay", str(BUNDLED), "--speed", "max")
    assert done.returncode == 0, done.stderr
    assert "open   Feed silent" in done.stdout
    assert "closed Feed silent" in done.stdout
    assert f"{bundled['events']} events in {bundled['windows']} windows" in done.stdout
    assert f"digest {bundled['digest']}" in done.stdout


@pytest.mark.slow
def test_replay_at_ten_times_the_pace_takes_a_tenth_of_the_time_and_finds_the_same(minute):
    summary = replayed(minute, "--speed", "10", *QUICK)
    assert 5.5 < summary["wall_s"] < 7.5
    assert summary["digest"] == at_full_speed(minute, *QUICK)["digest"]


def late_rows(rows: list[dict], width: float) -> int:
    """Rows whose window had ended `LATENESS` seconds before the latest row so far."""
    late, latest = 0, -math.inf
    for row in rows:
        moment = datetime.fromisoformat(row["time"]).timestamp()
        late += (math.floor(moment / width) + 1) * width <= latest - LATENESS
        latest = max(latest, moment)
    return late


@pytest.mark.slow
@pytest.mark.parametrize("displaced", [False, True], ids=["as it is", "with rows that come late"])
def test_a_day_of_druid_rows_is_counted_as_plain_json_counts_it(captures, tmp_path, displaced):
    source, out = captures / DRUID, tmp_path / "day.jsonl.gz"
    with gzip.open(source) as file:
        rows = [json.loads(line) for line in file]
    if displaced:  # two rows in a hundred come about two minutes late
        order = sorted(range(len(rows)), key=lambda number: (number + 60 * (number % 50 == 7), number))
        rows = [rows[number] for number in order]
        source = tmp_path / "rows.json"
        source.write_text("\n".join(map(json.dumps, rows)))
    done = tracewave("import", "druid", str(source), str(out))
    assert done.returncode == 0, done.stderr
    assert "39244 events of 39244 rows, 0 unreadable" in done.stdout
    summary = at_full_speed(out, "--set", "window.width=60", *QUICK)
    assert len(rows) == summary["events"] == 39_244
    assert summary["late"] == late_rows(rows, 60.0)
    assert (summary["late"] > 500) == displaced
    assert summary["dropped"] == summary["undecodable"] == summary["duplicates"] == 0
    assert at_full_speed(out, "--set", "window.width=60", *QUICK)["digest"] == summary["digest"]


def record(url: str, out: Path, *arguments: str) -> tuple[str, ...]:
    return "-m", "tracewave_panel", "record", "wikimedia", str(out), "--set", f"wikimedia.url={url}", *arguments


def assert_captured(out: Path, least: int) -> None:
    header, batches = read_recording(out)
    events = sum(len(batch.events) for batch in batches)
    assert header.origin == "live"
    assert batches.damage is None
    assert at_full_speed(out, *QUICK)["events"] == events > least


def test_three_seconds_of_the_feed_are_recorded_and_can_be_replayed(tmp_path):
    out = tmp_path / "live.jsonl.gz"
    with event_stream("--rate", "100") as url, running(*record(url, out, "--duration", "3s")) as program:
        assert "the time is over" in program.wait_for("events in 3 s")
        assert program.process.wait(10) == 0
    assert_captured(out, 150)


def test_recording_that_is_interrupted_is_complete_up_to_there(tmp_path):
    out = tmp_path / "live.jsonl.gz"
    with event_stream("--rate", "100") as url, running(*record(url, out)) as program:
        until(lambda: out.exists() and out.stat().st_size > 2000, 20, every=0.1)
        time.sleep(1.5)
        program.end(signal.SIGINT)
        assert program.process.returncode == 0, program.output
        assert "(interrupted)" in program.output
        assert "Traceback" not in program.output
    assert_captured(out, 100)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("import druid {folder}/missing.gz {folder}/out.jsonl.gz", "cannot open {folder}/missing.gz: No such file"),
        ("import sse README.md {folder}/out.jsonl.gz", "README.md holds no event of this format"),
        ("replay README.md", "README.md is not a Tracewave recording"),
        ("replay {folder}/missing.gz", "cannot open {folder}/missing.gz: No such file"),
        ("replay {minute} --set window.widht=2", "window.widht: there is no such setting; did you mean window.width?"),
        ("replay {minute} --set window.width=wide", "window.width: 'wide' is not allowed"),
        ("replay {minute} --set window.width=0", "width must be from 0.1 to 86400 seconds"),
        ("replay {minute} --speed 0", "'0' is neither a positive number nor 'max'"),
        (
            "serve --source telegraph",
            "--source telegraph: choose auto, wikimedia, synthetic, recording:PATH or own:FEED.toml",
        ),
        ("record wikimedia {minute}", "exists already: choose another name"),
        ("record wikimedia {folder}/out.jsonl.gz --duration soon", "'soon' is no duration; write it as 90s, 5m or 1h"),
        ("query select --data {folder}", "no history in {folder}; start `tracewave serve --data {folder}` first"),
    ],
)
def test_what_a_person_got_wrong_is_said_in_words_with_exit_code_2(arguments, words, minute, tmp_path):
    known = {"folder": tmp_path, "minute": minute}
    before = minute.read_bytes()
    done = tracewave(*arguments.format(**known).split())
    assert done.returncode == 2, done.stdout + done.stderr
    assert words.format(**known) in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
    assert minute.read_bytes() == before


def test_doctor_tells_of_everything_and_fails_where_the_feed_cannot_be_reached(tmp_path):
    nobody = f"wikimedia.url=http://127.0.0.1:{free_port()}/v2/stream/recentchange"
    where = ("--port", str(free_port()), "--api-port", str(free_port()), "--data", str(tmp_path))
    done = tracewave("doctor", *where, "--set", nobody)
    assert done.returncode == 1, done.stderr
    told = dict(line[6:].split(": ", 1) for line in done.stdout.splitlines())
    assert set(told) == {"Python", "packages", "port", "API port", "data folder", "bundled recording", "live feed"}
    assert [line[6:15] for line in done.stdout.splitlines() if line.startswith("FAIL")] == ["live feed"]
    assert "cannot be reached" in told["live feed"]
    assert list(tmp_path.iterdir()) == []
    with event_stream() as url:
        done = tracewave("doctor", *where, "--set", f"wikimedia.url={url}")
    assert done.returncode == 0, done.stdout
    assert f"{url} answers" in done.stdout


@pytest.mark.slow
def test_simulated_trades_are_recorded_and_replayed_as_trades(tmp_path):
    out = tmp_path / "trades.jsonl.gz"
    assert tracewave("simulate", str(out), "--feed", "crypto", "--minutes", "1", *QUICK).returncode == 0
    assert read_recording(out)[0].feed == "crypto"
    told = tracewave("replay", str(out), "--speed", "max", "--json", *QUICK)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["events"] > 500


def test_simulated_trades_without_a_length_are_refused_in_words(tmp_path):
    refused = tracewave("simulate", str(tmp_path / "trades.jsonl.gz"), "--feed", "crypto")
    assert (refused.returncode, "add --minutes 30" in refused.stderr) == (2, True)
