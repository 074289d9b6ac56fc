"""Tokens of the API: random, told once, and kept only as what cannot be turned back into them.

A token has 256 random bits, so its SHA-256 is enough: a slow hash makes guessing slow, and here there is nothing to
guess; it would only let whoever sends wrong tokens keep this computer busy.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tracewave_panel.errors import ConfigError

from .private_files import read_private, while_locked, write_private
from .scopes import Grant, Scope

__all__ = ["KnownToken", "TokenRegister", "issue", "read_tokens", "revoke"]

PREFIX = "tw_"
LOOK = 1.0
"""Seconds between two looks at the file."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEAD = (
    "# Tokens of Tracewave: name, scope, SHA-256 of the token, and when it expires. `tracewave token` writes here.\n"
)

logger = logging.getLogger(__name__)


class KnownToken(NamedTuple):
    """What is kept of a token; `expires` in seconds UTC, None: never."""

    name: str
    scope: Scope
    digest: str
    expires: float | None

    def line(self) -> str:
        """As it stands in the file."""
        until = "" if self.expires is None else f" {datetime.fromtimestamp(self.expires, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return f"{self.name} {self.scope.value} {self.digest}{until}\n"


def digest_of(token: str) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def read_tokens(text: str, where: str) -> tuple[KnownToken, ...]:
    """Tokens of a file's text, or of the environment's, where ``;`` ends a line too.

    Raises
    ------
    ConfigError
        When a line is none, with its number and nothing of what it says.
    """
    known: dict[str, KnownToken] = {}
    for number, line in enumerate(re.split(r"[;\n]", text), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        token = _token_of(words)
        if token is None:
            raise ConfigError(f"{where}: line {number} is no token; a line is: name scope sha256 [expires]")
        if token.name in known:
            raise ConfigError(f"{where}: line {number} names {token.name} again; names are given once")
        known[token.name] = token
    return tuple(known.values())


def _token_of(words: Sequence[str]) -> KnownToken | None:
    if not 3 <= len(words) <= 4 or not _NAME.fullmatch(words[0]) or not _DIGEST.fullmatch(words[2].lower()):
        return None
    try:
        scope = Scope(words[1])
        expires = datetime.fromisoformat(words[3]) if len(words) == 4 else None
    except ValueError:
        return None
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return KnownToken(words[0], scope, words[2].lower(), None if expires is None else expires.timestamp())


def issue(path: Path, name: str, scope: Scope, expires: float | None = None) -> str:
    """Make a token, keep its hash in a file, and return it: this is the only time that it is known.

    Raises
    ------
    ConfigError
        When the name is taken or none, or the file cannot be read or written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError("a token's name has 1 to 64 letters, digits, dots, dashes and underscores")
    token = PREFIX + secrets.token_urlsafe(32)
    with while_locked(path.parent):
        known = _of_file(path)
        if any(each.name == name for each in known):
            raise ConfigError(f"{path}: there is a token called {name}; revoke it first, or take another name")
        _write(path, (*known, KnownToken(name, scope, digest_of(token), expires)))
    return token


def revoke(path: Path, name: str) -> None:
    """Take a token's rights away; servers that run see it within a second or so.

    Raises
    ------
    ConfigError
        When there is none of that name, or the file cannot be read or written.
    """
    with while_locked(path.parent):
        known = _of_file(path)
        left = [each for each in known if each.name != name]
        if len(left) == len(known):
            raise ConfigError(f"{path}: no token is called {name!r}; `tracewave token --list` names them")
        _write(path, left)


def _of_file(path: Path) -> tuple[KnownToken, ...]:
    return read_tokens(read_private(path, "tokens"), str(path)) if path.exists() else ()


def _write(path: Path, tokens: Iterable[KnownToken]) -> None:
    write_private(path, _HEAD + "".join(token.line() for token in tokens))


class TokenRegister:
    """The tokens of a file, which is looked at again as it changes, and of the environment.

    Once a file was there tokens are asked for, also when it is emptied or removed: nobody gets more by it.

    Raises
    ------
    ConfigError
        When the file or a line cannot be read at first. Later what was known stays, and that is logged.
    """

    def __init__(
        self,
        path: Path | None,
        fixed: Sequence[KnownToken] = (),
        *,
        clock: Callable[[], float] = time.time,
        pace: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._fixed, self._clock, self._pace = path, tuple(fixed), clock, pace
        self._lock = threading.Lock()
        self._read: tuple[KnownToken, ...] = ()
        self._seen = self._state()
        self._looked = pace()
        self._asked = bool(fixed) or self._seen is not None
        if path is not None and self._seen is not None:
            self._read = _of_file(path)

    @property
    def asks(self) -> bool:
        """Whether tokens were ever given out."""
        self._look()
        return self._asked

    def grant(self, token: str) -> Grant | None:
        """What it allows; each known one is compared, so that time tells nothing."""
        self._look()
        presented, now, found = digest_of(token), self._clock(), None
        for known in (*self._fixed, *self._read):
            same = hmac.compare_digest(known.digest, presented)
            if same and (known.expires is None or now < known.expires):
                found = Grant(known.name, known.scope)
        return found

    def _look(self) -> None:
        with self._lock:
            if self._path is None or self._pace() - self._looked < LOOK:
                return
            self._looked = self._pace()
            state = self._state()
            if state == self._seen:
                return
            self._seen = state
            try:
                self._read = _of_file(self._path)
            except ConfigError as error:
                logger.error("%s; the tokens known before stay until that is mended", error)  # noqa: TRY400
            self._asked = True

    def _state(self) -> tuple[int, int, int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return found and (found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode)
