"""The six pages: their names, titles, and what is said on those that are not built yet."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PAGES", "Page"]


class Page(NamedTuple):
    """A page of the console.

    Attributes
    ----------
    name, title
        In addresses, and in words.
    purpose
        What the page is for, where nothing is behind it yet; empty where something is.
    until_then
        What serves in its place today: pairs of words and a command.
    """

    name: str
    title: str
    purpose: str = ""
    until_then: tuple[tuple[str, str], ...] = ()


PAGES = (
    Page("live", "Live"),
    Page("explore", "Explore"),
    Page(
        "tune",
        "Tune",
        "Every threshold beside the alarm budget, and what each move would have told of the recorded day.",
        (
            ("Change a setting for one run", "tracewave serve --set ensemble.alarm_budget=1"),
            ("Try a setting on a recording", "tracewave replay RECORDING --speed max --set ensemble.alarm_budget=1"),
            ("Measure it over planted incidents", "tracewave evaluate"),
        ),
    ),
    Page(
        "replay",
        "Replay",
        "A recording or a stretch of history, window by window, and whether it equals what ran live.",
        (
            ("Play a recording through the pipeline", "tracewave replay RECORDING --speed 10"),
            ("Play it on the Live page", "tracewave serve --source recording:RECORDING --speed 10"),
            ("Sweep through an episode of the last minutes", "the Replay button of its card"),
        ),
    ),
    Page(
        "lab",
        "Lab",
        "Plant a spike, a drop or an outage into a copy of the stream, and watch each detector meet or miss it.",
        (
            ("Make a feed with planted incidents and their truth", "tracewave simulate day.jsonl.gz --minutes 60"),
            ("Score the detectors against planted truth", "tracewave evaluate"),
        ),
    ),
    Page("health", "Health"),
)
"""In the order of the keys 1 to 6."""
