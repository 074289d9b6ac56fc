"""Where the windows come from that a reference is made of: simulated edits, recordings, history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import msgspec
import numpy as np

from tracewave_panel.core.detectors.base import Floats
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import Feed
from tracewave_panel.lab.calibrate import Run
from tracewave_panel.lab.simulated import simulated
from tracewave_panel.model import Analysis, Findings
from tracewave_panel.pipeline import Pipeline, PipelineSettings
from tracewave_panel.playback import joined
from tracewave_panel.sources.recording import read_recording
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings
from tracewave_panel.stores.history import query_folder

__all__ = ["history_runs", "recorded_runs", "simulated_groups"]

_DISPERSIONS = (3.0, 5.0, 7.0, 10.0, 15.0)
_RATES = (20.0, 45.0)
_FIRST_SEED = 11
_START = 1_767_484_800.0  # 2026-01-04
_DAY = 86_400
_AROUND = 120.0  # seconds on both sides of an episode that are left out too
_MOST_ROWS = 20_000_000


def simulated_groups(
    days: float, seeds: int = 3, *, progress: Callable[[float, str], None] = lambda _done, _note: None
) -> tuple[list[list[Run]], str]:
    """Clean simulated edits of several dispersions and rates, a group each, and what they are in words."""
    groups: list[list[Run]] = []
    kinds = list(product(_DISPERSIONS, range(seeds)))
    for number, (dispersion, seed) in enumerate(kinds):
        progress(number / len(kinds), f"simulating {number + 1} of {len(kinds)}")
        rate = _RATES[number % len(_RATES)]
        settings = SyntheticSettings(seed=_FIRST_SEED + seed, rate=rate, dispersion=dispersion)
        made = simulated(settings, _START, int(days * _DAY))
        run = Run(made.features, made.starts, np.zeros(len(made.starts), np.bool_))
        if seed == 0:
            groups.append([])
        groups[-1].append(run)
    listed = ", ".join(f"{dispersion:g}" for dispersion in _DISPERSIONS)
    rates = " and ".join(f"{rate:g}" for rate in _RATES)
    last = _FIRST_SEED + seeds - 1
    words = (
        f"simulated edits, dispersions {listed}, {rates} a second, seeds {_FIRST_SEED} to {last}, {days:g} days each"
    )
    return groups, words


class _Episode(msgspec.Struct, frozen=True):
    start: float
    end: float


def recorded_runs(path: Path, settings: PipelineSettings) -> tuple[Feed, list[Run]]:
    """Judged windows of a recording, a run a series; those in and around episodes are left out.

    Raises
    ------
    RecordingError
        When the file is not a recording, or of an unknown feed.
    """
    header, reader = read_recording(path)
    feed = header.feed_in(path)
    windows: dict[str, list[tuple[float, tuple[float, ...]]]] = {}
    episodes: dict[str, list[_Episode]] = {}

    def gather(findings: Findings) -> None:
        for analysis in findings.analyses:
            if analysis.window.quality.judged and analysis.metric == feed.metrics[0].name:
                window = analysis.window
                windows.setdefault(window.series, []).append((window.start, window.features))
            if analysis.alerting:
                episodes.setdefault(analysis.window.series, []).append(_around(analysis))

    pipeline = Pipeline(feed, settings, {"gather": gather})
    for batch in joined(reader, settings.width):
        pipeline.emit(batch)
    pipeline.close()
    return feed, [
        _run(
            np.array([features for _, features in of_series]),
            np.array([start for start, _ in of_series]),
            episodes.get(series, ()),
        )
        for series, of_series in windows.items()
    ]


def _around(analysis: Analysis) -> _Episode:
    return _Episode(analysis.window.start - _AROUND, analysis.window.end + _AROUND)


def history_runs(folder: Path, feed: Feed, width: float) -> list[Run]:
    """Judged windows of the history in a data folder, a run a series; those in and around anomalies are left out.

    Raises
    ------
    ConfigError
        When it holds no windows of this width.
    """
    columns = ", ".join(f'"{feature.name}"' for feature in feed.features)
    rows = query_folder(
        folder,
        f"select series, epoch(start), {columns} from windows"  # noqa: S608 (names of our own)
        f" where quality in ('ok', 'backfilled') and width = {width!r} order by series, start",
        max_rows=_MOST_ROWS,
        timeout=600.0,
    ).rows
    if not rows:
        raise ConfigError(f"the history in {folder} holds no judged windows of {width:g} s")
    anomalies = query_folder(
        folder, "select series, epoch(opened), epoch(coalesce(closed, updated)) from anomalies", max_rows=_MOST_ROWS
    ).rows
    runs = []
    for series in sorted({row[0] for row in rows}):
        of_series = np.array([row[1:] for row in rows if row[0] == series], dtype=np.float64)
        episodes = [_Episode(begin - _AROUND, end + _AROUND) for name, begin, end in anomalies if name == series]
        runs.append(_run(np.ascontiguousarray(of_series[:, 1:]), of_series[:, 0].copy(), episodes))
    return runs


def _run(features: Floats, starts: Floats, episodes: Sequence[_Episode]) -> Run:
    left_out = np.zeros(len(starts), np.bool_)
    for one in episodes:
        left_out[np.searchsorted(starts, one.start) : np.searchsorted(starts, one.end)] = True
    return Run(features, starts, left_out)
