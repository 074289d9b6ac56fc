"""Commands of ``tracewave`` that measure the engine instead of running it."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click

from tracewave_panel.cli_options import progress_bar, settings_from, with_settings
from tracewave_panel.codec import to_json
from tracewave_panel.errors import ConfigError

__all__ = ["calibrate", "evaluate", "nab"]

_DATA = Path("data")


@click.command()
@click.argument("recordings", nargs=-1, type=click.Path(path_type=Path))
@click.option("--history", is_flag=True, help="Take the windows that the data folder holds.")
@click.option("--simulated", type=click.FloatRange(min=0.5), metavar="DAYS", help="Take clean simulated edits.")
@click.option("--data", type=click.Path(path_type=Path), default=_DATA, show_default=True, help="Data folder.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the reference goes; default: FEED-WIDTHs.json.")
@with_settings
def calibrate(
    recordings: tuple[Path, ...],
    history: bool,
    simulated: float | None,
    data: Path,
    out: Path | None,
    config: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Make the reference that turns statistics into chances, from clean windows.

    Gaps are left out, and windows in and around episodes. Name the file as calibration.reference to use it.
    """
    from tracewave_panel.feeds import WIKIMEDIA  # noqa: PLC0415 (numba takes a second to import)
    from tracewave_panel.lab.calibrate import make_reference  # noqa: PLC0415
    from tracewave_panel.lab.runs import history_runs, recorded_runs, simulated_groups  # noqa: PLC0415
    from tracewave_panel.references import save_reference  # noqa: PLC0415

    if bool(recordings) + history + (simulated is not None) != 1:
        raise ConfigError("name recordings, or --history, or --simulated DAYS: one of the three")
    settings = settings_from(config, assignments)
    lanes, feed = settings.lanes(), WIKIMEDIA
    if simulated is not None and lanes.width != 1.0:
        raise ConfigError(
            f"--simulated makes windows of 1 s, and window.width is {lanes.width:g}: name recordings or --history"
        )
    with progress_bar("Calibrating", 1.0) as advance:
        if simulated is not None:
            groups, words = simulated_groups(simulated, progress=lambda done, note: advance(done / 3.0, note))
        elif history:
            groups, words = [history_runs(data, feed, lanes.width)], "windows of its own history"
        else:
            found = [recorded_runs(path, settings.pipeline()) for path in recordings]
            feeds = {feed.name: feed for feed, _ in found}
            if len(feeds) > 1:
                raise ConfigError(f"the recordings are of several feeds ({', '.join(feeds)}): calibrate one at a time")
            feed = found[0][0]
            groups = [[run for _, runs in found for run in runs]]
            words = f"recordings {', '.join(path.name for path in recordings)}"
        base = 1.0 / 3.0 if simulated is not None else 0.0
        reference = make_reference(
            feed,
            lanes,
            groups,
            made_of_words=words,
            progress=lambda done, note: advance(base + (1.0 - base) * done, note),
        )
    path = out or Path(f"{feed.name}-{lanes.width:g}s.json")
    save_reference(path, reference)
    click.echo(f"{path}: {reference.windows:,} windows of {feed.name} ({words})")
    for metric, tables in reference.tables.items():
        short = [name for name in lanes.detectors if name not in tables]
        click.echo(f"{metric}: {', '.join(tables)}" + (f"; too few windows for {', '.join(short)}" if short else ""))


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--days", type=click.FloatRange(min=0.5), default=7.0, show_default=True, help="Clean days a seed.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.md, report.json and recall.svg.")
@with_settings
def evaluate(
    seeds: int, days: float, as_json: bool, out: Path | None, config: Path | None, assignments: tuple[str, ...]
) -> None:
    """Measure the engine on simulated edits: false alarms, recall, delays, faults, explanations, cost."""
    from tracewave_panel.lab.picture import require_matplotlib  # noqa: PLC0415
    from tracewave_panel.lab.report import Evaluation, run_evaluation, save_report  # noqa: PLC0415

    if out is not None:
        require_matplotlib()  # what is missing is said before the work, not after
    settings = settings_from(config, assignments)
    with progress_bar("Evaluating", 1.0) as advance:
        evaluation: Evaluation = run_evaluation(settings, seeds=seeds, days=days, progress=advance)
    if out is not None:
        save_report(out, evaluation)
    click.echo(to_json(evaluation.as_dict()).decode() if as_json else evaluation.as_text())


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="Lanes; default: the frozen ones of Tracewave.")
@click.option("--published", type=click.Path(path_type=Path), help="CSV of scores published for each file.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.md and report.json.")
def nab(directory: Path, config: Path | None, published: Path | None, as_json: bool, out: Path | None) -> None:
    """Score the engine on the Numenta Anomaly Benchmark.

    DIRECTORY holds data/CATEGORY/*.csv[.gz] and combined_windows.json.
    """
    from tracewave_panel.lab.nab.corpus import load_corpus  # noqa: PLC0415 (numba takes a second to import)
    from tracewave_panel.lab.nab.judging import judge_corpus  # noqa: PLC0415
    from tracewave_panel.lab.nab.published import load_published  # noqa: PLC0415
    from tracewave_panel.lab.nab.report import make_report  # noqa: PLC0415
    from tracewave_panel.lab.nab.streaming import load_configuration, stream_series  # noqa: PLC0415
    from tracewave_panel.lab.report_files import write_report  # noqa: PLC0415

    judge = partial(stream_series, settings=load_configuration(config))
    corpus = load_corpus(directory)
    if published is not None:
        load_published(published, corpus)  # what is wrong with it is said before the work, not after
    with (
        progress_bar("Judging", float(len(corpus.series))) as advance,
        ProcessPoolExecutor(max_workers=os.cpu_count()) as pool,
    ):
        scores = judge_corpus(corpus, judge, lambda done, _of, name: advance(done, name), pool)
    report = make_report(corpus, scores, published=published)
    if out is not None:
        text = f"# The Numenta Anomaly Benchmark\n\n```text\n{report.as_text()}\n```"
        write_report(out, text, report.as_dict())
    click.echo(to_json(report.as_dict()).decode() if as_json else report.as_text())
