"""Signing in: the pages' password, or another service by Panel's own support; and signing out."""

# mypy: allow-untyped-calls
# Panel types no constructor.

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import jinja2
from bokeh.server.auth_provider import AuthProvider
from tornado.web import RequestHandler

from tracewave_panel.access import Access, client_of

from .theme import ConsoleTemplate, asset

__all__ = ["PasswordSignIn", "SignInPage", "SignOutPage", "here", "onward"]

LOGIN, LOGOUT = "/login", "/logout"
ASSETS = f"components/{ConsoleTemplate.__module__}/{ConsoleTemplate.__name__}/_resources/assets/assets"

logger = logging.getLogger(__name__)


class PasswordSignIn(AuthProvider):
    """Asks each page, asset of a page and websocket for the cookie that the password gives.

    The cookie holds a random number, signed and dated; who signs out has it forgotten here too, so that a copy of it
    is worth nothing.

    Parameters
    ----------
    access
        Knows the password.
    prefix
        Path under which the pages are, such as ``/tracewave``; empty: none.
    """

    def __init__(self, access: Access, prefix: str = "") -> None:
        self.access = access
        self.prefix = prefix
        self.seconds = access.settings.signed_in * 3600
        # cookies know no ports: two servers on one computer must not take each other's
        self.cookie = f"tracewave_{hashlib.sha256(access.cookie_secret.encode()).hexdigest()[:8]}"
        self._left: dict[str, float] = {}
        super().__init__()

    @property
    def get_user(self) -> Any:
        """What tells who asks; None: nobody that may come in."""
        return self.who

    @property
    def login_url(self) -> str:
        """Where to sign in, below the prefix."""
        return LOGIN

    @property
    def login_handler(self) -> type[RequestHandler]:
        """The page for it."""
        return SignInPage

    @property
    def logout_url(self) -> str:
        """Where to sign out, below the prefix."""
        return LOGOUT

    @property
    def logout_handler(self) -> type[RequestHandler]:
        """The page for it."""
        return SignOutPage

    def who(self, handler: RequestHandler) -> str | None:
        """Number of the visit that the request's cookie names, as long as it is good."""
        held = handler.get_signed_cookie(self.cookie, max_age_days=self.seconds / 86_400)
        visit = held.decode("ascii", "replace") if held else None
        return None if visit in self._left else visit

    def welcome(self, handler: RequestHandler) -> None:
        """Give the cookie."""
        handler.set_signed_cookie(
            self.cookie,
            secrets.token_urlsafe(18),
            expires_days=self.seconds / 86_400,
            path=self.prefix or "/",
            httponly=True,
            samesite="Lax",
            secure=handler.request.protocol == "https",
        )

    def dismiss(self, handler: RequestHandler) -> None:
        """Take the cookie back, and let nobody in by a copy of it."""
        visit = self.who(handler)
        handler.clear_cookie(self.cookie, path=self.prefix or "/")
        if visit is not None:
            now = time.monotonic()
            self._left = {each: until for each, until in self._left.items() if until > now}
            self._left[visit] = now + self.seconds
            hang_up(handler, visit)


def hang_up(handler: RequestHandler, who: str) -> None:
    """Close the websockets of a visit; their pages load anew, and are asked to sign in."""
    for connection in list(getattr(handler.application, "_clients", ())):
        socket = connection._socket  # noqa: SLF001 (Bokeh has no list of its sockets)
        if socket.current_user == who:
            socket.close(1008, "signed out")


def onward(wanted: str, prefix: str) -> str:
    """Where to go after signing in: a page of ours, whatever was asked for.

    >>> onward("/tracewave/health?x=1", "/tracewave"), onward("//evil.example/", ""), onward("/login?next=/", "")
    ('/tracewave/health?x=1', '/', '/')
    """
    start = f"{prefix}/"
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return start
    if parts.scheme or parts.netloc or "\\" in wanted or not wanted.isprintable() or " " in wanted:
        return start
    if not wanted.startswith(start) or wanted.startswith("//"):
        return start
    return start if parts.path.removeprefix(prefix) in {LOGIN, LOGOUT} else wanted


def here(handler: RequestHandler, access: Access) -> bool:
    """Whether a form was sent from a page of ours; what no browser sends says nothing of it."""
    origin = handler.request.headers.get("Origin")
    if origin is not None and origin != "null":
        return access.trusts_origin(origin)
    return handler.request.headers.get("Sec-Fetch-Site", "none") in {"same-origin", "none"}


@cache
def _template() -> jinja2.Template:
    return jinja2.Environment(autoescape=True).from_string(asset("sign_in.html"))


class _Page(RequestHandler):
    """A page of words and a form."""

    @property
    def provider(self) -> Any:
        """What knows who is signed in."""
        return self.application.auth_provider  # type: ignore[attr-defined]

    def set_default_headers(self) -> None:
        """Nobody keeps a copy."""
        self.set_header("Cache-Control", "no-store")

    def show(self, status: int = HTTPStatus.OK, **words: Any) -> None:
        """Write the page."""
        self.set_status(status)
        self.finish(_template().render(assets=ASSETS, **words))


class SignInPage(_Page):
    """Asks for the password."""

    def get(self) -> None:
        """Ask, unless it was told already."""
        wanted = onward(self.get_query_argument("next", ""), self.provider.prefix)
        if self.provider.who(self) is not None:
            self.redirect(wanted)
            return
        self.show(onward=wanted)

    async def post(self) -> None:
        """Look at what was typed."""
        provider, address = self.provider, self.request.remote_ip or "unknown"
        wanted = onward(self.get_body_argument("next", ""), provider.prefix)
        if not here(self, provider.access):
            self.show(HTTPStatus.FORBIDDEN, onward=wanted, wrong="That came from another site. Type it here.")
            return
        tried = self.get_body_argument("password", "", strip=False)
        told = await asyncio.to_thread(provider.access.password.check, tried, client_of(address))
        if told is True:
            logger.info("signed in from %s", address)
            provider.welcome(self)
            self.redirect(wanted, status=HTTPStatus.SEE_OTHER)
        elif told is False:
            logger.warning("a wrong password was tried from %s", address)
            self.show(HTTPStatus.UNAUTHORIZED, onward=wanted, wrong="That is not the password.")
        else:
            logger.warning("too many passwords were tried; %s has to wait", address)
            seconds = max(1, round(told + 0.5))
            self.set_header("Retry-After", str(seconds))
            wait = f"Too many tries. Wait {seconds} second{'s' if seconds != 1 else ''}, then try again."
            self.show(HTTPStatus.TOO_MANY_REQUESTS, onward=wanted, wrong=wait)


class SignOutPage(_Page):
    """Signs out, when asked to by a page of ours."""

    def get(self) -> None:
        """Ask whether to; an address alone, which any site may link to, signs nobody out."""
        self.show(leaving=True)

    def post(self) -> None:
        """Sign out."""
        if not here(self, self.provider.access):
            self.show(HTTPStatus.FORBIDDEN, leaving=True, wrong="That came from another site. Use the button here.")
            return
        self.provider.dismiss(self)
        self.redirect(f"{self.provider.prefix}{LOGIN}", status=HTTPStatus.SEE_OTHER)
