"""The command ``tracewave``."""

from __future__ import annotations

import asyncio
import logging
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tracewave_panel import __version__, playback
from tracewave_panel.cli_access import password, token
from tracewave_panel.cli_history import backfill, export, query
from tracewave_panel.cli_lab import calibrate, evaluate, nab
from tracewave_panel.cli_notify import notify
from tracewave_panel.cli_options import Duration, Speed, progress_bar, settings_from, with_settings
from tracewave_panel.cli_serve import serve
from tracewave_panel.codec import to_json
from tracewave_panel.errors import ConfigError, TracewaveError
from tracewave_panel.feeds import FEEDS, WIKIMEDIA
from tracewave_panel.model import Findings
from tracewave_panel.playback import Summary

__all__ = ["main"]


class _Group(click.Group):
    """Errors that Tracewave raises on purpose end a command with their words and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TracewaveError as error:
            click.echo(f"tracewave: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tracewave")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens in detail.")
def main(verbose: bool) -> None:
    """Watch a live public feed, be told when something unusual happens, and why."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--speed", type=Speed(), default="1", show_default=True, help="A factor, or max.")
@click.option("--loop", is_flag=True, help="Begin again when it ends.")
@click.option("--cold", is_flag=True, help="Do not start from the State beside the recording.")
@click.option("--json", "as_json", is_flag=True, help="Print one object at the end.")
@with_settings
def replay(
    path: Path,
    speed: float | None,
    loop: bool,
    cold: bool,
    as_json: bool,
    config: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Run a recording through the pipeline and tell its anomalies."""
    settings = settings_from(config, assignments).pipeline()
    if as_json and speed is None and not loop:
        summary = playback.replay(path, settings, cold=cold)
    else:
        tell = None if as_json else _tell_anomalies
        work = playback.replay_paced(path, settings, speed=speed, loop=loop, cold=cold, tell=tell)
        summary = asyncio.run(_interruptible(work))
    click.echo(to_json(summary).decode() if as_json else _in_words(summary))


def _tell_anomalies(findings: Findings) -> None:
    for anomaly in findings.anomalies:
        state = "closed" if anomaly.closed else "open"
        against = f"{anomaly.observed:.1f}" + (f" against {anomaly.expected:.1f}" if anomaly.expected else "")
        moment = datetime.fromtimestamp(anomaly.updated, UTC).isoformat(timespec="seconds")
        # titles hold text from the feed, which must not steer the terminal
        title = "".join(c if c.isprintable() else "?" for c in anomaly.title)
        words = f"{anomaly.severity.value:8} {state:6} {title}: {against}, confidence {anomaly.confidence:.2f}"
        click.echo(f"{moment}  {words}")


def _in_words(summary: Summary) -> str:
    qualities = ", ".join(f"{count} {name}" for name, count in summary.windows_by_quality.items())
    lines = [
        f"{summary.recording} ({summary.origin}): {summary.events} events in {summary.windows} windows ({qualities})",
        f"late {summary.late}, dropped {summary.dropped}, undecodable {summary.undecodable}",
        f"duplicates {summary.duplicates}, anomalies {len(summary.anomalies)}",
        f"{summary.cpu_s:.2f} s of CPU, {summary.events_per_cpu_s:,.0f} events a second of it",
        f"digest {summary.digest}",
    ]
    return "\n".join(lines)


async def _interruptible(work: Any) -> Any:
    """Result of `work`, which Ctrl-C and SIGTERM cancel and which then still has one."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


@main.command()
@click.argument("source", metavar="wikimedia|own:FEED.toml")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--duration", type=Duration(), help="How long to record, such as 5m; default: until Ctrl-C.")
@click.option("--since", help="Begin in the past, such as 1h; without --duration, end at the present.")
@with_settings
def record(
    source: str,
    out: Path,
    duration: float | None,
    since: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Record a live feed, or one of your own; safe to interrupt."""
    from tracewave_panel.recorder import record as run  # noqa: PLC0415
    from tracewave_panel.recorder import source_named  # noqa: PLC0415

    if since is not None and source != "wikimedia":
        raise ConfigError("--since: only wikimedia can be begun in the past")
    if since is not None:
        assignments = (*assignments, f"wikimedia.since={since}")
    feed_source, feed = source_named(source, settings_from(config, assignments))
    with progress_bar(f"Recording to {out}", duration) as advance:
        report = asyncio.run(
            _interruptible(
                run(feed_source, feed, out, duration=duration, until_live=since is not None, progress=advance)
            )
        )
    click.echo(report)


@main.command("import")
@click.argument("kind", type=click.Choice(["druid", "eventstreams", "sse"]))
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def import_(kind: str, source: Path, out: Path) -> None:
    """Turn a captured file into a recording."""
    from tracewave_panel.sources import imports  # noqa: PLC0415

    run = {"druid": imports.import_druid, "eventstreams": imports.import_eventstreams, "sse": imports.import_sse}[kind]
    size = source.stat().st_size if source.is_file() else None
    with progress_bar(f"Importing {source.name}", size) as advance:
        report = run(source, out, progress=lambda done, *_: advance(done, ""))
    click.echo(
        f"{report.path}: {report.events} events of {report.rows} rows, {report.undecodable} unreadable; "
        f"left out {report.canaries} canaries and {report.skipped} of other kinds"
    )
    if report.damage:
        raise ConfigError(f"{source} could be read only in part: {report.damage}")


@main.command()
@click.option("--port", type=int, default=5006, show_default=True)
@click.option("--api-port", type=int, default=8000, show_default=True)
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="Data folder.")
@with_settings
def doctor(port: int, api_port: int, data: Path, config: Path | None, assignments: tuple[str, ...]) -> None:
    """Check versions, ports, data folder and feed, and say what to do."""
    from tracewave_panel.doctor import examine  # noqa: PLC0415

    findings = asyncio.run(examine(settings_from(config, assignments), port=port, api_port=api_port, data=data))
    for finding in findings:
        click.echo(f"{'ok  ' if finding.fine else 'FAIL'}  {finding.subject}: {finding.words}")
    if not all(finding.fine for finding in findings):
        raise SystemExit(1)


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--minutes", type=click.FloatRange(min=1), help="Length; default: the recording that Tracewave ships.")
@click.option("--feed", type=click.Choice(list(FEEDS)), default=WIKIMEDIA.name, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@with_settings
def simulate(
    out: Path, minutes: float | None, feed: str, overwrite: bool, config: Path | None, assignments: tuple[str, ...]
) -> None:
    """Make a recording of a simulated feed, with a warm State and the planted truth beside it."""
    from tracewave_panel.recorder import make_simulation  # noqa: PLC0415

    seconds = None if minutes is None else minutes * 60.0
    settings = settings_from(config, assignments)
    click.echo(make_simulation(settings, out, seconds=seconds, overwrite=overwrite, feed=FEEDS[feed]))


main.add_command(backfill)
main.add_command(calibrate)
main.add_command(evaluate)
main.add_command(export)
main.add_command(nab)
main.add_command(notify)
main.add_command(password)
main.add_command(query)
main.add_command(serve)
main.add_command(token)
