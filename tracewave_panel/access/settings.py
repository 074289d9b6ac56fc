"""Where passwords and tokens are, and under which names the servers are reached."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from .names import parse_name, parse_proxy

__all__ = ["AccessSettings", "OAuthSettings"]

PROVIDERS = ("auth0", "azure", "azurev2", "bitbucket", "generic", "github", "gitlab", "google", "okta")


class _Discreet(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of settings whose repr tells which are set and nothing of what they hold.

    Attributes
    ----------
    discreet
        Says that errors must not repeat a value either.
    """

    discreet: ClassVar[bool] = True

    def __repr__(self) -> str:
        usual = type(self)()
        told = [name for name in self.__struct_fields__ if getattr(self, name) != getattr(usual, name)]
        return f"{type(self).__name__}({', '.join(f'{name}=...' for name in told)})"


class OAuthSettings(_Discreet, frozen=True):
    """Sign-in by another service, as Panel supports it.

    Attributes
    ----------
    provider
        One of those Panel knows, such as ``github``, or ``generic``; empty: none.
    key
        The client id that the provider gave.
    secret_file
        File that holds the client secret; the environment's ``TRACEWAVE_OAUTH_SECRET`` goes before it.
    redirect
        Address to which the provider sends browsers back; empty: the address they came by.
    users
        Who may come in, as the provider names them: ``ada@example.org``, ``@example.org`` for a whole domain,
        ``*`` for everybody who has an account there.
    extra
        What a provider needs besides, such as ``AUTHORIZE_URL``, ``TOKEN_URL``, ``USER_URL`` and ``USER_KEY``.
    """

    provider: str = ""
    key: str = ""
    secret_file: str = ""
    redirect: str = ""
    users: tuple[str, ...] = ()
    extra: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Refuse providers that nobody knows, and doors that stand open by mistake."""
        if not self.provider:
            return
        if self.provider not in PROVIDERS:
            raise ValueError(f"no provider is called so; there are {', '.join(PROVIDERS)}")
        if not self.key:
            raise ValueError("key must be the client id that the provider gave")
        if not self.users:
            raise ValueError("users must say who may come in, as in ['ada@example.org', '@example.org'], or ['*']")


class AccessSettings(_Discreet, frozen=True):
    """Who may come in.

    Attributes
    ----------
    password_hash, password_file
        What ``tracewave password`` prints, or a file that holds it. The environment's ``TRACEWAVE_PASSWORD_HASH``
        and ``TRACEWAVE_PASSWORD_FILE`` go before them; ``password`` in the data folder comes after them.
    tokens_file
        What ``tracewave token`` writes; empty: ``tokens`` in the data folder. The environment's
        ``TRACEWAVE_TOKENS`` holds such lines itself, with ``;`` or line ends between them.
    cookie_secret_file
        Signs cookies; made where it is missing. Empty: ``cookie_secret`` in the data folder.
    origins
        Further ``host`` or ``host:port`` under which browsers reach the servers, such as a proxy's name.
    forwarded
        Addresses or networks of proxies whose word on their visitors is believed.
    signed_in
        Hours after which the pages ask again.
    """

    password_hash: str = ""
    password_file: str = ""
    tokens_file: str = ""
    cookie_secret_file: str = ""
    origins: tuple[str, ...] = ()
    forwarded: tuple[str, ...] = ()
    signed_in: float = 168.0
    oauth: OAuthSettings = OAuthSettings()

    def __post_init__(self) -> None:
        """Refuse names that are none, and two passwords."""
        for name in self.origins:
            if parse_name(name) is None:
                raise ValueError(f"origins: {name!r} is no host or host:port, such as dash.example.org")
        for proxy in self.forwarded:
            if parse_proxy(proxy) is None:
                raise ValueError(f"forwarded: {proxy!r} is no address or network, such as 127.0.0.1 or 10.0.0.0/8")
        if not 0.01 <= self.signed_in <= 8784:
            raise ValueError(f"signed_in must be from 0.01 to 8784 hours, not {self.signed_in}")
        if self.password_hash and self.password_file:
            raise ValueError("password_hash and password_file are both set; set one")
