"""Analyzer: score, combine, explain, then learn, in this order and from nothing else."""

from __future__ import annotations

import math

import msgspec
import pytest

from tracewave_panel import codec
from tracewave_panel.core.analyzer import Analyzer, AnalyzerSettings, AnalyzerState
from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.core.detectors.half_space_trees import HalfSpaceTrees, TreesSettings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.core.ensemble import EnsembleSettings
from tracewave_panel.core.episodes import Episodes
from tracewave_panel.core.lane import LaneSettings
from tracewave_panel.feeds import WIKIMEDIA, Metric
from tracewave_panel.model import Analysis, Quality, Severity, Verdict, Window
from tracewave_panel.testing import ordinary_windows, plain_window

QUICK = {
    "zscore": (ZScore, DeviationSettings(warm_up=60)),
    "ewma": (EwmaChart, msgspec.structs.replace(EwmaChart.defaults, warm_up=60)),
}
ALONE = {"zscore": QUICK["zscore"]}  # alerts at once
SHARES = {"wiki": (("enwiki", 0.4), ("dewiki", 0.3), ("frwiki", 0.3)), "actor": (("bot", 0.3), ("registered", 0.7))}


def counted(window: Window, second: float | None = None, **extra: int) -> Window:
    """The window with its events spread over wikis and actors, and more from one wiki."""
    counts = []
    for dimension in WIKIMEDIA.dimensions:
        shares = SHARES.get(dimension, (("all", 1.0),))
        held = {value: round(window.count * share) for value, share in shares}
        if dimension == "wiki":
            held |= {wiki: held.get(wiki, 0) + more for wiki, more in extra.items()}
        else:
            held[shares[0][0]] += sum(extra.values())
        counts.append(held)
    count = window.count + sum(extra.values())
    return msgspec.structs.replace(
        window,
        start=window.start if second is None else second,
        count=count,
        features=(float(count), *window.features[1:]),
        dimension_counts=tuple(counts),
    )


def usual(count: int, seed: int = 1) -> list[Window]:
    return [counted(window) for window in ordinary_windows(count, seed=seed)]


def settings_of(detectors=QUICK, **more) -> AnalyzerSettings:
    """The older rule, since it needs no reference."""
    return AnalyzerSettings(LaneSettings(detectors, ensemble=EnsembleSettings(rule="agreement")), **more)


def analyzer(windows: list[Window] = (), **more) -> Analyzer:
    made = Analyzer(WIKIMEDIA, settings_of(**more))
    for window in windows:
        made.analyze(window)
    return made


def packed(made: Analyzer) -> bytes:
    return codec.pack(made.snapshot())


def surge(second: int, more: int = 200) -> Window:
    return counted(plain_window(10_000 + second, 30), dewiki=more)


def of_dewiki(analysis: Analysis) -> float:
    """Edits a second of dewiki in the alarm as explained; 9 of them are usual."""
    return next(row.observed for row in analysis.contributions if row.value == "dewiki") - 9


def test_cold_analyzer_abstains_and_expects_nothing():
    (analysis,) = analyzer().analyze(usual(1)[0])
    assert [score.warm for score in analysis.scores] == [False, False]
    assert (analysis.expected, analysis.confidence, analysis.rarity, analysis.alerting) == (None, 0.0, 0.0, False)


@pytest.mark.parametrize("quality", [Quality.PARTIAL, Quality.GAP, Quality.REVISED])
def test_windows_that_are_not_judged_are_shown_and_not_learned(quality):
    made = analyzer(usual(300))
    before = packed(made)
    (analysis,) = made.analyze(msgspec.structs.replace(surge(0), quality=quality))
    assert (analysis.observed, analysis.scores, analysis.alerting) == (230.0, (), False)
    assert packed(made) == before


@pytest.mark.parametrize("quality", [Quality.OK, Quality.BACKFILLED])
def test_judged_windows_are_scored_against_the_past_and_then_learned(quality):
    made, again = analyzer(usual(300)), analyzer(usual(300))
    before = packed(made)
    (analysis,) = made.analyze(msgspec.structs.replace(surge(0), quality=quality))
    assert analysis.expected == pytest.approx(30.0, rel=0.2)
    assert analysis.spread == pytest.approx(12.0, rel=0.4)
    assert packed(made) != before
    # what it said does not depend on the window itself being learned
    assert again.analyze(msgspec.structs.replace(surge(0), quality=quality)) == [analysis]


def test_surge_alerts_and_names_its_wiki_from_all_its_windows():
    made = analyzer(usual(600))
    analyses = [made.analyze(surge(second))[0] for second in range(8)]
    last = analyses[-1]
    assert (last.alerting, last.direction, last.severity) == (True, 1, Severity.CRITICAL)
    assert last.verdict is Verdict.CULPRIT
    lead = next(row for row in last.contributions if row.dimension == "wiki")
    assert (lead.value, lead.named) == ("dewiki", True)
    assert (lead.observed, lead.expected) == (209.0, pytest.approx(9.0, rel=0.2))
    assert last.completeness > 0.9


def test_alarm_is_explained_over_no_more_windows_than_the_settings_say():
    made = analyzer(usual(600), explained=3, detectors=ALONE)
    *_, last = [made.analyze(surge(second, 200 + 30 * second))[0] for second in range(20)]
    assert of_dewiki(last) == (200 + 230 + 260) / 3


def test_explanation_follows_a_growing_alarm_at_most_a_quarter_behind():
    made = analyzer(usual(600), detectors=ALONE)
    for second in range(60):
        (analysis,) = made.analyze(surge(second, 200 + 10 * second))
        assert analysis.alerting
        behind = {200 + 10 * (windows - 1) / 2 for windows in range(math.ceil((second + 1) / 1.26), second + 2)}
        assert any(of_dewiki(analysis) == pytest.approx(mean) for mean in behind)


def test_next_alarm_is_not_explained_with_the_last_ones_windows():
    made = analyzer(usual(600))
    for second in range(8):
        made.analyze(surge(second))
    for window in usual(200, seed=2):
        made.analyze(window)
    first = next(a for second in range(9) if (a := made.analyze(surge(100 + second, 300))[0]).alerting)
    assert of_dewiki(first) == 300


def test_explaining_baseline_does_not_learn_an_alarm():
    made = analyzer(usual(600))
    for second in range(10):
        made.analyze(surge(second))
    before = made.snapshot().baselines
    for second in range(10, 60):
        assert made.analyze(surge(second))[0].alerting
    assert made.snapshot().baselines == before


def test_explaining_baseline_learns_a_level_that_lasts():
    # detectors that never accept it, so that only the analyzer's own acceptance is seen
    stubborn = {"zscore": (ZScore, DeviationSettings(warm_up=60, patience=10_000))}
    made = analyzer(usual(600), detectors=stubborn, acceptance=50)
    for second in range(200):
        assert made.analyze(surge(second))[0].alerting
    seconds = [held.seconds / held.scale for held in made.snapshot().baselines.values()]
    assert max(seconds) > 600


@pytest.mark.parametrize("factor", [2, 3, 5, 20])
def test_level_that_lasts_makes_one_card_and_then_is_the_new_normal(factor):
    made = analyzer(acceptance=900, detectors={name: (kind, kind.defaults) for name, (kind, _) in QUICK.items()})
    episodes, told = Episodes(WIKIMEDIA), []
    higher = ordinary_windows(1500, rate=30.0 * factor, seed=5)
    for second, window in enumerate([*ordinary_windows(1200), *higher]):
        for analysis in made.analyze(counted(window, float(second))):
            told += episodes.follow(analysis)
    assert len({anomaly.id for anomaly in told}) == 1
    assert 800 < told[-1].closed - told[0].opened <= 900


def test_every_metric_and_every_series_has_detectors_of_its_own():
    feed = msgspec.structs.replace(
        WIKIMEDIA, metrics=(*WIKIMEDIA.metrics, Metric("bots", "bot_share", "", "share", kind="value"))
    )
    made = Analyzer(feed, settings_of())
    for window in usual(100):
        rate, bots = made.analyze(window)
    other = made.analyze(msgspec.structs.replace(window, series="other"))
    assert [(a.metric, a.scores[0].warm) for a in (rate, bots)] == [("rate", True), ("bots", True)]
    assert [(a.metric, a.scores[0].warm) for a in other] == [("rate", False), ("bots", False)]
    assert bots.expected == pytest.approx(0.3, rel=0.1)


def test_analyzer_goes_on_from_a_snapshot_in_the_middle_of_an_alarm():
    made, restored = analyzer(usual(600)), analyzer()
    for second in range(5):
        made.analyze(surge(second))
    restored.restore(codec.decode_packed(packed(made), AnalyzerState))
    rest = [surge(second) for second in range(5, 20)] + usual(50, seed=3)
    assert [restored.analyze(window) for window in rest] == [made.analyze(window) for window in rest]
    assert packed(restored) == packed(made)


@pytest.mark.parametrize(
    ("settings", "warm"),
    [
        ({}, [True, True]),
        (
            {
                "ewma": (
                    EwmaChart,
                    DeviationSettings(
                        spans=(40,), gaps=(40,), memories=(60.0,), rises=(1.0,), falls=(1.0,), warm_up=60
                    ),
                )
            },
            [True, False],
        ),
        ({"trees": (HalfSpaceTrees, TreesSettings(trees=2, height=2, window=10, warm_up=20))}, [True, True, False]),
    ],
    ids=["same", "other settings", "a new one"],
)
def test_detector_that_is_new_or_set_otherwise_starts_cold_and_the_others_go_on(settings, warm):
    restored = analyzer(detectors=QUICK | settings)
    restored.restore(codec.decode_packed(packed(analyzer(usual(100))), AnalyzerState))
    (analysis,) = restored.analyze(usual(1, seed=4)[0])
    assert [score.warm for score in analysis.scores] == warm


def test_forest_of_other_seed_does_not_take_over_the_masses_of_another():
    forest = {"trees": (HalfSpaceTrees, TreesSettings(trees=2, height=2, window=10, warm_up=20, seed=1))}
    other = {"trees": (HalfSpaceTrees, TreesSettings(trees=2, height=2, window=10, warm_up=20, seed=2))}
    restored = analyzer(detectors=other)
    restored.restore(analyzer(usual(50), detectors=forest).snapshot())
    assert restored.analyze(usual(51)[-1])[0].scores[0].windows_left == 20
