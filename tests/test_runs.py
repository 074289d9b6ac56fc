"""A run as tables: the same figures as the command's and the store's, with dtypes that one computes with."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from console_stand_in import ABSTAINING, DETECTORS, analysis, anomaly, event, findings, samples_at

import tracewave_panel
from tracewave_panel import Mapping, Run, replay
from tracewave_panel.cli import main
from tracewave_panel.errors import ConfigError, FeedError, RecordingError
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.model import Contribution, Mark, Quality
from tracewave_panel.notebook.collected import Collected
from tracewave_panel.notebook.progress import Progress
from tracewave_panel.plan import BUNDLED
from tracewave_panel.playback import replay as play
from tracewave_panel.settings import Settings

HOSTILE = '<img src=x onerror="window.struck=1"><script>window.struck=1</script>\'"`'
ORDERS = Mapping(name="orders", title="Orders", time="at", dimensions=["country"], measures={"euros": "amount"})
START = 1_767_225_600


def order_rows(seconds: int = 60) -> list[dict]:
    return [
        {"at": START + second + part / 4, "country": ("de", "fr")[part % 2], "amount": 2.5}
        for second in range(seconds)
        for part in range(4)
    ]


def run_of(*told, feed=WIKIMEDIA, detectors=DETECTORS, most_events=100) -> Run:
    collected = Collected(feed, detectors, most_events=most_events)
    for each in told:
        collected.take(each)
    return Run(collected, "a test")


@pytest.fixture(scope="module")
def bundled() -> Run:
    return replay("bundled")


@pytest.fixture(scope="module")
def expected() -> Run:
    return replay(order_rows(), mapping=ORDERS)


class TestReplayOfARecording:
    def test_it_is_what_the_command_says(self, bundled):
        said = CliRunner().invoke(main, ["replay", str(BUNDLED), "--speed", "max", "--json"])
        summary = json.loads(said.output)
        assert bundled.summary.digest == summary["digest"]
        assert len(bundled.windows) == summary["windows"] - summary["windows_by_quality"]["revised"]
        assert set(bundled.anomalies.index) == {each["id"] for each in summary["anomalies"]}
        assert bundled.windows["count"].sum() == summary["events"]
        assert bundled.windows["late"].sum() == summary["late"]

    def test_tables_hold_what_the_graph_told(self, bundled):
        told = []
        play(BUNDLED, Settings().pipeline(), tell=told.append)
        last = {
            each.window.start: each
            for batch in told
            for each in batch.analyses
        }  # fmt: skip
        windows = bundled.windows
        assert [stamp.timestamp() for stamp in windows.index] == sorted(last)
        for at in (5, 700, 1033, 1790):
            each = last[windows.index[at].timestamp()]
            row = windows.iloc[at]
            judged = each.window.quality.judged
            assert (row["observed"], row["quality"]) == (each.observed, each.window.quality.value)
            assert row["bot_share"] == each.window.features[3]
            scores = {score.detector: score.score for score in each.scores if score.warm and judged}
            assert {name: row[name] for name in bundled.detectors if not math.isnan(row[name])} == scores

    def test_every_table_has_dtypes_to_compute_with(self, bundled):
        kinds = {name: bundled.windows[name].dtype.name for name in bundled.windows}
        assert isinstance(bundled.windows.index, pd.DatetimeIndex)
        assert str(bundled.windows.index.tz) == "UTC"
        assert {name for name, kind in kinds.items() if kind == "category"} == {"severity", "quality", "verdict"}
        assert {name for name, kind in kinds.items() if kind == "bool"} == {"alerting", "provisional"}
        assert {name for name, kind in kinds.items() if kind == "int64"} == {
            *("count", "late", "dropped", "revision", "direction")
        }
        for table in (bundled.windows, bundled.scores, bundled.anomalies, bundled.events, bundled.gaps, bundled.counts):
            assert "object" not in {str(kind) for kind in table.dtypes}
        assert (bundled.windows["severity"] >= "warning").sum() == bundled.windows["alerting"].sum() - (
            bundled.windows["alerting"] & (bundled.windows["severity"] < "warning")
        ).sum()

    def test_tables_are_made_once(self, bundled):
        for name in ("windows", "scores", "anomalies", "events", "gaps", "counts"):
            assert getattr(bundled, name) is getattr(bundled, name)

    def test_counts_add_up_to_the_windows(self, bundled):
        sums = bundled.counts.groupby(["dimension", "time"], observed=True)["count"].sum()
        for dimension in WIKIMEDIA.dimensions:
            assert (sums.loc[dimension] == bundled.windows["count"]).all()

    def test_events_are_bounded_and_say_so(self):
        few = replay(BUNDLED, most_events=10)
        assert len(few.events) == 10
        assert few.events.attrs["missed"] == few.summary.events - 10
        assert few.events["arrived_at"].is_monotonic_increasing
        assert f"10, the newest of {few.summary.events:,}" in repr(few)

    def test_cold_and_settings_change_what_comes_out(self, bundled):
        cold = replay(str(BUNDLED), cold=True, settings=["window.width=2", "detectors.enabled=['zscore', 'ewma']"])
        assert cold.detectors == ("zscore", "ewma")
        assert set(cold.windows["width"]) == {2.0}
        assert cold.windows["zscore"].isna().sum() > bundled.windows["zscore"].isna().sum() / 2
        assert "trees" not in cold.windows


class TestTables:
    def test_window_told_again_is_there_once_as_it_was_told_last(self):
        again = analysis(101.0, 55.0, quality=Quality.REVISED, revision=1)
        run = run_of(findings(102.0, analysis(101.0, quality=Quality.GAP), analysis(100.0)), findings(103.0, again))
        assert run.windows["observed"].tolist() == [41.0, 55.0]
        assert run.windows["quality"].tolist() == ["ok", "revised"]
        assert len(run.scores) == 2 * len(DETECTORS)

    def test_older_revision_that_comes_late_changes_nothing(self):
        newer = analysis(101.0, 55.0, quality=Quality.REVISED, revision=1)
        run = run_of(findings(103.0, newer), findings(104.0, analysis(101.0, quality=Quality.GAP)))
        assert run.windows["quality"].tolist() == ["revised"]

    def test_many_windows_are_packed_and_lose_nothing(self):
        told = [findings(at + 1.0, analysis(float(at), 10.0 + at % 7)) for at in range(12_001)]
        told.append(findings(12_100.0, analysis(3.0, 99.0, quality=Quality.REVISED, revision=1)))
        run = run_of(*told)
        assert len(run.windows) == 12_001
        assert run.windows["observed"].iloc[[3, 6, 12_000]].tolist() == [99.0, 16.0, 10.0 + 12_000 % 7]
        assert len(run.scores) == 12_001 * len(DETECTORS)

    def test_what_nobody_knows_is_not_a_number(self):
        run = run_of(findings(102.0, analysis(100.0, quality=Quality.GAP), analysis(101.0, cold=tuple(ABSTAINING))))
        gap, cold = run.windows.iloc[0], run.windows.iloc[1]
        assert gap[["observed", "confidence", "rarity", "rate", *DETECTORS]].isna().all()
        assert gap["count"] == 41
        assert [name for name in DETECTORS if math.isnan(cold[name])] == list(ABSTAINING)
        abstaining = run.scores[~run.scores["warm"]]
        assert abstaining[["statistic", "p", "score"]].isna().all(axis=None)
        assert abstaining["windows_left"].tolist() == [left for _, left in ABSTAINING.values()]

    def test_tables_without_rows_have_their_columns_and_dtypes(self, bundled):
        empty = run_of()
        for name in ("windows", "anomalies", "gaps", "counts", "events", "scores"):
            assert list(getattr(empty, name).columns) == list(getattr(bundled, name).columns)
            differing = getattr(empty, name).dtypes.astype(str).compare(getattr(bundled, name).dtypes.astype(str))
            assert differing.empty, (name, differing)
        assert "windows" in repr(empty)

    def test_one_series_and_metric_is_shown_and_others_are_selected(self):
        def of(series: str, metric: str, observed: float):
            told = analysis(100.0, observed)
            window = msgspec.structs.replace(
                told.window, series=series, features=(observed, 1.0, 2.0, 0.5), dimension_counts=({}, {}, {})
            )
            return msgspec.structs.replace(told, metric=metric, window=window)

        eth = "kraken:ETH-USD"
        run = run_of(
            findings(101.0, *(of(series, metric, observed) for series, metric, observed in (
                (CRYPTO.series[0], "trades", 5.0), (CRYPTO.series[0], "price", 90_000.0),
                (eth, "trades", 7.0), (eth, "price", 3_000.0)))),
            feed=CRYPTO,
        )  # fmt: skip
        assert run.windows["observed"].tolist() == [5.0]
        assert run.select(series=eth).windows["observed"].tolist() == [7.0]
        assert run.select(eth, "price").windows["observed"].tolist() == [3000.0]
        assert run.select(metric="price").select(eth).selected == (eth, "price")
        assert len(run.scores) == 4 * len(DETECTORS)
        assert set(run.scores["metric"]) == {"trades", "price"}
        with pytest.raises(ConfigError, match="there is no series 'nasdaq'; there is binance:BTC-USD"):
            run.select(series="nasdaq")
        with pytest.raises(ConfigError, match="there is no metric 'volume'; there is trades, price"):
            run.select(metric="volume")

    def test_anomalies_are_the_newest_first_as_they_were_told_last(self):
        run = run_of(
            findings(900.0, anomalies=[anomaly(100.0), anomaly(500.0, rarity=0.125)]),
            findings(901.0, anomalies=[anomaly(100.0, closed=160.0)]),
        )
        assert list(run.anomalies.index) == ["edits-rate-500", "edits-rate-100"]
        assert run.anomalies["closed"].isna().tolist() == [True, False]
        first = run.anomalies.loc["edits-rate-100"]
        assert (first["closed"] - first["opened"]).total_seconds() == 60
        assert (first["severity"], first["agreeing"], first["abstained"]) == ("critical", "zscore, ewma", "seasonal")

    def test_gaps_that_touch_are_one(self):
        gaps = (Mark(100.0, 110.0, Quality.GAP), Mark(110.0, 130.0, Quality.GAP))
        run = run_of(msgspec.structs.replace(findings(200.0), gaps=gaps))
        assert run.gaps["seconds"].tolist() == [30.0]
        assert run.gaps["until"].iloc[0] == pd.Timestamp(130, unit="s", tz="UTC")


class TestExplanation:
    def test_table_has_the_excess_of_each_contribution_by_rank(self):
        told = run_of(findings(900.0, anomalies=[anomaly(100.0)])).explain("edits-rate-100")
        assert told.table["excess"].round(1).tolist() == [76.5, 75.3, 69.6, -2.7]
        assert told.table.index.tolist() == [1, 2, 3, 4]
        assert told.table["named"].tolist() == [True, True, True, False]
        assert told.completeness == 0.91
        assert told.samples["id"].tolist() == ["100-1", "100-2", "100-3", "100-2", "100-3", "100-4"]

    def test_card_says_what_the_page_says(self):
        shown = run_of(findings(900.0, anomalies=[anomaly(100.0, 160.0)])).explain("edits-rate-100")
        words = (
            *("CRITICAL", "Bot burst on commons.wikimedia.org", "131/s against 41.6, 3.1×", "2 of 4 agree", "+76.5"),
            *("91 % accounted for", "once in 9 days", "closed after 1 min 00 s"),
        )
        for text in (repr(shown), shown._repr_html_()):
            assert [each for each in words if each not in text] == []
        assert "Half-Space Trees quiet" in shown._repr_html_()
        assert "abstains: Seasonal" in repr(shown)
        assert 'href="https://commons.wikimedia.org/w/index.php?diff=1"' in shown._repr_html_()

    def test_unknown_anomaly_is_refused_with_the_nearest_ids(self):
        run = run_of(findings(900.0, anomalies=[anomaly(at) for at in (100.0, 200.0, 7000.0)]))
        with pytest.raises(ConfigError, match="no anomaly 'edits-rate-201'; the nearest are edits-rate-200"):
            run.explain("edits-rate-201")
        with pytest.raises(ConfigError, match="this run has none at all"):
            run_of().explain("edits-rate-201")

    def test_hostile_text_stays_text(self):
        part = Contribution("wiki", HOSTILE, 9.0, 1.0, 0.9, 9.0, named=True, samples=samples_at(1.0, 1))
        links = ("javascript:alert(1)", "data:text/html,x", 'https://a.example/"onmouseover="x')
        samples = [msgspec.structs.replace(part.samples[0], id=link, title=HOSTILE, link=link) for link in links]
        part = msgspec.structs.replace(part, samples=tuple(samples))
        told = anomaly(100.0, title=HOSTILE, id=HOSTILE, contributions=(part,), agreeing=(HOSTILE,))
        run = run_of(findings(900.0, analysis(100.0), anomalies=[told], events=[event(1.0, 1, title=HOSTILE)]))
        for html in (run.explain(HOSTILE)._repr_html_(), run._repr_html_()):
            assert "<img" not in html
            assert "<script" not in html
            assert "javascript:" not in html
            assert "data:text" not in html
        assert '"onmouseover="' not in run.explain(HOSTILE)._repr_html_()
        steering = anomaly(100.0, title="a\x1b[31mred\r\nnext")
        assert "\x1b" not in repr(run_of(findings(900.0, anomalies=[steering])).explain("edits-rate-100"))


class TestRowsOfOnesOwn:
    @pytest.mark.parametrize("form", ["frame", "indexed", "csv", "ndjson", "packed", "generator"])
    def test_all_forms_give_the_same_tables(self, form, expected, tmp_path):
        frame = pd.DataFrame(order_rows())
        frame["at"] = pd.to_datetime(frame["at"], unit="s", utc=True)
        lines = "\n".join(map(json.dumps, order_rows()))
        (tmp_path / "a.ndjson").write_text(lines)
        frame.to_csv(tmp_path / "a.csv", index=False)
        frame.to_csv(tmp_path / "b.csv.gz", index=False)
        source = {
            "frame": frame, "indexed": frame.set_index("at"), "csv": tmp_path / "a.csv",
            "ndjson": str(tmp_path / "a.ndjson"), "packed": tmp_path / "b.csv.gz",
            "generator": (row for row in order_rows()),
        }[form]  # fmt: skip
        run = replay(source, mapping=ORDERS)
        pd.testing.assert_frame_equal(run.windows, expected.windows)
        pd.testing.assert_frame_equal(run.counts, expected.counts)

    def test_features_and_dimensions_have_their_names(self, expected):
        assert expected.windows["euros"].iloc[1:-1].tolist() == [10.0] * 58
        assert expected.counts["value"].cat.categories.tolist() == ["de", "fr"]
        assert expected.events[["country", "euros"]].iloc[0].tolist() == ["de", 2.5]
        assert "Orders" in repr(expected)

    def test_rows_that_are_none_are_counted(self):
        frame = pd.DataFrame(order_rows())
        frame.loc[5, "amount"] = np.nan
        frame["country"] = frame["country"].astype("string")
        frame.loc[7, "country"] = pd.NA
        run = replay(frame, mapping=ORDERS)
        assert (run.summary.undecodable, run.summary.events) == (1, 239)
        assert "unknown" in set(run.counts["value"])

    @pytest.mark.parametrize(
        ("source", "mapping", "kind", "words"),
        [
            (pd.DataFrame({"at": [1]}), None, ConfigError, "a DataFrame is no recording; say what its fields mean"),
            ([{"at": 1}], None, ConfigError, "a list is no recording; say what its fields mean"),
            ("orders.csv", None, ConfigError, "orders.csv is no recording; say what its fields mean"),
            ("missing.jsonl.gz", None, (ConfigError, RecordingError), "missing.jsonl.gz"),
            (pd.DataFrame({"at": [1]}), ORDERS, ConfigError, "the DataFrame has no column amount, country; it has at"),
            (5, ORDERS, ConfigError, "nothing to replay; give the path of a CSV or NDJSON file"),
            ({"at": 5}, ORDERS, ConfigError, "nothing to replay"),
            ("missing.csv", ORDERS, ConfigError, "missing.csv"),
            ("orders.parquet", ORDERS, (ConfigError, FeedError), "orders.parquet"),
            ([{"at": 1}], Mapping(name="x"), ConfigError, "time: missing"),
        ],
    )
    def test_source_that_cannot_be_used_is_said(self, source, mapping, kind, words):
        with pytest.raises(kind, match=words):
            replay(source, mapping=mapping)


class TestProgress:
    class Place:
        def __init__(self):
            self.said = []

        def show(self, words, done):
            self.said.append((words, done))

        def clear(self):
            self.said.append("cleared")

    def test_nothing_is_shown_of_work_that_is_soon_done(self):
        place, now = self.Place(), iter([0.0, 0.5, 1.4])
        with Progress("replay", place=place, clock=lambda: next(now)) as progress:
            progress.tell(10, 0.1)
            progress.tell(20, 0.9)
        assert place.said == []

    def test_work_that_takes_long_is_shown_now_and_then_and_cleared(self):
        place, now = self.Place(), iter([0.0, 2.0, 2.1, 3.0])
        with Progress("replay", place=place, clock=lambda: next(now)) as progress:
            for events, done in ((1000, 0.2), (1100, 0.21), (2000, None)):
                progress.tell(events, done)
        assert place.said == [("replay: 1,000 events, 2 s", 0.2), ("replay: 2,000 events, 3 s", None), "cleared"]


def test_what_raises_while_findings_are_told_ends_the_replay():
    def refuse(_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        play(BUNDLED, Settings().pipeline(), tell=refuse)


def test_public_names_are_these():
    assert tracewave_panel.__all__ == [
        *("Explanation", "LiveView", "Mapping", "Past", "Run", "__version__", "history", "live", "replay")
    ]
