"""Why an anomaly was told: its contributions as a table, as bars, and as the card of the Live page."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, Contribution

from .cards import card_html, card_words
from .frame import Theme

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Explanation"]


class Explanation:
    """What explains one anomaly, at its peak. Made by ``explain`` of a run or a live view.

    Attributes
    ----------
    anomaly
        The episode as the server knows it; its title, values and samples are the feed's, and hostile text.
    """

    def __init__(self, anomaly: Anomaly, feed: Feed) -> None:
        self.anomaly = anomaly
        self._feed = feed

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """Dimension values that carry the change, the strongest first."""
        return self.anomaly.contributions

    @property
    def completeness(self) -> float:
        """Share of the change that the named contributions account for, 0 to 1."""
        return self.anomaly.completeness

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a contribution, by rank.

        Returns
        -------
        DataFrame
            ``dimension`` and ``value``; ``observed``, ``expected`` and ``excess``, the difference, in events a
            second; ``share`` of the whole change; ``significance``; and ``named``, whether it leads.
        """
        from .frames import contribution_frame  # noqa: PLC0415 (pandas takes a second)

        return contribution_frame(self.anomaly.contributions)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Events that show what the contributions are made of; ``link`` is empty where it is no web address."""
        from .frames import sample_frame  # noqa: PLC0415

        return sample_frame(self.anomaly.contributions)

    def plot(self, *, theme: Theme = "auto") -> Any:
        """Return the excess of each contribution as a signed bar: to the right more than expected, to the left less."""
        from .bars import bars  # noqa: PLC0415 (HoloViews takes seconds)

        return bars(self.anomaly, theme)

    def __repr__(self) -> str:
        return card_words(self.anomaly, self._feed)

    def _repr_html_(self) -> str:
        return card_html(self.anomaly, self._feed)
