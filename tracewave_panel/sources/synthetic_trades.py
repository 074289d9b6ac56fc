"""Simulated trades as they would arrive on a faultless feed, minute by minute.

The market (:mod:`~tracewave_panel.sources.synthetic_market`) says how many orders come and what a symbol costs. An
order is filled by one trade or, as the exponent of its Pareto law says, by up to hundreds at the same moment; sizes are
log-normal. Figures are those of BTCUSDT and ETHUSDT on a busy evening: three trades an order, a median of 9 trades a
second and several hundred in the worst, a median trade of 40 USD and a mean one of 1,000.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import CRYPTO, Feed
from tracewave_panel.model import Event
from tracewave_panel.sources.synthetic import SyntheticSource
from tracewave_panel.sources.synthetic_incidents import FAULTS, Incident, Planted, Timetable, plan
from tracewave_panel.sources.synthetic_market import EXCHANGE_OF, SECONDS, SYMBOL_OF, SYMBOLS, VENUES, Market, Minute
from tracewave_panel.sources.synthetic_trade_incidents import (
    OF_THE_RATE,
    TRADE_KINDS,
    extra_orders,
    price_shift,
    touched,
    trade_culprits,
)

__all__ = ["SyntheticTrades", "TradeTraffic", "Trades", "TradesSettings", "windows_of"]

_FILLS, _MOST_FILLS = 1.4, 700  # exponent of the Pareto law
_FILLS_AN_ORDER = 2.92
_SIZE_MEDIAN, _SIZE_SPREAD, _LARGEST = 40.0, 2.5, 2_000_000.0  # USD
_LAG_SPREAD = 0.5
_LEAN = 1.3
_STEEPEST = 3.0
_SIDES = ("sell", "buy")
_HALF_SPREADS, _LAGS = (np.array(column)[EXCHANGE_OF] for column in list(zip(*VENUES.values(), strict=True))[2:])
_DECIMALS = np.array([symbol.decimals for symbol in SYMBOLS.values()])[SYMBOL_OF]
_DIMENSIONS = [tuple((*series.split(":"), side) for side in _SIDES) for series in CRYPTO.series]


class TradesSettings(msgspec.Struct, frozen=True):
    """What may be set of simulated trades.

    Attributes
    ----------
    seed
        The same seed and start give the same stream.
    rate
        Mean trades a second, of all venues and symbols together.
    incidents
        What is planted; None: a mix of everything, for ever.
    every
        Mean seconds between two incidents of that mix.
    speed
        How many times faster than real the source runs; None: as fast as it can.
    """

    feed: ClassVar[Feed] = CRYPTO
    event: ClassVar[str] = "trade"

    seed: int = 1
    rate: float = 45.0
    incidents: tuple[Incident, ...] | None = None
    every: float = 300.0
    speed: float | None = 1.0

    def __post_init__(self) -> None:
        if not (self.seed >= 0 and self.rate > 0 and self.every > 0):
            raise ConfigError(
                f"cannot simulate with seed {self.seed}, rate {self.rate} and an incident every {self.every} s: the "
                "seed must not be negative, the others must be positive"
            )
        for one in self.incidents or ():
            if one.effect is not None and (one.effect < 0 or (one.effect == 0 and one.kind not in OF_THE_RATE)):
                raise ConfigError(f"cannot plant {one}: the effect is a factor, and a price never falls to nothing")

    def planned(self, start: float) -> Iterator[Planted]:
        """Say what is planted in a stream from `start` on, in order of start."""
        return plan(self.incidents, start, self.seed, self.every, TRADE_KINDS, trade_culprits)

    def maker(self, start: float, planned: Iterator[Planted]) -> TradeTraffic:
        """Begin a stream at `start`."""
        return TradeTraffic(self, start, planned)


class SyntheticTrades(SyntheticSource):
    """Simulated trades in real time, for ever; fulfils :class:`~tracewave_panel.ports.Source`."""

    def __init__(self, settings: TradesSettings | None = None, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(settings or TradesSettings(), clock=clock)


class Trades(msgspec.Struct, frozen=True):
    """Trades as arrays of one length: undisturbed arrival and occurrence in seconds, prices in USD."""

    arrived_at: NDArray[np.float64]
    occurred_at: NDArray[np.float64]
    series: NDArray[np.int64]
    buy: NDArray[np.bool_]
    price: NDArray[np.float64]
    quantity: NDArray[np.float64]
    notional: NDArray[np.float64]

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Trades:
        """Trades at these positions, or where this is true."""
        return Trades(*(column[which] for column in msgspec.structs.astuple(self)))

    def event(self, position: int, *, id: str, time: float, arrived_at: float) -> Event:  # noqa: A002
        """Make the Event of one position. It has no link: nobody ever made such a trade."""
        series = int(self.series[position])
        dimensions = _DIMENSIONS[series][int(self.buy[position])]
        _, symbol, side = dimensions
        price, quantity = float(self.price[position]), float(self.quantity[position])
        return Event(
            time=time,
            occurred_at=float(self.occurred_at[position]),
            arrived_at=arrived_at,
            series=CRYPTO.series[series],
            id=id,
            dimensions=dimensions,
            measures=(price, quantity, float(self.notional[position])),
            actor=side,
            subject=symbol,
            title=f"{side} {quantity:g} {symbol.partition('-')[0]} at {price:,.2f} USD",
        )


class TradeTraffic(Timetable):
    """Endless trades of one seed and start.

    Parameters
    ----------
    start
        Seconds since the epoch, whole.
    planned
        What will be planted, in order of start; taken as time comes to it.

    Attributes
    ----------
    until
        Up to where trades were made, seconds.
    """

    most_a_read = 5000
    heartbeat = 0.5  # each venue sends one a second; bursts leave silences that look like stalls without them

    def __init__(self, settings: TradesSettings, start: float, planned: Iterator[Planted]) -> None:
        super().__init__(planned)
        # what is planted draws by itself, so that it leaves everything else as it was
        of_market, self._rng, self._of_incidents = np.random.default_rng([settings.seed, int(start), 1]).spawn(3)
        self._market = Market(of_market, settings.rate / _FILLS_AN_ORDER)
        self._shifted = np.zeros(len(SYMBOL_OF))  # by incidents that are over
        self.until = start

    def block(self) -> Trades:
        """Make the trades of the next minute, in order of arrival."""
        begin, self.until = self.until, self.until + SECONDS
        for one in self.active:
            if one.end <= begin:
                self._shifted += price_shift(one, np.array([one.end])) * touched(one.culprit)
        self.take_up(begin, self.until)
        minute = self._market.minute(begin)
        seconds = begin + np.arange(SECONDS, dtype=np.float64)
        lean = self._lean(seconds, minute)
        layers = [self._trades(self._rng, minute.orders, lean, seconds, minute)]
        for one in self.active:
            if one.kind not in FAULTS:
                extra = minute.expected * extra_orders(one, seconds)[:, None] * touched(one.culprit)
                orders = self._of_incidents.poisson(extra * self._of_incidents.gamma(2, 1 / 2, (SECONDS, 1)))
                layers.append(self._trades(self._of_incidents, orders, lean, seconds, minute))
        trades = Trades(*(np.concatenate(column) for column in zip(*map(msgspec.structs.astuple, layers), strict=True)))
        for one in self.active:
            if one.effect < 1 and one.kind in OF_THE_RATE:
                trades = self._thinned(trades, one)
        return trades.take(np.argsort(trades.arrived_at, kind="stable"))

    def _trades(
        self,
        rng: np.random.Generator,
        orders: NDArray[np.int64],
        lean: NDArray[np.float64],
        seconds: NDArray[np.float64],
        minute: Minute,
    ) -> Trades:
        cells = np.repeat(np.arange(orders.size), orders.ravel())
        # on half milliseconds, so that none lies on the border of a second
        within = (np.floor(rng.random(len(cells)) * 1000) + 0.5) / 1000
        second, series = np.divmod(cells, orders.shape[1])
        buy = rng.random(len(cells)) < 1 / (1 + np.exp(-_LEAN * lean[second, series]))
        fills = np.minimum((1 - rng.random(len(cells))) ** (-1 / _FILLS), _MOST_FILLS).astype(np.int64)
        second, series, within, buy = (np.repeat(column, fills) for column in (second, series, within, buy))
        times = np.round(seconds[second] + within, 4)
        symbol = SYMBOL_OF[series]
        log_price = minute.path[second, symbol] * (1 - within) + minute.path[second + 1, symbol] * within
        log_price += minute.basis[second, series] + np.where(buy, 1, -1) * _HALF_SPREADS[series]
        price = np.round(np.exp(log_price + self._shift(times, series)), 2)
        size = np.exp(rng.normal(np.log(_SIZE_MEDIAN), _SIZE_SPREAD, len(times))).clip(max=_LARGEST) / price
        unit = 10.0 ** -_DECIMALS[series]
        quantity = np.round(np.maximum(np.round(size / unit), 1) * unit, 5)
        lag = _LAGS[series] * np.exp(rng.normal(0, _LAG_SPREAD, len(times)))
        return Trades(times, np.round(times - lag, 4), series, buy, price, quantity, np.round(price * quantity, 2))

    def _lean(self, seconds: NDArray[np.float64], minute: Minute) -> NDArray[np.float64]:
        """How much each second and series leans to buying, also because an incident moves the price."""
        lean = minute.lean[:, SYMBOL_OF]
        usual_move = np.diff(minute.path, axis=0).std(0)[SYMBOL_OF]
        for one in self.active:
            slope = price_shift(one, seconds + 1) - price_shift(one, seconds)
            lean = lean + np.clip(slope[:, None] / usual_move, -_STEEPEST, _STEEPEST) * touched(one.culprit)
        return lean

    def _shift(self, times: NDArray[np.float64], series: NDArray[np.int64]) -> NDArray[np.float64]:
        shift = self._shifted[series]
        for one in self.active:
            shift = shift + price_shift(one, times) * touched(one.culprit)[series]
        return shift

    def _thinned(self, trades: Trades, planted: Planted) -> Trades:
        inside = (trades.arrived_at >= planted.start) & (trades.arrived_at < planted.end)
        hit = inside & touched(planted.culprit)[trades.series]
        return trades.take(~hit | (self._of_incidents.random(len(hit)) < planted.effect))


def windows_of(settings: TradesSettings, start: float, windows: int) -> dict[str, NDArray[np.float64]]:
    """Windows of one second of each series as arrays, made without an Event: a day takes about four seconds.

    Trades are counted in the second of their undisturbed arrival; the feed clock has no part in it, so a fault of the
    feed leaves no trace.

    Returns
    -------
    dict[str, NDArray]
        By series: what :class:`~tracewave_panel.core.fold.Fold` makes of the same trades; shape (windows, 4), in the
        order of the feed's features.

    Raises
    ------
    ConfigError
        When there is no window to make.

    Examples
    --------
    >>> made = windows_of(TradesSettings(seed=2), 1_767_225_600.0, 60)
    >>> made["binance:BTC-USD"].shape
    (60, 4)
    """
    if windows < 1:
        raise ConfigError(f"cannot simulate {windows} windows: ask for at least one")
    begin = float(math.floor(start))
    traffic = settings.maker(begin, settings.planned(begin))
    minutes = -(-windows // SECONDS)
    made = np.concatenate([_features(traffic.block(), begin + i * SECONDS) for i in range(minutes)], axis=1)
    return dict(zip(CRYPTO.series, made[:, :windows], strict=True))


def _features(trades: Trades, begin: float) -> NDArray[np.float64]:
    """Rate, volume, last price and share of buys of each second of a minute; shape (series, 60, 4)."""
    cells = trades.series * SECONDS + (trades.arrived_at - begin).astype(np.int64)
    size = len(CRYPTO.series) * SECONDS
    counts = np.bincount(cells, minlength=size).astype(np.float64)
    price = np.zeros(size)
    price[cells] = trades.price  # the last one assigned stays
    buys = np.bincount(cells, weights=trades.buy, minlength=size)
    volume = np.bincount(cells, weights=trades.notional, minlength=size)
    columns = (counts, volume, price, buys / np.maximum(counts, 1))
    return np.asarray(np.stack(columns, axis=1).reshape(len(CRYPTO.series), SECONDS, len(columns)), np.float64)
