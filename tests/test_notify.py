"""Notices from end to end: real servers take them, and every anomaly is told as the routes say, once."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import logging
import socket
import sqlite3
import threading
import time
from contextlib import contextmanager

import pytest
from console_stand_in import analysis, anomaly, story
from notify_servers import SECRET, Hook, Mail, black_hole, free_port, wait_until

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Contribution, Findings, Mute, Origin, Severity, Status
from tracewave_panel.notify.notifier import Notifier
from tracewave_panel.notify.routes import NoticesSettings, RouteSettings

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise imports it

T0 = 1_700_000_000.0
QUICK = NoticesSettings(retry_first=0.1, retry_most=0.4, timeout=2.0)
SEVERITIES = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


@pytest.fixture
def hook():
    server = Hook()
    yield server
    server.stop()


@pytest.fixture
def mail():
    server = Mail()
    yield server
    server.stop()


@contextmanager
def running(*routes: RouteSettings, data=None, settings=QUICK, **more):
    notifier = Notifier(routes, settings, feed=WIKIMEDIA, data=data, page="http://127.0.0.1:5006/", **more)
    notifier.start()
    try:
        yield notifier
    finally:
        notifier.stop(5)


def to(hook: Hook, name: str = "hook", **fields) -> RouteSettings:
    return RouteSettings(name, webhook=hook.url, secret=SECRET, **{"severity": Severity.INFO, **fields})


def told(*anomalies, analyses=()) -> Findings:
    return Findings(T0, T0, Status.LIVE, analyses=tuple(analyses), anomalies=anomalies)


def status(notifier: Notifier, name: str = "hook"):
    return next(each for each in notifier.routes() if each.name == name)


def settled(notifier: Notifier) -> None:
    """Wait until everything that was taken is decided and nothing waits."""
    settled_decisions(notifier)
    wait_until(lambda: not any(each.waiting for each in notifier.routes()))


def settled_decisions(notifier: Notifier) -> None:
    """Wait until everything that was taken is decided."""
    taken = threading.Thread(target=notifier._queue.join, daemon=True)
    taken.start()
    taken.join(10)
    assert not taken.is_alive()


def part(dimension: str, value: str, *, named: bool = True) -> Contribution:
    return Contribution(dimension, value, 80.0, 5.0, 0.9, 12.0, named)


class Wall:
    """A clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


# -- what the routes say


def test_twenty_anomalies_of_three_severities_give_exactly_the_notices_that_the_routes_say(hook, mail, tmp_path):
    wikis = ("dewiki", "enwiki", "commonswiki", "enwikibooks")
    episodes = [
        anomaly(
            T0 + number,
            id=f"a{number:02}",
            severity=SEVERITIES[number % 3],
            contributions=(part("wiki", wikis[number % 4]), part("actor", "bot", named=number % 2 == 0)),
            title=f"Surge {number}",
        )
        for number in range(20)
    ]
    routes = (
        RouteSettings("mail", url=mail.url, severity=Severity.CRITICAL),
        to(hook, dimensions={"wiki": ("dewiki", "en*")}, closing=True),
        to(hook, "openings", severity=Severity.WARNING, closing=False, dimensions={"actor": ("bot",)}),
        to(hook, "nothing", kind=("rate_down",)),
    )
    with running(*routes, data=tmp_path) as notifier:
        for episode in episodes:
            notifier.take(told(episode), Origin.LIVE)
        for episode in episodes[:10]:
            closed = anomaly(episode.opened, episode.opened + 60, **_fields(episode))
            notifier.take(told(closed), Origin.LIVE)
            notifier.take(told(closed), Origin.LIVE)  # a run that began anew tells it once more
        settled(notifier)
        critical = [number for number in range(20) if number % 3 == 2]
        expected = [f"Tracewave critical: Surge {number}" for number in critical]
        expected += [f"Tracewave closed: Surge {number}" for number in critical if number < 10]
        assert sorted(mail.subjects) == sorted(expected)
        by_route = {
            name: sorted(
                (body["anomaly"]["id"], body["phase"])
                for body in (json.loads(body) for _, body in hook.requests)
                if body["route"] == name
            )
            for name in ("hook", "openings", "nothing")
        }
        english_or_german = [number for number in range(20) if number % 4 in {0, 1, 3}]
        assert by_route["hook"] == sorted(
            [(f"a{number:02}", "opened") for number in english_or_german]
            + [(f"a{number:02}", "closed") for number in english_or_german if number < 10]
        )
        assert by_route["openings"] == [
            (f"a{number:02}", "opened") for number in range(20) if number % 3 and number % 2 == 0
        ]
        assert by_route["nothing"] == []
        assert [each.sent for each in notifier.routes()] == [len(expected), 23, 6, 0]
        assert not any(each.failed or each.given_up or each.held for each in notifier.routes())


def _fields(episode):
    return {name: getattr(episode, name) for name in ("id", "severity", "contributions", "title")}


def test_episode_that_grows_critical_reaches_a_critical_route_then_and_once(hook):
    small, grown = (anomaly(T0, severity=severity) for severity in (Severity.WARNING, Severity.CRITICAL))
    with running(to(hook, severity=Severity.CRITICAL)) as notifier:
        notifier.take(told(small), Origin.LIVE)
        settled(notifier)
        assert hook.told == []
        for _ in range(3):
            notifier.take(told(grown), Origin.LIVE)
        settled(notifier)
        assert hook.told == [(grown.id, "opened")]


def test_closing_is_not_told_where_the_opening_was_not(hook):
    with running(to(hook)) as notifier:
        notifier.take(told(anomaly(T0, T0 + 9)), Origin.LIVE)
        settled(notifier)
        assert hook.told == []


def test_simulated_and_recorded_data_are_told_only_where_the_route_says_so_and_under_their_name(hook, mail):
    routes = (to(hook), RouteSettings("mail", url=mail.url, origins=(Origin.SIMULATED, Origin.IMPORTED)))
    with running(*routes) as notifier:
        notifier.take(told(anomaly(T0, id="a", title="One")), Origin.SIMULATED)
        notifier.take(told(anomaly(T0, id="b", title="Two")), Origin.IMPORTED)
        notifier.take(told(anomaly(T0, id="c", title="Three")), Origin.LIVE)
        settled(notifier)
        assert hook.told == [("c", "opened")]
        assert mail.subjects == ["SIMULATED: Tracewave critical: One", "RECORDED: Tracewave critical: Two"]


# -- what a notice holds


def test_mail_holds_the_words_the_links_and_the_picture(mail):
    with running(RouteSettings("mail", url=mail.url)) as notifier:
        for findings in story(T0, 300):
            notifier.take(findings, Origin.LIVE)
        settled(notifier)
        (message,) = mail.messages
    words = message.get_body(("plain", "html")).get_content()
    assert "131 events/s observed against 41.6" in words
    assert "commons.wikimedia.org: 83.4 events/s against 6.9" in words
    assert "4 of 4 agree" in words
    assert "http://127.0.0.1:5006/?anomaly=" in words
    (picture,) = message.iter_attachments()
    assert picture.get_content_type() == "image/png"
    assert picture.get_content().startswith(b"\x89PNG")


def test_webhook_is_signed_and_names_its_notice(hook):
    with running(to(hook), settings=NoticesSettings(api="https://tracewave.example/base/")) as notifier:
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        settled(notifier)
    ((headers, body),) = hook.requests
    signed = headers["Tracewave-Timestamp"].encode() + b"." + body
    assert headers["Tracewave-Signature"] == "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert abs(float(headers["Tracewave-Timestamp"]) - time.time()) < 30
    told_of = json.loads(body)
    assert headers["Idempotency-Key"] == told_of["id"] == f"{anomaly(T0).id}.opened.hook"
    assert told_of["anomaly"]["opened"] == "2023-11-14T22:13:20.000Z"
    assert told_of["anomaly"]["contributions"][0]["samples"][0]["time"].startswith("2023-11-14T22:13:21")
    assert told_of["links"] == {
        "page": f"http://127.0.0.1:5006/?anomaly={anomaly(T0).id}",
        "api": f"https://tracewave.example/base/api/anomalies/{anomaly(T0).id}",
    }


HOSTILE = (
    "Burst\r\nBcc: all@example.org\r\n\r\n<script>alert(1)</script> @everyone [x](http://evil.example)\x1b[31m\u202e"
)


def test_hostile_title_makes_no_header_no_markup_and_no_mention(hook, mail):
    hostile = anomaly(T0, title=HOSTILE, contributions=(part("wiki", f"{HOSTILE}{'x' * 3000}"),), series="edits\n\n--")
    with running(to(hook), RouteSettings("mail", url=mail.url)) as notifier:
        notifier.take(told(hostile), Origin.LIVE)
        settled(notifier)
    (message,) = mail.messages
    assert message["Bcc"] is None
    assert message["Subject"].startswith("Tracewave critical: Burst Bcc: all")
    assert len(message["Subject"]) < 160
    assert "\n" not in message["Subject"]
    told_of = json.loads(hook.requests[0][1])
    for said in (message["Subject"], message.get_body(("plain", "html")).get_content(), told_of["words"]):
        for bad in ("<script", "&lt;script", "@everyone", "](http", "http://evil", "\x1b", "\u202e", "xxx" * 50):
            assert bad not in said
    assert told_of["anomaly"]["title"] == HOSTILE  # as plain JSON it is as it came


# -- endpoints that fail


def test_endpoint_dead_for_five_seconds_loses_and_doubles_nothing(tmp_path):
    _dead_for(5.0, tmp_path)


@pytest.mark.slow
def test_endpoint_dead_for_a_minute_loses_and_doubles_nothing(tmp_path):
    _dead_for(60.0, tmp_path, NoticesSettings())


def _dead_for(seconds: float, folder, settings=QUICK) -> None:
    port = free_port()
    route = RouteSettings("hook", webhook=f"http://127.0.0.1:{port}/", secret=SECRET, severity=Severity.INFO, limit=99)
    episodes = [anomaly(T0 + number, id=f"a{number:02}", severity=SEVERITIES[number % 3]) for number in range(20)]
    with running(route, data=folder, settings=settings) as notifier:
        notifier.take(told(*episodes[:10]), Origin.LIVE)
        time.sleep(seconds)
        assert status(notifier).last_error == "connection refused"
        hook = Hook(port)
        try:
            notifier.take(told(*episodes[10:]), Origin.LIVE)
            notifier.take(told(*(anomaly(a.opened, a.opened + 60, id=a.id) for a in episodes)), Origin.LIVE)
            wait_until(lambda: status(notifier).sent == 40, 2 * seconds + 20)
            assert sorted(hook.told) == sorted((a.id, phase) for a in episodes for phase in ("opened", "closed"))
            for each in episodes:
                assert hook.told.index((each.id, "opened")) < hook.told.index((each.id, "closed"))
            assert (status(notifier).waiting, status(notifier).last_error) == (0, "")
        finally:
            hook.stop()


@pytest.mark.parametrize(
    ("answers", "tries", "sent", "given_up"),
    [
        ([], 1, 1, 0),
        ([500, 503], 3, 1, 0),
        ([408, 429], 3, 1, 0),
        ([400], 1, 0, 1),
        ([404], 1, 0, 1),
        ([301, 302], 3, 1, 0),
    ],
)
def test_answer_decides_whether_a_notice_is_tried_again(hook, answers, tries, sent, given_up):
    hook.answers = list(answers)
    hook.headers = {"Location": hook.url} if 301 in answers else {}
    with running(to(hook)) as notifier:
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        wait_until(lambda: status(notifier).sent + status(notifier).given_up == 1)
        assert (hook.tries, status(notifier).sent, status(notifier).given_up) == (tries, sent, given_up)
        assert (status(notifier).failed, status(notifier).waiting) == (len(answers), 0)


@pytest.mark.parametrize(("asked", "least", "most"), [("1", 1.0, 3.0), ("100", 1.5, 4.0), ("soon", 0.0, 1.5)])
def test_endpoint_that_asks_to_wait_is_waited_for_but_not_for_ever(hook, asked, least, most):
    hook.answers, hook.headers = [429], {"Retry-After": asked}
    with running(to(hook), settings=NoticesSettings(retry_first=0.1, retry_most=1.5)) as notifier:
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        wait_until(lambda: status(notifier).failed == 1)
        began = time.monotonic()
        wait_until(lambda: status(notifier).sent == 1)
        assert least - 0.1 <= time.monotonic() - began < most


def test_notice_that_does_not_arrive_in_time_is_given_up_and_counted(tmp_path):
    route = RouteSettings("hook", webhook=f"http://127.0.0.1:{free_port()}/", secret=SECRET)
    settings = NoticesSettings(retry_first=0.05, retry_most=0.1, give_up=0.5)
    with running(route, data=tmp_path, settings=settings) as notifier:
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        notifier.take(told(anomaly(T0, T0 + 9)), Origin.LIVE)
        wait_until(lambda: status(notifier).given_up == 2)
        assert status(notifier).waiting == 0


def test_endpoint_that_never_answers_delays_neither_the_pipeline_nor_another_route(hook, mail):
    with black_hole() as port:
        hole = RouteSettings("hole", webhook=f"http://127.0.0.1:{port}/", secret=SECRET)
        post = RouteSettings("post", url=f"mailto://127.0.0.1:{port}?from=a@example.org&to=b@example.org")
        routes = (hole, post, to(hook), RouteSettings("mail", url=mail.url))
        notifier = Notifier(routes, QUICK, feed=WIKIMEDIA, data=None, page="")
        notifier.start()
        try:
            longest = 0.0
            for number in range(10):
                began = time.perf_counter()
                notifier.take(told(anomaly(T0 + number)), Origin.LIVE)
                longest = max(longest, time.perf_counter() - began)
            wait_until(lambda: len(hook.told) == len(mail.messages) == 10)
            assert status(notifier, "hole").sent == status(notifier, "post").sent == 0
            wait_until(lambda: status(notifier, "hole").last_error == "no answer within 2 s")
        finally:
            began = time.monotonic()
            notifier.stop(1.0)
        assert time.monotonic() - began < 3.0
        assert longest < 0.02


def test_answer_that_drips_is_cut_off(hook):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(0.2)
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400:
                    try:
                        connection.send(bytes([byte]))
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        settings = NoticesSettings(timeout=0.5, retry_first=30)
        with running(RouteSettings("hook", webhook=url, secret=SECRET), settings=settings) as notifier:
            began = time.monotonic()
            notifier.take(told(anomaly(T0)), Origin.LIVE)
            wait_until(lambda: status(notifier).failed == 1, 5)
            assert time.monotonic() - began < 3
            assert status(notifier).last_error == "no answer within 0.5 s"
        thread.join(5)


def test_taking_a_batch_without_anomalies_costs_the_pipeline_under_fifty_microseconds(hook):
    with running(to(hook)) as notifier:
        batches = [told(analyses=[analysis(T0 + second)]) for second in range(3000)]
        began = time.perf_counter()
        for batch in batches:
            notifier.take(batch, Origin.LIVE)
        cost = (time.perf_counter() - began) / len(batches)
    assert cost < 50e-6, f"{cost * 1e6:.1f} us"


def test_more_tellings_than_can_wait_are_given_up_and_counted(hook):
    notifier = Notifier((to(hook),), QUICK, feed=WIKIMEDIA, data=None, page="")
    for number in range(1003):
        notifier.take(told(anomaly(T0 + number)), Origin.LIVE)
    assert status(notifier).given_up == 3
    assert "more anomalies came" in status(notifier).last_error


# -- held back


def test_limit_holds_notices_back_and_the_next_one_says_how_many(hook):
    wall = Wall(T0)
    with running(to(hook, limit=3), clock=wall) as notifier:
        for number in range(8):
            notifier.take(told(anomaly(T0 + number, id=f"a{number}")), Origin.LIVE)
        settled(notifier)
        assert [identity for identity, _ in hook.told] == ["a0", "a1", "a2"]
        assert status(notifier).held == 5
        notifier.take(told(anomaly(T0 + 4, T0 + 50, id="a4")), Origin.LIVE)  # nobody was told that it opened
        wall.now += 3601
        for number in (8, 9):
            notifier.take(told(anomaly(T0 + number, id=f"a{number}")), Origin.LIVE)
        settled(notifier)
        bodies = [json.loads(body) for _, body in hook.requests]
        assert [body["anomaly"]["id"] for body in bodies] == ["a0", "a1", "a2", "a8", "a9"]
        said = "Held back since the notice before this one: 5 over the limit of notices an hour."
        assert [body["held_back"] for body in bodies] == ["", "", "", said, ""]


def test_outside_the_hours_notices_are_held_back_until_then(hook):
    wall = Wall(T0)  # 22:13 on a Tuesday
    with running(to(hook, hours="08:00-18:00"), clock=wall) as notifier:
        notifier.take(told(anomaly(T0, id="over before morning")), Origin.LIVE)
        notifier.take(told(anomaly(T0, T0 + 60, id="over before morning")), Origin.LIVE)
        notifier.take(told(anomaly(T0, id="lasts")), Origin.LIVE)
        settled(notifier)
        assert (hook.told, status(notifier).held) == ([], 2)
        wall.now += 10 * 3600
        notifier.take(told(anomaly(T0, id="lasts")), Origin.LIVE)
        settled(notifier)
        assert hook.told == [("lasts", "opened")]
        assert "1 outside the route's hours" in json.loads(hook.requests[0][1])["held_back"]


def mute(identity: str = "m", **fields) -> Mute:
    return Mute(identity, given_at=time.time(), **fields)


def test_muted_notices_are_held_back_and_not_sent_later(hook):
    with running(to(hook)) as notifier:
        notifier.mute(mute(kind="rate_up"))
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        settled(notifier)
        notifier.unmute("m")
        time.sleep(0.3)
        settled(notifier)
        notifier.take(told(anomaly(T0, T0 + 9)), Origin.LIVE)
        settled(notifier)
        assert (hook.told, status(notifier).held, notifier.mutes()) == ([], 1, ())


@pytest.mark.parametrize("ends", ["by itself", "by hand"])
def test_when_a_snooze_ends_an_episode_that_is_still_open_is_told(hook, ends):
    with running(to(hook)) as notifier:
        for identity in ("over", "lasts", "told before"):
            if identity == "told before":
                notifier.take(told(anomaly(T0, id=identity)), Origin.LIVE)
                settled(notifier)
            until = time.time() + 0.6 if ends == "by itself" else None
            notifier.mute(mute(f"snooze {identity}", anomaly_id=identity, until=until))
        for identity in ("over", "lasts"):
            notifier.take(told(anomaly(T0, id=identity)), Origin.LIVE)
        notifier.take(told(anomaly(T0, T0 + 9, id="over")), Origin.LIVE)
        settled(notifier)
        assert hook.told == [("told before", "opened")]
        assert status(notifier).held == 2
        if ends == "by hand":
            for kept in notifier.mutes():
                notifier.unmute(kept.id)
        wait_until(lambda: ("lasts", "opened") in hook.told, 5)
        settled(notifier)
        assert hook.told == [("told before", "opened"), ("lasts", "opened")]
        wait_until(lambda: notifier.mutes() == ())


def test_snooze_that_is_given_while_nothing_else_happens_ends_in_time(hook):
    with running(to(hook)) as notifier:
        notifier.mute(mute("forever", anomaly_id="one"))
        notifier.take(told(anomaly(T0, id="one")), Origin.LIVE)
        settled(notifier)
        notifier.mute(mute("forever", anomaly_id="one", until=time.time() + 0.5))  # in place of the one before
        wait_until(lambda: hook.told == [("one", "opened")], 5)


def test_snooze_also_holds_back_what_waits_to_be_tried_again(hook):
    hook.answers = [503] * 4
    settings = NoticesSettings(retry_first=0.3, retry_most=0.3)
    with running(to(hook), settings=settings) as notifier:
        notifier.take(told(anomaly(T0, id="one")), Origin.LIVE)
        wait_until(lambda: status(notifier).failed == 1)
        notifier.mute(mute(anomaly_id="one"))
        wait_until(lambda: status(notifier).waiting == 0)
        assert (hook.told, status(notifier).held) == ([], 1)


def test_snooze_without_an_end_goes_with_its_episode_and_no_sooner(tmp_path):
    wall, port = Wall(T0), free_port()  # nobody listens: the opening waits to be tried again
    route = RouteSettings("hook", webhook=f"http://127.0.0.1:{port}/", secret=SECRET)
    other = RouteSettings("other", webhook=f"http://127.0.0.1:{port}/", secret=SECRET, origins=(Origin.SIMULATED,))
    with running(route, other, data=tmp_path, clock=wall) as notifier:

        def kept_after(seconds: float) -> list[str]:
            settled_decisions(notifier)
            wall.now += seconds
            notifier.unmute("wake up")
            notifier.mute(Mute("wake up", wall.now, wall.now + 1))
            settled_decisions(notifier)
            return [each.id for each in notifier.mutes() if each.id != "wake up"]

        notifier.mute(Mute("open", T0, anomaly_id="open"))
        notifier.mute(Mute("closes", T0, anomaly_id="closes"))
        notifier.mute(Mute("all", T0, kind="rate_up"))
        notifier.mute(Mute("simulated", T0, anomaly_id="simulated"))
        notifier.take(told(anomaly(T0, id="simulated")), Origin.SIMULATED)
        notifier.take(told(anomaly(T0, id="open"), anomaly(T0, id="closes")), Origin.LIVE)
        assert kept_after(3600) == ["open", "closes", "all", "simulated"]
        notifier.take(told(anomaly(T0, T0 + 9, id="closes")), Origin.LIVE)
        assert kept_after(60) == ["open", "all", "simulated"]
        notifier.mute(Mute("new", wall.now, anomaly_id="told in a moment"))
        assert kept_after(31) == ["open", "all", "simulated", "new"]
    with running(route, other, data=tmp_path, clock=wall) as notifier:
        assert [each.id for each in notifier.mutes() if each.id != "wake up"] == ["open", "all", "simulated", "new"]


def test_snooze_without_an_end_outlasts_its_episode_while_a_notice_of_it_waits(tmp_path):
    wall, port = Wall(T0), free_port()
    route = RouteSettings("hook", webhook=f"http://127.0.0.1:{port}/", secret=SECRET)
    slow = NoticesSettings(retry_first=60.0)
    with running(route, data=tmp_path, clock=wall, settings=slow) as notifier:
        notifier.take(told(anomaly(T0, id="one")), Origin.LIVE)
        wait_until(lambda: status(notifier).failed == 1)
        notifier.mute(Mute("m", T0, anomaly_id="one"))
        notifier.take(told(anomaly(T0, T0 + 9, id="one")), Origin.LIVE)
        settled_decisions(notifier)
    hook = Hook(port)
    try:
        wall.now += 3600
        with running(route, data=tmp_path, clock=wall) as notifier:
            wait_until(lambda: status(notifier).waiting == 0)
            notifier.unmute("wake up")
            notifier.mute(Mute("wake up", wall.now, wall.now + 1))
            wait_until(lambda: [each.id for each in notifier.mutes()] == ["wake up"])
        assert hook.told == []
    finally:
        hook.stop()


def test_tellings_that_wait_behind_a_mute_are_decided_before_the_end(tmp_path):
    port = free_port()
    route = RouteSettings("hook", webhook=f"http://127.0.0.1:{port}/", secret=SECRET)
    with running(route, data=tmp_path) as notifier:
        for number in range(20):
            notifier.mute(mute(f"m{number}", series="trades"))
            notifier.take(told(anomaly(T0, id=f"a{number}")), Origin.LIVE)
    with sqlite3.connect(tmp_path / "notices.sqlite") as database:
        assert database.execute("SELECT count(*) FROM notices").fetchone() == (20,)


def test_episodes_of_a_state_are_told_unless_they_were_before(hook, tmp_path):
    with running(to(hook), data=tmp_path) as notifier:
        notifier.take(told(anomaly(T0, id="told"), anomaly(T0, id="ends")), Origin.LIVE)
        notifier.take(told(anomaly(T0, id="replayed")), Origin.IMPORTED)
        settled(notifier)
    with running(to(hook), data=tmp_path) as notifier:
        assert notifier.followed(Origin.LIVE) == {"told", "ends"}
        again = (anomaly(T0, id="told"), anomaly(T0, T0 + 9, id="ends"), anomaly(T0, id="kept to itself"))
        notifier.go_on_from(again, Origin.LIVE)
        settled(notifier)
        assert notifier.followed(Origin.LIVE) == {"told", "kept to itself"}
    told_once = [("told", "opened"), ("ends", "opened"), ("ends", "closed"), ("kept to itself", "opened")]
    assert sorted(hook.told) == sorted(told_once)


def test_what_waited_for_minutes_before_a_restart_is_tried_at_once_after_it(tmp_path):
    port = free_port()
    route = RouteSettings("hook", webhook=f"http://127.0.0.1:{port}/", secret=SECRET)
    slow = NoticesSettings(retry_first=200.0)
    with running(route, data=tmp_path, settings=slow) as notifier:
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        wait_until(lambda: status(notifier).failed == 1)
    hook = Hook(port)
    try:
        with running(route, data=tmp_path, settings=slow) as notifier:
            wait_until(lambda: status(notifier).sent == 1, 5)
    finally:
        hook.stop()


def test_mutes_and_held_episodes_are_kept_over_a_restart(hook, tmp_path):
    with running(to(hook), data=tmp_path) as notifier:
        notifier.mute(mute("long", series="edits", kind="rate_down"))
        notifier.mute(mute("snooze", anomaly_id="one", until=time.time() + 2.0))
        notifier.take(told(anomaly(T0, id="one")), Origin.LIVE)
        settled(notifier)
    with running(to(hook), data=tmp_path) as notifier:
        assert [each.id for each in notifier.mutes()] in (["long", "snooze"], ["long"])
        wait_until(lambda: hook.told == [("one", "opened")], 5)
        assert [each.id for each in notifier.mutes()] == ["long"]


# -- restarts


def test_what_was_sent_before_a_restart_is_not_sent_again(hook, tmp_path):
    for _ in range(3):
        with running(to(hook), data=tmp_path) as notifier:
            notifier.take(told(anomaly(T0)), Origin.LIVE)
            settled(notifier)
    assert hook.told == [(anomaly(T0).id, "opened")]


def test_what_waited_before_a_restart_is_sent_after_it(tmp_path):
    port = free_port()
    route = RouteSettings("hook", webhook=f"http://127.0.0.1:{port}/", secret=SECRET)
    gone = RouteSettings("gone", webhook=f"http://127.0.0.1:{port}/", secret=SECRET)
    with running(route, gone, data=tmp_path) as notifier:
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        wait_until(lambda: status(notifier).failed >= 1 and status(notifier, "gone").failed >= 1)
    hook = Hook(port)
    try:
        with running(route, data=tmp_path) as notifier:
            wait_until(lambda: status(notifier).sent == 1)
            assert status(notifier).waiting == 0
        assert len(hook.told) == 1
    finally:
        hook.stop()


def test_outbox_is_the_owners_alone(hook, tmp_path):
    with running(to(hook), data=tmp_path / "new"):
        assert {file.stat().st_mode & 0o777 for file in (tmp_path / "new").iterdir()} == {0o600}


def test_second_process_of_a_folder_sends_nothing_and_says_so(hook, tmp_path):
    with running(to(hook), data=tmp_path) as first, running(to(hook), data=tmp_path) as second:
        for notifier in (first, second):
            notifier.take(told(anomaly(T0)), Origin.LIVE)
        settled(first)
        assert len(hook.told) == 1
        assert "another process sends" in status(second).last_error
        with pytest.raises(StoreError, match="another process"):
            second.mute(mute())


def test_outbox_that_cannot_be_kept_does_not_keep_notices_from_being_sent(hook, tmp_path):
    (tmp_path / "notices.sqlite").write_bytes(b"this is no database" * 100)
    with running(to(hook), data=tmp_path) as notifier:
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        wait_until(lambda: len(hook.told) == 1)
        assert "kept in memory only" in status(notifier).last_error


def test_folder_of_somebody_without_routes_is_left_as_it_is(tmp_path):
    with running(data=tmp_path) as notifier:
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        assert list(tmp_path.iterdir()) == []
        notifier.mute(mute())
        assert [each.id for each in notifier.mutes()] == ["m"]


# -- secrets


@pytest.fixture
def everything_logged():
    """What a process that logs all there is to log would write."""
    written, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(written), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)


def test_no_secret_reaches_a_log_a_status_or_a_repr(hook, everything_logged):
    dead = free_port()
    routes = (
        RouteSettings("tokens", url=f"json://someuser:pass-hidden@127.0.0.1:{dead}/path-hidden?+X-Key=key-hidden"),
        RouteSettings("mail", url=f"mailto://who:pass-hidden@127.0.0.1:{dead}?from=a@example.org&to=b@example.org"),
        RouteSettings("posted", url=f"json://127.0.0.1:{hook.port}/path-hidden"),
        to(hook),
        RouteSettings("dead", webhook=f"http://127.0.0.1:{dead}/path-hidden", secret="secret-hidden-secret"),
    )
    hook.answers = [404] * 50
    with running(*routes) as notifier:
        notifier.take(told(anomaly(T0)), Origin.LIVE)
        wait_until(lambda: all(each.failed for each in notifier.routes()), 20)
        wait_until(lambda: "notify mail: connection refused" in everything_logged.getvalue(), 20)  # counted, then said
        statuses = notifier.routes()
        said = everything_logged.getvalue() + repr(statuses) + repr(routes) + repr(notifier) + str(routes)
    assert "hidden" not in said
    assert SECRET not in said
    assert {each.name: each.last_error for each in statuses} == {
        "tokens": "connection refused",
        "mail": "connection refused",
        "posted": "the service answered 404",
        "hook": "answered 404",
        "dead": "connection refused",
    }
