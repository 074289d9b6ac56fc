"""Commands that measure: references are made of clean windows and then used; the benchmark and the evaluation run."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import sys

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from findings_of import T0, analysis, anomaly, findings
from running import ROOT, tracewave

from tracewave_panel import playback
from tracewave_panel.cli import main
from tracewave_panel.config import load_settings
from tracewave_panel.core.calibration import Reference
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.lab.floors import Target
from tracewave_panel.lab.runs import history_runs, recorded_runs, simulated_groups
from tracewave_panel.model import Origin
from tracewave_panel.references import load_reference, save_reference
from tracewave_panel.sources.recording import RecordingHeader, RecordingWriter
from tracewave_panel.sources.synthetic import simulate, write_simulation
from tracewave_panel.sources.synthetic_incidents import Incident
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings
from tracewave_panel.stores.duckdb import DuckDBStore
from tracewave_panel.stores.open_history import LIVE_FILE

QUICK = ("detectors.enabled=zscore,ewma", "detectors.zscore.warm_up=100", "detectors.ewma.warm_up=100")
TENTHS = (*QUICK, "window.width=0.1")
SURGE = 700.0, 760.0
"""First and last second of what is planted into the recording: six times as many edits."""
REFERENCE = ROOT / "tracewave_panel" / "reference_tables" / "wikimedia-1s.json"


def command(*arguments: object, code: int = 0) -> str:
    """What a command prints, on standard error where it fails."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else " ".join(done.stderr.split())


def options(assignments) -> list[str]:
    return [part for assignment in assignments for part in ("--set", assignment)]


def lanes_of(assignments):
    return load_settings(None, {}, assignments).lanes()


# -- from a recording


def simulated_recording(path, seconds: float, begin: float, end: float):
    settings = SyntheticSettings(seed=4, incidents=(Incident("surge", begin, end - begin, 6.0, {}),))
    write_simulation(path, simulate(settings, T0, seconds))
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Half an hour of simulated edits with a surge."""
    return simulated_recording(tmp_path_factory.mktemp("recorded") / "edits.jsonl.gz", 1800.0, *SURGE)


@pytest.fixture(scope="module")
def minutes(tmp_path_factory):
    """A few minutes that end in a surge."""
    return simulated_recording(tmp_path_factory.mktemp("recorded") / "minutes.jsonl.gz", 300.0, 270.0, 300.0)


@pytest.fixture(scope="module")
def made(recording) -> tuple[str, Reference]:
    """What ``calibrate RECORDING`` says, and the file that it makes."""
    out = recording.parent / "own" / "tenths.json"
    said = command("calibrate", recording, "--out", out, *options(TENTHS))
    assert str(out) in said
    return said, load_reference(out)


def test_reference_of_a_recording_says_what_it_was_made_of(made):
    said, reference = made
    assert (reference.feed, reference.width) == ("wikimedia", 0.1)
    assert reference.made_of == "recordings edits.jsonl.gz"
    assert 10_000 < reference.windows < 18_000 - 600
    assert f"{reference.windows:,} windows of wikimedia (recordings edits.jsonl.gz)" in said
    assert "rate: zscore, ewma\n" in said
    assert set(reference.tables["rate"]) == {"zscore", "ewma"}
    assert set(reference.returns["rate"]) == {"zscore", "ewma", "ewma+zscore"}


def test_windows_in_and_around_an_episode_are_left_out(recording, made):
    feed, (run,) = recorded_runs(recording, load_settings(None, {}, TENTHS).pipeline())
    begin, end = SURGE
    assert feed is WIKIMEDIA
    left_out = run.starts[run.left_out] - T0
    assert left_out[0] < begin - 60.0
    assert left_out[-1] > end + 60.0
    inside = run.left_out[(run.starts >= T0 + begin) & (run.starts < T0 + end)]
    assert len(inside) == 600
    assert inside.all()
    assert len(run.starts) - run.left_out.sum() == made[1].windows
    for table in made[1].tables["rate"].values():  # in the surge they reach 20 and more
        assert 2.0 < table.up.at[-1] < 6.0
        assert table.log10(15.0) < -4.0


def anomalies(minutes, *assignments) -> list:
    """Those about the surge, of a replay from a cold start."""
    summary = playback.replay(minutes, load_settings(None, {}, assignments).pipeline(), cold=True)
    return [one for one in summary.anomalies if one.opened - T0 >= 269.0]


def saved(path, reference, **changes):
    save_reference(path, msgspec.structs.replace(reference, **changes))
    return f"calibration.reference={path}"


def test_file_that_was_made_tells_the_chances_from_then_on(minutes, made, tmp_path):
    own = saved(tmp_path / "own.json", made[1])
    surge, *_ = anomalies(minutes, *TENTHS, own)
    assert not surge.provisional
    assert surge.rarity > 0.0


@pytest.mark.parametrize(
    ("changes", "assignments"),
    [
        ({"feed": "crypto"}, TENTHS),
        ({"width": 1.0}, TENTHS),
        ({}, (*TENTHS, "window.width=0.2")),
        ({}, (*TENTHS, "detectors.ewma.warm_up=110")),
        ({}, (*TENTHS, "ensemble.hold=3")),
    ],
    ids=["another feed", "another width", "windows of another width", "other detectors", "other evidence"],
)
def test_file_made_for_something_else_leaves_scores_provisional(minutes, made, tmp_path, changes, assignments):
    own = saved(tmp_path / "own.json", made[1], **changes)
    told = anomalies(minutes, *assignments, own)
    assert told
    assert all(one.provisional for one in told)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "the reference cannot be read"), (b"{", "not a reference"), (b'{"version": 7}', "of version 7")],
)
def test_file_that_cannot_be_used_ends_a_command_with_words(minutes, tmp_path, content, said):
    path = tmp_path / "own.json"
    if content is not None:
        path.write_bytes(content)
    told = command("replay", minutes, "--speed", "max", "--set", f"calibration.reference={path}", code=2)
    assert told.startswith(f"tracewave: {path}: ")
    assert said in told


def test_recording_that_is_too_short_is_refused_and_nothing_is_written(minutes, tmp_path):
    out = tmp_path / "own.json"
    rarely = (*TENTHS, "ensemble.alarm_budget=1e-6")  # so that most windows are taken
    said = command("calibrate", minutes, "--out", out, *options(rarely), code=2)
    assert "needs at least 10,000 windows" in said
    assert "record for longer" in said
    assert not out.exists()


def test_detector_that_was_never_warm_is_said_to_have_no_table(recording, tmp_path):
    slow = (*TENTHS[1:], "detectors.enabled=zscore,ewma,seasonal")
    said = command("calibrate", recording, "--out", tmp_path / "own.json", *options(slow))
    assert "rate: zscore, ewma; too few windows for seasonal\n" in said


def empty_recording(path, feed: str):
    header = RecordingHeader(feed=feed, origin=Origin.SIMULATED, started_at=T0)
    with RecordingWriter(path, header):
        return path


def test_recordings_of_several_feeds_or_an_unknown_one_are_refused(minutes, tmp_path):
    trades = empty_recording(tmp_path / "trades.jsonl.gz", CRYPTO.name)
    said = command("calibrate", minutes, trades, *options(TENTHS), code=2)
    assert "several feeds (wikimedia, crypto): calibrate one at a time" in said
    weather = empty_recording(tmp_path / "weather.jsonl.gz", "weather")
    said = command("calibrate", weather, *options(TENTHS), code=2)
    assert f"{weather} is a recording of 'weather', a feed this version does not know" in said


def test_recording_that_breaks_off_is_used_up_to_there_and_that_is_said(minutes, tmp_path, caplog):
    cut = tmp_path / "cut.jsonl.gz"
    content = minutes.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    with caplog.at_level(logging.WARNING):
        _, (run,) = recorded_runs(cut, load_settings(None, {}, TENTHS).pipeline())
    assert 1000 < len(run.starts) < 2800
    assert f"{cut} is damaged after line" in caplog.text


# -- from history


INCIDENT = 15_000, 15_060
WINDOWS = 21_000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with some hours of windows, an incident that was told, and windows that were not judged."""
    folder = tmp_path_factory.mktemp("history")
    begin, end = INCIDENT
    told = findings(1.0, analysis(0.0), anomalies=(anomaly("one", begin, updated=end, closed=end),))
    with DuckDBStore(folder / LIVE_FILE, WIKIMEDIA) as store:
        store.append(told)
        store.flush()
    seconds = np.arange(1, WINDOWS)
    rates = np.random.default_rng(6).poisson(30.0, len(seconds)).astype(float)
    rates[begin - 1 : end - 1] *= 8.0
    qualities = np.full(len(seconds), "ok", dtype=object)
    qualities[2000:2100] = "gap"
    qualities[2100:2200] = "backfilled"
    windows = pa.table({"second": seconds, "rate": rates, "quality": list(qualities)})
    with duckdb.connect(str(folder / LIVE_FILE)) as connection:
        connection.register("told", windows)
        connection.execute(
            f"""
            INSERT INTO windows
            SELECT 'edits', to_timestamp({T0} + second), 1.0, quality, 0, rate, 0, 0, rate, 20.0, 9.0, 0.4, 0.1, 300.0
            FROM told ORDER BY hash(second)
            """
        )
    return folder


def test_runs_of_history_are_its_judged_windows_in_order_without_those_around_anomalies(data):
    (run,) = history_runs(data, WIKIMEDIA, 1.0)
    begin, end = INCIDENT
    seconds = run.starts - T0
    assert seconds.tolist() == [*range(2001), *range(2101, WINDOWS)]
    assert run.features.shape == (WINDOWS - 100, len(WIKIMEDIA.features))
    assert run.features[:, 1:].tolist()[5:] == [[20.0, 9.0, 0.4, 0.1, 300.0]] * (WINDOWS - 105)
    assert run.features[(seconds >= begin) & (seconds < end), 0].min() > 100.0
    assert seconds[run.left_out].tolist() == list(range(begin - 120, end + 120))


def test_reference_of_history_knows_its_feed_by_what_it_ordinarily_shows(data, tmp_path):
    out = tmp_path / "own.json"
    said = command("calibrate", "--history", "--data", data, "--out", out, *options(QUICK))
    reference = load_reference(out)
    assert "windows of its own history" in said
    assert reference.windows == WINDOWS - 100 - 300
    for table in reference.tables["rate"].values():
        assert 2.0 < table.up.at[-1] < 6.0
    assert lanes_of((*QUICK, f"calibration.reference={out}")).reference_of("wikimedia") == reference


def test_history_without_windows_of_this_width_and_no_history_are_said(data, tmp_path):
    with pytest.raises(ConfigError, match="holds no judged windows of 60 s"):
        history_runs(data, WIKIMEDIA, 60.0)
    said = command("calibrate", "--history", "--data", tmp_path / "none", *options(QUICK), code=2)
    assert "no history in" in said


# -- from the simulation


def test_simulated_groups_are_dispersions_whose_runs_differ_in_seed_and_rate():
    heard = []
    groups, words = simulated_groups(0.01, seeds=3, progress=lambda done, note: heard.append((done, note)))
    assert [len(runs) for runs in groups] == [3] * 5
    assert all(len(run.starts) == 864 and not run.left_out.any() for runs in groups for run in runs)
    means = [round(float(run.features[:, 0].mean())) for runs in groups for run in runs]
    assert all((mean < 32) == (number % 2 == 0) for number, mean in enumerate(means)), means
    scatter = [np.var(np.diff(runs[0].features[:, 0])) / runs[0].features[:, 0].mean() for runs in groups]
    assert scatter[0] > scatter[2] > scatter[4]
    assert words == "simulated edits, dispersions 3, 5, 7, 10, 15, 20 and 45 a second, seeds 11 to 13, 0.01 days each"
    assert heard[0] == (0.0, "simulating 1 of 15")
    assert len(heard) == 15


@pytest.mark.slow
def test_reference_of_simulated_edits_is_made_by_the_command(tmp_path):
    out = tmp_path / "own.json"
    done = tracewave("calibrate", "--simulated", "0.5", "--out", str(out), *options(QUICK), timeout=280)
    assert done.returncode == 0, done.stderr
    reference = load_reference(out)
    assert reference.windows == 15 * 43_200
    assert reference.made_of in done.stdout
    assert set(reference.tables["rate"]) == {"zscore", "ewma"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name recordings, or --history, or --simulated DAYS: one of the three"),
        (["a.jsonl.gz", "--history"], "one of the three"),
        (["a.jsonl.gz", "--simulated", "1"], "one of the three"),
        (["--history", "--simulated", "1"], "one of the three"),
        (["--simulated", "1", "--set", "window.width=60"], "--simulated makes windows of 1 s, and window.width is 60"),
        (["--simulated", "0.1"], "0.1 is not in the range"),
        (["no-such.jsonl.gz"], "no-such.jsonl.gz"),
    ],
)
def test_source_of_windows_that_is_not_one_is_said(arguments, said, tmp_path):
    out = tmp_path / "own.json"
    assert said in command("calibrate", *arguments, "--out", out, code=2)
    assert not out.exists()


# -- the benchmark


PROFILES = {"standard", "low_fp", "low_fn"}


def series(rows: int, spike: int) -> str:
    values = np.random.default_rng(rows).normal(10.0, 1.0, rows)
    values[spike : spike + 3] += 30.0
    lines = (f"2014-04-01 {i // 60:02d}:{i % 60:02d}:00,{value:.3f}" for i, value in enumerate(values))
    return "timestamp,value\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two short files with a spike each."""
    folder = tmp_path_factory.mktemp("nab")
    (folder / "data" / "made").mkdir(parents=True)
    (folder / "data" / "made" / "one.csv").write_text(series(500, spike=300))
    (folder / "data" / "made" / "two.csv.gz").write_bytes(gzip.compress(series(400, spike=250).encode()))
    windows = {
        "made/one.csv": [["2014-04-01 04:50:00", "2014-04-01 05:20:00"]],
        "made/two.csv": [["2014-04-01 04:00:00", "2014-04-01 04:30:00"]],
    }
    (folder / "combined_windows.json").write_text(json.dumps(windows))
    return folder


def test_benchmark_is_one_object_with_a_score_a_profile_for_the_ensemble_and_each_detector(corpus):
    told = json.loads(command("nab", corpus, "--json"))
    assert set(told["ensemble"]) == {*PROFILES, "half"}
    assert set(told["detectors"]) == {
        "older ensemble", "zscore", "ewma", "trees", "novelty", "novelty_root", "novelty_4", "novelty_24", "seasonal",
    }  # fmt: skip
    for scores in (told["ensemble"], *told["detectors"].values()):
        assert set(scores) == {*PROFILES, "half"}
        assert all(isinstance(scores[profile], float) and scores[profile] <= 100.0 for profile in PROFILES)
    assert told["corpus"]["files"] == 2
    assert min(told["ensemble"][profile] for profile in PROFILES) > 70.0


def test_benchmark_in_words_runs_lanes_of_ones_own(corpus, tmp_path):
    own = tmp_path / "lanes.toml"
    own.write_text('[lanes.far]\ndetector = "zscore"\nwarm_up = 70\n')
    text = command("nab", corpus, "--config", own)
    names = "older ensemble", "ensemble", "far", "zscore"
    assert [name for line in text.splitlines() for name in names if line.startswith(f"{name} ")] == [
        "ensemble", "older ensemble", "far",
    ]  # fmt: skip
    assert "Read these numbers with care" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{folder}/none"], "combined_windows.json cannot be read"),
        (["{corpus}", "--config", "{folder}/none.toml"], "none.toml: the configuration cannot be read"),
        (["{calm}", "--published", "{folder}/none.csv"], "none.csv"),
        (["{calm}"], "none of the files has a window"),
    ],
)
def test_benchmark_that_cannot_run_says_why_and_before_it_judges_where_it_can(corpus, tmp_path, arguments, said):
    calm = tmp_path / "calm"  # nothing to hit, which is found out once all is judged
    shutil.copytree(corpus, calm)
    (calm / "combined_windows.json").write_text('{"made/one.csv": []}')
    told = command("nab", *(one.format(folder=tmp_path, corpus=corpus, calm=calm) for one in arguments), code=2)
    assert told.startswith("tracewave: ")
    assert said in told


# -- the evaluation


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "0"], "0 is not in the range"),
        (["--days", "0.1"], "0.1 is not in the range"),
        (["--set", "window.width=60"], "windows of 60 s and no reference"),
        (["--set", "calibration.reference={folder}/none.json"], "none.json: the reference cannot be read"),
    ],
)
def test_evaluation_that_cannot_run_says_why(tmp_path, arguments, said):
    assert said in command("evaluate", *(one.format(folder=tmp_path) for one in arguments), code=2)


def test_evaluation_that_could_not_draw_says_so_before_it_runs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said = command("evaluate", "--out", tmp_path / "report", "--set", "calibration.reference=none.json", code=2)
    assert "pip install 'tracewave-panel[lab]'" in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whole_evaluation_of_a_day_of_one_seed_makes_a_report(tmp_path):
    assert REFERENCE.is_file()
    pytest.importorskip("matplotlib")
    out = tmp_path / "report"
    done = tracewave("evaluate", "--seeds", "1", "--days", "1", "--json", "--out", str(out), timeout=880)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(f"evaluated in {told['seconds']:.0f} s")
    assert told == json.loads((out / "report.json").read_bytes())
    assert {path.name for path in out.iterdir()} == {"recall.svg", "report.json", "report.md"}
    assert (told["seeds"], told["days"]) == (1, 1.0)
    assert told["reference"] == load_reference(REFERENCE).made_of
    assert [row["dispersion"] for row in told["clean"]] == [8.0, 4.0, 12.0]
    assert {row["incidents"] for row in told["recall"]} == {31, 10}
    assert all(set(row["by"]) == {"ensemble", *lanes_of(()).detectors} for row in told["recall"])
    reached = {one["what"]: one["reached"] for one in told["targets"]}
    # one day is too little to hold the floors against; what it cannot miss is held
    assert reached["surge x3, 60 s, dispersion 8: recall"] == 1.0
    assert reached["drop x0.25, 60 s, dispersion 8: recall"] == 1.0
    assert reached["surge x2, 60 s, dispersion 8: recall"] > 0.9
    assert sum(row["episodes_a_day"]["ensemble"] for row in told["clean"]) < 12
    lost = [one for one in told["targets"] if one["what"].startswith("events lost")]
    assert all(Target(one["what"], one["reached"], one["floor"], one["at_most"]).reaches(0.0) for one in lost)
