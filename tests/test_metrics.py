"""What /metrics shows: names, labels and buckets, and that it adds up to what was fed, over runs and threads."""

from __future__ import annotations

import math
import re
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from console_stand_in import DETECTORS, analysis, anomaly, event, findings
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from strategies import FINDINGS, WIDTHS, streams

from tracewave_panel.core.windows import TumblingWindows
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.measures import Measures
from tracewave_panel.metrics import FAMILIES, PREFIX, Histogram, Metrics
from tracewave_panel.metrics.families import LAG_EDGES
from tracewave_panel.metrics.instruments import REASONS
from tracewave_panel.model import Analysis, Batch, Findings, Quality, Score, Severity, Status, Window
from tracewave_panel.ports import RouteStatus

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
T = 1_700_000_000.0
UNITS = ("seconds", "bytes", "events", "timestamp_seconds")
HOSTILE = 'edits"} 1\ntracewave_events_total{series="<script>alert(1)</script>'


def following(feed=WIKIMEDIA, **fields) -> tuple[Metrics, Measures]:
    metrics, run = Metrics(feed=feed, **fields), Measures(feed, detectors=DETECTORS)
    metrics.follow(run, feed)
    return metrics, run


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(PREFIX + name, labels)


def samples(metrics: Metrics) -> dict[tuple[str, frozenset], float]:
    """Every sample of ours, by name and labels, as Prometheus reads it."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name.startswith(PREFIX)
    }


def counters(metrics: Metrics) -> dict[tuple[str, frozenset], float]:
    endings = ("_total", "_bucket", "_count", "_sum")
    return {key: number for key, number in samples(metrics).items() if key[0].endswith(endings)}


# -- names


def test_the_page_of_metrics_shows_what_the_registry_has():
    rows = re.findall(r"^\| `tracewave_(\w+)` \| (\w+) \| ([\w, ]*) ?\| (\w*) ?\| (.+) \|$", PAGE, re.MULTILINE)
    shown = [(name, kind, labels.strip(), unit, meaning) for name, kind, labels, unit, meaning in rows]
    held = [(f.name, f.kind, ", ".join(f.labels), f.unit, f.meaning) for f in FAMILIES]
    assert shown == held
    served = re.findall(r"^# TYPE tracewave_(\w+) ", Metrics().render().decode(), re.MULTILINE)
    assert served == [name for name, *_ in shown]
    labels = {label for family in FAMILIES for label in family.labels}
    explained = PAGE[PAGE.index("## Label values") : PAGE.index("## How to read")]
    assert {word for row in re.findall(r"^\| ([a-z, ]+) \|", explained, re.MULTILINE) for word in row.split(", ")} == (
        labels | {"label"}
    )


def test_every_figure_of_the_systems_before_is_asked_of_a_metric_that_exists():
    served = {name for metrics in (Metrics(), used()) for name, _ in samples(metrics)}
    tables = PAGE[PAGE.index("## Figures of the two systems") :]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("| figure")]
    assert len(rows) > 20
    for row in rows:
        asked = re.findall(r"tracewave_\w+", row)
        assert asked, row
        assert {*asked} <= served, row


def used() -> Metrics:
    """Metrics with every label in use."""
    metrics, run = following()
    metrics.request("/api/windows", "GET", 200, 0.004)
    metrics.client_opened()
    metrics.client_closed("slow")
    metrics.watch_notices(lambda: (RouteStatus("mail", sent=3, failed=1, waiting=2),))
    metrics.watch_sessions(lambda: 4)
    run.take(findings(T + 2, analysis(T, scores=(0.9, 0.1, 0.1, 0.1, 0.1)), events=[event(T, 1)]))
    return metrics


def test_names_follow_the_conventions_and_both_parsers_read_them():
    metrics = used()
    read = list(text_string_to_metric_families(metrics.render().decode()))
    assert {family.name for family in read} >= {"tracewave_events", "tracewave_event_lag_seconds", "python_info"}
    strict = list(openmetrics_families(openmetrics_of(metrics.registry).decode()))
    assert {family.name for family in strict} >= {"tracewave_events", "tracewave_build"}
    for family in FAMILIES:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", family.name), family
        assert family.name.endswith("_total") == (family.kind == "counter"), family
        assert not re.search("milli|micro|minute|percent|ms_", family.name), family
        if family.kind == "histogram":
            assert family.name.endswith("_seconds"), family
        if family.unit in {"seconds", "bytes"}:
            assert family.unit in family.name, family
        assert {"le", "job", "instance"}.isdisjoint(family.labels), family


def test_everything_exists_from_the_first_scrape_on_with_nought():
    metrics = Metrics(detectors=DETECTORS)
    held = samples(metrics)
    for family in FAMILIES:
        found = [number for (name, _), number in held.items() if name.startswith(PREFIX + family.name)]
        if not family.name.startswith("notices"):  # no route, no notices
            assert found, family
        if family.name not in {"build_info", "start_time_seconds", "window_width_seconds"}:
            assert {*found} <= {0.0}, family
    expected = [
        ("windows_total", {"series": "edits", "quality": "gap"}),
        ("detector_fires_total", {"detector": "seasonal"}),
        ("anomalies_total", {"severity": "critical"}),
        ("anomalies_open", {"severity": "info"}),
        ("events_dropped_total", {"place": "buffer"}),
        ("events_dropped_total", {"place": "history"}),
        ("events_dropped_total", {"place": "clients"}),
        ("source_up", {"source": "wikimedia"}),
        ("sink_failures_total", {"sink": "history"}),
        ("api_requests_total", {"route": "other", "method": "GET", "status": "200"}),
    ]
    for name, labels in expected:
        assert held[PREFIX + name, frozenset(labels.items())] == 0.0, name
    assert value(metrics, "windows_total", series="edits", quality="none") is None
    assert value(metrics, "anomalies_total", severity="none") is None


def test_process_and_platform_are_on_the_registry_given():
    registry = CollectorRegistry()
    assert Metrics(registry).registry is registry
    assert registry.get_sample_value("process_resident_memory_bytes") > 1e6
    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(registry)


def test_default_registry_has_its_own_collectors_already():
    metrics = Metrics(REGISTRY)
    try:
        assert REGISTRY.get_sample_value("tracewave_sessions") == 0
    finally:
        REGISTRY.unregister(metrics)


# -- buckets


def test_buckets_of_lags_tell_a_tail():
    assert (LAG_EDGES[0], LAG_EDGES[-1]) == (0.001, 60.0)
    fine = [edge for edge in LAG_EDGES if 0.01 <= edge <= 10]
    assert max(later / earlier for earlier, later in pairwise(fine)) < 1.34
    lags = Histogram(LAG_EDGES)
    lags.observe_all([0.048, 0.052, 0.061])
    assert sorted(lags.counts, reverse=True)[:4] == [1, 1, 1, 0]


def test_bucket_holds_its_upper_edge():
    lags = Histogram((0.1, 0.2))
    lags.observe(0.1)
    lags.observe_all([0.2, 0.2000001])
    assert lags.counts.tolist() == [1, 1, 1]


def test_lags_that_cannot_be_are_in_the_lowest_bucket_or_left_out():
    metrics, run = following()
    lags = (-3.0, math.nan, math.inf, -math.inf, 0.5, 1e300)
    run.take(findings(T, events=[event(T, number, occurred_at=T - lag) for number, lag in enumerate(lags)]))
    assert value(metrics, "events_total", series="edits") == 6
    assert value(metrics, "event_lag_seconds_count") == 3
    assert value(metrics, "event_lag_seconds_bucket", le="0.001") == 1
    assert value(metrics, "event_lag_seconds_bucket", le="60.0") == 2
    assert value(metrics, "event_lag_seconds_sum") == pytest.approx(1e10 + 0.5)
    run.take(Findings(T, -math.inf, Status.LIVE))
    run.take(Findings(T, T + 5, Status.LIVE))
    assert value(metrics, "watermark_lag_seconds_count") == 2
    assert value(metrics, "watermark_lag_seconds_sum") == 0
    assert "nan" not in metrics.render().decode().lower()


# -- labels


def test_hostile_text_becomes_no_label():
    metrics, run = following()
    for number in range(80):
        run.take(
            findings(
                T + number,
                Analysis("rate", analysis(T + number).window, 1.0, scores=(Score(f"{HOSTILE}{number}", fired=True),)),
                Analysis("rate", foreign(T + number, f"{HOSTILE}{number}"), 1.0),
                events=[event(T, number, series=f"{HOSTILE}{number}")],
            )
        )
        metrics.request(f"/api/{HOSTILE}{number}", HOSTILE, 99_999, 0.1)
        metrics.request(f"/made/up/{number}", "GET", 404, 0.1)
        metrics.client_closed(HOSTILE)
        metrics.client_closed(f"reason {number}")
    metrics.watch_notices(lambda: tuple(RouteStatus(f"{HOSTILE}{number}", sent=1) for number in range(80)))
    text = metrics.render().decode()
    assert "alert(1)" not in text
    assert len(list(text_string_to_metric_families(text))) > len(FAMILIES)
    assert value(metrics, "events_total", series="other") == 80
    assert value(metrics, "windows_total", series="other", quality="ok") == 80
    assert value(metrics, "detector_fires_total", detector="other") == 80
    assert value(metrics, "api_requests_total", route="other", method="other", status="other") == 80
    assert value(metrics, "api_clients_closed_total", reason="other") == 80 + 80 - (49 - len(REASONS))
    assert value(metrics, "notices_sent_total", route="other") == 50
    values: dict[tuple[str, str], set[str]] = {}
    for name, labels in samples(metrics):
        for label, told in labels:
            if label != "le":
                values.setdefault((name, label), set()).add(told)
    assert max(map(len, values.values())) == 50
    everything = [number for (name, _), number in samples(metrics).items() if name == PREFIX + "api_requests_total"]
    assert sum(everything) == 160


def foreign(start: float, series: str) -> Window:
    return Window(series, start, 1.0, 0, (), ())


def test_series_over_fifty_are_one():
    feed = type(CRYPTO)(**{**{name: getattr(CRYPTO, name) for name in CRYPTO.__struct_fields__}, "series": MANY})
    metrics, run = following(feed)
    run.take(findings(T, events=[event(T, number, series=MANY[number]) for number in range(80)]))
    assert value(metrics, "events_total", series="venue:S48") == 1
    assert value(metrics, "events_total", series="venue:S49") is None
    assert value(metrics, "events_total", series="other") == 31


MANY = tuple(f"venue:S{number}" for number in range(80))


# -- anomalies


def test_episode_counts_once_for_each_severity_it_was_told_with():
    metrics, run = following()
    tellings = [
        {"severity": Severity.WARNING, "updated": T},
        {"severity": Severity.WARNING},
        {"severity": Severity.CRITICAL},
        {"severity": Severity.CRITICAL},
    ]
    for telling in tellings:
        run.take(findings(T, anomalies=[anomaly(T, **telling)]))
    assert [value(metrics, "anomalies_total", severity=name) for name in ("info", "warning", "critical")] == [0, 1, 1]
    assert [value(metrics, "anomalies_open", severity=name) for name in ("info", "warning", "critical")] == [0, 0, 1]
    run.take(findings(T, anomalies=[anomaly(T, closed=T + 9), anomaly(T + 20, updated=T + 20)]))
    assert value(metrics, "anomalies_open", severity="critical") == 1
    assert value(metrics, "anomalies_total", severity="critical") == 2
    assert run.totals["anomalies"] == 2


def test_episode_that_becomes_worse_as_it_closes_is_counted_with_that():
    metrics, run = following()
    run.take(findings(T, anomalies=[anomaly(T, updated=T, severity=Severity.INFO)]))
    run.take(findings(T, anomalies=[anomaly(T, closed=T + 9)]))
    assert value(metrics, "anomalies_total", severity="critical") == 1
    assert value(metrics, "anomalies_open", severity="info") == 0


def test_episode_that_a_state_brought_along_is_open_and_not_counted_again():
    metrics, run = following()
    run.go_on_from([anomaly(T, severity=Severity.WARNING), anomaly(T - 99, closed=T - 50)])
    assert value(metrics, "anomalies_open", severity="warning") == 1
    run.take(findings(T, anomalies=[anomaly(T, severity=Severity.WARNING)]))
    assert value(metrics, "anomalies_total", severity="warning") == 0
    run.take(findings(T, anomalies=[anomaly(T)]))
    assert value(metrics, "anomalies_total", severity="critical") == 1
    run.take(findings(T, anomalies=[anomaly(T, closed=T + 9)]))
    assert value(metrics, "anomalies_open", severity="critical") == 0


# -- detectors


def test_detector_is_warm_once_it_judges_every_metric():
    metrics, run = following(CRYPTO)
    series = CRYPTO.series[0]

    def judged(metric: str, *, warm: bool) -> Analysis:
        score = Score("zscore", warm=warm, windows_left=0 if warm else 9)
        return Analysis(metric, foreign(T, series), 1.0, scores=(score,))

    assert value(metrics, "detector_warm", detector="zscore") == 0
    run.take(findings(T, judged("trades", warm=True), judged("price", warm=False)))
    assert value(metrics, "detector_warm", detector="zscore") == 0
    assert run.gauges()["cold_zscore"] == 9
    run.take(findings(T, judged("price", warm=True)))
    assert value(metrics, "detector_warm", detector="zscore") == 1
    assert "cold_zscore" not in run.gauges()
    assert value(metrics, "detector_warm", detector="ewma") == 0


# -- API, sessions, notices


def test_requests_are_counted_by_template_method_and_status():
    metrics = Metrics()
    metrics.offer(("/api/windows", "GET"), ("/api/labels/{id}", "PUT"))
    assert value(metrics, "api_requests_total", route="/api/labels/{id}", method="PUT", status="200") == 0
    assert value(metrics, "api_request_duration_seconds_count", route="/api/windows") == 0
    for status, seconds in ((200, 0.004), (200, 0.006), (422, 0.001)):
        metrics.request("/api/windows", "GET", status, seconds)
    assert value(metrics, "api_requests_total", route="/api/windows", method="GET", status="200") == 2
    assert value(metrics, "api_requests_total", route="/api/windows", method="GET", status="422") == 1
    assert value(metrics, "api_request_duration_seconds_bucket", route="/api/windows", le="0.005") == 2
    assert value(metrics, "api_request_duration_seconds_sum", route="/api/windows") == pytest.approx(0.011)


def test_clients_sessions_and_notices_are_told_as_they_stand():
    metrics, sessions, routes = Metrics(), [2], [RouteStatus("mail")]
    metrics.watch_sessions(lambda: sessions[0])
    metrics.watch_notices(lambda: tuple(routes))
    assert value(metrics, "notices_given_up_total", route="mail") == 0
    for _ in range(3):
        metrics.client_opened()
    metrics.client_closed("slow")
    metrics.client_missed(17)
    sessions[0], routes[0] = 5, RouteStatus("mail", sent=4, failed=3, given_up=2, held=1, waiting=6)
    assert value(metrics, "api_clients") == 2
    assert value(metrics, "api_clients_closed_total", reason="slow") == 1
    assert value(metrics, "events_dropped_total", place="clients") == 17
    assert value(metrics, "sessions") == 5
    told = [value(metrics, f"notices_{what}", route="mail") for what in ("sent_total", "failed_total", "waiting")]
    assert told == [4, 3, 6]
    assert [value(metrics, f"notices_{what}_total", route="mail") for what in ("given_up", "held")] == [2, 1]


# -- runs and threads


def test_another_run_adds_to_what_the_one_before_counted():
    metrics, run = following()
    assert value(metrics, "source_up", source="wikimedia") is None
    run.take(findings(T + 1, analysis(T), anomalies=[anomaly(T, updated=T)], events=[event(T, 1), event(T, 2)]))
    before = counters(metrics)
    metrics.follow(Measures(WIKIMEDIA, detectors=DETECTORS), WIKIMEDIA)
    assert counters(metrics) == before
    assert value(metrics, "anomalies_open", severity="critical") == 0
    assert value(metrics, "last_window_timestamp_seconds", series="edits") == 0
    second = Measures(WIKIMEDIA, detectors=DETECTORS)
    metrics.follow(second, WIKIMEDIA)
    second.take(findings(T + 1, analysis(T), events=[event(T, 1)]))
    assert value(metrics, "events_total", series="edits") == 3
    assert value(metrics, "event_lag_seconds_count") == 3
    assert value(metrics, "windows_total", series="edits", quality="ok") == 2
    assert value(metrics, "anomalies_total", severity="critical") == 1


def test_scrapes_hold_together_while_the_feed_writes():
    metrics, run = following()
    ended, current = threading.Event(), [run]

    def feed() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            told = [event(T, each) for each in range(number % 40)]
            current[0].take(findings(T + number, analysis(T + number), events=told))

    thread = threading.Thread(target=feed)
    thread.start()
    before, scrapes = counters(metrics), 0
    try:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            now = counters(metrics)
            assert all(now[key] >= number for key, number in before.items())
            edits = now["tracewave_events_total", frozenset({("series", "edits")})]
            assert now["tracewave_event_lag_seconds_count", frozenset()] == edits
            assert now["tracewave_watermark_lag_seconds_count", frozenset()] == sum(
                number for (name, _), number in now.items() if name == "tracewave_windows_total"
            )
            before, scrapes = now, scrapes + 1
            if scrapes % 5 == 0:
                following_run = Measures(WIKIMEDIA, detectors=DETECTORS)
                current[0] = following_run
                time.sleep(0.01)  # the batch that was under way belongs to the run before
                metrics.follow(following_run)
    finally:
        ended.set()
        thread.join(5)
    assert scrapes > 10
    assert edits > 100


# -- sums


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_totals_are_what_was_fed(data):
    width = data.draw(WIDTHS)
    batches = data.draw(streams(width))
    windows = TumblingWindows(WIKIMEDIA, width)
    metrics = Metrics()
    run = Measures(WIKIMEDIA, width=width)
    metrics.follow(run)
    fed: Counter[str] = Counter()
    qualities: Counter[tuple[str, Quality]] = Counter()
    late = 0
    for batch in batches:
        told = windows.push(batch)
        late += sum(window.late for window in told)
        fed.update("edits" if each.series == "edits" else "other" for each in batch.events)
        qualities.update(("edits" if each.series == "edits" else "other", each.quality) for each in told)
        run.take(
            Findings(
                batch.arrived_at,
                batch.watermark,
                batch.status,
                tuple(Analysis(metric, window, 0.0) for window in told for metric in ("rate", "second")),
                events=batch.events,
                late=sum(window.late for window in told),
            )
        )
        if data.draw(st.integers(0, 3)) == 0:
            run = Measures(WIKIMEDIA, width=width)
            metrics.follow(run)
    held = samples(metrics)
    for series in ("edits", "other"):
        assert held.get((f"{PREFIX}events_total", frozenset({("series", series)})), 0) == fed[series]
        for quality in Quality:
            labels = frozenset({("series", series), ("quality", quality.value)})
            assert held.get((f"{PREFIX}windows_total", labels), 0) == qualities[series, quality], labels
    unlabelled = {name: number for (name, labels), number in held.items() if not labels}
    assert unlabelled[f"{PREFIX}events_late_total"] == late
    assert unlabelled[f"{PREFIX}watermark_lag_seconds_count"] == len(batches)
    assert unlabelled[f"{PREFIX}event_lag_seconds_count"] == fed.total()


@settings(max_examples=50, deadline=None)
@given(st.lists(FINDINGS, max_size=4))
def test_any_findings_can_be_taken_and_read(fed):
    metrics, run = following()
    for each in fed:
        run.take(each)
    text = metrics.render().decode()
    assert list(text_string_to_metric_families(text))
    assert not re.search(r" nan$", text, re.MULTILINE | re.IGNORECASE)
    assert value(metrics, "events_undecodable_total") == sum(each.undecodable for each in fed)


# -- cost


def test_counting_costs_a_small_part_of_folding():
    told = tuple(event(T + number / 1000, number) for number in range(1000))
    counting, folding = [], []
    for _ in range(15):
        run, windows = Measures(WIKIMEDIA), TumblingWindows(WIKIMEDIA)
        began = time.perf_counter()
        run.take(findings(T + 1, events=told))
        counted = time.perf_counter()
        assert len(windows.push(Batch(T + 1, T + 1, events=told))) == 1
        counting.append(counted - began)
        folding.append(time.perf_counter() - counted)
    print(f"{1000 * min(counting):.3f} us an event to count, {1000 * min(folding):.3f} us to fold")
    assert min(counting) < min(folding) / 2


def test_scrape_costs_a_few_milliseconds():
    metrics, took = used(), []
    for _ in range(30):
        began = time.perf_counter()
        metrics.render()
        took.append(time.perf_counter() - began)
    assert min(took) < 0.01
