"""Who may come in: names of the server, tokens, the password, proxies, and that no secret is ever told."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tracewave_panel.access import Access, AccessSettings, Grant, OAuthSettings, Rate, Scope
from tracewave_panel.access.names import names_here, parse_name, parse_origin
from tracewave_panel.access.passwords import Password, hash_password
from tracewave_panel.access.private_files import make_private_folder, read_secret, write_private
from tracewave_panel.access.tokens import PREFIX, TokenRegister, digest_of, issue, read_tokens, revoke
from tracewave_panel.config import load_settings
from tracewave_panel.errors import ConfigError

SESAME = "open sesame, please"
HASH = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(SESAME)
"""Cheap to check; the real ones take 64 MiB."""


def served(*, address: str = "127.0.0.1", port: int = 5006, **settings) -> Access:
    access = Access(AccessSettings(**settings))
    access.serve(address, port)
    return access


# -- names

KNOWN = (
    *("127.0.0.1:5006", "localhost:5006", "localhost", "LOCALHOST:9999", "localhost.", "[::1]:5006", "127.0.0.9:80"),
    *("dash.example.org", "dash.example.org:443", "dash.example.org:80", "DASH.example.org", "inner:8443"),
)
UNKNOWN = (
    *("evil.example", "evil.example:5006", "127.0.0.1.nip.io", "localhost.evil.example", "10.0.0.4", "0.0.0.0", ""),
    *(
        "dash.example.org:8080",
        "inner",
        "inner:80",
        "sub.dash.example.org",
        "a@localhost",
        "localhost:5006,evil",
        "::1",
    ),
    *("localhost:99999", "localhost:-1", "localhost/", "localhost#", "local host", "[::1", "[evil]", "\x00", "é" * 300),
    *("localhost:５００６", "1" * 4000, "[fe80::1%25eth0]:5006"),
)


@pytest.mark.parametrize("host", KNOWN)
def test_host_by_which_the_server_is_known_is_let_in(host):
    assert served(origins=("dash.example.org", "inner:8443")).knows_host(host)


@pytest.mark.parametrize("host", UNKNOWN)
def test_host_of_a_stranger_is_not(host):
    assert not served(origins=("dash.example.org", "inner:8443")).knows_host(host)


@pytest.mark.parametrize(
    ("origin", "trusted"),
    [
        ("http://127.0.0.1:5006", True),
        ("http://localhost:5006", True),
        ("http://[::1]:5006", True),
        ("http://localhost:8000", True),  # the API's port
        ("http://localhost:8888", False),  # another program of this computer
        ("http://localhost", False),
        ("https://dash.example.org", True),
        ("http://dash.example.org", True),
        ("https://dash.example.org:444", False),
        ("https://dash.example.org.evil.example", False),
        ("https://evil.example", False),
        ("http://evil.example:5006", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("localhost:5006", False),
        ("javascript://localhost:5006", False),
        ("http://localhost:5006/path", False),
        ("http://user@localhost:5006", False),
        ("http://localhost:5006 http://evil.example", False),
    ],
)
def test_only_pages_of_these_servers_may_speak_to_them(origin, trusted):
    access = served(origins=("dash.example.org",))
    access.serve("127.0.0.1", 8000)
    assert access.trusts_origin(origin) is trusted


def test_before_a_server_listens_no_origin_is_trusted():
    assert not Access(AccessSettings()).trusts_origin("http://localhost:5006")


def test_server_that_listens_everywhere_is_known_by_its_own_addresses_and_by_no_name_of_a_stranger():
    access = served(address="0.0.0.0")
    assert "127.0.0.1" in names_here("0.0.0.0")
    assert access.knows_host("localhost:5006")
    assert not access.knows_host("evil.example:5006")
    assert not access.trusts_origin("http://203.0.113.9:5006")


def test_address_that_is_served_is_a_name_of_it():
    access = served(address="10.9.8.7", port=81)
    assert access.knows_host("10.9.8.7:81")
    assert access.trusts_origin("http://10.9.8.7:81")
    assert "10.9.8.7:81" in access.origins()
    assert "[::1]:81" in access.origins()


def test_origins_name_what_bokeh_must_let_in():
    told = served(origins=("dash.example.org", "inner:8443")).origins()
    assert {"127.0.0.1:5006", "localhost:5006", "dash.example.org:80", "dash.example.org:443", "inner:8443"} <= told


@pytest.mark.parametrize("name", ["http://x.org", "a b", "x:0", "*", "x.org/", ""])
def test_name_that_is_none_is_refused_in_words(name):
    with pytest.raises(ConfigError, match="no host or host:port"):
        load_settings(None, {}, [f'access.origins=["{name}"]'])
    assert parse_name(name) is None
    assert parse_origin(name) is None or "://" in name


# -- proxies


@pytest.mark.parametrize(
    ("peer", "chain", "protocol", "visitor"),
    [
        ("203.0.113.9", "198.51.100.1", "https", ("203.0.113.9", False)),  # no proxy of ours: not believed
        ("127.0.0.1", "198.51.100.1", "https", ("198.51.100.1", True)),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1", "https", ("198.51.100.1", True)),  # what the visitor claims is not
        ("127.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.7", "http", ("198.51.100.1", False)),
        ("127.0.0.1", "", "", ("127.0.0.1", False)),
        ("127.0.0.1", "nonsense", "gopher", ("127.0.0.1", False)),
        ("127.0.0.1", "6.6.6.6, nonsense", "https", ("127.0.0.1", True)),
        ("::ffff:127.0.0.1", "198.51.100.1", "https, http", ("198.51.100.1", False)),
        ("unknown", "198.51.100.1", "https", ("unknown", False)),
    ],
)
def test_word_on_a_visitor_is_believed_from_our_proxies_alone(peer, chain, protocol, visitor):
    access = served(forwarded=("127.0.0.1", "10.0.0.0/8"))
    assert access.visitor(peer, forwarded_for=chain, protocol=protocol) == visitor


# -- tokens


def test_token_is_told_once_and_kept_as_its_hash(tmp_path):
    path = tmp_path / "kept" / "tokens"
    token = issue(path, "grafana", Scope.READ, expires=None)
    assert token.startswith(PREFIX)
    assert len(token) == len(PREFIX) + 43  # 256 bits
    assert token not in path.read_text()
    assert digest_of(token) in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["tokens"]
    with pytest.raises(ConfigError, match="there is a token called grafana"):
        issue(path, "grafana", Scope.ADMIN)


def test_each_token_has_its_scope_and_anything_else_has_none(tmp_path):
    tokens = {scope: issue(tmp_path / "tokens", scope.value, scope) for scope in Scope}
    access = Access(AccessSettings(), data=tmp_path)
    assert access.asks
    for scope, token in tokens.items():
        assert access.grant(token) == Grant(scope.value, scope)
    right = tokens[Scope.READ]
    for wrong in (None, "", right[:-1], right + "x", right.upper(), digest_of(right), "tw_", "\ud800", " " + right):
        assert access.grant(wrong) is None


def test_without_tokens_and_password_this_computer_may_do_everything(tmp_path):
    access = Access(AccessSettings(), data=tmp_path)
    assert not access.asks
    assert access.grant(None) == Grant("this computer", Scope.ADMIN)
    assert list(tmp_path.iterdir()) == []


def test_password_without_tokens_closes_the_api_too():
    access = Access(AccessSettings(password_hash=HASH))
    assert access.asks
    assert access.grant(None) is None
    assert access.grant("tw_anything") is None


def test_token_expires(tmp_path):
    now = 1_000_000.0
    token = issue(tmp_path / "tokens", "ci", Scope.LABEL, expires=now + 60)
    access = Access(AccessSettings(), data=tmp_path, clock=lambda: now)
    assert access.grant(token)
    now += 61
    assert access.grant(token) is None


def test_running_server_takes_up_what_changes_and_looks_once_a_second(tmp_path):
    now = 0.0
    path = tmp_path / "tokens"
    register = TokenRegister(path, pace=lambda: now)
    assert not register.asks
    token = issue(path, "ci", Scope.READ)
    assert register.grant(token) is None
    now = 1.5
    assert register.grant(token) == Grant("ci", Scope.READ)
    assert register.asks
    revoke(path, "ci")
    now = 3.0
    assert register.grant(token) is None
    path.unlink()
    now = 4.5
    assert register.asks, "who removes the file opens nothing"
    assert register.grant(token) is None


def test_damage_to_a_file_in_use_is_logged_and_opens_nothing(tmp_path, caplog):
    now, path = 0.0, tmp_path / "tokens"
    token = issue(path, "ci", Scope.READ)
    register = TokenRegister(path, pace=lambda: now)
    path.write_text("sEcReT line that is none\n")
    now = 2.0
    assert register.grant(token) == Grant("ci", Scope.READ)
    assert "line 1 is no token" in caplog.text
    assert "sEcReT" not in caplog.text
    path.write_text("")
    path.chmod(0o644)
    now = 4.0
    assert register.grant(token)
    assert "chmod 600" in caplog.text


def test_many_commands_at_once_lose_no_token(tmp_path):
    path = tmp_path / "tokens"
    threads = [threading.Thread(target=issue, args=(path, f"t{n}", Scope.READ)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {each.name for each in read_tokens(path.read_text(), "")} == {f"t{n}" for n in range(12)}


DIGEST = "0" * 64


@pytest.mark.parametrize(
    "line",
    [
        "name",
        "name read",
        f"name write {DIGEST}",
        "name read tw_thetokenitself",
        f"name read {DIGEST} tomorrow",
        f"na/me read {DIGEST}",
        f"name read {DIGEST} 2027-01-01 more",
    ],
)
def test_line_that_is_no_token_is_refused_without_being_told(line):
    with pytest.raises(ConfigError, match="line 2 is no token") as raised:
        read_tokens(f"# none\n{line}\n", "tokens")
    assert "thetokenitself" not in str(raised.value)
    assert DIGEST not in str(raised.value)


def test_environment_may_hold_tokens():
    lines = f"a read {digest_of('tw_1')}; b admin {digest_of('tw_2')} 2999-01-01"
    access = Access(AccessSettings(), environment={"TRACEWAVE_TOKENS": lines})
    assert access.grant("tw_1") == Grant("a", Scope.READ)
    assert access.grant("tw_2") == Grant("b", Scope.ADMIN)


def test_tokens_file_that_is_named_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match="tracewave token NAME"):
        Access(AccessSettings(tokens_file=str(tmp_path / "none")))


# -- the password


def test_right_password_is_told_from_wrong_ones():
    password = Password(HASH)
    assert password.check(SESAME, "10.0.0.1") is True
    for wrong in ("", SESAME[:-1], SESAME.upper(), SESAME + "x", SESAME + "x" * 5000, HASH):
        assert password.check(wrong, f"10.0.1.{len(wrong) % 250}") is False


def test_guesses_are_few_for_an_address_and_not_many_for_all():
    password = Password(HASH)
    tried = [password.check("wrong wrong", "10.0.0.1") for _ in range(6)]
    assert tried[:5] == [False] * 5
    assert 10 < tried[5] <= 12
    assert password.check(SESAME, "10.0.0.1") is not True, "nor is the right one looked at"
    assert password.check(SESAME, "10.0.0.2") is True
    tried = [password.check("wrong wrong", f"10.0.1.{n}") for n in range(40)]
    assert 0 < tried[-1] < 5, "a crowd of addresses has a limit too"


def test_right_password_gives_an_address_its_tries_back():
    password = Password(HASH)
    for _ in range(3):
        assert [password.check("wrong wrong", "a") for _ in range(4)] == [False] * 4
        assert password.check(SESAME, "a") is True


def test_try_without_a_password_takes_as_long_as_one_with():
    missing, real = Password(""), Password(PasswordHasher().hash(SESAME))
    assert missing.check(SESAME, "a") is False
    spent = []
    for password in (missing, real):
        begun = time.process_time()
        password.check("wrong wrong", "b")
        spent.append(time.process_time() - begun)
    assert spent[0] > spent[1] / 4


@pytest.mark.parametrize("text", ["tiny7", "", "x" * 1025])
def test_password_that_is_too_short_or_long_is_refused(text):
    with pytest.raises(ConfigError, match=r"too (short|long)") as raised:
        hash_password(text)
    assert not text or text not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "hunter2hunter2",
        HASH.replace("$argon2id$", "$argon2i$"),
        "$2b$12$abcdefghijklmnopqrstuv",
        HASH.replace("m=1024", "m=8388608"),
    ],
    ids=["clear text", "argon2i", "bcrypt", "too much memory"],
)
@pytest.mark.parametrize("place", ["environment", "file", "setting"])
def test_hash_that_is_none_is_refused_and_never_told(tmp_path, text, place):
    write_private(tmp_path / "hash", text)
    given = {
        "environment": ({}, {"TRACEWAVE_PASSWORD_HASH": text}),
        "file": ({}, {"TRACEWAVE_PASSWORD_FILE": str(tmp_path / "hash")}),
        "setting": ({"password_hash": text}, {}),
    }
    settings, environment = given[place]
    with pytest.raises(ConfigError, match="tracewave password") as raised:
        Access(AccessSettings(**settings), environment=environment)
    assert text not in str(raised.value)


def test_password_is_found_where_it_is_told_and_the_environment_goes_first(tmp_path):
    write_private(tmp_path / "password", HASH)
    assert Access(AccessSettings(), data=tmp_path).asks_pages
    assert Access(AccessSettings(password_file=str(tmp_path / "password"))).asks_pages
    other = hash_password("quite another one")
    access = Access(AccessSettings(), environment={"TRACEWAVE_PASSWORD_HASH": other}, data=tmp_path)
    assert access.password.check("quite another one", "a") is True
    with pytest.raises(ConfigError, match="cannot be read"):
        Access(AccessSettings(), environment={"TRACEWAVE_PASSWORD_FILE": str(tmp_path / "none")})


def test_rate_remembers_no_more_than_it_may():
    rate = Rate(burst=1, each=100.0, most=3, clock=lambda: 0.0)
    for name in "abcd":
        assert rate.wait(name) == 0
    assert rate.wait("d") == 100
    assert rate.wait("a") == 0, "who asked longest ago is forgotten"


# -- files


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666])
@pytest.mark.parametrize("name", ["password", "tokens", "cookie_secret"])
def test_file_that_others_can_read_is_refused_with_the_remedy(tmp_path, name, mode):
    texts = {"password": HASH, "tokens": f"a read {DIGEST}\n", "cookie_secret": "s" * 43}
    for each, text in texts.items():
        write_private(tmp_path / each, text)
    (tmp_path / name).chmod(mode)
    with pytest.raises(ConfigError, match=rf"others can read .*chmod 600 .*{name}"):
        Access(AccessSettings(), data=tmp_path).cookie_secret.strip()


def test_cookie_secret_is_made_once_for_the_owner_alone(tmp_path):
    settings = AccessSettings(password_hash=HASH)
    first = Access(settings, data=tmp_path).cookie_secret
    assert stat.S_IMODE((tmp_path / "cookie_secret").stat().st_mode) == 0o600
    assert Access(settings, data=tmp_path).cookie_secret == first
    assert Access(settings).cookie_secret != first
    other = AccessSettings(password_hash=hash_password("quite another one"))
    assert Access(other, data=tmp_path).cookie_secret != first, "another password signs everybody out"
    (tmp_path / "cookie_secret").write_text("short")
    with pytest.raises(ConfigError, match="too short"):
        read_secret(tmp_path / "cookie_secret", "the cookie secret")


@pytest.mark.parametrize("making", ["folder", "pipe"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, making):
    path = tmp_path / "password"
    path.mkdir() if making == "folder" else os.mkfifo(path, 0o600)
    with pytest.raises(ConfigError, match=r"no plain file|cannot be read"):
        Access(AccessSettings(), data=tmp_path)


def test_folder_that_is_made_is_the_owners_and_one_that_is_there_stays(tmp_path):
    make_private_folder(tmp_path / "new" / "data")
    assert stat.S_IMODE((tmp_path / "new" / "data").stat().st_mode) == 0o700
    (tmp_path / "old").mkdir(mode=0o755)
    make_private_folder(tmp_path / "old")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o755
    Path(tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        make_private_folder(tmp_path / "file" / "data")


# -- refusing to stand open


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "10.0.0.4", "203.0.113.9", "no-such-host.invalid"])
def test_open_address_is_refused_with_the_reason_and_the_remedies(address):
    access = Access(AccessSettings())
    with pytest.raises(ConfigError, match=r"refused to listen on .*password.*token.*127\.0\.0\.1.*--insecure"):
        access.refuse_exposure(address, api=True, insecure=False)
    access.refuse_exposure(address, api=True, insecure=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost", "127.0.0.5"])
def test_loopback_needs_no_password(address):
    Access(AccessSettings()).refuse_exposure(address, api=True, insecure=False)


def test_pages_and_api_must_each_ask(tmp_path):
    locked = Access(AccessSettings(password_hash=HASH))
    locked.refuse_exposure("0.0.0.0", api=False, insecure=False)
    with pytest.raises(ConfigError, match="the API asks for no token") as raised:
        locked.refuse_exposure("0.0.0.0", api=True, insecure=False)
    assert "pages" not in str(raised.value)
    with pytest.raises(ConfigError) as raised:
        Access(AccessSettings(), data=tmp_path).refuse_exposure("0.0.0.0", api=True, insecure=False)
    for remedy in (f"--file {tmp_path / 'password'}", f"--file {tmp_path / 'tokens'}"):
        assert remedy in str(raised.value), "what is told is where it will be looked for"
    issue(tmp_path / "tokens", "a", Scope.READ)
    with pytest.raises(ConfigError, match="pages ask for no password") as raised:
        Access(AccessSettings(), data=tmp_path).refuse_exposure("0.0.0.0", api=True, insecure=False)
    assert "the API asks" not in str(raised.value)
    Access(AccessSettings(password_hash=HASH), data=tmp_path).refuse_exposure("0.0.0.0", api=True, insecure=False)


# -- OAuth's settings


def test_oauth_without_a_list_of_users_stands_open_and_is_refused():
    with pytest.raises(ConfigError, match="users must say who may come in"):
        load_settings(None, {}, ["access.oauth.provider=github", "access.oauth.key=abc"])
    with pytest.raises(ConfigError, match="there are auth0"):
        load_settings(None, {}, ["access.oauth.provider=myspace"])
    oauth = OAuthSettings(provider="github", key="abc", users=("ada",))
    with pytest.raises(ConfigError, match="client secret is missing"):
        Access(AccessSettings(oauth=oauth))
    environment = {"TRACEWAVE_OAUTH_SECRET": "s3cr3t"}
    assert Access(AccessSettings(oauth=oauth), environment=environment).oauth_secret == "s3cr3t"
    with pytest.raises(ConfigError, match="both a password and"):
        Access(AccessSettings(oauth=oauth, password_hash=HASH), environment=environment)


def test_settings_take_lists_and_tables_from_text():
    settings = load_settings(
        None,
        {"TRACEWAVE_ACCESS__ORIGINS": "dash.example.org,inner:8443"},
        ["access.oauth.extra.TOKEN_URL=http://x/token", "access.forwarded=127.0.0.1"],
    ).access
    assert settings.origins == ("dash.example.org", "inner:8443")
    assert settings.oauth.extra == {"TOKEN_URL": "http://x/token"}
    with pytest.raises(ConfigError, match=r"did you mean access\.origins"):
        load_settings(None, {}, ["access.orgins=x"])


# -- nothing is told


def test_no_repr_and_no_log_tells_a_secret(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    token = issue(tmp_path / "tokens", "a", Scope.ADMIN)
    settings = AccessSettings(password_hash=HASH)
    access = Access(settings, data=tmp_path)
    access.grant(token)
    access.grant("tw_wrongwrongwrong")
    access.password.check(SESAME, "a")
    told = f"{settings!r} {access!r} {access.password!r} {caplog.text} {load_settings(None, {}, [])!r}"
    for secret in (SESAME, HASH, token, digest_of(token), access.cookie_secret, "tw_wrongwrongwrong"):
        assert secret not in told
    assert "password_hash=..." in repr(settings)
