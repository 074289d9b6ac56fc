"""Counts of the most frequent values of a dimension that may have any number of them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["HeavyValues"]


class HeavyValues(msgspec.Struct):
    """Counts by value, of which the heaviest are held.

    When more than a given number are held, the lighter half is forgotten and `forgotten` rises to the
    heaviest of those. A value that comes anew starts from there, because so much of it may have been
    forgotten: Space-Saving (Metwally, Agrawal and El Abbadi 2005), but evicting many at a time, as
    mergeable summaries do (Agarwal et al. 2012).

    A count is so never too low, and too high by at most `forgotten`, which is at most ``2 / most`` of
    `total`. A value that was never forgotten is exact. With counts that fade, weights are to grow
    instead (forward decay, Cormode et al. 2009), and the bounds hold for the faded counts.

    Attributes
    ----------
    counts
        Of the values held; in a dict of 2,000 with their text about a quarter of a megabyte.
    beyond
        What all that came adds up to, less what `counts` do.

    Examples
    --------
    >>> values = HeavyValues()
    >>> for second in range(500):
    ...     values.add({"often": 9, f"once {second}": 1}, most=10)
    >>> values.counts["often"], values.total, len(values.counts) <= 10
    (4500.0, 5000.0, True)
    """

    counts: dict[str, float] = {}
    forgotten: float = 0.0
    beyond: float = 0.0

    @property
    def total(self) -> float:
        """Of all values that ever came; exact."""
        return sum(self.counts.values()) + self.beyond

    def add(self, counts: Mapping[str, int], most: int, weight: float = 1.0) -> None:
        """Take in counts, each worth `weight`, and hold at most `most` values."""
        held, start = self.counts, self.forgotten
        get, known = held.get, len(held)
        for value, count in counts.items():
            held[value] = get(value, start) + count * weight
        if start:
            self.beyond -= start * (len(held) - known)
        if len(held) > most:
            self._forget(most // 2)

    def _forget(self, kept: int) -> None:
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        self.forgotten = ranked[kept][1]
        self.beyond += sum(count for _, count in ranked[kept:])
        self.counts = dict(ranked[:kept])

    def rescale(self, factor: float) -> None:
        """Divide all by `factor`."""
        self.counts = {value: count / factor for value, count in self.counts.items()}
        self.forgotten /= factor
        self.beyond /= factor

    def copy(self) -> HeavyValues:
        """The same counts, to go their own way."""
        return HeavyValues(dict(self.counts), self.forgotten, self.beyond)
