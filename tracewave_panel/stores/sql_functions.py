"""Which functions SQL of somebody else's may call, and how large a value they may build.

A list of those that may, not of those that may not: DuckDB has functions that read a number as an
address in memory (``arrow_scan``), change settings (``enable_logging``) or tell of the machine, and
its next version will have more.
"""

from __future__ import annotations

from tracewave_panel.errors import QueryError

__all__ = ["BOUNDED", "FUNCTIONS", "MOST_IN_A_VALUE", "TABLES", "TABLE_FUNCTIONS", "refusal_of_function"]

MOST_IN_A_VALUE = 10_000
"""Characters, or elements, that one call of a function may build."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PATTERN, _REPLACEMENT, _COMPARED, _REPLACED, _SORTED = 1_000, 100, 100_000, 1_000_000, 100_000

FUNCTIONS = _words("""
    abs acos acosh add age aggregate ago any_value apply approx_count_distinct approx_quantile approx_top_k
    arbitrary arg_max arg_max_null arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin
    array_agg array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains
    array_cosine_distance array_cosine_similarity array_cross_product array_distance array_distinct
    array_dot_product array_extract array_filter array_grade_up array_has array_has_all array_has_any array_indexof
    array_inner_product array_intersect array_length array_negative_dot_product array_negative_inner_product
    array_pop_back array_pop_front array_position array_prepend array_push_back array_push_front array_reduce
    array_resize array_reverse array_reverse_sort array_select array_slice array_sort array_to_json array_to_string
    array_to_string_comma_default array_transform array_unique array_value array_where array_zip ascii asin asinh
    atan atan2 atanh avg bar base64 bin binom bit_and bit_count bit_length bit_or bit_position bit_xor bitstring
    bool_and bool_or cardinality cbrt ceil ceiling century char_length character_length chr concat concat_ws
    contains corr cos cosh cot count count_if count_star countif covar_pop covar_samp cume_dist current_date
    current_localtime current_localtimestamp damerau_levenshtein date_add date_diff date_part date_sub date_trunc
    datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade decode
    degrees dense_rank divide editdist3 element_at encode ends_with entropy enum_code enum_first enum_last
    enum_range enum_range_boundary epoch epoch_ms epoch_ns epoch_us era error even exp factorial favg fdiv fill
    filter first first_value flatten floor fmod format format_bytes formatreadabledecimalsize formatreadablesize
    from_base64 from_binary from_hex from_json from_json_strict fsum gamma gcd gen_random_uuid generate_series
    geomean geometric_mean get_bit get_current_time get_current_timestamp grade_up greatest greatest_common_divisor
    group_concat grouping_id hamming hash hex histogram histogram_exact hour if ilike_escape instr isfinite isinf
    isnan isodow isoyear jaccard jaro_similarity jaro_winkler_similarity json json_array json_array_length
    json_contains json_deep_merge json_exists json_extract json_extract_path json_extract_path_text
    json_extract_string json_group_array json_group_object json_insert json_keys json_merge_patch
    json_merge_patch_diff json_normalize json_object json_pretty json_quote json_remove json_replace json_set
    json_strip_nulls json_structure json_transform json_transform_strict json_type json_valid json_value julian
    kahan_sum kurtosis kurtosis_pop lag last last_day last_value lcase lcm lead least least_common_multiple left
    left_grapheme len length length_grapheme levenshtein lgamma like_escape list list_aggr list_aggregate
    list_any_value list_append list_apply list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor
    list_bool_and list_bool_or list_cat list_concat list_contains list_cosine_distance list_cosine_similarity
    list_count list_distance list_distinct list_dot_product list_element list_entropy list_extract list_filter
    list_first list_grade_up list_has list_has_all list_has_any list_histogram list_indexof list_inner_product
    list_intersect list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median list_min list_mode
    list_negative_dot_product list_negative_inner_product list_pack list_position list_prepend list_product
    list_reduce list_resize list_reverse list_reverse_sort list_select list_sem list_skewness list_slice list_sort
    list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop
    list_var_samp list_where list_zip listagg ln log log10 log2 lower lpad ltrim mad make_date make_time
    make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz map map_concat map_contains
    map_contains_entry map_contains_value map_entries map_extract map_extract_value map_from_entries map_keys
    map_values max max_by md5 md5_number md5_number_lower md5_number_upper mean median microsecond millennium
    millisecond min min_by minute mismatches mod mode month monthname multiply nanosecond nextafter nfc_normalize
    normalized_interval not_ilike_escape not_like_escape now nth_value ntile nullif octet_length ord overlay
    parse_formatted_bytes percent_rank pi position pow power prefix printf product quantile quantile_cont
    quantile_disc quarter radians random range rank rank_dense reduce regexp_escape regexp_extract
    regexp_extract_all regexp_full_match regexp_matches regexp_replace regexp_split_to_array regr_avgx regr_avgy
    regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse right
    right_grapheme round round_even roundbankers row row_number row_to_json rpad rtrim second sem set_bit sha1
    sha256 sign signbit sin sinh skewness split split_part sqrt starts_with stddev stddev_pop stddev_samp str_split
    str_split_regex strftime string_agg string_split string_split_regex string_to_array strip_accents strlen strpos
    strptime struct_concat struct_contains struct_extract struct_extract_at struct_has struct_indexof struct_insert
    struct_keys struct_pack struct_position struct_values substr substring substring_grapheme subtract suffix sum
    sum_no_overflow sumkahan tan tanh time_bucket timezone timezone_hour timezone_minute to_base to_base64 to_binary
    to_centuries to_days to_decades to_hex to_hours to_json to_microseconds to_millennia to_milliseconds to_minutes
    to_months to_quarters to_seconds to_timestamp to_weeks to_years today transaction_timestamp translate trim trunc
    try_strptime typeof ucase unbin unhex unicode union_extract union_tag union_value unnest upper url_decode
    url_encode uuid uuid_extract_timestamp uuidv4 uuidv7 var_pop var_samp variance wavg week weekday weekofyear
    weighted_avg xor year yearweek
""")
"""Functions of values, aggregates and windows."""

TABLE_FUNCTIONS = _words("""
    duckdb_columns duckdb_constraints duckdb_functions duckdb_keywords duckdb_tables duckdb_types duckdb_views
    generate_series json_each json_tree pg_timezone_names pragma_table_info range repeat unnest
""")
"""Functions that may stand in FROM."""

TABLES = _words("""
    duckdb_columns duckdb_constraints duckdb_tables duckdb_types duckdb_views
""")
"""Tables about tables, whose like (of databases, logs, settings) tell of the machine."""


_LISTS = f"takes lists of up to {_SORTED:,} elements; count in rows, with DISTINCT or GROUP BY"
_LISTED = (
    ("list_distinct array_distinct list_unique array_unique", ("a",)),
    ("list_intersect array_intersect list_has_all array_has_all list_has_any array_has_any", ("a, b",)),
    ("list_aggregate list_aggr array_aggregate array_aggr aggregate", ("a, b", "a, b, c")),
)
"""Functions that take long over a long list, and their parameters."""


def _bounds() -> dict[str, tuple[str, ...]]:
    most, text = MOST_IN_A_VALUE, f"would build a value of more than {MOST_IN_A_VALUE:,}"

    def guarded(name: str, parameters: str, too_much: str, words: str) -> str:
        refusal = f"{name} {words}".replace("'", "''")
        # DuckDB works out constants before it chooses between branches, so the first argument is taken away as well
        given = parameters.replace("a", f"CASE WHEN {too_much} THEN NULL ELSE a END", 1)
        return f"({parameters}) AS CASE WHEN {too_much} THEN error('{refusal}') ELSE system.main.{name}({given}) END"

    bounds: dict[str, tuple[str, ...]] = {}
    for name in ("range", "generate_series"):
        words = f"{text} elements; call it in FROM, where rows come one by one, or ask for fewer"
        far = f"a + c * {most}::BIGINT"
        bounds[name] = (
            guarded(name, "a", f"a > {most}", words),
            guarded(name, "a, b", f"b - a > {most}", words),
            guarded(name, "a, b, c", f"(a + c > a AND {far} < b) OR (a + c < a AND {far} > b)", words),
        )
    words = f"{text} characters or elements; ask for fewer"
    bounds["repeat"] = (guarded("repeat", "a, n", f"n > {most} OR len(a) > {most} OR len(a) * n > {most}", words),)
    for name in ("lpad", "rpad"):
        bounds[name] = (guarded(name, "a, n, b", f"n > {most}", words),)
    for name in ("list_resize", "array_resize"):
        bounds[name] = (guarded(name, "a, n", f"n > {most}", words), guarded(name, "a, n, b", f"n > {most}", words))
    bounds["bitstring"] = (guarded("bitstring", "a, n", f"n > {most}", words),)
    large = f"strlen(a) * greatest(1, strlen(c)) > {_REPLACED}"
    bounds["replace"] = (guarded("replace", "a, b, c", large, "could build too long a text; give it a shorter one"),)
    long = f"strlen(a) > {most} OR strlen(b) > {_PATTERN}"
    words = f"looks at texts of up to {most:,} characters, with a pattern of up to {_PATTERN:,}; give it shorter ones"
    for name in ("regexp_matches", "regexp_full_match", "regexp_extract", "regexp_extract_all"):
        bounds[name] = (guarded(name, "a, b", long, words), guarded(name, "a, b, c", long, words))
    bounds["regexp_extract"] += (guarded("regexp_extract", "a, b, c, d", long, words),)
    bounds["regexp_extract_all"] += (guarded("regexp_extract_all", "a, b, c, d", long, words),)
    for name in ("regexp_split_to_array", "string_split_regex", "str_split_regex"):
        bounds[name] = (guarded(name, "a, b", long, words), guarded(name, "a, b, c", long, words))
    replaced = f"{long} OR strlen(c) > {_REPLACEMENT}"
    words = f"{words}, and a replacement of up to {_REPLACEMENT}"
    bounds["regexp_replace"] = (
        guarded("regexp_replace", "a, b, c", replaced, words),
        guarded("regexp_replace", "a, b, c, d", replaced, words),
    )
    words = "compares short texts only, because its work grows with the product of their lengths; shorten them"
    for name in (
        "levenshtein", "editdist3", "damerau_levenshtein", "jaro_similarity", "jaro_winkler_similarity"
    ):  # fmt: skip
        bounds[name] = (guarded(name, "a, b", f"strlen(a) * strlen(b) > {_COMPARED}", words),)
    return bounds | {
        name: tuple(guarded(name, each, f"len(a) > {_SORTED}", _LISTS) for each in parameters)
        for names, parameters in _LISTED
        for name in names.split()
    }


BOUNDED = _bounds()
"""Bodies of the macros that stand before functions whose one call could go on for long, unheard and uncounted.

DuckDB looks whether a query was interrupted between calls, a call being of about two thousand rows, and
does not count what a call builds towards its memory limit.
"""

_MACHINE = "tells of the machine, which is not shown here; ask the tables of this history, which SHOW TABLES lists"
_FILES = "reads files or addresses, which is disabled here; ask the tables of this history, which SHOW TABLES lists"
_MADE = "runs SQL that is made while it runs, which is not allowed; write it out"
_CHANGES = "changes something, and history is read-only to SQL; leave it out"
_REASONS = (
    ("read_ parquet_ sniff_csv glob from_csv st_read postgres_ sqlite_ mysql_ delta_ iceberg_ http_ seq_scan", _FILES),
    ("arrow_scan pandas_scan python_", "reads the memory of the server, which is not allowed; ask the tables"),
    ("query json_execute_ json_serialize_ json_deserialize_", _MADE),
    ("nextval setval setseed write_log enable_ disable_ truncate_ checkpoint force_", _CHANGES),
    ("create_ register_ deregister_ destroy_", _CHANGES),
    ("sleep pg_sleep", "only waits; leave it out"),
    ("duckdb_ pragma_ pg_ current_ getenv getvariable which_secret inet_ txid_ session_ user version", _MACHINE),
)  # fmt: skip


def refusal_of_function(name: str) -> QueryError | None:
    """Why a function may not be called, in words; None when no reason of ours fits its name."""
    for beginnings, reason in _REASONS:
        if name.startswith(tuple(beginnings.split())):
            return QueryError(f"{name} {reason}")
    return None
