"""How far recent means are from slow baselines: what is set for charts over several spans."""

from __future__ import annotations

import math

import msgspec

__all__ = ["DeviationSettings"]


class DeviationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Spans and memories, all counted in windows; `gaps` to `falls` hold one entry a span.

    Attributes
    ----------
    spans
        Recent means are over so many windows; of an exponential mean, ``2 / weight - 1``.
    gaps
        A baseline learns a window only when it is so many windows old, so that an incident
        is not measured against itself.
    memories
        Of the baselines' exponential means.
    rises, falls
        Deviations above and below 0 are divided by these, so that no span makes more than its part of
        the false episodes. They were measured on clean synthetic edits at about one in a day.
    warm_up
        Windows seen before anything is said.
    limit
        Nothing is learned while a deviation is beyond it ...
    patience
        ... unless that has lasted so long that the level is accepted as the new normal.
    """

    spans: tuple[int, ...] = (1, 10, 30, 60)
    gaps: tuple[int, ...] = (1, 10, 30, 60)
    memories: tuple[float, ...] = (90.0, 90.0, 90.0, 90.0)
    rises: tuple[float, ...] = (1.1, 1.05, 0.92, 0.92)
    falls: tuple[float, ...] = (0.95, 0.95, 0.83, 0.82)
    warm_up: int = 600
    limit: float = 4.0
    patience: int = 900

    def __post_init__(self) -> None:
        """Refuse settings under which no deviation can be formed."""
        if not self.spans:
            raise ValueError("spans must hold at least one number of windows")
        for name in ("gaps", "memories", "rises", "falls"):
            if len(getattr(self, name)) != len(self.spans):
                raise ValueError(f"{name} must hold {len(self.spans)} numbers, one for each of spans")
        least_warm_up = max(2, *self.gaps)  # a baseline learns a window that was seen
        for name, least in (
            ("spans", 1), ("gaps", 1), ("memories", 1), ("rises", 0.1), ("falls", 0.1),
            ("warm_up", least_warm_up), ("limit", 1), ("patience", 1),
        ):  # fmt: skip
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if not least <= number < math.inf:
                    raise ValueError(f"{name} must be at least {least}, not {number}")
