"""Findings cut into portions that are handed over one by one, each of which history can hold for itself.

Invariants
----------
- A portion is bounded: about eight megabytes, or what one window takes, and 20,000 events, of which a history
  that is busy lets go first when too many wait.
- All that was told of a window's metrics is in one portion.
- An anomaly comes once, as it was last told, in the portion of the window that it opened in; both wait
  until it has closed, or there is no more to come. So whoever is killed between two portions and begins
  again finds the window missing, and tells both anew.
- A window that is partial or told again may be told once more: it waits for that, until the end or until
  5,000 others wait as well, because of what history holds only gaps are replaced.
- Gaps are left out, and anomalies that open in one: to fill a history is to know more, never less.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from tracewave_panel.model import Analysis, Anomaly, AnomalyKind, Event, Findings, Quality, Status

__all__ = ["ENOUGH", "Portions"]

_Key = tuple[str, float]
_MOST_AGAIN = 5000
ENOUGH = 1 << 23  # bytes, roughly
_MOST_EVENTS = 20_000


class Portions:
    """Gathers findings, and gives them back in portions.

    Parameters
    ----------
    events_from
        Seconds; events of before are left out, and counted.
    enough
        Roughly the bytes of a portion.

    Attributes
    ----------
    left_out
        How many events were left out.
    """

    def __init__(self, *, events_from: float = -math.inf, enough: int = ENOUGH) -> None:
        self.left_out = 0
        self._events_from = events_from
        self._enough = enough
        self._analyses: list[Analysis] = []
        self._anomalies: list[Anomaly] = []
        self._events: list[Event] = []
        self._weight = 0
        self._held: dict[_Key, list[Analysis]] = {}
        self._open: dict[_Key, dict[str, Anomaly]] = {}
        self._again: dict[_Key, dict[str, Analysis]] = {}
        self._last = (0.0, 0.0, Status.LIVE)

    def add(self, findings: Findings) -> Iterator[Findings]:
        """Take in findings; give what makes a whole portion."""
        self._last = findings.arrived_at, findings.watermark, findings.status
        tellings = [each for each in findings.anomalies if each.kind is not AnomalyKind.FEED_SILENT]
        for anomaly in tellings:
            self._open.setdefault((anomaly.series, anomaly.opened), {})[anomaly.id] = anomaly
        yield from self._add_analyses(findings.analyses)
        for key in dict.fromkeys((anomaly.series, anomaly.opened) for anomaly in tellings):
            if all(anomaly.closed is not None for anomaly in self._open[key].values()):
                self._release(key)
        for event in findings.events:
            if event.time < self._events_from:
                self.left_out += 1
                continue
            if self._weight >= self._enough or len(self._events) >= _MOST_EVENTS:
                yield self._portion()
            self._events.append(event)
            self._weight += 250 + len(event.title) + len(event.link)
        if self._weight >= self._enough:
            yield self._portion()

    def _add_analyses(self, analyses: Iterable[Analysis]) -> Iterator[Findings]:
        before: _Key | None = None
        for analysis in analyses:
            window = analysis.window
            key = window.series, window.start
            if window.quality is Quality.GAP:
                continue
            if window.revision or window.quality is Quality.PARTIAL:
                self._again.setdefault(key, {})[analysis.metric] = analysis
                continue
            if key in self._open:
                self._held.setdefault(key, []).append(analysis)
                continue
            if key != before and self._weight >= self._enough:
                yield self._portion()
            before = key
            self._keep((analysis,))
        while len(self._again) > _MOST_AGAIN:
            yield from self._release_again()

    def waiting(self) -> Iterator[Findings]:
        """Give what was gathered, however little."""
        yield self._portion()

    def rest(self) -> Iterator[Findings]:
        """Give everything, anomalies that are still open as well."""
        while self._again:
            yield from self._release_again()
        for key in tuple(self._open):
            self._release(key)
            if self._weight >= self._enough:
                yield self._portion()
        if self._weight:
            yield self._portion()

    def _release(self, key: _Key) -> None:
        anomalies = self._open.pop(key)
        self._anomalies.extend(anomalies.values())
        self._weight += 2000 * len(anomalies)
        self._keep(self._held.pop(key, ()))

    def _release_again(self) -> Iterator[Findings]:
        self._keep(self._again.pop(next(iter(self._again))).values())
        if self._weight >= self._enough:
            yield self._portion()

    def _keep(self, analyses: Iterable[Analysis]) -> None:
        for analysis in analyses:
            self._analyses.append(analysis)
            self._weight += _weight(analysis)

    def _portion(self) -> Findings:
        arrived_at, watermark, status = self._last
        portion = Findings(
            arrived_at,
            watermark,
            status,
            analyses=tuple(self._analyses),
            anomalies=tuple(self._anomalies),
            events=tuple(self._events),
        )
        self._analyses, self._anomalies, self._events, self._weight = [], [], [], 0
        return portion


def _weight(analysis: Analysis) -> int:
    """Roughly the bytes that it takes."""
    window = analysis.window
    values = sum(map(len, window.dimension_counts))
    return 300 + 24 * values + 60 * len(analysis.scores) + 120 * len(analysis.contributions) + 250 * len(window.samples)
