"""The page under plain ``panel serve``: the same for whoever may see it, and words for whoever may not."""

from __future__ import annotations

import re
import socket
import urllib.request
from contextlib import contextmanager

import httpx
import psutil
import pytest
from bokeh.util.token import generate_jwt_token, generate_session_id
from running import free_port, running, until
from tornado.httpclient import HTTPRequest
from viewers import Viewer

SCRIPT = "tracewave_panel/app/main.py"
STRANGERS, PROCESSES = "Open to this computer only", "One process, please"


@contextmanager
def panel_serve(folder, *options: str, **environment: str):
    port = str(free_port())
    given = {"TRACEWAVE_SOURCE": "synthetic", "TRACEWAVE_DATA": str(folder), **environment}
    with running("-m", "panel", "serve", SCRIPT, "--port", port, *options, environment=given) as program:
        program.wait_for("running at", 90)
        yield program, f"http://127.0.0.1:{port}"


def ask(address: str, **headers: str) -> str:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(f"{address}/main", headers=names, timeout=60).text


def other_address() -> str | None:
    """An address of this computer by which it is not loopback, where it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def pipeline_in(folder) -> bool:
    return any(folder.iterdir())


async def test_only_requests_from_this_computer_are_shown_the_feed(tmp_path):
    with panel_serve(tmp_path, TRACEWAVE_PAGE__SESSIONS="2") as (program, address):
        strangers = [
            ask(address, Host="dashboard.example.org"),
            ask(address, Host="127.0.0.1.nip.io:5006"),
            ask(address, X_Forwarded_For="127.0.0.1, 203.0.113.9"),
            ask(address, X_Forwarded_Host="dashboard.example.org"),
            ask(address, Forwarded='for="[2001:db8::1]:4711";host=127.0.0.1'),
        ]
        if here := other_address():
            strangers.append(ask(address.replace("127.0.0.1", here)))
        assert all(STRANGERS in text and '"token"' not in text for text in strangers)
        assert not pipeline_in(tmp_path)
        program.wait_for("refused to show the page")
        for host in ("127.0.0.1:5006", "localhost"):
            assert '"token"' in ask(address, Host=host, X_Forwarded_For="127.0.0.1")
        assert "Full house" in ask(address)
        until(lambda: pipeline_in(tmp_path), 30)
        program.end()
    assert program.output.count("refused to show the page") == 1


async def test_forged_token_opens_no_page_to_a_stranger(tmp_path):
    claims = {"headers": {"Host": "127.0.0.1"}, "cookies": {"is_guest": "1"}, "arguments": {}}
    token = generate_jwt_token(generate_session_id(), extra_payload=claims)
    with panel_serve(tmp_path) as (_, address):
        stranger = Viewer()
        await stranger.join(
            HTTPRequest(f"{address.replace('http', 'ws')}/main/ws", headers={"Host": "evil.example"}), token
        )
        assert stranger.roots == 0
        await stranger.close()
    assert not pipeline_in(tmp_path)


@pytest.mark.slow
def test_server_told_to_listen_to_others_refuses_without_authentication_and_obeys_its_operator(tmp_path):
    with panel_serve(tmp_path, "--address", "0.0.0.0") as (_, address):
        assert STRANGERS in ask(address)
    assert not pipeline_in(tmp_path)
    with panel_serve(tmp_path, "--address=0.0.0.0", TRACEWAVE_OPEN="1") as (_, address):
        assert '"token"' in ask(address, Host="dashboard.example.org")


def test_visitors_who_sign_in_are_shown_the_feed_from_anywhere(tmp_path):
    secret = ("--basic-auth", "open sesame", "--cookie-secret", "of the cave")
    host = {"Host": "dashboard.example.org"}
    with (
        panel_serve(tmp_path, "--address", "0.0.0.0", *secret) as (_, address),
        httpx.Client(timeout=60, follow_redirects=True, headers=host) as visitor,
    ):
        asked = visitor.get(f"{address}/main")
        assert '"token"' not in asked.text
        assert STRANGERS not in asked.text
        form = {"username": "ali", "password": "open sesame"}
        field = re.search(r'name="_xsrf" value="([^"]+)"', asked.text)
        visitor.post(f"{address}/login", data=form | ({"_xsrf": field[1]} if field else {}))
        assert '"token"' in visitor.get(f"{address}/main").text


def test_several_processes_are_refused_and_none_of_them_starts_a_pipeline(tmp_path):
    with panel_serve(tmp_path, "--num-procs", "2") as (program, address):
        told = [ask(address) for _ in range(6)]
        assert all(PROCESSES in text and "tracewave serve" in text for text in told)
        program.wait_for("refused to show the page")
        # the parent does not pass a signal on: its forks are ended one by one, and it with the last
        for fork in psutil.Process(program.process.pid).children():
            fork.terminate()
        program.end()
    assert not pipeline_in(tmp_path)


def test_page_that_the_query_names_is_shown(tmp_path):
    with panel_serve(tmp_path) as (_, address), urllib.request.urlopen(f"{address}/main?page=health") as answer:
        text = answer.read().decode()
    assert '"token"' in text
