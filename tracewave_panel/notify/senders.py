"""From the routes of the settings to what sends for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracewave_panel.errors import ConfigError
from tracewave_panel.notify.hidden import address_of
from tracewave_panel.notify.routes import NoticesSettings, RouteSettings
from tracewave_panel.notify.service import Service
from tracewave_panel.notify.webhook import Webhook

__all__ = ["senders_of"]


def senders_of(
    routes: Sequence[RouteSettings], settings: NoticesSettings, environment: Mapping[str, str]
) -> dict[str, Webhook | Service]:
    """The way out that each route names, by the route's name.

    Raises
    ------
    ConfigError
        When two routes have one name, or a variable or file that one names is missing.
    """
    senders: dict[str, Webhook | Service] = {}
    for route in routes:
        if route.name in senders:
            raise ConfigError(f"notify: two routes are called {route.name}; give each a name of its own")
        address = address_of(route, environment)
        senders[route.name] = Webhook(address, settings.timeout) if route.webhook else Service(address, route.name)
    return senders
