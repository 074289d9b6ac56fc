"""What a Mapping takes and refuses, with the words; and feeds described in TOML."""

from __future__ import annotations

import json
import logging
import math
import re
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracewave_panel.errors import ConfigError, FeedError
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA, Feature, Metric
from tracewave_panel.sources.feed_file import load_feed
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.row_values import is_blank, moment_of, number_of, path_of, text_of, value_at

NEW_YEAR = 1_767_225_600.0  # 2026-01-01

# -- moments


@pytest.mark.parametrize(
    ("value", "form", "seconds"),
    [
        ("2026-01-01T00:00:00Z", "auto", NEW_YEAR),
        ("2026-01-01 01:00:00+01:00", "auto", NEW_YEAR),
        ("2026-01-01T00:00:00.250", "auto", NEW_YEAR + 0.25),
        ("2026-01-01", "auto", NEW_YEAR),
        (1767225600, "auto", NEW_YEAR),
        (1767225600.5, "auto", NEW_YEAR + 0.5),
        (1767225600500, "auto", NEW_YEAR + 0.5),
        (1767225600500000, "auto", NEW_YEAR + 0.5),
        (1767225600500000000, "auto", NEW_YEAR + 0.5),
        ("1767225600", "auto", NEW_YEAR),
        (" 1767225600500 ", "auto", NEW_YEAR + 0.5),
        ("1.7672256e9", "auto", NEW_YEAR),
        (100_000_000, "auto", 1e8),
        (100_000_000_000, "auto", 1e8),
        (100_000_000_000_000, "auto", 1e8),
        (17, "seconds", 17.0),
        (1500, "milliseconds", 1.5),
        ("1500", "microseconds", 0.0015),
        ("20260101", "iso", NEW_YEAR),
        (datetime(2026, 1, 1, tzinfo=UTC), "auto", NEW_YEAR),
        (datetime(2026, 1, 1), "auto", NEW_YEAR),  # noqa: DTZ001 - as a frame holds it
        (date(2026, 1, 1), "auto", NEW_YEAR),
        (pd.Timestamp("2026-01-01T00:00:00.5Z"), "auto", NEW_YEAR + 0.5),
        (np.datetime64("2026-01-01T00:00:00.500000000"), "auto", NEW_YEAR + 0.5),
        (np.int64(1767225600), "auto", NEW_YEAR),
    ],
)
def test_a_moment_is_read(value, form, seconds):
    assert moment_of(value, form) == seconds


@pytest.mark.parametrize(
    ("value", "form", "words"),
    [
        (17, "auto", "17 could be in any unit; say time_format"),
        ("20260101", "auto", "could be in any unit"),
        (99_999_999, "auto", "could be in any unit"),
        (-1767225600, "auto", "could be in any unit"),
        (math.inf, "auto", "could be in any unit"),
        (math.nan, "auto", "there is no value"),
        (None, "auto", "there is no value"),
        ("  ", "auto", "there is no value"),
        (pd.NaT, "auto", "there is no value"),
        (np.datetime64("NaT"), "auto", "there is no value"),
        ("yesterday", "auto", "'yesterday' is no time; write it as 2026-01-31T12:00:00Z"),
        ("2026-13-01", "auto", "is no time"),
        (True, "auto", "True is no time"),
        ([1], "auto", "is no time"),
        ({"a": 1}, "auto", "is no time"),
        (1767225600, "iso", "is a number, and time_format is iso"),
        ("2026-01-01", "seconds", "is no number of seconds"),
        (1767225600000, "seconds", "is not between 1970 and 2199; check time_format"),
        (-1, "seconds", "is not between 1970 and 2199"),
        (1e10, "auto", "is not between 1970 and 2199"),
        ("1960-01-01", "iso", "is no time"),
        ("x" * 500, "auto", "…"),
        (10**400, "auto", "is not between|any unit|no time"),
    ],
)
def test_what_is_no_moment_is_refused_in_words(value, form, words):
    with pytest.raises(ValueError, match=words) as refused:
        moment_of(value, form)
    assert len(str(refused.value)) < 200


@given(st.floats(1e8, 7.2e9))
def test_every_unit_gives_the_same_moment_back(seconds):
    seconds = round(seconds, 3)
    for scale in (1, 1e3, 1e6, 1e9):
        assert moment_of(seconds * scale) == pytest.approx(seconds, abs=1e-5)
    assert moment_of(datetime.fromtimestamp(seconds, UTC).isoformat()) == pytest.approx(seconds, abs=1e-5)


# -- text and numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("de", "de"),
        ("  de ", "de"),
        (3, "3"),
        (3.0, "3"),
        (3.5, "3.5"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        (math.nan, ""),
        (np.float64("nan"), ""),
        (np.str_("x"), "x"),
        (np.bool_(True), "true"),
        (b"bytes", "bytes"),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
        ("ä" * 300, "ä" * 9 + "…"),
        ("<b>&amp;</b>", "<b>&amp;<…"),
    ],
)
def test_a_value_becomes_text(value, text):
    found = text_of(value, 10)
    assert found == text
    found.encode()


@pytest.mark.parametrize(("value", "words"), [([1], "a list"), ({"a": 1}, "an object"), (10**50, "40 digits")])
def test_what_is_no_text_is_refused(value, words):
    with pytest.raises(ValueError, match=words):
        text_of(value, 10)


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3.0), (-2.5, -2.5), ("3e4", 3e4), (" 12 ", 12.0), (".5", 0.5), (True, 1.0), (np.int64(4), 4.0), ("-0", 0.0)],
)
def test_a_value_becomes_a_number(value, number):
    assert number_of(value) == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        None,
        "1,5",
        "1_000",
        "nan",
        "inf",
        "0x10",
        "twelve",
        math.nan,
        math.inf,
        1e16,
        "1e300",
        [],
        {},
        10**400,
        "१२x",
    ],
)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match=r"no number|no value|added up"):
        number_of(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def refused_in(error, make):
    """The words in which `make` refuses, or empty ones and what it makes."""
    try:
        return "", make()
    except error as refused:
        assert str(refused)  # noqa: PT017 - either outcome is fine
        return str(refused), None


@given(JSON)
def test_any_value_gives_a_fine_one_or_is_refused_in_words(value):
    for make, fine in (
        (lambda: text_of(value, 50), lambda text: len(text) <= 50 and text.encode() is not None),
        (lambda: number_of(value), math.isfinite),
        (lambda: moment_of(value), lambda moment: 0 <= moment < 7.3e9),
    ):
        words, made = refused_in(ValueError, make)
        assert len(words) < 300
        assert words or fine(made)
    assert is_blank(value) in {True, False}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", {"b": [1, {"c": "deep"}], "x.y": 2}),
        ("a.b.0", 1),
        ("a.b.1.c", "deep"),
        ("a.b.7", None),
        ("a.b.-1", None),
        ("a.b.c", None),
        ("dotted.name", "itself"),
        ("dotted.name.more", None),
        ("nothing", None),
        ("text.0", None),
    ],
)
def test_a_dotted_path_leads_into_a_row(path, found):
    row = {
        "a": {"b": [1, {"c": "deep"}], "x.y": 2},
        "dotted.name": "itself",
        "dotted": {"name": "other"},
        "text": "abc",
    }
    assert value_at(row, path_of(path)) == found


# -- mappings


def test_defaults_make_a_feed_whose_names_say_what_they_are():
    feed = Mapping(
        name="orders", noun="orders", time="at", dimensions=["user.country", "channel"], measures={"euros": "amount"},
        actor="user.name", subject="item",
    ).feed  # fmt: skip
    assert (feed.name, feed.title, feed.series) == ("orders", "Orders", ("orders",))
    assert feed.dimensions == ("country", "channel")
    assert feed.measures == ("euros",)
    assert (feed.actor, feed.subject) == ("user", "item")
    assert feed.features == (
        Feature("rate", "rate"),
        Feature("users", "distinct", "actor"),
        Feature("items", "distinct", "subject"),
        Feature("euros", "sum", "euros"),
    )
    assert feed.metrics == (Metric("rate", "rate", "orders/s", "orders"),)


@pytest.mark.parametrize("feed", [WIKIMEDIA, CRYPTO], ids=lambda feed: feed.name)
def test_a_known_feed_could_have_been_described(feed):
    described = Mapping(
        name="own", time="t", series="s", series_names=feed.series, dimensions=list(feed.dimensions),
        measures=list(feed.measures), actor=feed.actor, subject=feed.subject, features=feed.features,
        metrics=feed.metrics, place=feed.place, who=feed.who,
    ).feed  # fmt: skip
    for field in ("dimensions", "measures", "features", "metrics", "series", "place", "who", "actor", "subject"):
        assert getattr(described, field) == getattr(feed, field), field


def test_the_columns_of_actor_and_subject_never_clash():
    mapping = Mapping(time="t", dimensions=["user"], actor="user", subject="id")
    assert (mapping.feed.actor, mapping.feed.subject) == ("actor_name", "subject_name")
    both = Mapping(time="t", actor="buyer.name", subject="seller.name").feed
    assert len({both.actor, both.subject}) == 2


def test_a_sum_of_a_measure_called_like_a_column_of_windows_gets_another_name():
    feed = Mapping(time="t", measures=["count", "rate"]).feed
    assert [feature.name for feature in feed.features] == ["rate", "count_sum", "rate_sum"]


FULL = {
    "at": NEW_YEAR, "shop": "lisbon", "order": 7, "user": {"name": "Ada", "country": "pt"}, "item": "lamp",
    "amount": "9.50", "url": "https://shop.example/7", "words": "A lamp",
}  # fmt: skip


def test_a_row_becomes_an_event():
    event = Mapping(
        time="at", series="shop", series_names=["lisbon"], id="order", dimensions=["user.country"],
        measures={"euros": "amount"}, actor="user.name", subject="item", label="words", link="url",
    ).event(FULL, 1)  # fmt: skip
    assert (event.time, event.occurred_at, event.arrived_at) == (NEW_YEAR,) * 3
    assert (event.series, event.id, event.dimensions, event.measures) == ("lisbon", "7", ("pt",), (9.5,))
    assert (event.actor, event.subject, event.title, event.link) == ("Ada", "lamp", "A lamp", "https://shop.example/7")


def test_what_is_blank_is_unknown_and_a_row_without_an_id_has_its_number():
    mapping = Mapping(time="at", series="s", series_names=["a"], id="i", dimensions=["d"], measures=["m"],
                      blank_measures="zero")  # fmt: skip
    event = mapping.event({"at": NEW_YEAR, "d": "  ", "m": None}, 12)
    assert (event.series, event.id, event.dimensions, event.measures) == ("unknown", "row 12", ("unknown",), (0.0,))


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "ftp://a", "//a", "data:text/html,x", "https://" + "x" * 3000, 7]
)
def test_a_link_that_is_no_web_address_is_left_out(link):
    assert Mapping(time="at", link="l").event({"at": NEW_YEAR, "l": link}, 1).link == ""


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "row 3, time (field at): there is no value"),
        ({"at": "soon"}, "row 3, time (field at): 'soon' is no time"),
        ({"at": NEW_YEAR, "d": [1]}, "row 3, dimension where (field d): a list"),
        ({"at": NEW_YEAR}, "row 3, measure much (field m): there is no value"),
        ({"at": NEW_YEAR, "m": "x"}, "row 3, measure much (field m): 'x' is no number"),
        ({"at": NEW_YEAR, "m": 1, "i": {}}, "row 3, id (field i): an object"),
        ([1], "row 3: a list, where an object with fields is wanted"),
        ("text", "row 3: a str"),
        (None, "row 3: a NoneType"),
    ],
)
def test_a_row_that_is_no_event_is_refused_with_row_and_field(row, words):
    mapping = Mapping(time="at", id="i", dimensions={"where": "d"}, measures={"much": "m"})
    with pytest.raises(FeedError, match=re.escape(words)):
        mapping.event(row, 3)


def test_a_mapping_without_a_time_takes_that_of_arrival():
    mapping = Mapping(dimensions=["d"])
    assert mapping.event({"d": "x"}, 1, arrived_at=5.0).occurred_at == 5.0
    with pytest.raises(FeedError, match="no field for the time"):
        mapping.event({"d": "x"}, 1)


BROKEN = {
    "dimensions: time is what history calls": {"dimensions": ["time"]},
    "dimensions: TOLD is what history calls": {"dimensions": ["TOLD"]},
    "measures: id is what history calls": {"measures": ["id"]},
    "dimensions: actor_name is what history calls": {"dimensions": ["actor_name"]},
    "clashes with Country of dimensions": {"dimensions": ["Country"], "measures": ["COUNTRY"]},
    "dimensions: two are called b": {"dimensions": ["a.b", "c.b"]},
    "is no name: a letter": {"dimensions": ["my field"]},
    "'1st' is no name": {"measures": ["1st"]},
    "dimensions: a table of name = field or a list": {"dimensions": "country"},
    "dimensions: a: the name of a field is wanted": {"dimensions": {"a": ""}},
    "21 are too many; 20 are allowed": {"dimensions": [f"d{n}" for n in range(21)]},
    "place: no dimension is called 'contry'; did you mean country": {"dimensions": ["country"], "place": "contry"},
    "who: no dimension is called 'x'; there are none": {"who": "x"},
    "name: 'my feed' is no name": {"name": "my feed"},
    "name: wikimedia is a feed that Tracewave knows": {"name": "wikimedia"},
    "title: at most 60": {"title": "x" * 61},
    "noun: at most 60": {"noun": "a\nb"},
    "noun: say what is counted": {"noun": ""},
    "series_names: missing; list the series": {"series": "shop"},
    "series_names: of no use without series": {"series_names": ["a"]},
    "series_names: different names": {"series": "s", "series_names": ["a", "a"]},
    "series_names: 2 are more than most_series": {"series": "s", "series_names": ["a", "b"], "most_series": 1},
    "most_series: from 1 to 1000": {"most_series": 0},
    "features: count is what history calls": {"features": [Feature("count", "rate")]},
    "features: zscore is what history calls": {"features": [Feature("zscore", "rate")]},
    "features: peak is what history calls": {"features": [Feature("peak", "rate")]},
    "features: two are called A": {"features": [Feature("a", "rate"), Feature("A", "rate")]},
    "features: x: share is of a dimension of this feed, not of 'contry'; did you mean country": {
        "dimensions": ["country"], "features": [Feature("x", "share", "contry", "de")],
    },
    "features: x: distinct is of a actor or subject": {"features": [Feature("x", "distinct", "actor")]},
    "features: x: sum is of a measure of this feed, not of 'y'": {"features": [Feature("x", "sum", "y")]},
    "features: x: a rate counts all events": {"features": [Feature("x", "rate", "y")]},
    "features: x: `value` says which": {"dimensions": ["d"], "features": [Feature("x", "share", "d")]},
    "features: rate: history calls": {"measures": ["m"], "features": [Feature("rate", "sum", "m")]},
    "metrics: rate: no feature is called 'rat'; did you mean rate": {"metrics": [Metric("rate", "rat", "/s", "x")]},
    "metrics: rate: unit: 1 to 60": {"metrics": [Metric("rate", "rate", "", "x")]},
    "metrics: two are called rate": {"metrics": [Metric("rate", "rate", "u", "x")] * 2},
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), BROKEN.items(), ids=BROKEN)
def test_a_mapping_that_makes_no_feed_is_refused_in_words(words, said):
    with pytest.raises(ConfigError, match=re.escape(words)):
        Mapping(time="at", **said)


# -- TOML


GOOD = """
title = "Shop orders"
noun = "orders"
[read]
file = "orders.ndjson"
[event]
time = "at"
actor = "user.name"
place = "country"
[event.dimensions]
country = "user.country"
[event.measures]
euros = "amount"
[[features]]
name = "rate"
fold = "rate"
[[features]]
name = "from_portugal"
fold = "share"
of = "country"
value = "pt"
[[metrics]]
name = "orders"
feature = "rate"
unit = "orders/s"
noun = "orders"
"""


def described(folder, text, environment=None):
    path = folder / "orders.toml"
    path.write_text(text)
    return load_feed(path, environment or {})


def test_a_feed_file_is_read(tmp_path):
    feed = described(tmp_path, GOOD)
    assert (feed.mapping.name, feed.mapping.title, feed.mapping.place) == ("orders", "Shop orders", "country")
    assert feed.mapping.feed.features[1] == Feature("from_portugal", "share", "country", "pt")
    assert feed.mapping.feed.metrics[0].name == "orders"
    assert feed.read.file == str(tmp_path / "orders.ndjson")
    assert (feed.read.format, feed.whole) == ("ndjson", True)


def read_section(text):
    return f"[read]\n{text}\n[event]\ntime = 'at'\n"


FILES = {
    "not a TOML file (Expected ']'": "[read",
    "nothing: there is no such key; there are name, title": "nothing = 1\n" + GOOD,
    "titel: there is no such key; did you mean title": "titel = 'x'\n" + GOOD,
    "title: Expected `str`, got `int`": GOOD.replace('"Shop orders"', "3"),
    "[read]: it says where rows come from by one of file, url and stdin = true, not by none": "[event]\ntime = 'at'",
    "not by file and url": read_section("file = 'a.csv'\nurl = 'https://a'"),
    "[read] fiel: there is no such key; did you mean file": read_section("fiel = 'a.csv'"),
    "[read] follow: Expected `bool`, got `str`": read_section("file = 'a.csv'\nfollow = 'yes'"),
    "[read] format: Invalid enum value 'xml'": read_section("file = 'a.csv'\nformat = 'xml'"),
    "[read] format: orders.txt does not tell; say ndjson or csv": read_section("file = 'orders.txt'"),
    "[read] format: file is read as ndjson or csv, not as sse": read_section("file = 'a.csv'\nformat = 'sse'"),
    "[read] format: url is read as websocket, not as csv": read_section("url = 'wss://a'\nformat = 'csv'"),
    "[read] url: it has to begin with https://": read_section("url = 'example.org'"),
    "[read] headers: belongs to a url": read_section("file = 'a.csv'\nheaders = {A = 'b'}"),
    "[read] subscribe: belongs to a WebSocket": read_section("url = 'https://a'\nsubscribe = 'x'"),
    "[read] types: belongs to server-sent events": read_section("stdin = true\ntypes = ['x']"),
    "[read] delimiter: belongs to CSV": read_section("stdin = true\ndelimiter = ';'"),
    "[read] delimiter: one character is wanted": read_section("file = 'a.csv'\ndelimiter = '::'"),
    "[read] begin: belongs to a file with follow = true": read_section("file = 'a.csv'\nbegin = 'end'"),
    "[read] clock: a whole file has no arrival": read_section("file = 'a.csv'\nclock = 'arrival'"),
    "[read] follow: a packed file cannot grow": read_section("file = 'a.csv.gz'\nfollow = true"),
    "[read] lateness: from 0 to 1e9 is allowed, not -1": read_section("stdin = true\nlateness = -1"),
    "[read] max_bytes: from 64 to 1e9": read_section("stdin = true\nmax_bytes = 1"),
    "[read] headers: A: plain ASCII": read_section("url = 'https://a'\nheaders = {A = \"b\\nc\"}"),
    "the environment has no variable NOTHING; set it": read_section("url = 'https://a'\nheaders = {A = 'env:NOTHING'}"),
    "secret cannot be read (No such file": read_section("url = 'https://a'\nheaders = {A = 'file:secret'}"),
    "[event] tiem: there is no such key; did you mean time": GOOD.replace("time =", "tiem ="),
    "[event] time: missing; say which field": "[read]\nfile = 'a.csv'",
    "[event] time: Expected `str`, got `int`": "[read]\nfile = 'a.csv'\n[event]\ntime = 3",
    "[event] dimensions: time is what history calls": read_section("file = 'a.csv'") + "dimensions = ['time']",
    "[event] time_format: Invalid enum value 'unix'": read_section("file = 'a.csv'") + "time_format = 'unix'",
    "[[features]] 2: fodl: there is no such key; did you mean fold": GOOD.replace('fold = "share"', 'fodl = "share"'),
    "[[features]] 2: fold: Invalid enum value 'part'": GOOD.replace('fold = "share"', 'fold = "part"'),
    "[[metrics]] 1: missing: the key `unit`": GOOD.replace('unit = "orders/s"', ""),
    "features: tables are wanted, each beginning with [[features]]": "features = 3\n" + read_section("stdin = true"),
    "features: from_portugal: share is of a dimension": GOOD.replace('of = "country"', 'of = "town"'),
}  # fmt: skip


@pytest.mark.parametrize(("words", "text"), FILES.items(), ids=FILES)
def test_a_broken_feed_file_is_refused_with_its_name_the_key_and_what_to_do(words, text, tmp_path):
    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        described(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'orders.toml'}: ")
    assert len(str(refused.value)) < 500


def test_a_feed_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing.toml: the feed's file cannot be read \(No such file"):
        load_feed(tmp_path / "nothing.toml")


def test_secrets_are_looked_up_and_are_in_no_words(tmp_path, caplog):
    (tmp_path / "token").write_text(" s3cret-from-file \n")
    text = read_section(
        "url = 'env:WHERE'\nheaders = {Authorization = 'env:TOKEN', Other = 'file:token'}\n"
        "subscribe = {op = 'subscribe', key = 'env:TOKEN'}"
    )
    with caplog.at_level(logging.DEBUG):
        feed = described(tmp_path, text, {"WHERE": "wss://example.org/?key=hidden", "TOKEN": "s3cret"})
    assert feed.read.url == "wss://example.org/?key=hidden"
    assert feed.read.headers == {"Authorization": "s3cret", "Other": "s3cret-from-file"}
    assert feed.read.subscribe == {"op": "subscribe", "key": "s3cret"}
    for words in (repr(feed), str(feed), caplog.text):
        assert "s3cret" not in words
        assert "hidden" not in words
    for bad in ("headers = {A = 'env:BAD'}", "url = 'env:BAD'"):
        with pytest.raises(ConfigError) as refused:
            described(
                tmp_path, read_section("url = 'https://a'\n" + bad if "headers" in bad else bad), {"BAD": "s3\ncret"}
            )
        assert "s3" not in str(refused.value)


@given(st.text(max_size=200))
def test_any_text_is_a_feed_file_or_is_refused_in_words(text):
    from pathlib import Path  # noqa: PLC0415
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.toml"
        path.write_text(text, encoding="utf-8", errors="replace")
        with pytest.raises(ConfigError):
            load_feed(path, {})


@given(st.dictionaries(st.sampled_from(["at", "d", "m", "i", "l"]), JSON))
def test_any_row_is_an_event_that_can_be_stored_or_is_refused_in_words(row):
    mapping = Mapping(time="at", id="i", dimensions=["d"], measures=["m"], link="l", label="l", actor="d")
    words, event = refused_in(FeedError, lambda: mapping.event(row, 1))
    if words:
        assert words.startswith("row 1")
        assert len(words) < 400
    else:
        assert math.isfinite(event.time)
        assert all(map(math.isfinite, event.measures))
        json.dumps([event.dimensions, event.title]).encode()
        event.title.encode()
        assert event.id
