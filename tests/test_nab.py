"""The Numenta benchmark: its files, its score to the last digit, and what is said of it."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel.errors import ConfigError
from tracewave_panel.lab.nab.corpus import Corpus, LabelledSeries, load_corpus
from tracewave_panel.lab.nab.judging import judge_corpus
from tracewave_panel.lab.nab.published import load_published
from tracewave_panel.lab.nab.report import make_report
from tracewave_panel.lab.nab.scorer import (
    PROFILES,
    best_outcome,
    candidates,
    held_out_halves,
    normalised,
    openings,
    row_scores,
    sweep,
)

PUBLISHED_PROFILES = {
    "standard": "standard",
    "low_fp": "reward_low_FP_rate",
    "low_fn": "reward_low_FN_rate",
}


# -- the files --------------------------------------------------------------------------------


def rows(count, value="1.5"):
    return "timestamp,value\n" + "".join(f"2014-04-01 {i // 60:02d}:{i % 60:02d}:00,{value}\n" for i in range(count))


def write(directory, files, labels):
    (directory / "data" / "real").mkdir(parents=True)
    for name, text in files.items():
        content = text.encode()
        (directory / "data" / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (directory / "combined_windows.json").write_text(labels if isinstance(labels, str) else json.dumps(labels))
    return directory


def test_labelled_and_present_files_are_read_in_order_of_name_and_the_others_are_counted(tmp_path):
    labels = {
        "real/b.csv": [["2014-04-01 00:30:00.000000", "2014-04-01 00:34:00.000000"]],
        "real/a.csv": [],
        "real/gone.csv": [],
    }
    files = {"real/b.csv.gz": rows(40), "real/a.csv": rows(7), "real/unknown.csv": rows(7)}
    corpus = load_corpus(write(tmp_path, files, labels))
    assert [series.name for series in corpus.series] == ["real/a.csv", "real/b.csv"]
    assert corpus.series[1].windows == ((30, 34),)
    assert corpus.series[1].timestamps[:2].tolist() == [1396310400.0, 1396310460.0]
    assert corpus.series[1].values.tolist() == [1.5] * 40
    assert (corpus.absent, corpus.unlabelled) == (("real/gone.csv",), ("real/unknown.csv",))
    assert corpus.describe() == (
        "Files: 2, with 47 rows and windows: 1. Labelled but absent: 1. Present but without labels: 1."
    )


def test_a_window_starts_at_the_first_row_of_a_repeated_time(tmp_path):
    text = rows(40).replace("2014-04-01 00:31:00", "2014-04-01 00:30:00")
    labels = {"real/a.csv": [["2014-04-01 00:30:00", "2014-04-01 00:34:00"]]}
    assert load_corpus(write(tmp_path, {"real/a.csv": text}, labels)).series[0].windows == ((30, 34),)


A = "real/a.csv"
WINDOW = ["2014-04-01 00:30:00", "2014-04-01 00:34:00"]


@pytest.mark.parametrize(
    ("text", "labels", "said"),
    [
        (rows(40), "{", "combined_windows.json is not a JSON object"),
        (rows(40), {A: [["2014-04-01 00:30:00"]]}, "combined_windows.json is not a JSON object"),
        (rows(40), {"real/b.csv": []}, "none of the 1 files labelled in combined_windows.json is there"),
        ("", {A: []}, "no column timestamp and no column value"),
        (rows(40).replace("value", "amount"), {A: []}, "no column value; its first line must name timestamp, value"),
        (rows(0), {A: []}, "a.csv has no rows"),
        (rows(3) + "2014-04-01 00:03:00,many\n", {A: []}, "a.csv, line 5: 'many' is not a number"),
        (rows(3) + "2014-04-01 00:03:00,nan\n", {A: []}, "a.csv, line 5: 'nan' is not a finite number"),
        (rows(3) + "yesterday,1\n", {A: []}, "a.csv, line 5: 'yesterday' is not a time"),
        (rows(3) + "2014-04-01 00:03:00\n", {A: []}, "a.csv, line 5: 1 fields under 2 columns"),
        (rows(3) + "2014-04-01 00:03:00,1\0\xa0\n", {A: []}, "a.csv"),
        (rows(40), {A: [["2014-04-01 00:30:01", WINDOW[1]]]}, "bound 2014-04-01 00:30:01, and no row"),
        (rows(40), {A: [["noon", WINDOW[1]]]}, "bound 'noon', which is not a time"),
        (rows(40), {A: [WINDOW[::-1]]}, "must span at least two rows"),
        (rows(40), {A: [["2014-04-01 00:05:00", WINDOW[1]]]}, "begins in the first 6 rows, which are not scored"),
        (rows(40), {A: [WINDOW, ["2014-04-01 00:34:00", "2014-04-01 00:36:00"]]}, "rows 30 to 34 and 34 to 36"),
    ],
)  # fmt: skip
def test_an_unusable_corpus_says_which_file_which_row_and_what_is_wrong(tmp_path, text, labels, said):
    with pytest.raises(ConfigError) as caught:
        load_corpus(write(tmp_path, {A: text}, labels))
    assert said in str(caught.value)


def test_a_folder_without_labels_and_a_cut_off_archive_are_said(tmp_path):
    with pytest.raises(ConfigError, match=r"combined_windows\.json cannot be read"):
        load_corpus(tmp_path)
    write(tmp_path, {}, {A: []})
    (tmp_path / "data" / f"{A}.gz").write_bytes(gzip.compress(rows(40).encode())[:-20])
    with pytest.raises(ConfigError, match=r"a\.csv\.gz cannot be read as CSV"):
        load_corpus(tmp_path)


# -- the score --------------------------------------------------------------------------------


@st.composite
def labelled_series(draw):
    n = draw(st.integers(20, 120))
    bounds = draw(st.lists(st.integers(int(0.15 * n), n - 1), min_size=2, max_size=6, unique=True).map(sorted))
    windows = tuple(zip(bounds[::2], bounds[1::2], strict=False))
    return LabelledSeries(f"real/{n}.csv", np.arange(float(n)), np.zeros(n), windows)


def ones_at(series, wanted):
    scores = np.zeros(len(series.values))
    scores[list(wanted)] = 1.0
    return scores


def swept_raw(series, scores, profile, cooldown=1):
    return sweep(Corpus((series,)), {series.name: scores}, np.array([1.0]), cooldown).raw(profile)[0, 0]


def score_of(series, scores, profile, cooldown=1):
    return normalised(swept_raw(series, scores, profile, cooldown), len(series.windows), profile)


quick = settings(max_examples=60, deadline=None)  # the first example compiles


@quick
@given(labelled_series(), st.sampled_from(sorted(PROFILES)))
def test_a_perfect_detector_scores_100_and_a_silent_one_0(series, name):
    perfect = ones_at(series, (first for first, _ in series.windows))
    assert score_of(series, perfect, PROFILES[name]) == pytest.approx(100.0)
    assert score_of(series, np.zeros(perfect.size), PROFILES[name]) == pytest.approx(0.0)
    assert score_of(series, np.full(perfect.size, np.nan), PROFILES[name]) == pytest.approx(0.0)


@quick
@given(labelled_series(), st.data())
def test_a_later_alert_in_a_window_earns_less_and_a_second_one_nothing(series, data):
    first, last = data.draw(st.sampled_from(series.windows))
    row = data.draw(st.integers(first, last - 1))
    for profile in PROFILES.values():
        early = swept_raw(series, ones_at(series, [row]), profile)
        late = swept_raw(series, ones_at(series, [row + 1]), profile)
        assert late < early
        assert swept_raw(series, ones_at(series, [row, row + 1]), profile) == early


@quick
@given(labelled_series(), st.data())
def test_a_false_alarm_costs_at_most_its_weight_and_nothing_within_the_probation(series, data):
    inside = {row for first, last in series.windows for row in range(first, last + 1)}
    row = data.draw(st.sampled_from(sorted(set(range(len(series.values))) - inside)))
    for profile in PROFILES.values():
        silent = swept_raw(series, np.zeros(len(series.values)), profile)
        lost = silent - swept_raw(series, ones_at(series, [row]), profile)
        if row < series.probation:
            assert lost == 0.0
        else:
            assert 0.0 < lost <= profile.false_alarm + 1e-12


@quick
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 8), st.integers(0, 10))
def test_a_row_opens_an_alert_unless_one_opened_in_the_cooldown_before(scores, cooldown, first):
    opened = openings(np.array(scores, float), 2.0, cooldown, first).tolist()
    for row, score in enumerate(scores):
        silenced = any(row - cooldown < earlier < row for earlier in opened)
        assert (row in opened) == (row >= first and score >= 2 and not silenced)


@quick
@given(labelled_series(), st.integers(1, 30), st.data())
def test_a_sweep_sums_what_each_row_earns_at_each_threshold(series, cooldown, data):
    n = len(series.values)
    scores = np.array(data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), float)
    swept = sweep(Corpus((series,)), {series.name: scores}, cooldown=cooldown)
    assert swept.thresholds.tolist() == sorted(set(scores.tolist()))
    for profile in PROFILES.values():
        told = swept.raw(profile)[:, 0]
        for threshold, raw in zip(swept.thresholds, told, strict=True):
            opened = openings(scores, threshold, cooldown, series.probation)
            assert raw == pytest.approx(row_scores(series, opened, profile).sum())
        best = best_outcome(swept, profile)
        assert best.score == normalised(told.max(), len(series.windows), profile)


def goldens(captures):
    """Stored outputs of the benchmark's own windowedGaussian, each as (file, columns)."""
    for path in sorted((captures / "nab" / "golden_detector_outputs").glob("*.csv.xz")):
        text = lzma.decompress(path.read_bytes()).decode()
        names = text.splitlines()[0].split(",")
        columns = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=range(1, len(names)), unpack=True)
        yield (
            path.name.removesuffix(".xz").split("__", 1)[1].replace("__", "/"),
            dict(zip(names[1:], columns, strict=True)),
        )


def test_golden_outputs_are_reproduced_row_by_row_and_file_by_file(captures):
    corpus = {series.name: series for series in load_corpus(captures / "nab").series}
    published = gzip.decompress((captures / "nab_reference" / "published_per_file_scores.csv.gz").read_bytes()).decode()
    compared = 0
    for file, columns in goldens(captures):
        series, scores = corpus[file], columns["anomaly_score"]
        assert np.allclose(series.values, columns["value"], rtol=1e-9)
        for name, published_name in PUBLISHED_PROFILES.items():
            stored, profile = columns[f"S(t)_{published_name}"], PROFILES[name]
            told = row_scores(series, openings(scores, 1.0), profile)
            assert np.abs(told - stored).max() <= 1e-6
            raw = swept_raw(series, scores, profile)
            assert raw == pytest.approx(stored.sum(), abs=1e-6)
            line = next(
                row for row in published.splitlines() if row.startswith(f"windowedGaussian,{published_name},{file},")
            )
            assert raw == pytest.approx(float(line.split(",")[4]), abs=1e-6)
            compared += len(stored)
    assert compared == 114_105


# -- one threshold, held-out halves -----------------------------------------------------------


def plain_corpus(files=6):
    return Corpus(
        tuple(LabelledSeries(f"real/{i}.csv", np.arange(200.0), np.zeros(200), ((100, 119),)) for i in range(files))
    )


def scores_with(corpus, levels):
    """Each file alerts once, on the first row of its window, at its own level."""
    return {series.name: level * ones_at(series, [100]) for series, level in zip(corpus.series, levels, strict=True)}


def test_the_best_threshold_is_one_for_all_files_and_its_alerts_are_counted():
    corpus = plain_corpus(3)
    scores = scores_with(corpus, [5.0, 5.0, 1.0])
    scores["real/0.csv"][40:60] = 1.0  # at a threshold of 1 they would cost more than the third window earns
    found = best_outcome(sweep(corpus, scores), PROFILES["standard"])
    assert (found.threshold, found.hits, found.windows, found.false_alarms) == (5.0, 2, 3, 0)
    assert (found.recall, found.precision) == (pytest.approx(2 / 3), 1.0)
    assert found.score == pytest.approx(200 / 3)
    low = best_outcome(sweep(corpus, scores, cooldown=20), PROFILES["standard"])
    assert (low.threshold, low.hits, low.false_alarms, low.precision) == (1.0, 3, 1, 0.75)


def test_halves_are_scored_at_a_threshold_that_others_chose():
    corpus = plain_corpus()
    alike = sweep(corpus, scores_with(corpus, [2.0] * 6))
    half = held_out_halves(alike, PROFILES["standard"])
    assert (half.mean, half.sd, half.splits) == (pytest.approx(100.0), pytest.approx(0.0), 40)
    noisy = scores_with(corpus, [1, 1, 1, 9, 9, 9])
    for name in ("real/3.csv", "real/4.csv", "real/5.csv"):
        noisy[name][:] = np.maximum(noisy[name], 1.0)
    mixed = sweep(corpus, noisy)
    half = held_out_halves(mixed, PROFILES["standard"], seed=3)
    assert half == held_out_halves(mixed, PROFILES["standard"], seed=3)
    assert half != held_out_halves(mixed, PROFILES["standard"], seed=4)
    assert half.mean < best_outcome(mixed, PROFILES["standard"]).score
    assert half.sd > 0


def test_what_cannot_be_scored_is_said():
    one = plain_corpus(1)
    assert held_out_halves(sweep(one, scores_with(one, [1.0])), PROFILES["standard"]) is None
    calm = Corpus((LabelledSeries("real/a.csv", np.arange(50.0), np.zeros(50), ()),))
    with pytest.raises(ConfigError, match="none of the files has a window"):
        best_outcome(sweep(calm, {"real/a.csv": np.zeros(50)}), PROFILES["standard"])
    with pytest.raises(ConfigError, match=r"real/a\.csv has 50 rows and 0 scores"):
        sweep(calm, {})


def test_candidates_are_every_score_or_a_grid_that_is_dense_at_the_top():
    assert candidates({"a": np.array([1.0, np.nan, 3.0]), "b": np.array([3.0, -np.inf])}).tolist() == [1.0, 3.0]
    many = np.arange(100_000.0)
    tried = candidates({"a": many}, cap=200)
    assert tried.size <= 200
    assert {99_999.0, 99_998.0, 0.0} <= set(tried)
    assert np.median(tried) > 99_000


# -- judge and report -------------------------------------------------------------------------


def test_a_judge_sees_every_file_in_turn_and_is_held_to_one_score_a_row():
    corpus, heard = plain_corpus(2), []
    judged = judge_corpus(
        corpus,
        lambda name, times, values: {"level": values + float(name[5])},
        lambda done, total, name: heard.append((done, total, name)),
    )
    assert heard == [(0, 2, "real/0.csv"), (1, 2, "real/1.csv")]
    assert judged["level"]["real/1.csv"].tolist() == [1.0] * 200
    with pytest.raises(ConfigError, match=r"real/0\.csv: level gave \(199,\) scores for \(200,\) rows"):
        judge_corpus(corpus, lambda name, times, values: {"level": values[1:]})
    with pytest.raises(ConfigError, match=r"real/1\.csv: judged by \['real/1\.csv'\]"):
        judge_corpus(corpus, lambda name, times, values: {name: values})


def published_file(directory, scores):
    path = directory / "published.csv"
    lines = [f"{who},{profile},{file},{score}" for who, profile, file, score in scores]
    path.write_text("\n".join(["Detector,Profile,File,Score", *lines, "Totals,,,1"]) + "\n")
    return path


def small_report(corpus, tmp_path):
    path = published_file(
        tmp_path,
        [("known", name, f"real/{i}.csv", 1.0 if i else -1.0) for name in PUBLISHED_PROFILES.values() for i in range(6)]
        + [("partial", "standard", "real/0.csv", 1.0), ("known", "standard", "real/elsewhere.csv", -9.0)],
    )
    scores = {"trees": scores_with(corpus, [1, 2, 3, 4, 5, 0]), "ours": scores_with(corpus, [1.0] * 6)}
    return make_report(corpus, scores, ensemble="ours", published=path)


def test_a_report_is_one_object_for_machines(tmp_path):
    told = json.loads(json.dumps(small_report(plain_corpus(), tmp_path).as_dict()))
    ours = told["ensemble"]
    assert {name: ours[name] for name in PROFILES} == {name: pytest.approx(100.0) for name in PROFILES}
    assert set(ours) == {*PROFILES, "half"}
    assert ours["half"] == {name: pytest.approx(100.0) for name in PROFILES} | {
        "sd": {name: pytest.approx(0.0) for name in PROFILES},
        "splits": 40,
    }
    assert set(told["detectors"]) == {"trees"}
    assert told["detectors"]["trees"]["standard"] == pytest.approx(500 / 6)
    assert set(told["detectors"]["trees"]) == set(ours)
    assert told["alerts"]["trees"]["low_fp"] == {
        "threshold": 1.0, "hits": 5, "windows": 6, "recall": pytest.approx(5 / 6), "precision": 1.0,
        "false_alarms": 0, "false_alarms_per_file": 0.0, "without_cooldown": pytest.approx(500 / 6),
    }  # fmt: skip
    assert told["published"]["known"]["standard"] == pytest.approx(500 / 6)
    assert told["corpus"] == {"files": 6, "windows": 6, "rows": 1200, "absent": [], "unlabelled": []}


def test_a_report_in_words_has_the_ensemble_first_and_the_cautions(tmp_path):
    text = small_report(plain_corpus(), tmp_path).as_text()
    lines = text.splitlines()
    assert next(i for i, line in enumerate(lines) if line.startswith("ours")) < next(
        i for i, line in enumerate(lines) if line.startswith("trees")
    )
    assert "100.0 / 100.0 / 100.0" in text
    assert "Left out, not one score for each file: partial." in text
    flat = " ".join(lines)
    for caution in ("6 of the benchmark's 58 files (6 of 116 windows)", "20 rows on average and 10% of all rows",
                    "labels are disputed", "chosen on the very files that are scored"):  # fmt: skip
        assert caution in flat


def test_a_report_without_its_ensemble_or_with_bad_references_says_so(tmp_path):
    corpus = plain_corpus()
    scores = {"trees": scores_with(corpus, [1.0] * 6)}
    with pytest.raises(ConfigError, match="no scores of 'ensemble', the ensemble; there are trees"):
        make_report(corpus, scores)
    for row, said in [(("x", "odd", "real/0.csv", 1), "line 2: profile 'odd'"),
                      (("x", "standard", "real/0.csv", "?"), "line 2: score '\\?'")]:  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            load_published(published_file(tmp_path, [row]), corpus)


def test_published_scores_are_recomputed_on_the_files_that_are_here(captures):
    published = load_published(
        captures / "nab_reference" / "published_per_file_scores.csv.gz", load_corpus(captures / "nab")
    )
    assert [round(score, 1) for score in published.scores["ARTime"].values()] == [75.1, 65.1, 80.8]
    assert [round(score, 1) for score in published.scores["contextOSE"].values()] == [71.5, 68.4, 75.4]
    assert published.scores["null"] == dict.fromkeys(PROFILES, 0.0)
    assert published.incomplete == ("random",)


def test_reading_and_reporting_import_numba_only_to_score():
    script = "import sys, tracewave_panel.lab.nab.report; print('numba' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False"]
