"""Signing in by another service: Panel's OAuth, with a list of who may come in."""

# mypy: allow-untyped-calls
# Panel types no class.

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any

from panel.auth import AUTH_PROVIDERS, OAuthProvider
from panel.config import config
from tornado.web import HTTPError, RequestHandler

from tracewave_panel.access import Access

from .sign_in import LOGIN, LOGOUT, SignOutPage, hang_up

__all__ = ["ProviderSignIn", "may_come"]

COOKIES = ("user", "id_token", "access_token", "refresh_token", "oauth_expiry", "panel-oauth-state", "panel-oauth-code")


def may_come(user: str, users: Sequence[str]) -> bool:
    """Whether the setting ``users`` names somebody.

    >>> [may_come("Ada@Example.org", users) for users in (["ada@example.org"], ["@example.org"], ["*"], ["@ple.org"])]
    [True, True, True, False]
    """
    user = user.lower()
    _, at, domain = user.rpartition("@")
    return any(each == "*" or each.lower() == user or (at and each.lower() == f"@{domain}") for each in users)


class ProviderSignIn(OAuthProvider):
    """Sends visitors to the provider, and lets in whom the settings name.

    Panel keeps what it does this with in a configuration of the process, so that a process has one provider.

    Parameters
    ----------
    access
        Knows the provider.
    prefix
        Path under which the pages are; empty: none.
    """

    def __init__(self, access: Access, prefix: str = "") -> None:
        told = access.settings.oauth
        self.access, self.prefix, self.users = access, prefix, told.users
        held = {
            "oauth_provider": told.provider,
            "oauth_key": told.key,
            "oauth_secret": access.oauth_secret,
            "oauth_extra_params": dict(told.extra),
            "oauth_expiry": access.settings.signed_in / 24,
        }
        for name, value in held.items():
            setattr(config, name, value)
        super().__init__(login_endpoint=LOGIN, logout_endpoint=LOGOUT)

    @property
    def get_user_async(self) -> Any:
        """What tells who asks; None: somebody whom the provider has to name first."""
        told = super().get_user_async

        async def who(handler: RequestHandler) -> Any:
            user = await told(handler)
            if user is not None and not may_come(user, self.users):
                raise HTTPError(HTTPStatus.FORBIDDEN, "not among access.oauth.users")
            return user

        return who

    @property
    def login_handler(self) -> type[RequestHandler]:
        """Panel's, which returns to an address below the prefix."""
        return self._login_handler

    @cached_property
    def _login_handler(self) -> type[RequestHandler]:
        told, prefix = self.access.settings.oauth, self.prefix
        of_panel: Any = AUTH_PROVIDERS[told.provider]

        class Login(of_panel):  # type: ignore[misc]
            _error_template = self._error_template
            _login_endpoint = LOGIN

            @property
            def _redirect_uri(self) -> str:
                return told.redirect or f"{self.request.protocol}://{self.request.host}{prefix}{LOGIN}"

            def set_cookie(self, name: str, value: str | bytes, **marks: Any) -> None:
                marks |= {"httponly": True, "samesite": "Lax", "secure": self.request.protocol == "https"}
                super().set_cookie(name, value, **marks)

        return Login

    @property
    def logout_handler(self) -> type[RequestHandler]:
        """Our page for it."""
        return SignOutPage

    def dismiss(self, handler: RequestHandler) -> None:
        """Take the cookies back and close the pages; the provider itself still knows the visitor."""
        who = handler.get_signed_cookie("user")
        for name in COOKIES:
            handler.clear_cookie(name, path=config.cookie_path)
        if who is not None:
            hang_up(handler, who.decode("utf-8", "replace"))
