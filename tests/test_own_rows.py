"""Rows of a stream of one's own: parsers, counting, series, duplicates, and batches of what is all there."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
from collections import Counter
from itertools import pairwise
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracewave_panel.core.windows import TumblingWindows
from tracewave_panel.errors import ConfigError, FeedError
from tracewave_panel.model import Quality
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_file import file_batches
from tracewave_panel.sources.own_lines import MOST_LINES, CsvRows, JsonRows, Lines
from tracewave_panel.sources.own_rows import OTHER, Row, Rows, row_batches

T0 = 1_767_225_600.0
MAPPING = Mapping(name="orders", time="at", id="id", dimensions=["country"], measures=["amount"])


def rows_by(parser, pieces):
    rows = [row for piece in pieces for row in parser.feed(piece)]
    return rows + parser.finish()


def whole_bytewise_and_with_a_tail(make, data, cuts):
    """The same rows, however the bytes are cut; what a tail adds changes nothing before it."""
    whole = rows_by(make(), [data])
    assert rows_by(make(), [data[at : at + 1] for at in range(len(data))]) == whole
    edges = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    assert rows_by(make(), [data[start:end] for start, end in pairwise(edges)]) == whole
    tailed = make()
    told = tailed.feed(data)
    assert told == whole[: len(told)]
    tailed.feed(b'tail, "with a quote\n')
    assert make().feed(data) == told
    return whole


CUTS = st.lists(st.integers(0, 10_000), max_size=5)

# -- lines


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), max_size=8), st.integers(1, 20), CUTS)
def test_lines_are_the_same_however_they_are_cut(lines, limit, cuts):
    data = b"\n".join(lines)
    found = whole_bytewise_and_with_a_tail(lambda: Lines(limit), data, cuts)
    expected = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not data.split(b"\n")[-1]:
        expected = expected[:-1]
    assert [number for number, _ in found] == list(range(1, len(expected) + 1))
    for (number, line), wanted in zip(found, expected, strict=True):
        text = wanted.removesuffix(b"\r")
        if number > 1:
            assert line == (text if len(text) <= limit else None)


def test_a_line_that_is_too_long_is_told_and_not_held():
    parser = JsonRows(limit=100)
    for _ in range(1000):
        assert parser.feed(b"x" * 1000) == []
    assert len(parser._lines._begun) <= 101 + 1000
    (row, good) = parser.feed(b'\n{"a": 1}\n')
    assert (row.number, row.fields) == (1, None)
    assert "a line of over 100 bytes; max_bytes in [read] sets the limit" in row.fault
    assert good == Row(2, {"a": 1})


# -- JSON


@given(st.lists(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4)), max_size=6), CUTS)
def test_every_object_is_one_row(objects, cuts):
    data = b"\r\n".join(json.dumps(each).encode() for each in objects)
    rows = whole_bytewise_and_with_a_tail(lambda: JsonRows(limit=10_000), data, cuts)
    assert [row.fields for row in rows] == objects
    assert [row.number for row in rows] == list(range(1, len(objects) + 1))


@given(st.binary(max_size=200), CUTS)
def test_any_bytes_are_rows_or_faults(data, cuts):
    rows = whole_bytewise_and_with_a_tail(lambda: JsonRows(limit=50), data, cuts)
    for row in rows:
        assert (row.fields is None) == bool(row.fault)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"a": 1', "not JSON (Input data was truncated); it starts with b'{\"a\": 1'"),
        (b"{'a': 1}", "not JSON (JSON is malformed"),
        (b"\xff\xfe", "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"7", "no object with fields; one a line is wanted"),
        (b'"text"', "no object"),
        (b'[{"a": 1}, 7]', "no object"),
        (b'{"a": NaN}', "not JSON"),
    ],
)
def test_a_line_that_is_no_row_says_why(line, words):
    rows = JsonRows(limit=10_000).feed(line + b"\n")
    assert words in rows[-1].fault


# -- CSV

CELL = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(CELL.map("x{}".format), CELL), min_size=1, max_size=6), st.sampled_from(",;\t"), CUTS)
def test_what_the_library_writes_is_read_again(table, delimiter, cuts):
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerows([["a", "b"], *table])
    rows = whole_bytewise_and_with_a_tail(
        lambda: CsvRows(limit=100_000, delimiter=delimiter), written.getvalue().encode(), cuts
    )
    assert [tuple(row.fields.values()) for row in rows] == table


@given(st.binary(max_size=200), CUTS)
def test_any_bytes_behind_a_header_are_rows_or_faults(data, cuts):
    def make():
        return CsvRows(limit=60, columns=("a", "b"))

    for row in whole_bytewise_and_with_a_tail(make, data, cuts):
        assert (row.fields is None) == bool(row.fault)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n", [(2, {"a": "1", "b": "2"})]),
        ("\ufeffa,b\r\n1,2\r\n", [(2, {"a": "1", "b": "2"})]),
        ("a,b\n\n1,2", [(3, {"a": "1", "b": "2"})]),
        ('a,b\n"x, ""y""\nz",2\n3,4\n', [(2, {"a": 'x, "y"\nz', "b": "2"}), (4, {"a": "3", "b": "4"})]),
        ('a,b\n5" pipe,2\n3,4\n', [(2, {"a": '5" pipe', "b": "2"}), (3, {"a": "3", "b": "4"})]),
        ('a,b\n"",""\n', [(2, {"a": "", "b": ""})]),
        ("a,b\nüñ,日本\n", [(2, {"a": "üñ", "b": "日本"})]),
    ],
)
def test_csv_is_read_as_it_is_meant(text, rows):
    found = rows_by(CsvRows(limit=1000), [text.encode()])
    assert [(row.number, row.fields) for row in found] == rows


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("a,b\n1\n", [(2, "1 cell, where 2 are wanted (a, b)")]),
        ("a,b\n1,2,3\n", [(2, "3 cells, where 2 are wanted (a, b)")]),
        ("a,b\n" + "x" * 2000 + ",2\n", [(2, "a line of over 1,000 bytes")]),
        ('a,b\n"x,2\n3,4\n', [(2, "a quote that begins here is not closed")]),
    ],
)
def test_a_row_of_csv_that_is_none_says_why(text, faults):
    found = rows_by(CsvRows(limit=1000), [text.encode()])
    assert [(row.number, row.fault) for row in found if row.fault] == faults


def test_a_line_of_csv_that_is_no_text_says_where():
    (row,) = rows_by(CsvRows(limit=1000), [b"a,b\n1,\xff2\n"])
    assert (row.number, row.fault) == (2, "not UTF-8 text at byte 3")


def test_a_quote_that_nobody_closes_costs_one_row():
    lines = ["a,b", '"oops,1', *(f"{number},x" for number in range(3 * MOST_LINES))]
    found = rows_by(CsvRows(limit=100_000), ["\n".join(lines).encode()])
    assert [row.number for row in found if row.fault] == [2]
    assert [row.fields["a"] for row in found if row.fields] == [str(number) for number in range(3 * MOST_LINES)]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("tim,country,id,amount", "orders.csv, line 1: there is no column 'at' (time); there are tim, country"),
        ("at,contry,id,amount", "there is no column 'country' (dimension country); did you mean country"),
        ("at;country;id;amount", "cells seem to be apart by ';': set delimiter in [read]"),
        ("at,at,id,amount", "two columns are called 'at'; rename one"),
    ],
)
def test_csv_without_the_columns_that_are_named_is_refused(header, words, tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(f"{header}\n1,2,3,4\n")
    with pytest.raises(ConfigError) as refused:
        list(file_batches(path, MAPPING))
    assert words.replace("did you mean country", "did you mean contry") in str(refused.value)


# -- counting


def row(number, **fields):
    return Row(number, {"at": T0 + number, "id": f"i{number}", "country": "de", "amount": 1, **fields})


def test_every_row_ends_in_one_counter_and_the_first_faults_are_logged_with_their_line(caplog):
    reader = Rows(MAPPING, "orders.ndjson", counted="line", only={"type": "order"})
    for number in range(1, 1001):
        kind = number % 4
        reader.event(
            row(number, type="order")
            if kind == 0
            else row(number, type="order", at="soon")
            if kind == 1
            else row(number, type="ping")
            if kind == 2
            else row(4 * (number // 8) + 4, type="order")
        )
    counts = reader.counters
    assert counts["events"] + counts["undecodable"] + counts["duplicates"] + counts["skipped"] == 1000
    assert counts["undecodable"] == 250
    assert counts["skipped"] == 250
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == (
        "orders.ndjson, line 1: time (field at): 'soon' is no time; write it as 2026-01-31T12:00:00Z "
        "(1 left out so far)"
    )
    assert len(told) == 7  # five, the tenth, the hundredth
    assert "line 397:" in told[-1]


def test_a_row_with_a_fault_is_told_like_any_other(caplog):
    reader = Rows(MAPPING, "x.csv", counted="line")
    assert reader.event(Row(7, fault="not JSON")) is None
    assert "x.csv, line 7: not JSON (1 left out so far)" in caplog.text


def test_series_are_held_to_a_number_and_the_rest_goes_to_other(caplog):
    mapping = Mapping(time="at", series="user", series_names=["a"], most_series=3)
    reader = Rows(mapping, "x")
    found = [reader.event(Row(n, {"at": T0, "user": user})).series for n, user in enumerate("abcdefabc", 1)]
    assert found == ["a", "b", "c", OTHER, OTHER, OTHER, "a", "b", "c"]
    assert len([record for record in caplog.records if "one more than most_series = 3 allows" in record.message]) == 1
    assert "make it a dimension" in caplog.text


def test_a_field_that_no_row_has_is_told_once(caplog):
    reader = Rows(Mapping(time="at", dimensions={"country": "contry", "city": "city"}), "x")
    for number in range(1, 500):
        reader.event(Row(number, {"at": T0, "country": "de", **({"city": "x"} if number > 100 else {})}))
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "x: none of the first 200 rows has a field contry (dimension country); this one has at, country, city"
    ]


def test_duplicates_are_found_by_id_and_rows_without_one_are_none():
    reader = Rows(MAPPING, "x")
    given_ids = ["1", "2", "1", None, None, "", 2]
    events = [reader.event(row(n, id=identity)) for n, identity in enumerate(given_ids, 1)]
    assert [event.id if event else None for event in events] == ["1", "2", None, "row 4", "row 5", "row 6", None]
    assert reader.counters["duplicates"] == 2


# -- batches of what is all there


def test_batches_make_the_windows_that_the_rows_say():
    rows = [{"at": T0 + n * 0.37, "country": "de" if n % 3 else "pt", "amount": n, "id": n} for n in range(1, 1000)]
    rows[100] = {"at": "never"}
    rows[200] = rows[199]
    windows = TumblingWindows(MAPPING.feed, width=1.0)
    told, undecodable, duplicates = [], 0, 0
    for batch in row_batches(rows, MAPPING, lateness=2.0):
        told += windows.push(batch)
        undecodable += batch.undecodable
        duplicates += batch.duplicates
    told += windows.flush()
    counted = Counter(floor(each["at"]) for n, each in enumerate(rows) if n not in {100, 200})
    sums = Counter()
    for n, each in enumerate(rows):
        if n not in {100, 200}:
            sums[floor(each["at"])] += each["amount"]
    assert {window.start: window.count for window in told} == {float(start): n for start, n in counted.items()}
    amount = MAPPING.feed.feature_index("amount")
    assert {window.start: window.features[amount] for window in told} == {float(s): float(n) for s, n in sums.items()}
    assert (undecodable, duplicates) == (1, 1)


def test_a_hole_is_a_gap_and_a_wrong_stamp_moves_nothing():
    rows = [{"at": T0 + n} for n in range(50)] + [{"at": T0 + 40_000 + n} for n in range(50)]
    rows.insert(20, {"at": T0 + 10_000_000})
    batches = list(row_batches(rows, Mapping(time="at")))
    marks = [mark for batch in batches for mark in batch.marks]
    assert [(mark.start - T0, mark.end - T0, mark.quality) for mark in marks] == [(49.0, 40_000.0, Quality.GAP)]
    assert batches[-1].watermark == T0 + 40_049


def test_rows_that_are_all_there_need_a_time():
    with pytest.raises(ConfigError, match="time: missing"):
        list(row_batches([{}], Mapping()))


@pytest.mark.parametrize("pack", ["", ".gz", ".xz"])
@pytest.mark.parametrize("form", ["ndjson", "csv", "tsv"])
def test_a_file_is_read_by_its_name(form, pack, tmp_path):
    rows = [{"at": T0 + n // 4, "id": n, "country": "de", "amount": 2} for n in range(400)]
    if form == "ndjson":
        text = "\n".join(map(json.dumps, rows))
    else:
        written = io.StringIO()
        sign = "\t" if form == "tsv" else ","
        writer = csv.DictWriter(written, list(rows[0]), delimiter=sign)
        writer.writeheader()
        writer.writerows(rows)
        text = written.getvalue()
    path = tmp_path / f"orders.{form}{pack}"
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[pack](text.encode()))
    events = [event for batch in file_batches(path, MAPPING) for event in batch.events]
    assert [event.time for event in events] == [each["at"] for each in rows]
    assert {event.measures for event in events} == {(2.0,)}


@pytest.mark.parametrize("name", ["orders.txt", "orders"])
def test_a_file_whose_name_does_not_tell_is_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="does not tell; say ndjson or csv"):
        file_batches(tmp_path / name, MAPPING)


def test_a_file_without_one_event_is_refused(tmp_path, caplog):
    path = tmp_path / "orders.ndjson"
    path.write_text('{"tim": 1}\n' * 3)
    with pytest.raises(FeedError, match=r"orders.ndjson: no row of 3 became an event"):
        list(file_batches(path, MAPPING))
    assert "orders.ndjson, line 1: time (field at): there is no value" in caplog.text
