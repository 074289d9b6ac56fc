"""Settings of the engine for small captures: one for all, and what differs by the kind of data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from tracewave_panel.config import Settings
from tracewave_panel.core.own_history import OwnHistorySettings
from tracewave_panel.errors import ConfigError
from tracewave_panel.pipeline import PipelineSettings

__all__ = ["load_kinds"]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kinds: Mapping[str, Mapping[str, Any]]
    own_history: OwnHistorySettings = OwnHistorySettings()
    settings: Mapping[str, Any] = {}


def load_kinds(path: Path | None = None) -> dict[str, PipelineSettings]:
    """What a pipeline is made of, by kind of data; as it ships with Tracewave when no file is named.

    ``[settings]`` changes any of :class:`~tracewave_panel.config.Settings` for all kinds, ``[kinds.NAME]`` for one.
    ``[own_history]`` are :class:`~tracewave_panel.core.own_history.OwnHistorySettings` for all, in windows.

    Raises
    ------
    ConfigError
        When the file cannot be read, or a setting in it is unknown or not allowed.
    """
    where = str(path or "configuration.toml")
    try:
        content = path.read_bytes() if path else (resources.files(__package__) / "configuration.toml").read_bytes()
        file = msgspec.convert(tomllib.loads(content.decode("utf-8")), _File)
        return {name: _pipeline(file, changes) for name, changes in file.kinds.items()}
    except OSError as error:
        raise ConfigError(f"{where}: the configuration cannot be read ({error.strerror})") from error
    except ValueError as error:  # those of TOML, of msgspec and of the settings
        raise ConfigError(f"{where}: {error}") from error


def _pipeline(file: _File, changes: Mapping[str, Any]) -> PipelineSettings:
    shipped = msgspec.to_builtins(Settings())
    settings = msgspec.convert(_changed(_changed(shipped, file.settings), changes), Settings)
    pipeline = settings.pipeline()
    lanes = msgspec.structs.replace(pipeline.analyzer.lanes, own_history=file.own_history)
    return msgspec.structs.replace(pipeline, analyzer=msgspec.structs.replace(pipeline.analyzer, lanes=lanes))


def _changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some of them changed, section by section."""
    changed = dict(settings)
    for name, value in changes.items():
        held = changed.get(name)
        changed[name] = _changed(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return changed
