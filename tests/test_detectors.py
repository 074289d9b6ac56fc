"""Detectors: the arithmetic, the contract, and equality with what they are taken from."""

from __future__ import annotations

import math
import pkgutil
from functools import partial

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel.core.detectors import DETECTORS
from tracewave_panel.core.detectors.base import Scale, abstain, score_of_deviation
from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.core.detectors.half_space_trees import TreesSettings
from tracewave_panel.core.detectors.novelty import NoveltySettings
from tracewave_panel.core.detectors.seasonal import SeasonalSettings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.feeds import WIKIMEDIA, Metric
from tracewave_panel.testing import check_detector, ordinary_windows, plain_window

RATE = WIKIMEDIA.metrics[0]
QUICK = {
    "zscore": DeviationSettings(warm_up=60),
    "ewma": msgspec.structs.replace(EwmaChart.defaults, warm_up=50),
    "trees": TreesSettings(trees=3, height=3, window=20, warm_up=60),
    "novelty": NoveltySettings(aggregate=2, length=2, memory=50, warm_up=20),
    "seasonal": SeasonalSettings(slot=60.0, smooth=1, spans=(10,), memory=50.0, settle=50.0, days=0.0, warm_up=60),
}
WITHIN_MINUTES = {"seasonal": SeasonalSettings(days=0.0)}  # three days are too long for a test
SLOW_TO_FIRE = {"trees", "seasonal"}  # the forest's score ends at 1, the season's means are long


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_keeps_its_promises(name):
    detector = pkgutil.resolve_name(DETECTORS[name])
    assert detector.name == name
    made_with = WITHIN_MINUTES.get(name, detector.defaults)
    check_detector(partial(detector, WIKIMEDIA, RATE, made_with), watches_rate=name not in SLOW_TO_FIRE)


@pytest.mark.parametrize("name", DETECTORS)
def test_small_settings_keep_the_promises_too(name):
    detector = pkgutil.resolve_name(DETECTORS[name])
    check_detector(partial(detector, WIKIMEDIA, RATE, QUICK[name]), watches_rate=False, most=100)


class _Broken(ZScore):
    """A detector with one promise broken, as its subclass says."""


class _LearnsWhileScoring(_Broken):
    def score_one(self, window):
        score = super().score_one(window)
        self.learn_one(window)
        return score


class _ForgetsInSnapshot(_Broken):
    def snapshot(self):
        return super().snapshot() | {"seen": 0}


class _AbstainsWithoutReason(_Broken):
    def score_one(self, window):
        return msgspec.structs.replace(super().score_one(window), reason="")


class _AlwaysFires(_Broken):
    def score_one(self, window):
        score = super().score_one(window)
        return msgspec.structs.replace(score, fired=True, score=0.9) if score.warm else score


class _SaysNan(_Broken):
    def score_one(self, window):
        score = super().score_one(window)
        return msgspec.structs.replace(score, p=math.nan) if score.warm else score


class _NeverWarm(_Broken):
    def score_one(self, window):
        return abstain(self.name, 10)


class _SeesNothing(_Broken):
    def score_one(self, window):
        score = super().score_one(window)
        return score_of_deviation(self.name, 0.0) if score.warm else score


@pytest.mark.parametrize("broken", _Broken.__subclasses__())
def test_contract_check_finds_a_broken_promise(broken):
    with pytest.raises(AssertionError):
        check_detector(partial(broken, WIKIMEDIA, RATE), most=1000)


# ------------------------------------------------------------------ scores


@pytest.mark.parametrize(
    ("z", "two_sided", "fired"), [(5.2, True, False), (5.4, True, True), (-5.4, True, True), (-9.0, False, False)]
)
def test_detector_fires_at_one_in_a_hundred_thousand(z, two_sided, fired):
    score = score_of_deviation("zscore", z, two_sided=two_sided)
    assert score.fired == fired == (score.p <= 1e-5)


@given(st.floats(-1e300, 1e300), st.booleans())
@settings(max_examples=200, deadline=None)
def test_score_is_the_scaled_logarithm_of_p(z, two_sided):
    score = score_of_deviation("zscore", z, two_sided=two_sided)
    assert 0.0 < score.p <= 1.0
    assert score.score == pytest.approx(min(1.0, -math.log10(score.p) / 10.0), abs=1e-12)


def test_infinite_deviation_is_the_rarest_and_still_a_number():
    score = score_of_deviation("zscore", math.inf)
    assert (score.p, score.score, score.fired) == (1e-300, 1.0, True)


@pytest.mark.parametrize(("left", "reason"), [(600, "learning, 600 windows left"), (1, "learning, 1 window left")])
def test_cold_detector_says_how_long_it_still_learns(left, reason):
    assert abstain("ewma", left).reason == reason


def test_count_is_watched_stabilised_and_told_in_its_own_unit():
    scale = Scale(WIKIMEDIA, RATE)
    window = msgspec.structs.replace(plain_window(0, 30), width=10.0, features=(3.0, *([0.0] * 5)))
    assert scale.value(window) == 2.0 * math.sqrt(30.375)
    assert scale.back(scale.value(window), 1.0, 10.0) == pytest.approx((3.0, math.sqrt(30.375) / 10.0))
    assert scale.back(0.5, 1.0, 10.0)[0] == 0.0


def test_other_metrics_are_watched_as_they_are():
    scale = Scale(WIKIMEDIA, Metric("share", "bot_share", "", "share", kind="value"))
    assert scale.value(plain_window(0, 30)) == pytest.approx(0.3)
    assert scale.back(0.3, 0.1, 10.0) == (0.3, 0.1)


@pytest.mark.parametrize("detector", [ZScore, EwmaChart])
@pytest.mark.parametrize(("events", "direction"), [(300, 1), (0, -1)])
def test_direction_and_expectation_are_told(detector, events, direction):
    made = detector(WIKIMEDIA, RATE)
    for window in ordinary_windows(800):
        made.learn_one(window)
    for second in range(10):
        score = made.score_one(plain_window(900 + second, events))
        made.learn_one(plain_window(900 + second, events))
    assert (score.fired, score.direction) == (True, direction)
    assert score.expected == pytest.approx(30.0, rel=0.15)
    assert score.spread == pytest.approx(math.sqrt(30 + 900 / 8), rel=0.35)
