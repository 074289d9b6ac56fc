"""What several commands of ``tracewave`` share: settings, lengths of time, a progress bar."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from tracewave_panel.config import Settings, load_settings

__all__ = ["Duration", "Speed", "progress_bar", "settings_from", "with_settings"]

F = TypeVar("F", bound=Callable[..., Any])
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def with_settings(command: F) -> F:
    """Give a command the options ``--config`` and ``--set``."""
    change = click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a setting.")
    file = click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: tracewave.toml).")
    return file(change(command))


def settings_from(config: Path | None, assignments: tuple[str, ...], base: Settings | None = None) -> Settings:
    """Read the settings that these options and the environment say."""
    return load_settings(config, os.environ, assignments, base)


class Speed(click.ParamType[float | None]):
    """A factor, or None for as fast as it goes."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Read a positive number or ``max``."""
        if value is None or value == "max":
            return None
        try:
            speed = float(value)
        except ValueError:
            speed = 0.0
        if not 0 < speed < math.inf:
            self.fail(f"{value!r} is neither a positive number nor 'max'", param, ctx)
        return speed


class Duration(click.ParamType[float]):
    """Seconds from words such as 90s, 5m, 1h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a positive number with its unit."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value))
        if not found or float(found[1]) <= 0:
            self.fail(f"{value!r} is no duration; write it as 90s, 5m or 1h", param, ctx)
        return float(found[1]) * _UNITS[found[2] or "s"]


@contextlib.contextmanager
def progress_bar(title: str, total: float | None) -> Iterator[Callable[[float, str], None]]:
    """A progress bar on a terminal: call it with how far it is and a note."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total, note="")
        yield lambda done, note: progress.update(task, completed=done, note=note)
