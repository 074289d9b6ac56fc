"""What happened to the feed in the last day: when it was cut off or silent, how long, and what came of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from tracewave_panel.ports import FeedState

__all__ = ["FeedLog", "Happening"]

CALM = frozenset({"live", "replay"})
DAY = 86_400.0
KEPT = 60
SETTLING = 45.0
"""Seconds after the return in which windows of the time before still close; then the figures hold."""


class Happening(msgspec.Struct):
    """One interruption. A figure is None where nothing was said about it.

    Attributes
    ----------
    began, ended
        Seconds since the epoch; `ended` is None while it lasts.
    what, note
        In words; the note is the source's and is hostile text.
    moment
        Whether it has no length: it was over before it could be seen, or is but a change.
    filled, lost, partial
        Seconds of the feed that came later, never came, or came in part.
    told
        Anomalies told meanwhile.
    """

    began: float
    what: str = ""
    note: str = ""
    ended: float | None = None
    moment: bool = False
    filled: float | None = None
    lost: float | None = None
    partial: float | None = None
    told: float | None = None


class FeedLog:
    """Follows what a source says of itself; tells the interruptions, the newest last.

    Examples
    --------
    >>> log = FeedLog()
    >>> log.follow(10.0, 1, FeedState("live"), {"reconnects": 0})
    >>> log.follow(20.0, 1, FeedState("reconnecting", "closed", since=19.0), {"reconnects": 0})
    >>> log.follow(25.0, 1, FeedState("live", since=24.0), {"reconnects": 1})
    >>> [(each.what, each.ended - each.began) for each in log.happenings]
    [('Cut off, came back', 5.0)]
    """

    def __init__(self) -> None:
        self.happenings: deque[Happening] = deque(maxlen=KEPT)
        self._run: int | None = None
        self._calm = False
        self._open: Happening | None = None
        self._settling: Happening | None = None
        self._words: set[str] = set()
        self._before: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def follow(self, now: float, run: int, state: FeedState, totals: Mapping[str, float], notice: str = "") -> None:
        """Take in the state at `now` and totals that only grow."""
        since = state.since if 0 < state.since <= now else now
        if self._run not in {None, 0, run}:
            self._end(now)
            self._begin(Happening(since, "Another run began", notice, ended=since, moment=True))
            self._calm = False
        self._run = run
        if state.word in CALM:
            if self._open is not None:
                # a source may keep one `since` for all its calm: then it came back when that was seen
                self._end(since if since > self._open.began else now)
            elif (
                self._calm and self._settling is None and totals.get("reconnects", 0) > self._last.get("reconnects", 0)
            ):
                self._begin(Happening(now, "Cut off, came back at once", ended=now, moment=True))
            self._calm = True
        elif self._calm:
            if self._open is None:
                self._open = self._begin(Happening(since, note=state.note))
                self._words = set()
            self._words.add(state.word)
        if self._settling and now - (self._settling.ended or now) > SETTLING:
            self._settling = None
        for happening in filter(None, (self._open, self._settling)):
            self._measure(happening, totals)
        self._last = dict(totals)
        while self.happenings and now - self.happenings[0].began > DAY:
            self.happenings.popleft()

    def _came_back_at_once(self, totals: Mapping[str, float]) -> bool:
        return totals.get("reconnects", 0) > self._last.get("reconnects", 0)

    def _begin(self, happening: Happening) -> Happening:
        self._before = dict(self._last)
        self._settling = happening if happening.moment else None
        self.happenings.append(happening)
        return happening

    def _end(self, at: float) -> None:
        if self._open is not None:
            self._open.ended = at
            self._settling, self._open = self._open, None

    def _measure(self, happening: Happening, totals: Mapping[str, float]) -> None:
        def grown(name: str) -> float | None:
            return totals[name] - self._before.get(name, 0) if name in totals else None

        happening.filled, happening.partial, happening.told = map(
            grown, ("backfilled_seconds", "partial_seconds", "anomalies")
        )
        missing, came = grown("gap_seconds"), grown("revised_seconds")
        happening.lost = None if missing is None else max(0.0, missing - (came or 0))
        if not happening.moment:
            happening.what = _words(self._words, int(grown("reconnects") or 0), back=happening.ended is not None)


def _words(words: set[str], reconnects: int, *, back: bool) -> str:
    if "ended" in words:
        return "Ended, began again" if back else "Ended"
    if "reconnecting" in words or reconnects:
        begin = "Cut off" if reconnects < 2 else f"Cut off {reconnects} times"
    else:
        begin = "Silent" if "gap" in words else "Stalled"
    if not back:
        return f"{begin}, not back yet"
    return f"{begin}, came back" + (" with a gap" if "gap" in words else "")
