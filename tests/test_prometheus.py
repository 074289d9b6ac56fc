"""A real Prometheus reads a real Tracewave: every panel has data, and each fault moves its panels and alerts.

Three Tracewaves are watched at once: one follows a feed that misbehaves when told to, one replays a recording into
which faults were put, and one has a forest too large for its windows. Ranges and waits of the rules are a twelfth of
what is shipped, so that minutes pass in seconds; thresholds and panels are as shipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import prometheus_server
import pytest
import yaml
from running import ROOT, Program, free_port, running, until
from servers.eventstreams import TOPICS, EventStreamsServer, Log, at_rate, invent_changes
from viewers import Viewer
from websockets.sync.client import connect

from tracewave_panel.model import Batch
from tracewave_panel.plan import BUNDLED
from tracewave_panel.sources.recording import RecordingWriter, read_recording, state_beside

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DEPLOY = ROOT / "deploy"
BOARD = json.loads((DEPLOY / "grafana" / "tracewave.json").read_text())
PANELS = {panel["title"]: panel for panel in BOARD["panels"] if panel["type"] != "row"}
QUERIES = [(title, target["expr"]) for title, panel in PANELS.items() for target in panel["targets"]]
PATIENCE = 90.0
"""Seconds that a busy machine may take to show a fault."""
SERVE = ("-m", "tracewave_panel", "serve", "--port", "0", "--api-port", "0")


# -- what is watched


class App(NamedTuple):
    """A running Tracewave: its pages, its API's root, and the label by which Prometheus knows it."""

    program: Program
    page: str
    api: str

    @property
    def instance(self) -> str:
        return self.api.removeprefix("http://")


@contextmanager
def serving(*arguments: str) -> Iterator[App]:
    with running(*SERVE, *arguments) as program:
        page = program.wait_for("Tracewave is at ", PATIENCE).split("Tracewave is at ")[1].split(" ")[0]
        api = program.wait_for("its API at ", PATIENCE).split("its API at ")[1].split("/api")[0]
        yield App(program, page, api)


class Feed:
    """A loopback EventStreams server on a thread of its own, which fails when told to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)

    async def _serve(self) -> None:
        count, rate = 40_000, 40.0
        log = Log(invent_changes(count), at_rate(count, rate), topic_of=lambda number: TOPICS[number % 2])
        async with EventStreamsServer(log, redeliver=3) as self._server:
            self.url = self._server.url
            self._ready.set()
            await self._ended.wait()

    def then(self, *actions: str) -> None:
        """Have these happen before the next event."""
        self._loop.call_soon_threadsafe(self._server.plan.extend, [(0, action) for action in actions])

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(30)
        self._loop.close()


def following(feed: Feed) -> list[str]:
    """Arguments that follow the misbehaving feed, with a buffer too small for a backlog."""
    changes = {
        "bus.capacity": 100,
        "wikimedia.url": feed.url,
        "wikimedia.kinds": "edit,new,log,categorize",
        "wikimedia.patience": 20,
        "wikimedia.idle_timeout": 60,
        "wikimedia.retry_base": 0.05,
        "wikimedia.retry_cap": 0.2,
    }
    return ["--source", "wikimedia", *(word for key, value in changes.items() for word in ("--set", f"{key}={value}"))]


def faulty_recording(folder: Path) -> Path:
    """The first minutes of the bundled recording, with faults from its second minute on, and its State."""
    path = folder / "faulty.jsonl.gz"
    header, batches = read_recording(BUNDLED)
    with RecordingWriter(path, header) as writer:
        for number, batch in enumerate(batches):
            age = batch.arrived_at - header.started_at
            if age > 200:
                break
            writer.write(_spoilt(batch, number) if age > 60 else batch)
    shutil.copy(state_beside(BUNDLED), state_beside(path))
    return path


def _spoilt(batch: Batch, number: int) -> Batch:
    """Some events come twenty seconds late, some twice, some unreadable."""
    if number % 10 or not batch.events:
        return batch
    late = msgspec.structs.replace(batch.events[0], id=f"late-{number}", time=batch.events[0].time - 20.0)
    return msgspec.structs.replace(batch, events=(late, *batch.events), undecodable=2, duplicates=1)


class Desk(BaseHTTPRequestHandler):
    """Takes every notice."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def routes_of_notices(folder: Path, taken: int, dead: int) -> Path:
    """Settings with a route that works, one that is dead, and one that may send a single notice an hour."""
    usual = 'severity = "info"\norigins = ["simulated"]\nsecret = "sixteen characters"\n'
    routes = [("desk", taken, "limit = 1000"), ("dead", dead, "limit = 1000"), ("slow", taken, "limit = 1")]
    tables = [
        f'[[notify]]\nname = "{name}"\nwebhook = "http://127.0.0.1:{port}/"\n{usual}{more}\n'
        for name, port, more in routes
    ]
    path = folder / "tracewave.toml"
    path.write_text("[notices]\nretry_first = 0.2\nretry_most = 1.0\ngive_up = 10.0\n\n" + "\n".join(tables))
    return path


@contextmanager
def visiting(app: App) -> Iterator[None]:
    """Somebody who asks the API twice a second."""
    gone = threading.Event()

    def visit() -> None:
        with httpx.Client(base_url=app.api, timeout=20) as client:
            while not gone.wait(0.5):
                with suppress(httpx.HTTPError):
                    client.get("/api/stats")

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        yield
    finally:
        gone.set()
        visitor.join(30)


@contextmanager
def opened_page(app: App) -> Iterator[None]:
    """A page that is open, as in a browser's tab."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)

    try:
        viewer = Viewer()
        assert run(viewer.open(app.page, "/"))
        yield
        run(viewer.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def starved(pid: int) -> Iterator[None]:
    """Let a process run for a seventh of the time only, as on a machine that has too much to do."""
    fed = threading.Event()

    def starve() -> None:
        while not fed.wait(0.05):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.3)
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=starve)
    thread.start()
    try:
        yield
    finally:
        fed.set()
        thread.join(10)


def hurried(text: str) -> str:
    """Rules whose minutes are five seconds, and which wait one second before they fire."""
    rules = yaml.safe_load(text)
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\d+)m\]", lambda found: f"[{5 * int(found[1])}s]", rule["expr"])
            if "alert" in rule:
                rule["for"] = "1s"
    return yaml.safe_dump(rules)


def configuration(targets: list[str]) -> str:
    """The shipped configuration, with these targets and every second."""
    shipped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    shipped["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    shipped["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
    return yaml.safe_dump(shipped)


class Watched(NamedTuple):
    """Everything that runs."""

    prometheus: prometheus_server.Prometheus
    feed: Feed
    live: App
    replay: App
    later: str
    folder: Path

    def value(self, title: str, instance: str, legend: str = "", over: str = "") -> float | None:
        """What a panel shows now, or with `over` its least or most in ten minutes; None: nothing."""
        (expression,) = [
            target["expr"]
            for target in PANELS[title]["targets"]
            if len(PANELS[title]["targets"]) == 1 or target["legendFormat"] == legend
        ]
        query = filled(expression, instance.replace(".", "[.]"))
        found = self.prometheus.series(f"{over}_over_time(({query})[10m:1s])" if over else query)
        return sum(value for _, value in found) if found else None

    def rises(self, title: str, instance: str, legend: str = "") -> None:
        """Wait until a panel has shown more than the least that it showed."""

        def rose() -> bool:
            least, most = (self.value(title, instance, legend, over) for over in ("min", "max"))
            return least is not None and most is not None and most > least

        wait_for(rose, f"{title} ({legend}) did not rise")

    def until(self, title: str, instance: str, holds: Callable[[float], bool], legend: str = "") -> None:
        """Wait until a condition holds of what a panel shows."""

        def held() -> bool:
            value = self.value(title, instance, legend)
            return value is not None and holds(value)

        wait_for(held, f"{title} ({legend}) did not get there")

    def fires(self, alert: str, instance: str) -> dict[str, Any]:
        """Wait until an alert fires, and return it."""
        return wait_for(lambda: self.prometheus.alerts().get((alert, instance)), f"{alert} does not fire")

    def ends(self, alert: str, instance: str) -> None:
        """Wait until an alert no longer fires."""
        wait_for(lambda: (alert, instance) not in self.prometheus.alerts(), f"{alert} still fires")


def wait_for(condition: Callable[[], Any], words: str) -> Any:
    """First true value of a condition; AssertionError with words when it takes too long."""
    try:
        return until(condition, PATIENCE)
    except AssertionError as error:
        raise AssertionError(words) from error


def filled(expression: str, instance: str = ".*") -> str:
    """A panel's query as Grafana would send it."""
    return expression.replace("$instance", instance).replace("$__rate_interval", "10s")


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Watched]:
    if not prometheus_server.find():
        pytest.skip(prometheus_server.MISSING)
    folder = tmp_path_factory.mktemp("watched")
    with ExitStack() as stack:
        desk = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
        threading.Thread(target=desk.serve_forever, daemon=True).start()
        stack.callback(desk.server_close)
        stack.callback(desk.shutdown)
        feed = Feed()
        stack.callback(feed.close)
        live = stack.enter_context(serving(*following(feed), "--data", str(folder / "live")))
        settings = routes_of_notices(folder, desk.server_port, free_port())
        recording = faulty_recording(folder)
        replayed = ("--source", f"recording:{recording}", "--speed", "4", "--config", str(settings))
        replay = stack.enter_context(serving(*replayed, "--data", str(folder / "replay")))
        later = f"127.0.0.1:{free_port()}"
        (folder / "rules.yml").write_text(hurried((DEPLOY / "prometheus" / "rules.yml").read_text()))
        targets = [live.instance, replay.instance, later]
        prometheus = stack.enter_context(prometheus_server.prometheus(configuration(targets), folder, free_port()))
        stack.enter_context(visiting(replay))
        yield Watched(prometheus, feed, live, replay, later, folder)


# -- panels


def test_target_that_is_not_there_is_told(watched):
    alert = watched.fires("TracewaveDown", watched.later)
    assert watched.later in alert["annotations"]["description"]
    watched.until("Read by Prometheus", watched.later, lambda up: up == 0)
    watched.until("Read by Prometheus", watched.live.instance, lambda up: up == 1)


def test_pages_and_api_are_counted(watched):
    app = watched.replay
    watched.until("Open pages and API clients", app.instance, lambda pages: pages == 0, "pages")
    address = f"ws://{app.instance}/ws"
    with opened_page(app):
        watched.until("Open pages and API clients", app.instance, lambda pages: pages == 1, "pages")
    with connect(address), connect(address), connect(address):
        watched.until("Open pages and API clients", app.instance, lambda clients: clients == 3, "API clients")
    watched.until("Open pages and API clients", app.instance, lambda clients: clients == 0, "API clients")
    watched.rises("Clients closed in 5 minutes", app.instance)
    with httpx.Client(base_url=app.api, timeout=20) as client:
        statuses = {client.get("/api/stats").status_code for _ in range(20)}
        statuses |= {client.get("/api/anomalies/no-such-anomaly").status_code for _ in range(20)}
    assert statuses == {200, 404}
    watched.rises("Requests by status", app.instance)
    watched.rises("Requests by route", app.instance)
    wait_for(
        lambda: watched.prometheus.series(
            f'increase(tracewave_api_requests_total{{instance="{app.instance}",status="404"}}[5m])'
        ),
        "no answer of 404 is counted",
    )


@pytest.mark.parametrize(("title", "expression"), QUERIES, ids=[f"{title}-{n}" for n, (title, _) in enumerate(QUERIES)])
def test_query_of_every_panel_returns_data(watched, title, expression):
    assert "vector(" not in expression
    wait_for(lambda: watched.prometheus.series(filled(expression)), f"{title} has no data: {filled(expression)}")


@pytest.mark.parametrize("note", BOARD["annotations"]["list"], ids=lambda note: note["name"])
def test_annotations_mark_anomalies(watched, note):
    query = f"max_over_time(({filled(note['expr'])})[10m:1s])"
    if note["name"] == "Critical anomalies":
        wait_for(lambda: watched.prometheus.series(query), "no critical anomaly is marked")
    else:
        watched.prometheus.series(query)


def test_recorded_figures_have_data(watched):
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    for name in (rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule):
        wait_for(lambda name=name: watched.prometheus.series(name), f"{name} has no data")


def test_healthy_replay_raises_no_alert_on_its_pipeline_and_store(watched):
    quiet = {"TracewaveWindowsStalled", "TracewaveStoreFailing", "TracewaveStoreSilent", "TracewaveDrops"}
    firing = {name for name, instance in watched.prometheus.alerts() if instance == watched.replay.instance}
    assert not firing & (quiet | {"TracewaveFeedSilent", "TracewaveWindowTime", "TracewaveSinkFailing"})


# -- faults of the recording


def test_anomaly_moves_its_panels_and_fires(watched):
    replay = watched.replay.instance
    assert watched.fires("TracewaveCriticalAnomaly", replay)["labels"]["severity"] == "critical"
    watched.rises("Anomalies in 5 minutes", replay)
    watched.rises("Anomalies by severity", replay)
    watched.rises("Open anomalies", replay)
    watched.rises("Detector fires in 5 minutes", replay)


def test_late_duplicate_and_unreadable_events_of_a_recording_are_shown(watched):
    for legend in ("late", "duplicate", "unreadable"):
        watched.rises("Late, duplicate and unreadable events", watched.replay.instance, legend)
    watched.fires("TracewaveFeedUnreadable", watched.replay.instance)


def test_notices_that_arrive_fail_are_given_up_and_held_are_shown(watched):
    replay = watched.replay.instance
    for legend in ("sent", "failed attempts", "given up", "held"):
        watched.rises("Notices in 5 minutes", replay, f"{{{{route}}}} {legend}")
    watched.rises("Notices waiting", replay)
    assert watched.fires("TracewaveNoticesFailing", replay)["labels"]["route"] == "dead"
    assert watched.fires("TracewaveNoticesGivenUp", replay)["labels"]["route"] == "dead"


# -- faults of the feed


def test_unreadable_lines_are_shown_and_fire(watched):
    live = watched.live.instance
    before = watched.value("Messages by source", live, "{{source}} failed")
    assert before == 0
    watched.feed.then(*["garbage"] * 30)
    watched.rises("Messages by source", live, "{{source}} failed")
    watched.rises("Late, duplicate and unreadable events", live, "unreadable")
    watched.fires("TracewaveFeedUnreadable", live)


def test_broken_connections_are_shown_and_fire(watched):
    live = watched.live.instance
    for _ in range(8):
        watched.feed.then("abort")
    watched.rises("Reconnects and refusals in 5 minutes", live, "{{source}} reconnected")
    watched.rises("Late, duplicate and unreadable events", live, "duplicate")
    assert watched.fires("TracewaveReconnectStorm", live)["labels"]["source"] == "wikimedia"


def test_backlog_that_the_buffer_cannot_hold_is_shown_as_dropped(watched):
    live = watched.live.instance
    before = watched.value("Dropped in 5 minutes", live)
    watched.feed.then("away:8")
    watched.until("Sources connected", live, lambda up: up == 0)
    watched.rises("Reconnects and refusals in 5 minutes", live, "{{source}} refused")
    watched.until("Sources connected", live, lambda up: up == 1)
    watched.until("Event lag, p99", live, lambda seconds: seconds > 1)  # the oldest of the backlog are shed
    watched.until("Dropped in 5 minutes", live, lambda dropped: dropped > before + 100)
    assert watched.fires("TracewaveDrops", live)["labels"]["place"] == "buffer"


def test_silent_feed_is_shown_and_fires_and_ends(watched):
    live = watched.live.instance
    watched.feed.then("silent:40")
    watched.until("Since the last window", live, lambda seconds: seconds > 8)
    watched.fires("TracewaveFeedSilent", live)
    watched.fires("TracewaveWindowsStalled", live)
    watched.fires("TracewaveLag", live)
    watched.until("Events a second", live, lambda rate: rate == 0)
    watched.until("Watermark behind now, p99", live, lambda lag: lag > 5)
    watched.rises("Gaps", live, "gaps")
    watched.rises("Gaps", live, "seconds told as gap")
    for alert in ("TracewaveFeedSilent", "TracewaveWindowsStalled", "TracewaveLag"):
        watched.ends(alert, live)


# -- faults of the machine


def test_full_disk_is_shown_and_fires_and_ends(watched):
    replay = watched.replay
    for title in ("Failed commits in 5 minutes", "Since the last commit"):
        assert watched.value(title, replay.instance) < 5
    usual = resource.prlimit(replay.program.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(replay.program.process.pid, resource.RLIMIT_FSIZE, (1, usual[1]))
    try:
        watched.fires("TracewaveStoreFailing", replay.instance)
        watched.fires("TracewaveStoreSilent", replay.instance)
        watched.rises("Failed commits in 5 minutes", replay.instance)
        watched.rises("Commits", replay.instance, "failed")
        watched.until("Waiting to be written", replay.instance, lambda waiting: waiting > 20)
        watched.until("Since the last commit", replay.instance, lambda seconds: seconds > 8)
    finally:
        resource.prlimit(replay.program.process.pid, resource.RLIMIT_FSIZE, usual)
    watched.until("Since the last commit", replay.instance, lambda seconds: seconds < 5)
    for alert in ("TracewaveStoreFailing", "TracewaveStoreSilent"):
        watched.ends(alert, replay.instance)


def test_starved_process_beside_a_history_that_another_holds_is_shown_and_fires(watched):
    watched.until("Window time against width, p99", watched.replay.instance, lambda share: share < 0.5)
    changes = ("window.width=0.1", "bus.capacity=50", "synthetic.rate=3000")
    arguments = [word for change in changes for word in ("--set", change)]
    arguments += ["--source", "synthetic", "--data", str(watched.folder / "replay")]
    with running(*SERVE[:-1], watched.later.rpartition(":")[2], *arguments) as program:
        program.wait_for("its API at ", PATIENCE)
        watched.ends("TracewaveDown", watched.later)
        watched.until("Window time against width, p99", watched.later, lambda share: share < 0.8)
        with starved(program.process.pid):
            watched.until("Window time against width, p99", watched.later, lambda share: share > 0.8)
            watched.fires("TracewaveWindowTime", watched.later)
            watched.until("Buffer", watched.later, lambda waiting: waiting > 0, "waiting")
        watched.fires("TracewaveStoreSilent", watched.later)
        with httpx.Client(base_url=f"http://{watched.later}", timeout=20) as client:

            def fails() -> bool:
                assert client.post("/api/sql", json={"sql": "SELECT 1"}).status_code == 503
                return ("TracewaveApiFailing", watched.later) in watched.prometheus.alerts()

            wait_for(fails, "TracewaveApiFailing does not fire")
    watched.fires("TracewaveDown", watched.later)
