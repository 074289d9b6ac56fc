"""Addresses and secrets that stand in the environment or in a file of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tracewave_panel.errors import ConfigError
from tracewave_panel.notify.routes import RouteSettings, check_secret, check_service, check_webhook

__all__ = ["Address", "address_of"]

_MOST_BYTES = 65_536


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
    place, _, name = given.partition(":")
    where = f"notify {route.name}: {field}"
    if place == "env":
        value = environment.get(name, "").strip()
        if not value:
            raise ConfigError(f"{where}: the environment has no variable {name}; set it, or write file:PATH")
    elif place == "file":
        value = _read(Path(name).expanduser(), where)
    else:
        return given
    try:
        check(field, value)
    except ValueError as error:
        raise ConfigError(f"{where}, from {given}: {error}") from None
    return value


def _read(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            value = file.read(_MOST_BYTES).decode().strip()
    except OSError as error:
        raise ConfigError(f"{where}: {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: {path} holds no text") from None
    if not value:
        raise ConfigError(f"{where}: {path} is empty")
    return value
