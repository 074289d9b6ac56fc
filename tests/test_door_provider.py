"""Signing in by another service: Panel's OAuth against a small provider of our own."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from console_stand_in import console
from panel.config import config
from test_door import socket_status, token_in
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tracewave_panel.access import Access, AccessSettings, OAuthSettings
from tracewave_panel.app.server import start, stop

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:asyncio")
SECRET, CODE, ACCESS_TOKEN = "client-secret-1", "one-time-code-1", "access-token-1"


class Authorize(RequestHandler):
    def get(self):
        asked = {name: self.get_query_argument(name) for name in ("redirect_uri", "state", "client_id")}
        assert asked["client_id"] == "tracewave"
        self.settings["redirects"].append(asked["redirect_uri"])
        self.redirect(f"{asked['redirect_uri']}?{urlencode({'code': CODE, 'state': asked['state']})}")


class Token(RequestHandler):
    def post(self):
        given = parse_qs(self.request.body.decode())
        if given.get("code") != [CODE] or given.get("client_secret") != [SECRET]:
            self.set_status(401)
            self.write({"error": "invalid_grant"})
            return
        self.write({"access_token": ACCESS_TOKEN, "token_type": "bearer"})


class Person(RequestHandler):
    def get(self):
        assert self.request.headers["Authorization"] == f"Bearer {ACCESS_TOKEN}"
        self.write({"email": self.settings["person"][0]})


@asynccontextmanager
async def provider(person: list[str], redirects: list[str]):
    patterns = [(r"/authorize", Authorize), (r"/token", Token), (r"/person", Person)]
    server = HTTPServer(Application(patterns, person=person, redirects=redirects))
    listening, port = bind_unused_port(address="127.0.0.1")
    server.add_socket(listening)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await server.close_all_connections()


@asynccontextmanager
async def served(person: list[str], redirects: list[str], *, users: tuple[str, ...], prefix: str = ""):
    """A server that sends its visitors to the provider, and a browser of sorts."""
    kept = {name: getattr(config, name) for name in ("oauth_key", "oauth_secret", "oauth_extra_params", "oauth_expiry")}
    async with provider(person, redirects) as address:
        extra = {"AUTHORIZE_URL": "authorize", "TOKEN_URL": "token", "USER_URL": "person"}
        oauth = OAuthSettings(
            provider="generic",
            key="tracewave",
            users=users,
            extra={name: f"{address}/{path}" for name, path in extra.items()},
        )
        access = Access(AccessSettings(oauth=oauth), environment={"TRACEWAVE_OAUTH_SECRET": SECRET})
        server = start(console(), address="127.0.0.1", port=0, access=access, prefix=prefix)
        base = f"http://127.0.0.1:{server.port}"
        try:
            async with httpx.AsyncClient(base_url=base, timeout=30, follow_redirects=True) as client:
                client.port = server.port
                yield client
        finally:
            stop(server)
            for name, value in {"oauth_provider": None, **kept}.items():
                setattr(config, name, value)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("prefix", ["", "/tracewave"])
async def test_person_whom_the_settings_name_comes_in_by_the_provider(prefix, caplog):
    for client_side in ("httpcore", "httpx"):
        caplog.set_level(logging.WARNING, logger=client_side)
    caplog.set_level(logging.DEBUG)
    redirects: list[str] = []
    async with served(["Ada@example.org"], redirects, users=("@example.org",), prefix=prefix) as client:
        refused = await client.get(f"{prefix}/health", follow_redirects=False)
        assert refused.status_code == 302
        assert '"token"' not in refused.text
        page = await client.get(f"{prefix}/health")
        assert page.status_code == 200, page.text[:300]
        assert page.url.path == f"{prefix}/health"
        assert redirects == [f"http://127.0.0.1:{client.port}{prefix}/login"]
        held = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        token = token_in(page.text)
        assert await socket_status(client, token, f"{prefix}/health/ws", Cookie=held) == 101
        assert await socket_status(client, token, f"{prefix}/health/ws") == 403
        for answer in page.history:
            for cookie in answer.headers.get_list("set-cookie"):
                if '=""' not in cookie:
                    assert "HttpOnly" in cookie
                    assert "SameSite=Lax" in cookie
        for secret in (SECRET, CODE, ACCESS_TOKEN, *client.cookies.values()):
            assert secret not in page.text
            assert secret not in caplog.text
        left = await client.post(f"{prefix}/logout", follow_redirects=False)
        assert left.headers["location"] == f"{prefix}/login"
        assert (await client.get(f"{prefix}/", follow_redirects=False)).status_code == 302


async def test_person_whom_they_do_not_name_sees_nothing():
    person = ["mallory@example.com"]
    async with served(person, [], users=("ada@example.org", "@example.org")) as client:
        refused = await client.get("/health")
        assert refused.status_code == 403
        assert '"token"' not in refused.text
        held = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        assert await socket_status(client, "x.y", "/health/ws", Cookie=held) == 403


async def test_answer_that_was_not_asked_for_signs_nobody_in():
    async with served(["ada@example.org"], [], users=("ada@example.org",)) as client:
        forged = await client.get(f"/login?code={CODE}&state=forged", follow_redirects=False)
        assert forged.status_code == 401
        assert not any(name == "user" for name in client.cookies)
        asked = await client.get("/login?next=https://evil.example/", follow_redirects=False)
        assert "evil.example" not in urlsplit(asked.headers.get("location", "")).netloc
