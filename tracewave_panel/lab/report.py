"""The whole evaluation: everything measured in one go, each figure beside the floor that it has to reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tracewave_panel.config import Settings
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.lab.cases import CleanRow, RecallRow
from tracewave_panel.lab.cost import WindowCost, window_cost
from tracewave_panel.lab.evaluation import clean_and_recall
from tracewave_panel.lab.explanations import ExplanationRates, explanation_trials
from tracewave_panel.lab.faults import FaultRow, fault_trials, overdispersed
from tracewave_panel.lab.floors import Target, targets
from tracewave_panel.lab.picture import recall_picture
from tracewave_panel.lab.report_files import write_report

__all__ = ["Evaluation", "run_evaluation", "save_report"]

_FAULTS_A_RATE = 50  # of each kind, at each of four rates
_EXPLANATION_SEEDS = 21
_FIRST_EXPLANATION_SEED = 1500


class Evaluation(msgspec.Struct, frozen=True):
    """Everything that was measured.

    Attributes
    ----------
    reference
        What the tables were made of, in words.
    seconds
        How long it took, wall clock.
    """

    seeds: int
    days: float
    reference: str
    clean: tuple[CleanRow, ...]
    recall: tuple[RecallRow, ...]
    faults: tuple[FaultRow, ...]
    explanations: tuple[ExplanationRates, ...]
    cost: WindowCost
    seconds: float

    def targets(self) -> tuple[Target, ...]:
        """Every floor and what was reached."""
        return targets(self.clean, self.recall, self.faults, self.explanations, self.cost)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        for row, told in zip(self.recall, plain["recall"], strict=True):
            told["case"]["title"] = row.case.title
        return plain | {"targets": [one.as_dict() for one in self.targets()]}

    def as_text(self) -> str:
        """Tables for a terminal; they are Markdown as well."""
        return "\n\n".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield f"Reference: {self.reference}.\nEvaluated: {self.seeds} clean seeds x {self.days:g} days a dispersion."
        yield "## Floors\n\n" + _table(
            ("what", "floor", "reached", "met", "stretch"),
            [
                (one.what, one.floor_words, one.reached_words, one.met_words, one.stretch_words)
                for one in self.targets()
            ],
        )
        names = list(self.clean[0].episodes_a_day)
        yield "## Clean simulated edits: episodes a day\n\n" + _table(
            ("dispersion", "days", *names, *(f"without {name}" for name in self.clean[0].without), "cold start"),
            [
                (
                    f"{row.dispersion:g}",
                    f"{row.days:g}",
                    *(f"{rate:.2f}" for rate in (*row.episodes_a_day.values(), *row.without.values(), row.cold)),
                )
                for row in self.clean
            ],
        )
        yield (
            "## Planted incidents: recall / median delay in s\n\n"
            "An alert counts until 10 s after the end of a short incident, and until the end of a long one. Chance: "
            "the ensemble's recall in stretches without incident.\n\n"
            + _table(
                ("incident", "dispersion", "n", *names, "95th delay", "chance"),
                [
                    (
                        row.case.title,
                        f"{row.dispersion:g}",
                        str(row.incidents),
                        *(f"{one.recall:.2f} / {_number(one.delay)}" for one in row.by.values()),
                        _number(row.by["ensemble"].late),
                        f"{row.by['ensemble'].chance:.3f}",
                    )
                    for row in self.recall
                ],
            )
        )
        yield "## Faults of the feed\n\n" + _struct_table(self.faults)
        yield "## Explanations\n\n" + _struct_table(self.explanations)
        alone = ", ".join(f"{name} {cost:.0f}" for name, cost in self.cost.detectors.items())
        yield f"## Cost\n\nA window costs {self.cost.lane:.0f} us of one core in all; alone: {alone}."


def run_evaluation(
    settings: Settings,
    *,
    seeds: int,
    days: float,
    progress: Callable[[float, str], None] = lambda _done, _note: None,
) -> Evaluation:
    """Run every part of the evaluation.

    Raises
    ------
    ConfigError
        When these settings have no reference, or windows of another width than a second.
    """
    began = time.monotonic()
    lanes, episodes = settings.lanes(), settings.episodes
    reference = lanes.reference_of(WIKIMEDIA.name)
    if reference is None or lanes.width != 1.0:
        raise ConfigError(
            f"the evaluation is of simulated edits in windows of 1 s with a reference; these settings have windows of "
            f"{lanes.width:g} s and {'a' if reference else 'no'} reference"
        )

    def part(first: float, last: float) -> Callable[[float, str], None]:
        return lambda done, note: progress(first + (last - first) * done, note)

    cost = window_cost(lanes)
    clean, recall = clean_and_recall(lanes, episodes, seeds=seeds, days=days, progress=part(0.02, 0.7))
    share = min(1.0, seeds * days / 35.0)
    trials = max(2, round(_EXPLANATION_SEEDS * share))
    explained = explanation_trials(
        range(_FIRST_EXPLANATION_SEED, _FIRST_EXPLANATION_SEED + trials), progress=part(0.7, 0.85)
    )
    faults = fault_trials(
        lanes, episodes, faults=max(5, round(_FAULTS_A_RATE * share)), stream=overdispersed, progress=part(0.85, 1.0)
    )
    return Evaluation(
        seeds=seeds,
        days=days,
        reference=reference.made_of,
        clean=clean,
        recall=recall,
        faults=faults,
        explanations=explained,
        cost=cost,
        seconds=time.monotonic() - began,
    )


def save_report(folder: Path, evaluation: Evaluation) -> None:
    """Write ``report.md``, ``report.json`` and ``recall.svg`` into a folder.

    Raises
    ------
    ConfigError
        When matplotlib is not installed; nothing is written then.
    StoreError
        When the disk refuses.
    """
    text = f"# How good the engine is\n\n{evaluation.as_text()}\n\n![Recall against effect size](recall.svg)"
    write_report(folder, text, evaluation.as_dict(), {"recall.svg": recall_picture(evaluation.recall)})


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _struct_table(rows: Sequence[msgspec.Struct]) -> str:
    plain: list[Mapping[str, Any]] = [msgspec.structs.asdict(row) for row in rows]
    heads = tuple(name.replace("_", " ") for name in plain[0])
    return _table(heads, [tuple(_plain(value) for value in row.values()) for row in plain])


def _plain(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124 (NaN: there was nothing to take a share of)
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join((first, *rest)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(heads), rule, *map(line, rows)])
