"""What notices say and show."""

from __future__ import annotations

import io

import pytest
from console_stand_in import analysis, anomaly, story
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import AnomalyKind, Origin, Quality, Severity, Verdict
from tracewave_panel.notify.picture import LIVE, SEVERITY, draw_pulse
from tracewave_panel.notify.pulse import Point, Pulse, in_order
from tracewave_panel.notify.words import body_of, fit, subject_of

T0 = 1_700_000_000.0
TITLE = "File:Vista da Torre de Belém ao entardecer, Lisboa, {}.jpg"


def body(phase: str = "opened", origin: Origin = Origin.LIVE, closed: float | None = None, **fields) -> str:
    return body_of(anomaly(T0, closed, **fields), phase, origin, WIKIMEDIA, {})


def test_opening_is_told_in_words_with_the_why():
    assert body().splitlines() == [
        "131 events/s observed against 41.6 expected, 3.1× (series edits, metric rate).",
        "Began 2023-11-14 22:13:20 UTC; strongest so far at 2023-11-14 22:13:23 UTC.",
        "An ordinary feed shows as much once in 9 days.",
        "",
        "Why: what is named below accounts for 91 % of the change.",
        "- wiki commons.wikimedia.org: 83.4 events/s against 6.9",
        "- actor bot: 91.1 events/s against 15.8",
        "- namespace 6 File: 74.0 events/s against 4.4",
        f"Among them: {'; '.join(TITLE.format(year) for year in (1903, 1902, 1901))}",
        "",
        "Detectors: 2 of 4 agree (zscore, ewma); not trees, novelty; still learning: seasonal. Confidence 0.90.",
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"phase": "closed", "closed": T0 + 125}, "Lasted 2 min 05 s, from 2023-11-14 22:13:20 UTC to"),
        ({"rarity": 1e-9}, "as much all the time."),
        ({"rarity": 0.02}, "as much 2 times an hour."),
        ({"rarity": 0.125}, "as much 8 times a day."),
        ({"rarity": 1.0}, "as much once a day."),
        ({"rarity": 59.0}, "as much once in 59 days."),
        ({"rarity": 170.0}, "as much once in 6 months."),
        ({"rarity": 3652.0}, "as much once in 10 years."),
        ({"rarity": 1e300}, "less than once in 100 years"),
        ({"rarity": float("inf")}, "less than once in 100 years"),
        ({"kind": AnomalyKind.RATE_DOWN, "observed": 11.6}, "11.6 events/s observed against 41.6 expected, 0.28× ("),
        ({"kind": AnomalyKind.MIX_SHIFT}, "131 events/s observed against 41.6 expected (series"),
        ({"provisional": True}, "a first estimate"),
        ({"verdict": Verdict.GLOBAL, "contributions": ()}, "no single part stands out"),
        ({"contributions": ()}, "Why: not known yet."),
        ({"expected": None}, "131 events/s observed (series edits"),
        ({"expected": 0.0}, "against 0.0 expected (series"),
        ({"kind": AnomalyKind.FEED_SILENT, "contributions": (), "rarity": 0.0}, "No events came"),
        ({"origin": Origin.SIMULATED}, "This is simulated data: nothing of it happened."),
        ({"origin": Origin.IMPORTED}, "This is a replay of recorded data"),
    ],
)
def test_special_cases_have_words(fields, said):
    assert said in body(**fields)


@given(st.text(max_size=400), st.integers(2, 120))
def test_fitted_text_is_one_short_line_without_anything_that_steers(text, limit):
    line = fit(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
    assert not set(line) & set("<>@`[]*|~")
    assert "://" not in line


def test_subject_has_an_end():
    assert len(subject_of(anomaly(T0, title="x" * 10_000), "opened", Origin.SIMULATED)) < 160


# -- the picture


@pytest.fixture(scope="module")
def points() -> tuple[Point, ...]:
    pulse = Pulse()
    for findings in story(T0, 900):
        for each in findings.analyses:
            pulse.take(each)
    return pulse.copy("edits", "rate")


def colours(picture: bytes) -> dict[tuple[int, ...], int]:
    image = Image.open(io.BytesIO(picture))
    assert (image.size, image.mode) == ((900, 300), "RGB")
    return {colour: count for count, colour in image.getcolors(1_000_000)}


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


@pytest.mark.parametrize("severity", [Severity.INFO, Severity.WARNING, Severity.CRITICAL])
def test_picture_shows_the_line_and_the_episode_in_its_colour(points, severity):
    found = colours(draw_pulse(anomaly(T0 - 60, severity=severity), points, Origin.LIVE, "events/s"))
    assert found.get(rgb(LIVE), 0) > 100
    assert found.get(rgb(SEVERITY[severity.value]), 0) > 100
    for other in {"info", "warning", "critical"} - {severity.value}:
        assert found.get(rgb(SEVERITY[other]), 0) == 0


def test_picture_says_that_data_are_simulated(points):
    pictures = {origin: draw_pulse(anomaly(T0 - 60), points, origin, "events/s") for origin in Origin}
    assert len(set(pictures.values())) == 3


def test_picture_hatches_a_gap(points):
    whole = [point._replace(gap=False) for point in points]
    assert draw_pulse(anomaly(T0 - 60), points, Origin.LIVE, "") != draw_pulse(anomaly(T0 - 60), whole, Origin.LIVE, "")


@pytest.mark.parametrize(
    "odd",
    [
        [Point(T0, 1.0, 5.0, None, None, gap=False)],
        [Point(T0, 1.0, 0.0, None, None, gap=True)],
        [Point(T0 + 60 * n, 60.0, 0.0, 0.0, 0.0, gap=False) for n in range(3)],
        [Point(T0 + n, 1.0, -1e9 * n, 1e-9, 1e12, gap=False) for n in range(3)],
        [Point(T0 + n, 1.0, float("nan"), float("nan"), float("nan"), gap=False) for n in range(3)],
        [Point(T0 + n, 1.0, float("inf"), None, None, gap=False) for n in range(3)],
        [Point(T0 + 86_400 * n, 86_400.0, 61_204.5, 61_200.0, 0.5, gap=False) for n in range(90)],
        [Point(T0 - n, 1.0, 5.0, None, None, gap=False) for n in range(9)],
    ],
)
def test_picture_of_odd_values_is_drawn_all_the_same(odd):
    assert colours(draw_pulse(anomaly(T0), odd, Origin.LIVE, "events/s"))


def test_without_windows_there_is_no_picture():
    assert draw_pulse(anomaly(T0), (), Origin.LIVE, "") == b""


def test_pulse_keeps_a_quarter_of_an_hour_and_of_a_window_told_again_the_last_telling():
    pulse = Pulse()
    for second in range(2000):
        pulse.take(analysis(T0 + second, quality=Quality.GAP if second == 1990 else Quality.OK))
    pulse.take(analysis(T0 + 1990, 7.0, quality=Quality.REVISED, revision=1))
    kept = in_order(pulse.copy("edits", "rate"))
    assert (kept[0].start, kept[-1].start, len(kept)) == (T0 + 1099, T0 + 1999, 901)
    assert [(point.observed, point.gap) for point in kept if point.start == T0 + 1990] == [(7.0, False)]
    assert pulse.copy("edits", "price") == ()
