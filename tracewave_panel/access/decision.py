"""Decides who may come in, for the pages and the API alike."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tracewave_panel.errors import ConfigError

from .names import Name, addresses_of, is_loopback, names_here, parse_name, parse_origin, parse_proxy
from .passwords import Password, check_hash
from .private_files import read_private, read_secret
from .scopes import Grant, Scope
from .settings import AccessSettings, OAuthSettings
from .tokens import TokenRegister, read_tokens

__all__ = ["Access", "Visitor"]

EVERYBODY = Grant("this computer", Scope.ADMIN)
WEB = frozenset({None, 80, 443})
_NONE: Mapping[str, str] = {}


class Visitor(NamedTuple):
    """From where a request comes, and whether its browser speaks https."""

    address: str
    secure: bool


class Access:
    """Decides; keeps no secret in clear, compares in constant time.

    Parameters
    ----------
    settings
        Section ``[access]``.
    environment
        Where ``TRACEWAVE_PASSWORD_HASH``, ``TRACEWAVE_PASSWORD_FILE``, ``TRACEWAVE_TOKENS`` and
        ``TRACEWAVE_OAUTH_SECRET`` are looked for.
    data
        Data folder, for files that no setting names; None: none are looked for there, and cookies are signed anew
        with every start.
    clock
        Seconds UTC, for tokens that expire.

    Raises
    ------
    ConfigError
        When a hash, a token or a file cannot be used, or others can read a file.

    Examples
    --------
    >>> access = Access(AccessSettings(origins=("dash.example.org",)))
    >>> access.serve("127.0.0.1", 5006)
    >>> [access.knows_host(host) for host in ("localhost:9000", "dash.example.org", "evil.example")]
    [True, True, False]
    >>> [access.trusts_origin(page) for page in ("http://localhost:5006", "http://localhost:9000", "null")]
    [True, False, False]
    """

    def __init__(
        self,
        settings: AccessSettings,
        *,
        environment: Mapping[str, str] = _NONE,
        data: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        known = _password_hash(settings, environment, data)
        self.password = Password(known) if known else None
        if known and settings.oauth.provider:
            raise ConfigError("both a password and access.oauth are set; the pages can ask for one of them")
        self._oauth_secret = _oauth_secret(settings.oauth, environment)
        fixed = read_tokens(environment.get("TRACEWAVE_TOKENS", ""), "TRACEWAVE_TOKENS")
        self._tokens = TokenRegister(_tokens_path(settings, data), fixed, clock=clock)
        self._known, self._data = known, data
        self._hosts: set[str] = set(names_here("127.0.0.1"))
        self._ports: set[int] = set()
        self._names = {name for each in settings.origins if (name := parse_name(each))}
        self._proxies = [network for each in settings.forwarded if (network := parse_proxy(each))]

    def __repr__(self) -> str:
        return f"Access(pages={'ask' if self.asks_pages else 'open'}, api={'asks' if self.asks else 'open'})"

    @property
    def settings(self) -> AccessSettings:
        """As they were given."""
        return self._settings

    @property
    def asks_pages(self) -> bool:
        """Whether the pages want their visitors to sign in."""
        return self.password is not None or bool(self._settings.oauth.provider)

    @property
    def asks(self) -> bool:
        """Whether the API wants a token. Where it does not, everybody has every scope."""
        return self.asks_pages or self._tokens.asks

    @cached_property
    def cookie_secret(self) -> str:
        """What signs the pages' cookies; another password makes another one, so that all sign in again."""
        named = self._settings.cookie_secret_file
        path = Path(named) if named else self._data and self._data / "cookie_secret"
        secret = read_secret(path, "the cookie secret") if path else secrets.token_urlsafe(32)
        return hmac.new(secret.encode(), self._known.encode(), hashlib.sha256).hexdigest()

    @property
    def oauth_secret(self) -> str:
        """What the provider wants to hear from us."""
        return self._oauth_secret

    def grant(self, token: str | None) -> Grant | None:
        """What a presented token allows; None: nothing."""
        if not self.asks:
            return EVERYBODY
        return self._tokens.grant(token) if token else None

    def serve(self, address: str, port: int, names: Iterable[str] = ()) -> None:
        """Learn where a server listens, and further names for it.

        Parameters
        ----------
        address, port
            As they were bound, port 0 never.
        names
            As in the setting ``origins``.

        Raises
        ------
        ConfigError
            When a name is none.
        """
        self._hosts |= names_here(address)
        self._ports.add(port)
        for each in names:
            name = parse_name(each)
            if name is None:
                raise ConfigError(f"{each!r} is no host or host:port under which a page could be reached")
            self._names.add(name)

    def knows_host(self, host: str) -> bool:
        """Whether a request's Host header names this server.

        A page of a stranger's that has its own name lead to this computer is known by that: browsers send the name.
        """
        name = parse_name(host)
        if name is None:
            return False
        return name.host in self._hosts or is_loopback(host) or self._named(name)

    def trusts_origin(self, origin: str) -> bool:
        """Whether a page of this origin may speak to this server."""
        name = parse_origin(origin)
        if name is None:
            return False
        return (name.host in self._hosts and name.port in self._ports) or self._named(name)

    def origins(self) -> frozenset[str]:
        """All ``host:port`` of pages that may speak to this server."""
        served = {_written(host, port) for host in self._hosts for port in self._ports}
        told = {_written(name.host, port) for name in self._names for port in ([name.port] if name.port else [80, 443])}
        return frozenset(served | told)

    def _named(self, name: Name) -> bool:
        return name in self._names or (name.port in WEB and Name(name.host, None) in self._names)

    def believes(self, address: str) -> bool:
        """Whether it is a proxy's whose word on its visitors is believed."""
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._proxies)

    def visitor(self, peer: str, *, forwarded_for: str = "", protocol: str = "", secure: bool = False) -> Visitor:
        """Who is behind a connection.

        Parameters
        ----------
        peer
            Address at the other end.
        forwarded_for, protocol
            The headers ``X-Forwarded-For`` and ``X-Forwarded-Proto``, which only proxies of the setting
            ``forwarded`` are believed; of a chain the last address that is none of theirs is taken.
        secure
            Whether the connection itself is https.
        """
        if not self.believes(peer):
            return Visitor(peer, secure)
        address = peer
        for each in reversed(forwarded_for.split(",")):
            told = each.strip()
            try:
                ipaddress.ip_address(told)
            except ValueError:
                break
            address = told
            if not self.believes(told):
                break
        told = protocol.rpartition(",")[2].strip().lower()
        return Visitor(address, told == "https" if told else secure)

    def refuse_exposure(self, address: str, *, api: bool, insecure: bool) -> None:
        """See that strangers who can reach the address are asked who they are.

        Parameters
        ----------
        address
            Where the servers will listen: an address, or a name.
        api
            Whether the API is served too.
        insecure
            Whether whoever starts it answers for that.

        Raises
        ------
        ConfigError
            When they are not asked.
        """
        stands_for = addresses_of(address) if address else ()
        if insecure or (stands_for and all(map(is_loopback, stands_for))):
            return
        missing, data = [], self._data or Path("data")
        if not self.asks_pages:
            missing.append(f"the pages ask for no password (`tracewave password --file {data / 'password'}` sets one)")
        if api and not self._tokens.asks:
            path = self._settings.tokens_file or data / "tokens"
            making = f"tracewave token NAME --scope read --file {path}"
            missing.append(f"the API asks for no token (`{making}` makes one; or --no-api)")
        if missing:
            raise ConfigError(
                f"refused to listen on {address or 'every address'}, where others can reach it: {'; '.join(missing)}. "
                "Or keep to --address 127.0.0.1 behind a proxy that asks; or, where everybody who reaches it may "
                "read and change everything, say --insecure"
            )


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tokens_path(settings: AccessSettings, data: Path | None) -> Path | None:
    if settings.tokens_file:
        path = Path(settings.tokens_file)
        if not path.exists():
            raise ConfigError(f"access.tokens_file: there is no {path}; `tracewave token NAME --file {path}` makes it")
        return path
    return data and data / "tokens"


def _password_hash(settings: AccessSettings, environment: Mapping[str, str], data: Path | None) -> str:
    if told := environment.get("TRACEWAVE_PASSWORD_HASH"):
        return check_hash(told, "TRACEWAVE_PASSWORD_HASH")
    if told := environment.get("TRACEWAVE_PASSWORD_FILE"):
        return _hash_in(Path(told))
    if settings.password_hash:
        return check_hash(settings.password_hash, "access.password_hash")
    if settings.password_file:
        return _hash_in(Path(settings.password_file))
    usual = data and data / "password"
    return _hash_in(usual) if usual and usual.exists() else ""


def _hash_in(path: Path) -> str:
    return check_hash(read_private(path, "the password's hash"), str(path))


def _oauth_secret(settings: OAuthSettings, environment: Mapping[str, str]) -> str:
    if not settings.provider:
        return ""
    told = environment.get("TRACEWAVE_OAUTH_SECRET", "")
    if not told and settings.secret_file:
        told = read_private(Path(settings.secret_file), "the OAuth secret").strip()
    if not told:
        raise ConfigError("access.oauth: the client secret is missing; set secret_file or TRACEWAVE_OAUTH_SECRET")
    return told
