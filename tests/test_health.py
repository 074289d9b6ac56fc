"""The vital signs by an injected clock, what happened to a feed, the log's last lines, and the page's view of them."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator

import pytest
from console_stand_in import SpokenControl, analysis, findings

from tracewave_panel.app.happenings import FeedLog
from tracewave_panel.app.health_figures import panels, spark
from tracewave_panel.app.log_lines import LogLines
from tracewave_panel.app.views.health import Health
from tracewave_panel.app.vitals import Vitals
from tracewave_panel.config import Settings
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.measures import FileSize, Measures, in_milliseconds
from tracewave_panel.model import Quality
from tracewave_panel.plan import Planner
from tracewave_panel.ports import FeedState
from tracewave_panel.runtime import Runtime
from tracewave_panel.stores.duckdb import DuckDBStore

T = 1_700_000_000.0
LIVE, CUT, GAP, BEHIND = (FeedState(word) for word in ("live", "reconnecting", "gap", "catching_up"))


class Growing(SpokenControl):
    """A pipeline whose totals a test moves."""

    def grow(self, **more: float) -> None:
        for name, count in more.items():
            held = self.measured if name.startswith(("fired", "gap", "commits")) else self.totals
            held[name] = held.get(name, 0) + count


def vitals_of(control: SpokenControl) -> Vitals:
    control.totals.clear()
    return Vitals(control, memory=lambda: 300e6, processor_time=lambda: 0.0)


def run(vitals: Vitals, control: Growing, seconds: int, begin: float = T, **each_second: float) -> None:
    for second in range(seconds):
        control.grow(**each_second)
        vitals.sample(begin + second)


def row(vitals: Vitals, name: str):
    return next(row for _, rows in panels(vitals) for row in rows if row.name == name)


# -- measures


def test_measures_count_windows_by_the_first_metric_and_fires_by_detector():
    measures = Measures(WIKIMEDIA)
    measures.begin()
    measures.take(findings(T + 2, analysis(T), analysis(T + 1, scores=(0.9, 0.1, 0.7, 0.1, 0.1), cold=("seasonal",))))
    gauges = measures.gauges()
    assert measures.totals["windows"] == 2
    assert [gauges[f"fired_{name}"] for name in ("zscore", "ewma", "trees")] == [1, 0, 1]
    assert gauges["cold_seasonal"] == 183_600
    assert "cold_zscore" not in gauges
    assert 0 < gauges["window_ms_median"] <= gauges["window_ms_p99"]


def test_batch_without_windows_is_not_timed():
    measures = Measures(WIKIMEDIA)
    measures.begin()
    measures.take(findings(T))
    assert "window_ms_median" not in measures.gauges()


def test_gap_is_counted_once_and_what_came_after_all_beside_it():
    measures = Measures(WIKIMEDIA)
    for start, quality in enumerate((Quality.OK, Quality.GAP, Quality.GAP, Quality.PARTIAL, Quality.OK, Quality.GAP)):
        measures.take(findings(T, analysis(T + start, quality=quality)))
    for revision in (1, 2):
        measures.take(findings(T, analysis(T + 1, quality=Quality.REVISED, revision=revision)))
    gauges = measures.gauges()
    counts = [gauges[name] for name in ("gaps", "gap_seconds", "revised_seconds", "partial_seconds")]
    assert counts == [2, 3, 1, 1]


def test_times_of_nothing_are_left_out():
    assert in_milliseconds("commit", ()) == {}
    assert in_milliseconds("commit", [0.001] * 99 + [0.5])["commit_ms_p99"] == pytest.approx(5.99, abs=0.01)


def test_size_of_a_file_is_asked_every_ten_seconds_and_holds_the_log(tmp_path):
    path, now = tmp_path / "history.duckdb", [0.0]
    size = FileSize(path, lambda: now[0])
    assert size.bytes is None
    path.write_bytes(b"x" * 100)
    assert size.bytes is None
    now[0] = 10.0
    (tmp_path / "history.duckdb.wal").write_bytes(b"x" * 11)
    assert size.bytes == 111


def test_store_says_since_when_it_keeps_windows_and_how_many_it_lacks():
    control = Growing()
    vitals = vitals_of(control)
    control.grow(not_kept=0)
    control.measured |= {"store_bytes": 5e6, "store_since": T}
    vitals.sample(T)
    assert row(vitals, "Store").meaning == "History on disk, windows since 2023-11-14 22:13 UTC"
    assert not row(vitals, "Not kept").over
    control.grow(not_kept=7)
    vitals.sample(T + 1)
    lacking = row(vitals, "Not kept")
    assert (lacking.value, lacking.unit, lacking.over) == ("7", "so far", True)


def test_running_pipeline_measures_itself(tmp_path):
    settings = Settings()
    runtime = Runtime(settings, Planner(settings, "synthetic", speed=50.0), data=tmp_path)
    runtime.start()
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and not {"store_bytes", "fired_zscore"} <= {*runtime.gauges()}:
            time.sleep(0.2)
        gauges, vitals = runtime.gauges(), Vitals(runtime)
        vitals.sample(time.time())
    finally:
        runtime.stop()
    assert 0 < gauges["window_ms_median"] <= gauges["window_ms_p99"]
    assert gauges["commits"] >= 0
    assert gauges["store_bytes"] > 0
    assert 0 <= gauges["buffer_depth"] <= gauges["buffer_capacity"] == settings.bus.capacity
    assert time.time() - 120 < gauges["started"] <= time.time()
    assert gauges["fired_zscore"] >= 0
    assert vitals.levels["memory_bytes"] > 20e6


def test_commits_are_timed(tmp_path):
    with DuckDBStore(tmp_path / "history.duckdb", WIKIMEDIA, commit_interval=60) as store:
        store.append(findings(T + 1, analysis(T)))
        store.flush()
        assert [0 < seconds < 30 for seconds in store._writer.commit_seconds] == [True]


# -- vitals


def test_rates_are_of_the_last_ten_seconds_and_totals_of_the_start():
    control = Growing()
    vitals = vitals_of(control)
    run(vitals, control, 31, events=40, windows=1)
    assert vitals.rate("events") == 40
    assert vitals.day("events") == 30 * 40
    assert vitals.rates("windows") == [pytest.approx(1, abs=0.11)] * 3


def test_what_was_counted_before_the_first_look_is_not_ours():
    control = Growing()
    vitals = vitals_of(control)
    control.grow(events=9_000)
    vitals.sample(T)
    assert vitals.day("events") == 0


def test_new_run_begins_at_nought_and_totals_go_on():
    control = Growing()
    vitals = vitals_of(control)
    run(vitals, control, 11, events=40)
    control.run += 1
    control.totals.clear()
    run(vitals, control, 10, T + 11, events=5)
    assert vitals.day("events") == 10 * 40 + 10 * 5
    assert [each.what for each in vitals.happenings] == ["Another run began"]


def test_an_hour_is_held_at_a_point_in_ten_seconds_and_no_more():
    control = Growing()
    vitals = vitals_of(control)
    run(vitals, control, 4_000, windows=1)
    assert len(vitals.times) == 360
    assert vitals.times[-1] - vitals.times[0] <= 3_600


def test_a_day_is_forgotten_after_a_day():
    control = Growing()
    vitals = vitals_of(control)
    control.grow(events=0)
    vitals.sample(T)
    control.grow(events=7)
    vitals.sample(T + 1)
    vitals.sample(T + 86_000)
    assert vitals.day("events") == 7
    vitals.sample(T + 88_000)
    assert vitals.day("events") == 0


def test_lags_are_told_by_quantile_and_bin():
    vitals = vitals_of(Growing())
    assert vitals.histogram() is None
    vitals.take_lags([*([1.0] * 90), *([8.0] * 9), 30.0, math.nan, math.inf])
    vitals.sample(T)
    vitals.sample(T + 10)
    held = vitals.histogram()
    assert held.events == sum(held.counts) == 100
    assert held.quantiles[0] == 1.0
    assert vitals.hour("lag_median") == [1.0]
    vitals.sample(T + 20)
    assert math.isnan(vitals.hour("lag_median")[-1])


def test_only_the_last_ten_thousand_lags_are_held():
    vitals = vitals_of(Growing())
    vitals.take_lags([1.0] * 9_000)
    vitals.take_lags([2.0] * 25_000)
    assert vitals.histogram().events == 10_000
    assert vitals.histogram().quantiles == (2.0, 2.0, 2.0)


def test_lags_at_or_below_nothing_are_counted_in_the_lowest_bin():
    vitals = vitals_of(Growing())
    vitals.take_lags([-3.0, 0.0, 500.0])
    counts = vitals.histogram().counts
    assert (counts[0], counts[-1]) == (2, 1)


def test_late_call_is_the_delay_of_the_loop():
    vitals = vitals_of(Growing())
    for moment in (T, T + 1, T + 2.25, T + 3):
        vitals.sample(moment)
    assert vitals.levels["loop_delay"] == pytest.approx(250, rel=0.03)


def test_cost_of_sessions_is_a_share_of_a_core():
    vitals = vitals_of(Growing())
    vitals.sessions = 3
    for second in range(11):
        vitals.spent(0.02)
        vitals.sample(T + second)
    assert row(vitals, "Cost of sessions").value == "2.0"
    assert row(vitals, "Sessions").value == "3"


def test_figures_that_nobody_measured_are_dashes():
    vitals = vitals_of(SpokenControl())
    vitals.sample(T)
    for name in ("Commit time, 99th", "Commits", "Store", "Window time, 99th", "Lag, 95th", "Gaps", "Sink errors"):
        assert row(vitals, name).value == "\N{EN DASH}", name


@pytest.mark.parametrize(
    ("measured", "name"),
    [
        ({"window_ms_p99": 2.4}, "Window time, 99th"),
        ({"commit_ms_p99": 418.0}, "Commit time, 99th"),
        ({"buffer_depth": 15_000.0, "buffer_capacity": 20_000.0}, "Buffer depth"),
    ],
)
def test_figure_over_its_bar_says_so(measured, name):
    control = SpokenControl(measured=measured)
    vitals = vitals_of(control)
    vitals.sample(T)
    assert row(vitals, name).over
    assert [each.name for _, rows in panels(vitals) for each in rows if each.over] == [name]


def test_failures_of_all_sinks_are_one_figure():
    control = Growing()
    vitals = vitals_of(control)
    control.grow(page_failures=0, history_failures=0)
    vitals.sample(T)
    control.grow(page_failures=1, history_failures=2)
    vitals.sample(T + 1)
    assert (row(vitals, "Sink errors").value, row(vitals, "Sink errors").over) == ("3", True)


def test_cold_detector_abstains_and_says_for_how_long():
    control = SpokenControl(measured={"fired_zscore": 0, "fired_seasonal": 0, "cold_seasonal": 183_600.0})
    vitals = vitals_of(control)
    vitals.sample(T)
    told = row(vitals, "Seasonal")
    assert (told.value, told.meaning) == ("abstains", "Learning, ready in 2 d 3 h")
    assert row(vitals, "z-score fired").value == "0"


def test_spark_joins_an_hour_into_few_values():
    control = Growing()
    vitals = vitals_of(control)
    run(vitals, control, 3_700, events_late=0, late=1, windows=1)
    late, windows = spark(vitals, row(vitals, "Late")), spark(vitals, row(vitals, "Windows"))
    assert (len(late), len(windows)) == (24, 60)
    assert late[5] == 150
    assert set(windows[1:]) == {1.0}


# -- what happened to the feed


def followed(*told: tuple[float, FeedState, dict]) -> list:
    log = FeedLog()
    for moment, state, totals in told:
        log.follow(T + moment, 1, state, totals)
    return list(log.happenings)


@pytest.mark.parametrize(
    ("states", "reconnects", "what"),
    [
        ((CUT, BEHIND, LIVE), 1, "Cut off, came back"),
        ((CUT, BEHIND, CUT, BEHIND, LIVE), 2, "Cut off 2 times, came back"),
        ((CUT, GAP, BEHIND, LIVE), 1, "Cut off, came back with a gap"),
        ((BEHIND, LIVE), 0, "Stalled, came back"),
        ((BEHIND, LIVE), 1, "Cut off, came back"),
        ((GAP, LIVE), 0, "Silent, came back with a gap"),
        ((CUT, GAP), 0, "Cut off, not back yet"),
        ((FeedState("ended"),), 0, "Ended"),
        ((FeedState("<b>odd</b>"), LIVE), 0, "Stalled, came back"),
    ],
)
def test_interruption_is_told_in_words(states, reconnects, what):
    told = [(0, LIVE, {"reconnects": 0})]
    told += [(10 * place, state, {"reconnects": reconnects}) for place, state in enumerate(states, 1)]
    assert [each.what for each in followed(*told)] == [what]


def test_figures_of_an_interruption_are_those_that_grew_meanwhile():
    before = {"backfilled_seconds": 5, "gap_seconds": 100, "revised_seconds": 50, "partial_seconds": 7, "anomalies": 9}
    after = {"backfilled_seconds": 27, "gap_seconds": 120, "revised_seconds": 52, "partial_seconds": 9, "anomalies": 10}
    later = dict.fromkeys(after, 1_000)
    calm = FeedState("live", since=T + 40)
    told = ((10, FeedState("gap", since=T + 4), before), (41, calm, before), (60, calm, after), (90, calm, later))
    [each] = followed((0, LIVE, before), *told)
    assert (each.began, each.ended) == (T + 4, T + 40)
    assert (each.filled, each.lost, each.partial, each.told) == (22, 18, 2, 1)


def test_what_nobody_counts_stays_unknown():
    [each] = followed((0, LIVE, {}), (10, CUT, {}), (20, LIVE, {}))
    assert (each.filled, each.lost, each.partial, each.told) == (None, None, None, None)


def test_start_is_no_interruption():
    assert followed((0, FeedState("connecting"), {}), (3, LIVE, {}), (4, LIVE, {})) == []


def test_reconnect_between_two_looks_is_told_without_a_length():
    [each] = followed((0, LIVE, {"reconnects": 3}), (1, LIVE, {"reconnects": 4}), (2, LIVE, {"reconnects": 4}))
    assert each.moment
    assert each.what == "Cut off, came back at once"


def test_interruptions_are_forgotten_after_a_day():
    assert followed((0, LIVE, {}), (1, CUT, {}), (2, LIVE, {}), (86_500, LIVE, {})) == []


# -- the log


@pytest.fixture
def lines() -> Iterator[LogLines]:
    lines = LogLines()
    lines.install()
    yield lines
    lines.remove()


def test_warnings_of_all_and_information_of_tracewave_are_held(lines):
    logging.getLogger("tornado.access").warning("404 GET /x")
    logging.getLogger("bokeh").info("not this one")
    logging.getLogger("tracewave_panel.runtime").info("the live feed answers")
    logging.getLogger("tracewave_panel.runtime").debug("nor this")
    assert [(line.level, line.logger, line.words) for line in lines.lines] == [
        ("WARNING", "tornado.access", "404 GET /x"),
        ("INFO", "runtime", "the live feed answers"),
    ]


def test_nobody_else_hears_more_than_before():
    heard: list[str] = []
    ear = logging.Handler()
    ear.emit = lambda record: heard.append(record.getMessage())
    root, ours = logging.getLogger(), logging.getLogger("tracewave_panel")
    before = (root.level, ours.level, tuple(ear.filters))
    root.addHandler(ear)
    lines = LogLines()
    try:
        lines.install()
        lines.install()
        ours.info("quiet")
        ours.warning("loud")
    finally:
        lines.remove()
        root.removeHandler(ear)
    assert heard == ["loud"]
    assert len(lines.lines) == 2
    assert (root.level, ours.level, tuple(ear.filters)) == before
    assert lines not in root.handlers


def test_line_holds_no_control_character_and_is_short(lines):
    logging.getLogger("tracewave_panel").warning("%s", "a\x1b[31m\u202eb\nc" + "x" * 1_000)
    [line] = lines.lines
    assert line.words.startswith("a[31mb c")
    assert len(line.words) == 300


def test_only_fifty_lines_are_held_and_bad_records_do_not_fail(lines):
    logger = logging.getLogger("tracewave_panel")
    for number in range(60):
        logger.warning("%d", number)
    lines.handle(logging.makeLogRecord({"name": "x", "levelno": 30, "msg": "%d edits", "args": ("no number",)}))
    assert len(lines.lines) == 50
    assert lines.lines[-1].words == "%d edits"
    logger.error("not written", exc_info=ValueError("the disk is full"))
    assert lines.lines[-1].words == "not written: ValueError('the disk is full')"


# -- the view


def test_view_says_nothing_before_the_first_sample_and_once_a_sample():
    vitals, health = vitals_of(SpokenControl()), Health()
    health.tell(vitals)
    sheet = health.__panel__()
    assert sheet.now == ""
    vitals.sample(T)
    health.tell(vitals)
    heard: list = []
    sheet.param.watch(heard.append, ["now", "past", "told"])
    health.tell(vitals)
    assert heard == []
    vitals.sample(T + 1)
    health.tell(vitals)
    assert [change.name for change in heard] == ["now"]


def test_past_is_told_every_ten_seconds_and_stays_small():
    control, health, told = Growing(), Health(), []
    vitals = vitals_of(control)
    health.__panel__().param.watch(told.append, "past")
    for second in range(3_700):
        control.grow(events=41, windows=1, late=second % 3 == 0, fired_zscore=second % 40 == 0)
        vitals.take_lags([1.0 + second % 7] * 5)
        vitals.sample(T + second)
        if second > 3_640:
            health.tell(vitals)
    assert len(told) == 6
    assert len(told[-1].new) < 60_000
    past = json.loads(told[-1].new)
    assert [len(series) for chart in past["charts"] for series in chart] == [360] * 7
    assert past["whole"]
