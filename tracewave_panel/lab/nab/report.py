"""Detectors on the benchmark: table, JSON, and what to think of the numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tracewave_panel.errors import ConfigError
from tracewave_panel.lab.nab.corpus import Corpus, Floats
from tracewave_panel.lab.nab.published import Published, load_published
from tracewave_panel.lab.nab.scorer import (
    PROFILES,
    Halves,
    Outcome,
    best_outcome,
    held_out_halves,
    sweep,
)

__all__ = ["Report", "Result", "make_report"]

_ALL_FILES, _ALL_WINDOWS = 58, 116  # of the benchmark as published
_BLIND_ROWS = 500
_WIDTH = 100


class Result(msgspec.Struct, frozen=True):
    """One detector; the keys are the names of the profiles.

    Attributes
    ----------
    best
        With one threshold for all files, chosen on the same files.
    half
        With the threshold chosen on other files; None where the files are too few for that.
    without_cooldown
        The best score where every row at the threshold is an alert.
    """

    best: dict[str, Outcome]
    half: dict[str, Halves | None]
    without_cooldown: dict[str, float]

    def scores(self) -> dict[str, Any]:
        """Score a profile, and the same for the held-out halves, with their standard deviations."""
        halves = {name: half for name, half in self.half.items() if half}
        return {name: outcome.score for name, outcome in self.best.items()} | {
            "half": {name: half.mean for name, half in halves.items()}
            | {"sd": {name: half.sd for name, half in halves.items()}}
            | {"splits": min((half.splits for half in halves.values()), default=0)}
        }

    def alerts(self) -> dict[str, dict[str, float]]:
        """What stands behind the scores of `best`."""
        return {
            name: {
                "threshold": outcome.threshold,
                "hits": outcome.hits,
                "windows": outcome.windows,
                "recall": outcome.recall,
                "precision": outcome.precision,
                "false_alarms": outcome.false_alarms,
                "false_alarms_per_file": outcome.false_alarms / outcome.files,
                "without_cooldown": self.without_cooldown[name],
            }
            for name, outcome in self.best.items()
        }


class Report(msgspec.Struct, frozen=True, eq=False):
    """Results on a corpus, the ensemble's and each detector's.

    Attributes
    ----------
    blind
        Standard score of an alert every 500 rows that never looks at the data.
    """

    corpus: Corpus
    ensemble: str
    results: dict[str, Result]
    cooldown: int
    blind: float
    published: Published | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "ensemble": self.results[self.ensemble].scores(),
            "detectors": {name: result.scores() for name, result in self.results.items() if name != self.ensemble},
            "alerts": {name: result.alerts() for name, result in self.results.items()},
            "corpus": {
                "files": len(self.corpus.series),
                "windows": self.corpus.windows,
                "rows": self.corpus.rows,
                "absent": list(self.corpus.absent),
                "unlabelled": list(self.corpus.unlabelled),
            },
            "cooldown": self.cooldown,
            "blind": self.blind,
            "published": self.published.scores if self.published else None,
            "caution": self.caution(),
        }

    def as_text(self) -> str:
        """The table, what was published where it is known, and the cautions."""
        parts = [self.corpus.describe(), self.table(), textwrap.fill(self.caution(), _WIDTH)]
        if self.published:
            parts.insert(2, self._published_table(self.published))
        return "\n\n".join(parts)

    def table(self) -> str:
        """One line a detector, the ensemble first; alarm figures are those of the standard profile."""
        head = ("", "one threshold", "held-out half", "sd", "no cooldown", "recall", "precision", "false/file")
        names = [self.ensemble, *(name for name in self.results if name != self.ensemble)]
        lines = [head, *(self._line(name, self.results[name]) for name in names)]
        note = f"Scores: {' / '.join(PROFILES)}. An alert silences the {self.cooldown - 1} rows after it."
        return f"{note}\n{_aligned(lines)}"

    def caution(self) -> str:
        """Say what the benchmark's numbers cannot carry."""
        ours = self.results[self.ensemble]
        windows = [last - first + 1 for series in self.corpus.series for first, last in series.windows]
        lengths = [len(series.values) for series in self.corpus.series]
        return (
            f"Read these numbers with care. They come from {len(lengths)} of the benchmark's {_ALL_FILES} files "
            f"({self.corpus.windows} of {_ALL_WINDOWS} windows), {min(lengths):,} to {max(lengths):,} rows long; "
            "a false alarm costs the same in each. "
            f"The windows are wide, {np.mean(windows):,.0f} rows on average and {sum(windows) / sum(lengths):.0%} of "
            f"all rows, so an alert somewhere near an incident counts (one every {_BLIND_ROWS} rows that never looks "
            f"at the data scores {self.blind:.1f}), and a cooldown is cheap: that of {self.cooldown} rows takes the "
            f"ensemble from {ours.without_cooldown['standard']:.1f} to {ours.best['standard'].score:.1f}; the "
            "benchmark adds none, though a detector may rest after an alert of its own accord. "
            "Several labels are disputed, and some plain anomalies have none. "
            "As the benchmark does it, the threshold is chosen on the very files that are scored; the held-out "
            "halves choose it on other files, which tests the threshold alone, not detectors or weights that were "
            "picked with these files in view."
        )

    def _line(self, name: str, result: Result) -> tuple[str, ...]:
        standard = result.best["standard"]
        halves = [result.half[profile] for profile in PROFILES]
        return (
            name,
            _figures([result.best[profile].score for profile in PROFILES]),
            _figures([half.mean for half in halves if half]),
            _figures([half.sd for half in halves if half]),
            _figures([result.without_cooldown[profile] for profile in PROFILES]),
            f"{standard.recall:.2f}",
            f"{standard.precision:.2f}",
            f"{standard.false_alarms / standard.files:.2f}",
        )

    def _published_table(self, published: Published) -> str:
        note = (
            "Published, recomputed on the same files; thresholds chosen by their authors on all "
            f"{_ALL_FILES}, no cooldown added."
        )
        if published.incomplete:
            note += f" Left out, not one score for each file: {', '.join(published.incomplete)}."
        lines = ((name, _figures([told[profile] for profile in PROFILES])) for name, told in published.scores.items())
        return f"{note}\n{_aligned([*lines])}"


def make_report(
    corpus: Corpus,
    scores: Mapping[str, Mapping[str, Floats]],
    *,
    ensemble: str = "ensemble",
    thresholds: Mapping[str, Floats] | None = None,
    cooldown: int = 100,
    repeats: int = 40,
    seed: int = 0,
    published: Path | None = None,
) -> Report:
    """Score every detector, with and without episodes.

    Parameters
    ----------
    scores
        Detector -> file -> a score a row, larger is more unusual.
    ensemble
        Which of them is the one that alerts.
    thresholds
        What to try, for the detectors named; the others try a grid over their own scores.
    cooldown
        Rows: an alert opens when none opened in the `cooldown` - 1 rows before.
    repeats, seed
        Of the random halves.
    published
        CSV of the scores published for each file.

    Raises
    ------
    ConfigError
        No such ensemble, scores that do not fit the files, or nothing to hit.
    """
    if ensemble not in scores:
        raise ConfigError(f"no scores of {ensemble!r}, the ensemble; there are {', '.join(scores) or 'none'}")
    grids = thresholds or {}
    results = {}
    for name, of_files in scores.items():
        swept = sweep(corpus, of_files, grids.get(name), cooldown)
        every_row = sweep(corpus, of_files, swept.thresholds)
        results[name] = Result(
            {key: best_outcome(swept, profile) for key, profile in PROFILES.items()},
            {key: held_out_halves(swept, profile, repeats, seed) for key, profile in PROFILES.items()},
            {key: best_outcome(every_row, profile).score for key, profile in PROFILES.items()},
        )
    return Report(
        corpus,
        ensemble,
        results,
        cooldown,
        _blind(corpus),
        load_published(published, corpus) if published else None,
    )


def _blind(corpus: Corpus) -> float:
    always = {series.name: np.ones(len(series.values)) for series in corpus.series}
    return best_outcome(sweep(corpus, always, cooldown=_BLIND_ROWS), PROFILES["standard"]).score


def _figures(numbers: list[float]) -> str:
    return " / ".join(f"{number:.1f}" for number in numbers) or "-"


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    told = []
    for name, *cells in lines:
        right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        told.append("  ".join((name.ljust(widths[0]), *right)))
    return "\n".join(told)
