"""Ensemble: the older rule's worked examples, and what holds for any scores."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel.core.ensemble import EnsembleSettings, combine
from tracewave_panel.model import Score, Severity

NAMES = ("zscore", "ewma", "trees")


def fired(name: str, score: float, direction: int = 1) -> Score:
    return Score(name, 6.0, 10.0 ** (-10.0 * score), score, fired=True, direction=direction)


def quiet(name: str, score: float = 0.1) -> Score:
    return Score(name, 1.0, 10.0 ** (-10.0 * score), score)


def cold(name: str) -> Score:
    return Score(name, warm=False, reason="learning, 9 windows left", windows_left=9)


@pytest.mark.parametrize(
    ("scores", "confidence", "severity"),
    [
        ([fired("a", 0.8), fired("b", 0.8), fired("c", 0.8)], 0.80, Severity.CRITICAL),
        ([fired("a", 0.8), quiet("b"), quiet("c")], 0.27, Severity.NONE),
        ([fired("a", 0.8), fired("b", 0.8), quiet("c")], 0.53, Severity.INFO),
        ([fired("a", 1.0), fired("b", 1.0), quiet("c")], 0.67, Severity.WARNING),
        ([fired("a", 0.5), fired("b", 0.5), fired("c", 0.5)], 0.50, Severity.CRITICAL),
        ([fired("a", 0.95), quiet("b"), quiet("c")], 0.32, Severity.INFO),
        ([fired("a", 0.92), quiet("b"), quiet("c")], 0.31, Severity.INFO),
        ([fired("a", 0.91), quiet("b"), quiet("c")], 0.30, Severity.NONE),
        ([fired("a", 0.8), fired("b", 0.8), cold("c")], 0.80, Severity.CRITICAL),
        ([fired("a", 0.8), cold("b"), cold("c")], 0.80, Severity.WARNING),
        ([fired("a", 0.9), cold("b"), cold("c")], 0.90, Severity.CRITICAL),
        ([quiet("a"), quiet("b"), quiet("c")], 0.0, Severity.NONE),
        ([quiet("a", 0.49), quiet("b", 0.49), quiet("c", 0.49)], 0.0, Severity.NONE),
        ([cold("a"), cold("b"), cold("c")], 0.0, Severity.NONE),
        ([], 0.0, Severity.NONE),
    ],
    ids=[
        "three of three at 0.8",
        "one of three at 0.8",
        "two of three at 0.8",
        "two of three at 1",
        "weakest full agreement is critical",
        "one strong alone alerts",
        "strong is from 0.92",
        "not strong enough alone",
        "cold one leaves the denominator",
        "one available is no agreement",
        "one available and confident",
        "all quiet",
        "nearly firing does not count",
        "nothing warm",
        "nothing asked",
    ],
)
def test_older_rule_by_example(scores, confidence, severity):
    combined = combine(scores)
    assert round(combined.confidence, 2) == confidence
    assert combined.severity is severity
    assert combined.alerting == (severity is not Severity.NONE)


def test_rarity_is_the_smallest_p_times_the_detectors_asked():
    assert combine([fired("a", 0.8), fired("b", 0.7), cold("c")]).rarity == pytest.approx(2e-8)
    assert combine([quiet("a", 0.01), quiet("b", 0.01)]).rarity == 1.0
    assert combine([cold("a")]).rarity == 1.0


@pytest.mark.parametrize(
    ("scores", "direction"),
    [
        ([fired("a", 0.8, 1), fired("b", 0.9, -1)], -1),
        ([fired("a", 0.8, 1), fired("b", 0.9, 0)], 1),
        ([fired("a", 0.8, 0), quiet("b")], 0),
        ([quiet("a"), quiet("b")], 0),
    ],
    ids=["strongest says", "undirected is not asked", "only undirected", "none fired"],
)
def test_direction_is_that_of_the_strongest_that_has_one(scores, direction):
    assert combine(scores).direction == direction


@st.composite
def score_lists(draw: st.DrawFn, least: int = 0) -> list[Score]:
    words = []
    for number in range(draw(st.integers(least, 5))):
        score = draw(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0.0, 1.0))
        word = Score(
            f"d{number}",
            p=10.0 ** (-10.0 * score),
            score=score,
            fired=score >= 0.5,
            direction=draw(st.sampled_from([-1, 0, 1])),
        )
        words.append(draw(st.sampled_from([word, word, cold(f"d{number}")])))
    return words


@given(score_lists(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_order_of_detectors_does_not_matter(scores, random):
    shuffled = random.sample(scores, len(scores))
    assert combine(shuffled) == combine(scores)


@given(score_lists())
@settings(max_examples=200, deadline=None)
def test_confidence_and_rarity_stay_in_range_and_severity_says_whether_it_alerts(scores):
    combined = combine(scores)
    assert 0.0 <= combined.confidence <= 1.0
    assert 0.0 < combined.rarity <= 1.0
    assert combined.alerting == (combined.severity is not Severity.NONE)


@given(score_lists(least=1), st.data())
@settings(max_examples=200, deadline=None)
def test_stronger_word_never_lowers_confidence_or_severity(scores, data):
    at = data.draw(st.integers(0, len(scores) - 1))
    if not scores[at].warm:
        return
    higher = data.draw(st.floats(scores[at].score, 1.0))
    raised = list(scores)
    raised[at] = msgspec.structs.replace(
        scores[at], score=higher, p=min(scores[at].p, 10.0 ** (-10.0 * higher)), fired=higher >= 0.5
    )
    before, after = combine(scores), combine(raised)
    assert after.confidence >= before.confidence
    assert after.severity.rank >= before.severity.rank
    assert after.rarity <= before.rarity


@given(score_lists())
@settings(max_examples=100, deadline=None)
def test_cold_detector_changes_nothing(scores):
    assert combine([*scores, cold("late")]) == combine(scores)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"minimum_confidence": 0.0}, "minimum_confidence must be above 0"),
        ({"strong_single": 1.1}, "strong_single must be above 0 and at most 1, not 1.1"),
        ({"warning": 0.9, "critical": 0.8}, r"warning \(0.9\) must not be above critical \(0.8\)"),
    ],
)
def test_levels_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        EnsembleSettings(**wrong)


def test_settings_move_the_levels():
    easy = EnsembleSettings(minimum_confidence=0.2, warning=0.25, critical=0.26)
    assert combine([fired("a", 0.8), quiet("b"), quiet("c")], easy).severity is Severity.CRITICAL
