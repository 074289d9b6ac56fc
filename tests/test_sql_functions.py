"""Every function that SQL may call is one of DuckDB's, and one that is new to DuckDB is not let through by itself."""

from __future__ import annotations

import re

import duckdb
import pytest

from tracewave_panel.stores.sql_functions import BOUNDED, FUNCTIONS, TABLE_FUNCTIONS, refusal_of_function

OF_THE_PARSER = {"unnest", "count_star", "grouping_id"}
HARMFUL = re.compile(
    r"^(read_|parquet_|arrow_|pandas_|python_|enable_|disable_|force_|create_|register_|sleep|pg_sleep|glob$|query"
    r"|getenv|current_setting|nextval|setval|setseed|write_log|finalize|combine|__|st_|variant_|json_(de)?serialize)"
)


@pytest.fixture(scope="module")
def known():
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute("SELECT function_name, function_type FROM duckdb_functions()").fetchall()
    return {(name.lower(), kind) for name, kind in rows}


def test_every_function_that_may_be_called_exists(known):
    names = {name for name, _ in known}
    windows = {"cume_dist", "dense_rank", "fill", "first_value", "lag", "last_value", "lead", "nth_value"}
    assert FUNCTIONS - names - OF_THE_PARSER - windows == set()
    assert TABLE_FUNCTIONS - {name for name, kind in known if kind in {"table", "table_macro"}} == set()


def test_none_of_them_is_harmful():
    assert [name for name in FUNCTIONS | TABLE_FUNCTIONS if HARMFUL.match(name)] == []


def test_functions_with_a_bound_may_be_called_and_their_macros_can_be_made():
    assert BOUNDED.keys() <= FUNCTIONS
    with duckdb.connect(":memory:") as connection:
        for name, bodies in BOUNDED.items():
            connection.execute(f"CREATE TEMP MACRO {name} {', '.join(bodies)}")


def test_table_functions_that_may_not_be_called_have_a_reason(known):
    refused = {name for name, kind in known if kind == "table"} - TABLE_FUNCTIONS
    without = {name for name in refused if refusal_of_function(name) is None}
    assert without <= {"repeat_row", "summary", "test_all_types", "test_vector_types", "icu_calendar_names"}, without
