"""What README and CONTRIBUTING tell a person to write, to open and to type is tried."""

from __future__ import annotations

import importlib
import re
import shlex
from functools import partial
from pathlib import Path
from textwrap import dedent

import click
import pytest

from tracewave_panel.cli import main
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.testing import check_detector

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md"]
PACKAGE = ROOT / "tracewave_panel"
EXAMPLES = {"total.py", "name.py", "out.jsonl.gz", "tracewave.toml"}  # what the reader makes
FILE = re.compile(r"(?<![\w./:-])[\w.-]+(?:/[\w.-]+)*\.(?:py|toml|md|png|gz|yml|lock|ipynb)\b")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def files_named(page: str) -> list[str]:
    return sorted({name for name in FILE.findall(read(page)) if name.rsplit("/", 1)[-1] not in EXAMPLES})


def commands() -> dict[str, str]:
    """The table of commands: what is typed, and what is said of it."""
    rows = re.findall(r"^\| `tracewave (.+?)` \| (.+) \|$", read("README.md"), re.MULTILINE)
    return dict(rows)


def parse(arguments: list[str]) -> click.Context:
    """The context that the command would run in; it does not run."""
    with main.make_context("tracewave", list(arguments)) as context:
        name, command, rest = main.resolve_command(context, arguments)
        return command.make_context(name, rest, parent=context)


def variants(typed: str, said: str) -> list[list[str]]:
    """The command as it is typed, and with every option and value that is said to be possible.

    A value without an option in front is another one of the option named last, or else of the command's
    first argument.
    """
    plain = shlex.split(typed)
    found, option = [plain], ""
    for words in re.findall(r"`([^`]+)`", said):
        if words.startswith("--"):
            option, *values = words.split()
            if not values:
                continue
        else:
            values = [words]
        found.append([*plain, option, *values] if option else [plain[0], *values, *plain[2:]])
    return found


def test_the_detector_on_the_page_keeps_the_promises():
    [code] = re.findall(r"^ *```python\n(.*?)^ *```$", read("CONTRIBUTING.md"), re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(compile(dedent(code), "CONTRIBUTING.md", "exec"), names)
    check_detector(partial(names["Total"], WIKIMEDIA, WIKIMEDIA.metrics[0]))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page):
    named = files_named(page)
    assert len(named) >= 5
    missing = [name for name in named if not (ROOT / name).is_file() and not (PACKAGE / name).is_file()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_exists(page):
    made = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", read(page)))
    assert named
    assert named <= made


def test_the_table_holds_every_command():
    assert {shlex.split(typed)[0] for typed in commands()} == set(main.commands)


@pytest.mark.parametrize(("typed", "said"), commands().items(), ids=commands().keys())
def test_every_command_of_the_table_is_accepted(typed, said):
    for arguments in variants(typed, said):
        parse(arguments)
    options = {name for parameter in parse(shlex.split(typed)).command.params for name in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", said)) <= options


@pytest.mark.parametrize(
    "wrong",
    ["serve --colour red", "replay", "replay a.gz --speed fast", "import csv IN OUT", "query x --format xml", "watch"],
)
def test_what_the_commands_do_not_know_is_not_accepted(wrong):
    with pytest.raises(click.UsageError):
        parse(shlex.split(wrong))


def test_public_names_are_sorted_and_can_be_imported():
    package = importlib.import_module("tracewave_panel")
    assert package.__all__ == sorted(set(package.__all__))
    assert all(hasattr(package, name) for name in package.__all__)
