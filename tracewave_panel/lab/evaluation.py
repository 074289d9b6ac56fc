"""How many false alarms the engine raises on clean simulated edits, and which planted incidents it finds.

Every figure comes from seeds, rates and dispersions that no reference was made of. Detectors are warm: they have seen
three simulated days before the first window that counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.core.calibration import spoke
from tracewave_panel.core.detectors.base import ArrayDetector, Floats
from tracewave_panel.core.episodes import EpisodeSettings
from tracewave_panel.core.lane import LaneSettings, made_of, returns_of, tables_of
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.lab.cases import CASES, Case, CleanRow, Detection, RecallRow
from tracewave_panel.lab.engine import Judged, combine_many, openings
from tracewave_panel.lab.simulated import schedule, simulated
from tracewave_panel.sources.synthetic_incidents import Planted
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings

__all__ = ["clean_and_recall"]

MONDAY = 1_767_571_200.0  # 2026-01-05
DAY = 86_400
DISPERSIONS = (8.0, 4.0, 12.0)
JUDGED_RATE = 30.0
_WARM_DAYS = 3.25
_SETTLING = 7200  # seconds left out where one stream goes over into another
_PLANTED_DAYS = 2.0
_PLANTED_SEEDS = 3
_GRACE = 10  # seconds after the end of a short incident in which an alert still counts
_SHORT = 60
_APART = 100  # seconds between an incident and a stretch without
_METRIC = WIKIMEDIA.metrics[0]


def clean_and_recall(
    lanes: LaneSettings,
    episodes: EpisodeSettings,
    *,
    seeds: int,
    days: float,
    cases: Sequence[Case] = CASES,
    dispersions: Sequence[float] = DISPERSIONS,
    progress: Callable[[float, str], None] = lambda _done, _note: None,
) -> tuple[tuple[CleanRow, ...], tuple[RecallRow, ...]]:
    """Run clean and planted streams, one process a core.

    Parameters
    ----------
    seeds, days
        Clean streams of each dispersion, and the days of each that count. Incidents are planted in streams of
        at most 3 of these seeds and at most 2 days.
    cases
        All of them at the first dispersion, at the others those for everywhere.

    Raises
    ------
    ConfigError
        When there is nothing to run, these settings have no reference, or they alert on some changes only.
    """
    if seeds < 1 or days < 0.5:
        raise ConfigError(f"an evaluation takes at least one seed and half a day, not {seeds} and {days}")
    _require_judgeable(lanes)
    runs = [
        _Run(lanes, episodes, 901 + seed, dispersion, days, ())
        for dispersion, seed in product(dispersions, range(seeds))
    ]
    planted_days = min(days, _PLANTED_DAYS)
    planted = {dispersion: _cases_at(dispersion, dispersions, cases) for dispersion in dispersions}
    for dispersion, seed in product(dispersions, range(min(seeds, _PLANTED_SEEDS))):
        if planted[dispersion]:
            runs.append(_Run(lanes, episodes, 801 + seed, dispersion, planted_days, planted[dispersion]))
    outcomes: list[_Outcome] = []
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        running = [pool.submit(_outcome, run) for run in runs]
        for future in as_completed(running):
            outcomes.append(future.result())
            progress(len(outcomes) / len(runs), f"{len(outcomes)} of {len(runs)} streams")
    return (
        tuple(_clean_row(dispersion, outcomes) for dispersion in dispersions),
        tuple(_recall_row(case, dispersion, outcomes) for dispersion in dispersions for case in planted[dispersion]),
    )


def _cases_at(dispersion: float, dispersions: Sequence[float], cases: Sequence[Case]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case.everywhere or dispersion == dispersions[0])


def _require_judgeable(lanes: LaneSettings) -> None:
    reference, ensemble = lanes.reference_of(WIKIMEDIA.name), lanes.ensemble
    made = {name: made_of(parameters) for name, (_, parameters) in lanes.detectors.items()}
    tables = tables_of(reference, _METRIC.name, made)
    missing = made.keys() - tables.keys()
    if missing:
        raise ConfigError(
            f"there is no reference for {', '.join(sorted(missing))} with these settings and windows of "
            f"{lanes.width:g} s; make one with tracewave calibrate and name it as calibration.reference"
        )
    by_rarity = ensemble.rule == "evidence" and ensemble.minimum_evidence is None
    if by_rarity and spoke(list(made)) not in returns_of(reference, _METRIC.name, tables, ensemble):
        raise ConfigError(
            "the reference does not say how rare evidence is that is made with these ensemble settings; make another "
            "with tracewave calibrate and name it as calibration.reference"
        )
    if ensemble.direction != "both" or ensemble.minimum_change:
        raise ConfigError(
            "the evaluation is of changes up and down and of any size: leave ensemble.direction and "
            "ensemble.minimum_change as they are by default"
        )


class _Run(msgspec.Struct, frozen=True):
    lanes: LaneSettings
    episodes: EpisodeSettings
    seed: int
    dispersion: float
    days: float
    cases: tuple[Case, ...]


class _Outcome(msgspec.Struct, frozen=True):
    """Of a clean run the episodes; of a planted one, by case, each incident's delay (NaN: missed) and chance hits."""

    dispersion: float
    days: float
    episodes: Mapping[str, int] = {}
    without: Mapping[str, int] = {}
    cold: int = 0
    delays: Mapping[Case, Mapping[str, list[float]]] = {}
    chance: Mapping[Case, Mapping[str, list[bool]]] = {}


def _outcome(run: _Run) -> _Outcome:
    settings = SyntheticSettings(seed=run.seed, rate=JUDGED_RATE, dispersion=run.dispersion)
    warm = _Warm(run.lanes, settings)
    return _planted(run, settings, warm) if run.cases else _clean(run, settings, warm)


def _clean(run: _Run, settings: SyntheticSettings, warm: _Warm) -> _Outcome:
    made = simulated(settings, warm.end, int(run.days * DAY) + _SETTLING)
    statistics = warm.statistics(made.features, made.starts)

    def episodes(flags: NDArray[np.bool_]) -> int:
        return len(openings(flags[_SETTLING:], run.episodes))

    without = {}
    for missing in run.lanes.detectors if len(run.lanes.detectors) > 1 else ():
        rest = {name: values for name, values in statistics.items() if name != missing}
        without[missing] = episodes(_combined(rest, run.lanes).alerting)
    alerts = _alerts(_combined(statistics, run.lanes))
    return _Outcome(
        run.dispersion,
        run.days,
        episodes={name: episodes(flags) for name, flags in alerts.items()},
        without=without,
        cold=len(openings(_combined(warm.from_cold, run.lanes).alerting, run.episodes)),
    )


def _planted(run: _Run, settings: SyntheticSettings, warm: _Warm) -> _Outcome:
    delays, chance = {}, {}
    for case in run.cases:
        incidents = schedule(
            case.kind,
            run.seed,
            run.days,
            effect=case.effect,
            length=case.length,
            dimensions=case.dimensions,
            after=_SETTLING + 3600.0,
        )
        made = simulated(settings, warm.end, int(run.days * DAY), incidents=incidents)
        alerts = _alerts(_combined(warm.statistics(made.features, made.starts), run.lanes))
        begin = float(made.starts[0])
        delays[case] = {name: [_delay(flags, one, begin) for one in made.truth] for name, flags in alerts.items()}
        chance[case] = {name: _by_chance(flags, made.truth, begin) for name, flags in alerts.items()}
    return _Outcome(run.dispersion, run.days, delays=delays, chance=chance)


class _Warm:
    """Detectors that have seen the first days of a stream, to go on from as often as one likes."""

    def __init__(self, lanes: LaneSettings, settings: SyntheticSettings) -> None:
        self._lanes = lanes
        made = simulated(settings, MONDAY, int(_WARM_DAYS * DAY))
        self.end = float(made.starts[-1]) + 1.0
        self.from_cold = {}
        self._learned = {}
        for name, detector in self._detectors():
            self.from_cold[name] = detector.score_many(made.features, made.starts)
            self._learned[name] = detector.snapshot()

    def _detectors(self) -> Iterator[tuple[str, ArrayDetector]]:
        for name, (make, parameters) in self._lanes.detectors.items():
            yield name, make(WIKIMEDIA, _METRIC, parameters)

    def statistics(self, features: Floats, starts: Floats) -> dict[str, Floats]:
        statistics = {}
        for name, detector in self._detectors():
            detector.restore(self._learned[name])
            statistics[name] = detector.score_many(features, starts)
        return statistics


def _combined(statistics: Mapping[str, Floats], lanes: LaneSettings) -> Judged:
    made = {name: made_of(lanes.detectors[name][1]) for name in statistics}
    reference = lanes.reference_of(WIKIMEDIA.name)
    tables = tables_of(reference, _METRIC.name, made)
    returns = returns_of(reference, _METRIC.name, tables, lanes.ensemble)
    return combine_many(statistics, tables, returns, lanes)


def _alerts(judged: Judged) -> dict[str, NDArray[np.bool_]]:
    return {"ensemble": judged.alerting} | {name: judged.fired(name) for name in judged.statistics}


def _delay(alerting: NDArray[np.bool_], incident: Planted, begin: float) -> float:
    start = int(incident.start - begin)
    hits = np.flatnonzero(alerting[start : _last(incident, begin)])
    return float(hits[0]) if len(hits) else float("nan")


def _by_chance(alerting: NDArray[np.bool_], truth: Sequence[Planted], begin: float) -> list[bool]:
    """Whether it alerts in a stretch as long before each incident, if the one before is over by then."""
    told, free = [], 0
    for incident in truth:
        start, last = int(incident.start - begin), _last(incident, begin)
        end = start - _APART
        if end - (last - start) >= free:
            told.append(bool(alerting[end - (last - start) : end].any()))
        free = last + _APART
    return told


def _last(incident: Planted, begin: float) -> int:
    # the fall back to normal must not count for a long one
    grace = _GRACE if incident.end - incident.start <= _SHORT else 0
    return int(incident.end - begin) + grace


def _clean_row(dispersion: float, outcomes: Sequence[_Outcome]) -> CleanRow:
    of_it = [one for one in outcomes if one.dispersion == dispersion and one.episodes]
    days = sum(one.days for one in of_it)

    def a_day(counts: Sequence[Mapping[str, int]]) -> dict[str, float]:
        return {name: sum(one[name] for one in counts) / days for name in counts[0]}

    return CleanRow(
        dispersion,
        days,
        a_day([one.episodes for one in of_it]),
        a_day([one.without for one in of_it]),
        sum(one.cold for one in of_it) / (len(of_it) * _WARM_DAYS),
    )


def _recall_row(case: Case, dispersion: float, outcomes: Sequence[_Outcome]) -> RecallRow:
    of_it = [one for one in outcomes if one.dispersion == dispersion and case in one.delays]
    names: Any = of_it[0].delays[case]
    by = {}
    for name in names:
        delays = np.array([delay for one in of_it for delay in one.delays[case][name]])
        found = delays[~np.isnan(delays)]
        by[name] = Detection(
            recall=float(np.mean(~np.isnan(delays))),
            delay=float(np.median(found)) if len(found) else None,
            late=float(np.quantile(found, 0.95)) if len(found) else None,
            chance=float(np.mean([hit for one in of_it for hit in one.chance[case][name]])),
        )
    return RecallRow(case, dispersion, sum(len(one.delays[case]["ensemble"]) for one in of_it), by)
