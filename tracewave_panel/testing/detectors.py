"""Whether a detector keeps the promises of its protocol."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from tracewave_panel.codec import decode_packed, pack
from tracewave_panel.core.detectors.base import FIRE_SCORE, Detector
from tracewave_panel.model import Score, Window
from tracewave_panel.testing.promise import promise, same
from tracewave_panel.testing.windows import ordinary_windows, plain_window

__all__ = ["check_detector"]


def check_detector(make_detector: Callable[[], Detector], *, watches_rate: bool = True, most: int = 5000) -> None:
    """Check that a detector keeps the promises of :class:`~tracewave_panel.core.detectors.base.Detector`.

    Parameters
    ----------
    make_detector
        Gives a new, cold detector of the Wikimedia feed's rate each time it is called.
    watches_rate
        Whether five times the events must fire it within ten windows.
    most
        Windows within which it must be warm.

    Raises
    ------
    AssertionError
        When a promise is broken, saying which.
    """
    windows = ordinary_windows(most + 200)
    detector = make_detector()
    warm_after = _check_warm_up(detector, windows[:most])
    after = windows[warm_after : warm_after + 200]

    again = make_detector()
    for window in windows[:warm_after]:
        again.learn_one(window)
    same("scores of two detectors with the same past", _scores(again, after[:100]), _scores(detector, after[:100]))

    restored = make_detector()
    restored.restore(decode_packed(pack(detector.snapshot()), dict))
    same("the snapshot of a restored detector", pack(restored.snapshot()), pack(detector.snapshot()))
    restored.restore(decode_packed(pack(detector.snapshot()), dict))
    same("scores after a restore", _scores(restored, after[100:]), _scores(detector, after[100:]))

    if watches_rate:
        usual = [score.fired for score in _scores(again, after[100:])]
        promise(sum(usual) <= 2, f"{sum(usual)} of 100 ordinary windows fired")
        jump = _scores(again, [plain_window(most + 200 + second, 150) for second in range(10)])
        promise(any(score.fired for score in jump), "ten windows of five times the rate did not fire it")

    for what, count in (("constant", 30), ("zero", 0), ("huge", 10**9), ("ordinary", 30)):
        hard = [plain_window(most + 300 + second, count) for second in range(50)]
        for score in _scores(again, hard):
            _check_score(score, f"after {what} windows")


def _check_warm_up(detector: Detector, windows: Sequence[Window]) -> int:
    """Follow a cold detector and return the windows it learned until it was warm."""
    left = None
    for learned, window in enumerate(windows):
        score = detector.score_one(window)
        same("scores of one window, asked twice", detector.score_one(window), score)
        _check_score(score, f"after {learned} windows")
        if score.warm:
            promise(learned > 0, "a detector that has seen nothing says it is warm")
            promise(left == 1, f"it said {left} windows were left, and was warm one window later")
            return learned
        counts_down = left is None or score.windows_left == left - 1
        promise(counts_down, f"windows_left went from {left} to {score.windows_left}")
        left = score.windows_left
        if learned % 50 == 0:
            before = pack(detector.snapshot())
            detector.score_one(window)
            same("the memory after score_one", pack(detector.snapshot()), before)
        detector.learn_one(window)
    raise AssertionError(f"not warm after {len(windows)} windows")


def _scores(detector: Detector, windows: Iterable[Window]) -> list[Score]:
    scores = []
    for window in windows:
        scores.append(detector.score_one(window))
        detector.learn_one(window)
    return scores


def _check_score(score: Score, when: str) -> None:
    numbers = [score.statistic, score.p, score.score, score.expected or 0.0, score.spread or 0.0]
    promise(all(map(math.isfinite, numbers)), f"{when}: {score} is not finite")
    if not score.warm:
        neutral = Score(score.detector, warm=False, reason=score.reason, windows_left=score.windows_left)
        same(f"{when}: what a cold detector says", score, neutral)
        promise(score.reason != "", f"{when}: it abstains without a reason")
        promise(score.windows_left > 0, f"{when}: it abstains with {score.windows_left} windows left")
        return
    promise(0.0 < score.p <= 1.0, f"{when}: p is {score.p}")
    promise(0.0 <= score.score <= 1.0, f"{when}: the score is {score.score}")
    promise(score.fired == (score.score >= FIRE_SCORE), f"{when}: score {score.score}, fired {score.fired}")
    promise(score.reason == "", f"{when}: it is warm and has a reason to abstain")
    promise(score.windows_left == 0, f"{when}: it is warm and has {score.windows_left} windows left")
