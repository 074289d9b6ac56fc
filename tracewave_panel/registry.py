"""Registries are literal dicts of ``"module:Class"``, resolved when something is asked for."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import Any

from tracewave_panel.errors import ConfigError

__all__ = ["resolve"]


def resolve(registry: Mapping[str, str], name: str) -> Any:
    """The class behind a name.

    Raises
    ------
    ConfigError
        When the registry has no such name.

    Examples
    --------
    >>> from tracewave_panel.core.detectors import DETECTORS
    >>> resolve(DETECTORS, "zscore").__name__
    'ZScore'
    """
    try:
        return pkgutil.resolve_name(registry[name])
    except KeyError as error:
        raise ConfigError(f"there is no {name!r}; there are {', '.join(registry)}") from error
