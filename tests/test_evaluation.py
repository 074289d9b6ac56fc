"""The evaluation: what counts as found, late, false or by chance, and every floor beside what was reached."""

from __future__ import annotations

import json
import math
import sys
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest

from tracewave_panel.codec import to_json
from tracewave_panel.config import load_settings
from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.core.ensemble import EnsembleSettings
from tracewave_panel.core.episodes import EpisodeSettings
from tracewave_panel.core.lane import LaneSettings
from tracewave_panel.errors import ConfigError, StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.lab.calibrate import Run, make_reference
from tracewave_panel.lab.cases import CASES, Case, CleanRow, Detection, RecallRow
from tracewave_panel.lab.cost import WindowCost, window_cost
from tracewave_panel.lab.engine import judge
from tracewave_panel.lab.evaluation import (
    DISPERSIONS,
    _alerts,
    _by_chance,
    _clean_row,
    _delay,
    _last,
    _Outcome,
    _recall_row,
    clean_and_recall,
)
from tracewave_panel.lab.explanations import _KINDS, _LENGTHS, ExplanationRates
from tracewave_panel.lab.faults import FAULTS, FaultRow
from tracewave_panel.lab.floors import Target
from tracewave_panel.lab.picture import recall_picture
from tracewave_panel.lab.report import Evaluation, run_evaluation, save_report
from tracewave_panel.lab.simulated import schedule, simulated
from tracewave_panel.sources.synthetic_incidents import Planted, plant
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings

START = 1_767_571_200.0
DETECTORS = {"zscore": (ZScore, ZScore.defaults), "ewma": (EwmaChart, EwmaChart.defaults)}
SURGE = Case("surge", 3.0, 60)


def flags(windows: int, *alerting: int) -> np.ndarray:
    """Windows of which some alert."""
    told = np.zeros(windows, bool)
    told[list(alerting)] = True
    return told


def planted(start: float, length: float) -> Planted:
    return Planted(START + start, START + start + length, "surge", 3.0, {})


@pytest.fixture(scope="module")
def referenced() -> LaneSettings:
    """Two quick detectors and tables of a few hours."""
    made = simulated(SyntheticSettings(seed=11), START, 20_000)
    run = Run(made.features, made.starts, np.zeros(20_000, bool))
    settings = LaneSettings(DETECTORS)
    reference = make_reference(WIKIMEDIA, settings, [[run]], made_of_words="a few hours")
    return msgspec.structs.replace(settings, references=(reference,))


# -- what counts


@pytest.mark.parametrize(
    ("length", "alerting", "delay"),
    [
        (60, [499, 500], 0.0),
        (60, [100, 507, 520], 7.0),
        (60, [569], 69.0),
        (60, [570], math.nan),
        (60, [], math.nan),
        (3, [512], 12.0),
        (3, [513], math.nan),
        (300, [799], 299.0),
        (300, [800], math.nan),
    ],
)
def test_delay_is_that_of_the_first_alert_inside_and_ten_seconds_after_a_short_incident(length, alerting, delay):
    found = _delay(flags(1000, *alerting), planted(500, length), START)
    assert found == delay or (math.isnan(found) and math.isnan(delay))


def test_chance_is_told_of_a_stretch_as_long_before_each_incident():
    truth = (planted(500, 60), planted(1500, 60))
    assert _by_chance(flags(2000), truth, START) == [False, False]
    for before, hit in [(100, False), (99, False), (170, True), (101, True), (171, False)]:
        assert _by_chance(flags(2000, 1500 - before), truth, START) == [False, hit], before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
@pytest.mark.parametrize("days", [0.5, 1.0, 2.0])
def test_nothing_planted_reaches_into_the_stretches_that_chance_is_told_of(case, days):
    incidents = schedule(case.kind, 801, days, effect=case.effect, length=case.length, dimensions=case.dimensions)
    truth = [plant(one, START, 801) for one in incidents]
    inside = flags(int(days * 86_400))
    for one in truth:
        inside[int(one.start - START) : _last(one, START)] = True
    told = _by_chance(inside, truth, START)
    assert told
    assert not any(told)


def test_stretch_without_incident_is_found_before_every_short_one():
    for case in (case for case in CASES if case.length <= 60):
        incidents = schedule(case.kind, 801, 1.0, effect=case.effect, length=case.length, dimensions=case.dimensions)
        truth = [plant(one, START, 801) for one in incidents]
        assert len(_by_chance(flags(86_400), truth, START)) == len(truth) > 20


def test_alerts_are_the_ensembles_and_those_of_each_detector_that_fires(referenced):
    made = simulated(
        SyntheticSettings(seed=12),
        START,
        5000,
        incidents=schedule("surge", 3, 0.055, effect=4.0, length=60.0, dimensions=(), after=3600.0, every=1000.0),
    )
    judged = judge(WIKIMEDIA, WIKIMEDIA.metrics[0], referenced, made.features, made.starts)
    alerts = _alerts(judged)
    assert set(alerts) == {"ensemble", "zscore", "ewma"}
    np.testing.assert_array_equal(alerts["ensemble"], judged.alerting)
    for name in DETECTORS:
        np.testing.assert_array_equal(alerts[name], judged.log10_p[name] <= -5.0)
        assert alerts[name].any()
    assert made.truth


# -- rows


def test_clean_row_is_a_rate_over_all_streams_of_its_dispersion():
    outcomes = [
        _Outcome(8.0, 2.0, {"ensemble": 3, "a": 1, "b": 0}, {"a": 2, "b": 4}, cold=5),
        _Outcome(4.0, 2.0, {"ensemble": 90, "a": 90, "b": 90}, {"a": 90, "b": 90}, cold=90),
        _Outcome(8.0, 2.0, {"ensemble": 5, "a": 0, "b": 0}, {"a": 0, "b": 4}, cold=8),
        _Outcome(8.0, 2.0, delays={SURGE: {"ensemble": [1.0]}}, chance={SURGE: {"ensemble": [True]}}),
    ]
    row = _clean_row(8.0, outcomes)
    assert row == CleanRow(8.0, 4.0, {"ensemble": 2.0, "a": 0.25, "b": 0.0}, {"a": 0.5, "b": 2.0}, 2.0)


def test_recall_row_pools_the_incidents_of_all_streams_of_its_dispersion():
    nan = math.nan

    def outcome(dispersion, delays, chance, case=SURGE):
        silent = {"a": [nan] * len(delays)}
        return _Outcome(
            dispersion,
            1.0,
            delays={case: {"ensemble": delays} | silent},
            chance={case: {"ensemble": chance, "a": [False]}},
        )

    outcomes = [
        outcome(8.0, [0.0, 4.0, nan], [True, False]),
        outcome(8.0, [8.0, nan], [False, False]),
        outcome(4.0, [nan] * 9, [True]),
        outcome(8.0, [nan] * 9, [True], Case("drop", 0.5, 60)),
        _Outcome(8.0, 2.0, {"ensemble": 3}),
    ]
    row = _recall_row(SURGE, 8.0, outcomes)
    assert (row.case, row.dispersion, row.incidents) == (SURGE, 8.0, 5)
    assert row.by["ensemble"] == Detection(recall=0.6, delay=4.0, late=pytest.approx(7.6), chance=0.25)
    assert row.by["a"] == Detection(recall=0.0, delay=None, late=None, chance=0.0)


@pytest.mark.slow
def test_clean_and_planted_streams_are_run_and_counted(referenced):
    heard = []
    clean, recall = clean_and_recall(
        referenced,
        EpisodeSettings(),
        seeds=1,
        days=0.5,
        cases=(SURGE,),
        dispersions=(8.0,),
        progress=lambda done, note: heard.append((done, note)),
    )
    assert heard == [(0.5, "1 of 2 streams"), (1.0, "2 of 2 streams")]
    assert [(row.dispersion, row.days) for row in clean] == [(8.0, 0.5)]
    assert set(clean[0].episodes_a_day) == {"ensemble", "zscore", "ewma"}
    assert set(clean[0].without) == {"zscore", "ewma"}
    # tables of a few hours promise a few alarms a day, not thousands
    assert max(*clean[0].episodes_a_day.values(), *clean[0].without.values(), clean[0].cold) < 60
    assert [(row.case, row.incidents) for row in recall] == [(SURGE, 13)]
    ensemble = recall[0].by["ensemble"]
    assert ensemble.recall > 0.9
    assert 0.0 <= ensemble.delay <= ensemble.late < 60.0
    assert ensemble.chance < 0.2


@pytest.mark.parametrize(
    ("change", "asked", "said"),
    [
        ({}, {"seeds": 0}, "at least one seed and half a day, not 0 and 0.5"),
        ({}, {"days": 0.4}, "at least one seed and half a day, not 1 and 0.4"),
        ({"references": ()}, {}, "no reference for ewma, zscore with these settings and windows of 1 s"),
        (
            {"detectors": DETECTORS | {"ewma": (EwmaChart, msgspec.structs.replace(EwmaChart.defaults, warm_up=99))}},
            {},
            "no reference for ewma with these settings",
        ),
        ({"ensemble": EnsembleSettings(hold=6)}, {}, "does not say how rare evidence is"),
        ({"ensemble": EnsembleSettings(direction="rise")}, {}, "leave ensemble.direction and"),
        ({"ensemble": EnsembleSettings(minimum_change=0.5)}, {}, "leave ensemble.direction and"),
    ],
)
def test_what_would_be_measured_wrongly_is_refused(referenced, change, asked, said):
    lanes = msgspec.structs.replace(referenced, **change)
    with pytest.raises(ConfigError, match=said):
        clean_and_recall(
            lanes, EpisodeSettings(), **{"seeds": 1, "days": 0.5} | asked, cases=(SURGE,), dispersions=(8.0,)
        )


@pytest.mark.parametrize(
    ("assignments", "said"),
    [(["window.width=60"], "windows of 60 s and no reference"), (["window.width=0.1"], "windows of 0.1 s")],
)
def test_whole_evaluation_is_of_windows_of_a_second_with_a_reference(assignments, said):
    with pytest.raises(ConfigError, match=said):
        run_evaluation(load_settings(None, {}, assignments), seeds=1, days=1.0)


def test_window_costs_something_and_no_detector_far_more_than_all(referenced):
    cost = window_cost(referenced)
    assert set(cost.detectors) == set(DETECTORS)
    assert all(0.0 < alone < 2000.0 for alone in cost.detectors.values())
    # two measurements on a busy machine: the lane's own must not be taken for a detector's twice over
    assert max(cost.detectors.values()) < 2 * cost.lane < 8000.0


# -- floors


@pytest.mark.parametrize(
    ("target", "met", "words"),
    [
        (Target("a", 0.98, 0.98), True, (">= 0.98", "0.98", "yes", "")),
        (Target("a", 0.9796, 0.98), False, (">= 0.98", "0.9796", "NO", "")),
        (Target("a", 0.98, 0.95, stretch=0.99), True, (">= 0.95", "0.98", "yes", "0.99: no")),
        (Target("a", 1.0, 0.95, stretch=0.99), True, (">= 0.95", "1", "yes", "0.99: yes")),
        (Target("a", 2.0, 2.0, at_most=True, stretch=1.0), True, ("<= 2", "2", "yes", "1: no")),
        (Target("a", 2.1, 2.0, at_most=True), False, ("<= 2", "2.1", "NO", "")),
        (Target("a", math.inf, 35.0, at_most=True), False, ("<= 35", "inf", "NO", "")),
        (Target("a", None, 8.0, at_most=True, stretch=2.0), False, ("<= 8", "-", "NO", "2: no")),
        (Target("a", math.nan, 8.0, at_most=True), False, ("<= 8", "-", "NO", "")),
        (Target("a", math.nan, 0.9), False, (">= 0.9", "-", "NO", "")),
        (Target("a", 0.3, None, stretch=0.5), None, ("", "0.3", "", "0.5: no")),
        (Target("a", None, None), None, ("", "-", "", "")),
    ],
)
def test_target_is_met_or_not_and_says_so(target, met, words):
    assert target.reaches(target.floor) is met
    assert (target.floor_words, target.reached_words, target.met_words, target.stretch_words) == words
    assert target.as_dict()["met"] is met


FLOORS = {
    "clean episodes a day, dispersion 8": ("<= 2", None),
    "clean episodes a day, dispersion 4": ("<= 2", None),
    "clean episodes a day, dispersion 12": ("<= 2", None),
    "clean episodes a day, cold start: factor": ("<= 2", None),
    "clean episodes a day, without river: factor": ("<= 2", None),
    "surge x3, 60 s, dispersion 8: recall": (">= 1", None),
    "surge x3, 60 s, dispersion 8: median delay, s": ("<= 4", None),
    "surge x2, 60 s, dispersion 8: recall": (">= 0.98", None),
    "surge x2, 60 s, dispersion 8: median delay, s": ("<= 8", None),
    "surge x1.5, 60 s, dispersion 8: recall": (">= 0.55", 0.7),
    "surge x1.5, 60 s, dispersion 8: median delay, s": ("<= 27", 20.0),
    "surge x2, 60 s, dispersion 4: recall": (">= 0.95", None),
    "drop x0.25, 60 s, dispersion 8: recall": (">= 1", None),
    "drop x0.5, 60 s, dispersion 8: recall": (">= 0.9", None),
    "outage x0, 60 s, dispersion 8: recall": (">= 1", None),
    "burst x5, 3 s, dispersion 8: recall": (">= 0.9", None),
    "drift x1.5, 1800 s, dispersion 8: recall": ("", 0.5),
    "surge x1.25, 600 s, dispersion 8: recall": ("", 0.5),
    "false anomalies in 800 faults: disconnect": ("<= 0", None),
    "events lost in them: disconnect": ("<= 0", None),
    "false anomalies in 800 faults: stall": ("<= 0", None),
    "events lost in them: stall": ("<= 0", None),
    "silence without proof of life is told after, s": ("<= 35", None),
    "culprit first, rise +25 %, 30 s": (">= 0.985", None),
    "culprit first, rise +50 %, 30 s": (">= 0.993", None),
    "culprit first, rise +25 %, 5 s": (">= 0.92", None),
    "culprit first, rise +50 %, 5 s": (">= 0.97", None),
    "the same, values under 10 % share, rise +25 %": (">= 0.97", None),
    "the same, values under 10 % share, rise +50 %": (">= 0.98", None),
    **{
        f"told as global, {kind}, {length} s": (">= 0.97", None)
        for kind in ("global rise +50 %", "global rise x3", "global drop to 50 %")
        for length in (5, 30)
    },
    "cost of a window, all detectors, us": ("<= 300", None),
}
"""As the design has them."""


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Made-up figures for every row that there is."""
    names = ("ensemble", "zscore", "trees")
    clean = [CleanRow(d, 35.0, dict.fromkeys(names, 1.5), {"zscore": 1.0, "trees": 1.2}, 2.4) for d in DISPERSIONS]
    recall = [
        RecallRow(case, dispersion, 31, {name: Detection(0.99, 3.5, 9.0, 0.0) for name in names})
        for dispersion in DISPERSIONS
        for case in CASES
    ]
    recall[3] = msgspec.structs.replace(recall[3], by=dict.fromkeys(names, Detection(0.0, None, None, 0.0)))
    faults = [
        FaultRow(kind, rate, 200, 9000, int(rate == 30.0), 2, 15, 30.5 if kind == "disconnect" else None, 2.5, 0)
        for kind in FAULTS
        for rate in (0.5, 5.0, 30.0, 500.0)
    ]
    explanations = [
        ExplanationRates(kind, length, 340, 0, 0.99, math.nan, 1.0, 0.9, 0.01) for kind in _KINDS for length in _LENGTHS
    ]
    cost = WindowCost(150.0, {"zscore": 20.0, "trees": 60.0})
    return Evaluation(5, 7.0, "made up", tuple(clean), tuple(recall), tuple(faults), tuple(explanations), cost, 9.0)


def test_every_floor_of_the_design_stands_beside_what_was_reached(evaluation):
    told = evaluation.targets()
    assert {one.what: (one.floor_words, one.stretch) for one in told} == FLOORS
    assert len(told) == len(FLOORS)
    reached = {one.what: one.reached for one in told}
    assert reached["clean episodes a day, dispersion 12"] == 1.5
    assert reached["clean episodes a day, cold start: factor"] == pytest.approx(1.6)
    assert reached["clean episodes a day, without river: factor"] == pytest.approx(1.25)
    assert reached["surge x2, 60 s, dispersion 8: median delay, s"] == 3.5
    assert reached["false anomalies in 800 faults: disconnect"] == 1
    assert reached["silence without proof of life is told after, s"] == 30.5
    assert reached["told as global, global rise x3, 5 s"] == 0.01
    assert math.isnan(reached["the same, values under 10 % share, rise +25 %"])


def test_lanes_without_trees_have_no_floor_for_a_machine_without_river(evaluation):
    clean = tuple(msgspec.structs.replace(row, without={"zscore": 1.0}) for row in evaluation.clean)
    told = {one.what for one in msgspec.structs.replace(evaluation, clean=clean).targets()}
    assert set(FLOORS) - told == {"clean episodes a day, without river: factor"}


# -- the report


def test_evaluation_is_plain_values_for_machines(evaluation):
    plain = evaluation.as_dict()
    assert json.loads(json.dumps(plain)).keys() == plain.keys()
    told = json.loads(to_json(plain))
    assert told["recall"][0]["case"] == {
        "kind": "surge", "effect": 3.0, "length": 60, "dimensions": ["wiki", "actor"], "everywhere": False,
        "title": "surge x3, 60 s",
    }  # fmt: skip
    assert told["recall"][0]["by"]["ensemble"] == {"recall": 0.99, "delay": 3.5, "late": 9.0, "chance": 0.0}
    assert told["clean"][0]["without"] == {"zscore": 1.0, "trees": 1.2}
    assert told["explanations"][0]["first_small"] is None
    assert told["cost"]["lane"] == 150.0
    met = {one["what"]: one["met"] for one in told["targets"]}
    assert met.keys() == FLOORS.keys()
    assert met["surge x3, 60 s, dispersion 8: recall"] is False
    assert met["burst x5, 3 s, dispersion 8: recall"] is True
    assert met["drift x1.5, 1800 s, dispersion 8: recall"] is None


def tables(text: str) -> dict[str, list[list[str]]]:
    """Cells of the Markdown tables in a text, by the heading above."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("|"):
            assert line.endswith("|")
            found.setdefault(heading, []).append([cell.strip() for cell in line[1:-1].split("|")])
    return found


def test_evaluation_in_words_is_tables_of_markdown(evaluation):
    text = evaluation.as_text()
    found = tables(text)
    assert {heading.split(":")[0]: len(rows) - 2 for heading, rows in found.items()} == {
        "Floors": len(FLOORS),
        "Clean simulated edits": 3,
        "Planted incidents": 36,
        "Faults of the feed": 8,
        "Explanations": 16,
    }
    for heading, rows in found.items():
        assert {len(row) for row in rows} == {len(rows[0])}, heading
        assert all(set(cell) == {"-"} for cell in rows[1]), heading
        assert all(cell not in {"nan", "None"} for row in rows for cell in row), heading
        assert f"\n\n| {rows[0][0]}" in text, heading
    assert found["Planted incidents: recall / median delay in s"][2][:4] == ["surge x3, 60 s", "8", "31", "0.99 / 4"]
    assert found["Planted incidents: recall / median delay in s"][5][3:] == ["0.00 / -"] * 3 + ["-", "0.000"]
    assert found["Floors"][2] == ["clean episodes a day, dispersion 8", "<= 2", "1.5", "yes", ""]
    assert found["Explanations"][2] == ["rise +25 %", "5", "340", "0", "0.99", "-", "1", "0.9", "0.01"]
    assert "5 clean seeds x 7 days" in text
    assert "150 us of one core in all; alone: zscore 20, trees 60" in text


def test_report_is_three_files(evaluation, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "new" / "report"
    save_report(folder, evaluation)
    assert sorted(path.name for path in folder.iterdir()) == ["recall.svg", "report.json", "report.md"]
    assert json.loads((folder / "report.json").read_bytes()) == json.loads(to_json(evaluation.as_dict()))
    written = (folder / "report.md").read_text(encoding="utf-8")
    assert evaluation.as_text() in written
    assert "(recall.svg)" in written
    drawn = ET.parse(folder / "recall.svg").getroot()
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot write into .*a file"):
        save_report(blocked, evaluation)


def test_picture_is_of_incidents_of_a_minute_at_dispersion_8_with_a_line_a_detector(evaluation):
    pytest.importorskip("matplotlib")
    drawn = recall_picture(evaluation.recall)
    for name in evaluation.recall[0].by:
        assert f"<!-- {name} -->" in drawn.decode()
    shown = [row for row in evaluation.recall if row.case.length == 60 and row.dispersion == 8.0]
    assert len(shown) == 8
    assert recall_picture(shown[::-1]) == drawn
    assert recall_picture(shown[1:]) != drawn


def test_without_matplotlib_the_report_says_what_to_install_and_writes_nothing(evaluation, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'tracewave-panel\[lab\]'"):
        save_report(tmp_path / "report", evaluation)
    assert list(tmp_path.iterdir()) == []
