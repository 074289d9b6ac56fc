"""The API as a program sees it: pages by cursor, forms, labels, silence, SQL, rates and the page that describes it."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
import math
import re
import socket
import time

import httpx
import msgspec
import pyarrow as pa
import pytest
from api_server import TOKENS, UNHURRIED, access_with_tokens, kept, served_api
from console_stand_in import SpokenControl, analysis, anomaly, console, event, findings

from tracewave_panel.access import Access, AccessSettings
from tracewave_panel.api.accepting import best
from tracewave_panel.api.application import build_api
from tracewave_panel.api.cursors import OtherEpochError, decode_cursor, encode_cursor
from tracewave_panel.api.limits import Limits
from tracewave_panel.api.rates import WrongTokens
from tracewave_panel.api.server import start_api
from tracewave_panel.api.telling import anomaly_form, finite, moment, seconds, window_forms
from tracewave_panel.errors import ConfigError, PortInUseError, StoreError
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.metrics import CONTENT_TYPE, Metrics
from tracewave_panel.model import AnomalyKind, Mark, Quality, Severity, Window
from tracewave_panel.ports import Console, FeedState, RouteStatus
from tracewave_panel.stores.ring import RingStore


def over(*found, control=None):
    """A console over these findings."""
    store = RingStore()
    for each in found:
        store.append(each)
    return console(store, control or SpokenControl(archived=store))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with kept(tmp_path_factory.mktemp("kept")) as kept_console, served_api(kept_console) as served:
        yield served


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client


def walked(client, path, **query):
    """Every item of a list, page by page, and how many pages that took."""
    items, pages, cursor = [], 0, ""
    while True:
        page = client.get(path, params={**query, "cursor": cursor}).raise_for_status().json()
        items.extend(page["items"])
        pages, cursor = pages + 1, page["cursor"]
        assert page["missed"] == 0
        if not page["more"]:
            return items, pages


# -- lists


def test_pages_hold_each_window_once_and_in_order(client):
    windows, pages = walked(client, "/api/windows", limit=70)
    starts = [window["start"] for window in windows]
    assert len(windows) == 300
    assert starts == sorted(set(starts))
    assert pages == 5
    assert walked(client, "/api/scores", limit=1000)[0][0]["scores"][0]["detector"] == "zscore"


def test_a_window_has_its_values_by_name_and_its_times_with_a_zone(client):
    (window,) = client.get("/api/windows?limit=1").json()["items"]
    assert set(window["features"]) == {feature.name for feature in WIKIMEDIA.features}
    assert set(window["dimensions"]) == set(WIKIMEDIA.dimensions)
    assert window["judgements"][0]["metric"] == "rate"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", window["start"])
    begun, ended = (dt.datetime.fromisoformat(window[name]) for name in ("start", "end"))
    assert (ended - begun).total_seconds() == 1


def test_a_cursor_that_is_up_to_date_gives_what_comes_next_and_nothing_twice():
    store = RingStore()
    with served_api(console(store)) as served, served.client() as client:
        empty = client.get("/api/windows").json()
        assert (empty["items"], empty["more"]) == ([], False)
        store.append(findings(1.0, analysis(0.0), analysis(1.0)))
        page = client.get("/api/windows", params={"cursor": empty["cursor"]}).json()
        assert len(page["items"]) == 2
        assert client.get("/api/windows", params={"cursor": page["cursor"]}).json()["items"] == []
        store.append(findings(2.0, analysis(2.0)))
        assert len(client.get("/api/windows", params={"cursor": page["cursor"]}).json()["items"]) == 1


def test_a_cursor_beyond_what_the_store_was_ever_told_has_ended():
    store = RingStore()
    store.append(findings(1.0, *(analysis(float(start)) for start in range(9)), anomalies=[anomaly(1.0), anomaly(2.0)]))
    with served_api(console(store, SpokenControl(archived=store))) as served, served.client() as client:
        paths = [f"/api/{name}" for name in ("windows", "scores", "anomalies")]
        cursors = [client.get(path).json()["cursor"] for path in paths]
        store.clear()  # as when the data folder was removed: other numbers under the same name
        store.append(findings(1.0, analysis(100.0), anomalies=[anomaly(100.0)]))
        for path, cursor in zip(paths, cursors, strict=True):
            answer = client.get(path, params={"cursor": cursor})
            assert answer.status_code == 410
            assert "start over" in answer.json()["detail"]
            assert len(client.get(path).json()["items"]) == 1


def test_what_the_store_let_go_is_told():
    store = RingStore(analyses=10)
    for start in range(25):
        store.append(findings(start, analysis(float(start))))
    with served_api(console(store)) as served, served.client() as client:
        page = client.get("/api/windows").json()
    assert (len(page["items"]), page["missed"]) == (10, 15)


def test_windows_that_were_let_go_are_counted_as_windows_and_not_by_metric():
    store = RingStore(analyses=6)
    for start in range(10):
        both = (msgspec.structs.replace(analysis(float(start)), metric=each) for each in ("trades", "price"))
        store.append(findings(float(start), *both))
    crypto = Console(CRYPTO, store, SpokenControl(archived=store))
    with served_api(crypto) as served, served.client() as client:
        assert [client.get(f"/api/{each}").json()["missed"] for each in ("windows", "scores")] == [7, 14]


def test_a_window_of_two_metrics_is_never_cut_by_a_page():
    store = RingStore()
    for start in range(10):
        window = Window("binance:BTC-USD", float(start), 1.0, 5, (5.0, 1.0, 2.0, 0.5), ({}, {}, {}))
        both = (msgspec.structs.replace(analysis(0.0), window=window, metric=each) for each in ("trades", "price"))
        store.append(findings(float(start), *both))
    crypto = Console(CRYPTO, store, SpokenControl(archived=store))
    with served_api(crypto) as served, served.client() as client:
        assert walked(client, "/api/windows", limit=5)[1] == 2, "the last page is full and says that it is the last"
        for limit in (1, 3, 7):
            windows, _ = walked(client, "/api/windows", limit=limit)
            assert [len(window["judgements"]) for window in windows] == [2] * 10
        # half a window cannot be asked for either: each list counts by itself
        cursor = client.get("/api/scores?limit=1").json()["cursor"]
        assert client.get("/api/windows", params={"cursor": cursor}).status_code == 400


def test_lists_keep_to_times_and_filters(client):
    items, _ = walked(client, "/api/windows")
    since, until = items[100]["start"], items[150]["start"]
    within, _ = walked(client, "/api/windows", since=since, until=until, limit=20)
    assert [window["start"] for window in within] == [window["start"] for window in items[100:150]]
    assert walked(client, "/api/windows", series="nothing")[0] == []
    assert {item["severity"] for item in walked(client, "/api/anomalies")[0]} == {"info", "warning", "critical"}
    assert {item["severity"] for item in walked(client, "/api/anomalies", severity="warning")[0]} == {
        "warning",
        "critical",
    }
    assert [item["closed"] for item in walked(client, "/api/anomalies", open="true")[0]] == [None]
    assert all(item["closed"] for item in walked(client, "/api/anomalies", open="false")[0])


def test_filters_that_find_little_still_lead_to_the_end():
    store = RingStore()
    for start in range(3000):
        store.append(findings(start, analysis(float(start))))
    store.append(findings(3000, msgspec.structs.replace(analysis(0.0), window=replace_series("other"))))
    with served_api(console(store)) as served, served.client() as client:
        assert len(walked(client, "/api/windows", series="other", limit=10)[0]) == 1


def replace_series(series):
    return msgspec.structs.replace(analysis(3000.0).window, series=series)


def test_gaps_are_listed_with_their_length():
    gaps = tuple(Mark(start, start + 5.0, Quality.GAP) for start in (10.0, 100.0, 200.0))
    with served_api(over(msgspec.structs.replace(findings(300.0), gaps=gaps))) as served, served.client() as client:
        told = client.get("/api/gaps", params={"limit": 2}).json()
        assert [gap["start"] for gap in told["items"]] == ["1970-01-01T00:01:40Z", "1970-01-01T00:03:20Z"]
        assert told["left_out"] == 1
        assert told["items"][0]["seconds"] == 5


# -- one anomaly


def test_an_anomaly_comes_with_what_lies_around_it(client):
    (open_one,) = walked(client, "/api/anomalies", open="true")[0]
    told = client.get(f"/api/anomalies/{open_one['id']}").json()
    assert told["anomaly"] == open_one
    opened = dt.datetime.fromisoformat(open_one["opened"])
    before = [window for window in told["windows"] if dt.datetime.fromisoformat(window["start"]) < opened]
    assert len(before) == 60
    assert len(told["scores"]) == len(told["windows"])
    assert told["anomaly"]["contributions"][0]["samples"][0]["title"].startswith("File:")
    assert told["events"]
    assert all(dt.datetime.fromisoformat(event["time"]) >= opened for event in told["events"])
    assert set(told["events"][0]["dimensions"]) == set(WIKIMEDIA.dimensions)


def test_of_many_events_the_newest_are_told_and_the_rest_counted():
    episode = anomaly(100.0, 110.0)
    edits = [event(100.0 + number / 50, number) for number in range(450)]
    with served_api(over(findings(110.0, analysis(100.0), anomalies=[episode], events=edits))) as served:
        told = httpx.get(f"{served.url}/api/anomalies/{episode.id}").json()
    assert (len(told["events"]), told["events_left_out"]) == (200, 250)
    assert told["events"][-1]["id"] == "event-449"


def test_while_an_anomaly_is_open_what_follows_its_last_telling_belongs_to_it():
    told_long_ago = anomaly(100.0)
    windows = [analysis(float(start)) for start in range(300)]
    edits = [event(99.5 + number, number) for number in range(200)]
    with served_api(over(findings(300.0, *windows, anomalies=[told_long_ago], events=edits))) as served:
        told = httpx.get(f"{served.url}/api/anomalies/{told_long_ago.id}").json()
    assert told["anomaly"]["closed"] is None
    assert (told["windows"][0]["start"], told["windows"][-1]["start"]) == (
        "1970-01-01T00:00:40Z",
        "1970-01-01T00:04:59Z",
    )
    assert len(told["events"]) == 199


def test_an_episode_that_an_earlier_process_left_open_is_not_followed_for_ever():
    store = RingStore(analyses=20_000)
    store.append(findings(1.0, *(analysis(float(start)) for start in range(15_000)), anomalies=[anomaly(100.0)]))
    with served_api(console(store, SpokenControl(archived=store))) as served:
        told = httpx.get(f"{served.url}/api/anomalies/edits-rate-100", timeout=20).json()
    assert (len(told["windows"]), told["windows_left_out"]) == (1000, 9000)


def test_numbers_that_are_none_become_null():
    strange = msgspec.structs.replace(analysis(1.0), observed=math.nan, expected=math.inf)
    with served_api(over(findings(2.0, strange))) as served:
        answer = httpx.get(f"{served.url}/api/windows")
    judgement = answer.json()["items"][0]["judgements"][0]
    assert (judgement["observed"], judgement["expected"]) == (None, None)
    assert "NaN" not in answer.text


# -- labels and silence


def test_a_label_is_given_replaced_and_taken_back(client):
    identity = walked(client, "/api/anomalies", open="true")[0][0]["id"]
    path = f"/api/labels/{identity}"
    for verdict in ("real", "not_real"):
        given = client.put(path, json={"verdict": verdict, "by": "Łukasz"}).raise_for_status().json()
        assert (given["verdict"], given["by"]) == (verdict, "Łukasz")
        assert client.get("/api/labels").json()["items"] == [given]
        assert client.get(f"/api/anomalies/{identity}").json()["anomaly"]["label"] == given
    for _ in range(2):
        assert client.delete(path).status_code == 204
    assert client.get("/api/labels").json()["items"] == []


def test_where_tokens_are_asked_the_token_says_who_labels():
    held = over(findings(110.0, anomalies=[anomaly(100.0)]))
    with served_api(held, access=access_with_tokens()) as served, served.client("label") as client:
        given = client.put("/api/labels/edits-rate-100", json={"verdict": "real", "by": "somebody else"}).json()
    assert given["by"] == "labeler"


def test_a_mute_is_given_and_taken_back(client):
    sent = {"seconds": 600, "series": "edits", "kind": "rate_up"}
    given = client.put("/api/mutes/lunch", json=sent).raise_for_status().json()
    length = dt.datetime.fromisoformat(given["until"]) - dt.datetime.fromisoformat(given["given_at"])
    assert length.total_seconds() == 600
    assert client.get("/api/mutes").json()["items"] == [given]
    rate_up = walked(client, "/api/anomalies", open="true")[0][0]
    assert client.get(f"/api/anomalies/{rate_up['id']}").json()["mutes"] == [given]
    assert client.delete("/api/mutes/lunch").status_code == 204
    assert client.get("/api/mutes").json()["items"] == []


def test_a_mute_may_end_at_a_time_or_never(client):
    until = "2999-01-01T00:00:00+02:00"
    assert client.put("/api/mutes/long", json={"until": until}).json()["until"] == "2998-12-31T22:00:00Z"
    assert client.put("/api/mutes/long", json={}).json()["until"] is None
    client.delete("/api/mutes/long")


def test_every_kind_of_anomaly_can_be_muted(client):
    for kind in AnomalyKind:
        assert client.put("/api/mutes/kind", json={"kind": kind, "seconds": 1}).status_code == 200


def test_what_the_store_refuses_is_told_as_its_failure():
    control = SpokenControl(refusal="the disk is full; make room")
    store = RingStore()
    store.append(findings(110.0, anomalies=[anomaly(100.0)]))
    control.archived = store
    with served_api(console(store, control)) as served:
        answer = httpx.put(f"{served.url}/api/labels/edits-rate-100", json={"verdict": "real"})
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the disk is full; make room"


# -- SQL


SQL = (
    "select series, count(*) as windows, max(start) as newest, 'a,\"b' as text, null as nothing from windows group by 1"
)


def asked(client, accept="", **fields):
    headers = {"accept": accept} if accept else {"accept": "*/*"}
    return client.post("/api/sql", json={"sql": SQL, **fields}, headers=headers)


def test_sql_is_answered_in_json_csv_and_arrow(client):
    told = asked(client).json()
    assert told["columns"] == ["series", "windows", "newest", "text", "nothing"]
    (row,) = told["rows"]
    assert (row[0], row[1], row[3], row[4]) == ("edits", 300, 'a,"b', None)
    assert row[2].endswith("Z")

    answer = asked(client, "text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(answer.text))) == [told["columns"], ["edits", "300", row[2], 'a,"b', ""]]

    answer = asked(client, "application/vnd.apache.arrow.stream")
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.column_names == told["columns"]
    assert table.column("windows").to_pylist() == [300]


def test_values_that_json_has_no_word_for_are_written_all_the_same(client):
    answer = asked(
        client,
        sql="select 'nan'::double as a, 'ab'::blob as b, 1.5::decimal(5,2) as c, interval 1 hour as d, "
        "date '2026-01-02' as e, [1, null] as f, {'k': 'v'} as g, "
        "170141183460469231731687303715884105727::hugeint as h",
    )
    assert answer.json()["rows"] == [[None, "6162", "1.50", "1:00:00", "2026-01-02", [1, None], {"k": "v"}, 2**127 - 1]]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "json"), ("*/*", "json"), ("text/*", "csv"), ("text/csv;q=0.9, application/json;q=0.8", "csv"),
        ("application/json;q=0, */*", "csv"), ("*/*;q=0.1, arrow", "arrow"), ("json;q=0.9, */*;q=0.1", "json"),
        ("arrow, */*;q=0.5", "arrow"),
        ("text/html", None), ("*/*;q=0", None), ("json;q=2", None), ("TEXT/CSV", "csv"), ("csv;q=0.001", "csv"),
    ],
)  # fmt: skip
def test_accept_chooses_what_it_likes_most(accept, chosen):
    names = {
        "json": "application/json", "csv": "text/csv", "arrow": "application/vnd.apache.arrow.stream"
    }  # fmt: skip
    header = re.sub(r"(?<![/\w])(json|csv|arrow)(?!\w)", lambda found: names[found[0]], accept)
    assert best([header], list(names.values())) == (names[chosen] if chosen else None)


def test_sql_that_takes_too_long_or_gives_too_much_is_refused(client):
    slow = "select count(*) from range(1000000) a(i), range(1000000) b(i) where a.i + b.i = 3"
    assert "longer than 0.2 s" in asked(client, sql=slow, timeout=0.2).json()["detail"]
    assert "more than 5 rows" in asked(client, sql="select * from range(10)", max_rows=5).json()["detail"]


def test_without_history_sql_says_that_there_is_none():
    with served_api(over()) as served, served.client() as client:
        answer = asked(client)
    assert answer.status_code == 503
    assert "no history is kept" in answer.json()["detail"]


def test_only_so_many_queries_run_at_a_time(tmp_path):
    slow = "select count(*) from range(1000000) a(i), range(1000000) b(i) where a.i + b.i = 3"
    limits = msgspec.structs.replace(UNHURRIED, queries=2)

    async def at_once(url):
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            body = {"sql": slow, "timeout": 1.5}
            return await asyncio.gather(*(client.post("/api/sql", json=body) for _ in range(6)))

    with kept(tmp_path, 10) as kept_console, served_api(kept_console, limits=limits) as served:
        answers = asyncio.run(at_once(served.url))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [400, 400, 429, 429, 429, 429]
    assert next(answer for answer in answers if answer.status_code == 429).headers["retry-after"] == "1"


# -- state


def test_health_is_ready_while_windows_come():
    now = time.time()
    with served_api(over(findings(now, analysis(now - 2)))) as served:
        answer = httpx.get(f"{served.url}/api/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["reasons"]) == (200, "ready", [])
    assert 0 < answer.json()["window_age"] < 30


class UnreadableStore(RingStore):
    """A store whose disk is gone."""

    def analyses(self, *_, **__):
        raise StoreError("the disk does not answer")


@pytest.mark.parametrize(
    ("state", "store", "age", "reason"),
    [
        (FeedState("gap", "no word for 40 s"), RingStore, 2, "the source is gap: no word for 40 s"),
        (FeedState("live"), RingStore, 300, r"the newest window ended \d+ s ago"),
        (FeedState("live"), RingStore, None, "no window has closed yet"),
        (FeedState("live"), UnreadableStore, 2, "the store cannot be read: the disk does not answer"),
    ],
)
def test_health_says_why_it_is_not_ready(state, store, age, reason):
    held = store()
    if age:
        held.append(findings(0.0, analysis(time.time() - age)))
    with served_api(console(held, SpokenControl(state=state, archived=held))) as served, served.client() as client:
        answer = client.get("/api/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
        (told,) = answer.json()["reasons"]
        assert re.fullmatch(reason, told)
        live = client.get("/api/health?probe=live")
        assert (live.status_code, live.json()["status"], len(live.json()["reasons"])) == (200, "live", 1)


def test_without_a_token_health_says_that_it_lives_and_no_more():
    with served_api(over(), access=access_with_tokens()) as served:
        answer = httpx.get(f"{served.url}/api/health")
        with served.client("read") as client:
            assert client.get("/api/health").status_code == 503
    assert answer.status_code == 200
    assert answer.json() == {"status": "live", "reasons": [], "source": "", "window_age": None}


def test_stats_tell_every_figure():
    route = RouteStatus("pager", sent=3, last_sent=60.0)
    control = SpokenControl(measured={"buffer_depth": 3.0, "strange": math.nan}, told_routes=(route,))
    with served_api(over(control=control)) as served:
        told = httpx.get(f"{served.url}/api/stats").json()
    assert told["counters"]["events"] == 12_480
    assert told["gauges"] == {"buffer_depth": 3.0, "strange": None}
    assert told["routes"][0]["last_sent"] == "1970-01-01T00:01:00Z"
    assert (told["feed"], told["origin"], told["source"]["state"]) == ("wikimedia", "live", "live")


def test_requests_are_counted_by_template_and_method(served, client):
    client.get("/api/anomalies/one")
    client.get("/api/anomalies/two")
    client.get("/nowhere/at/all")
    client.request("STEAL", "/api/windows")
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == CONTENT_TYPE
    text = answer.text
    line = r'tracewave_api_requests_total\{[^}]*method="GET",route="/api/anomalies/\{anomaly_id\}",status="404"\} '
    assert re.search(line + r"([2-9]|\d\d)", text), text
    assert 'route="other"' in text
    assert "STEAL" not in text
    assert "nowhere" not in text


# -- who may, and how often


def test_a_token_reads_and_its_scope_says_what_else():
    told = {"read": (200, 403, 403), "label": (200, 404, 403), "admin": (200, 404, 200)}
    with served_api(over(), access=access_with_tokens()) as served:
        for scope, expected in told.items():
            with served.client(scope) as client:
                statuses = (
                    client.get("/api/windows").status_code,
                    client.put("/api/labels/none", json={"verdict": "real"}).status_code,
                    client.put("/api/mutes/one", json={"seconds": 1}).status_code,
                )
            assert statuses == expected


def test_who_asks_too_often_waits_and_health_and_figures_never_do():
    limits = Limits(requests_per_second=0.5, burst=10)
    with served_api(over(), limits=limits) as served, served.client() as client:
        answers = [client.get("/api/labels") for _ in range(20)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 5 <= len(refused) <= 10
        assert refused[0].headers["retry-after"] in {"1", "2"}
        assert refused[0].headers["content-type"] == "application/problem+json"
        for path in ("/api/health?probe=live", "/metrics"):
            assert {client.get(path).status_code for _ in range(20)} == {200}
        time.sleep(2.1)
        assert client.get("/api/labels").status_code == 200


def test_who_guesses_waits_and_whoever_was_right_before_does_not():
    limits = msgspec.structs.replace(UNHURRIED, wrong_tokens=3)
    with (
        served_api(over(), access=access_with_tokens(), limits=limits) as served,
        served.client("read") as known,
        served.client("admin") as late,
        served.client() as guess,
    ):
        assert known.get("/api/labels").status_code == 200
        guesses = ({"authorization": f"Bearer guess-{number}"} for number in range(5))
        statuses = [guess.get("/api/labels", headers=each).status_code for each in guesses]
        assert statuses[:4] == [401, 401, 401, 401]
        for number in range(10):  # each one more doubles the wait, so that a busy machine cannot outrun it
            guess.get("/api/labels", headers={"authorization": f"Bearer another-{number}"})
        assert known.get("/api/labels").status_code == 200
        assert late.get("/api/labels").status_code == 429


def test_wrong_tokens_double_the_wait_and_are_forgiven():
    now = 0.0
    wrong = WrongTokens(clock=lambda: now, free=2, longest=8.0)
    waits = []
    for _ in range(7):
        wrong.wrong("there")
        waits.append(wrong.wait("there", None))
        now += waits[-1]
    assert waits == [0, 0, 1, 2, 4, 8, 8]
    assert wrong.wait("elsewhere", None) == 0
    now += WrongTokens.FORGOTTEN + 10
    wrong.wrong("there")
    assert wrong.wait("there", None) == 0


def test_a_proxy_is_believed_only_where_the_settings_say_so():
    limits = Limits(requests_per_second=0.01, burst=1)
    for forwarded, expected in (((), 429), (("127.0.0.1",), 200)):
        access = Access(AccessSettings(forwarded=forwarded))
        with served_api(over(), access=access, limits=limits) as served, served.client() as client:
            for number in (1, 2):
                answer = client.get("/api/labels", headers={"x-forwarded-for": f"192.0.2.{number}"})
        assert answer.status_code == expected


def test_behind_a_proxy_the_prefix_may_be_there_or_not():
    with served_api(over(), prefix="/tracewave") as served, served.client() as client:
        for path in ("/tracewave/api/labels", "/api/labels", "/tracewave/docs", "/docs"):
            assert client.get(path).status_code == 200
        assert client.get("/tracewaves/api/labels").status_code == 404
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/tracewave"}]
        assert '"/tracewave/docs/start.js"' in client.get("/docs").text


# -- cursors and forms


def test_a_cursor_leads_back_to_its_number_and_no_other():
    text = encode_cursor("anomalies", 12, "run 3 of ü")
    assert re.fullmatch("[A-Za-z0-9_-]+", text)
    assert decode_cursor(text, "anomalies", "run 3 of ü") == 12
    with pytest.raises(OtherEpochError):
        decode_cursor(text, "anomalies", "run 4")
    for wrong in (text + "=", text[:-1], text + "A", text.lower(), "!" + text):
        with pytest.raises(ValueError, match="cursor"):
            decode_cursor(wrong, "anomalies", "run 3 of ü")


def test_a_cursor_of_an_earlier_run_says_what_to_do():
    control = SpokenControl()
    with served_api(console(RingStore(), control)) as served, served.client() as client:
        cursor = client.get("/api/anomalies").json()["cursor"]
        control.run = 2
        answer = client.get("/api/anomalies", params={"cursor": cursor})
    assert answer.status_code == 410
    assert "start over" in answer.json()["detail"]


def test_times_keep_their_microseconds_and_never_fail():
    assert seconds(moment(1_700_000_000.123456)) == 1_700_000_000.123456
    assert moment(math.inf).year == 9999
    assert moment(-1e300).year == 1
    assert finite(-math.inf) is None


def test_severities_are_words_and_directions_too():
    form = anomaly_form(anomaly(1.0, severity=Severity.WARNING, direction=-1), None)
    assert (form.severity, form.direction) == ("warning", "down")
    assert len(window_forms(WIKIMEDIA, [analysis(1.0), analysis(2.0)])) == 2


# -- the server


async def test_a_taken_port_and_a_foreign_address_are_told_in_words():
    app = build_api(console(), access=Access(AccessSettings()), metrics=Metrics())
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(PortInUseError, match="taken by another program"):
        await start_api(app, address="127.0.0.1", port=taken.getsockname()[1])
    with pytest.raises(ConfigError, match="cannot listen on"):
        await start_api(app, address="192.0.2.1", port=0)


async def test_a_server_ends_within_three_seconds_whatever_is_open(caplog):
    app = build_api(console(), access=Access(AccessSettings()), metrics=Metrics())
    server = await start_api(app, address="127.0.0.1", port=0)
    opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
    for number, (_, writer) in enumerate(opened):
        writer.write(b"PUT /api/mutes/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"[: 30 * number])
        await writer.drain()
    opened[-1][1].write(b"Content-Type: application/json\r\n\r\n")
    await asyncio.sleep(0.2)
    begun = time.monotonic()
    await server.stop()
    await server.stop()
    assert time.monotonic() - begun < 3
    answer = await opened[-1][0].read(4096)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"the server stops" in answer
    assert "Traceback" not in caplog.text
    for _, writer in opened:
        writer.close()


def test_what_nobody_foresaw_is_logged_and_not_told(caplog):
    class Broken(SpokenControl):
        def counters(self):
            raise ZeroDivisionError("inner words")

    with served_api(over(control=Broken())) as served:
        answer = httpx.get(f"{served.url}/api/stats", headers={"authorization": f"Bearer {TOKENS['read']}"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "inner words" not in answer.text
    assert "inner words" in caplog.text
    assert TOKENS["read"] not in caplog.text


@pytest.mark.browser
@pytest.mark.parametrize("colours", ["dark", "light"])
def test_the_description_is_shown_without_asking_anybody_else(browser, served, colours):
    page = browser.new_page(color_scheme=colours)
    asked_for, said = [], []
    page.on("request", lambda request: asked_for.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{served.url}/docs")
    page.locator(".opblock-summary", has_text="/api/labels").first.click()
    page.locator(".try-out__btn").first.click()
    page.locator(".execute").first.click()
    page.locator(".responses-table.live-responses-table .response-col_status", has_text="200").wait_for()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.close()
    assert all(url.startswith((f"{served.url}/", "data:")) for url in asked_for), asked_for
    assert said == []
    assert ground == {"dark": "rgb(10, 14, 19)", "light": "rgb(238, 241, 244)"}[colours]


def test_bare_address_leads_to_the_page_whose_list_is_of_sentences(served):
    with httpx.Client(base_url=served.url) as client:
        led = client.get("/", follow_redirects=False)
        assert (led.status_code, led.headers["location"]) == (307, "/docs")
        told = client.get("/openapi.json").json()["paths"]
    summaries = [operation["summary"] for operations in told.values() for operation in operations.values()]
    assert len(summaries) >= 15
    assert all(len(summary) > 12 and not summary.endswith(".") for summary in summaries), summaries
