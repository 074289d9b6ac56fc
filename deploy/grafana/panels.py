"""What a panel is, and the PromQL that panels are made of."""

# ruff: noqa: INP001 (a script and its parts, no package)

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AMBER", "HERE", "RED", "TEAL", "Panel", "Query", "now", "quantiles", "rate", "recent"]

HERE = 'instance=~"$instance"'
QUANTILES = (0.5, 0.95, 0.99)
TEAL, AMBER, RED = "#2fc5b0", "#e0a030", "#e5484d"


class Query(NamedTuple):
    """PromQL and what its series are called."""

    expression: str
    legend: str = ""


class Panel(NamedTuple):
    """One panel.

    Attributes
    ----------
    says
        What it shows and what to make of it.
    amber, red
        Values from which it is coloured.
    words
        Words in place of values.
    named
        Whether the labels are what it shows, not the value.
    width, height
        Of the 24 columns of a row; in rows of 30 pixels, 0 for what is usual.
    """

    title: str
    says: str
    unit: str
    queries: tuple[Query, ...]
    figure: bool = False
    bars: bool = False
    amber: float | None = None
    red: float | None = None
    words: dict[str, tuple[str, str]] | None = None
    named: bool = False
    width: int = 8
    height: int = 0


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Units a second."""
    return _sum(f"rate(tracewave_{metric}{{{_where(where)}}}[$__rate_interval])", by)


def recent(metric: str, by: str = "", where: str = "") -> str:
    """Growth in five minutes."""
    return _sum(f"increase(tracewave_{metric}{{{_where(where)}}}[5m])", by)


def now(metric: str, by: str = "", where: str = "") -> str:
    """Value at this moment."""
    return _sum(f"tracewave_{metric}{{{_where(where)}}}", by)


def quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """Median and tail of a histogram."""
    groups = f"le, {by}" if by else "le"
    of = f"sum by ({groups}) (rate(tracewave_{metric}_bucket{{{HERE}}}[$__rate_interval]))"
    name = f" {{{{{by}}}}}" if by else ""
    return tuple(Query(f"histogram_quantile({q}, {of})", f"p{100 * q:g}{name}") for q in QUANTILES)


def _sum(of: str, by: str) -> str:
    return f"sum by ({by}) ({of})" if by else f"sum({of})"


def _where(more: str) -> str:
    return f"{HERE}, {more}" if more else HERE
