"""Whether this machine is ready to run Tracewave, and if not, what is to be done."""

from __future__ import annotations

import platform
import re
import shutil
import socket
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import msgspec

from tracewave_panel.config import Settings
from tracewave_panel.plan import BUNDLED, PROBE_SECONDS
from tracewave_panel.sources.wikimedia import probe

__all__ = ["Finding", "examine"]

_LEAST_FREE = 1 << 30


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; `words` say what to do when it is not `fine`."""

    subject: str
    fine: bool
    words: str


async def examine(settings: Settings, *, port: int, api_port: int, data: Path) -> list[Finding]:
    """Look at everything that a first run depends on; changes nothing."""
    unreachable = await probe(settings.wikimedia, PROBE_SECONDS)
    return [
        _python(),
        _packages(),
        _port("port", port, "--port"),
        _port("API port", api_port, "--api-port, or --no-api"),
        _folder(data),
        _bundled(),
        Finding(
            "live feed",
            unreachable is None,
            f"{settings.wikimedia.url} answers"
            if unreachable is None
            else f"{unreachable}; `tracewave serve` shows a recording until it answers",
        ),
    ]


def _python() -> Finding:
    fine = sys.version_info >= (3, 11)
    words = platform.python_version() if fine else f"{platform.python_version()}; install Python 3.11 or newer"
    return Finding("Python", fine, words)


def _packages() -> Finding:
    missing = []
    for requirement in requires("tracewave-panel") or ():
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement:
            continue
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", fine=False, words=f"missing {', '.join(missing)}; run `make setup`")
    shown = ", ".join(f"{name} {version(name)}" for name in ("panel", "bokeh", "streamz", "river", "duckdb"))
    return Finding("packages", fine=True, words=shown)


def _port(subject: str, port: int, option: str) -> Finding:
    with socket.socket() as probe_socket:
        probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe_socket.bind(("127.0.0.1", port))
        except OSError as error:
            words = f"{port} cannot be had ({error.strerror}); choose another with {option}"
            return Finding(subject, fine=False, words=words)
    return Finding(subject, fine=True, words=f"{port} is free")


def _folder(data: Path) -> Finding:
    existing = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        words = f"{data} cannot be written to ({error.strerror}); choose another with --data"
        return Finding("data folder", fine=False, words=words)
    words = f"{data} can be written to, {free / (1 << 30):.1f} GiB free"
    if free < _LEAST_FREE:
        return Finding("data folder", fine=False, words=f"{words}; make room for at least 1 GiB")
    return Finding("data folder", fine=True, words=words)


def _bundled() -> Finding:
    if BUNDLED.is_file():
        return Finding("bundled recording", fine=True, words=f"{BUNDLED.stat().st_size / 1e6:.1f} MB")
    return Finding("bundled recording", fine=False, words=f"{BUNDLED} is missing; run `make recording`")
