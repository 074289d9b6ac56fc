"""How a check says that a promise is broken."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["await_answer", "promise", "same"]

T = TypeVar("T")


def await_answer(read: Callable[[], T], complete: Callable[[T], bool], patience: float) -> T:
    """Read again until the answer is complete or `patience` seconds are over; return the last answer."""
    deadline = time.monotonic() + patience
    while not complete(answer := read()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return answer


def promise(kept: bool, otherwise: str) -> None:
    """Raise an AssertionError with the words of `otherwise`, also under ``python -O``, unless the promise was kept."""
    if not kept:
        raise AssertionError(otherwise)


def same(what: str, found: Any, wanted: Any) -> None:
    """Promise that two values are equal."""
    promise(found == wanted, f"{what}: {found!r}, not {wanted!r}")
