"""The engine on a benchmark's series: one configuration for all, one row at a time, on event time.

It is the live :class:`~tracewave_panel.core.lane.Lane` with detectors from the registry. A series has no reference, so
the lane reads chances from the series' own past. Rows are its windows, however far apart they are: how far is known
only from rows to come.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import numpy as np

from tracewave_panel.core.detectors import DETECTORS
from tracewave_panel.core.ensemble import EnsembleSettings, combine
from tracewave_panel.core.lane import Lane, LaneSettings
from tracewave_panel.core.own_history import OwnHistorySettings
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import Feature, Feed, Metric
from tracewave_panel.lab.nab.corpus import Floats
from tracewave_panel.model import Window
from tracewave_panel.registry import resolve

__all__ = ["ENSEMBLE", "OLDER_ENSEMBLE", "SERIES_FEED", "load_configuration", "stream_series"]

ENSEMBLE = "ensemble"
OLDER_ENSEMBLE = "older ensemble"
_CLASSIC = ("zscore", "ewma", "trees")
_AGREEMENT = EnsembleSettings(rule="agreement")

SERIES_FEED = Feed(
    name="series",
    title="Values in time",
    dimensions=(),
    measures=("value",),
    features=(Feature("value", "last", "value"),),
    metrics=(Metric("value", "value", "", "value", kind="value"),),
    series=(),
    place="",
    who="",
)
"""One value a window, and nothing else."""


def load_configuration(path: Path | None = None) -> LaneSettings:
    """Read a lane's settings from TOML; those that ship with Tracewave when no file is named.

    ``[lanes.NAME]`` names a ``detector`` of the registry and its settings; ``[ensemble]`` and ``[own_history]`` are
    those of :class:`~tracewave_panel.core.ensemble.EnsembleSettings` and
    :class:`~tracewave_panel.core.own_history.OwnHistorySettings`.

    Raises
    ------
    ConfigError
        When the file cannot be read, or a setting in it is unknown or not allowed.
    """
    where = str(path or "frozen.toml")
    try:
        content = path.read_bytes() if path else (resources.files(__package__) / "frozen.toml").read_bytes()
        tables = tomllib.loads(content.decode("utf-8"))
        lanes = _section("lanes", tables.pop("lanes", {}), dict[str, dict[str, Any]])
        settings = LaneSettings(
            detectors={name: _detector(name, table) for name, table in lanes.items()},
            ensemble=_section("ensemble", tables.pop("ensemble", {}), EnsembleSettings),
            own_history=_section("own_history", tables.pop("own_history", {}), OwnHistorySettings),
        )
    except OSError as error:
        raise ConfigError(f"{where}: the configuration cannot be read ({error.strerror})") from error
    except (ValueError, tomllib.TOMLDecodeError) as error:  # msgspec's errors and those of settings are ValueErrors
        raise ConfigError(f"{where}: {error}") from error
    if tables or not lanes:
        found = f"there is {', '.join(tables)} besides" if tables else "there is no lane"
        raise ConfigError(f"{where}: wanted are lanes, ensemble and own_history; {found}")
    return settings


def _detector(lane: str, table: dict[str, Any]) -> tuple[Any, Any]:
    name = table.pop("detector", lane)
    if name not in [*DETECTORS]:  # a list, for what has no hash
        raise ValueError(f"[lanes.{lane}]: no detector is called {name!r}; there are {', '.join(DETECTORS)}")
    if lane in {ENSEMBLE, OLDER_ENSEMBLE}:
        raise ValueError(f"[lanes.{lane}]: a lane cannot be called so, as this is what the whole is called")
    make = resolve(DETECTORS, name)
    return make, _section(f"lanes.{lane}", table, get_type_hints(make.__init__)["settings"])


def _section(name: str, table: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(table, kind)
    except ValueError as error:
        raise ValueError(f"[{name}]: {error}") from error


def stream_series(name: str, timestamps: Floats, values: Floats, settings: LaneSettings) -> Mapping[str, Floats]:
    """Judge a series row by row.

    Parameters
    ----------
    timestamps, values
        Seconds since the epoch, and values; shape (n,).

    Returns
    -------
    Mapping
        A score a row, shape (n,): for the ensemble its evidence, for the first Tracewave's ensemble of the three
        classic detectors its confidence, and for each lane ``-log10 p`` (0 where it abstains).
    """
    lane = Lane(SERIES_FEED, SERIES_FEED.metrics[0], settings)
    told = {one: np.zeros(len(values)) for one in (ENSEMBLE, OLDER_ENSEMBLE, *settings.detectors)}
    for row, (start, value) in enumerate(zip(timestamps.tolist(), values.tolist(), strict=True)):
        window = Window(name, start, settings.width, 1, (value,), ())
        judged = lane.judge(window)
        lane.learn(window)
        told[ENSEMBLE][row] = judged.evidence
        classic = [score for score in judged.scores if score.detector in _CLASSIC]
        told[OLDER_ENSEMBLE][row] = combine(classic, _AGREEMENT).confidence
        for score in judged.scores:
            if score.warm:
                told[score.detector][row] = -np.log10(score.p)
    return told
