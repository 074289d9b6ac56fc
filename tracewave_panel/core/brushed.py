"""Which dimension values made the difference between a range of time that somebody picked and what is usual.

The formulas are those of :mod:`~tracewave_panel.core.explain`. They take the usual as known; here it is itself
counted, over seconds S of windows next to the range of T seconds. The difference of two Poisson counts then has
1 + T / S times the variance that they assume, so the range is told to them thinned by that factor: its rates stay
as they are, and a short usual cannot make chance look like a culprit.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence

import msgspec

from tracewave_panel.core.explain import Baseline, Explanation, Gathered, explain
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Contribution, Direction, Quality, Verdict, Window

__all__ = ["REACH", "RangeChange", "rank_range"]

REACH = 900.0
"""Seconds beside the range from which the usual is made."""

_ENOUGH_BEFORE = 30  # judged windows; with fewer, those after the range help
_FEWEST = 20  # with 10, one unchanged range in 25 named somebody
_CLEAR = 3.0  # standard deviations from which a total rose or fell


class RangeChange(msgspec.Struct, frozen=True):
    """What made the difference in ``[start, end)``, or in words why nothing can be said.

    Attributes
    ----------
    rows
        The strongest values, those that are not named included; rates are events a second.
    completeness
        Share of the change that the named values account for.
    verdict
        ``culprit``: some are named. ``global``: the total changed, and no value stands out.
        ``none``: neither the total nor the mix changed.
    direction
        Of the total; 0 when it is as usual, and then the rows tell of the mix.
    observed, usual
        Events a second in the range and usually; None where there is no such window.
    judged, partial, missing
        Seconds of the range in windows that were judged, in those that are shown only (partial
        ones, and gaps told again), and in gaps. The first two are what the rows count.
    windows, since, until
        How many windows the usual rests on, and the time they lie in; 0 when there are none.
    reason
        Why there are no rows; empty when there are some.
    """

    start: float
    end: float
    rows: tuple[Contribution, ...] = ()
    completeness: float = 0.0
    verdict: Verdict = Verdict.NONE
    direction: Direction = 0
    observed: float | None = None
    usual: float | None = None
    judged: float = 0.0
    partial: float = 0.0
    missing: float = 0.0
    windows: int = 0
    since: float = 0.0
    until: float = 0.0
    reason: str = ""


def rank_range(
    feed: Feed,
    windows: Sequence[Window],
    start: float,
    end: float,
    *,
    reach: float = REACH,
    unusual: Container[float] = (),
) -> RangeChange:
    """Rank the dimension values by how much they changed in a range of time.

    The windows that begin in the range are held against the judged ones before it. Where fewer
    than 30 of those lie within `reach`, the judged ones after it count as usual too. Gaps count
    neither way.

    Parameters
    ----------
    feed
        Names the dimensions.
    windows
        Of one series, in any order; of a window told twice the higher revision holds.
    start, end
        The range, in seconds since the epoch; `end` lies outside.
    reach
        Seconds beside the range from which the usual is made.
    unusual
        Starts of windows that belong to no usual, such as those of other alarms, as long as enough others are held.

    Returns
    -------
    RangeChange
        With `reason` set, and no rows, when the range or the usual holds too little.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> def second(at: int, bots: int) -> Window:
    ...     wikis = {"en": 12, "de": 9, "commons": 4 + bots}
    ...     counts = (wikis, {"en": 25 + bots}, {"0": 25 + bots}, {"human": 20, "bot": 5 + bots}, {"edit": 25 + bots})
    ...     return Window("edits", float(at), 1.0, 25 + bots, (), counts)
    >>> windows = [second(at, 50 if at >= 60 else 0) for at in range(90)]
    >>> change = rank_range(WIKIMEDIA, windows, 60.0, 90.0)
    >>> change.verdict.value, change.rows[0].value, round(change.completeness, 2)
    ('culprit', 'commons', 1.0)
    """
    held = _last_tellings(windows)
    inside = [window for window in held if start <= window.start < end]
    shown = [window for window in inside if window.quality is not Quality.GAP]
    judged = [window for window in shown if window.quality.judged]
    usual = _usual([window for window in held if window.start not in unusual], start, end, reach)
    if len(usual) < _FEWEST:
        usual = _usual(held, start, end, reach)
    known = RangeChange(
        start=start,
        end=end,
        observed=_rate(shown),
        usual=_rate(usual),
        judged=_seconds(judged),
        partial=_seconds(shown) - _seconds(judged),
        missing=_seconds(inside) - _seconds(shown),
        windows=len(usual),
        since=usual[0].start if usual else 0.0,
        until=usual[-1].end if usual else 0.0,
    )
    reason = _reason(held, inside, shown, usual, end - start)
    if reason:
        return msgspec.structs.replace(known, reason=reason)
    direction = _direction(judged, usual)
    told = _explained(feed, shown, usual, direction)
    return msgspec.structs.replace(
        known,
        rows=told.contributions,
        completeness=told.completeness,
        verdict=told.verdict,
        direction=direction,
        reason="" if told.contributions else "No event of the range or of the usual has a dimension to rank by.",
    )


def _last_tellings(windows: Iterable[Window]) -> list[Window]:
    """Each window once, by time."""
    told: dict[float, Window] = {}
    for window in windows:
        before = told.get(window.start)
        if before is None or window.revision >= before.revision:
            told[window.start] = window
    return [told[start] for start in sorted(told)]


def _usual(held: Sequence[Window], start: float, end: float, reach: float) -> list[Window]:
    """Judged windows before the range, and after it where those are too few."""
    judged = [window for window in held if window.quality.judged]
    # A window that reaches into the range by its larger half is of neither.
    before = [window for window in judged if start - reach <= window.start < start - window.width / 2]
    if len(before) >= _ENOUGH_BEFORE:
        return before
    return before + [window for window in judged if max(start, end) <= window.start < end + reach]


def _reason(
    held: Sequence[Window], inside: Sequence[Window], shown: Sequence[Window], usual: Sequence[Window], length: float
) -> str:
    if not held:
        return "No window is held yet."
    if not inside:
        width = held[-1].width
        return f"The range is too short: a window lasts {width:g} s." if length < width else "Nothing of it is held."
    if not shown:
        return "All of it is a gap: what happened there is lost."
    if not usual:
        return "There is nothing to compare with: no judged window lies before or after it."
    if len(usual) < _FEWEST:
        return f"There is too little to compare with: {len(usual)} judged windows, {_FEWEST} are needed."
    return ""


def _direction(judged: Sequence[Window], usual: Sequence[Window]) -> Direction:
    """Whether the total of the judged windows rose or fell beyond what windows differ by anyway."""
    if not judged:
        return 0
    rates = [window.count / window.width for window in usual]
    mean = math.fsum(rates) / len(rates)
    # Counts vary at least as chance does; those of a real feed, with its bursts, vary more.
    variance = max(math.fsum((rate - mean) ** 2 for rate in rates) / len(rates), mean / usual[0].width)
    rise = math.fsum(window.count / window.width for window in judged) / len(judged) - mean
    if abs(rise) <= _CLEAR * math.sqrt(variance * (1.0 / len(judged) + 1.0 / len(rates))):
        return 0
    return 1 if rise > 0 else -1


def _explained(feed: Feed, shown: Sequence[Window], usual: Sequence[Window], direction: Direction) -> Explanation:
    baseline = Baseline(len(feed.dimensions), memory=math.inf)  # no window of the usual weighs more than another
    for window in usual:
        baseline.learn(window.dimension_counts, window.width)
    gathered = Gathered()
    for window in shown:
        gathered.add(window)
    thinned = 1.0 + gathered.seconds / _seconds(usual)
    gathered.seconds /= thinned
    for values in gathered.values:
        # Sorted: sums of thinned counts round by their order, and who came first is no part of the answer.
        values.counts = dict(sorted(values.counts.items()))
        values.rescale(thinned)
    return explain(feed.dimensions, gathered, baseline, direction)


def _seconds(windows: Iterable[Window]) -> float:
    return math.fsum(window.width for window in windows)


def _rate(windows: Sequence[Window]) -> float | None:
    return sum(window.count for window in windows) / _seconds(windows) if windows else None
