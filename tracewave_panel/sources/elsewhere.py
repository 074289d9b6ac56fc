"""Values that stand in the environment or in a file of their own, so that no secret stands in a TOML file."""

from __future__ import annotations

from collections import abc
from pathlib import Path
from typing import Any

from tracewave_panel.errors import ConfigError

__all__ = ["looked_up"]

_ELSEWHERE = ("env:", "file:")
_MOST_BYTES = 65_536


def looked_up(value: Any, where: str, folder: Path, environment: abc.Mapping[str, str]) -> Any:
    """A value with every ``env:NAME`` and ``file:PATH`` in it replaced by what that holds.

    Raises
    ------
    ConfigError
        When there is no such variable or file; what it holds is in no message.
    """
    if isinstance(value, dict):
        return {key: looked_up(inner, f"{where}: {key}", folder, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [looked_up(inner, where, folder, environment) for inner in value]
    if not isinstance(value, str) or not value.startswith(_ELSEWHERE):
        return value
    place, _, name = value.partition(":")
    if place == "env":
        found = environment.get(name, "").strip()
        if not found:
            raise ConfigError(f"[read] {where}: the environment has no variable {name}; set it, or write file:PATH")
        return found
    path = folder / Path(name).expanduser()
    try:
        found = path.read_bytes()[:_MOST_BYTES].decode().strip()
    except OSError as error:
        raise ConfigError(f"[read] {where}: {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise ConfigError(f"[read] {where}: {path} holds no text") from None
    if not found:
        raise ConfigError(f"[read] {where}: {path} is empty")
    return found
