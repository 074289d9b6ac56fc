"""Every file of a corpus through a judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor

import numpy as np

from tracewave_panel.errors import ConfigError
from tracewave_panel.lab.nab.corpus import Corpus, Floats

__all__ = ["Judge", "judge_corpus"]

Judge = Callable[[str, Floats, Floats], Mapping[str, Floats]]
"""File name, timestamps (seconds UTC) and values -> for each detector a score a row, larger is more
unusual. To be worth anything, row i must be scored from the rows up to i alone."""


def judge_corpus(
    corpus: Corpus,
    judge: Judge,
    progress: Callable[[int, int, str], None] | None = None,
    executor: Executor | None = None,
) -> dict[str, dict[str, Floats]]:
    """Detector -> file -> a score a row, as a report takes them.

    Parameters
    ----------
    progress
        Called before each file with how many are done, how many there are, and its name.
    executor
        Runs several files at once; with processes the judge has to be one that can be pickled.

    Raises
    ------
    ConfigError
        The judge told of other detectors than on the first file, or not one score a row.
    """
    judged: dict[str, dict[str, Floats]] = {}
    files = [(series.name, series.timestamps, series.values) for series in corpus.series]
    results = iter((executor.map if executor else map)(judge, *zip(*files, strict=True)) if files else ())
    for done, series in enumerate(corpus.series):
        if progress:
            progress(done, len(corpus.series), series.name)
        told = next(results)
        if done and told.keys() != judged.keys():
            raise ConfigError(f"{series.name}: judged by {sorted(told)}, the files before it by {sorted(judged)}")
        for name, scores in told.items():
            rows = np.asarray(scores, np.float64)
            if rows.shape != series.values.shape:
                raise ConfigError(f"{series.name}: {name} gave {rows.shape} scores for {series.values.shape} rows")
            judged.setdefault(name, {})[series.name] = rows
    return judged
