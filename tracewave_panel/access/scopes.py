"""What a token is good for."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["Grant", "Scope"]


class Scope(StrEnum):
    """What a token is good for; each holds those before it.

    >>> Scope.ADMIN.covers(Scope.LABEL), Scope.READ.covers(Scope.LABEL)
    (True, False)
    """

    READ = "read"
    LABEL = "label"
    ADMIN = "admin"

    def covers(self, wanted: Scope) -> bool:
        """Whether this scope is enough where `wanted` is asked."""
        order = list(Scope)
        return order.index(self) >= order.index(wanted)


class Grant(NamedTuple):
    """Who asks, and what they may do."""

    name: str
    scope: Scope
