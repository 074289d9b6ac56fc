"""Settings from a TOML file, the environment and the command line; the later wins.

``tracewave.toml`` holds tables (``[window]`` ``width = 60``); the environment the same keys as
``TRACEWAVE_WINDOW__WIDTH=60``; the command line as ``--set window.width=60``.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tracewave_panel.core.analyzer import AnalyzerSettings
from tracewave_panel.core.calibration import Reference
from tracewave_panel.core.detectors import DETECTORS
from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.core.detectors.half_space_trees import TreesSettings
from tracewave_panel.core.detectors.novelty import NoveltySettings
from tracewave_panel.core.detectors.seasonal import SeasonalSettings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.core.ensemble import EnsembleSettings
from tracewave_panel.core.episodes import EpisodeSettings
from tracewave_panel.core.lane import LaneSettings
from tracewave_panel.core.own_history import OwnHistorySettings
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import FEEDS
from tracewave_panel.pipeline import PipelineSettings
from tracewave_panel.references import load_reference, shipped_reference
from tracewave_panel.registry import resolve
from tracewave_panel.sources.synthetic_trades import TradesSettings
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings
from tracewave_panel.sources.wikimedia import WikimediaSettings

__all__ = ["Settings", "load_settings"]

PREFIX = "TRACEWAVE_"
FILE_NAME = "tracewave.toml"


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of settings that refuses unknown keys."""


class WindowSettings(_Strict, frozen=True):
    """`width` of the tumbling windows in seconds."""

    width: float = 1.0

    def __post_init__(self) -> None:
        """Refuse widths that make no window."""
        if not 0.1 <= self.width <= 86_400:
            msg = f"width must be from 0.1 to 86400 seconds, not {self.width}"
            raise ValueError(msg)


class DetectorsSettings(_Strict, frozen=True):
    """Which detectors run, in which order, and with what parameters."""

    enabled: tuple[str, ...] = tuple(DETECTORS)
    zscore: DeviationSettings = ZScore.defaults
    ewma: DeviationSettings = EwmaChart.defaults
    trees: TreesSettings = TreesSettings()
    novelty: NoveltySettings = NoveltySettings()
    seasonal: SeasonalSettings = SeasonalSettings()

    def __post_init__(self) -> None:
        """Refuse names that are no detectors, and none at all."""
        if not self.enabled:
            raise ValueError(f"at least one detector must run; there are {', '.join(DETECTORS)}")
        for name in self.enabled:
            if name not in DETECTORS:
                msg = f"no detector is called {name!r}; there are {', '.join(DETECTORS)}"
                raise ValueError(msg)


class CalibrationSettings(_Strict, frozen=True):
    """Where the chances of statistics come from.

    Attributes
    ----------
    reference
        File made by ``tracewave calibrate``; empty: what Tracewave ships.
    after
        Seconds after which a feed without a reference has seen enough to make its own.
    """

    reference: str = ""
    after: float = 86_400.0

    def __post_init__(self) -> None:
        """Refuse a history that is none."""
        if self.after <= 0:
            raise ValueError(f"after must be above 0 seconds, not {self.after}")

    def references(self, width: float) -> tuple[Reference, ...]:
        """Tables for windows of `width` seconds; raises ConfigError when the file named is no use."""
        if self.reference:
            return (load_reference(self.reference),)
        shipped = (shipped_reference(feed, width) for feed in FEEDS)
        return tuple(reference for reference in shipped if reference is not None)

    def own_history(self, width: float) -> OwnHistorySettings:
        """How a feed makes its own; a thousand windows are the least."""
        after = max(1000, round(self.after / width))
        return OwnHistorySettings(after=after, refit=max(250, after // 4))


class ExplainSettings(_Strict, frozen=True):
    """Memory of the explaining baselines in seconds, and the most windows an alarm is explained over."""

    memory: float = 1800.0
    windows: int = 60

    def __post_init__(self) -> None:
        """Refuse baselines that forget at once and alarms that last no window."""
        if self.memory <= 0 or self.windows < 1:
            raise ValueError("memory must be above 0 seconds, windows at least 1")


class BusSettings(_Strict, frozen=True):
    """Most events that wait between the feed and the graph."""

    capacity: int = 20_000

    def __post_init__(self) -> None:
        """Refuse a bus that holds nothing."""
        if self.capacity < 1:
            raise ValueError(f"capacity must be at least 1 event, not {self.capacity}")


class StoreSettings(_Strict, frozen=True):
    """How history is kept and used.

    Attributes
    ----------
    commit_interval
        Seconds between two commits.
    rolling
        Length of the rolling recording of live data, seconds.
    warm_start
        Windows of history that detectors learn from where there is no State; 0: none.
    """

    commit_interval: float = 1.0
    rolling: float = 1800.0
    warm_start: int = 300_000

    def __post_init__(self) -> None:
        """Refuse times that run backwards."""
        if self.commit_interval <= 0 or self.rolling <= 0:
            raise ValueError("commit_interval and rolling must be above 0 seconds")
        if self.warm_start < 0:
            raise ValueError(f"warm_start must not be negative, not {self.warm_start}")


class Settings(_Strict, frozen=True):
    """All settings, by section."""

    window: WindowSettings = WindowSettings()
    detectors: DetectorsSettings = DetectorsSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    explain: ExplainSettings = ExplainSettings()
    bus: BusSettings = BusSettings()
    store: StoreSettings = StoreSettings()
    wikimedia: WikimediaSettings = WikimediaSettings()
    synthetic: SyntheticSettings = SyntheticSettings()
    synthetic_trades: TradesSettings = TradesSettings()

    def pipeline(self) -> PipelineSettings:
        """What these settings say of the pipeline, with the detectors' classes found."""
        return PipelineSettings(
            analyzer=AnalyzerSettings(
                lanes=self.lanes(),
                baseline_memory=self.explain.memory,
                explained=self.explain.windows,
                acceptance=self.episodes.acceptance,
            ),
            episodes=self.episodes,
            width=self.window.width,
        )

    def lanes(self) -> LaneSettings:
        """What these settings say of each metric of each series."""
        width = self.window.width
        return LaneSettings(
            detectors={
                name: (resolve(DETECTORS, name), getattr(self.detectors, name)) for name in self.detectors.enabled
            },
            width=width,
            ensemble=self.ensemble,
            references=self.calibration.references(width),
            own_history=self.calibration.own_history(width),
            quiet=self.episodes.quiet,
        )


def load_settings(
    file: Path | None, environment: Mapping[str, str], assignments: Sequence[str] = (), base: Settings | None = None
) -> Settings:
    """Settings from a file, then the environment, then ``section.key=value`` assignments.

    Parameters
    ----------
    file
        A TOML file that must exist, or None to take ``tracewave.toml`` here if there is one.

    Raises
    ------
    ConfigError
        On an unknown key or a bad value, with its name, what is allowed, and the nearest match.

    Examples
    --------
    >>> load_settings(None, {"TRACEWAVE_WINDOW__WIDTH": "60"}).window.width
    60.0
    >>> load_settings(None, {}, ["window.widht=60"])
    Traceback (most recent call last):
    ...
    tracewave_panel.errors.ConfigError: --set window.widht: there is no such setting; did you mean window.width?
    """
    settings = base or Settings()
    changes: dict[tuple[str, ...], dict[str, _Change]] = {}
    for key, value, where in _gather(file, environment, assignments):
        *path, name = key.split(".")
        section = _sections(settings, path)[-1]
        if section is None or name not in section.__struct_fields__ or isinstance(getattr(section, name), Struct):
            raise _unknown(key, where)
        changes.setdefault(tuple(path), {})[name] = _Change(_converted(section, name, value, where), where)
    for section_path, changed in changes.items():
        settings = _assign(settings, section_path, changed)
    return settings


def _gather(
    file: Path | None, environment: Mapping[str, str], assignments: Sequence[str]
) -> Iterator[tuple[str, Any, str]]:
    path = file or Path(FILE_NAME)
    if file or path.is_file():
        for key, value in _flatten(_read(path)):
            yield key, value, f"{path}: {key}"
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX) and "__" in name:
            yield name[len(PREFIX) :].lower().replace("__", "."), value, name
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment}: write it as section.key=value, such as window.width=60")
        yield key.strip(), value.strip(), f"--set {key.strip()}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: the settings file cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file ({error})") from error


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class _Change(NamedTuple):
    value: Any
    where: str


def _sections(settings: Settings, path: Sequence[str]) -> list[Any]:
    """Settings and the sections along a path; the last is None where the path leads nowhere."""
    chain: list[Any] = [settings]
    for part in path:
        child = getattr(chain[-1], part, None)
        if not isinstance(child, Struct):
            return [None]
        chain.append(child)
    return chain


def _converted(section: Struct, name: str, value: Any, where: str) -> Any:
    kind = get_type_hints(type(section))[name]
    try:
        return _finite(msgspec.convert(_literal(value, kind), kind, strict=False))
    except ValueError as error:
        raise ConfigError(f"{where}: {value!r} is not allowed: {error}") from error


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number is wanted")
    return value


def _assign(settings: Settings, path: tuple[str, ...], changed: Mapping[str, _Change]) -> Settings:
    """Change a section all at once, since its rules may tie one value to another."""
    *parents, section = _sections(settings, path)
    try:
        updated: Any = replace(section, **{name: change.value for name, change in changed.items()})
        for parent, part in zip(reversed(parents), reversed(path), strict=True):
            updated = replace(parent, **{part: updated})
    except ValueError as error:
        raise ConfigError(f"{', '.join(change.where for change in changed.values())}: not allowed: {error}") from error
    assert isinstance(updated, Settings)
    return updated


def _literal(value: Any, kind: Any) -> Any:
    """Text such as ``edit,new`` or ``["edit", "new"]`` as a list, where a list is wanted."""
    if get_origin(kind) is not tuple or not isinstance(value, str):
        return value
    if not value.startswith("["):
        return [part.strip() for part in value.split(",") if part.strip()]
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not a list: {error}") from error


def _unknown(key: str, where: str) -> ConfigError:
    known = [name for name, _ in _flatten(msgspec.to_builtins(Settings()))]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return ConfigError(f"{where}: there is no such setting; did you mean {near[0]}?")
    section = key.split(".", maxsplit=1)[0]
    inside = [name for name in known if name.startswith(f"{section}.")]
    listed = ", ".join(inside or sorted({name.split(".")[0] for name in known}))
    return ConfigError(f"{where}: there is no such setting; there are {listed}")
