"""The commands that ask history, take data out of it, and fill what it lacks."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracewave_panel.cli_options import Duration, progress_bar, settings_from, with_settings
from tracewave_panel.errors import ConfigError

if TYPE_CHECKING:
    from tracewave_panel.ready_queries import ReadyQuery

__all__ = ["backfill", "export", "query"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

PLACE = click.option(
    "--data", "place", default="data", show_default=True, help="Data folder, .duckdb file, or http address of an API."
)
TOKEN = click.option("--token", default="", help="For an API: the token, env:NAME or file:PATH.")
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace what is there.")
QUIET = click.option("-q", "--quiet", is_flag=True, help="Do not say who answered.")


class Moment(click.ParamType[datetime]):
    """A moment from an ISO time, a date, or how long ago: 6h."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it; without a zone it is UTC."""
        if isinstance(value, datetime):
            return value
        ago = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?)([smhd])(?: *ago)?", value.strip())
        try:
            if ago:
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
            moment = datetime.fromisoformat(value.strip())
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write it as 2026-11-22, 2026-11-22T14:30Z or 6h ago", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command()
@click.argument("sql", required=False)
@PLACE
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="How the rows are written.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write there instead of to standard output.")
@click.option(
    "--max-rows", type=click.IntRange(min=1), default=100_000, show_default=True, help="Refuse an answer of more rows."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 600, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds that it may take.",
)
@click.option("--ready", metavar="NAME", help="Ask a ready query by its name.")
@click.option("--list-ready", is_flag=True, help="Name the ready queries and what they teach.")
@TOKEN
@OVERWRITE
@QUIET
def query(
    sql: str | None,
    place: str,
    form: str,
    output: Path | None,
    max_rows: int,
    timeout: float,
    ready: str | None,
    list_ready: bool,
    token: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Ask history one SELECT, also while a server runs.

    SQL is the SELECT, or - to read it from standard input. The server that has the history open answers; where none
    runs, the file is read. Who answered is said on standard error.
    """
    from tracewave_panel.stores.answer_files import check_target, write_answer  # noqa: PLC0415
    from tracewave_panel.stores.asking import answering  # noqa: PLC0415

    if sum((sql is not None, ready is not None, list_ready)) != 1:
        raise ConfigError("say one of: a SELECT, - to read it from standard input, --ready NAME, or --list-ready")
    if list_ready or ready:
        queries = _ready_queries(place, token)
        if list_ready:
            for each in queries.values():
                click.echo(f"{each.name}  {each.title}: {each.teaches}")
            return
        sql = _chosen(queries, ready or "").sql
    elif sql == "-":
        sql = sys.stdin.read(1 << 20)
    check_target(form, output, overwrite=overwrite)
    with (
        _interruptible("The query was stopped"),
        answering(place, sql or "", max_rows=max_rows, timeout=timeout, token=token) as answer,
    ):
        if not quiet:
            click.echo(f"answered by {answer.by}", err=True)
        write_answer(answer.rows, form, output, overwrite=overwrite)


@click.command()
@click.argument("kind", type=click.Choice(["windows", "metrics", "scores", "dimension_counts", "events", "anomalies"]))
@click.argument("file", type=click.Path(path_type=Path))
@PLACE
@click.option("--since", type=Moment(), help="First moment: a time, a date, or how long ago, such as 6h; default: all.")
@click.option("--to", "until", type=Moment(), help="First moment that is left out; default: none is.")
@TOKEN
@OVERWRITE
@QUIET
def export(
    kind: str,
    file: Path,
    place: str,
    since: datetime | None,
    until: datetime | None,
    token: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write history as Parquet: into FILE.parquet, or into a folder, one file a UTC day.

    Works while a server runs and while none does, as tracewave query does.
    """
    from tracewave_panel.stores.exporting import export as run  # noqa: PLC0415

    with _interruptible(f"Nothing is left half-written; begin again with --overwrite: {file}"):
        with _bar(f"Exporting {kind}") as advance:
            done = run(
                place,
                kind,
                file,
                since=since,
                until=until,
                overwrite=overwrite,
                token=token,
                progress=lambda rows, of: advance(rows / of if of else 1.0, f"{rows:,} of {of:,} rows"),
            )
        if not quiet:
            click.echo(f"answered by {done.by}", err=True)
        files = f"{file}: {len(done.files)} files" if len(done.files) > 1 else str(*done.files or (file,))
        click.echo(
            f"{files}, {done.rows:,} {kind}" if done.files else f"{file}: there are no {kind}, nothing is written"
        )


@click.command()
@click.argument("recording", type=click.Path(path_type=Path), required=False)
@click.option(
    "--since",
    type=Moment(),
    help="Instead of a recording: the live Wikimedia feed from then, such as 6h ago, until now.",
)
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="Data folder.")
@click.option("--cold", is_flag=True, help="Do not start from the State beside the recording.")
@click.option(
    "--patience",
    type=Duration(),
    default="2m",
    show_default=True,
    help="Give the live feed up after so long a silence.",
)
@with_settings
def backfill(
    recording: Path | None,
    since: datetime | None,
    data: Path,
    cold: bool,
    patience: float,
    config: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Fill history with what it lacks of a recording, or of the last hours of the live feed.

    Goes through the server where one runs. What is there stays as it is, so that a second time adds nothing.
    Simulated data goes into the folder's replay.duckdb, everything else into its history.duckdb.
    """
    from tracewave_panel.backfill import Backfill, backfill_live, backfill_recording  # noqa: PLC0415

    if (recording is None) == (since is None):
        raise ConfigError("say one of: a RECORDING, or --since and a time such as 6h")
    if str(data).startswith(("http:/", "https:/")) or data.suffix == ".duckdb":
        raise ConfigError(f"--data {data}: history is filled in its data folder, on the machine that keeps it")
    if since is not None:
        assignments = (*assignments, f"wikimedia.since={since.isoformat()}")
    settings = settings_from(config, assignments)
    done = Backfill(settings)
    with _interruptible("What was filled in stays; the same command goes on"):
        with _bar("Filling in" if since else f"Filling in {recording}") as advance:

            def tell(seconds: float, of: float | None, note: str) -> None:
                moment = f"{timedelta(seconds=round(seconds))}" + (f" of {timedelta(seconds=round(of))}" if of else "")
                advance(seconds / of if of else 0.0, f"{moment}, {note}")

            if since is not None:
                asyncio.run(backfill_live(data, settings, done, since=since.timestamp(), patience=patience, tell=tell))
            elif recording is not None:
                backfill_recording(recording, data, settings, done, cold=cold, tell=tell)
        click.echo(done.words)
    if done.damage:
        click.echo(f"tracewave: the recording was read only in part: {done.damage}", err=True)


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Callable[[float, str], None]]:
    """A progress bar from 0 to 1 on a terminal, and nothing in a log."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    with progress_bar(title, 1.0) as advance:
        yield advance


@contextlib.contextmanager
def _interruptible(words: str) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a command in order, with some words."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"tracewave: interrupted. {words}", err=True)
        raise SystemExit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _ready_queries(place: str, token: str) -> dict[str, ReadyQuery]:
    from tracewave_panel.notebook.stored import feed_of  # noqa: PLC0415 (pandas)
    from tracewave_panel.ready_queries import ready_queries  # noqa: PLC0415
    from tracewave_panel.stores.asking import ask_history  # noqa: PLC0415

    feed = feed_of(lambda sql, *, max_rows: ask_history(place, sql, max_rows=max_rows, token=token).rows)
    return {each.name: each for each in ready_queries(feed)}


def _chosen(queries: dict[str, ReadyQuery], name: str) -> ReadyQuery:
    if name not in queries:
        raise ConfigError(f"--ready {name}: there is no such query; there are {', '.join(queries)}")
    return queries[name]
