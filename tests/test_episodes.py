"""Episodes: one card an incident, told when it opens, grows and closes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracewave_panel import codec
from tracewave_panel.core.episodes import Episodes, EpisodeSettings, EpisodesState
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Analysis, AnomalyKind, Contribution, Quality, Score, Severity, Verdict, Window


def window(second: int, quality: Quality = Quality.OK, series: str = "edits", revision: int = 0) -> Window:
    return Window(series, 1000.0 + second, 1.0, 30, (30.0,), ({},), quality=quality, revision=revision)


def calm(second: int, **more) -> Analysis:
    return Analysis("rate", window(second, **more), 30.0, 29.0)


def alert(
    second: int, rarity: float = 10.0, severity: Severity = Severity.INFO, direction: int = 1, lead: str = "", **more
) -> Analysis:
    contributions = (Contribution("wiki", lead, 90.0, 5.0, 0.9, 20.0, named=True),) if lead else ()
    return Analysis(
        "rate",
        window(second, **more),
        observed=60.0 + second,
        expected=30.0,
        scores=(
            Score("zscore", 6.0, 1e-7, 0.7, fired=True, direction=direction),
            Score("ewma", 1.0, 0.3, 0.05),
            Score("trees", warm=False, reason="learning", windows_left=3),
        ),
        confidence=0.6,
        rarity=rarity,
        severity=severity,
        alerting=True,
        direction=direction,
        verdict=Verdict.CULPRIT if lead else Verdict.GLOBAL,
        contributions=contributions,
    )


def told(analyses, episodes: Episodes | None = None, **limits):
    episodes = episodes or Episodes(WIKIMEDIA, EpisodeSettings(**limits))
    return [anomaly for analysis in analyses for anomaly in episodes.follow(analysis)]


def spans(anomalies) -> list[tuple[float, float | None]]:
    return [(a.opened - 1000.0, None if a.closed is None else a.closed - 1000.0) for a in anomalies]


def test_calm_windows_tell_nothing():
    assert told(calm(second) for second in range(200)) == []


def test_episode_opens_at_the_first_alert_and_closes_after_quiet_windows():
    analyses = [calm(0), alert(1), alert(2), *(calm(second) for second in range(3, 70))]
    opened, closed = told(analyses, quiet=60)
    assert spans([opened, closed]) == [(1.0, None), (1.0, 3.0)]
    assert closed.id == opened.id
    assert closed.updated == 1062.0


def test_card_says_who_agreed_who_was_quiet_and_who_could_not_say():
    (anomaly,) = told([alert(1, lead="dewiki")])
    assert (anomaly.agreeing, anomaly.quiet, anomaly.abstained) == (("zscore",), ("ewma",), ("trees",))
    assert (anomaly.title, anomaly.kind, anomaly.quality) == ("Surge on dewiki", AnomalyKind.RATE_UP, Quality.OK)


@pytest.mark.parametrize(
    ("direction", "kind"), [(1, AnomalyKind.RATE_UP), (-1, AnomalyKind.RATE_DOWN), (0, AnomalyKind.MIX_SHIFT)]
)
def test_kind_follows_the_direction(direction, kind):
    assert told([alert(1, direction=direction)])[0].kind is kind


def test_alerts_within_quiet_windows_are_one_episode():
    analyses = [alert(s) if s in {0, 60, 110} else calm(s) for s in range(180)]
    assert spans(told(analyses, quiet=60)) == [(0.0, None), (0.0, 111.0)]


def test_alerts_further_apart_are_two_episodes_with_two_ids():
    anomalies = told([alert(0), *(calm(s) for s in range(1, 61)), alert(61)], quiet=60)
    assert spans(anomalies) == [(0.0, None), (0.0, 1.0), (61.0, None)]
    assert anomalies[0].id == anomalies[1].id != anomalies[2].id


@pytest.mark.parametrize(
    ("second_alert", "retold"),
    [
        (alert(1, rarity=1000.0), True),
        (alert(1, rarity=990.0), False),
        (alert(1, severity=Severity.WARNING), True),
        (alert(1, rarity=100.0, lead="dewiki"), True),
        (alert(1, rarity=1.0), False),
        (alert(1, rarity=1.0, lead="dewiki"), False),
        (calm(1), False),
    ],
    ids=["rarer", "hardly rarer", "more severe", "new culprit at a peak", "weaker", "weaker with a culprit", "calm"],
)
def test_growing_episode_is_told_again_only_when_it_matters(second_alert, retold):
    anomalies = told([alert(0), second_alert])
    assert len(anomalies) == 1 + retold
    if retold:
        assert anomalies[1].id == anomalies[0].id
        assert (anomalies[1].opened, anomalies[1].peaked) == (1000.0, 1001.0)


def test_closing_tells_the_peak_even_if_it_was_not_worth_a_telling():
    anomalies = told([alert(0), alert(1, rarity=20.0), alert(2), *(calm(s) for s in range(3, 10))], quiet=5)
    assert (anomalies[-1].peaked, anomalies[-1].rarity, anomalies[-1].observed) == (1001.0, 20.0, 61.0)


def test_severity_confidence_and_rarity_never_fall_within_an_episode():
    analyses = [alert(0, severity=Severity.CRITICAL), alert(1, rarity=1e7), *(calm(s) for s in range(2, 9))]
    *_, closed = told(analyses, quiet=5)
    assert (closed.severity, closed.rarity, closed.peaked) == (Severity.CRITICAL, 1e7, 1001.0)


@pytest.mark.parametrize("quality", [Quality.PARTIAL, Quality.GAP])
def test_windows_that_are_not_judged_prolong_nothing(quality):
    unjudged = [calm(s, quality=quality) for s in range(6, 500)]
    analyses = [alert(0), *(calm(s) for s in range(1, 6)), *unjudged, *(calm(s) for s in range(500, 505))]
    episodes = [anomaly for anomaly in told(analyses, quiet=10) if anomaly.kind is AnomalyKind.RATE_UP]
    assert spans(episodes) == [(0.0, None), (0.0, 1.0)]
    assert episodes[-1].updated == 1504.0


def test_revised_windows_tell_nothing():
    assert told([alert(0, quality=Quality.REVISED, revision=1)]) == []


def test_lasting_level_is_accepted_and_opens_no_second_card():
    anomalies = told((alert(s) for s in range(500)), acceptance=100)
    assert spans(anomalies) == [(0.0, None), (0.0, 100.0)]


def test_accepted_level_makes_way_after_one_window_without_an_alert():
    analyses = [*(alert(s) for s in range(120)), calm(120), alert(121)]
    assert spans(told(analyses, acceptance=100)) == [(0.0, None), (0.0, 100.0), (121.0, None)]


def test_silence_is_told_once_when_it_begins_and_once_when_it_ends():
    gap = [calm(s, quality=Quality.GAP) for s in range(1, 400)]
    anomalies = told([calm(0), *gap, calm(400, quality=Quality.PARTIAL), calm(401)])
    assert spans(anomalies) == [(1.0, None), (1.0, 400.0)]
    assert anomalies[-1].updated == 1401.0
    assert {(a.kind, a.title, a.severity) for a in anomalies} == {
        (AnomalyKind.FEED_SILENT, "Feed silent", Severity.WARNING)
    }


def test_revision_of_an_earlier_window_does_not_end_a_silence():
    silence = [calm(1, quality=Quality.GAP), calm(0, quality=Quality.REVISED, revision=1), calm(2, quality=Quality.GAP)]
    assert spans(told(silence)) == [(1.0, None)]


def test_silence_after_silence_is_another_one():
    analyses = [calm(s, quality=Quality.GAP if s % 3 else Quality.OK) for s in range(7)]
    anomalies = told(analyses)
    assert spans(anomalies) == [(1.0, None), (1.0, 3.0), (4.0, None), (4.0, 6.0)]
    assert len({a.id for a in anomalies}) == 2


def test_silence_stands_beside_an_open_surge():
    anomalies = told([alert(0), calm(1, quality=Quality.GAP), calm(2)])
    assert [a.kind for a in anomalies] == [AnomalyKind.RATE_UP, AnomalyKind.FEED_SILENT, AnomalyKind.FEED_SILENT]


def test_partial_window_within_a_gap_does_not_end_the_silence():
    qualities = [Quality.OK, Quality.GAP, Quality.PARTIAL, Quality.GAP, Quality.PARTIAL, Quality.OK]
    anomalies = told(calm(second, quality=quality) for second, quality in enumerate(qualities))
    assert spans(anomalies) == [(1.0, None), (1.0, 4.0)]


def test_no_episode_opens_within_the_cooldown_of_the_last_opening():
    analyses = [alert(0), calm(1), alert(2), calm(3), alert(9), calm(10), alert(11), calm(12), alert(19), calm(20)]
    assert spans(told(analyses, quiet=1, cooldown=10)) == [(0.0, None), (0.0, 1.0), (11.0, None), (11.0, 12.0)]


def test_series_do_not_share_episodes():
    anomalies = told([alert(0), alert(0, series="other"), alert(1), alert(1, series="other")])
    assert [(a.series, a.opened) for a in anomalies] == [("edits", 1000.0), ("other", 1000.0)]
    assert anomalies[0].id != anomalies[1].id


_analyses = st.lists(
    st.builds(
        lambda kind, rarity, lead, quality: (kind, rarity, lead, quality),
        st.booleans(),
        st.sampled_from([1.0, 1e2, 1e4, 1e7]),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from([Quality.OK, Quality.OK, Quality.OK, Quality.GAP, Quality.PARTIAL, Quality.BACKFILLED]),
    ),
    max_size=60,
)


def _stream(rows) -> list[Analysis]:
    return [
        alert(s, rarity=rarity, lead=lead, quality=quality) if alerting and quality.judged else calm(s, quality=quality)
        for s, (alerting, rarity, lead, quality) in enumerate(rows)
    ]


@given(_analyses, st.integers(0, 60))
@settings(max_examples=80, deadline=None)
def test_tellings_are_the_same_in_a_replay_and_over_a_state(rows, at):
    stream, limits = _stream(rows), EpisodeSettings(quiet=4, acceptance=9, cooldown=7)
    first, second, restored = (Episodes(WIKIMEDIA, limits) for _ in range(3))
    whole = told(stream, first)
    begun = told(stream[:at], second)
    restored.restore(codec.decode_packed(codec.pack(second.snapshot()), EpisodesState))
    assert codec.pack([*begun, *told(stream[at:], restored)]) == codec.pack(whole)
    assert codec.pack(restored.snapshot()) == codec.pack(first.snapshot())


@given(_analyses)
@settings(max_examples=80, deadline=None)
def test_every_episode_opens_once_and_closes_at_most_once(rows):
    anomalies = told(_stream(rows), quiet=4, acceptance=9)
    for identity in {a.id for a in anomalies}:
        tellings = [a for a in anomalies if a.id == identity]
        assert all(a.closed is None for a in tellings[:-1])
        assert len({(a.kind, a.opened) for a in tellings}) == 1
    for kind in (AnomalyKind.RATE_UP, AnomalyKind.FEED_SILENT):
        ended = 0.0
        for anomaly in (a for a in anomalies if a.kind is kind and a.closed is not None):
            assert anomaly.opened >= ended
            ended = anomaly.closed


@pytest.mark.parametrize("wrong", [{"quiet": 0}, {"acceptance": 0}, {"cooldown": 0}, {"retell": 1.0}])
def test_episodes_that_never_open_or_close_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        EpisodeSettings(**wrong)
