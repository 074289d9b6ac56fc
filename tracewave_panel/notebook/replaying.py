"""A recording, or rows of one's own, through the pipeline at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tracewave_panel.config import Settings, load_settings
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Findings
from tracewave_panel.pipeline import PipelineSettings
from tracewave_panel.plan import BUNDLED
from tracewave_panel.playback import replay as play
from tracewave_panel.playback import replay_batches
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.recording import read_recording

from .collected import Collected
from .own import own_rows
from .progress import Progress
from .run import Run

__all__ = ["replay", "settings_of"]

MOST_EVENTS = 100_000


def replay(
    source: str | os.PathLike[str] | Any,
    *,
    mapping: Mapping | None = None,
    settings: Settings | Sequence[str] | None = None,
    cold: bool = False,
    most_events: int = MOST_EVENTS,
    lateness: float = 10.0,
    hole: float = 3600.0,
) -> Run:
    """Run a recording, or rows of your own, through the pipeline, as fast as it goes.

    It is the pipeline of ``tracewave replay`` and of the server: the same windows, scores and anomalies come out.

    Parameters
    ----------
    source
        Path of a recording, or ``bundled`` for the half hour that Tracewave ships. With a `mapping` that of a CSV or
        NDJSON file, plain or packed, a DataFrame, or an iterable of dicts.
    mapping
        What the fields of rows of your own mean.
    settings
        All of them, or changes such as ``["window.width=60"]`` to what ``tracewave.toml`` and the environment say.
    cold
        Start with detectors that know nothing, even if a State lies beside the recording. Rows of your own always do.
    most_events
        The newest so many raw events are kept for :attr:`Run.events`; 0 keeps none.
    lateness, hole
        Of rows of your own: seconds by which one may come after a later one, and seconds without any from which on
        data is taken to be missing.

    Returns
    -------
    Run
        Tables and plots.

    Raises
    ------
    ConfigError
        When an argument cannot be used.
    FeedError
        When the file is no recording, or has no column that the mapping could read.

    Examples
    --------
    >>> rows = [{"at": 1767225600 + second, "country": "de"} for second in range(90)]
    >>> run = replay(rows, mapping=Mapping(name="orders", time="at", dimensions=["country"]))
    >>> run.windows["count"].sum()
    np.int64(90)
    """
    pipeline = settings_of(settings).pipeline()
    if mapping is not None:
        own = own_rows(source, mapping, lateness=lateness, hole=hole)
        collected, words = _collected(mapping.feed, pipeline, most_events), f"replay of {own.name}"
        with Progress(words) as progress:
            tell = _telling(collected, progress, lambda _: own.done.part())
            summary = replay_batches(mapping.feed, own.batches, pipeline, name=own.name, tell=tell)
        return Run(collected, words, summary=summary)
    path = _recording(source)
    header, _ = read_recording(path)
    collected, words = _collected(header.feed_in(path), pipeline, most_events), f"replay of {path.name}"
    began, ended = header.started_at, header.ended_at
    with Progress(words) as progress:

        def part(watermark: float) -> float | None:
            return None if not ended or ended <= began else min(1.0, max(0.0, (watermark - began) / (ended - began)))

        summary = play(path, pipeline, cold=cold, tell=_telling(collected, progress, part))
    return Run(collected, words, summary=summary)


def settings_of(settings: Settings | Sequence[str] | None) -> Settings:
    """All settings, given as such or as changes to what ``tracewave.toml`` and the environment say."""
    if isinstance(settings, Settings):
        return settings
    return load_settings(None, os.environ, [settings] if isinstance(settings, str) else settings or ())


def _collected(feed: Feed, pipeline: PipelineSettings, most_events: int) -> Collected:
    if most_events < 0:
        raise ConfigError(f"most_events={most_events} is not allowed; it is a number of events, or 0")
    return Collected(feed, tuple(pipeline.analyzer.lanes.detectors), most_events=most_events)


def _telling(
    collected: Collected, progress: Progress, part: Callable[[float], float | None]
) -> Callable[[Findings], None]:
    def tell(findings: Findings) -> None:
        collected.take(findings)
        progress.tell(collected.events_seen, part(findings.watermark))

    return tell


def _recording(source: Any) -> Path:
    if not isinstance(source, str | os.PathLike):
        raise ConfigError(
            f"a {type(source).__name__} is no recording; say what its fields mean, as in "
            "replay(rows, mapping=Mapping(time='at', dimensions=['country']))"
        )
    path = BUNDLED if source == "bundled" else Path(source)
    if path.suffix.lower() in {".csv", ".tsv", ".ndjson", ".jsonl"}:
        raise ConfigError(
            f"{path} is no recording; say what its fields mean, as in "
            "replay(path, mapping=Mapping(time='at', dimensions=['country']))"
        )
    return path
