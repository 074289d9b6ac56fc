"""What a feed is: the names and meanings behind the tuples of an Event and a Window."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["CRYPTO", "FEEDS", "WIKIMEDIA", "Feature", "Feed", "Metric"]


class Feature(msgspec.Struct, frozen=True):
    """One float of a window.

    Attributes
    ----------
    fold
        How events make it: ``rate`` (count over width), ``distinct`` (different values of the
        event's ``actor`` or ``subject``), ``share`` (part of the events whose dimension `of` is
        `value`), ``mean_abs`` (mean absolute measure `of`), ``sum`` and ``last`` (of measure `of`).
        All are 0 in a window without events.
    """

    name: str
    fold: Literal["rate", "distinct", "share", "mean_abs", "sum", "last"]
    of: str = ""
    value: str = ""


class Metric(msgspec.Struct, frozen=True):
    """A feature that detectors watch.

    Attributes
    ----------
    kind
        ``count``: variance-stabilised first. ``value``: taken as it is. ``price``: watched as
        log returns in units of their own volatility; 0 means that nothing was traded.
    """

    name: str
    feature: str
    unit: str
    noun: str
    kind: Literal["count", "value", "price"] = "count"


class Feed(msgspec.Struct, frozen=True):
    """Names of a feed's dimensions, measures, features and metrics, in order.

    Attributes
    ----------
    series
        Told from the first event on, even while they are quiet.
    place, who
        The dimensions that read as "on ..." and as "by ..." in a title.
    actor, subject
        What an event's ``actor`` and ``subject`` are called: names of columns, other than those
        of dimensions and measures.

    Examples
    --------
    >>> WIKIMEDIA.dimensions
    ('wiki', 'language', 'namespace', 'actor', 'kind')
    >>> WIKIMEDIA.feature_index("bot_share")
    3
    """

    name: str
    title: str
    dimensions: tuple[str, ...]
    measures: tuple[str, ...]
    features: tuple[Feature, ...]
    metrics: tuple[Metric, ...]
    series: tuple[str, ...]
    place: str
    who: str
    actor: str = "actor_name"
    subject: str = "subject_name"

    def feature_index(self, name: str) -> int:
        """Position of a feature in ``Window.features``."""
        return [feature.name for feature in self.features].index(name)


WIKIMEDIA = Feed(
    name="wikimedia",
    title="Wikimedia edits",
    dimensions=("wiki", "language", "namespace", "actor", "kind"),
    measures=("byte_change",),
    features=(
        Feature("rate", "rate"),
        Feature("pages", "distinct", "subject"),
        Feature("editors", "distinct", "actor"),
        Feature("bot_share", "share", "actor", "bot"),
        Feature("new_share", "share", "kind", "new"),
        Feature("byte_change", "mean_abs", "byte_change"),
    ),
    metrics=(Metric("rate", "rate", "events/s", "edits"),),
    series=("edits",),
    place="wiki",
    who="actor",
    actor="editor",
    subject="page",
)

CRYPTO = Feed(
    name="crypto",
    title="Crypto trades",
    dimensions=("exchange", "symbol", "side"),
    measures=("price", "quantity", "notional"),
    features=(
        Feature("rate", "rate"),
        Feature("volume", "sum", "notional"),
        Feature("price", "last", "price"),
        Feature("buy_share", "share", "side", "buy"),
    ),
    metrics=(
        Metric("trades", "rate", "trades/s", "trades"),
        Metric("price", "price", "USD", "price", kind="price"),
    ),
    series=tuple(
        f"{exchange}:{symbol}" for exchange in ("binance", "coinbase", "kraken") for symbol in ("BTC-USD", "ETH-USD")
    ),
    place="exchange",
    who="side",
    actor="trader",
    subject="pair",
)
"""Trades by exchange and symbol, which a series joins by a colon. The side is that of the taker.

A source that carries other venues says so by a copy with other `series`.
"""

FEEDS = {feed.name: feed for feed in (WIKIMEDIA, CRYPTO)}
