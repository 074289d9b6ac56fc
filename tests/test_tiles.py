"""What is usual over the last hour, and what the tiles are told of it."""

from __future__ import annotations

import json
import math
import random
import time

import pytest
from console_stand_in import analysis
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel.app.last_hour import HOUR, LastHour, Typical, Usual
from tracewave_panel.app.views.tiles import Tiles
from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
from tracewave_panel.model import Analysis, Quality, Score, Window

T = 1_700_000_000.0


def filled(seconds: int, rate=lambda second: 41.0, **fields) -> LastHour:
    hour = LastHour(WIKIMEDIA)
    for second in range(seconds):
        hour.take(analysis(T + second, rate(second), **fields))
    return hour


def test_nothing_is_usual_before_half_a_minute_of_calm_windows():
    hour = filled(29)
    assert hour.usual() == Usual(29.0)
    hour.take(analysis(T + 29))
    usual = hour.usual()
    assert usual.seconds == 30.0
    assert usual.features["rate"] == Typical(41.0, 41.0, 41.0)


def test_windows_in_which_a_detector_fired_are_not_usual():
    hour = filled(100)
    for second in range(100, 180):
        hour.take(analysis(T + second, 130.0, (0.9, 0.1, 0.1, 0.1, 0.1)))
    usual = hour.usual()
    assert usual.features["rate"].median == 41.0
    assert usual.seconds == 180.0


@pytest.mark.parametrize("quality", [Quality.GAP, Quality.PARTIAL, Quality.REVISED])
def test_windows_that_were_not_judged_count_neither_as_usual_nor_as_looked_at(quality):
    hour = filled(60)
    for second in range(60, 90):
        hour.take(analysis(T + second, 5.0, quality=quality))
    usual = hour.usual()
    assert (usual.seconds, usual.features["rate"].low) == (60.0, 41.0)


def test_hour_moves_on_and_forgets():
    hour = filled(3600, lambda second: 20.0)
    assert hour.usual().whole
    for second in range(3600, 7200):
        hour.take(analysis(T + second, 50.0))
    assert hour.usual().features["rate"] == Typical(50.0, 50.0, 50.0)


def test_short_gap_leaves_the_hour_whole_and_a_long_one_does_not():
    assert filled(3500).usual().seconds == HOUR
    hour = filled(1200)
    for second in range(3600, 4200):
        hour.take(analysis(T + second))
    assert hour.usual().seconds == 600.0 + 600.0


@settings(max_examples=25, deadline=None)
@given(rates=st.lists(st.floats(0.0, 500.0), min_size=30, max_size=120), order=st.randoms(use_true_random=False))
def test_median_does_not_depend_on_the_order_in_which_windows_are_told(rates, order):
    places = list(range(len(rates)))
    order.shuffle(places)
    hour = LastHour(WIKIMEDIA)
    for place in places:
        hour.take(analysis(T + place, rates[place]))
    typical = hour.usual().features["rate"]
    ordered = sorted(rates)
    assert typical.median == pytest.approx((ordered[len(rates) // 2] + ordered[-(len(rates) // 2) - 1]) / 2)
    assert typical.low <= typical.median <= typical.high


def test_looked_at_anew_only_every_ten_seconds_of_the_feed():
    hour = filled(100)
    first = hour.usual()
    for second in range(100, 109):
        hour.take(analysis(T + second))
        assert hour.usual() is first
    hour.take(analysis(T + 109))
    assert hour.usual().seconds == 110.0


def trade(second: int, price: float, metric: str = "trades", *, fired: bool = False, series: str = "binance:BTC-USD"):
    traded = int(price > 0)
    features = (float(traded), price * 0.1, price, float(traded))
    window = Window(series, T + second, 1.0, traded, features, ({}, {}, {}))
    return Analysis(metric, window, features[0], scores=(Score("zscore", fired=fired),))


def test_price_is_usual_only_where_something_was_traded():
    hour = LastHour(CRYPTO)
    for second in range(90):
        hour.take(trade(second, 0.0 if second % 3 else 67_000.0))
    usual = hour.usual()
    assert usual.features["price"] == Typical(67_000.0, 67_000.0, 67_000.0)
    assert usual.features["buy_share"].median == 1.0
    assert usual.features["rate"].median == 0.0


def test_window_is_calm_only_if_no_metric_of_it_fired_and_other_series_are_left_out():
    hour = LastHour(CRYPTO)
    for second in range(60):
        hour.take(trade(second, 67_000.0 + second))
        hour.take(trade(second, 67_000.0 + second, "price", fired=second >= 40))
        hour.take(trade(second, 3_000.0, series="kraken:ETH-USD"))
    usual = hour.usual()
    assert (usual.seconds, usual.features["price"].high) == (60.0, 67_039.0)


def test_hour_is_looked_at_in_under_a_millisecond():
    draw = random.Random(1)
    hour = filled(3600, lambda second: draw.gauss(41, 7))
    costs = []
    for second in range(3600, 3800, 10):
        hour.take(analysis(T + second, draw.gauss(41, 7)))
        begun = time.process_time()
        hour.usual()
        costs.append(time.process_time() - begun)
    print(f"an hour of 3,600 windows looked at in {1000 * min(costs):.2f} ms")
    assert min(costs) < 0.001


def test_tiles_are_told_once_and_again_only_when_a_shown_digit_changed():
    tiles = Tiles(WIKIMEDIA)
    heard: list = []
    tiles.__panel__().param.watch(heard.append, "usual")
    usual = Usual(720.0, {"rate": Typical(41.62, 30.0, 55.0)})
    tiles.tell(usual)
    assert len(heard) == 1
    tiles.tell(usual)
    tiles.tell(Usual(725.0, {"rate": Typical(41.62001, 30.0, 55.0)}))
    assert len(heard) == 1
    tiles.tell(Usual(785.0, {"rate": Typical(41.62001, 30.0, 55.0)}))
    assert len(heard) == 2
    assert json.loads(tiles.__panel__().usual) == {
        "features": {"rate": [41.62, 30.0, 55.0]},
        "seconds": 780.0,
        "whole": False,
    }


def test_tiles_of_any_feed_are_its_first_four_features():
    assert [(tile["heading"], tile["unit"], tile["kind"]) for tile in Tiles(WIKIMEDIA).__panel__().tiles] == [
        ("Events a second", "", "rate"),
        ("Active pages", "", "whole"),
        ("Active editors", "", "whole"),
        ("Bot share", "%", "share"),
    ]
    assert [(tile["heading"], tile["unit"], tile["kind"]) for tile in Tiles(CRYPTO).__panel__().tiles] == [
        ("Trades a second", "", "rate"),
        ("Volume", "", "sum"),
        ("Price", "USD", "price"),
        ("Buy share", "%", "share"),
    ]


def test_message_of_a_whole_hour_is_small():
    draw = random.Random(2)
    tiles = Tiles(WIKIMEDIA)
    tiles.tell(filled(3600, lambda second: draw.gauss(41, 7)).usual())
    told = tiles.__panel__().usual
    assert len(told) < 250
    assert all(math.isfinite(each) for three in json.loads(told)["features"].values() for each in three)
