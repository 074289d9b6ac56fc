"""The benchmark's score, version 1.1, for one threshold and for many.

With rows 0 to n - 1 of a file and windows ``[a, b]`` of ``w = b - a + 1`` rows, an alert on row i
is worth, before a profile weighs it::

    in a window             S(-(b - i + 1) / w) / S(-1)      1 on its first row, falling towards 0
    after the last window   S((i - b) / (w - 1))             0 just behind it, falling to -1
    before every window     -1

    S(y) = 2 / (1 + exp(5 y)) - 1, and -1 beyond y = 3

A window counts once, at its earliest alert. A missed one costs the profile's `miss`. 0 is a
detector that never alerts, 100 one that alerts on the first row of each window and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.errors import ConfigError
from tracewave_panel.lab.nab.corpus import Corpus, Floats, LabelledSeries

__all__ = [
    "PROFILES",
    "Halves",
    "Outcome",
    "Profile",
    "Sweep",
    "best_outcome",
    "candidates",
    "held_out_halves",
    "normalised",
    "openings",
    "row_scores",
    "row_worths",
    "sweep",
]

Counts = NDArray[np.int64]


class Profile(msgspec.Struct, frozen=True):
    """What a window hit on its first row earns, and what a false alarm and a missed window cost."""

    hit: float
    false_alarm: float
    miss: float


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "standard": Profile(1.0, 0.11, 1.0),
        "low_fp": Profile(1.0, 0.22, 1.0),
        "low_fn": Profile(1.0, 0.11, 2.0),
    }
)


class Sweep(msgspec.Struct, frozen=True, eq=False):
    """What each of k thresholds does on each of m files.

    Attributes
    ----------
    thresholds
        Rising; shape (k,).
    hit_worth, false_worth
        Worth of the windows that were hit, and of the alarms outside; shape (k, m).
    hits, false_alarms
        How many these are; shape (k, m).
    windows
        Of each file; shape (m,).
    """

    thresholds: Floats
    hit_worth: Floats
    false_worth: Floats
    hits: Counts
    false_alarms: Counts
    windows: Counts

    def raw(self, profile: Profile) -> Floats:
        """Score of each file at each threshold, not normalised; shape (k, m)."""
        earned = profile.hit * self.hit_worth + profile.false_alarm * self.false_worth
        return earned - profile.miss * (self.windows - self.hits)


class Outcome(msgspec.Struct, frozen=True):
    """What one threshold does on all files.

    Attributes
    ----------
    score
        Normalised: 0 never alerts, 100 is perfect.
    hits
        How many of the `windows` had an alert.
    """

    threshold: float
    score: float
    hits: int
    windows: int
    false_alarms: int
    files: int

    @property
    def recall(self) -> float:
        """Share of the windows that were hit."""
        return self.hits / self.windows

    @property
    def precision(self) -> float:
        """Windows hit, as a share of these and the false alarms; 0 without any alert."""
        return self.hits / max(1, self.hits + self.false_alarms)


class Halves(msgspec.Struct, frozen=True):
    """Normalised scores of files on which the threshold was not chosen, over `splits` random halves."""

    mean: float
    sd: float
    splits: int


def row_worths(series: LabelledSeries) -> tuple[Floats, Counts]:
    """What an alert on each row is worth, and which window the row lies in (-1: none).

    Examples
    --------
    >>> import numpy as np
    >>> worth, window = row_worths(LabelledSeries("a/b.csv", np.arange(6.0), np.zeros(6), ((2, 4),)))
    >>> worth.round(2).tolist(), window.tolist()
    ([-1.0, -1.0, 1.0, 0.94, 0.69, -0.85], [-1, -1, 0, 0, 0, -1])
    """
    rows = np.arange(len(series.values))
    worth, window = np.full(rows.size, -1.0), np.full(rows.size, -1)
    for number, (first, last) in enumerate(series.windows):
        width = last - first + 1
        inside = slice(first, last + 1)
        worth[inside] = _sigmoid((rows[inside] - last - 1) / width) / _sigmoid(np.array(-1.0))
        window[inside] = number
        worth[last + 1 :] = _sigmoid((rows[last + 1 :] - last) / (width - 1))
    return worth, window


def openings(scores: Floats, threshold: float, cooldown: int = 1, first: int = 0) -> Counts:
    """Rows, from `first` on, that open an alert: at the threshold, and none opened in the `cooldown` - 1 before.

    Examples
    --------
    >>> import numpy as np
    >>> openings(np.array([0.0, 3.0, 3.0, 0.0, 3.0]), 2.0, cooldown=2).tolist()
    [1, 4]
    """
    from tracewave_panel.lab.nab.kernel import opened_rows  # noqa: PLC0415 (numba takes a second)

    return opened_rows(np.ascontiguousarray(scores, np.float64), threshold, cooldown, first)


def row_scores(series: LabelledSeries, opened: Counts, profile: Profile) -> Floats:
    """Where the raw score of a file comes from, laid out as the benchmark stores it.

    A false alarm stands on its own row, a window, hit or missed, on its first row. The sum is
    the file's raw score. Rows of `opened` within the probation count for nothing.
    """
    worth, window = row_worths(series)
    alerted = np.zeros(worth.size, bool)
    alerted[opened] = True
    alerted[: series.probation] = False
    told = np.where(alerted & (window < 0), worth * profile.false_alarm, 0.0)
    for first, last in series.windows:
        found = np.flatnonzero(alerted[first : last + 1])
        told[first] = worth[first + found[0]] * profile.hit if found.size else -profile.miss
    return told


def candidates(scores: Mapping[str, Floats], cap: int = 500) -> Floats:
    """Thresholds worth trying: every distinct score, or `cap` of them, denser towards the largest.

    The best threshold lets few rows through, so ranks are spread evenly on a logarithmic scale.
    """
    pooled = np.concatenate([np.asarray(rows, np.float64) for rows in scores.values()])
    distinct = np.unique(pooled[np.isfinite(pooled)])
    if distinct.size <= cap:
        return distinct
    ordered = np.sort(pooled[np.isfinite(pooled)])
    ranks = np.unique(np.geomspace(1, ordered.size, cap).astype(np.int64))
    return np.unique(ordered[-ranks])


def sweep(corpus: Corpus, scores: Mapping[str, Floats], thresholds: Floats | None = None, cooldown: int = 1) -> Sweep:
    """Try thresholds (by default `candidates`) on every file.

    Parameters
    ----------
    scores
        File name -> a score for each row, larger is more unusual. NaN never alerts.

    Raises
    ------
    ConfigError
        A file has no scores, or not one for each row.
    """
    from tracewave_panel.lab.nab.kernel import tally  # noqa: PLC0415 (numba takes a second)

    for series in corpus.series:
        told = len(scores.get(series.name, ()))
        if told != len(series.values):
            raise ConfigError(f"{series.name} has {len(series.values)} rows and {told} scores; give one for each row")
    tried = np.unique(candidates(scores) if thresholds is None else np.asarray(thresholds, np.float64))
    tallies = []
    for series in corpus.series:
        rows = np.ascontiguousarray(scores[series.name], np.float64)
        tallies.append(tally(rows, tried, cooldown, series.probation, *row_worths(series)))
    worths, counts = (np.stack(part, axis=1) for part in zip(*tallies, strict=True))
    windows = np.array([len(series.windows) for series in corpus.series])
    return Sweep(tried, worths[..., 0], worths[..., 1], counts[..., 0], counts[..., 1], windows)


def normalised(raw: float, windows: int, profile: Profile) -> float:
    """Raw score of files with so many windows, on the scale from 0 (silent) to 100 (perfect)."""
    return 100.0 * (raw + windows * profile.miss) / (windows * (profile.hit + profile.miss))


def best_outcome(swept: Sweep, profile: Profile) -> Outcome:
    """The one threshold for all files that scores best, as the benchmark chooses it.

    Raises
    ------
    ConfigError
        No file has a window, so nothing can be scored.
    """
    windows = int(swept.windows.sum())
    if windows == 0:
        raise ConfigError("none of the files has a window, so nothing can be hit; add labelled ones")
    raw = swept.raw(profile).sum(axis=1)
    best = int(raw.argmax())
    return Outcome(
        float(swept.thresholds[best]),
        normalised(float(raw[best]), windows, profile),
        int(swept.hits[best].sum()),
        windows,
        int(swept.false_alarms[best].sum()),
        swept.windows.size,
    )


def held_out_halves(swept: Sweep, profile: Profile, repeats: int = 40, seed: int = 0) -> Halves | None:
    """Choose the threshold on a random half of the files and score it on the other half.

    Halves whose other half has no window cannot be scored and are left out; None if all are.
    """
    raw, files = swept.raw(profile), swept.windows.size
    random = np.random.default_rng(seed)
    scores = []
    for _ in range(repeats):
        chosen = np.zeros(files, bool)
        chosen[random.permutation(files)[: files // 2]] = True
        windows = int(swept.windows[~chosen].sum())
        if chosen.any() and windows:
            best = raw[:, chosen].sum(axis=1).argmax()
            scores.append(normalised(float(raw[best, ~chosen].sum()), windows, profile))
    return Halves(float(np.mean(scores)), float(np.std(scores)), len(scores)) if scores else None


def _sigmoid(y: Floats) -> Floats:
    return np.where(y > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(y, 3.0))) - 1.0)
