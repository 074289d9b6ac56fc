"""Real captures through the engine: what is counted as found, and that nothing of a file is lost on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.errors import ConfigError
from tracewave_panel.lab.real_data.captures import BARS, FLOW, busiest_wikis, measured_batches, wiki_batches
from tracewave_panel.lab.real_data.configuration import load_configuration
from tracewave_panel.lab.real_data.judging import Raised, Run, matched, run_capture, tolerances_of
from tracewave_panel.lab.real_data.known import Capture, Known, known_captures
from tracewave_panel.lab.real_data.report import save_report
from tracewave_panel.lab.real_data.study import study_captures
from tracewave_panel.model import Anomaly, AnomalyKind, Batch, Event, Quality, Severity, Verdict

ROOT = Path(__file__).parents[1]
NOON = datetime(2022, 1, 5, 12, tzinfo=UTC)
UP, DOWN, MIX, SILENT = AnomalyKind.RATE_UP, AnomalyKind.RATE_DOWN, AnomalyKind.MIX_SHIFT, AnomalyKind.FEED_SILENT


def hours(path, rows):
    path.write_text("Time,Water flow [l/s]\n" + "".join(f"{time},{value}\n" for time, value in rows))
    return path


def raised(minutes, kind=UP, *, series="edits", metric="rate", places=()):
    opened = NOON.timestamp() + 60.0 * minutes
    anomaly = Anomaly(
        f"{series}{minutes}", series, metric, kind, opened, opened, opened, None, Severity.INFO, 0.5, 1.0, 0, 2.0, 1.0,
        (), (), (), Verdict.NONE, (), 0.0, Quality.OK, "Surge",
    )  # fmt: skip
    return Raised(anomaly, places)


def run_of(*episodes, days=10.0, alerting=()):
    noon, half = NOON.timestamp(), 43_200.0 * days
    lanes = {("edits", "rate"): tuple(noon + 60.0 * minute for minute in alerting)}
    return Run(1, 1, {"ok": 100}, 100, 0, 0, noon - half, noon + half, episodes, 60.0, lanes)


def capture_of(known, reader="edits", tolerances=(900.0,)):
    return Capture("noon", "file", reader, "minutes", tolerances, (known,))


# -- reading --------------------------------------------------------------------------------


def test_missing_rows_are_gap_windows_that_are_told_as_silence_and_never_judged(tmp_path):
    times = [f"2022-03-20T{hour:02d}:00:00+01:00" for hour in (*range(6), *range(9, 16))]
    path = hours(tmp_path / "flow.csv", [(time, 100.0) for time in times])
    settings = load_configuration().kinds["hours"]
    run = run_capture(FLOW, settings, measured_batches(path, FLOW, "water", settings.width))
    assert (run.windows, run.judged, run.holes) == ({"gap": 3, "ok": 12, "partial": 1}, 12, 1)
    (silence,) = run.raised
    assert (silence.silence, silence.anomaly.opened) == (True, datetime(2022, 3, 20, 5, tzinfo=UTC).timestamp())


def test_clocks_going_forward_make_no_hole(tmp_path):
    rows = [("2022-03-27T01:00:00+01:00", 1.0), ("2022-03-27T03:00:00+02:00", 2.0), ("2022-03-27T04:00:00+02:00", 3.0)]
    batches = list(measured_batches(hours(tmp_path / "flow.csv", rows), FLOW, "water", 3600.0))
    assert [event.time - 1_648_339_200.0 for batch in batches for event in batch.events] == [0.0, 3600.0, 7200.0]
    assert not any(batch.marks for batch in batches)


def test_one_row_with_a_wrong_year_moves_no_time(tmp_path):
    rows = [(f"2022-03-20 {hour:02d}:00", 1.0) for hour in range(8)]
    rows[3] = ("2032-03-20 03:00", 7.0)
    batches = list(measured_batches(hours(tmp_path / "flow.csv", rows), FLOW, "water", 3600.0))
    events = [event for batch in batches for event in batch.events]
    assert [event.measures[0] for event in events] == [1.0, 1.0, 1.0, 7.0, 1.0, 1.0, 1.0, 1.0]
    assert max(event.time for event in events) == datetime(2022, 3, 20, 7, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Time,flow\n2022-03-20,1\n", r"no column Water flow \[l/s\]"),
        ("Time,Water flow [l/s]\nsoon,1\n", "line 2: not a time and its measures"),
        ("Time,Water flow [l/s]\n2022-03-20,\n", "line 2: not a time and its measures"),
        ("Time,Water flow [l/s]\n2022-03-20\n", "line 2: not a time and its measures"),
        ("Time,Water flow [l/s]\n2022-03-20,nan\n", "line 2: not a time and its measures"),
        ("Time,Water flow [l/s]\n", "has no rows"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_line(tmp_path, text, words):
    path = tmp_path / "flow.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        list(measured_batches(path, FLOW, "water", 3600.0))


def test_each_wiki_becomes_a_series_and_the_others_are_left_out():
    def edit(number, wiki):
        return Event(number, number, number, "edits", str(number), (wiki, "xx", "article", "bot", "edit"), (1.0,))

    batches = [Batch(9.0, 9.0, events=tuple(edit(n, wiki) for n, wiki in enumerate("babcbc"))), Batch(19.0, 19.0)]
    assert busiest_wikis(batches, 2) == ["b", "c"]
    told = list(wiki_batches(batches, {"b", "c"}))
    assert [event.series for event in told[0].events] == ["b", "b", "c", "b", "c"]
    assert [batch.watermark for batch in told] == [9.0, 19.0]


# -- the configuration ----------------------------------------------------------------------


def test_a_detector_of_which_one_number_is_set_keeps_its_other_ones():
    lanes = load_configuration().kinds["minutes"].analyzer.lanes
    ewma = lanes.detectors["ewma"][1]
    assert ewma == msgspec.structs.replace(EwmaChart.defaults, warm_up=60, patience=60)
    assert list(lanes.detectors) == ["zscore", "ewma", "trees", "novelty", "seasonal"]
    assert lanes.own_history.after == 100


def test_a_variant_changes_what_it_names_and_nothing_else():
    configuration = load_configuration()
    usual, changed = configuration.kinds["hours"], configuration.variants["alarm budget / 3"]["hours"]
    ensemble = msgspec.structs.replace(usual.analyzer.lanes.ensemble, alarm_budget=0.0167)
    lanes = msgspec.structs.replace(usual.analyzer.lanes, ensemble=ensemble)
    assert changed == msgspec.structs.replace(usual, analyzer=msgspec.structs.replace(usual.analyzer, lanes=lanes))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kinds =", "Invalid value"),
        ("[other]", "unknown field"),
        ("[kinds.minutes]\nwindow.widht = 60", "widht"),
        ("[kinds.minutes]\nwindow.width = 0", "width must be from"),
        ("[kinds.minutes]\n[variants.faster.hours]\nwindow.width = 1", "changes 'hours', which is no kind"),
        (None, "cannot be read"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_why(tmp_path, text, words):
    path = tmp_path / "settings.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_configuration(path)


# -- what counts as found -------------------------------------------------------------------

WAVE = Known("wave", NOON, wiki="uz.wikipedia.org", direction=1)
FALL = Known("fall", NOON, datetime(2022, 1, 5, 13, tzinfo=UTC), direction=-1, metric="price")
UZ = ("uz.wikipedia.org",)


@pytest.mark.parametrize(
    ("known", "reader", "episode", "verdict"),
    [
        (WAVE, "edits", raised(14, places=UZ), "hit"),
        (WAVE, "edits", raised(-15, places=("ru.wikipedia.org", *UZ)), "hit"),
        (WAVE, "edits", raised(16, places=UZ), "miss"),
        (WAVE, "edits", raised(14), "in time only"),
        (WAVE, "edits", raised(14, DOWN, places=UZ), "in time only"),
        (WAVE, "edits", raised(14, MIX, places=UZ), "hit"),
        (WAVE, "edits", raised(14, SILENT, places=UZ), "miss"),
        (WAVE, "wikis", raised(14, series=UZ[0]), "hit"),
        (WAVE, "wikis", raised(14, series="ru.wikipedia.org", places=UZ), "miss"),
        (FALL, "bars", raised(70, DOWN, metric="price"), "hit"),
        (FALL, "bars", raised(76, DOWN, metric="price"), "miss"),
        (FALL, "bars", raised(30, UP, metric="price"), "in time only"),
        (FALL, "bars", raised(30, DOWN, metric="volume"), "in time only"),
        (Known("noon", NOON, quiet=True), "flow", raised(5), "false"),
        (Known("noon", NOON, quiet=True), "flow", raised(50), "quiet"),
    ],
)
def test_verdict(known, reader, episode, verdict):
    (found,) = matched(capture_of(known, reader), run_of(episode))
    assert found.verdict == verdict
    assert found.by == ((episode,) if verdict in {"hit", "in time only", "false"} else ())


def test_a_miss_says_how_much_of_its_time_was_an_earlier_alarm():
    (found,) = matched(capture_of(WAVE), run_of(raised(-60, places=UZ), alerting=range(-60, 0)))
    assert (found.verdict, found.alerting) == ("miss", 0.5)
    (elsewhere,) = matched(capture_of(WAVE, "wikis"), run_of(alerting=range(-60, 0)))
    assert elsewhere.alerting == 0.0
    (calm,) = matched(capture_of(Known("noon", NOON, quiet=True)), run_of(alerting=range(-60, 0)))
    assert calm.verdict == "unproven"


def test_wider_tolerances_find_more_and_so_does_chance():
    capture = capture_of(WAVE, tolerances=(900.0, 3600.0))
    run = run_of(raised(-30, places=UZ), raised(300, places=UZ), raised(5), days=1.0)
    strict, wide = tolerances_of(capture, run)
    assert (strict.hits, wide.hits) == (0, 1)
    # two episodes name the wiki; half an hour and two hours of a day
    assert strict.by_chance == pytest.approx(1.0 - (1.0 - 0.5 / 24.0) ** 2)
    assert wide.by_chance == pytest.approx(1.0 - (1.0 - 2.0 / 24.0) ** 2)
    (found,) = matched(capture, run)
    assert found.nearest == run.raised[0]


# -- the real captures ----------------------------------------------------------------------


def test_every_known_capture_is_there_and_every_known_time_lies_within_it(captures):
    kinds = load_configuration().kinds
    for capture in known_captures():
        assert (captures / capture.file).is_file()
        assert capture.kind in kinds
        assert capture.known
    assert {known.wiki for known in known_captures()[1].known} == {known.wiki for known in known_captures()[0].known}


def test_bars_of_the_market_are_complete(captures):
    path = captures / "crypto/btc-perp_1m_bars_2021-12-31_2022-02-01.csv.xz"
    batches = list(measured_batches(path, BARS, "BTC-PERP", 60.0))
    assert sum(len(batch.events) for batch in batches) == 45_031
    assert not any(batch.marks for batch in batches)


@pytest.mark.slow
def test_two_studies_give_the_same_bytes_and_the_report_counts_what_was_judged(captures, tmp_path):
    water = tuple(capture for capture in known_captures() if capture.reader == "flow")
    for folder in ("one", "two"):
        study = study_captures(captures, water, load_configuration(), noise_days=1)
        save_report(tmp_path / folder, study)
    for name in ("real_data.md", "real_data.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    (studied,), text = study.captures, (tmp_path / "one" / "real_data.md").read_text(encoding="utf-8")
    assert sum(studied.run.windows.values()) == 1_373  # hours from the first row to the last
    assert studied.run.holes == sum(one.silence for one in studied.run.raised) == 9
    verdicts = [found.verdict for found in matched(water[0], studied.run)]
    assert [text.count(f"**{verdict}** |") for verdict in ("hit", "miss", "quiet", "unproven")] == [
        verdicts.count(verdict) for verdict in ("hit", "miss", "quiet", "unproven")
    ]
    (told,) = json.loads((tmp_path / "one" / "real_data.json").read_bytes())
    assert len(told["raised"]) == len(studied.run.raised)
    assert [known["verdict"] for known in told["known"]] == verdicts


# -- what is committed ----------------------------------------------------------------------


def test_committed_report_is_short_and_has_every_capture():
    folder = ROOT / "benchmarks" / "reports"
    lines = (folder / "real_data.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    told = {one["capture"] for one in json.loads((folder / "real_data.json").read_bytes())}
    assert told == {capture.name for capture in known_captures()} == {line[3:] for line in lines if line[3:] in told}


def test_command_says_what_is_missing(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "real_data.py"), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "druid" in ended.stderr
    assert "Traceback" not in ended.stderr
