"""A test notice by every route, sent at once and past the outbox; and what an outbox holds."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tracewave_panel.errors import ConfigError, StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, AnomalyKind, Contribution, Origin, Quality, Severity, Verdict
from tracewave_panel.notify.notice import Links, Outcome, Telling, make_notice
from tracewave_panel.notify.outbox import FILE
from tracewave_panel.notify.picture import draw_pulse
from tracewave_panel.notify.pulse import Point
from tracewave_panel.notify.routes import NoticesSettings, RouteSettings
from tracewave_panel.notify.senders import senders_of
from tracewave_panel.notify.service import Service

__all__ = ["outbox_counts", "try_routes", "way_of"]

_LENGTH, _AGO = 900, 60


def try_routes(
    routes: Sequence[RouteSettings],
    settings: NoticesSettings,
    *,
    feed: Feed,
    environment: Mapping[str, str],
    page: str = "",
) -> Iterator[tuple[str, Outcome]]:
    """Send a test notice by each route, one after the other, and say what came of it."""
    links = Links((settings.page or page).rstrip("/"), settings.api.rstrip("/"))
    now = time.time()
    for route in routes:
        try:
            sender = senders_of((route,), settings, environment)[route.name]
        except ConfigError as error:
            yield route.name, Outcome(str(error), final=True)
            continue
        telling = Telling(_example(feed, route, now), Origin.SIMULATED)
        picture = b""
        if isinstance(sender, Service):
            picture = draw_pulse(telling.anomaly, _points(now), Origin.SIMULATED, feed.metrics[0].unit)
        notice = make_notice(telling, route.name, feed, links, held={}, picture=picture, now=now)
        yield route.name, sender.send(notice)


def way_of(route: RouteSettings, environment: Mapping[str, str]) -> str:
    """Where a route leads, without what may be secret.

    Raises
    ------
    ConfigError
        When its address is missing, or Apprise does not understand it.
    """
    sender = senders_of((route,), NoticesSettings(), environment)[route.name]
    if isinstance(sender, Service):
        sender.check()
    return sender.kind


def outbox_counts(folder: Path) -> dict[str, dict[str, int]]:
    """How many notices of each route stand where, also while a server runs; empty without an outbox.

    Raises
    ------
    StoreError
        When the outbox cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    counts: dict[str, dict[str, int]] = {}
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
        try:
            rows = database.execute("SELECT route, standing, count(*) FROM notices GROUP BY route, standing").fetchall()
        finally:
            database.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: the outbox cannot be read ({error})") from error
    for route, standing, count in rows:
        counts.setdefault(route, {})[standing] = count
    return counts


def _points(now: float) -> list[Point]:
    """A calm quarter of an hour that ends with a minute of three times as much."""
    end = float(int(now))
    return [
        Point(end - ago, 1.0, (120.0 if ago <= _AGO else 40.0) + (ago * 7919 % 13) - 6.0, 40.0, 5.0, gap=False)
        for ago in range(_LENGTH, 0, -1)
    ]


def _example(feed: Feed, route: RouteSettings, now: float) -> Anomaly:
    end = float(int(now))
    return Anomaly(
        id=f"test-{route.name}-{end:.0f}",
        series=feed.series[0],
        metric=feed.metrics[0].name,
        kind=AnomalyKind.RATE_UP,
        opened=end - _AGO,
        peaked=end - _AGO + 5,
        updated=end,
        closed=None,
        severity=max(route.severity, Severity.WARNING, key=lambda severity: severity.rank),
        confidence=0.9,
        rarity=9.0,
        direction=1,
        observed=120.0,
        expected=40.0,
        agreeing=("zscore", "ewma"),
        quiet=("trees",),
        abstained=("seasonal",),
        verdict=Verdict.CULPRIT,
        contributions=(Contribution(feed.place, "example.org", 85.0, 5.0, 1.0, 14.0, named=True),),
        completeness=1.0,
        quality=Quality.OK,
        title=f"A test of the route {route.name}",
    )
