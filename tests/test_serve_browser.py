"""The served page in a real browser: it moves, a card arrives, and it tells the truth about the connection."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from running import CAPTURE, ask, event_stream, free_port, serving, until
from waiting import wait_until

pytestmark = pytest.mark.browser
NOBODY = "wikimedia.url=http://127.0.0.1:{}/v2/stream/recentchange"


def open_page(browser, address: str):
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    seen = {"outside": [], "errors": []}
    own = (address, address.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else seen["outside"].append(request.url))
    page.on("websocket", lambda socket: None if socket.url.startswith(own) else seen["outside"].append(socket.url))
    page.on("pageerror", lambda error: seen["errors"].append(str(error)))
    page.goto(address)
    return page, seen


def words_of(page) -> str:
    return page.locator(".status").first.inner_text(timeout=20_000)


@pytest.mark.slow
def test_fresh_server_shows_moving_data_and_a_card_within_a_minute_and_asks_nothing_outside(browser, tmp_path):
    with serving("--data", str(tmp_path), "--set", NOBODY.format(free_port())) as (_, address):
        began = time.monotonic()
        page, seen = open_page(browser, address)
        until(lambda: "SIMULATED" in words_of(page), 25)
        assert "bundled simulation, not the live feed" in page.locator("#banner").inner_text()
        wait_until(page, "() => window.tracewave.row !== null", timeout=20_000)
        first = page.evaluate("() => window.tracewave.row.end")
        wait_until(page, f"() => window.tracewave.row.end >= {first} + 3", timeout=20_000)
        page.locator("article").first.wait_for(timeout=60_000)
        assert time.monotonic() - began < 60
        assert "commons.wikimedia.org" in page.locator("article").first.inner_text()
        assert seen == {"outside": [], "errors": []}
        page.close()


@pytest.mark.slow
def test_page_says_reconnecting_catching_up_and_live_in_turn_while_every_event_is_counted_once(
    browser, tmp_path, captures
):
    away = ",".join(f"{at}=away:6" for at in (1000, 2000, 3000))
    faults = ("--plan", away, "--redeliver", "3", "--canaries", "1")
    said: list[str] = []
    with event_stream("--capture", str(captures / CAPTURE), "--speed", "5", *faults) as url:
        quick = ("--set", "wikimedia.retry_base=0.5", "--set", "wikimedia.retry_cap=1.0")
        where = ("--data", str(tmp_path), "--set", f"wikimedia.url={url}")
        with serving("--source", "wikimedia", *where, *quick) as (program, address):
            page, seen = open_page(browser, address)

            complete = threading.Event()

            def count() -> None:
                until((tmp_path / "query.sock").exists, 30)
                total = "select coalesce(sum(count), 0)::bigint as n from windows"
                until(lambda: ask(total, tmp_path)[0]["n"] == 3818, 150)
                complete.set()

            def look() -> bool:
                word = words_of(page).split("\n")[0]
                if not said or said[-1] != word:
                    said.append(word)
                return complete.is_set()

            # beside it, for a question takes longer than a word is held
            threading.Thread(target=count, daemon=True).start()
            until(look, 180, every=0.1)
            program.end(signal.SIGTERM)
            page.close()
    assert ask("select sum(count)::bigint as n from windows", tmp_path) == [{"n": 3818}]
    turns = " > ".join(said)
    assert turns.count("RECONNECTING > CATCHING UP > LIVE") == 3, turns
    assert seen["errors"] == []


@pytest.mark.slow
def test_page_goes_over_to_the_live_feed_by_itself(browser, tmp_path):
    port = free_port()
    with serving("--data", str(tmp_path), "--set", NOBODY.format(port)) as (_, address):
        page, seen = open_page(browser, address)
        until(lambda: "SIMULATED" in words_of(page), 25)
        with event_stream("--port", str(port), "--count", "100000", "--rate", "30", "--canaries", "1"):
            until(lambda: words_of(page).startswith("LIVE"), 60)
            wait_until(page, "() => window.tracewave.row !== null", timeout=20_000)
            assert page.locator("#banner").is_hidden()
            assert seen["outside"] == []
            page.close()
