"""A run of the pipeline as tables and plots, wherever it comes from."""

from __future__ import annotations

import difflib
from collections import Counter
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tracewave_panel.errors import ConfigError
from tracewave_panel.model import Anomaly
from tracewave_panel.playback import Summary

from .cards import Fact, anomaly_lines, facts_html, facts_words
from .explanation import Explanation
from .frame import Theme
from .rows import Rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Run"]

_NAMED = 5  # anomalies and other series that a cell names


class Run:
    """Windows, scores, anomalies and events of a stretch of time. Made by `replay`, `history` and `live`.

    ``windows`` and :meth:`plot` show one metric of one series, at first the feed's first of each;
    :meth:`select` gives the same run showing another. All other tables hold every series and metric,
    with columns that name them. Each table is made when it is first asked for, and kept.

    Parameters
    ----------
    rows
        What the tables are made from.
    words
        What this is, in a few words.

    Attributes
    ----------
    feed
        Names of the feed's dimensions, measures, features and metrics.
    detectors
        Names of the detectors that judged, in order.
    selected
        Series and metric that ``windows`` and :meth:`plot` show.
    summary
        Of a replay, what ``tracewave replay --json`` says: its counts, and the digest that two runs are compared by.
    """

    def __init__(
        self, rows: Rows, words: str, *, summary: Summary | None = None, series: str = "", metric: str = ""
    ) -> None:
        self._rows = rows
        self.summary = summary
        self._words = words
        self.feed = rows.feed
        self.detectors = rows.detectors
        self.selected = series or self.series[0], metric or self.metrics[0]

    @cached_property
    def series(self) -> tuple[str, ...]:
        """Names of the series, those of the feed first."""
        return tuple(dict.fromkeys((*self.feed.series, *self._rows.series()))) or ("",)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that the detectors watch."""
        return tuple(metric.name for metric in self.feed.metrics)

    def select(self, series: str | None = None, metric: str | None = None) -> Run:
        """Return the same run showing another series or metric.

        Raises
        ------
        ConfigError
            When there is none of that name; it says which there are.
        """
        for what, name, known in (("series", series, self.series), ("metric", metric, self.metrics)):
            if name is not None and name not in known:
                raise ConfigError(f"there is no {what} {name!r}; there is {', '.join(known)}")
        now = self.selected
        return Run(self._rows, self._words, summary=self.summary, series=series or now[0], metric=metric or now[1])

    @cached_property
    def windows(self) -> pd.DataFrame:
        """The selected metric of the selected series, a row a window.

        Returns
        -------
        DataFrame
            Indexed by ``time``, the start of the window in UTC: ``observed``, ``expected`` and ``spread`` in the
            metric's unit, the score from 0 to 1 of each detector, ``confidence``, ``evidence``, ``rarity`` (days),
            ``severity``, ``quality``, counts, and the feed's features. What nobody observed, expected or judged
            is NaN.
        """
        from .frames import window_frame  # noqa: PLC0415 (pandas takes a second, which nobody waits for without need)

        return window_frame(self._rows, *self.selected)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Each detector's word on each metric of each window of each series, a row each."""
        from .frames import score_frame  # noqa: PLC0415

        return score_frame(self._rows)

    @cached_property
    def anomalies(self) -> pd.DataFrame:
        """Episodes of all series, the newest first, each as it was told last.

        Returns
        -------
        DataFrame
            Indexed by ``id``: ``opened`` and ``closed`` in UTC (NaT while it is open), ``title`` (which holds text
            from the feed), the metric at the peak, ``rarity`` in days ("once in 9 days" is 9), and the names of the
            detectors that fired, stayed quiet, and abstained.
        """
        from .frames import anomaly_frame  # noqa: PLC0415

        return anomaly_frame(self._told.values())

    @cached_property
    def events(self) -> pd.DataFrame:
        """Raw events, the newest so many; ``events.attrs["missed"]`` is how many more there were."""
        from .frames import event_frame  # noqa: PLC0415

        return event_frame(self._rows)

    @cached_property
    def gaps(self) -> pd.DataFrame:
        """Stretches of time that the feed did not deliver: ``start``, ``until``, ``seconds``."""
        from .frames import gap_frame  # noqa: PLC0415

        return gap_frame(self._rows.gaps())

    @cached_property
    def counts(self) -> pd.DataFrame:
        """How often each value of each dimension occurred in each window: a row each."""
        from .frames import count_frame  # noqa: PLC0415

        return count_frame(self._rows)

    @cached_property
    def _told(self) -> dict[str, Anomaly]:
        return {anomaly.id: anomaly for anomaly in self._rows.anomalies()}

    def anomaly(self, anomaly_id: str) -> Anomaly:
        """One episode as the server knows it.

        Raises
        ------
        ConfigError
            When there is none of that id; it names the nearest ones.
        """
        if anomaly_id in self._told:
            return self._told[anomaly_id]
        near = difflib.get_close_matches(str(anomaly_id), self._told, n=3, cutoff=0.3) or list(self._told)[-3:]
        advice = f"the nearest are {', '.join(near)}" if near else "this run has none at all"
        raise ConfigError(f"there is no anomaly {str(anomaly_id)[:80]!r}; {advice}")

    def explain(self, anomaly_id: str) -> Explanation:
        """Why an anomaly was told; raises as :meth:`anomaly` does."""
        return Explanation(self.anomaly(anomaly_id), self.feed)

    def plot(
        self,
        start: Any = None,
        end: Any = None,
        *,
        series: str | None = None,
        metric: str | None = None,
        theme: Theme = "auto",
    ) -> Any:
        """Pulse, a lane a detector, and how many agree, on one time axis."""
        from .plotting import plot  # noqa: PLC0415 (HoloViews takes seconds)

        return plot(self.select(series, metric) if series or metric else self, start, end, theme)

    def __repr__(self) -> str:
        return facts_words(self._title, self._facts)

    def _repr_html_(self) -> str:
        newest = sorted(self._told.values(), key=lambda anomaly: anomaly.opened)[-_NAMED:]
        return facts_html(self._title, self._facts, more=anomaly_lines(newest[::-1]))

    @property
    def _title(self) -> str:
        return f"{self.feed.title}: {self._words}"

    @property
    def _facts(self) -> list[Fact]:
        series, metric = self.selected
        windows = self.windows
        qualities = windows["quality"].value_counts()
        counted = ", ".join(f"{count:,} {name}" for name, count in qualities.items() if count and name != "ok")
        between = ""
        if len(windows):
            last = windows.index[-1] + timedelta(seconds=float(windows["width"].iloc[-1]))
            between = f"{windows.index[0]:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
        severities = Counter(anomaly.severity.value for anomaly in self._told.values())
        told = ", ".join(f"{count} {name}" for name, count in severities.most_common())
        held, missed = self._rows.event_counts()
        others = [name for name in self.series if name != series][:_NAMED]
        return [
            ("time", between),
            ("windows", f"{len(windows):,} of {series}, {metric}" + (f" ({counted})" if counted else "")),
            ("other series", ", ".join(others)),
            ("events", f"{held:,}" + (f", the newest of {held + missed:,}" if missed else "")),
            ("anomalies", f"{len(self._told):,}" + (f" ({told})" if told else "")),
            ("detectors", ", ".join(self.detectors)),
        ]
