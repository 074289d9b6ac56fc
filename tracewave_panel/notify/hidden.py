"""Addresses and secrets that stand in the environment or in a file of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tracewave_panel.elsewhere import ELSEWHERE, looked_up
from tracewave_panel.errors import ConfigError
from tracewave_panel.notify.routes import RouteSettings, check_secret, check_service, check_webhook

__all__ = ["Address", "address_of"]


class Address:
    """Where a route leads; its repr shows nothing of that.

    Attributes
    ----------
    url
        Of a service or a webhook.
    secret
        What a webhook's notices are signed with; empty for a service.
    """

    __slots__ = ("secret", "url")

    def __init__(self, url: str, secret: str = "") -> None:
        self.url = url
        self.secret = secret


def address_of(route: RouteSettings, environment: Mapping[str, str]) -> Address:
    """Look up where a route leads.

    Raises
    ------
    ConfigError
        When a variable or file is missing, or what it holds is no address; its content is not shown.
    """
    if route.webhook:
        webhook = _looked_up(route, "webhook", check_webhook, environment)
        return Address(webhook, _looked_up(route, "secret", check_secret, environment))
    return Address(_looked_up(route, "url", check_service, environment))


def _looked_up(
    route: RouteSettings, field: str, check: Callable[[str, str], None], environment: Mapping[str, str]
) -> str:
    given: str = getattr(route, field)
    if not given.startswith(ELSEWHERE):
        return given
    where = f"notify {route.name}: {field}"
    value = looked_up(given, where, environment)
    try:
        check(field, value)
    except ValueError as error:
        raise ConfigError(f"{where}, from {given}: {error}") from None
    return value
