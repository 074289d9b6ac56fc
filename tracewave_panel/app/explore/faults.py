"""Where in a query an error lies."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Fault", "fault_of"]

_EXCERPT = re.compile(r"\n*LINE (\d+): (.*)\n([ \t]*)\^+[ \t]*\n?")
_NAMED = (
    re.compile(r'(?:near|column|name|alias|function)\s+"([^"]{1,80})"', re.IGNORECASE),
    re.compile(r"no column ([^\s,;]{1,80})"),
    re.compile(r"(?:table|view|function|schema) ([^\s,;]{1,80}) (?:does not exist|may not|is not)"),
    re.compile(r"there is no ([^\s,;]{1,80}) that"),
)
_WORDS = re.compile(r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'?|"(?:[^"]|"")*"|\w+|\S""", re.DOTALL)
_KINDS = re.compile(r"^(Parser|Binder|Catalog|Conversion|Invalid Input|Out of Range) Error: ")


class Fault(NamedTuple):
    """An error in words, and the part of the query that it is about: offsets in characters, both 0 if not known."""

    words: str
    begin: int = 0
    end: int = 0


def fault_of(error: str, sql: str) -> Fault:
    """Take what is said of a query apart.

    Examples
    --------
    >>> fault_of('Binder Error: Referenced column "x" not found in FROM clause!', "SELECT x")
    Fault(words='Referenced column "x" not found in FROM clause', begin=7, end=8)
    """
    found = _EXCERPT.search(error)
    words = _KINDS.sub("", _EXCERPT.sub("\n", error).strip()).strip()
    words = "\n".join(line.removesuffix("!") for line in words.splitlines() if line.strip())
    # an excerpt counts lines from behind the comments that a query begins with, so a name is the surer sign of the two
    begin = None if found and " near " in words else _by_name(words, sql)
    if begin is None and found:
        begin = _by_excerpt(found, sql)
    if begin is None:
        return Fault(words)
    length = next((len(each[0]) for each in _WORDS.finditer(sql, begin) if each.start() == begin), 1)
    return Fault(words, begin, min(begin + length, len(sql)))


def _by_excerpt(found: re.Match[str], sql: str) -> int | None:
    """Offset of the caret under an excerpt, which leaves out both ends of a long line."""
    number, excerpt, space = int(found[1]), found[2], found[3]
    column = len(space) - len(f"LINE {number}: ")
    lines = sql.split("\n")
    if not 1 <= number <= len(lines) or column < 0:
        return None
    if excerpt.startswith("..."):
        excerpt, column = excerpt[3:], column - 3
    begin = lines[number - 1].find(excerpt.removesuffix("..."))
    if begin < 0 or begin + column > len(lines[number - 1]):
        return None
    return sum(len(line) + 1 for line in lines[: number - 1]) + begin + column


def _by_name(words: str, sql: str) -> int | None:
    """Offset of the name that the error quotes, outside comments and texts."""
    named = next(filter(None, (each.search(words) for each in _NAMED)), None)
    if named is None:
        return None
    name = named[1].strip('"').rpartition(".")[2].lower()
    return next((each.start() for each in _WORDS.finditer(sql) if each[0].strip('"').lower() == name), None)
