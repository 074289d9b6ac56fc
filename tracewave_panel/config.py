"""Settings from a TOML file, the environment and the command line; the later wins.

``tracewave.toml`` holds tables (``[window]`` ``width = 60``); the environment the same keys as
``TRACEWAVE_WINDOW__WIDTH=60``; the command line as ``--set window.width=60``. A list of tables
(``[[notify]]``) is given as a whole; its values may be secret, and no message shows one.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tracewave_panel.errors import ConfigError
from tracewave_panel.settings import Settings

__all__ = ["Settings", "load_settings"]

PREFIX = "TRACEWAVE_"
FILE_NAME = "tracewave.toml"


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
    for key, given, where in _gather(file, environment, assignments):
        *path, name = key.split(".")
        value, table = given, _table(settings, path)
        if table is not None:  # an entry of a setting that is itself a table, such as ensemble.weights
            *path, setting = path
            change = changes.get(tuple(path), {}).get(setting)
            name, value = setting, {**(change.value if change else table), name: given}
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


def _table(settings: Settings, path: Sequence[str]) -> Mapping[str, Any] | None:
    """The setting at a path, if it is a table of its own and no section."""
    *parents, name = path or ("",)
    held = getattr(_sections(settings, parents)[-1], name, None)
    return held if isinstance(held, Mapping) else None


def _converted(section: Struct, name: str, value: Any, where: str) -> Any:
    kind = get_type_hints(type(section))[name]
    entry = _entry(kind)
    if entry is not None:
        return _entries(entry, value, where)
    try:
        return _finite(msgspec.convert(_literal(value, kind), kind, strict=False))
    except ValueError as error:
        told = "that value" if getattr(section, "discreet", False) else repr(value)
        raise ConfigError(f"{where}: {told} is not allowed: {error}") from error


def _entry(kind: Any) -> type[Struct] | None:
    """What the tables of a list of tables become; None for any other kind of setting."""
    entry = get_args(kind)[0] if get_origin(kind) is tuple else None
    return entry if isinstance(entry, type) and issubclass(entry, Struct) else None


def _entries(entry: type[Struct], value: Any, where: str) -> tuple[Struct, ...]:
    try:
        tables = _literal(value, tuple) if isinstance(value, str) and value.startswith("[") else value
    except ValueError:
        tables = None
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise ConfigError(f"{where}: a list of tables is wanted, each with {', '.join(entry.__struct_fields__)}")
    made: dict[str, Struct] = {}
    for number, table in enumerate(tables, 1):
        try:
            built: Any = msgspec.convert(table, entry, strict=False)
        except ValueError as error:
            raise ConfigError(f"{where}, table {number}: not allowed: {error}") from None
        if built.name in made:
            raise ConfigError(f"{where}, table {number}: another one is called {built.name} already")
        made[built.name] = built
    return tuple(made.values())


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
    if (get_origin(kind) or kind) is not tuple or not isinstance(value, str):
        return value
    if not value.startswith("["):
        return [part.strip() for part in value.split(",") if part.strip()]
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not a list: {error}") from error


def _unknown(key: str, where: str) -> ConfigError:
    section = key.split(".", maxsplit=1)[0]
    entry = _entry(get_type_hints(Settings).get(section))
    if entry is not None:
        fields = ", ".join(f"{section}.{name}" for name in entry.__struct_fields__)
        return ConfigError(f"{where}: write it within [[{section}]] in the settings file; there are {fields}")
    known = [name for name, _ in _flatten(msgspec.to_builtins(Settings()))]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return ConfigError(f"{where}: there is no such setting; did you mean {near[0]}?")
    inside = [name for name in known if name.startswith(f"{section}.")]
    listed = ", ".join(inside or sorted({name.split(".")[0] for name in known}))
    return ConfigError(f"{where}: there is no such setting; there are {listed}")
