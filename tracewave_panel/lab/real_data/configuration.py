"""Settings of the engine for small captures: one for all, and what differs by the kind of data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from tracewave_panel.core.own_history import OwnHistorySettings
from tracewave_panel.errors import ConfigError
from tracewave_panel.pipeline import PipelineSettings
from tracewave_panel.settings import Settings

__all__ = ["Configuration", "load_configuration"]


class Configuration(msgspec.Struct, frozen=True):
    """What pipelines are made of.

    Attributes
    ----------
    kinds
        By kind of data.
    variants
        The same with something changed, by the name of the change.
    """

    kinds: Mapping[str, PipelineSettings]
    variants: Mapping[str, Mapping[str, PipelineSettings]]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kinds: Mapping[str, Mapping[str, Any]]
    own_history: OwnHistorySettings = OwnHistorySettings()
    settings: Mapping[str, Any] = {}
    variants: Mapping[str, Mapping[str, Mapping[str, Any]]] = {}


def load_configuration(path: Path | None = None) -> Configuration:
    """Read settings from TOML; those that ship with Tracewave when no file is named.

    ``[settings]`` changes any of :class:`~tracewave_panel.config.Settings` for all kinds of data, ``[kinds.NAME]`` for
    one, ``[variants.CHANGE.NAME]`` in a variant. ``[own_history]`` is that of
    :class:`~tracewave_panel.core.own_history.OwnHistorySettings`, for all.

    Raises
    ------
    ConfigError
        When the file cannot be read, or a setting in it is unknown or not allowed.
    """
    where = str(path or "configuration.toml")
    try:
        content = path.read_bytes() if path else (resources.files(__package__) / "configuration.toml").read_bytes()
        file = msgspec.convert(tomllib.loads(content.decode("utf-8")), _File)
        kinds = {name: _pipeline(file, changes) for name, changes in file.kinds.items()}
        variants = {
            change: kinds | {name: _pipeline(file, file.kinds[name], changes) for name, changes in by_kind.items()}
            for change, by_kind in file.variants.items()
        }
    except OSError as error:
        raise ConfigError(f"{where}: the configuration cannot be read ({error.strerror})") from error
    except KeyError as error:
        raise ConfigError(f"{where}: a variant changes {error}, which is no kind in this file") from error
    except ValueError as error:  # those of TOML, of msgspec and of the settings
        raise ConfigError(f"{where}: {error}") from error
    return Configuration(kinds, variants)


def _pipeline(file: _File, *changes: Mapping[str, Any]) -> PipelineSettings:
    settings = msgspec.to_builtins(Settings())
    for changed in (file.settings, *changes):
        settings = _changed(settings, changed)
    pipeline = msgspec.convert(settings, Settings).pipeline()
    lanes = msgspec.structs.replace(pipeline.analyzer.lanes, own_history=file.own_history)
    return msgspec.structs.replace(pipeline, analyzer=msgspec.structs.replace(pipeline.analyzer, lanes=lanes))


def _changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some of them changed, section by section."""
    changed = dict(settings)
    for name, value in changes.items():
        held = changed.get(name)
        changed[name] = _changed(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return changed
