"""Running numbers of what is told, which cursors count in, and what is known of earlier runs by them."""

from __future__ import annotations

from typing import NamedTuple

from tracewave_panel.model import Findings
from tracewave_panel.stores.rows import Filling, Telling

__all__ = ["Numbering", "Past"]


class Past(NamedTuple):
    """What history held when it was opened.

    Attributes
    ----------
    analyses, anomalies, states, events
        Running number of the last of each.
    occurred_until
        When the newest stored event occurred, in epoch seconds; -inf: none is.
    """

    analyses: int
    anomalies: int
    states: int
    events: int
    occurred_until: float


class Numbering:
    """Gives running numbers; not safe from several threads at once.

    Parameters
    ----------
    events
        Whether raw events are kept, not only counted.
    """

    def __init__(self, past: Past, *, events: bool) -> None:
        self.past = past
        self.analyses, self.anomalies, self.states, self.events, _ = past
        self.keeps_events = events

    def telling(self, findings: Findings, missing_only: Filling | None = None) -> Telling | None:
        """What history keeps of `findings`, numbered; None when that is nothing."""
        events = findings.events if self.keeps_events else ()
        told_before = 0
        if events and self.past.events:
            again = min(event.occurred_at for event in events) <= self.past.occurred_until
            told_before = self.past.events if again else 0
        telling = Telling(
            findings.analyses,
            findings.anomalies,
            findings.gaps,
            findings.arrived_at,
            self.analyses + 1,
            self.anomalies + 1,
            events,
            self.events + 1,
            told_before,
            missing_only,
        )
        self.analyses += len(findings.analyses)
        self.anomalies += len(findings.anomalies)
        self.events += len(findings.events)
        told = findings.analyses or findings.anomalies or findings.gaps or events
        return telling if told else None

    def nothing(self, recorded_at: float) -> Telling:
        """A telling of nothing, which carries a takeover."""
        return Telling((), (), (), recorded_at, self.analyses + 1, self.anomalies + 1, (), self.events + 1)
