"""The commands that set a password and give out tokens."""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tracewave_panel.access.passwords import hash_password
from tracewave_panel.access.private_files import read_private, write_private
from tracewave_panel.access.scopes import Scope
from tracewave_panel.access.tokens import issue, read_tokens, revoke
from tracewave_panel.errors import ConfigError

__all__ = ["password", "token"]

TOKENS = Path("data/tokens")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}


class _Span(click.ParamType[float]):
    """Seconds from words such as 90d, 12h or 30m."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a positive number with its unit."""
        found = re.fullmatch(r"(\d{1,6})([mhd])", str(value))
        if not found or not int(found[1]):
            self.fail("a length of time is wanted, such as 90d or 12h", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command()
@click.option("--file", type=click.Path(path_type=Path), help="Write it there, for the owner's eyes only.")
def password(file: Path | None) -> None:
    """Ask for the password of the pages, and print the hash by which it is known.

    The password is read from standard input where that is no terminal. The file data/password is found by
    tracewave serve by itself; a hash can also be given as TRACEWAVE_PASSWORD_HASH.
    """
    line = hash_password(_ask())
    if file is None:
        click.echo(line)
        return
    write_private(file, f"{line}\n")
    click.echo(f"{file} has the hash; a server asks for the password from its next start on", err=True)


def _ask() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline(4096).rstrip("\r\n")
    first: str = click.prompt("Password", hide_input=True, err=True)
    if first != click.prompt("Again", hide_input=True, err=True):
        raise ConfigError("the two differ; nothing was changed")
    return first


@click.command()
@click.argument("name", required=False)
@click.option("--scope", type=click.Choice([scope.value for scope in Scope]), help="What it may do.")
@click.option("--expires", type=_Span(), help="After how long, such as 90d; default: never.")
@click.option("--file", type=click.Path(path_type=Path), default=TOKENS, show_default=True, help="Where hashes are.")
@click.option("--list", "listing", is_flag=True, help="Name the tokens there are.")
@click.option("--revoke", "revoked", metavar="NAME", help="Take a token's rights away.")
def token(
    name: str | None, scope: str | None, expires: float | None, file: Path, listing: bool, revoked: str | None
) -> None:
    """Make a token for the API, and print it: only its hash is kept.

    A running server takes up a changed file within a second or two.
    """
    if sum((name is not None, listing, revoked is not None)) != 1:
        raise ConfigError("say one of: a NAME with --scope, --list, or --revoke NAME")
    if listing:
        _tell(file)
    elif revoked is not None:
        revoke(file, revoked)
        click.echo(f"{revoked} is revoked", err=True)
    elif name is None or scope is None:
        raise ConfigError("say what the token may do: --scope read, label or admin")
    else:
        made = issue(file, name, Scope(scope), None if expires is None else time.time() + expires)
        click.echo(made)
        click.echo(f"{name} may {scope}; this is the only time that the token is shown", err=True)


def _tell(file: Path) -> None:
    known = read_tokens(read_private(file, "tokens"), str(file)) if file.exists() else ()
    for each in known:
        until = "never expires"
        if each.expires is not None:
            word = "expired" if each.expires <= time.time() else "expires"
            until = f"{word} {datetime.fromtimestamp(each.expires, UTC):%Y-%m-%d %H:%M} UTC"
        click.echo(f"{each.name}  {each.scope.value}  {until}")
    if not known:
        click.echo(f"{file} has no tokens", err=True)
