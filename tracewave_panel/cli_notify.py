"""The command ``tracewave notify``: routes of notices, and a test of them."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tracewave_panel.cli_options import settings_from, with_settings
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.notify.routes import RouteSettings

__all__ = ["notify"]

_WORDS = {
    "sent": "sent",
    "waiting": "waiting",
    "given_up": "given up",
    "muted": "held by a mute",
    "snoozed": "held by a snooze",
    "hours": "held by the hours",
    "limit": "held by the limit",
}


@click.command()
@click.option("--test", "testing", is_flag=True, help="Send a test notice by each route now.")
@click.option("--route", "name", help="Only the route of this name.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="Data folder.")
@with_settings
def notify(testing: bool, name: str | None, data: Path, config: Path | None, assignments: tuple[str, ...]) -> None:
    """List the routes of notices and what their outbox holds, or test them."""
    from tracewave_panel.notify.trial import outbox_counts, try_routes, way_of  # noqa: PLC0415 (Pillow, TLS)

    settings = settings_from(config, assignments)
    routes = _chosen(settings.notify, name)
    if not routes:
        click.echo("There are no routes: nobody is told of anomalies. Add a [[notify]] table to tracewave.toml.")
        return
    failed = False
    if testing:
        for route, outcome in try_routes(routes, settings.notices, feed=WIKIMEDIA, environment=os.environ):
            failed = failed or not outcome.delivered
            click.echo(f"{'ok  ' if outcome.delivered else 'FAIL'}  {route}: {outcome.reason or 'sent'}")
    else:
        counts = outbox_counts(data)
        for each in routes:
            try:
                way = way_of(each, os.environ)
            except ConfigError as error:
                failed, way = True, f"FAIL {error}"
            held = counts.get(each.name, {})
            stand = ", ".join(f"{held[key]} {words}" for key, words in _WORDS.items() if held.get(key))
            click.echo(f"{each.name}  {way}  {_filters(each)}  outbox: {stand or 'empty'}")
    if failed:
        raise SystemExit(1)


def _chosen(routes: tuple[RouteSettings, ...], name: str | None) -> tuple[RouteSettings, ...]:
    if name is None:
        return routes
    chosen = tuple(route for route in routes if route.name == name)
    if not chosen:
        there = ", ".join(route.name for route in routes) or "none"
        raise ConfigError(f"--route {name}: there is no such route; there are {there}")
    return chosen


def _filters(route: RouteSettings) -> str:
    parts = [f"{route.severity.value} and above" if route.severity.rank < 3 else "critical"]
    for field in ("series", "metric", "kind", "days", "origins"):
        values = getattr(route, field)
        if values and not (field == "origins" and tuple(values) == ("live",)):
            parts.append(f"{field} {' '.join(values)}")
    parts += [f"{dimension} {' '.join(values)}" for dimension, values in route.dimensions.items()]
    if route.hours:
        parts.append(f"{route.hours} {route.zone}")
    parts.append(f"at most {route.limit} an hour")
    return "; ".join(parts)
