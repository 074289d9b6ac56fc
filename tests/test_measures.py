"""One run's measures over real parts: graph, bus, history, sources and the Runtime itself."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from console_stand_in import analysis, event, findings
from findings_of import analysis as told_analysis
from findings_of import findings as told

from tracewave_panel import playback
from tracewave_panel.buses.memory import MemoryBus
from tracewave_panel.config import Settings
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.measures import Measures
from tracewave_panel.metrics import PREFIX, Metrics
from tracewave_panel.model import Analysis, Batch, Quality
from tracewave_panel.pipeline import Pipeline
from tracewave_panel.plan import BUNDLED, Planner
from tracewave_panel.ports import FeedState, Source, SourceStatus
from tracewave_panel.runtime import Runtime
from tracewave_panel.sources.replay import RecordingSource
from tracewave_panel.sources.synthetic import SyntheticSource
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings
from tracewave_panel.stores.duckdb import DuckDBStore

T = 1_700_000_000.0
FEW = Settings().lanes().detectors


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(PREFIX + name, labels)


def by_label(metrics: Metrics, name: str, label: str) -> dict[str, float]:
    family = next(each for each in metrics.collect() if each.name == PREFIX + name.removesuffix("_total"))
    found: dict[str, float] = {}
    for sample in family.samples:
        found[sample.labels[label]] = found.get(sample.labels[label], 0) + sample.value
    return {key: number for key, number in found.items() if number}


def run_through(metrics: Metrics, name: str, source: Source, batches: int) -> tuple[Measures, playback.Tally]:
    """Put some batches of a source through a graph as the Runtime does, with a count of playback's beside."""
    settings, tally = Settings(), playback.Tally()
    measures = Measures(WIKIMEDIA, detectors=tuple(FEW))
    pipeline = Pipeline(WIKIMEDIA, settings.pipeline(), {"tally": tally, "totals": measures.take})
    measures.watch_source(name, source.status)
    measures.watch_sinks(pipeline.failures)
    metrics.follow(measures)

    async def follow() -> None:
        number = 0
        async with contextlib.aclosing(source.batches()) as given:
            async for batch in given:
                measures.begin()
                pipeline.emit(batch)
                number += 1
                if number == batches:
                    break
        pipeline.flush(batch)

    asyncio.run(follow())
    pipeline.close()
    return measures, tally


def test_runs_over_real_sources_add_up_to_what_another_count_says():
    metrics = Metrics(detectors=tuple(FEW))
    recording = RecordingSource(BUNDLED)
    first, counted = run_through(metrics, "recording", recording, 600)
    assert by_label(metrics, "source_up", "source") == {"recording": 1}
    synthetic = SyntheticSource(SyntheticSettings(seed=3, speed=None))
    second, more = run_through(metrics, "synthetic", synthetic, 600)
    totals = counted.totals + more.totals
    assert totals["events"] > 1000
    assert value(metrics, "events_total", series="edits") == totals["events"]
    assert value(metrics, "event_lag_seconds_count") == totals["events"]
    assert by_label(metrics, "windows_total", "quality") == dict(counted.qualities + more.qualities)
    names = {"late": "events_late_total", "undecodable": "events_undecodable_total"}
    assert {name: value(metrics, metric) for name, metric in names.items()} == {name: totals[name] for name in names}
    assert value(metrics, "events_total", series="edits") == first.totals["events"] + second.totals["events"]
    read = {"recording": counted.totals["events"], "synthetic": more.totals["events"]}
    assert by_label(metrics, "source_messages_total", "source") == read
    assert {*by_label(metrics, "source_up", "source")} <= {"synthetic"}
    assert value(metrics, "source_up", source="recording") is None
    windows = counted.qualities.total() + more.qualities.total()
    # what was flushed was not timed
    assert windows - 4 <= value(metrics, "window_duration_seconds_count") <= windows
    assert value(metrics, "sink_failures_total", sink="totals") == 0


def test_metrics_of_the_runtime_are_its_counters(tmp_path):
    settings, metrics = Settings(), Metrics()
    runtime = Runtime(settings, Planner(settings, "synthetic", speed=200.0), data=tmp_path)
    runtime.start()
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and runtime.gauges().get("commits", 0) < 2:
            time.sleep(0.1)
        measures = runtime._measures
        metrics.follow(measures)
    finally:
        runtime.stop()
    counters, gauges = runtime.counters(), runtime.gauges()
    assert counters["events"] > 500
    assert value(metrics, "events_total", series="edits") == counters["events"]
    assert sum(by_label(metrics, "windows_total", "quality").values()) == counters["windows"]
    for name, metric in (
        ("late", "events_late_total"),
        ("undecodable", "events_undecodable_total"),
        ("duplicates", "events_duplicate_total"),
    ):
        assert value(metrics, metric) == counters[name]
    assert value(metrics, "events_dropped_total", place="buffer") == counters["dropped"]
    assert value(metrics, "buffer_capacity_events") == settings.bus.capacity
    assert value(metrics, "buffer_events") == counters["waiting"]
    assert value(metrics, "store_commits_total") == gauges["commits"] >= 2
    assert value(metrics, "store_commit_duration_seconds_count") == gauges["commits"]
    assert 0 < value(metrics, "store_commit_duration_seconds_sum") < 60
    assert time.time() - 60 < value(metrics, "store_last_commit_timestamp_seconds") <= time.time()
    assert value(metrics, "store_bytes") > 0
    assert value(metrics, "store_backlog") == 0
    assert value(metrics, "gap_seconds_total") == gauges["gap_seconds"]
    fired = {name.removeprefix("fired_"): number for name, number in gauges.items() if name.startswith("fired_")}
    assert by_label(metrics, "detector_fires_total", "detector") == {n: count for n, count in fired.items() if count}
    assert value(metrics, "last_window_timestamp_seconds", series="edits") > time.time() - 3600


async def test_what_a_bus_sheds_is_told_at_once_and_never_twice():
    metrics, measures, bus = Metrics(), Measures(WIKIMEDIA), MemoryBus(5, shed=True)
    measures.watch_bus(bus, 5)
    metrics.follow(measures)
    pipeline = Pipeline(WIKIMEDIA, Settings().pipeline(), {"totals": measures.take})
    number = 0
    for second in range(3):
        events = tuple(event(T + second + 0.5, (number := number + 1)) for _ in range(4))
        await bus.publish(Batch(T + second + 1, T + second + 1, events=events))
    assert value(metrics, "events_dropped_total", place="buffer") == bus.dropped == 7
    assert value(metrics, "buffer_events") == 5
    await bus.close()
    async for batch in bus.subscribe():
        pipeline.emit(batch)
        assert value(metrics, "events_dropped_total", place="buffer") == 7
    assert measures.totals["dropped"] == 7
    assert value(metrics, "buffer_events") == 0
    metrics.follow(Measures(WIKIMEDIA))
    assert value(metrics, "events_dropped_total", place="buffer") == 7
    pipeline.close()


def test_commits_failures_and_what_history_gave_up_are_told(tmp_path):
    moment = [T]
    metrics, measures = Metrics(), Measures(WIKIMEDIA, clock=lambda: moment[0])
    path = tmp_path / "history.duckdb"
    with DuckDBStore(path, WIKIMEDIA, commit_interval=0.05, queue_limit=5) as store:
        measures.watch_history(store, path)
        metrics.follow(measures)
        assert value(metrics, "store_last_commit_timestamp_seconds") == 0
        store.append(told(0, told_analysis(0)))
        assert value(metrics, "store_backlog") >= 0
        store.flush()
        moment[0] = T + 1
        assert value(metrics, "store_commits_total") == value(metrics, "store_commit_duration_seconds_count") == 1
        assert value(metrics, "store_last_commit_timestamp_seconds") == T + 1
        moment[0] = T + 9
        assert value(metrics, "store_last_commit_timestamp_seconds") == T + 1
        store.append(told(2, told_analysis(2)))
        store.flush()
        assert value(metrics, "store_commits_total") == value(metrics, "store_commit_duration_seconds_count") == 2
        store.append(told(1, told_analysis(1, count=2**70)))  # no column holds it
        store.flush()
        assert value(metrics, "store_commit_failures_total") == store.failures == 1
        assert value(metrics, "events_dropped_total", place="history") == store.shed == 1
    metrics.follow(Measures(WIKIMEDIA))
    assert value(metrics, "store_commits_total") == store.commits
    assert value(metrics, "store_commit_duration_seconds_count") == store.commits
    assert value(metrics, "store_commit_failures_total") == 1
    assert value(metrics, "store_last_commit_timestamp_seconds") == 0


def test_sink_that_fails_is_told_by_its_name():
    def refuse(_):
        raise OSError("the disk is gone")

    metrics, measures = Metrics(), Measures(WIKIMEDIA)
    pipeline = Pipeline(WIKIMEDIA, Settings().pipeline(), {"history": refuse, "totals": measures.take})
    measures.watch_sinks(pipeline.failures)
    metrics.follow(measures)
    for second in range(3):
        pipeline.emit(Batch(T + second, T + second))
    assert by_label(metrics, "sink_failures_total", "sink") == {"history": 3}
    assert value(metrics, "watermark_lag_seconds_count") == 3
    pipeline.close()


def test_gap_of_over_an_hour_is_as_long_as_it_was():
    measures = Measures(WIKIMEDIA)
    told_seconds = (*range(10, 3610), 9_999)
    gap = [analysis(T + second, quality=Quality.GAP) for second in told_seconds]
    measures.take(findings(T, analysis(T + 9), *gap, analysis(T + 10_000)))
    assert measures.gauges()["gap_seconds"] == 9_990
    assert measures.figures().totals["gap_seconds_total",] == 9_990
    assert measures.figures().totals["gaps_total",] == 1


@pytest.mark.parametrize(
    ("word", "up"), [("live", 1), ("catching_up", 1), ("replay", 1), ("reconnecting", 0), ("gap", 0), ("ended", 0)]
)
def test_source_is_up_while_it_delivers(word, up):
    counters = {"events": 10, "skipped": 4, "canaries": 1, "duplicates": 2, "undecodable": 3, "oversized": 1}
    metrics, measures = Metrics(), Measures(WIKIMEDIA)
    measures.watch_source("wikimedia", lambda: SourceStatus(FeedState(word), {**counters, "reconnects": 5}))
    metrics.follow(measures)
    assert value(metrics, "source_up", source="wikimedia") == up
    assert value(metrics, "source_messages_total", source="wikimedia") == 21
    assert value(metrics, "source_messages_failed_total", source="wikimedia") == 4
    assert value(metrics, "source_reconnects_total", source="wikimedia") == 5
    assert value(metrics, "source_refusals_total", source="wikimedia") == 0


def test_every_window_of_a_batch_is_timed_and_counted_by_the_first_metric():
    metrics, measures = Metrics(), Measures(WIKIMEDIA)
    metrics.follow(measures)
    measures.begin()
    measures.take(findings(T, analysis(T), analysis(T + 1), Analysis("second", analysis(T).window, 1.0)))
    assert value(metrics, "windows_total", series="edits", quality="ok") == 2
    assert value(metrics, "window_duration_seconds_count") == 2
    measures.take(findings(T, analysis(T + 2)))  # as a flush, which nobody began
    assert value(metrics, "window_duration_seconds_count") == 2
