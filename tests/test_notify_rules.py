"""Which route takes which anomaly, when, and what is refused in the settings."""

from __future__ import annotations

import doctest
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from console_stand_in import anomaly

from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA, Metric
from tracewave_panel.model import AnomalyKind, Mute, Origin, Severity
from tracewave_panel.notify.deciding import Known, Rule
from tracewave_panel.notify.hidden import address_of
from tracewave_panel.notify.hours import Hours
from tracewave_panel.notify.notice import Standing, Telling
from tracewave_panel.notify.routes import NoticesSettings, RouteSettings

DOCUMENT = Path(__file__).parents[1] / "docs" / "notices.md"
T0 = 1_700_000_000.0
SECRET = "a secret that nobody may see"


def route(**fields) -> RouteSettings:
    return RouteSettings("ops", **{"url": "json://example.org", **fields})


def at(words: str) -> float:
    return datetime.fromisoformat(words).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("fields", "anomalous", "taken"),
    [
        ({}, {}, True),
        ({}, {"severity": Severity.INFO}, False),
        ({"severity": Severity.INFO}, {"severity": Severity.NONE}, True),
        ({"severity": Severity.CRITICAL}, {"severity": Severity.WARNING}, False),
        ({"series": ("trades", "edits")}, {}, True),
        ({"series": ("binance:*",)}, {"series": "binance:BTC-USD"}, True),
        ({"series": ("binance:*",)}, {}, False),
        ({"metric": ("price",)}, {}, False),
        ({"kind": ("feed_silent",)}, {"kind": AnomalyKind.FEED_SILENT}, True),
        ({"kind": ("rate_*",)}, {"kind": AnomalyKind.MIX_SHIFT}, False),
        ({"dimensions": {"wiki": ("commons*",)}}, {}, True),
        ({"dimensions": {"wiki": ("de*",)}}, {}, False),
        ({"dimensions": {"wiki": ("commons*",), "actor": ("human",)}}, {}, False),
        ({"dimensions": {"actor": ("human",)}}, {}, False),  # it is there, but does not explain the change
        ({"dimensions": {"wiki": ("*",)}}, {"contributions": ()}, False),
    ],
)
def test_route_takes_what_its_filters_say(fields, anomalous, taken):
    assert route(**fields).matches(anomaly(T0, **anomalous), Origin.LIVE) is taken


def test_route_takes_live_data_alone_unless_it_says_otherwise():
    assert [route().matches(anomaly(T0), origin) for origin in Origin] == [True, False, False]
    everything = route(origins=tuple(Origin))
    assert all(everything.matches(anomaly(T0), origin) for origin in Origin)


@pytest.mark.parametrize(
    ("hours", "days", "zone", "moment", "holds"),
    [
        ("", (), "UTC", "2026-11-22T03:00", True),
        ("08:00-18:00", (), "UTC", "2026-11-22T07:59", False),
        ("08:00-18:00", (), "UTC", "2026-11-22T08:00", True),
        ("08:00-18:00", (), "UTC", "2026-11-22T18:00", False),
        ("00:00-24:00", (), "UTC", "2026-11-22T23:59", True),
        ("08:00-18:00", (), "Asia/Tokyo", "2026-11-22T00:00", True),
        ("08:00-18:00", ("mon",), "Asia/Tokyo", "2026-11-22T23:30", True),  # Monday there
        ("22:00-06:00", (), "UTC", "2026-11-22T23:00", True),
        ("22:00-06:00", (), "UTC", "2026-11-22T05:59", True),
        ("22:00-06:00", (), "UTC", "2026-11-22T06:00", False),
        ("22:00-06:00", ("sat",), "UTC", "2026-11-22T05:00", True),  # the night that began on Saturday
        ("22:00-06:00", ("sat",), "UTC", "2026-11-22T23:00", False),
        ("", ("sat",), "UTC", "2026-11-22T12:00", False),
        ("", ("sun", "mon"), "UTC", "2026-11-22T12:00", True),
        ("02:00-03:00", (), "Europe/Lisbon", "2026-03-29T01:30", True),  # an hour that was jumped over: 02:30 there
    ],
)
def test_hours_hold_where_the_clock_of_the_zone_says(hours, days, zone, moment, holds):
    assert Hours(hours, days, zone).hold(at(moment)) is holds


W, S, M = Standing.WAITING, Standing.SENT, Standing.MUTED


@pytest.mark.parametrize(
    ("fields", "closed", "known", "mutes", "decided"),
    [
        ({}, False, Known(None, None, 0), (), W),
        ({}, False, Known(S, None, 1), (), None),
        ({}, False, Known(W, None, 1), (), None),
        ({}, False, Known(Standing.GIVEN_UP, None, 1), (), None),
        ({}, False, Known(None, None, 30), (), Standing.LIMIT),
        ({}, False, Known(Standing.LIMIT, None, 0), (), None),
        ({}, False, Known(None, None, 0), ({"kind": "rate_up"},), M),
        ({}, False, Known(None, None, 0), ({"kind": "rate_down"},), W),
        ({}, False, Known(None, None, 0), ({"anomaly_id": f"edits-rate-{T0:.0f}"},), Standing.SNOOZED),
        ({}, False, Known(None, None, 0), ({"kind": "rate_up", "until": T0},), W),
        ({}, False, Known(M, None, 0), (), W),  # told anew after the mute
        ({}, False, Known(M, None, 0, again=True), (), None),
        ({}, False, Known(Standing.SNOOZED, None, 0, again=True), (), W),
        ({}, False, Known(Standing.SNOOZED, None, 0, again=True), ({},), M),
        ({}, False, Known(None, None, 0, again=True), (), None),
        ({"hours": "08:00-18:00"}, False, Known(None, None, 0), (), Standing.HOURS),
        ({"hours": "08:00-18:00"}, False, Known(Standing.HOURS, None, 0), (), None),
        ({"severity": Severity.CRITICAL, "kind": ("rate_down",)}, False, Known(None, None, 0), (), None),
        ({}, True, Known(None, S, 1), (), W),
        ({}, True, Known(None, W, 1), (), W),
        ({}, True, Known(None, None, 0), (), None),
        ({}, True, Known(None, Standing.GIVEN_UP, 0), (), None),
        ({}, True, Known(None, Standing.LIMIT, 0), (), None),
        ({}, True, Known(S, S, 2), (), None),
        ({"closing": False}, True, Known(None, S, 1), (), None),
        ({}, True, Known(None, S, 1), ({},), M),
        ({"kind": ("rate_down",)}, True, Known(None, S, 1), (), W),  # its opening was told: so is its end
    ],
)
def test_rule_decides_by_what_is_known(fields, closed, known, mutes, decided):
    telling = Telling(anomaly(T0, T0 + 60 if closed else None), Origin.LIVE)
    held = [Mute(f"m{number}", T0 - 5, **given) for number, given in enumerate(mutes)]
    assert Rule(route(**fields)).decide(telling, known, held, T0 + 5) is decided


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": ""}, "either url"),
        ({"webhook": "https://example.org/hidden", "secret": SECRET}, "either url"),
        ({"url": "", "webhook": "https://example.org/hidden"}, "secret must be given"),
        ({"url": "", "webhook": "https://example.org/hidden", "secret": "hidden"}, "at least 16 characters"),
        ({"secret": SECRET}, "secret belongs to webhook"),
        ({"url": "hidden"}, "url is not an Apprise URL"),
        ({"url": "json://hidden\nx"}, "url is not an Apprise URL"),
        ({"url": "", "webhook": "ftp://hidden/", "secret": SECRET}, "webhook is not an address"),
        ({"url": "", "webhook": "https://hidden:99999/", "secret": SECRET}, "webhook is not an address"),
        ({"url": "", "webhook": "https://[hidden/", "secret": SECRET}, "webhook is not an address"),
        ({"url": "", "webhook": "https://a/hidden\r\nX: y", "secret": SECRET}, "webhook is not an address"),
        ({"url": "", "webhook": "https://who:hidden@example.org/", "secret": SECRET}, "no user name"),
        ({"url": "env:"}, "env: wants the name"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"hours": "8-18"}, "write it as 08:00-18:00"),
        ({"hours": "08:00-08:00"}, "start and end are the same"),
        ({"days": ("monday",)}, "there are mon, tue"),
        ({"zone": "Mars/Olympus"}, "no time zone is called"),
        ({"zone": "../../etc/passwd"}, "no time zone is called"),
        ({"kind": ("surge",)}, "there are feed_silent, mix_shift"),
        ({"dimensions": {"wiki": ()}}, "at least one value"),
        ({"origins": ()}, "origins must name one of live"),
    ],
)
def test_bad_route_is_refused_without_showing_its_address(fields, said):
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        route(**fields)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metric": ("speed",)}, "notify ops: metric: nothing is called 'speed'; there are"),
        ({"dimensions": {"wikis": ("de",)}}, "notify ops: dimensions: nothing is called 'wikis'; there are"),
    ],
)
def test_filter_by_a_name_that_no_feed_has_is_refused_when_the_feed_is_known(fields, said):
    made = route(**fields)
    with pytest.raises(ConfigError, match=re.escape(said)):
        made.check_names(WIKIMEDIA)
    own = msgspec.structs.replace(WIKIMEDIA, dimensions=("wikis",), metrics=(Metric("speed", "rate", "km/h", "cars"),))
    made.check_names(own)


@pytest.mark.parametrize("name", ["", "a b", "a\n", "-a", "x" * 41, "naïve"])
def test_name_that_could_not_stand_in_a_label_is_refused(name):
    with pytest.raises(ValueError, match="name must be"):
        RouteSettings(name, url="json://example.org")


@pytest.mark.parametrize(
    "fields", [{"timeout": 0}, {"retry_first": 9, "retry_most": 1}, {"give_up": float("inf")}, {"page": "x"}]
)
def test_bad_times_and_addresses_are_refused(fields):
    with pytest.raises(ValueError, match=r"must|address"):
        NoticesSettings(**fields)


def test_address_is_read_from_the_environment_and_from_files(tmp_path):
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    hook = route(url="", webhook="env:HOOK", secret=f"file:{file}")
    found = address_of(hook, {"HOOK": " https://example.org/hook\n"})
    assert (found.url, found.secret) == ("https://example.org/hook", SECRET)
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("given", "content", "said"),
    [
        ("env:HOOK", None, "notify ops: url: the environment has no variable HOOK; set it"),
        ("file:/nowhere/hook", None, "notify ops: url: /nowhere/hook cannot be read (No such file or directory)"),
        ("env:HOOK", "hidden", "notify ops: url, from env:HOOK: url is not an Apprise URL"),
    ],
)
def test_missing_or_bad_address_elsewhere_is_named_by_its_place(given, content, said):
    with pytest.raises(ConfigError) as caught:
        address_of(route(url=given), {} if content is None else {"HOOK": content})
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_route_comes_back_from_plain_values():
    made = route(dimensions={"wiki": ("dewiki",)}, hours="08:00-18:00", days=("mon",))
    assert msgspec.convert(msgspec.to_builtins(made), RouteSettings) == made


def test_documented_settings_are_taken_and_the_documented_check_of_a_signature_holds():
    text = DOCUMENT.read_text(encoding="utf-8")
    given = tomllib.loads(text.split("```toml\n")[1].split("```")[0])
    assert [each.name for each in msgspec.convert(given["notify"], tuple[RouteSettings, ...])] == ["ops", "german"]
    assert doctest.testfile(str(DOCUMENT), module_relative=False) == (0, 7)
