"""A bar in a cell or a terminal for work that takes longer than a moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, Self

from tracewave_panel.app.wording import length

__all__ = ["Progress"]

_PATIENCE = 1.5  # seconds before anything is shown
_EVERY = 0.25


class _Place(Protocol):
    def show(self, words: str, done: float | None) -> None: ...

    def clear(self) -> None: ...


class Progress:
    """Shows how far a replay is, if it takes over a second or two; it goes when the work is done.

    Nothing is shown where there is neither a notebook's cell nor a terminal.

    Parameters
    ----------
    words
        What is done.
    place
        Where it is shown; None: wherever this runs.
    clock
        Seconds that only grow.
    """

    def __init__(self, words: str, *, place: _Place | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._words = words
        self._place = place
        self._clock = clock
        self._began = clock()
        self._next = self._began + _PATIENCE
        self._shown = False

    def tell(self, events: int, done: float | None) -> None:
        """Say how many events there were, and what part of the work is done, if that is known."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _EVERY
        self._place = self._place or _here()
        self._shown = True
        self._place.show(f"{self._words}: {events:,} events, {length(now - self._began)}", done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._place:
            self._place.clear()


class _Cell:
    """The output of a notebook's cell."""

    def __init__(self, display: Callable[..., Any], html: Callable[[str], Any]) -> None:
        self._html = html
        self._handle = display(html(""), display_id=True)

    def show(self, words: str, done: float | None) -> None:
        from html import escape  # noqa: PLC0415

        value = "" if done is None else f' value="{done:.3f}"'
        self._handle.update(self._html(f"<progress{value}></progress> {escape(words)}"))

    def clear(self) -> None:
        self._handle.update(self._html(""))


class _Line:
    """The last line of a terminal."""

    _BAR = 24

    def show(self, words: str, done: float | None) -> None:
        filled = round(self._BAR * (done or 0))
        bar = "" if done is None else f"[{'#' * filled}{'.' * (self._BAR - filled)}] {100 * done:3.0f} %  "
        plain = "".join(character if character.isprintable() else "?" for character in words)
        sys.stderr.write(f"\r\x1b[K{bar}{plain}")
        sys.stderr.flush()

    def clear(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


class _Nowhere:
    def show(self, words: str, done: float | None) -> None:
        """Nobody looks."""

    def clear(self) -> None:
        """Nothing is there."""


def _here() -> _Place:
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if getattr(shell, "kernel", None) is not None:
        from IPython.display import HTML, display  # noqa: PLC0415 (only there inside a kernel)

        return _Cell(display, HTML)
    return _Line() if sys.stderr.isatty() else _Nowhere()
