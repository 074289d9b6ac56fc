"""The benchmark's labelled files, as arrays."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.errors import ConfigError
from tracewave_panel.lab.nab.table_file import table_rows

__all__ = ["Corpus", "Floats", "LabelledSeries", "load_corpus"]

Floats = NDArray[np.float64]

_LABELS = "combined_windows.json"


class LabelledSeries(msgspec.Struct, frozen=True, eq=False):
    """One file.

    Attributes
    ----------
    name
        ``category/file.csv``.
    timestamps, values
        Of its rows; seconds UTC. Some of the benchmark's files repeat a time or step back.
    windows
        First and last row of each stretch in which an alert counts as a hit, both inside.
    """

    name: str
    timestamps: Floats
    values: Floats
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """How many rows at the start are not scored: 15 % of the file, at most 750."""
        return min(int(0.15 * len(self.values)), 750)


class Corpus(msgspec.Struct, frozen=True, eq=False):
    """Every file that is both labelled and present, in order of name.

    Attributes
    ----------
    absent
        Labelled, and not on the disk.
    unlabelled
        On the disk, and without a label, not even an empty one.
    """

    series: tuple[LabelledSeries, ...]
    absent: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Of all files."""
        return sum(len(series.values) for series in self.series)

    @property
    def windows(self) -> int:
        """Of all files."""
        return sum(len(series.windows) for series in self.series)

    def describe(self) -> str:
        """Say what is here and what is not."""
        return (
            f"Files: {len(self.series)}, with {self.rows:,} rows and windows: {self.windows}. "
            f"Labelled but absent: {len(self.absent)}. Present but without labels: {len(self.unlabelled)}."
        )


def load_corpus(directory: Path) -> Corpus:
    """Read ``data/<category>/*.csv`` (or ``.csv.gz``) and ``combined_windows.json``.

    Files have the columns ``timestamp`` (ISO 8601; UTC unless it says otherwise) and ``value``.

    Raises
    ------
    ConfigError
        No labels, no file that has any, a row or a window that cannot be used: which, and why.
    """
    labels = _labels(directory / _LABELS)
    # of a file and its gzipped twin the plain one is read
    paths = {f"{path.parent.name}/{path.name.removesuffix('.gz')}": path for path in _paths(directory / "data")}
    present = sorted(labels.keys() & paths.keys())
    if not present:
        raise ConfigError(
            f"{directory}: none of the {len(labels)} files labelled in {_LABELS} is there; "
            "put them at data/<category>/<file>.csv or .csv.gz"
        )
    return Corpus(
        tuple(_series(name, paths[name], labels[name]) for name in present),
        absent=tuple(sorted(labels.keys() - paths.keys())),
        unlabelled=tuple(sorted(paths.keys() - labels.keys())),
    )


def _labels(path: Path) -> dict[str, list[tuple[str, str]]]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, list[tuple[str, str]]])
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); name the folder that holds the benchmark's data/ and {_LABELS}"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a JSON object of file names and their [start, end] pairs: {error}") from error


def _paths(data: Path) -> list[Path]:
    return sorted(data.glob("*/*.csv.gz")) + sorted(data.glob("*/*.csv"))


def _series(name: str, path: Path, labels: list[tuple[str, str]]) -> LabelledSeries:
    times, values = [], []
    for line, (time, value) in table_rows(path, ("timestamp", "value")):
        try:
            times.append(_seconds(time))
        except ValueError as error:
            raise ConfigError(f"{path}, line {line}: {time!r} is not a time such as 2014-04-01 00:05:00") from error
        try:
            values.append(float(value))
        except ValueError as error:
            raise ConfigError(f"{path}, line {line}: {value!r} is not a number") from error
        if not math.isfinite(values[-1]):
            raise ConfigError(f"{path}, line {line}: {value!r} is not a finite number; leave the row out")
    if not values:
        raise ConfigError(f"{path} has no rows; fetch the file again")
    unbounded = LabelledSeries(name, np.array(times), np.array(values), ())
    return msgspec.structs.replace(unbounded, windows=_windows(unbounded, labels))


def _windows(series: LabelledSeries, labels: list[tuple[str, str]]) -> tuple[tuple[int, int], ...]:
    """First and last row of each window, where its bounds first occur."""
    found = []
    for label in labels:
        window = f"{_LABELS}: the window from {label[0]} to {label[1]} of {series.name}"
        bounds = []
        for bound in label:
            try:
                rows = np.flatnonzero(series.timestamps == _seconds(bound))
            except ValueError as error:
                raise ConfigError(f"{window} has the bound {bound!r}, which is not a time") from error
            if rows.size == 0:
                raise ConfigError(f"{window} has the bound {bound}, and no row of the file has that time")
            bounds.append(int(rows[0]))
        first, last = bounds
        if last <= first:
            raise ConfigError(f"{window} must span at least two rows, the earlier first")
        if first < series.probation:
            raise ConfigError(f"{window} begins in the first {series.probation} rows, which are not scored")
        found.append((first, last))
    found.sort()
    for earlier, later in pairwise(found):
        if later[0] <= earlier[1]:
            raise ConfigError(
                f"{_LABELS}: two windows of {series.name} overlap, rows {earlier[0]} to {earlier[1]} and "
                f"{later[0]} to {later[1]}; make them one"
            )
    return tuple(found)


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
