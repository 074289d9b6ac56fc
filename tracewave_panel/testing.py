"""Contract checks for adapters, also for those of your own: give a factory, get an AssertionError in words.

Each check runs the promises that the port's docstring makes, and nothing more.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Thread
from typing import Any, TypeVar

import msgspec

from tracewave_panel.codec import decode_packed, pack
from tracewave_panel.core.detectors.base import FIRE_SCORE, Detector
from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.model import (
    Analysis,
    Anomaly,
    AnomalyKind,
    Batch,
    Contribution,
    Dropped,
    Event,
    Findings,
    Mark,
    Quality,
    Score,
    Severity,
    Status,
    Verdict,
    Window,
)
from tracewave_panel.ports import Bus, Page, SavedState, Store

__all__ = ["check_bus", "check_detector", "check_store", "ordinary_windows"]

T = TypeVar("T")

# ------------------------------------------------------------------ stores

_T0 = 1_700_000_000.0


def check_store(make_store: Callable[[], Store], *, feed: Feed = WIKIMEDIA, patience: float = 10.0) -> None:
    """Check that a store keeps the promises of :class:`~tracewave_panel.ports.Store`.

    A store may show appends late, and need not keep events; it must then count them in
    ``Page.missed``.

    Parameters
    ----------
    make_store
        Gives a new, empty store each time it is called.
    feed
        Whose windows the store expects.
    patience
        Seconds that the store may take to show what was appended.

    Raises
    ------
    AssertionError
        Saying which promise is broken.

    Examples
    --------
    >>> from tracewave_panel.stores.ring import RingStore
    >>> check_store(RingStore)
    """
    for promise in (
        _StorePromises.starts_empty,
        _StorePromises.keeps_order_and_every_field,
        _StorePromises.shows_the_last_telling_of_an_anomaly,
        _StorePromises.tells_a_revised_window_again,
        _StorePromises.accounts_for_every_event,
        _StorePromises.survives_numbers_that_are_none,
        _StorePromises.returns_the_newest_state,
        _StorePromises.can_be_read_while_it_is_written,
        _StorePromises.refuses_calls_after_close,
    ):
        store = make_store()
        try:
            promise(_StorePromises(store, feed, patience))
        finally:
            store.close()


class _StorePromises:
    def __init__(self, store: Store, feed: Feed, patience: float) -> None:
        self._store = store
        self._feed = feed
        self._patience = patience

    def starts_empty(self) -> None:
        for name in ("analyses", "anomalies", "events"):
            page = getattr(self._store, name)()
            _promise(page == Page((), 0), f"a new store's {name}() is not an empty page with cursor 0: {page}")
        _promise(self._store.load_state() is None, "a new store returns a State that nobody saved")

    def keeps_order_and_every_field(self) -> None:
        told = [_analysis(self._feed, second, metric) for second in range(40) for metric in ("rate", "editors")]
        for second in range(40):
            self._store.append(_findings(second, analyses=tuple(told[2 * second : 2 * second + 2])))
        read = self._follow(self._store.analyses, len(told), limit=7)
        _promise(len(read) == len(told), f"of {len(told)} analyses a reader got {len(read)}")
        for expected, got in zip(told, read, strict=True):
            _promise(got == expected, f"an analysis came back changed or out of order:\n{got}\ninstead of\n{expected}")
        cursor = self._store.analyses(limit=len(told)).cursor
        _promise(
            self._store.analyses(after=cursor) == Page((), cursor),
            "a reader at the end does not get an empty page and its cursor",
        )
        ahead = self._store.analyses(after=cursor + 1000)
        _promise(
            not ahead.items and ahead.cursor <= cursor + 1000,
            "a cursor from the future is not answered with an empty page",
        )
        self._store.append(_findings(40, analyses=(_analysis(self._feed, 40),)))
        more = self._wait(lambda: self._store.analyses(after=cursor), lambda page: bool(page.items))
        _promise(
            [analysis.window.start for analysis in more.items] == [_T0 + 40],
            f"after its cursor a reader does not get just what is new: {more}",
        )
        _promise(more.missed == 0, f"{more.missed} analyses are said to be missed, and none was")

    def shows_the_last_telling_of_an_anomaly(self) -> None:
        opened = _anomaly("a", 0)
        other = _anomaly("b", 1)
        closed = msgspec.structs.replace(
            opened, updated=_T0 + 2, closed=_T0 + 2, contributions=opened.contributions[:1]
        )
        for second, anomaly in enumerate((opened, other)):
            self._store.append(_findings(second, anomalies=(anomaly,)))
        first = self._wait(self._store.anomalies, lambda page: len(page.items) == 2)
        _promise(first.items == (opened, other), f"anomalies came back changed or out of order: {first.items}")
        self._store.append(_findings(2, anomalies=(closed,)))
        news = self._wait(lambda: self._store.anomalies(after=first.cursor), lambda page: bool(page.items))
        _promise(news.items == (closed,), f"the closing of an anomaly is not what follows the cursor: {news.items}")
        last = {anomaly.id: anomaly for anomaly in self._store.anomalies().items}
        _promise(last == {"a": closed, "b": other}, f"the last telling of each id does not hold: {last}")

    def tells_a_revised_window_again(self) -> None:
        gap = _analysis(self._feed, 0, quality=Quality.GAP)
        self._store.append(
            _findings(0, analyses=(gap, _analysis(self._feed, 1)), gaps=(Mark(_T0, _T0 + 1, Quality.GAP),))
        )
        first = self._wait(self._store.analyses, lambda page: len(page.items) == 2)
        revised = _analysis(self._feed, 0, quality=Quality.REVISED, revision=1, values=1)
        self._store.append(_findings(2, analyses=(revised,)))
        news = self._wait(lambda: self._store.analyses(after=first.cursor), lambda page: bool(page.items))
        _promise(news.items == (revised,), f"a revised window is not what follows the cursor: {news.items}")
        held = {analysis.window.start: analysis for analysis in self._store.analyses().items}
        _promise(held[_T0] == revised, f"the newest revision of a window does not hold: {held[_T0]}")

    def accounts_for_every_event(self) -> None:
        events = tuple(Event(_T0 + n, _T0 + n, _T0 + n, "edits", str(n), title=f"page {n}") for n in range(50))
        for second in range(0, 50, 10):
            self._store.append(_findings(second, events=events[second : second + 10]))
        page = self._wait(lambda: self._store.events(limit=50), lambda page: len(page.items) + page.missed == 50)
        _promise(
            len(page.items) + page.missed == page.cursor == 50,
            f"of 50 events {len(page.items)} are shown and {page.missed} said to be missed, with cursor {page.cursor}",
        )
        _promise(page.items == events[50 - len(page.items) :], "the events kept are not the newest, in order")

    def survives_numbers_that_are_none(self) -> None:
        odd = msgspec.structs.replace(
            _analysis(self._feed, 0),
            observed=math.nan,
            expected=-math.inf,
            spread=math.inf,
            scores=(Score("odd", math.nan),),
        )
        self._store.append(_findings(0, analyses=(odd,)))
        self._store.append(_findings(1, analyses=(_analysis(self._feed, 1),)))
        page = self._wait(self._store.analyses, lambda page: len(page.items) == 2)
        _promise(len(page.items) == 2, "NaN and infinity in an analysis break the store")
        read = page.items[0]
        kept = math.isnan(read.observed) and (read.expected, read.spread) == (-math.inf, math.inf)
        _promise(kept and math.isnan(read.scores[0].statistic), f"NaN and infinity came back changed: {read}")

    def returns_the_newest_state(self) -> None:
        for number in range(5):
            self._store.append(_findings(number, analyses=(_analysis(self._feed, number),)))
            saved = SavedState(
                _T0 + number + 0.123456789, _T0 + number + 1, b"position %d" % number, bytes(range(256)) * 40
            )
            self._store.save_state(saved)
        loaded = self._store.load_state()
        _promise(loaded == saved, f"load_state() does not return what was saved last: {loaded}")

    def can_be_read_while_it_is_written(self) -> None:
        told = [_analysis(self._feed, second) for second in range(300)]
        results: list[list[Analysis]] = []
        failures: list[BaseException] = []

        def read() -> None:
            try:
                results.append(self._follow(self._store.analyses, len(told), limit=50))
            except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread of the caller
                failures.append(error)

        readers = [Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for second, analysis in enumerate(told):
            self._store.append(_findings(second, analyses=(analysis,)))
        for reader in readers:
            reader.join()
        if failures:
            raise AssertionError(f"reading while another thread writes fails: {failures[0]!r}") from failures[0]
        for result in results:
            _promise(result == told, f"a reader beside the writer got {len(result)} of {len(told)}, or out of order")

    def refuses_calls_after_close(self) -> None:
        self._store.append(_findings(0, analyses=(_analysis(self._feed, 0),)))
        self._store.close()
        self._store.close()
        calls: dict[str, Callable[[], Any]] = {
            "append": lambda: self._store.append(_findings(1)),
            "analyses": self._store.analyses,
            "anomalies": self._store.anomalies,
            "events": self._store.events,
            "save_state": lambda: self._store.save_state(SavedState(_T0, _T0, b"", b"")),
            "load_state": self._store.load_state,
        }
        for name, call in calls.items():
            try:
                call()
            except StoreError:
                continue
            raise AssertionError(f"{name}() after close() does not raise StoreError")

    def _follow(self, read: Callable[..., Page[T]], count: int, *, limit: int) -> list[T]:
        """Items by cursor, until there are `count` of them or patience ends."""
        items: list[T] = []
        cursor = 0
        deadline = time.monotonic() + self._patience
        while len(items) < count and time.monotonic() < deadline:
            page = read(after=cursor, limit=limit)
            _promise(len(page.items) <= limit, f"a page of at most {limit} items has {len(page.items)}")
            _promise(page.cursor >= cursor, f"the cursor goes back from {cursor} to {page.cursor}")
            _promise(page.missed == 0, f"{page.missed} items are said to be missed, and none was")
            items += page.items
            cursor = page.cursor
            if not page.items:
                time.sleep(0.01)
        return items

    def _wait(self, read: Callable[[], Page[T]], complete: Callable[[Page[T]], bool]) -> Page[T]:
        deadline = time.monotonic() + self._patience
        while not complete(page := read()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return page


def _promise(kept: bool, otherwise: str) -> None:
    if not kept:
        raise AssertionError(otherwise)


def _findings(second: int, **found: Any) -> Findings:
    return Findings(arrived_at=_T0 + second + 1, watermark=_T0 + second + 1, status=Status.LIVE, **found)


def _analysis(
    feed: Feed, second: int, metric: str = "rate", *, quality: Quality = Quality.OK, revision: int = 0, values: int = 4
) -> Analysis:
    counts = tuple({f"{name} {number}": number + 1 for number in range(values)} for name in feed.dimensions)
    window = Window(
        series="edits",
        start=_T0 + second,
        width=1.0,
        count=10,
        features=tuple(0.1 * number + second for number in range(len(feed.features))),
        dimension_counts=counts,
        late=1,
        dropped=2,
        quality=quality,
        revision=revision,
    )
    return Analysis(
        metric=metric,
        window=window,
        observed=10.0,
        expected=9.5,
        spread=3.0,
        scores=(
            Score("zscore", 4.2, 1e-5, 0.5, fired=True, direction=1, expected=9.5, spread=3.0),
            Score("ewma", 0.2, 0.4, 0.04),
            Score("half_space_trees", warm=False, reason="needs 200 more windows", windows_left=200),
        ),
        confidence=0.25,
        rarity=1e-4,
        severity=Severity.INFO,
        alerting=True,
        direction=1,
        verdict=Verdict.CULPRIT,
        contributions=_contributions(),
        completeness=0.9,
    )


def _anomaly(identity: str, second: int) -> Anomaly:
    return Anomaly(
        id=identity,
        series="edits",
        metric="rate",
        kind=AnomalyKind.RATE_UP,
        opened=_T0 + second,
        peaked=_T0 + second,
        updated=_T0 + second,
        closed=None,
        severity=Severity.WARNING,
        confidence=0.7,
        rarity=1e-9,
        direction=1,
        observed=90.0,
        expected=30.5,
        agreeing=("zscore", "ewma"),
        quiet=(),
        abstained=("half_space_trees",),
        verdict=Verdict.CULPRIT,
        contributions=_contributions(),
        completeness=0.8,
        quality=Quality.OK,
        title="<b>dewiki</b> 'three times' as many edits",
    )


def _contributions() -> tuple[Contribution, ...]:
    return (
        Contribution("wiki", "dewiki", 60.0, 5.0, 0.9, 12.5, named=True),
        Contribution("actor", "user", 10.0, 9.0, -0.01, -0.3, named=False),
    )


# ------------------------------------------------------------------ detectors


def ordinary_windows(count: int, *, rate: float = 30.0, seed: int = 1, feed: Feed = WIKIMEDIA) -> list[Window]:
    """Windows of one second in which nothing unusual happens: over-dispersed counts around a rate.

    Examples
    --------
    >>> [window.count for window in ordinary_windows(3)] == [window.count for window in ordinary_windows(3)]
    True
    """
    source = random.Random(seed)  # noqa: S311 (a fixed series, not a secret)
    windows = []
    for second in range(count):
        mean = rate * source.gammavariate(8.0, 1.0 / 8.0)
        events = max(0, round(source.gauss(mean, math.sqrt(mean))))
        windows.append(plain_window(second, events, feed, source.uniform(0.9, 1.1)))
    return windows


def plain_window(second: int, events: int, feed: Feed = WIKIMEDIA, mix: float = 1.0) -> Window:
    """One window of `events` events whose shares and means are the usual ones times `mix`."""
    usual = {"rate": float(events), "distinct": round(0.8 * events * mix), "share": 0.3 * mix, "mean_abs": 100.0 * mix}
    return Window(
        series="checked",
        start=_T0 + second,
        width=1.0,
        count=events,
        features=tuple(float(usual[feature.fold]) if events else 0.0 for feature in feed.features),
        dimension_counts=tuple({"value": events} for _ in feed.dimensions),
    )


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
    _same("scores of two detectors with the same past", _scores(again, after[:100]), _scores(detector, after[:100]))

    restored = make_detector()
    restored.restore(decode_packed(pack(detector.snapshot()), dict))
    _same("the snapshot of a restored detector", pack(restored.snapshot()), pack(detector.snapshot()))
    restored.restore(decode_packed(pack(detector.snapshot()), dict))
    _same("scores after a restore", _scores(restored, after[100:]), _scores(detector, after[100:]))

    if watches_rate:
        usual = [score.fired for score in _scores(again, after[100:])]
        _promise(sum(usual) <= 2, f"{sum(usual)} of 100 ordinary windows fired")
        jump = _scores(again, [plain_window(most + 200 + second, 150) for second in range(10)])
        _promise(any(score.fired for score in jump), "ten windows of five times the rate did not fire it")

    for what, count in (("constant", 30), ("zero", 0), ("huge", 10**9), ("ordinary", 30)):
        hard = [plain_window(most + 300 + second, count) for second in range(50)]
        for score in _scores(again, hard):
            _check_score(score, f"after {what} windows")


def _check_warm_up(detector: Detector, windows: Sequence[Window]) -> int:
    """Follow a cold detector and return the windows it learned until it was warm."""
    left = None
    for learned, window in enumerate(windows):
        score = detector.score_one(window)
        _same("scores of one window, asked twice", detector.score_one(window), score)
        _check_score(score, f"after {learned} windows")
        if score.warm:
            _promise(learned > 0, "a detector that has seen nothing says it is warm")
            _promise(left == 1, f"it said {left} windows were left, and was warm one window later")
            return learned
        counts_down = left is None or score.windows_left == left - 1
        _promise(counts_down, f"windows_left went from {left} to {score.windows_left}")
        left = score.windows_left
        if learned % 50 == 0:
            before = pack(detector.snapshot())
            detector.score_one(window)
            _same("the memory after score_one", pack(detector.snapshot()), before)
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
    _promise(all(map(math.isfinite, numbers)), f"{when}: {score} is not finite")
    if not score.warm:
        neutral = Score(score.detector, warm=False, reason=score.reason, windows_left=score.windows_left)
        _same(f"{when}: what a cold detector says", score, neutral)
        _promise(score.reason != "", f"{when}: it abstains without a reason")
        _promise(score.windows_left > 0, f"{when}: it abstains with {score.windows_left} windows left")
        return
    _promise(0.0 < score.p <= 1.0, f"{when}: p is {score.p}")
    _promise(0.0 <= score.score <= 1.0, f"{when}: the score is {score.score}")
    _promise(score.fired == (score.score >= FIRE_SCORE), f"{when}: score {score.score}, fired {score.fired}")
    _promise(score.reason == "", f"{when}: it is warm and has a reason to abstain")
    _promise(score.windows_left == 0, f"{when}: it is warm and has {score.windows_left} windows left")


# ------------------------------------------------------------------ buses


async def check_bus(make_bus: Callable[[], Bus], *, patience: float = 10.0) -> None:
    """Check that a bus keeps the promises of :class:`~tracewave_panel.ports.Bus`.

    Once with a subscriber that keeps up and once with one that comes late.

    Parameters
    ----------
    make_bus
        Gives a new, empty bus each time it is called; in a running event loop.
    patience
        Seconds within which everything must be delivered.

    Raises
    ------
    AssertionError
        When a promise is broken, saying which.
    """
    batches = [_bus_batch(number) for number in range(60)]
    for late in (0.0, 0.05):
        async with asyncio.timeout(patience):
            received = await _through(make_bus(), batches, late)
        _check_delivery(batches, received)


async def _through(bus: Bus, batches: Sequence[Batch], late: float) -> list[Batch]:
    async def consume() -> list[Batch]:
        await asyncio.sleep(late)
        received = []
        async for batch in bus.subscribe():
            received.append(batch)
            await bus.acknowledge(batch)
        return received

    consumer = asyncio.create_task(consume())
    for batch in batches:
        await bus.publish(batch)
    await bus.close()
    return await consumer


def _check_delivery(sent: Sequence[Batch], received: Sequence[Batch]) -> None:
    events = [event for batch in sent for event in batch.events]
    delivered = [event for batch in received for event in batch.events]
    kept = set(delivered)
    _promise(len(kept) == len(delivered), "an event was delivered twice")
    _same("order of the events delivered", delivered, [event for event in events if event in kept])
    dropped = sum(loss.count for batch in received for loss in batch.dropped)
    dropped -= sum(loss.count for batch in sent for loss in batch.dropped)
    _same("events delivered and events said to be dropped, together", len(delivered) + dropped, len(events))
    _same("marks", [mark for batch in received for mark in batch.marks], [mark for b in sent for mark in b.marks])
    for name in ("undecodable", "duplicates"):
        _same(f"total of {name}", *(sum(getattr(batch, name) for batch in side) for side in (received, sent)))
    watermarks = [batch.watermark for batch in received]
    _same("order of watermarks", watermarks, sorted(watermarks))
    last = received[-1]
    _same("end of the stream", (last.watermark, last.position), (sent[-1].watermark, sent[-1].position))


def _bus_batch(number: int) -> Batch:
    start = _T0 + number
    return Batch(
        arrived_at=start + 1.0,
        watermark=start + 1.0,
        status=Status.LIVE if number % 7 else Status.CATCH_UP,
        events=tuple(
            Event(start + i / 10, start, start + i / 10, "checked", f"{number}-{i}", ("v",), (1.0,), title="\u00e9 <b>")
            for i in range(number % 10)
        ),
        marks=(Mark(start, start + 1.0, Quality.PARTIAL),) if number % 5 == 0 else (),
        dropped=(Dropped("checked", start, 2),) if number % 11 == 0 else (),
        undecodable=number % 3,
        duplicates=number % 2,
        position=b"%d" % number,
    )


def _same(what: str, found: Any, wanted: Any) -> None:
    _promise(found == wanted, f"{what}: {found!r}, not {wanted!r}")
