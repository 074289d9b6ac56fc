"""A stream of one's own, as a TOML file describes it: where it is read, and what its fields mean."""

from __future__ import annotations

import os
import tomllib
from collections import abc
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from tracewave_panel.elsewhere import looked_up
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import Feature, Metric
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.mapping_checks import is_name
from tracewave_panel.sources.row_values import nearest

__all__ = ["FeedFile", "Format", "ReadSettings", "load_feed", "read_of"]

Format = Literal["ndjson", "csv", "sse", "websocket"]

_TOP = ("name", "title", "noun", "read", "event", "features", "metrics")
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
}
_PACKED = (".gz", ".xz")


class ReadSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where rows come from and how they are read. Times are in seconds. Its repr shows nothing: it may hold secrets.

    Attributes
    ----------
    file, url, stdin
        One of the three. A file is named from the folder of the TOML file.
    format
        Known by the file's suffix or the url's scheme if it is not said; ``ndjson`` of stdin.
    follow
        Whether the file grows: what is written to it is read as it comes, through rotation and truncation.
    begin
        Where a growing file is begun: at its ``end``, as tail does, or at its ``start``.
    clock
        ``arrival``: events count when they arrive, as of every live feed. ``event``: by their own times, as of data
        that has no arrival; a whole file is always read so.
    within
        Field of a JSON message that holds the row, or a list of them.
    only
        Field and text: rows with anything else there are left out, and counted as skipped.
    columns, delimiter
        Of CSV without a first line of names; what is between two cells.
    headers, subscribe
        Of the request; messages to be sent when a WebSocket stands. A url, a header or a message may be ``env:NAME``
        or ``file:PATH``, so that no secret stands in the TOML file.
    types
        Of server-sent events; empty: all.
    max_bytes
        Of a line or message; a longer one is left out and counted.
    lateness, hole
        Of the event clock: how far a row may lie behind the newest, and from which silence on data is missing.
    patience, connect_timeout, idle_timeout, retry_base, retry_cap, batch_interval, checkpoint_interval
        As of :class:`~tracewave_panel.sources.wikimedia.WikimediaSettings`.
    """

    file: str = ""
    url: str = ""
    stdin: bool = False
    format: Format | None = None
    follow: bool = False
    begin: Literal["end", "start"] = "end"
    clock: Literal["arrival", "event"] = "arrival"
    within: str = ""
    only: dict[str, str] = msgspec.field(default_factory=dict)
    columns: tuple[str, ...] = ()
    delimiter: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    subscribe: Any = None
    types: tuple[str, ...] = ()
    max_bytes: int = 1 << 20
    lateness: float = 10.0
    hole: float = 3600.0
    patience: float = 30.0
    connect_timeout: float = 10.0
    idle_timeout: float = 60.0
    retry_base: float = 0.5
    retry_cap: float = 60.0
    batch_interval: float = 0.1
    checkpoint_interval: float = 60.0

    def __repr__(self) -> str:
        return "ReadSettings(...)"


class FeedFile(msgspec.Struct, frozen=True):
    """A TOML file that was understood; `read.format` is always said, and secrets are looked up."""

    path: Path
    read: ReadSettings
    mapping: Mapping

    @property
    def whole(self) -> bool:
        """Whether all rows are there already."""
        return bool(self.read.file) and not self.read.follow


def load_feed(path: Path | str, environment: abc.Mapping[str, str] | None = None) -> FeedFile:
    """Read a feed's TOML file.

    Parameters
    ----------
    environment
        Where ``env:NAME`` is looked up; None: this process's.

    Raises
    ------
    ConfigError
        When it cannot be read or used, with the file, the key and what is allowed.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: the feed's file cannot be read ({error.strerror}); check the name") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file ({error})") from error
    try:
        _check_keys(tables, _TOP, "")
        read = _read(tables.get("read", {}), path.parent, os.environ if environment is None else environment)
        mapping = _mapping(tables, path)
        _check_together(read, mapping)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error.__cause__
    return FeedFile(path, read, mapping)


def read_of(path: Path | str, **settings: Any) -> ReadSettings:
    """How a whole file is read whose name tells its format; raises ConfigError when it does not."""
    return _read({"file": str(path), **settings}, Path(), {})


def _check_keys(table: Any, allowed: abc.Collection[str], where: str) -> None:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: a table is wanted, such as [{where.strip('[]') or 'read'}]")
    for key in table:
        if key not in allowed:
            raise ConfigError(f"{where} {key}: there is no such key; {nearest(key, allowed)}".strip())


def _mapping(tables: abc.Mapping[str, Any], path: Path) -> Mapping:
    top = {key: tables[key] for key in ("name", "title", "noun") if key in tables}
    stem = path.stem.lower()
    top.setdefault("name", stem if is_name(stem) else "own")
    event = tables.get("event", {})
    fields = set(Mapping.__struct_fields__) - {"name", "title", "noun", "features", "metrics"}
    _check_keys(event, sorted(fields), "[event]")
    lists: dict[str, tuple[Any, ...]] = {}
    for kind, entry in (("features", Feature), ("metrics", Metric)):
        found = tables.get(kind, [])
        if not isinstance(found, list):
            raise ConfigError(f"{kind}: tables are wanted, each beginning with [[{kind}]]")
        for number, table in enumerate(found, 1):
            _check_keys(table, entry.__struct_fields__, f"[[{kind}]] {number}:")
        lists[kind] = tuple(_converted(table, entry, f"[[{kind}]] {n}:") for n, table in enumerate(found, 1))
    _converted(top, _Names, "")
    try:
        return Mapping(**{**top, **_typed(event), **lists})
    except ConfigError as error:
        key = str(error).partition(":")[0]
        raise ConfigError(f"[event] {error}" if key in fields else str(error)) from None


class _Names(msgspec.Struct):
    name: str = ""
    title: str = ""
    noun: str = ""


def _typed(event: dict[str, Any]) -> dict[str, Any]:
    """Fields of [event], each of the type that it should have."""
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(Mapping)}
    return {key: _converted(value, kinds[key], f"[event] {key}:") for key, value in event.items()}


def _converted(value: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        key = place.strip("`.")
        words = what.replace("Object missing required field", "missing: the key")
        raise ConfigError(f"{where} {key + ': ' if key else ''}{words}".strip()) from None


def _read(table: Any, folder: Path, environment: abc.Mapping[str, str]) -> ReadSettings:
    _check_keys(table, ReadSettings.__struct_fields__, "[read]")
    given = dict(table)
    for key in ("url", "headers", "subscribe"):
        if key in given:
            given[key] = _looked_up(given[key], f"[read] {key}", folder, environment)
    read: ReadSettings = _converted(given, ReadSettings, "[read]")
    ways = [key for key in ("file", "url", "stdin") if getattr(read, key)]
    if len(ways) != 1:
        which = " and ".join(ways) or "none"
        raise ConfigError(f"[read]: it says where rows come from by one of file, url and stdin = true, not by {which}")
    form, allowed = _formats(read, ways[0])
    if form not in allowed:
        raise ConfigError(f"[read] format: {ways[0]} is read as {' or '.join(allowed)}, not as {form}")
    file = str((folder / Path(read.file).expanduser()).resolve()) if read.file else ""
    read = msgspec.structs.replace(read, format=form, file=file, delimiter=_delimiter(read))
    _check_read(read, given)
    return read


def _formats(read: ReadSettings, way: str) -> tuple[Format, tuple[Format, ...]]:
    """The format, and those that could be."""
    if way == "url":
        scheme = urlsplit(read.url).scheme
        if scheme in {"ws", "wss"}:
            return read.format or "websocket", ("websocket",)
        if scheme not in {"http", "https"}:
            raise ConfigError("[read] url: it has to begin with https://, http://, wss:// or ws://")
        return read.format or "sse", ("sse", "ndjson")
    if way == "stdin":
        return read.format or "ndjson", ("ndjson", "csv")
    suffixes = [suffix for suffix in Path(read.file).suffixes if suffix not in _PACKED]
    form = read.format or _SUFFIXES.get(suffixes[-1] if suffixes else "")
    if form is None:
        raise ConfigError(f"[read] format: {Path(read.file).name} does not tell; say ndjson or csv")
    return form, ("ndjson", "csv")


def _delimiter(read: ReadSettings) -> str:
    return read.delimiter or ("\t" if ".tsv" in Path(read.file).suffixes else ",")


_BELONGS: dict[str, tuple[str, abc.Callable[[ReadSettings], bool]]] = {
    "follow": ("a file", lambda read: bool(read.file)),
    "begin": ("a file with follow = true", lambda read: read.follow),
    "headers": ("a url", lambda read: bool(read.url)),
    "subscribe": ("a WebSocket", lambda read: read.format == "websocket"),
    "types": ("server-sent events", lambda read: read.format == "sse"),
    "columns": ("CSV", lambda read: read.format == "csv"),
    "delimiter": ("CSV", lambda read: read.format == "csv"),
    "within": ("JSON", lambda read: read.format != "csv"),
}
_LEAST = {"hole": 1.0, "max_bytes": 64, "batch_interval": 0.01, "lateness": 0.0}


def _check_read(read: ReadSettings, given: abc.Mapping[str, Any]) -> None:
    for key, (what, belongs) in _BELONGS.items():
        if key in given and not belongs(read):
            raise ConfigError(f"[read] {key}: belongs to {what}; take it out")
    if read.file and not read.follow and given.get("clock") == "arrival":
        raise ConfigError("[read] clock: a whole file has no arrival; take it out, or say follow = true")
    if len(read.delimiter) != 1 or read.delimiter in '"\r\n':
        raise ConfigError(f"[read] delimiter: one character is wanted, not {read.delimiter!r}")
    if read.follow and Path(read.file).suffix in _PACKED:
        raise ConfigError("[read] follow: a packed file cannot grow; take follow out")
    for key in read.__struct_fields__:
        value, least = getattr(read, key), _LEAST.get(key, 0.001)
        if isinstance(value, int | float) and not isinstance(value, bool) and not least <= value <= 1e9:
            raise ConfigError(f"[read] {key}: from {least:g} to 1e9 is allowed, not {value:g}")
    for name, value in read.headers.items():
        if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
            raise ConfigError(f"[read] headers: {name}: plain ASCII on one line is wanted")


def _check_together(read: ReadSettings, mapping: Mapping) -> None:
    if not mapping.time and (read.clock == "event" or (read.file and not read.follow)):
        raise ConfigError("[event] time: missing; say which field holds when a row happened")


def _looked_up(value: Any, where: str, folder: Path, environment: abc.Mapping[str, str]) -> Any:
    """A value with every one in it that stands elsewhere replaced by what is there."""
    if isinstance(value, dict):
        return {key: _looked_up(inner, f"{where}: {key}", folder, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [_looked_up(inner, where, folder, environment) for inner in value]
    return looked_up(value, where, environment, folder) if isinstance(value, str) else value
