"""Values that stand in the environment or in a file of their own, so that no secret stands among the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tracewave_panel.errors import ConfigError

__all__ = ["ELSEWHERE", "looked_up"]

ELSEWHERE = ("env:", "file:")
"""How a value begins that stands elsewhere."""

_MOST_BYTES = 65_536


def looked_up(given: str, where: str, environment: Mapping[str, str], folder: Path = Path()) -> str:
    """What ``env:NAME`` or ``file:PATH`` holds, without the blanks around it; anything else as it is.

    Parameters
    ----------
    where
        What is looked up, as messages name it.
    folder
        Where a relative path begins.

    Raises
    ------
    ConfigError
        When there is no such variable or file, or it is empty; what it holds is in no message.

    Examples
    --------
    >>> looked_up("env:SHOP_TOKEN", "headers", {"SHOP_TOKEN": "secret"})
    'secret'
    >>> looked_up("plain", "headers", {})
    'plain'
    """
    if not given.startswith(ELSEWHERE):
        return given
    place, _, name = given.partition(":")
    if place == "env":
        found = environment.get(name, "").strip()
        if not found:
            raise ConfigError(f"{where}: the environment has no variable {name}; set it, or write file:PATH")
        return found
    path = folder / Path(name).expanduser()
    try:
        with path.open("rb") as file:
            found = file.read(_MOST_BYTES).decode().strip()
    except OSError as error:
        raise ConfigError(f"{where}: {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: {path} holds no text") from None
    if not found:
        raise ConfigError(f"{where}: {path} is empty")
    return found
