"""Look at a statement before it runs: let one SELECT or EXPLAIN through, and say what is wrong with anything else."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import duckdb
import msgspec

from tracewave_panel.errors import QueryError
from tracewave_panel.stores.sql_functions import (
    BOUNDED,
    FUNCTIONS,
    TABLE_FUNCTIONS,
    TABLES,
    refusal_of_function,
)

__all__ = ["MOST_CHARACTERS", "Checked", "check"]

MOST_CHARACTERS = 100_000
"""Of a query."""

_DEEPEST = 100  # brackets within brackets: the parser's own bound is beyond what its time and memory bear
_LARGEST = 8 << 20  # bytes of a parsed query: about 20,000 expressions
_MOST_SELECTS = _MOST_TABLES = 500
_MOST_GROWTH = 1_000  # columns, or parts of a struct, that one of a table may become

_TREE = "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true, skip_default := true)"
_BLANK = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_EXPLAIN = re.compile(
    rf"{_BLANK}EXPLAIN\b{_BLANK}(?:ANALYZE\b{_BLANK})?(?:\((?:[\s,]|ANALYZE|FORMAT|JSON|TEXT|TREE|HTML|YAML)+\))?",
    re.IGNORECASE | re.DOTALL,
)
_FIRST_WORD = re.compile(rf"{_BLANK}(\w+)", re.DOTALL)
_QUOTED_OR_BRACKET = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|[()\[\]{}]""", re.DOTALL
)
_QUERY_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_FROM_NODES = {"BASE_TABLE", "TABLE_FUNCTION", "EXPRESSION_LIST", "SHOW_REF"}
_STRUCTS = {"struct_pack", "row", "struct_insert", "struct_concat", "map", "union_value", "map_from_entries"}
_WIDE_FORMAT = re.compile(r"[0-9]{4}|\*|\{[^}]*\{")


class Checked(NamedTuple):
    """A statement that may run, and the functions in it that need their macros first."""

    statement: duckdb.Statement
    bounded: tuple[str, ...]


def check(cursor: duckdb.DuckDBPyConnection, sql: str) -> Checked:
    """Look at `sql` with the parser that is going to run it.

    Raises
    ------
    QueryError
        When it is not one SELECT or EXPLAIN, or asks for what is not allowed.
    duckdb.Error
        When it cannot be parsed.
    """
    _check_text(sql)
    explained = _EXPLAIN.match(sql)
    tree = _parsed(cursor, sql[explained.end() :] if explained else sql, whole=sql)
    looked = _Look(tree)
    statement, *others = cursor.extract_statements(sql)
    kind = duckdb.StatementType.EXPLAIN if explained else duckdb.StatementType.SELECT
    if others or statement.type is not kind:
        raise _not_one(cursor, sql)
    return Checked(statement, tuple(sorted(looked.functions & BOUNDED.keys())))


def _check_text(sql: str) -> None:
    if len(sql) > MOST_CHARACTERS:
        raise QueryError(f"the query is longer than {MOST_CHARACTERS:,} characters; shorten it")
    if "\0" in sql:
        raise QueryError("the query holds a NUL character, which no SQL does; take it out")
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise QueryError("the query holds half of a character (a lone surrogate); type it again") from None
    depth = 0
    for found in _QUOTED_OR_BRACKET.finditer(sql):
        depth += (found[0] in "([{") - (found[0] in ")]}")
        if depth > _DEEPEST:
            raise QueryError(f"brackets lie more than {_DEEPEST} deep within each other; write the query flatter")


def _parsed(cursor: duckdb.DuckDBPyConnection, sql: str, *, whole: str) -> dict[str, Any]:
    """Tree of the one SELECT that `sql` is."""
    ((told,),) = cursor.execute(_TREE, [sql]).fetchall()
    if len(told) > _LARGEST:
        raise QueryError("the query is too large; shorten its lists, or ask in parts")
    try:
        answer = msgspec.json.decode(told)
    except (RecursionError, msgspec.DecodeError):
        raise QueryError("the query is nested too deeply; write it flatter") from None
    if answer["error"] or len(answer["statements"]) != 1:
        raise _not_one(cursor, whole)
    tree: dict[str, Any] = answer["statements"][0]
    return tree


def _not_one(cursor: duckdb.DuckDBPyConnection, sql: str) -> QueryError:
    statements = cursor.extract_statements(sql)  # raises what is wrong with the text, with line and caret
    if len(statements) != 1:
        return QueryError(
            f"one SELECT is allowed at a time, and this has {len(statements)} statements; ask for them one by one"
        )
    if statements[0].type is duckdb.StatementType.MULTI:
        return QueryError("a PIVOT must name its values: FROM t PIVOT (... FOR column IN ('a', 'b'))")
    word = _FIRST_WORD.match(sql)
    said = word[1].upper() if word else statements[0].type.name
    if said == "EXPLAIN":
        return QueryError("only a SELECT may be explained here, because history is read-only to SQL; explain a SELECT")
    return QueryError(
        f"only SELECT and EXPLAIN are allowed, because history is read-only to SQL, and this is {said}; "
        "ask with SELECT, and use DESCRIBE or SHOW TABLES to see what there is"
    )


class _Look:
    """One walk through a parsed SELECT."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.functions: set[str] = set()
        self._selects = self._tables = 0
        if self._growth(tree, in_lambda=False) > _MOST_GROWTH:
            raise QueryError(
                "the query multiplies columns level by level until there are too many; name the ones that you need"
            )

    def _growth(self, node: Any, *, in_lambda: bool) -> int:
        """By how much the columns of a table multiply in what `node` gives; raises when it is not allowed."""
        if isinstance(node, list):
            return max((self._growth(each, in_lambda=in_lambda) for each in node), default=1)
        if not isinstance(node, dict):
            return 1
        kind = node.get("type")
        in_lambda = in_lambda or node.get("class") == "LAMBDA"
        self._check(node, kind, in_lambda=in_lambda)
        parts = {name: self._growth(part, in_lambda=in_lambda) for name, part in node.items() if name != "cte_map"}
        growth = max(parts.values(), default=1)
        for each in node.get("cte_map", {}).get("map", ()):
            if each["value"].get("materialized") == "CTE_MATERIALIZE_NEVER":
                raise QueryError("NOT MATERIALIZED is not allowed: the query could grow without end; leave it out")
            growth *= self._growth(each["value"], in_lambda=in_lambda)
        if kind == "SELECT_NODE":
            growth *= _own_growth(node)
        return min(growth, _MOST_GROWTH + 1)

    def _check(self, node: dict[str, Any], kind: object, *, in_lambda: bool) -> None:
        group = node.get("class")
        if group in {"FUNCTION", "WINDOW"}:
            self._check_function(node, in_lambda=in_lambda)
        elif group == "PARAMETER":
            raise QueryError("? and $name stand for parameters, and none can be given here; write the value itself")
        elif kind == "TABLE_FUNCTION":
            self._check_table_function(node["function"])
        elif kind == "BASE_TABLE":
            _check_table(node)
        elif isinstance(kind, str) and kind.endswith("_NODE") and kind not in _QUERY_NODES:
            raise QueryError(f"history is read-only to SQL, and this has {kind.split('_')[0]} in it; only SELECT may")
        self._selects += kind == "SELECT_NODE"
        self._tables += kind in _FROM_NODES
        if self._selects > _MOST_SELECTS:
            raise QueryError(f"the query has more than {_MOST_SELECTS} SELECTs in it; ask in parts")
        if self._tables > _MOST_TABLES:
            raise QueryError(f"the query names more than {_MOST_TABLES} tables; ask in parts")

    def _check_function(self, node: dict[str, Any], *, in_lambda: bool) -> None:
        name = node["function_name"].lower()
        if len(node["qualified_name"]["path"]) > 1:
            raise QueryError(f"write the function {name} without a schema before it; those of DuckDB are meant then")
        if name not in FUNCTIONS and (name[0].isalpha() or name[0] == "_"):
            raise _refusal(name, FUNCTIONS)
        if in_lambda and name in BOUNDED:
            raise QueryError(f"{name} may not be called within a lambda, where values multiply; use rows and a join")
        if name in {"format", "printf"}:
            _check_format(name, node)
        self.functions.add(name)

    def _check_table_function(self, function: dict[str, Any]) -> None:
        name = function["function_name"].lower()
        if name not in TABLE_FUNCTIONS:
            raise _refusal(name, TABLE_FUNCTIONS)
        function["function_name"] = "unnest"  # looked at here, so that it need not be one of values as well


def _check_table(node: dict[str, Any]) -> None:
    *schemas, name = (each.lower() for each in node["qualified_name"]["path"])
    if name.startswith(("duckdb_", "pg_", "pragma_", "sqlite_")) and name not in TABLES:
        raise _refusal(name, TABLES)
    if "pg_catalog" in schemas:
        raise _refusal(f"pg_catalog.{name}", TABLES)


def _check_format(name: str, node: dict[str, Any]) -> None:
    first = node["arguments"][0]["expression"] if node.get("arguments") else {}
    pattern = first.get("literal", {}).get("text") if first.get("class") == "CONSTANT" else None
    if pattern is None or _WIDE_FORMAT.search(pattern):
        raise QueryError(
            f"{name} needs its pattern written out, with widths under 1000, because a wider one fills the memory; "
            "use lpad or rpad for a width that is computed"
        )


def _refusal(name: str, allowed: frozenset[str]) -> QueryError:
    if refusal := refusal_of_function(name):
        return refusal
    nearest = difflib.get_close_matches(name, allowed, 1)
    meant = f"did you mean {nearest[0]}?" if nearest else "docs/sql.md says which there are"
    return QueryError(f"there is no {name} that may be used here; {meant}")


def _own_growth(select: dict[str, Any]) -> int:
    items = select.get("select_list", ())
    stars = sum(1 for each in items if each.get("class") == "STAR")
    tables = sum(1 for _ in _nodes_of_from(select.get("from_table")))
    nested = max((_references_in_structs(each, within=False) for each in items), default=1)
    return max(1, stars * max(1, tables), nested)


def _nodes_of_from(node: Any) -> Iterator[object]:
    if isinstance(node, dict):
        if node.get("type") == "JOIN":
            yield from _nodes_of_from(node["left"])
            yield from _nodes_of_from(node["right"])
        elif node.get("type") != "EMPTY":
            yield node


def _references_in_structs(node: object, *, within: bool) -> int:
    if isinstance(node, list):
        return sum(_references_in_structs(each, within=within) for each in node)
    if not isinstance(node, dict) or node.get("class") == "SUBQUERY":
        return 0
    if node.get("class") == "COLUMN_REF":
        return int(within)
    within = within or node.get("function_name") in _STRUCTS
    return sum(_references_in_structs(each, within=within) for each in node.values())
