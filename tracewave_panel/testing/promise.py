"""How a check says that a promise is broken."""

from __future__ import annotations

from typing import Any

__all__ = ["promise", "same"]


def promise(kept: bool, otherwise: str) -> None:
    """Raise an AssertionError with the words of `otherwise`, also under ``python -O``, unless the promise was kept."""
    if not kept:
        raise AssertionError(otherwise)


def same(what: str, found: Any, wanted: Any) -> None:
    """Promise that two values are equal."""
    promise(found == wanted, f"{what}: {found!r}, not {wanted!r}")
