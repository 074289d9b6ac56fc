"""The password of the pages: only its hash is kept, and guessing is slow."""

from __future__ import annotations

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError

from tracewave_panel.errors import ConfigError

from .rates import Rate

__all__ = ["Password", "Verdict", "check_hash", "hash_password"]

SHORTEST, LONGEST = 8, 1024
"""Characters of a password; the longest so that nobody has megabytes hashed."""
MOST_MEMORY = 1 << 20
"""KiB that one check may take: 1 GiB."""
AT_ONCE = 2
"""Checks at a time; each takes 64 MiB and a core for some 50 ms."""

Verdict = bool | float
"""True or False; or the seconds to wait before a try is looked at."""


def hash_password(password: str) -> str:
    """Text by which a password is known: argon2id, with a salt.

    Raises
    ------
    ConfigError
        When it is too short or too long.
    """
    if len(password) < SHORTEST:
        raise ConfigError(f"the password is too short: at least {SHORTEST} characters, better four random words")
    if len(password) > LONGEST:
        raise ConfigError(f"the password is too long: at most {LONGEST} characters")
    return PasswordHasher().hash(password)


def check_hash(text: str, where: str) -> str:
    """The hash, if it is one of argon2id that can be afforded.

    Raises
    ------
    ConfigError
        When it is not; the text itself is not told, it might be the password.
    """
    text = text.strip()
    try:
        parameters = extract_parameters(text)
    except (InvalidHashError, ValueError):
        parameters = None
    if parameters is None or parameters.type is not Type.ID:
        raise ConfigError(f"{where}: no argon2id hash; make one with `tracewave password`")
    if parameters.memory_cost > MOST_MEMORY or parameters.time_cost > 20:
        raise ConfigError(f"{where}: each check of this hash would take too much; make one with `tracewave password`")
    return text


@cache
def _nobodys() -> str:
    return PasswordHasher().hash(secrets.token_urlsafe(32))


class Password:
    """Checks tries against a hash: each address a few, all together not many more.

    Whether there is a password or not, a try takes as long. A right one is forgotten of what its address tried
    before; the limit for all stays, since each check costs this computer.

    Parameters
    ----------
    text
        The hash; empty: no try is right.
    """

    def __init__(self, text: str) -> None:
        self._hash = text
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._each = Rate(burst=5, each=12.0)
        self._all = Rate(burst=30, each=1.0)

    def __repr__(self) -> str:
        return f"Password({'set' if self._hash else 'not set'})"

    def check(self, tried: str, address: str) -> Verdict:
        """Say whether it is right, in some 50 ms: not for the thread of an event loop.

        Parameters
        ----------
        tried
            What was typed.
        address
            Of whom, for the limits.

        Returns
        -------
        bool or float
            Seconds to wait when too many tries were made.
        """
        if wait := self._each.wait(address) or self._all.wait(""):
            return wait
        if not self._places.acquire(timeout=5.0):
            return 5.0
        try:
            right = _matches(self._hash or _nobodys(), tried[:LONGEST]) and len(tried) <= LONGEST
        finally:
            self._places.release()
        if right and self._hash:
            self._each.forgive(address)
            return True
        return False


def _matches(known: str, tried: str) -> bool:
    try:
        return PasswordHasher().verify(known, tried)
    except Argon2Error:
        return False
