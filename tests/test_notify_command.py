"""``tracewave notify``: what a person sees of routes, and what a test notice does."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result
from console_stand_in import anomaly
from notify_servers import SECRET, Hook, Mail, free_port

from tracewave_panel.cli_notify import notify
from tracewave_panel.errors import ConfigError
from tracewave_panel.notify.notice import Notice, Standing
from tracewave_panel.notify.outbox import Outbox

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise imports it


@pytest.fixture
def run(tmp_path):
    def invoke(routes: str, *arguments: str, environment=None) -> Result:
        file = tmp_path / "my.toml"
        file.write_text(routes, encoding="utf-8")
        given = ["--config", str(file), "--data", str(tmp_path / "data"), *arguments]
        return CliRunner().invoke(notify, given, env=environment or {})

    return invoke


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


def webhook(name: str, url: str) -> str:
    return f'[[notify]]\nname = "{name}"\nwebhook = "{url}"\nsecret = "env:HOOK_SECRET"\n'


def test_test_sends_one_notice_by_each_route_and_says_what_happened(run, hook, mail):
    routes = webhook("hook", hook.url) + f'[[notify]]\nname = "mail"\nurl = "{mail.url}"\n'
    done = run(routes, "--test", environment={"HOOK_SECRET": SECRET})
    assert (done.exit_code, done.output) == (0, "ok    hook: sent\nok    mail: sent\n")
    told = json.loads(hook.requests[0][1])
    assert told["subject"] == "SIMULATED: Tracewave warning: A test of the route hook"
    assert mail.subjects == ["SIMULATED: Tracewave warning: A test of the route mail"]
    assert len(list(mail.messages[0].iter_attachments())) == 1


def test_test_of_a_route_that_fails_ends_with_one_and_the_others_are_tested(run, hook):
    dead = webhook("dead", f"http://127.0.0.1:{free_port()}/hidden")
    nowhere = '[[notify]]\nname = "nowhere"\nurl = "nonsense://hidden"\n'
    absent = '[[notify]]\nname = "absent"\nurl = "env:NOWHERE"\n'
    routes = dead + nowhere + absent + webhook("hook", hook.url)
    done = run(routes, "--test", environment={"HOOK_SECRET": SECRET})
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "FAIL  dead: connection refused",
        "FAIL  nowhere: Apprise does not understand the URL",
        "FAIL  absent: notify absent: url: the environment has no variable NOWHERE; set it, or write file:PATH",
        "ok    hook: sent",
    ]
    assert len(hook.requests) == 1


def test_one_route_alone_can_be_tested(run, hook):
    routes = webhook("one", hook.url) + webhook("two", hook.url)
    done = run(routes, "--test", "--route", "two", environment={"HOOK_SECRET": SECRET})
    assert done.output == "ok    two: sent\n"
    refused = run(routes, "--route", "three")
    assert isinstance(refused.exception, ConfigError)
    assert "there are one, two" in str(refused.exception)


def test_list_shows_routes_and_the_outbox_and_no_secret(run, hook, tmp_path):
    outbox = Outbox(tmp_path / "data")
    outbox.hold("a", "opened", "hook", Standing.LIMIT, 0.0)
    outbox.put(_notice("b"))
    routes = webhook("hook", "https://hooks.example.org/path-hidden?x=hidden") + (
        '[[notify]]\nname = "mail"\nurl = "mailto://who:hidden@example.org"\nseverity = "critical"\n'
        'hours = "08:00-18:00"\ndimensions = {wiki = ["dewiki", "en*"]}\n'
    )
    done = run(routes, environment={"HOOK_SECRET": "hidden-hidden-hidden"})
    outbox.close()
    assert done.exit_code == 0, done.output
    first, second = done.output.splitlines()
    assert first.startswith("hook  https://hooks.example.org  warning and above; at most 30 an hour")
    assert first.endswith("outbox: 1 waiting, 1 held by the limit")
    assert second == "mail  mailto://  critical; wiki dewiki en*; 08:00-18:00 UTC; at most 30 an hour  outbox: empty"
    assert "hidden" not in done.output


def _notice(identity: str) -> Notice:
    return Notice(anomaly(1_700_000_000.0, id=identity), "opened", "hook", "", "", b"{}", b"", 0.0)


def test_list_without_routes_says_so(run):
    assert "There are no routes" in run("").output


def test_list_of_an_address_that_nobody_understands_ends_with_one(run):
    done = run('[[notify]]\nname = "nowhere"\nurl = "nonsense://hidden"\n')
    assert done.exit_code == 1
    assert "not an address that Apprise understands" in done.output
    assert "hidden" not in done.output
