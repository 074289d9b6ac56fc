"""What DuckDB says of a query that went wrong, in words for the person who wrote it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

import duckdb

__all__ = ["in_words"]

_ERROR = re.compile(r"^(?:Invalid Error: )?[A-Z][A-Za-z ]{2,30} Error: ")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_MISSING_TABLE = re.compile(r"Table with name \"?(?P<name>.+?)\"? does not exist!")
_MISSING_COLUMN = re.compile(
    r"Referenced column \"(?P<name>.+?)\" (?:was )?not found in FROM clause[^\n]*"
    r"(?:\nCandidate bindings: (?P<near>[^\n]*))?"
)
_MISSING_FUNCTION = re.compile(
    r"(?:Scalar|Table|Aggregate|Macro)? ?Function with name \"?(?P<name>.+?)\"? does not exist!"
)
_MEANT = re.compile(r"\nDid you mean \"?(?P<near>[^\"\n]+?)\"?(?: or [^\n]*)?\?")
_CARET = re.compile(r"\n\n?LINE [0-9]+: .*", re.DOTALL)
_ADVICE = re.compile(
    r"\n+(?:Possible solutions|Stack Trace|This error signals|For more information|See https?).*", re.DOTALL
)

_REASONS: tuple[tuple[tuple[type[Exception], ...], tuple[str, ...], str], ...] = (
    (
        (),
        ("max_temp_directory_size", "temporary file"),
        "the query needs more memory than it may have, and more room on disk; ask for less at once",
    ),
    (
        (duckdb.OutOfMemoryException, MemoryError),
        ("Out of Memory Error",),
        "the query needs more memory than it may have; ask for less at once: fewer rows, or a shorter time",
    ),
    (
        (duckdb.InternalException,),
        ("INTERNAL Error",),
        "DuckDB failed inside while it ran this query; nothing was changed; write the query in another way",
    ),
    (
        (duckdb.PermissionException,),
        ("disabled by configuration",),
        "files cannot be read here, nor addresses: SQL sees only this history; SHOW TABLES lists its tables",
    ),
    (
        (),
        ("read-only",),
        "history is read-only to SQL, and this query would write; only SELECT may be asked",
    ),
    ((), ("expression depth",), "the query is nested too deeply; write it flatter"),
)
"""Kinds of errors and what they say, and how it is told."""

Names = Callable[[], Iterable[str]]
"""Names of the tables that there are."""


def in_words(error: Exception, *, tables: Names, secrets: Iterable[str] = ()) -> str:
    """What went wrong, where in the query, and what to do.

    Parameters
    ----------
    error
        Of DuckDB, or of Arrow around one of DuckDB's.
    tables
        Asked only when one is missing.
    secrets
        Paths of this machine; none of them is told.
    """
    said = str(error)
    caret = _CARET.search(said)
    where = "\n" + caret[0].strip("\n") if caret else ""
    what = _what(error, _ADVICE.sub("", _CARET.sub("", said)).strip(), tables)
    told = _ADDRESS.sub("...", what + where)
    for secret in sorted(secrets, key=len, reverse=True):
        told = told.replace(secret, "the history")
    return told


def _what(error: Exception, said: str, tables: Names) -> str:
    for kinds, signs, words in _REASONS:
        if isinstance(error, kinds) or any(sign in said for sign in signs):
            return words
    if found := _MISSING_TABLE.search(said):
        return _missing_table(found["name"], _MEANT.search(said), tables)
    if found := _MISSING_COLUMN.search(said):
        near = f"did you mean {_list(found['near'])}?" if found["near"] else "DESCRIBE a table to see its columns"
        return f"there is no column {found['name']} in what FROM names; {near}"
    if found := _MISSING_FUNCTION.search(said):
        return f"there is no function {found['name']}; docs/sql.md says which there are"
    return _ERROR.sub("", said) or "the query failed without a word; write it in another way"


def _missing_table(name: str, meant: re.Match[str] | None, tables: Names) -> str:
    if "/" in name or "." in name:
        return f"a table {name} does not exist, and files cannot be read here; SHOW TABLES lists the tables there are"
    nearest = difflib.get_close_matches(name, list(tables()), 1)
    near = (
        nearest[0] if nearest else meant["near"] if meant and not meant["near"].startswith(("pg_", "system.")) else ""
    )
    advice = f"did you mean {near}?" if near else "SHOW TABLES lists the tables there are"
    return f"a table {name} does not exist; {advice}"


def _list(names: str) -> str:
    found = re.findall(r'"([^"]+)"', names)[:4]
    return " or ".join((", ".join(found[:-1]), found[-1])) if len(found) > 1 else "".join(found) or names
