"""What the benchmark's authors published, on the files that are here."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from tracewave_panel.errors import ConfigError
from tracewave_panel.lab.nab.corpus import Corpus
from tracewave_panel.lab.nab.scorer import PROFILES, normalised
from tracewave_panel.lab.nab.table_file import table_rows

__all__ = ["Published", "load_published"]

_COLUMNS = ("Detector", "Profile", "File", "Score")
_PROFILES = {"standard": "standard", "reward_low_FP_rate": "low_fp", "reward_low_FN_rate": "low_fn"}
_TOTALS = "Totals"


class Published(msgspec.Struct, frozen=True):
    """Published scores, recomputed on some of the files.

    The thresholds are those chosen on all 58 files; no cooldown is added to what a detector does itself.

    Attributes
    ----------
    scores
        Detector -> profile -> normalised score, the best standard score first.
    incomplete
        Detectors without exactly one score a profile for each of the files.
    """

    scores: dict[str, dict[str, float]]
    incomplete: tuple[str, ...] = ()


def load_published(path: Path, corpus: Corpus) -> Published:
    """Sum published per-file scores (columns Detector, Profile, File and Score) over a corpus.

    Raises
    ------
    ConfigError
        The file cannot be read, or a score in it is no number.
    """
    wanted = {series.name for series in corpus.series}
    found: dict[str, dict[str, list[tuple[str, float]]]] = {}
    for line, (detector, named, file, score) in table_rows(path, _COLUMNS):
        if detector == _TOTALS:
            continue
        if named not in _PROFILES:
            raise ConfigError(f"{path}, line {line}: profile {named!r} is not one of {', '.join(_PROFILES)}")
        of_profile = found.setdefault(detector, {}).setdefault(_PROFILES[named], [])
        if file in wanted:
            of_profile.append((file, _number(score, path, line)))
    complete = {
        detector: {name: _over_files(profiles[name], name, corpus) for name in PROFILES}
        for detector, profiles in found.items()
        if all(sorted(file for file, _ in profiles.get(name, ())) == sorted(wanted) for name in PROFILES)
    }
    ranked = sorted(complete, key=lambda detector: -complete[detector]["standard"])
    return Published(
        {detector: complete[detector] for detector in ranked}, tuple(sorted(found.keys() - complete.keys()))
    )


def _over_files(scores: list[tuple[str, float]], profile: str, corpus: Corpus) -> float:
    return normalised(math.fsum(score for _, score in scores), corpus.windows, PROFILES[profile])


def _number(text: str, path: Path, line: int) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{path}, line {line}: score {text!r} is not a number") from error
