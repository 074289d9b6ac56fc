"""A made-up market: what a symbol costs and how often it is traded, minute by minute.

Each symbol has one price that all venues follow. Its return over a minute is a GARCH(1,1) process with Student-t noise
of 5 degrees of freedom (Bollerslev 1987). The t is drawn as a normal scaled by the root of an inverse chi-square, and
the normal part is spread over the seconds in proportion to the orders they bring: a second moves the price as much as
it is traded in (Clark 1973), which makes short returns as heavy-tailed as real ones, and minutes exactly Student-t.

Orders excite further orders for some seconds (Hawkes 1971, in steps of a second), vary by a log-normal factor from
second to second, by mood and volatility from minute to minute, and with the hour.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracewave_panel.feeds import CRYPTO

__all__ = ["EXCHANGE_OF", "SECONDS", "SYMBOLS", "SYMBOL_OF", "VENUES", "Market", "Minute"]

SECONDS = 60
_DAY = 86_400
_BUSIEST_HOUR = 15
_FREEDOM = 5.0
_SHOCK, _PERSISTENCE = 0.09, 0.90
_WILDEST = 25.0  # times the usual variance
_MOOD_SPREAD, _MOOD_MEMORY = 0.55, 120.0  # of the log rate; minutes
_PACE_OF_VOLATILITY = 0.6
_MEAN_PACE = 0.81  # mean of volatility ** 0.6, in units of the usual
_EXCITED, _EXCITED_SECONDS = 0.4, 4.0
_BURST_SPREAD = 0.9
_BASIS_SECONDS = 30.0
_QUIET_MOVES = 0.1  # part of a minute's variance that needs no trade


class Symbol(NamedTuple):
    """First price in USD, usual spread of a minute's log return, decimals of a quantity, share of the trades."""

    price: float
    volatility: float
    decimals: int
    share: float


class Venue(NamedTuple):
    """Share of a symbol's trades; spread of its own log price around the common one; half spread; lag in seconds."""

    share: float
    basis: float
    half_spread: float
    lag: float


SYMBOLS = {"BTC-USD": Symbol(62_000.0, 0.0008, 5, 0.6), "ETH-USD": Symbol(2_600.0, 0.001, 4, 0.4)}
VENUES = {
    "binance": Venue(0.62, 0.00003, 0.000001, 0.06),
    "coinbase": Venue(0.28, 0.00005, 0.000005, 0.09),
    "kraken": Venue(0.10, 0.0001, 0.00002, 0.12),
}
_NAMES = [series.split(":") for series in CRYPTO.series]
EXCHANGE_OF = np.array([list(VENUES).index(exchange) for exchange, _ in _NAMES])
"""Number of each series' venue in :data:`VENUES`."""
SYMBOL_OF = np.array([list(SYMBOLS).index(symbol) for _, symbol in _NAMES])
"""Number of each series' symbol in :data:`SYMBOLS`."""

_FIRST_PRICES, _USUAL, _, _SYMBOL_SHARES = (np.array(column) for column in zip(*SYMBOLS.values(), strict=True))
_VENUE_SHARES, _BASES, _, _ = (np.array(column) for column in zip(*VENUES.values(), strict=True))
_BASIS_SHOCKS = (_BASES * math.sqrt(2 / _BASIS_SECONDS))[EXCHANGE_OF]
_IN_SYMBOL = (SYMBOL_OF[:, None] == np.arange(len(SYMBOLS))).astype(np.float64)
_SHARES = _VENUE_SHARES[EXCHANGE_OF]


class Minute(NamedTuple):
    """One minute of the market by second, with s series and k symbols.

    Attributes
    ----------
    expected, orders
        Orders that each second and series brings on average, and in truth; shape (60, s).
    path
        Log of the common price at the borders of the seconds; shape (61, k).
    lean
        The move of each second in units of its own spread: above 0, buyers are in a hurry; shape (60, k).
    basis
        Log of a series' price less that of the common one; shape (60, s).
    """

    expected: NDArray[np.float64]
    orders: NDArray[np.int64]
    path: NDArray[np.float64]
    lean: NDArray[np.float64]
    basis: NDArray[np.float64]


class Market:
    """Endless minutes.

    Parameters
    ----------
    rng
        Everything is drawn from it.
    orders
        Mean orders a second, of all series together.
    """

    def __init__(self, rng: np.random.Generator, orders: float) -> None:
        self._rng = rng
        self._rates = orders * _SYMBOL_SHARES
        self._variance = np.ones(len(SYMBOLS))  # in units of the usual
        self._mood = rng.normal(0, _MOOD_SPREAD, len(SYMBOLS))
        self._recent = self._rates * np.exp(self._mood)
        self._log_price = np.log(_FIRST_PRICES)
        self._basis = rng.normal(0, _BASES[EXCHANGE_OF])

    def minute(self, begin: float) -> Minute:
        """Go on by a minute, which begins at `begin` (seconds since the epoch)."""
        symbols = len(SYMBOLS)
        hour = (begin % _DAY) / 3600
        daily = 1 + 0.35 * math.cos(2 * math.pi * (hour - _BUSIEST_HOUR) / 24)
        mixing = np.sqrt((_FREEDOM - 2) / self._rng.chisquare(_FREEDOM, symbols))
        volatility = np.sqrt(self._variance) * mixing  # in units of the usual
        self._mood += (
            self._rng.normal(0, _MOOD_SPREAD * math.sqrt(2 / _MOOD_MEMORY), symbols) - self._mood / _MOOD_MEMORY
        )
        mood = np.exp(self._mood - _MOOD_SPREAD**2 / 2)
        expected, orders = self._orders(self._rates * daily * mood * volatility**_PACE_OF_VOLATILITY / _MEAN_PACE)
        lean = self._rng.standard_normal((SECONDS, symbols))
        traded = orders @ _IN_SYMBOL
        weights = _QUIET_MOVES / SECONDS + (1 - _QUIET_MOVES) * traded / np.maximum(traded.sum(0), 1)
        moves = volatility * np.sqrt(weights) * lean
        shock = _SHOCK * moves.sum(0) ** 2
        variance = 1 - _SHOCK - _PERSISTENCE + shock + _PERSISTENCE * self._variance
        self._variance = np.minimum(variance, _WILDEST)
        # the day's cycle lies outside the GARCH process, which would take it for shocks
        steps = np.vstack([self._log_price, moves * _USUAL * math.sqrt(daily)])
        path = np.cumsum(steps, axis=0)
        self._log_price = path[-1]
        return Minute(expected, orders, path, lean, self._bases())

    def _orders(self, rates: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        bursts = np.exp(self._rng.normal(-(_BURST_SPREAD**2) / 2, _BURST_SPREAD, (SECONDS, len(SYMBOLS))))
        own = (1 - _EXCITED) * rates
        expected = np.empty((SECONDS, len(SYMBOL_OF)))
        orders = np.empty((SECONDS, len(SYMBOL_OF)), np.int64)
        for i, burst in enumerate(bursts):
            excited = own + _EXCITED * self._recent
            expected[i] = excited[SYMBOL_OF] * _SHARES
            orders[i] = self._rng.poisson(expected[i] * burst[SYMBOL_OF])
            self._recent += (orders[i] @ _IN_SYMBOL - self._recent) / _EXCITED_SECONDS
        return expected, orders

    def _bases(self) -> NDArray[np.float64]:
        shocks = self._rng.normal(0, _BASIS_SHOCKS, (SECONDS, len(SYMBOL_OF)))
        for i, shock in enumerate(shocks):
            self._basis += shock - self._basis / _BASIS_SECONDS
            shocks[i] = self._basis
        return shocks
