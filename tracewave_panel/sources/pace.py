"""When the next batch of made or recorded data is due."""

from __future__ import annotations

import asyncio
import contextlib
import time

from tracewave_panel.errors import ConfigError

__all__ = ["Pace"]

_BREATH = 0.02


class Pace:
    """Waits until moments of data time are due, the first at once and the others in proportion.

    Parameters
    ----------
    speed
        Data seconds in a second; None is as fast as possible, letting other tasks run now and then.

    Raises
    ------
    ConfigError
        When the speed is not positive.
    """

    def __init__(self, speed: float | None) -> None:
        if speed is not None and not speed > 0:
            msg = f"a speed of {speed} would never end: give a positive one, or none for as fast as possible"
            raise ConfigError(msg)
        self._speed = speed
        self._begun: float | None = None
        self._breathed = 0.0
        self._stopped = asyncio.Event()

    @property
    def words(self) -> str:
        """The speed for a person."""
        return "as fast as possible" if self._speed is None else f"{self._speed:g}x"

    async def reach(self, moment: float) -> bool:
        """Wait until `moment` (seconds of data time) is due; False when :meth:`stop` was called."""
        now = time.monotonic()
        if self._speed is not None:
            if self._begun is None:
                self._begun = now - moment / self._speed
            left = self._begun + moment / self._speed - now
            if left > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), left)
                return not self._stopped.is_set()
        if now - self._breathed > _BREATH:
            await asyncio.sleep(0)
            self._breathed = now
        return not self._stopped.is_set()

    def stop(self) -> None:
        """End every wait, now and later."""
        self._stopped.set()
