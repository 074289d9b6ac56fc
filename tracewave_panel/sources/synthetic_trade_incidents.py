"""What can be planted into simulated trades: the ground truth of every simulated stream of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tracewave_panel.errors import ConfigError
from tracewave_panel.sources.synthetic_incidents import Kind, Planted
from tracewave_panel.sources.synthetic_market import EXCHANGE_OF, SYMBOL_OF, SYMBOLS, VENUES

__all__ = ["OF_THE_RATE", "TRADE_KINDS", "extra_orders", "price_shift", "touched", "trade_culprits"]

TRADE_KINDS: Mapping[str, Kind] = {
    "flash_crash": Kind(0.96, 120, ("symbol",)),
    "price_jump": Kind(1.01, 60, ("symbol",)),
    "volume_spike": Kind(4.0, 60, ("symbol",)),
    "venue_spike": Kind(4.0, 60, ("exchange",)),
    "stall": Kind(0.0, 30, weight=0.5),
    "venue_frozen": Kind(0.0, 90, ("exchange",)),
    "venues_diverging": Kind(1.01, 300, ("exchange",), weight=0.5),
    "feed_stall": Kind(0.0, 8, weight=0.5),
}
"""Incidents by name.

The effect is a factor: on the price where that moves, on the rate of trades elsewhere. A ``flash_crash`` falls within
seconds and recovers in part, a ``price_jump`` stays, and ``venues_diverging`` walks one venue's price away from the
others' and, in the last fifth of the time, back. A ``volume_spike`` is of one symbol, a ``venue_spike`` of one venue.
During a ``stall`` nobody trades on a feed that proves to be alive; a ``venue_frozen`` sends nothing. A ``feed_stall``
is a fault of the feed: trades go on, and arrive in one heap when it ends.
"""

OF_THE_RATE = frozenset(("volume_spike", "venue_spike", "stall", "venue_frozen"))
"""Kinds whose effect is on the rate of trades."""

_FALL = 8.0  # seconds
_LASTING = 0.4  # part of a crash that does not recover
_JUMP = 3.0  # seconds
_WAY_OUT = 0.8
_CRASH_ORDERS, _JUMP_ORDERS = 8.0, 4.0  # times the usual


def trade_culprits(dimension: str) -> tuple[str, ...]:
    """Values of a dimension that a culprit is drawn from."""
    return tuple(VENUES if dimension == "exchange" else SYMBOLS)


def touched(culprit: Mapping[str, str]) -> NDArray[np.bool_]:
    """Series of the feed that belong to a culprit; all of them when it is empty.

    Raises
    ------
    ConfigError
        When there is no such dimension or value.
    """
    mask = np.ones(len(SYMBOL_OF), bool)
    numbers = {"exchange": (EXCHANGE_OF, list(VENUES)), "symbol": (SYMBOL_OF, list(SYMBOLS))}
    for dimension, value in culprit.items():
        number_of, names = numbers.get(dimension, (SYMBOL_OF, []))
        if value not in names:
            known = ", ".join(f"{name} ({', '.join(values)})" for name, (_, values) in numbers.items())
            raise ConfigError(f"nothing in the simulated market has {dimension} = {value!r}; there are {known}")
        mask &= number_of == names.index(value)
    return mask


def price_shift(planted: Planted, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the factor on the price at some moments; after the end it stays as it is there."""
    length = planted.end - planted.start
    age = np.clip(times - planted.start, 0, length)
    if planted.kind == "flash_crash":
        fall = min(_FALL, length / 4)
        recovery = np.exp(-4 * np.maximum(age - fall, 0) / (length - fall))
        course = np.minimum(age / fall, 1) * (_LASTING + (1 - _LASTING) * recovery)
    elif planted.kind == "price_jump":
        course = np.minimum(age / min(_JUMP, length / 4), 1)
    elif planted.kind == "venues_diverging":
        course = np.minimum(age / _WAY_OUT, (length - age) / (1 - _WAY_OUT)) / length
    else:
        return np.zeros(len(times))
    return np.asarray(math.log(planted.effect) * course)


def extra_orders(planted: Planted, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orders that come on top in each second, in units of the usual."""
    length = planted.end - planted.start
    part = np.clip(np.minimum(seconds + 1, planted.end) - np.maximum(seconds, planted.start), 0, 1)
    age = np.maximum(seconds - planted.start, 0)
    if planted.kind == "flash_crash":
        return np.asarray(part * _CRASH_ORDERS * np.exp(-3 * age / length))
    if planted.kind == "price_jump":
        return np.asarray(part * _JUMP_ORDERS * np.exp(-6 * age / length))
    factor = planted.effect if planted.kind in OF_THE_RATE else 1.0
    return np.asarray(part * max(factor - 1, 0))
