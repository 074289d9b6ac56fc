"""What can be planted into simulated edits, and when: the ground truth of every simulated stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from tracewave_panel.errors import ConfigError
from tracewave_panel.sources.synthetic_world import VALUES

__all__ = [
    "FAULTS",
    "KINDS",
    "Incident",
    "Kind",
    "Planted",
    "Timetable",
    "culprits",
    "default_schedule",
    "plan",
    "plant",
]

_FREQUENT = 25


class Kind(msgspec.Struct, frozen=True):
    """A sort of incident.

    Attributes
    ----------
    effect
        What it multiplies the rate by, if nothing else is said.
    length
        Seconds, if nothing else is said.
    dimensions
        Where its culprit is drawn from; none: it touches everything alike.
    weight
        How often it comes in the default schedule; 0: only when it is asked for.
    """

    effect: float
    length: float
    dimensions: tuple[str, ...] = ()
    weight: float = 1.0


KINDS: Mapping[str, Kind] = {
    "bot_burst": Kind(2.5, 60, ("wiki",), weight=2),
    "surge": Kind(1.5, 120),
    "wiki_spike": Kind(1.8, 90, ("wiki",), weight=2),
    "namespace_spike": Kind(1.8, 90, ("namespace",)),
    "actor_spike": Kind(1.8, 90, ("actor",)),
    "language_spike": Kind(1.8, 90, ("language",)),
    "flash_crowd": Kind(2.5, 180, weight=1.5),
    "drift": Kind(1.6, 900, weight=0.5),
    "drop": Kind(0.3, 90, weight=1.5),
    "outage": Kind(0.0, 60, weight=0.5),
    "feed_stall": Kind(0.0, 8),
    "reconnect_backlog": Kind(0.0, 45),
    "burst": Kind(5.0, 3, ("wiki", "actor"), weight=0),
}
"""Incidents by name.

A ``bot_burst`` is one bot on one wiki; a ``flash_crowd`` rises fast and fades; a ``drift`` creeps up; a ``burst`` is
over in seconds. An ``outage`` has no edits on a feed that proves to be alive. ``feed_stall`` and ``reconnect_backlog``
are faults of the feed: edits go on, and arrive in one heap when the stall ends or the connection is back.
"""

FAULTS = frozenset(("feed_stall", "reconnect_backlog"))
"""Kinds that are no anomaly of the edits: an alarm about them is a false one, except that a feed is silent."""


class Incident(msgspec.Struct, frozen=True):
    """Something to plant; what is None is filled in by kind and seed.

    Attributes
    ----------
    kind
        One of :data:`KINDS`, or of another feed's.
    after
        Seconds from the start of the stream.
    length
        Seconds.
    effect
        Factor on the whole rate; below 1, on the culprit's own rate.
    culprit
        Value by dimension; empty: everything.
    """

    kind: str
    after: float
    length: float | None = None
    effect: float | None = None
    culprit: dict[str, str] | None = None


class Planted(msgspec.Struct, frozen=True):
    """Ground truth: what was planted from `start` to `end`, by the arrival clock in seconds."""

    start: float
    end: float
    kind: str
    effect: float
    culprit: dict[str, str]


def plant(
    incident: Incident,
    start: float,
    seed: int,
    kinds: Mapping[str, Kind] = KINDS,
    choices: Callable[[str], Sequence[str]] | None = None,
) -> Planted:
    """Fill in what an incident leaves open, for a stream that began at `start`.

    Parameters
    ----------
    choices
        Values of a dimension that a culprit is drawn from; None: :func:`culprits`.

    Raises
    ------
    ConfigError
        When there is no such kind, or its length is not positive.
    """
    kind = kinds.get(incident.kind)
    length = incident.length if incident.length is not None or kind is None else kind.length
    if kind is None or length is None or length <= 0:
        msg = f"cannot plant {incident}: kinds are {', '.join(kinds)}, and the length must be positive"
        raise ConfigError(msg)
    culprit = incident.culprit
    if culprit is None:
        rng = np.random.default_rng([seed, 78, int(incident.after)])
        culprit = {dimension: str(rng.choice((choices or culprits)(dimension))) for dimension in kind.dimensions}
    if incident.kind == "bot_burst":
        culprit = {**culprit, "actor": "bot"}
    begin = start + incident.after
    effect = kind.effect if incident.effect is None else incident.effect
    return Planted(begin, begin + length, incident.kind, effect, culprit)


def culprits(dimension: str) -> tuple[str, ...]:
    """Values of a dimension that a culprit is drawn from."""
    # the first value of the others is so frequent that a rise of it is hardly one
    return ("bot", "anonymous") if dimension == "actor" else VALUES[dimension][1:_FREQUENT]


def default_schedule(seed: int, every: float, kinds: Mapping[str, Kind] = KINDS) -> Iterator[Incident]:
    """Give incidents of all kinds for ever, one about each `every` seconds, with quiet in between."""
    rng = np.random.default_rng([seed, 77])
    names = list(kinds)
    weights = np.array([kind.weight for kind in kinds.values()])
    free = 0.0
    while True:
        after = free + every * rng.uniform(0.5, 1.0)
        name = str(rng.choice(names, p=weights / weights.sum()))
        yield Incident(name, float(round(after)))
        free = after + kinds[name].length


def plan(
    incidents: Sequence[Incident] | None,
    start: float,
    seed: int,
    every: float,
    kinds: Mapping[str, Kind] = KINDS,
    choices: Callable[[str], Sequence[str]] | None = None,
) -> Iterator[Planted]:
    """Plant these incidents in order of start, or the default schedule for None, as :func:`plant` does one."""
    if incidents is None:
        ordered = default_schedule(seed, every, kinds)
    else:
        ordered = iter(sorted(incidents, key=lambda incident: incident.after))
    return (plant(incident, start, seed, kinds, choices) for incident in ordered)


class Timetable:
    """Takes what is planned as time comes to it.

    Parameters
    ----------
    planned
        In order of start.

    Attributes
    ----------
    planted
        What has been taken so far.
    active
        What of it may touch the stretch that was last taken up.
    """

    def __init__(self, planned: Iterator[Planted]) -> None:
        self._planned = planned
        self._next = next(planned, None)
        self.planted: list[Planted] = []
        self.active: list[Planted] = []

    def take_up(self, begin: float, until: float) -> None:
        """Go on to the stretch ``[begin, until)``."""
        while self._next is not None and self._next.start < until:
            self.planted.append(self._next)
            self.active.append(self._next)
            self._next = next(self._planned, None)
        self.active = [one for one in self.active if one.end > begin]
