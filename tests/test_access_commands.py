"""The commands that set a password and give out tokens, and the server that refuses to stand open."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from running import ROOT, serving, tracewave

from tracewave_panel.access import Access, AccessSettings, Scope
from tracewave_panel.access.private_files import make_private_folder
from tracewave_panel.cli_access import password, token
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Origin
from tracewave_panel.stores.open_history import open_history

SESAME = "open sesame, please"


def run(command, *arguments: str, typed: str = ""):
    return CliRunner().invoke(command, arguments, input=typed)


def test_password_is_read_from_standard_input_and_its_hash_printed():
    told = run(password, typed=f"{SESAME}\n")
    assert told.exit_code == 0
    assert told.stdout.startswith("$argon2id$")
    assert SESAME not in told.output
    access = Access(AccessSettings(), environment={"TRACEWAVE_PASSWORD_HASH": told.stdout})
    assert access.password.check(SESAME, "a") is True


def test_password_goes_to_a_file_of_the_owner_alone(tmp_path):
    file = tmp_path / "data" / "password"
    told = run(password, "--file", str(file), typed=SESAME)
    assert told.stdout == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert Access(AccessSettings(), data=file.parent).password.check(SESAME, "a") is True
    again = run(password, "--file", str(file), typed="quite another one")
    assert again.exit_code == 0
    assert Access(AccessSettings(), data=file.parent).password.check("quite another one", "a") is True


def test_password_that_is_too_short_is_refused_and_not_repeated():
    told = run(password, typed="tiny7\n")
    assert isinstance(told.exception, ConfigError)
    assert "tiny7" not in str(told.exception)


@pytest.mark.skipif(os.name != "posix", reason="a terminal of its own needs a pty")
@pytest.mark.parametrize(("second", "code"), [(SESAME, 0), ("something else", 1)])
def test_at_a_terminal_it_is_asked_twice_and_not_shown(second, code):
    import pty  # noqa: PLC0415

    leader, follower = pty.openpty()
    program = "from tracewave_panel.cli_access import password; password()"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=follower,
        cwd=ROOT,
        start_new_session=True,
    )
    os.close(follower)
    shown = b""
    for prompt, typed in ((b"Password", SESAME), (b"Again", second)):
        while prompt not in shown:
            shown += os.read(leader, 1000)
        os.write(leader, typed.encode() + b"\n")
    out, _ = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == code
    assert out.startswith(b"$argon2id$") == (code == 0)
    assert SESAME.encode() not in shown


def test_token_is_made_listed_and_revoked(tmp_path):
    file = str(tmp_path / "tokens")
    made = run(token, "grafana", "--scope", "read", "--expires", "90d", "--file", file)
    assert made.exit_code == 0
    secret = made.stdout.strip()
    access = Access(AccessSettings(), data=tmp_path)
    assert access.grant(secret).scope is Scope.READ
    listed = run(token, "--list", "--file", file)
    assert listed.stdout.startswith("grafana  read  expires 2")
    assert secret not in listed.output + Path(file).read_text()
    assert run(token, "--revoke", "grafana", "--file", file).exit_code == 0
    assert Access(AccessSettings(), data=tmp_path).grant(secret) is None
    assert "no tokens" in run(token, "--list", "--file", file).output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say one of"),
        (["a", "--list"], "say one of"),
        (["a"], "--scope read"),
        (["--scope", "read"], "say one of"),
        (["../a", "--scope", "read"], "a token's name"),
        (["--revoke", "a"], "no token is called"),
    ],
)
def test_token_asked_for_wrongly_says_how(tmp_path, arguments, words):
    told = run(token, *arguments, "--file", str(tmp_path / "tokens"))
    assert words in str(told.exception)
    assert not (tmp_path / "tokens").exists()


@pytest.mark.parametrize("span", ["0d", "90", "-1d", "d", "1y"])
def test_length_of_time_is_checked(tmp_path, span):
    told = run(token, "a", "--scope", "read", "--expires", span, "--file", str(tmp_path / "tokens"))
    assert told.exit_code == 2
    assert "such as 90d" in told.output


# -- the server


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_server_refuses_an_open_address_before_anything_is_made(tmp_path, address):
    data = tmp_path / "data"
    told = tracewave("serve", "--address", address, "--port", "0", "--source", "synthetic", "--data", str(data))
    assert told.returncode == 2
    assert "refused to listen on" in told.stderr
    assert "tracewave password" in told.stderr
    assert "--insecure" in told.stderr
    assert "Traceback" not in told.stderr
    assert not data.exists()


@pytest.mark.parametrize("prefix", ["a b", "/x?y", "/..", "//evil.example/x y", "/<script>"])
def test_prefix_that_is_no_path_is_refused(tmp_path, prefix):
    told = tracewave("serve", "--prefix", prefix, "--port", "0", "--data", str(tmp_path / "data"))
    assert told.returncode == 2
    assert "such as /tracewave" in told.stderr


def test_server_with_a_password_asks_for_it_and_makes_its_folder_private(tmp_path):
    data = tmp_path / "data"
    run(password, "--file", str(tmp_path / "password"), typed=SESAME)
    arguments = (
        *("--source", "synthetic", "--data", str(data), "--address", "0.0.0.0", "--no-api"),
        *("--prefix", "tracewave/"),
        *("--origin", "dash.example.org", "--set", f"access.password_file={tmp_path / 'password'}"),
    )
    with serving(*arguments) as (program, address):
        port = address.rsplit(":", 1)[1].partition("/")[0]
        assert address.endswith("/tracewave")
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/tracewave/", headers={"Host": "dash.example.org"})
        with urllib.request.urlopen(asked) as answer:
            assert answer.url.endswith("/tracewave/login?next=%2Ftracewave%2F")
            assert "Sign in" in answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="421"):
            urllib.request.urlopen(urllib.request.Request(asked.full_url, headers={"Host": "evil.example"}))
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE((data / "cookie_secret").stat().st_mode) == 0o600
        program.end()
        assert SESAME not in program.output


def test_insecure_server_is_served_to_whoever_names_it_rightly(tmp_path):
    arguments = ("--source", "synthetic", "--data", str(tmp_path), "--address", "0.0.0.0", "--insecure")
    with serving(*arguments) as (_, address):
        port = address.rsplit(":", 1)[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/explore") as answer:
            assert b'"token"' in answer.read()


# -- other users of this computer

_STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def tried(what, *arguments):
    try:
        what(*arguments)
    except OSError as error:
        return type(error).__name__
    return "done"
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(5)
print(tried(connection.connect, sys.argv[1]), tried(open, sys.argv[2]), tried(os.listdir, sys.argv[3]))
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_this_computer_reaches_neither_the_socket_nor_the_files():
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        data, shared = Path(place) / "data", Path(place) / "shared"
        make_private_folder(data)
        shared.mkdir(mode=0o755)
        run(password, "--file", str(data / "password"), typed=SESAME)
        for folder, listed in ((data, "PermissionError"), (shared, "done")):
            history = open_history(folder, WIKIMEDIA, Origin.LIVE, fresh=False)
            paths = [str(folder / "query.sock"), str(data / "password"), str(folder)]
            command = [sys.executable, "-c", _STRANGER, *paths]
            told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            assert told.stdout.split() == ["PermissionError", "PermissionError", listed], told.stderr
            history.close()
