"""Settings of notices: which anomaly goes where, and how delivery is tried. No message or repr shows an address."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from tracewave_panel.elsewhere import ELSEWHERE
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import FEEDS, Feed
from tracewave_panel.model import Anomaly, AnomalyKind, Origin, Severity
from tracewave_panel.notify.hours import Hours

__all__ = ["NoticesSettings", "RouteSettings"]

LEAST_SECRET = 16
"""Characters of a webhook's secret: fewer can be guessed from one signed notice."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_SERVICE = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\x00-\x1f\x7f]+", re.IGNORECASE)


class RouteSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[notify]]`` table: an address, and which anomalies it is told of.

    Attributes
    ----------
    name
        Unique; what logs, pages and metrics call the route.
    url
        Apprise URL of a service. As `webhook` and `secret` it may be ``env:NAME`` or ``file:PATH``.
    webhook, secret
        Address that takes signed JSON by POST in place of `url`, and what it is signed with.
    severity
        This one and those above.
    series, metric, kind
        Names, of which ``*`` may be part; empty: every one.
    dimensions
        For each dimension the values of which one must be named by the explanation.
    hours, days, zone
        When notices are wanted, such as ``08:00-18:00`` on ``mon`` in ``Europe/Lisbon``.
    closing
        Whether the end of an episode is told as well.
    limit
        Most notices an hour.
    origins
        ``live``, ``imported`` (a replay of real data) and ``simulated``.

    Examples
    --------
    >>> RouteSettings("ops", url="mailto://user:password@example.org")
    RouteSettings(name='ops', url=..., severity='warning')
    """

    name: str
    url: str = ""
    webhook: str = ""
    secret: str = ""
    severity: Severity = Severity.WARNING
    series: tuple[str, ...] = ()
    metric: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    dimensions: dict[str, tuple[str, ...]] = {}
    hours: str = ""
    days: tuple[str, ...] = ()
    zone: str = "UTC"
    closing: bool = True
    limit: int = 30
    origins: tuple[Origin, ...] = (Origin.LIVE,)

    def __post_init__(self) -> None:
        """Refuse routes that lead nowhere or that nothing could take."""
        if not _NAME.fullmatch(self.name):
            raise ValueError("name must be 1 to 40 letters, digits, dots, dashes or underscores")
        self._check_address()
        self._check_filters()
        if self.limit < 1:
            raise ValueError(f"limit must be at least 1 notice an hour, not {self.limit}")
        if not self.origins:
            raise ValueError(f"origins must name one of {', '.join(Origin)}")
        Hours(self.hours, self.days, self.zone)

    def _check_address(self) -> None:
        if bool(self.url) == bool(self.webhook):
            raise ValueError("either url (an Apprise URL) or webhook (an http or https address) must be given")
        if self.webhook and not self.secret:
            raise ValueError("secret must be given with webhook: notices are signed with it")
        if self.url and self.secret:
            raise ValueError("secret belongs to webhook; what a service needs stands in its url")
        for field, check in (("url", check_service), ("webhook", check_webhook), ("secret", check_secret)):
            value = getattr(self, field)
            if value.startswith(ELSEWHERE):
                if not value.partition(":")[2]:
                    raise ValueError(f"{field}: env: wants the name of a variable, file: the path of a file")
            elif value:
                check(field, value)

    def check_names(self, feed: Feed) -> None:
        """Refuse filters by what neither `feed` nor any feed that is shipped has.

        Raises
        ------
        ConfigError
            When a metric or dimension is called otherwise.
        """
        feeds = (*FEEDS.values(), feed)
        try:
            self._check_known("metric", {metric.name for each in feeds for metric in each.metrics})
            self._check_known("dimensions", {dimension for each in feeds for dimension in each.dimensions})
        except ValueError as error:
            raise ConfigError(f"notify {self.name}: {error}") from error

    def _check_known(self, field: str, names: Collection[str]) -> None:
        for given in getattr(self, field):
            if not any(fnmatchcase(name, given) for name in names):
                raise ValueError(f"{field}: nothing is called {given!r}; there are {', '.join(sorted(names))}")

    def _check_filters(self) -> None:
        self._check_known("kind", {kind.value for kind in AnomalyKind})
        for dimension, values in self.dimensions.items():
            if not values:
                raise ValueError(f"dimensions: {dimension} must list at least one value")

    def matches(self, anomaly: Anomaly, origin: Origin) -> bool:
        """Whether notices of such an anomaly go this way at all, whatever the time."""
        named = [part for part in anomaly.contributions if part.named]
        return (
            origin in self.origins
            and max(1, anomaly.severity.rank) >= self.severity.rank
            and _one_of(anomaly.series, self.series)
            and _one_of(anomaly.metric, self.metric)
            and _one_of(anomaly.kind.value, self.kind)
            and all(
                any(part.dimension == dimension and _one_of(part.value, values) for part in named)
                for dimension, values in self.dimensions.items()
            )
        )

    def __repr__(self) -> str:
        """Name the route, never its address."""
        way = "webhook" if self.webhook else "url"
        return f"RouteSettings(name={self.name!r}, {way}=..., severity={self.severity.value!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """As above, for rich."""
        return [("name", self.name), ("severity", self.severity.value)]


class NoticesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How notices are delivered, by any route.

    Attributes
    ----------
    page, api
        Addresses that links in notices lead to; empty: the address that the page is served at, and no link.
    timeout
        Seconds that a webhook may take to answer.
    retry_first, retry_most
        Seconds before the second try, and the most between two.
    give_up
        Seconds after which a notice that did not arrive is let go.
    remember
        Seconds for which it is remembered that a notice was sent, so that it is not sent again.
    """

    page: str = ""
    api: str = ""
    timeout: float = 10.0
    retry_first: float = 1.0
    retry_most: float = 300.0
    give_up: float = 86_400.0
    remember: float = 30 * 86_400.0

    def __post_init__(self) -> None:
        """Refuse times that make no sense and addresses that are none."""
        times = (self.timeout, self.retry_first, self.retry_most, self.give_up, self.remember)
        if not all(0 < seconds < math.inf for seconds in times):
            raise ValueError("timeout, retry_first, retry_most, give_up and remember must be above 0 seconds")
        if self.retry_most < self.retry_first:
            raise ValueError("retry_most must not be below retry_first")
        if self.remember < self.give_up:
            raise ValueError("remember must not be below give_up: a notice could be sent twice")
        for field in ("page", "api"):
            if getattr(self, field):
                check_webhook(field, getattr(self, field))


def check_service(field: str, value: str) -> None:
    """Raise ValueError when a value is no URL, without showing it."""
    if not _SERVICE.fullmatch(value):
        raise ValueError(f"{field} is not an Apprise URL; write it as scheme://...")


def check_webhook(field: str, value: str) -> None:
    """Raise ValueError when a value is no http or https address, without showing it."""
    try:
        address = urlsplit(value)
        fine = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        address, fine = None, False
    if not fine or address is None or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"{field} is not an address; write it as https://host/path")
    if address.username or address.password:
        raise ValueError(f"{field} must hold no user name; the signature says who sends")


def check_secret(field: str, value: str) -> None:
    """Raise ValueError when a secret is too short to keep one."""
    if len(value) < LEAST_SECRET:
        raise ValueError(f"{field} must have at least {LEAST_SECRET} characters")


def _one_of(found: str, wanted: tuple[str, ...]) -> bool:
    return not wanted or any(fnmatchcase(found, pattern) for pattern in wanted)
