"""Make the reference tables of a feed from clean windows."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.core.calibration import (
    REFERENCE_VERSION,
    DetectorTable,
    Reference,
    Returns,
    spoke,
    subsets,
)
from tracewave_panel.core.detectors.base import Floats
from tracewave_panel.core.lane import LaneSettings, made_of
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import Feed, Metric
from tracewave_panel.lab.engine import evidence_of, statistics_of

__all__ = ["Run", "make_reference"]

_LEAST_WINDOWS = 10_000


class Run(msgspec.Struct, frozen=True):
    """Judged windows of one series in order, from a cold start.

    Attributes
    ----------
    features, starts
        As :meth:`~tracewave_panel.core.detectors.base.ArrayDetector.score_many` takes them.
    left_out
        Windows whose statistics do not count, such as those of an incident; shape (n,).
    """

    features: Floats
    starts: Floats
    left_out: NDArray[np.bool_]


def make_reference(
    feed: Feed,
    settings: LaneSettings,
    groups: Sequence[Sequence[Run]],
    *,
    made_of_words: str,
    progress: Callable[[float, str], None] = lambda _done, _note: None,
) -> Reference:
    """Make a Reference.

    Parameters
    ----------
    groups
        For each kind of clean feed (a rate, a dispersion) its runs. Tables of detectors are of all
        windows; returns are those of the group that alarms most, so that the budget holds for each.
    made_of_words
        What the windows are, for people.

    Raises
    ------
    ConfigError
        When there are fewer than 10,000 windows in which some detector is warm.
    """
    tables: dict[str, dict[str, DetectorTable]] = {}
    returns: dict[str, dict[str, Returns]] = {}
    runs = [run for runs in groups for run in runs]
    steps, done = len(runs) * len(feed.metrics), 0
    for metric in feed.metrics:
        judged: list[Mapping[str, Floats]] = []
        with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
            for statistics in pool.map(partial(_statistics, feed, metric, settings), runs):
                judged.append(statistics)
                done += 1
                progress(done / (steps + 1), f"{metric.name}: run {len(judged)} of {len(runs)}")
        tables[metric.name] = _tables(feed, metric, settings, judged)
        progress(done / (steps + 1), f"{metric.name}: counting episodes")
        returns[metric.name] = _returns(settings, groups, judged, tables[metric.name])
    return Reference(
        version=REFERENCE_VERSION,
        feed=feed.name,
        width=settings.width,
        made_of=made_of_words,
        windows=sum(int(np.count_nonzero(~run.left_out)) for run in runs),
        ensemble=settings.ensemble.making,
        tables=tables,
        returns=returns,
    )


def _statistics(feed: Feed, metric: Metric, settings: LaneSettings, run: Run) -> dict[str, Floats]:
    statistics = statistics_of(feed, metric, settings, run.features, run.starts)
    return {name: np.where(run.left_out, np.nan, values) for name, values in statistics.items()}


def _tables(
    feed: Feed, metric: Metric, settings: LaneSettings, judged: Sequence[Mapping[str, Floats]]
) -> dict[str, DetectorTable]:
    tables = {}
    for name, (make, parameters) in settings.detectors.items():
        pooled = np.concatenate([statistics[name] for statistics in judged])
        pooled = pooled[~np.isnan(pooled)]
        if len(pooled) < _LEAST_WINDOWS:
            continue
        two_sided = make(feed, metric, parameters).two_sided
        tables[name] = DetectorTable.fitted(pooled, two_sided=two_sided, settings=made_of(parameters))
    if not tables:
        raise ConfigError(
            f"a reference for {feed.name} needs at least {_LEAST_WINDOWS:,} windows beyond the warm-up of its "
            f"detectors: record for longer"
        )
    return tables


def _returns(
    settings: LaneSettings,
    groups: Sequence[Sequence[Run]],
    judged: Sequence[Mapping[str, Floats]],
    tables: Mapping[str, DetectorTable],
) -> dict[str, Returns]:
    """Returns of every choice of detectors, over the windows in which all of them spoke."""
    log10_p = [{name: table.log10_many(statistics[name]) for name, table in tables.items()} for statistics in judged]
    returns = {}
    for chosen in subsets(list(tables)):
        evidences = []
        for one in log10_p:
            spoken = {name: one[name] for name in chosen}
            all_spoke = ~np.isnan(np.array(list(spoken.values()))).any(axis=0)
            evidences.append(evidence_of(spoken, settings.ensemble)[all_spoke])
        ordered = iter(evidences)
        by_group = [[next(ordered) for _ in runs] for runs in groups]
        by_group = [kept for kept in ([run for run in runs if len(run)] for runs in by_group) if kept]
        if by_group:
            returns[spoke(chosen)] = Returns.fitted(by_group, settings.quiet)
    return returns
