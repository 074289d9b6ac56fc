"""Ensemble: the older rule's worked examples, and what holds for any scores."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel import codec
from tracewave_panel.core.ensemble import EnsembleSettings, Evidence, EvidenceState, combine
from tracewave_panel.model import Score, Severity

NAMES = ("zscore", "ewma", "trees")
AGREEMENT = EnsembleSettings(rule="agreement")


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
    combined = combine(scores, AGREEMENT)
    assert round(combined.confidence, 2) == confidence
    assert combined.severity is severity
    assert combined.alerting == (severity is not Severity.NONE)


@pytest.mark.parametrize(
    ("rarity", "budget", "alerting"),
    [(0.33, 3.0, False), (0.34, 3.0, True), (9.0, 0.1, False), (10.0, 0.1, True), (0.0, 1000.0, False)],
)
def test_windows_alert_that_are_rare_enough_for_the_alarm_budget(rarity, budget, alerting):
    assert combine([quiet("a")], EnsembleSettings(alarm_budget=budget), rarity=rarity).alerting == alerting


def test_least_evidence_alerts_in_place_of_the_budget():
    settings = EnsembleSettings(minimum_evidence=4.0)
    assert combine([quiet("a")], settings, evidence=4.0).alerting
    assert not combine([quiet("a")], settings, evidence=3.9, rarity=1e9).alerting
    assert not combine([quiet("a")], EnsembleSettings(minimum_evidence=0.0)).alerting


def test_nothing_alerts_while_all_abstain():
    assert not combine([cold("a")], rarity=1e9).alerting


@pytest.mark.parametrize(
    ("wanted", "direction", "alerting"),
    [
        ("both", 0, True),
        ("both", -1, True),
        ("rise", 1, True),
        ("rise", -1, False),
        ("rise", 0, False),
        ("fall", -1, True),
        ("fall", 1, False),
        ("fall", 0, False),
    ],
)
def test_only_changes_of_the_direction_asked_for_alert(wanted, direction, alerting):
    combined = combine([fired("a", 0.9, direction)], EnsembleSettings(direction=wanted), rarity=100.0)
    assert (combined.alerting, combined.direction) == (alerting, direction)


def evidence(*windows, **settings) -> list[float]:
    made = Evidence(EnsembleSettings(**({"weights": {}, "usual": 1.0} | settings)))
    return [made.take(scores) for scores in windows]


def test_evidence_is_the_weighted_sum_beyond_the_usual_of_those_that_spoke():
    scores = [fired("a", 0.8), quiet("b", 0.3), quiet("c", 0.09), cold("d")]
    assert evidence(scores) == pytest.approx([7.0 + 2.0])
    assert evidence(scores, weights={"a": 0.5}) == pytest.approx([3.5 + 2.0])
    assert evidence(scores, usual=2.5) == pytest.approx([5.5 + 0.5])
    assert evidence(scores, most=6.0) == pytest.approx([5.0 + 2.0])


def test_detectors_that_are_not_named_weigh_one_and_charts_of_one_value_share_a_voice():
    weights = EnsembleSettings().weights
    assert (weights["zscore"] + weights["ewma"], "trees" in weights) == (1.0, False)
    assert evidence([fired("trees", 0.8)], weights=weights) == pytest.approx([7.0])
    assert evidence([fired("zscore", 0.8), fired("ewma", 0.8)], weights=weights) == pytest.approx([7.0])


def test_evidence_is_held_for_so_many_windows():
    windows = [[quiet("a", strength)] for strength in (0.5, 0.2, 0.3, 0.1, 0.1, 0.1)]
    assert evidence(*windows, hold=3) == pytest.approx([4.0, 4.0, 4.0, 2.0, 2.0, 0.0])


def test_longer_streams_ask_for_more():
    windows = [[quiet("a", 0.5)]] * 10_000
    told = evidence(*windows, growth=0.5)
    assert (told[9], told[999], told[-1]) == pytest.approx((5.0, 4.0, 3.5))


@given(st.lists(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2), max_size=30), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_evidence_goes_on_from_a_snapshot(rows, at):
    windows = [[quiet("a", first), quiet("b", second)] for first, second in rows]
    made, restored = (Evidence(EnsembleSettings(hold=4, growth=0.5, usual=1.0)) for _ in range(2))
    begun = [made.take(scores) for scores in windows[:at]]
    restored.restore(codec.decode_packed(codec.pack(made.snapshot()), EvidenceState))
    rest = [restored.take(scores) for scores in windows[at:]]
    assert begun + rest == evidence(*windows, hold=4, growth=0.5)


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
    assert combine(shuffled, AGREEMENT) == combine(scores, AGREEMENT)
    assert evidence(shuffled) == pytest.approx(evidence(scores))


@given(score_lists())
@settings(max_examples=200, deadline=None)
def test_confidence_stays_in_range_and_severity_says_whether_it_alerts(scores):
    combined = combine(scores, AGREEMENT)
    assert 0.0 <= combined.confidence <= 1.0
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
    before, after = combine(scores, AGREEMENT), combine(raised, AGREEMENT)
    assert after.confidence >= before.confidence
    assert after.severity.rank >= before.severity.rank
    assert evidence(raised)[0] >= evidence(scores)[0]


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
    easy = EnsembleSettings(rule="agreement", minimum_confidence=0.2, warning=0.25, critical=0.26)
    assert combine([fired("a", 0.8), quiet("b"), quiet("c")], easy).severity is Severity.CRITICAL
