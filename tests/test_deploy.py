"""What `deploy/` promises: rules that promtool proves, a dashboard that is what its code says, and nothing left out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import prometheus_server
import pytest
import yaml

from tracewave_panel.metrics import Metrics

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
CASES = yaml.safe_load((DEPLOY / "prometheus" / "rules.test.yml").read_text())
BOARD = json.loads((DEPLOY / "grafana" / "tracewave.json").read_text())
EVERY_RULE = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in EVERY_RULE if "alert" in rule}
RECORDED = [rule["record"] for rule in EVERY_RULE if "record" in rule]
PANELS = {panel["title"]: panel for panel in BOARD["panels"] if panel["type"] != "row"}

METRICS = set(
    """
    build_info start_time_seconds events_total events_late_total events_dropped_total events_undecodable_total
    events_duplicate_total gaps_total gap_seconds_total source_messages_total source_messages_failed_total
    source_reconnects_total source_refusals_total source_up watermark_lag_seconds event_lag_seconds
    last_window_timestamp_seconds buffer_events buffer_capacity_events windows_total window_duration_seconds
    window_width_seconds detector_fires_total detector_warm anomalies_total anomalies_open store_commits_total
    store_commit_failures_total store_commit_duration_seconds store_last_commit_timestamp_seconds store_backlog
    store_bytes sink_failures_total sessions api_requests_total api_request_duration_seconds api_clients
    api_clients_closed_total notices_sent_total notices_failed_total notices_given_up_total notices_held_total
    notices_waiting
    """.split()  # noqa: SIM905 (a column of forty quoted names reads worse)
)

OLDER_FIGURES = [
    # the first console's metrics and its Grafana
    ("events ingested", "Received against processed", "source_messages_total"),
    ("events processed", "Received against processed", "events_total"),
    ("events dropped, in 5 minutes", "Dropped in 5 minutes", "events_dropped_total"),
    ("window snapshots", "Windows by quality", "windows_total"),
    ("anomalies in 5 minutes", "Anomalies in 5 minutes", "anomalies_total"),
    ("anomalies by severity", "Anomalies by severity", "anomalies_total"),
    ("detector fires", "Detector fires in 5 minutes", "detector_fires_total"),
    ("events a second", "Events a second", "events_total"),
    ("processing lag", "Watermark lag", "watermark_lag_seconds_bucket"),
    ("window process time, p95", "Window time", "window_duration_seconds_bucket"),
    # the second system's producers, stream engine, queue and database
    ("messages sent", "Messages by source", "source_messages_total"),
    ("messages failed", "Messages by source", "source_messages_failed_total"),
    ("messages dropped", "Dropped in 5 minutes", "events_dropped_total"),
    ("rate-limit hits of a source", "Reconnects and refusals in 5 minutes", "source_refusals_total"),
    ("rate-limit hits of the API", "Requests by status", "api_requests_total"),
    ("send latency", "Event lag", "event_lag_seconds_bucket"),
    ("latency p50, p95, p99", "Event lag", "event_lag_seconds_bucket"),
    ("producer active", "Sources connected", "source_up"),
    ("uptime", "Uptime", "start_time_seconds"),
    ("consumer lag", "Buffer", "buffer_events"),
    ("inserts", "Commits", "store_commits_total"),
    ("failed inserts", "Failed commits in 5 minutes", "store_commit_failures_total"),
    ("database connections", "Open pages and API clients", "api_clients"),
    ("database size", "Size of history", "store_bytes"),
]
"""Figure, panel that shows it, and the metric it is of; cache hits are left out: the store has no such cache."""


@pytest.fixture(scope="module")
def promtool() -> str:
    found = prometheus_server.find()
    if not found:
        pytest.skip(prometheus_server.MISSING)
    return found.promtool


def expressions(panel: dict) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def named_in(expression: str) -> set[str]:
    """Metrics of Tracewave that PromQL names, without the prefix."""
    return set(re.findall(r"(?<![\w:])tracewave_(\w+)", expression))


def base(name: str) -> str:
    """A histogram by its own name."""
    return re.sub(r"_(bucket|count|sum)$", "", name)


def check(promtool: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


# -- rules


def test_prometheus_accepts_configuration_and_rules(promtool):
    checked = check(promtool, "check", "config", "prometheus.yml", folder=DEPLOY / "prometheus")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(EVERY_RULE)} rules found" in checked.stdout


def test_rules_do_what_their_cases_say(promtool):
    tested = check(promtool, "test", "rules", "rules.test.yml", folder=DEPLOY / "prometheus")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("expression", ["vector(1)", "vector(1) > 2"], ids=["always", "never"])
def test_cases_notice_every_alert_that_always_or_never_fires(promtool, tmp_path, expression):
    changed = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    for group in changed["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = expression
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(changed))
    (tmp_path / "rules.test.yml").write_text((DEPLOY / "prometheus" / "rules.test.yml").read_text())
    tested = check(promtool, "test", "rules", "rules.test.yml", folder=tmp_path)
    assert tested.returncode == 1
    noticed = set(re.findall(r"alertname: (\w+), time: ", tested.stdout + tested.stderr))
    assert noticed == set(ALERTS)


def test_every_alert_has_a_case_in_which_it_fires_one_in_which_it_waits_and_a_healthy_one():
    healthy, *faulty = CASES["tests"]
    assert {case["alertname"] for case in healthy["alert_rule_test"]} == set(ALERTS)
    assert all(case["exp_alerts"] == [] for case in healthy["alert_rule_test"])
    judged = [(case["alertname"], bool(case["exp_alerts"])) for test in faulty for case in test["alert_rule_test"]]
    assert sorted(judged) == sorted((name, fires) for name in ALERTS for fires in (False, True))


def test_every_recorded_figure_has_a_case():
    tested = {case["expr"] for test in CASES["tests"] for case in test.get("promql_expr_test", ())}
    assert len(RECORDED) == len(set(RECORDED)) >= 5
    assert tested == set(RECORDED)


@pytest.mark.parametrize("name", ALERTS)
def test_alert_says_how_long_how_bad_what_and_what_to_do(name):
    rule = ALERTS[name]
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    words = rule["annotations"]
    assert "{{ $labels.instance }}" in words["summary"]
    assert "$value" in words["description"] or name == "TracewaveDown"  # whose value is always 0
    assert len(words["description"]) > 60
    assert len(words["runbook"]) > 80
    assert f"| {name} | {rule['labels']['severity']} |" in (DEPLOY / "README.md").read_text()


def test_rules_name_only_metrics_and_records_that_exist():
    for rule in EVERY_RULE:
        assert {base(name) for name in named_in(rule["expr"])} <= METRICS, rule
        records = re.findall(r"instance\w*:[\w:]+", rule["expr"])
        assert set(records) <= set(RECORDED), rule


# -- dashboard


def test_dashboard_is_what_its_code_makes(tmp_path):
    out = tmp_path / "made.json"
    code = DEPLOY / "grafana" / "dashboard.py"
    subprocess.run([sys.executable, str(code), str(out)], check=True, timeout=120, stdout=subprocess.DEVNULL)
    assert out.read_bytes() == (DEPLOY / "grafana" / "tracewave.json").read_bytes()


@pytest.mark.parametrize("title", PANELS)
def test_panel_says_what_it_shows_in_which_unit(title):
    panel = PANELS[title]
    assert len(panel["description"]) > 25
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        assert target["legendFormat"]
        assert "vector(" not in target["expr"]
        assert 'instance=~"$instance"' in target["expr"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_panels_lie_in_rows_and_cover_nothing_of_each_other():
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Feed",
        "Windows and detectors",
        "Anomalies",
        "History",
        "Pages and API",
        "Notices",
        "Process",
    ]
    assert len(PANELS) == len(BOARD["panels"]) - len(rows)
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    taken = set()
    for place in (panel["gridPos"] for panel in BOARD["panels"]):
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells


def test_dashboard_refreshes_and_chooses_its_data_source():
    variables = {each["name"]: each for each in BOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["instance"]["query"] == "label_values(tracewave_build_info, instance)"
    assert BOARD["refresh"] == "5s"
    assert BOARD["uid"]
    assert "vector(0)" not in json.dumps(BOARD)
    assert len(BOARD["annotations"]["list"]) == 2


def test_dashboard_shows_every_metric():
    shown = {base(name) for panel in PANELS.values() for text in expressions(panel) for name in named_in(text)}
    assert shown == METRICS


def test_metrics_are_those_that_the_app_serves():
    served = re.findall(r"^# TYPE tracewave_(\w+) ", Metrics().render().decode(), re.MULTILINE)
    assert {name for name in served if not name.endswith("_created")} == METRICS


@pytest.mark.parametrize(("figure", "title", "metric"), OLDER_FIGURES)
def test_dashboard_shows_what_the_older_dashboards_showed(figure, title, metric):
    assert any(metric in named_in(text) for text in expressions(PANELS[title])), figure


def test_quantile_panels_show_median_and_tail():
    for title in ("Watermark lag", "Event lag", "Window time", "Commit time", "Request time"):
        asked = [re.match(r"histogram_quantile\((\S+),", text)[1] for text in expressions(PANELS[title])]
        assert asked == ["0.5", "0.95", "0.99"]


# -- set-up


def test_provisioning_names_what_is_there():
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards" / "tracewave.yml").read_text())["providers"]
    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == configuration["global"]["scrape_interval"]
    assert provider["type"] == "file"
    variable = provider["options"]["path"].removeprefix("$")
    assert f"{variable}=" in (DEPLOY / "README.md").read_text()


def test_readme_names_files_that_exist_and_says_what_was_not_tried():
    text = (DEPLOY / "README.md").read_text()
    for name in re.findall(r"`((?:prometheus|grafana)/[\w./]*)`", text):
        assert (DEPLOY / name).exists(), name
    for name in re.findall(r"\bdeploy/[\w./]+", text):
        assert (ROOT / name).exists(), name
    assert "was not loaded in a Grafana here" in " ".join(text.split())


def test_set_up_without_prometheus_says_so_and_does_not_fail(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(prometheus_server, "FOLDER", tmp_path / "none")
    assert prometheus_server.find() is None
    assert "skipped" in prometheus_server.install()
