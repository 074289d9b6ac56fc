"""Files that hold secrets: read only when nobody else can, written so that nobody else ever could."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from tracewave_panel.errors import ConfigError

__all__ = ["make_private_folder", "read_private", "read_secret", "while_locked", "write_private"]

LONGEST = 1 << 20
"""Bytes of a file that is read."""
_POSIX = os.name == "posix"


def read_private(path: Path, what: str) -> str:
    """Text of a file that only its owner can read.

    Raises
    ------
    ConfigError
        When it cannot be read, or others can read it. What it holds is never told.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            _refuse_shared(os.fstat(file.fileno()), path, what)
            text = file.read(LONGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path}: the file of {what} cannot be read ({error.strerror})") from error
    if len(text) > LONGEST:
        raise ConfigError(f"{path}: longer than {LONGEST >> 20} MiB, so it is no file of {what}")
    try:
        return text.decode()
    except UnicodeDecodeError:
        # not chained: the original error holds the bytes
        raise ConfigError(f"{path}: the file of {what} is no UTF-8 text") from None


def _without_waiting(path: str, flags: int) -> int:
    """Open: a pipe that nobody writes to would keep us for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _refuse_shared(found: os.stat_result, path: Path, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path}: no plain file, so it cannot hold {what}")
    if not _POSIX:
        return
    if found.st_uid not in {os.geteuid(), 0}:
        raise ConfigError(f"{path}: it belongs to another user, who could change {what}; chown it")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigError(f"{path}: others can read {what} (mode {mode:04o}); run `chmod 600 {path}`")


def read_secret(path: Path, what: str) -> str:
    """Secret in a private file, which is made where it is missing; 256 random bits.

    Raises
    ------
    ConfigError
        As :func:`read_private`, and when it is too short to be one, or cannot be made.
    """
    if not path.exists():
        write_private(path, f"{secrets.token_urlsafe(32)}\n", replace=False)
    text = read_private(path, what).strip()
    if len(text) < 32:
        raise ConfigError(f"{path}: too short for {what}; remove it, and a new one is made")
    return text


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file of mode 0600, whole or not at all; without `replace` a file that is there stays.

    Raises
    ------
    ConfigError
        When it cannot be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        make_private_folder(path.parent)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                part.replace(path)
            else:
                with contextlib.suppress(FileExistsError):  # another process was first
                    os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


def make_private_folder(path: Path) -> None:
    """Make a folder that is the owner's alone; one that is there stays as it is.

    Raises
    ------
    ConfigError
        When it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: the folder cannot be made ({error.strerror})") from error


@contextlib.contextmanager
def while_locked(path: Path) -> Iterator[None]:
    """Keep other commands from changing files of a folder meanwhile, where the system knows how."""
    make_private_folder(path)
    if not _POSIX:
        yield
        return
    import fcntl  # noqa: PLC0415 (Windows has none)

    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
