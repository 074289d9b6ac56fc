"""Round numbers and times along the edges of a picture."""

from __future__ import annotations

import math
from datetime import UTC, datetime

__all__ = ["clock_ticks", "value_ticks"]

_STEPS = (10, 30, 60, 120, 180, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800)


def value_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values from at or below `low` to at or above `high`.

    >>> value_ticks(0.0, 137.0)
    [0.0, 50.0, 100.0, 150.0]
    >>> value_ticks(61_204.5, 61_218.0)
    [61200.0, 61205.0, 61210.0, 61215.0, 61220.0]
    """
    if high <= low:
        high = low + max(1.0, abs(low) * 0.01)
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20):
        step = factor * power
        first, last = math.floor(low / step), math.ceil(high / step)
        if last - first <= most:
            break
    return [round(number * step, 10) for number in range(first, last + 1)]


def clock_ticks(start: float, end: float, most: int = 8) -> list[tuple[float, str]]:
    """Round times between two moments, with how each is written.

    >>> [words for _, words in clock_ticks(1_700_000_000.0, 1_700_000_900.0)]
    ['22:14', '22:16', '22:18', '22:20', '22:22', '22:24', '22:26', '22:28']
    """
    step = next((step for step in _STEPS if (end - start) / step <= most), _STEPS[-1])
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%d %b"
    first = math.ceil(start / step)
    return [
        (float(number * step), f"{datetime.fromtimestamp(number * step, UTC):{form}}")
        for number in range(first, math.floor(end / step) + 1)
    ]
