"""The main job, as a person runs it."""

from __future__ import annotations

import random
import signal
import socket
import time
import urllib.request

import pytest
from running import CAPTURE, ask, event_stream, free_port, running, serving, tracewave, until
from servers.eventstreams import invent_changes

from tracewave_panel.sources.wikimedia import WikimediaSettings

FAST = ("--set", "wikimedia.retry_base=0.2", "--set", "wikimedia.retry_cap=1.0")


def counted(data) -> int:
    return ask("select coalesce(sum(count), 0)::bigint as n from windows", data)[0]["n"]


@pytest.mark.slow
def test_bundled_simulation_is_shown_where_the_feed_cannot_be_reached(tmp_path):
    nobody = f"wikimedia.url=http://127.0.0.1:{free_port()}/v2/stream/recentchange"
    with serving("--data", str(tmp_path), "--set", nobody) as (program, address):
        with urllib.request.urlopen(f"{address}/healthz") as answer:
            assert answer.status == 200
        until((tmp_path / "query.sock").exists, 20)
        until(lambda: counted(tmp_path) > 200, 30)
        origin = ask("select count(*) as n from windows where quality = 'ok'", tmp_path)
        assert origin[0]["n"] >= 3
        program.end(signal.SIGINT)
        assert program.process.returncode == 0, program.output


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_is_prompt_and_everything_seen_is_committed(tmp_path, number):
    with (
        event_stream("--count", "100000", "--rate", "40", "--canaries", "1") as url,
        serving("--source", "wikimedia", "--data", str(tmp_path), "--set", f"wikimedia.url={url}") as (program, _),
    ):
        until((tmp_path / "query.sock").exists, 20)
        until(lambda: counted(tmp_path) > 80, 30)
        assert program.end(number) < 10.0  # three where nothing else runs
        assert program.process.returncode == 0, program.output
    assert not (tmp_path / "query.sock").exists()
    last = ask("select max(start) as last, count(*) as n from windows", tmp_path)[0]
    assert last["n"] > 2
    states = ask("select count(*) as n from states", tmp_path)
    assert states[0]["n"] >= 1
    starts = ask("select start, count(*) as n from windows group by start having n > 1", tmp_path)
    assert starts == []


@pytest.mark.slow
def test_port_that_is_taken_is_said_in_words_with_exit_code_2(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ports = {"tracewave: port": ("--port", port), "--api-port sets it": ("--port", "0", "--api-port", port)}
        for words, told in ports.items():
            answered = tracewave("serve", *told, "--source", "synthetic", "--data", str(tmp_path))
            assert answered.returncode == 2
            assert f"port {port} on 127.0.0.1 is taken" in answered.stderr
            assert words in answered.stderr
            assert "Traceback" not in answered.stderr


@pytest.mark.slow
def test_second_server_on_the_same_data_folder_goes_on_without_history(tmp_path):
    with (
        event_stream("--count", "100000", "--rate", "40") as url,
        serving("--source", "wikimedia", "--data", str(tmp_path), "--set", f"wikimedia.url={url}"),
    ):
        until((tmp_path / "query.sock").exists, 20)
        with serving("--source", "synthetic", "--data", str(tmp_path)) as (second, address):
            second.wait_for("history is not being kept", 20)
            with urllib.request.urlopen(f"{address}/healthz") as answer:
                assert answer.status == 200
            second.end()
        until(lambda: counted(tmp_path) > 10, 20)


@pytest.mark.slow
def test_every_event_of_the_capture_is_counted_once_through_three_disconnects(tmp_path, captures):
    faults = ("--disconnects", "3", "--redeliver", "4", "--canaries", "1")
    with event_stream("--capture", str(captures / CAPTURE), "--speed", "8", *faults) as url:
        where = ("--data", str(tmp_path), "--set", f"wikimedia.url={url}")
        with serving("--source", "wikimedia", *where, *FAST) as (program, _):
            until((tmp_path / "query.sock").exists, 20)
            until(lambda: counted(tmp_path) == 3818, 120)
            time.sleep(3)
            program.end()
    assert counted(tmp_path) == 3818
    assert ask("select count(distinct start) = count(*) as once from windows", tmp_path) == [{"once": True}]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_twenty_times_history_has_every_window_and_every_event_once(tmp_path):
    served = 4000
    counted_kinds = WikimediaSettings().kinds
    events = sum(change["type"] in counted_kinds for change in invent_changes(served))
    dice = random.Random(5)
    with event_stream("--count", str(served), "--rate", "25", "--canaries", "1") as url:
        arguments = ("--source", "wikimedia", "--data", str(tmp_path), "--set", f"wikimedia.url={url}", *FAST)
        often = ("--set", "wikimedia.checkpoint_interval=1", "--set", "wikimedia.since=1h")
        told = 0
        for life in range(20):
            with serving(*arguments, *often) as (program, _):
                if life % 2:  # the others may end before they told anything
                    until((tmp_path / "query.sock").exists, 60)
                    until(lambda told=told: counted(tmp_path) > min(told, events - 1), 60)
                time.sleep(dice.uniform(0.2, 4.0))
                program.end(signal.SIGKILL)
            told = counted(tmp_path)
        assert told > 0
        with serving(*arguments, *often) as (program, _):
            until(lambda: counted(tmp_path) >= events, 400)
            time.sleep(2)
            program.end()
    assert counted(tmp_path) == events
    assert ask("select start from windows group by start having count(*) > 1", tmp_path) == []
    stored = ask("select count(*) as n, count(distinct id) as ids from events", tmp_path)
    assert stored == [{"n": events, "ids": events}]
    holes = """
        select start from (select start, lead(start) over (order by start) as following from windows)
        where following - start > interval 1 second
    """
    assert ask(holes, tmp_path) == []


@pytest.mark.slow
def test_auto_goes_over_to_the_live_feed_when_it_answers(tmp_path):
    port = free_port()
    nobody = f"wikimedia.url=http://127.0.0.1:{port}/v2/stream/recentchange"
    with serving("--data", str(tmp_path), "--set", nobody):
        until((tmp_path / "replay.duckdb").exists, 30)
        with event_stream("--port", str(port), "--count", "100000", "--rate", "30", "--canaries", "1"):
            until((tmp_path / "history.duckdb").exists, 60)
            until(lambda: counted(tmp_path) > 50, 60)
            assert list((tmp_path / "rolling").glob("run-*"))


@pytest.mark.slow
def test_panel_serve_shows_the_same_page(tmp_path):
    port = str(free_port())
    script = "tracewave_panel/app/main.py"
    environment = {"TRACEWAVE_SOURCE": "synthetic", "TRACEWAVE_DATA": str(tmp_path)}
    with running("-m", "panel", "serve", script, "--port", port, environment=environment) as program:
        program.wait_for("running at", 60)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/main") as answer:
            assert b"Tracewave" in answer.read()
        until((tmp_path / "query.sock").exists, 30)
        until(lambda: counted(tmp_path) > 10, 30)
        program.end(signal.SIGINT)
