"""The dashboard's port: whom it listens to, what it answers with, and that who has no session sees nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import time
from contextlib import asynccontextmanager

import httpx
import pytest
from bokeh.document import Document
from bokeh.util.token import generate_jwt_token, generate_session_id, get_token_payload
from console_stand_in import console
from panel.io.state import set_curdoc
from test_access import HASH, SESAME
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tracewave_panel.access import Access, AccessSettings, Rate
from tracewave_panel.app.admission import Door, refusal
from tracewave_panel.app.gate import GateLimits
from tracewave_panel.app.pages import PAGES
from tracewave_panel.app.server import start, stop

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:asyncio")
PATHS = ["/" if page.name == "live" else f"/{page.name}" for page in PAGES]


@asynccontextmanager
async def served(settings: AccessSettings | None = None, **options):
    """A server, and a client that follows nothing."""
    access = Access(settings or AccessSettings())
    server = start(console(), address="127.0.0.1", port=0, access=access, **options)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
            client.port = server.port
            client.server = server
            yield client
    finally:
        stop(server)
        await asyncio.sleep(0.05)


def locked(**settings) -> AccessSettings:
    return AccessSettings(password_hash=HASH, **settings)


async def sign_in(client, password: str = SESAME, **options):
    return await client.post(f"{options.pop('prefix', '')}/login", data={"password": password}, **options)


async def raw(port: int, request: bytes, patience: float = 5.0) -> bytes:
    """What comes back on a bare connection until it is closed or nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65536), patience):
            answer += piece
    except (TimeoutError, ConnectionResetError):
        pass
    writer.close()
    return answer


def token_in(text: str) -> str:
    return re.search(r'"token":"([^"]+)"', text)[1]


async def socket_status(client, token: str, path: str = "/ws", **headers: str) -> int:
    """101, or the status with which the websocket is refused."""
    address = f"ws://127.0.0.1:{client.port}{path}"
    try:
        opened = await websocket_connect(HTTPRequest(address, headers=headers), subprotocols=["bokeh", token])
    except HTTPClientError as error:
        return error.code
    acknowledged = await asyncio.wait_for(opened.read_message(), 10)
    opened.close()
    return 101 if acknowledged and json.loads(acknowledged)["msgtype"] == "ACK" else 0


# -- headers


@pytest.mark.parametrize("settings", [None, locked()], ids=["open", "locked"])
async def test_every_answer_has_the_headers_that_protect_it(settings):
    async with served(settings) as client:
        if settings:
            await sign_in(client)
        asset = "/components/tracewave_panel.app.theme/ConsoleTemplate/_resources/assets/assets/console.js"
        for path in (*PATHS, "/healthz", "/login", "/nowhere", asset, "/static/js/bokeh.min.js", "/favicon.ico"):
            answer = await client.get(path)
            headers = answer.headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["referrer-policy"] == "same-origin"
            assert headers["x-frame-options"] == "SAMEORIGIN"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert "camera=()" in headers["permissions-policy"]
            assert "frame-ancestors 'self'" in headers["content-security-policy"]
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "server" not in headers


async def test_policy_names_no_websocket_that_browsers_cannot_read():
    async with served() as client:
        for host, named in ((f"127.0.0.1:{client.port}", True), (f"[::1]:{client.port}", False)):
            policy = (await client.get("/", headers={"host": host})).headers["content-security-policy"]
            assert (f"ws://{host}" in policy) is named
            assert "connect-src 'self' blob:" in policy


@pytest.mark.parametrize("path", PATHS)
async def test_page_runs_only_scripts_that_it_came_with(path):
    async with served() as client:
        first, second = [await client.get(path) for _ in range(2)]
    policy = first.headers["content-security-policy"]
    scripts = re.search(r"script-src ([^;]+)", policy)[1]
    assert "unsafe" not in scripts
    assert "http" not in scripts
    nonce = re.search(r"'nonce-([\w-]{22})'", scripts)[1]
    inline = re.findall(r"<script(?![^>]*(?: src=|application/json))[^>]*>", first.text)
    assert inline
    assert all(f'nonce="{nonce}"' in each for each in inline)
    assert nonce not in second.headers["content-security-policy"]


async def test_notebook_may_frame_its_page_from_this_computer_and_other_sites_may_not():
    async with served(framed=True, origins=["hub.example.org"]) as client:
        headers = (await client.get("/")).headers
        ancestors = re.search(r"frame-ancestors ([^;]+)", headers["content-security-policy"])[1].split()
        assert "x-frame-options" not in headers
        assert {"'self'", "http://127.0.0.1:*", "http://localhost:*", "https://hub.example.org"} <= set(ancestors)
        assert "*" not in ancestors
        assert "https:" not in ancestors


# -- who is listened to

BIG = "x" * 20_000
REFUSED = [
    ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    ("GET / HTTP/1.1\r\nHost: 127.0.0.1.nip.io:5006\r\n\r\n", 421),
    ("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    ("GET /static/js/bokeh.min.js HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", (400, 421)),
    ("GET / HTTP/1.1\r\n\r\n", (400, 421)),
    ("GET / HTTP/1.0\r\n\r\n", 421),
    ("GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    (f"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n{'x' * 9000}", 413),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 413),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (f"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{'fffff'}\r\n{BIG * 5}", 400),
    (f"GET / HTTP/1.1\r\nHost: localhost\r\nX: {BIG * 2}\r\n\r\n", None),
    ("GET /autoload.js?bokeh-autoload-element=x HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    ("GET /health/autoload.js?bokeh-autoload-element=x HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    ("GET /%61utoload.js?bokeh-autoload-element=x HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    ("GET /components/antigravity/a/_css/b HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    ("GET /components/tracewave_panel.__main__/a/_css/b HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    ("GET /components/%61ntigravity/a/_css/b HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    ("GET /components/os/environ/_css/b HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    ("GET /static/../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", (403, 404)),
    ("GET /static/%2e%2e/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", (403, 404)),
    ("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    ("CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404, 405)),
    ("\x00\x01\x02\r\n\r\n", 400),
    ("GET /\r\nHost: localhost\r\n\r\n", 400),
]


@pytest.fixture
async def one_server():
    async with served() as client:
        yield client


@pytest.mark.parametrize(("request_text", "status"), REFUSED)
async def test_hostile_request_is_refused_and_the_server_goes_on(one_server, request_text, status):
    answer = (await raw(one_server.port, request_text.encode("latin-1"), patience=2.0)).decode("latin-1")
    told = int(answer.split(" ")[1]) if answer else None
    assert told in (status if isinstance(status, tuple) else (status,)), answer[:200]
    assert '"token"' not in answer
    assert "Traceback" not in answer
    assert (await one_server.get("/healthz")).status_code == 200


async def test_module_that_an_address_names_is_not_imported(one_server):
    import sys  # noqa: PLC0415

    sys.modules.pop("antigravity", None)
    await one_server.get("/components/antigravity/a/_css/b")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{port}", 101),
        ("http://localhost:{port}", 101),
        ("https://dash.example.org", 101),
        ("http://evil.example", 403),
        ("http://evil.example:{port}", 403),
        ("http://localhost:1", 403),
        ("http://localhost", 403),
        ("https://dash.example.org:8443", 403),
        ("null", 403),
        ("file://", 403),
        ("", 403),
    ],
)
async def test_websocket_is_opened_to_pages_of_ours_alone(origin, status):
    async with served(AccessSettings(origins=("dash.example.org",))) as client:
        token = token_in((await client.get("/")).text)
        assert await socket_status(client, token, Origin=origin.format(port=client.port)) == status


async def test_origin_in_two_headers_or_another_case_is_looked_at(one_server):
    token = token_in((await one_server.get("/")).text)
    head = (
        f"GET /ws HTTP/1.1\r\nHost: localhost:{one_server.port}\r\nUPGRADE: WebSocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Sec-WebSocket-Protocol: bokeh, {token}\r\n"
    )
    good = f"http://localhost:{one_server.port}"
    for lines, status in (
        (f"oRiGiN: {good}\r\n", b"101"),
        ("oRiGiN: http://evil.example\r\n", b"403"),
        (f"Origin: {good}\r\nOrigin: http://evil.example\r\n", b"403"),
    ):
        answer = await raw(one_server.port, f"{head}{lines}\r\n".encode(), patience=1.0)
        assert answer.split(b" ")[1] == status, lines


async def test_token_that_the_server_did_not_make_opens_no_session(one_server):
    forged = generate_jwt_token(generate_session_id(), extra_payload={"headers": {}, "cookies": {}, "arguments": {}})
    assert await socket_status_or_closed(one_server, forged) != 101


async def socket_status_or_closed(client, token: str) -> int:
    opened = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{client.port}/ws"), subprotocols=["bokeh", token])
    told = await asyncio.wait_for(opened.read_message(), 10)
    opened.close()
    return 101 if told else 0


async def test_message_that_is_too_long_closes_its_websocket_and_no_other():
    async with served(limits=GateLimits(message=10_000)) as client:
        token = token_in((await client.get("/")).text)
        address = f"ws://127.0.0.1:{client.port}/ws"
        loud = await websocket_connect(HTTPRequest(address), subprotocols=["bokeh", token])
        quiet = await websocket_connect(HTTPRequest(address), subprotocols=["bokeh", token])
        for each in (loud, quiet):
            await asyncio.wait_for(each.read_message(), 10)
        await loud.write_message("x" * 20_000)
        while await asyncio.wait_for(loud.read_message(), 10) is not None:
            pass
        await quiet.write_message("{}")
        assert await asyncio.wait_for(quiet.read_message(), 10) is not None
        quiet.close()
        loud.close()


async def test_body_in_pieces_is_held_to_the_same_length():
    async with served(locked()) as client:
        head = f"POST /login HTTP/1.1\r\nHost: localhost:{client.port}\r\nTransfer-Encoding: chunked\r\n"
        form = "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        piece = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        for pieces, status in ((1, b"401"), (3, b"413")):
            answer = await raw(client.port, (head + form).encode() + piece * pieces + b"0\r\n\r\n", 1.0)
            assert answer.split(b" ", 2)[1] == status
        assert (await client.get("/healthz")).status_code == 200


async def test_half_a_request_is_not_waited_for_long():
    async with served(limits=GateLimits(idle=0.5, body_seconds=0.5)) as client:
        head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\npass"
        for half in ("", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", head):
            begun = time.monotonic()
            await raw(client.port, half.encode(), patience=10.0)
            assert 0.3 < time.monotonic() - begun < 5.0, half


async def test_drops_of_a_head_do_not_keep_a_connection():
    async with served(limits=GateLimits(idle=0.5)) as client:
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        drops = 0
        while drops < 60 and not writer.is_closing():
            writer.write(b"X-Drop: 1\r\n")
            drops += 1
            await asyncio.sleep(0.1)
        assert drops < 40
        writer.close()


async def test_one_connection_too_many_is_told_to_come_again():
    async with served(limits=GateLimits(connections=5)) as client:
        held = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(5)]
        await asyncio.sleep(0.2)
        answer = await raw(client.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", patience=2.0)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 60" in answer
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.8)
        assert (await client.get("/healthz")).status_code == 200


async def test_reader_that_reads_nothing_is_let_go():
    async with served(limits=GateLimits(stalled=0.6)) as client:
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", client.port))
            ask = b"GET /static/js/bokeh.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
            reader.sendall(ask * 12)
            gate = client.server._http.request_callback
            await asyncio.sleep(0.3)
            assert gate.connections == 1
            end = time.monotonic() + 10
            while gate.connections and time.monotonic() < end:  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.1)
            assert gate.connections == 0
        assert (await client.get("/healthz")).status_code == 200


# -- signing in


@pytest.mark.parametrize("path", [*PATHS, "/metadata", "/health/metadata", "/?bokeh-session-id=x", "/nowhere/../"])
async def test_without_a_session_every_page_leads_to_the_sign_in(path):
    async with served(locked()) as client:
        answer = await client.get(path)
        assert answer.status_code == 302
        assert answer.headers["location"].removeprefix(".").startswith("/login?next=")
        assert '"token"' not in answer.text


async def test_password_opens_every_page_and_its_websocket():
    async with served(locked()) as client:
        asked = await client.get("/login?next=%2Fhealth")
        assert 'value="/health"' in asked.text
        answer = await sign_in(client)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Secure" not in cookie
        assert "Path=/" in cookie
        for path in PATHS:
            text = (await client.get(path)).text
            held = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
            page = path.rstrip("/")
            assert await socket_status(client, token_in(text), f"{page}/ws", Cookie=held) == 101
            assert await socket_status(client, token_in(text), f"{page}/ws") == 403, "the token alone is worth nothing"
            assert await socket_status(client, token_in(text), f"{page}/ws", Cookie="tracewave_0=x") == 403


async def test_wrong_password_is_told_and_gives_no_cookie():
    async with served(locked()) as client:
        for wrong in ("", "wrong wrong", SESAME + " ", "<script>alert(1)</script>"):
            answer = await sign_in(client, wrong)
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers
            assert "That is not the password." in answer.text
            assert "alert(1)" not in answer.text


async def test_guesses_of_an_address_are_limited_and_another_is_not_kept_out():
    async with served(locked(forwarded=("127.0.0.1",))) as client:
        codes = [
            (await sign_in(client, "wrong wrong", headers={"X-Forwarded-For": "198.51.100.1"})).status_code
            for _ in range(6)
        ]
        assert codes == [401] * 5 + [429]
        held = await sign_in(client, headers={"X-Forwarded-For": "6.6.6.6, 198.51.100.1"})
        assert held.status_code == 429
        assert int(held.headers["retry-after"]) > 5
        assert (await sign_in(client, headers={"X-Forwarded-For": "198.51.100.2"})).status_code == 303


async def test_guesses_from_one_network_of_ipv6_are_those_of_one_address():
    async with served(locked(forwarded=("127.0.0.1",))) as client:
        codes = [
            (await sign_in(client, "wrong wrong", headers={"X-Forwarded-For": f"2001:db8::{part}"})).status_code
            for part in range(6)
        ]
        assert codes == [401] * 5 + [429]
        assert (await sign_in(client, headers={"X-Forwarded-For": "2001:db8:0:1::1"})).status_code == 303


async def test_form_of_another_site_signs_nobody_in_or_out():
    async with served(locked()) as client:
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}):
            assert (await sign_in(client, headers=headers)).status_code == 403
        await sign_in(client)
        assert (await client.post("/logout", headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await client.get("/logout")).status_code == 200
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/health", "/health"),
        ("/?page=1", "/?page=1"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("\\\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/health\r\nSet-Cookie: a=b", "/"),
        ("/logout", "/"),
        ("health", "/"),
        ("", "/"),
    ],
)
async def test_sign_in_leads_to_pages_of_ours_alone(wanted, reached):
    async with served(locked()) as client:
        answer = await client.post("/login", data={"password": SESAME, "next": wanted})
        assert answer.headers["location"] == reached
        assert "a=b" not in str(answer.headers)


async def test_sign_out_ends_the_session_its_copies_and_its_websockets():
    async with served(locked()) as client:
        await sign_in(client)
        held = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        token = token_in((await client.get("/")).text)
        opened = await websocket_connect(
            HTTPRequest(f"ws://127.0.0.1:{client.port}/ws", headers={"Cookie": held}), subprotocols=["bokeh", token]
        )
        assert await asyncio.wait_for(opened.read_message(), 10)
        left = await client.post("/logout")
        assert left.headers["location"] == "/login"
        while await asyncio.wait_for(opened.read_message(), 10) is not None:
            pass
        assert opened.close_code == 1008
        opened.close()
        assert (await client.get("/")).status_code == 302
        client.cookies.clear()
        assert (await client.get("/", headers={"Cookie": held})).status_code == 302
        assert await socket_status(client, token, Cookie=held) == 403


async def test_session_runs_out():
    async with served(locked(signed_in=0.01)) as client:
        answer = await sign_in(client)
        assert "expires=" in answer.headers["set-cookie"].lower()
        name, value = next(iter(client.cookies.items()))
        stamp = value.split("|")[2].split(":")[1]
        older = value.replace(stamp, str(int(stamp) - 60))
        assert (await client.get("/", headers={"Cookie": f"{name}={older}"})).status_code == 302, "a forged date"
        client.server._tornado.auth_provider.seconds = 0
        assert (await client.get("/")).status_code == 302


async def test_cookie_of_another_server_is_worth_nothing():
    async with served(locked()) as first, served(locked()) as second:
        await sign_in(first)
        name, value = next(iter(first.cookies.items()))
        assert first.server._tornado.auth_provider.cookie != second.server._tornado.auth_provider.cookie
        stolen = {"Cookie": f"{second.server._tornado.auth_provider.cookie}={value}; {name}={value}"}
        assert (await second.get("/", headers=stolen)).status_code == 302


async def test_cookie_is_secure_where_a_believed_proxy_says_https():
    async with served(locked(forwarded=("127.0.0.1",))) as client:
        answer = await sign_in(client, headers={"X-Forwarded-Proto": "https"})
        assert "Secure" in answer.headers["set-cookie"]
    async with served(locked()) as client:
        answer = await sign_in(client, headers={"X-Forwarded-Proto": "https"})
        assert "Secure" not in answer.headers["set-cookie"]


async def test_page_carries_no_cookie_and_no_header_of_its_visitor():
    async with served(locked()) as client:
        await sign_in(client)
        text = (await client.get("/", headers={"Authorization": "Bearer tw_secret", "X-Api-Key": "k3y"})).text
        payload = str(get_token_payload(token_in(text)))
        for secret in ("tw_secret", "k3y", *client.cookies.values()):
            assert secret not in text
            assert secret not in payload


async def test_assets_of_the_sign_in_page_need_no_session_and_are_ours():
    async with served(locked()) as client:
        text = (await client.get("/login")).text
        addresses = re.findall(r'(?:href|src)="([^"]+)"', text)
        assert addresses
        for address in addresses:
            assert "//" not in address
            assert (await client.get(f"/{address}")).status_code == 200
        assert (await client.get("/login")).headers["cache-control"] == "no-store"


async def test_nothing_secret_is_logged_while_people_come_and_go(caplog, capfd):
    for client_side in ("httpcore", "httpx"):
        caplog.set_level(logging.WARNING, logger=client_side)
    caplog.set_level(logging.DEBUG)
    async with served(locked()) as client:
        await sign_in(client, "wrong wrong guess")
        await sign_in(client)
        text = (await client.get("/?code=oauth-code-1")).text
        secrets = [*client.cookies.values(), SESAME, HASH, "wrong wrong guess", token_in(text), "oauth-code-1"]
        await socket_status(client, token_in(text), Cookie="tracewave_x=bad")
        await client.post("/login", content=b"password=%ff%fe\xff")
        await client.post("/login", content=b"x" * 9000)
        await client.post("/logout")
        secrets.append(client.server._tornado.settings["cookie_secret"])
    told = caplog.text + "".join(capfd.readouterr())
    assert "a wrong password was tried from 127.0.0.1" in told
    assert "signed in from 127.0.0.1" in told
    for secret in secrets:
        assert secret not in told


# -- under a prefix


async def test_pages_live_under_their_prefix_alone():
    async with served(locked(), prefix="/tracewave") as client:
        assert (await client.get("/")).status_code == 404
        bare = await client.get("/tracewave?next=%2Fx")
        assert (bare.status_code, bare.headers["location"]) == (308, "/tracewave/?next=%2Fx")
        answer = await client.get("/tracewave/health")
        assert answer.headers["location"] == "./login?next=%2Ftracewave%2Fhealth"
        answer = await client.post("/tracewave/login", data={"password": SESAME, "next": "/tracewave/health"})
        assert answer.headers["location"] == "/tracewave/health"
        assert "Path=/tracewave" in answer.headers["set-cookie"]
        text = (await client.get("/tracewave/")).text
        held = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        assert await socket_status(client, token_in(text), "/tracewave/ws", Cookie=held) == 101
        assert (await client.get("/tracewave/components/antigravity/a/_css/b")).status_code == 404
        assert (await client.post("/tracewave/logout")).headers["location"] == "/tracewave/login"


# -- how often


def test_door_makes_an_address_wait_and_never_this_computer():
    now = 0.0
    door = Door(1000, Rate(burst=3, each=2.0, clock=lambda: now))

    def come(address: str) -> bool:
        document = Document()

        class Context:
            request = type("Request", (), {"remote_ip": address})()

        document._session_context = Context
        kept.append(document)
        document._session_context = lambda: Context
        with set_curdoc(document):
            return door.admit()

    kept: list[Document] = []
    assert [come("198.51.100.1") for _ in range(4)] == [True, True, True, False]
    assert come("198.51.100.2")
    assert all(come("127.0.0.1") for _ in range(10))
    now = 2.0
    assert come("198.51.100.1")


async def test_address_that_opens_page_after_page_is_asked_to_wait():
    few = GateLimits(pages=2, pages_each=1000.0)
    async with served(AccessSettings(forwarded=("127.0.0.1",)), limits=few) as client:
        visitor = {"X-Forwarded-For": "198.51.100.7"}
        texts = [(await client.get("/explore", headers=visitor)).text for _ in range(3)]
        assert ['"token"' in text for text in texts] == [True, True, False]
        assert "Many pages were opened from your address" in texts[-1]
        for _ in range(3):
            assert '"token"' in (await client.get("/explore")).text


# -- plain panel serve


def test_plain_panel_serve_shows_nothing_where_the_settings_have_a_password():
    command = ["python", "-m", "panel", "serve", "main.py"]
    assert refusal({}, command) is None
    assert refusal({}, command, locked=True).title == "Behind a password"
    assert refusal({"TRACEWAVE_OPEN": "1"}, command, locked=True).title == "Behind a password"
