"""Windows of simulated edits as arrays, made without an Event: a day takes about two seconds.

The edits are those of :class:`~tracewave_panel.sources.synthetic_traffic.Traffic`, counted in the second of their
undisturbed arrival; the feed clock has no part in it, so there are no faults, marks or late edits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.sources.synthetic_incidents import FAULTS, KINDS, Incident, Planted, culprits, plant
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings, Traffic
from tracewave_panel.sources.synthetic_world import DIMENSIONS, MIX, Columns, join

__all__ = ["Simulated", "features_of", "schedule", "simulated"]

_DAY = 86_400
_CHUNK = 3600  # seconds reduced at a time, so that a week does not stand in memory edit by edit
_NUMBERS = 32  # bits of a page's or an editor's number
_ACTORS = MIX.shape[2]
_IS_BOT = np.array([edit[WIKIMEDIA.dimensions.index("actor")] == "bot" for edit, _ in DIMENSIONS])
_VALUES = [
    np.unique([values[i] for cell in DIMENSIONS for values in cell], return_inverse=True)
    for i in range(len(WIKIMEDIA.dimensions))
]


class Simulated(msgspec.Struct, frozen=True):
    """Windows of one second, and what was planted in them.

    Attributes
    ----------
    features
        As :class:`~tracewave_panel.core.fold.Fold` makes them of the same edits; shape (n, 6), in the feed's order.
    starts
        Of the windows, seconds since the epoch; shape (n,).
    truth
        What was planted, in order of start.
    codes
        Cell and kind of each edit, window by window: twice the cell, plus one where the edit makes a page.
    first
        Position in `codes` of the first edit of each window, and the number of edits; shape (n + 1,).
    """

    features: NDArray[np.float64]
    starts: NDArray[np.float64]
    truth: tuple[Planted, ...]
    codes: NDArray[np.int16]
    first: NDArray[np.int64]

    def dimension_counts(self, begin: int, end: int) -> tuple[Mapping[str, int], ...]:
        """How often each value of each of the feed's dimensions occurred in the windows ``[begin, end)``."""
        codes = self.codes[self.first[begin] : self.first[end]]
        told = []
        for names, value_of_code in _VALUES:
            counts = np.bincount(value_of_code[codes])
            seen = np.flatnonzero(counts)
            told.append(dict(zip(names[seen].tolist(), counts[seen].tolist(), strict=True)))
        return tuple(told)


def simulated(
    settings: SyntheticSettings, start: float, windows: int, *, incidents: Sequence[Incident] = ()
) -> Simulated:
    """Make windows of one second, each the same for the same settings and start.

    Parameters
    ----------
    settings
        Seed, rate and dispersion; what is planted is said by `incidents` alone.
    start
        Seconds since the epoch; a fraction is cut off.

    Raises
    ------
    ConfigError
        When there is no window to make, when an incident cannot be planted, or when it is a fault of the feed, which
        leaves no trace in edits that are counted when they should have arrived.

    Examples
    --------
    >>> made = simulated(SyntheticSettings(seed=2), 1_767_225_600.0, 60)
    >>> made.features.shape, int(made.features[0, 0]), sum(made.dimension_counts(0, 1)[0].values())
    ((60, 6), 11, 11)
    """
    if windows < 1:
        raise ConfigError(f"cannot simulate {windows} windows: ask for at least one")
    faults = sorted({one.kind for one in incidents} & FAULTS)
    if faults:
        raise ConfigError(f"cannot plant {', '.join(faults)} without a feed clock: use simulate() of sources.synthetic")
    begin = math.floor(start)
    truth = [plant(one, float(begin), settings.seed) for one in sorted(incidents, key=lambda one: one.after)]
    truth = [one for one in truth if one.start < begin + windows]
    traffic = Traffic(settings, float(begin), iter(truth))
    features, codes, rates = [], [], []
    left: list[Columns] = []
    for chunk in range(begin, begin + windows, _CHUNK):
        end = min(chunk + _CHUNK, begin + windows)
        while traffic.until < end:
            left.append(traffic.block())
        edits = join(left)
        inside = edits.arrived_at < end  # a time may be rounded up into the next block
        left = [edits.take(~inside)]
        edits = edits.take(inside)
        seconds = (edits.arrived_at - chunk).astype(np.int64)
        features.append(features_of(edits, seconds, end - chunk))
        rates.append(features[-1][:, 0].astype(np.int64))
        codes.append((2 * edits.cell + edits.new).astype(np.int16)[np.argsort(seconds, kind="stable")])
    return Simulated(
        features=np.concatenate(features),
        starts=begin + np.arange(windows, dtype=np.float64),
        truth=tuple(truth),
        codes=np.concatenate(codes),
        first=np.concatenate([[0], np.cumsum(np.concatenate(rates))]),
    )


def features_of(edits: Columns, seconds: NDArray[np.int64], windows: int) -> NDArray[np.float64]:
    """Rate, pages, editors, bot share, new share and mean absolute change of bytes of each second."""
    actor, place = edits.cell % _ACTORS, edits.cell // _ACTORS
    counts = np.bincount(seconds, minlength=windows).astype(np.float64)

    def mean(of_each: NDArray[np.bool_] | NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(seconds, weights=of_each, minlength=windows) / np.maximum(counts, 1))

    return np.column_stack(
        [
            counts,
            _distinct(seconds, place, edits.page, windows),
            _distinct(seconds, actor, edits.editor, windows),
            mean(_IS_BOT[edits.cell]),
            mean(edits.new),
            mean(np.abs(edits.byte_change)),
        ]
    )


def _distinct(
    seconds: NDArray[np.int64], family: NDArray[np.int64], number: NDArray[np.int64], windows: int
) -> NDArray[np.float64]:
    """Count the different (family, number) of each second."""
    keys = np.sort((seconds * MIX.size + family) << _NUMBERS | number)
    new = np.ones(len(keys), bool)
    new[1:] = keys[1:] != keys[:-1]
    return np.bincount((keys[new] >> _NUMBERS) // MIX.size, minlength=windows).astype(np.float64)


def schedule(
    kind: str,
    seed: int,
    days: float,
    *,
    effect: float | None = None,
    length: float | None = None,
    every: float = 2400.0,
    dimensions: Sequence[str] | None = None,
    culprit: Mapping[str, str] | None = None,
    after: float = 3 * 3600.0,
) -> tuple[Incident, ...]:
    """Draw incidents of one kind, one in each `every` seconds, on whole seconds and with quiet between.

    Parameters
    ----------
    kind, effect, length
        As in :class:`~tracewave_panel.sources.synthetic_incidents.Incident`.
    seed
        Of the times and culprits; need not be that of the stream.
    days
        Length of the stream.
    every
        Seconds; at least 300 and three lengths more than `length` are taken.
    dimensions
        Of which each incident draws a value for its culprit; None: those of the kind.
    culprit
        Values that all incidents share.
    after
        Seconds of the stream before the first.

    Raises
    ------
    ConfigError
        When there is no such kind.

    Examples
    --------
    >>> planted = schedule("surge", 1, 1.0, effect=2.0, length=60, dimensions=("wiki",), culprit={"actor": "bot"})
    >>> len(planted), sorted(planted[0].culprit)
    (31, ['actor', 'wiki'])
    """
    if kind not in KINDS:
        raise ConfigError(f"cannot plant {kind!r}: kinds are {', '.join(KINDS)}")
    usual = KINDS[kind]
    length = usual.length if length is None else length
    dimensions = usual.dimensions if dimensions is None else dimensions
    every = max(every, 4 * length, length + 300)
    rng = np.random.default_rng([seed, 77])
    incidents = []
    for slot in np.arange(after, days * _DAY - every + 1, every):
        drawn = {dimension: str(rng.choice(culprits(dimension))) for dimension in dimensions}
        begin = math.floor(slot + rng.uniform(0, every - length - 300))
        incidents.append(Incident(kind, float(begin), length, effect, {**drawn, **(culprit or {})}))
    return tuple(incidents)
