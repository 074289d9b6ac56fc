"""Tumbling windows over batches, with a watermark that the source moves.

Invariants
----------
- A window is told once its end is at or below the watermark, in order of start, then of series.
- Between the first event and the watermark every window is told, quiet ones with rate 0. A jump of
  the watermark tells all windows in between, however many, unless a mark says ``gap``: the clocks
  see to it that no wrong stamp makes one.
- Every event is counted in exactly one window: its own while that is open, the open window of
  its series when its own was told already (``late``), or a new revision of its own when that
  was told as ``gap``, or cut by one.
- What is told depends on the order of events between two watermarks, never on how they are
  cut into batches.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator

import msgspec

from tracewave_panel.core.fold import Fold, FoldState
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Batch, Event, Mark, Quality, Status, Window

__all__ = ["TumblingWindows", "WindowsState", "window_index"]

_WORST_FIRST = (Quality.GAP, Quality.PARTIAL, Quality.BACKFILLED)
_LONGEST_GAP = 3600
_GAPS_KEPT = 256


class WindowsState(msgspec.Struct, frozen=True):
    """All that :class:`TumblingWindows` holds between two batches."""

    width: float
    frontier: int | None
    first: int | None
    open: tuple[tuple[str, tuple[tuple[int, FoldState], ...]], ...]
    dropped: tuple[tuple[str, int, int], ...]
    marks: tuple[Mark, ...]
    gaps: tuple[tuple[int, int], ...]
    revised: tuple[tuple[str, int, int, int, bool, FoldState], ...]


def window_index(time: float, width: float) -> int:
    """Number of the window that holds a moment: ``index * width <= time < (index + 1) * width``."""
    index = math.floor(time / width)
    if (index + 1) * width <= time:
        return index + 1
    return index - 1 if index * width > time else index


class _Revision:
    """A window in a gap or cut by one, with the events that came for it after all; never explained, so no samples."""

    __slots__ = ("dropped", "fold", "pending", "revision")

    def __init__(self, fold: Fold, dropped: int = 0, revision: int = 0) -> None:
        self.fold = fold
        self.dropped = dropped
        self.revision = revision
        self.pending = False


class TumblingWindows:
    """Fold batches into windows of one width.

    Parameters
    ----------
    feed
        Names and order of dimensions and features; its declared series are told from the first
        event on, others from their own first event.
    width
        Seconds.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> from tracewave_panel.model import Batch, Event
    >>> windows = TumblingWindows(WIKIMEDIA, width=1.0)
    >>> edit = Event(7.2, 7.0, 7.2, "edits", "a", ("enwiki", "en", "article", "bot", "edit"), (40.0,))
    >>> [(w.start, w.count, str(w.quality)) for w in windows.push(Batch(9.5, 9.5, events=(edit,)))]
    [(7.0, 1, 'partial'), (8.0, 0, 'ok')]
    """

    def __init__(self, feed: Feed, width: float = 1.0) -> None:
        self.feed = feed
        self.width = width
        self._frontier: int | None = None  # first window not told yet
        self._first: int | None = None  # cut by the start of the stream; None until something came
        self._open: dict[str, dict[int, Fold]] = {series: {} for series in feed.series}
        self._dropped: dict[tuple[str, int], int] = {}
        self._marks: list[Mark] = []
        self._gaps: list[tuple[int, int]] = []  # told as gap, as [first, last]
        self._revised: dict[tuple[str, int], _Revision] = {}

    def push(self, batch: Batch) -> list[Window]:
        """Take in a batch and return the windows that its watermark closes, revisions first."""
        self._marks.extend(batch.marks)
        for loss in batch.dropped:
            self._drop(loss.series, self._index(loss.time), loss.count)
        self._place(batch.events)
        reached = self._index(batch.watermark)
        if self._frontier is not None and reached <= self._frontier:
            return []
        told: list[Window] = []
        if self._first is not None:
            if batch.status is Status.LIVE:
                told.extend(self._revisions())
            told.extend(self._close(reached))
        self._frontier = reached
        self._marks = [mark for mark in self._marks if mark.end > reached * self.width]
        return told

    def flush(self) -> list[Window]:
        """Tell what is still open and holds something, as ``partial``: the stream stops here for now.

        Nothing is closed; should the stream go on, these windows are told again.
        """
        told = list(self._revisions())
        for index in sorted(self._held()):
            for series, folds in self._open.items():
                fold = folds[index].copy() if index in folds else Fold(self.feed)
                dropped = self._dropped.get((series, index), 0)
                told.append(self._window(series, index, fold, dropped, Quality.PARTIAL))
        return told

    def _index(self, time: float) -> int:
        return window_index(time, self.width)

    def _place(self, events: Iterable[Event]) -> None:
        series, opens, ends = "", math.inf, -math.inf
        fold: Fold | None = None
        add = list[Event]().append
        for event in events:
            time = event.time
            # most events follow another of the same open window
            if not opens <= time < ends or event.series != series:
                if fold:
                    fold.settle()
                series, index = event.series, self._index(time)
                fold = self._fold_for(series, index)
                opens, ends = index * self.width, (index + 1) * self.width
                if index < self._start(index):
                    opens = math.inf  # late ones are counted one by one
                add = fold.pending.append
            add(event)
        if fold:
            fold.settle()

    def _fold_for(self, series: str, index: int) -> Fold:
        """Where an event of window `index` is to be counted; counts it as late if that is another window."""
        frontier = self._start(index)
        folds = self._folds_of(series)
        late = index < frontier
        if late and ((series, index) in self._revised or any(first <= index <= last for first, last in self._gaps)):
            revision = self._revised.setdefault((series, index), _Revision(Fold(self.feed, sampled=False)))
            revision.pending = True
            return revision.fold
        index = max(index, frontier)
        fold = folds.get(index)
        if fold is None:
            fold = folds[index] = Fold(self.feed)
        fold.late += late
        return fold

    def _drop(self, series: str, index: int, count: int) -> None:
        key = series, max(index, self._start(index))
        self._folds_of(series)
        self._dropped[key] = self._dropped.get(key, 0) + count

    def _start(self, index: int) -> int:
        """Return the frontier, which the first event or loss sets unless a watermark did before."""
        if self._frontier is None:
            self._frontier = index
        if self._first is None:
            self._first = self._frontier = max(index, self._frontier)
        return self._frontier

    def _folds_of(self, series: str) -> dict[int, Fold]:
        if series not in self._open:
            self._open[series] = {}
            self._open = dict(sorted(self._open.items()))
        return self._open[series]

    def _revisions(self) -> Iterator[Window]:
        pending = [key for key, revision in self._revised.items() if revision.pending]
        for series, index in sorted(pending):
            revision = self._revised[series, index]
            revision.pending = False
            revision.revision += 1
            yield self._window(
                series, index, revision.fold.copy(), revision.dropped, Quality.REVISED, revision.revision
            )

    def _close(self, reached: int) -> Iterator[Window]:
        assert self._frontier is not None
        index = self._frontier
        while index < reached:
            mark = self._mark_of(index)
            if mark is Quality.GAP and index not in self._held():
                index = yield from self._close_gap(index, reached)
                continue
            for series, folds in self._open.items():
                fold = folds.pop(index, None)
                dropped = self._dropped.pop((series, index), 0)
                quality = mark
                if mark is Quality.GAP or dropped or index == self._first:
                    quality = Quality.PARTIAL
                fold = fold or Fold(self.feed)
                if mark is Quality.GAP:  # what comes for it after all belongs to it, as in the gap
                    self._revised[series, index] = _Revision(fold.copy(sampled=False), dropped)
                yield self._window(series, index, fold, dropped, quality)
            index += 1

    def _close_gap(self, index: int, reached: int) -> Generator[Window, None, int]:
        """Tell empty windows of a gap and return the first index after it.

        Of a gap longer than 3,600 windows only the ends are told; :meth:`gap_around` knows all of it.
        """
        after = self._gap_end(index, reached)
        self._remember_gap(index, after - 1)
        head = min(after, index + _LONGEST_GAP)
        for at in (*range(index, head), *range(max(head, after - 1), after)):
            for series in self._open:
                yield self._window(series, at, Fold(self.feed), 0, Quality.GAP)
        return after

    def _gap_end(self, index: int, reached: int) -> int:
        """First index after `index`, at most `reached`, that is not in a gap or holds something."""
        limit = min([reached, *(held for held in self._held() if held > index)])
        end = index
        while end < limit:
            gaps = [mark.end for mark in self._marks if mark.quality is Quality.GAP and self._touches(mark, end)]
            if not gaps:
                break
            last = self._index(max(gaps))
            end = last if last * self.width >= max(gaps) else last + 1
        return min(end, limit)

    def _held(self) -> set[int]:
        """Windows that events came for, or that lost some."""
        return {index for folds in self._open.values() for index in folds} | {index for _, index in self._dropped}

    def gap_around(self, start: float) -> Mark:
        """Return all of the gap so far that a window told as ``gap`` belongs to."""
        index = self._index(start)
        first, last = next((gap for gap in reversed(self._gaps) if gap[0] <= index <= gap[1]), (index, index))
        return Mark(first * self.width, (last + 1) * self.width, Quality.GAP)

    def _remember_gap(self, first: int, last: int) -> None:
        if self._gaps and self._gaps[-1][1] == first - 1:
            first = self._gaps.pop()[0]
        self._gaps.append((first, last))
        if len(self._gaps) > _GAPS_KEPT:
            forgotten = self._gaps.pop(0)[1]
            self._revised = {key: held for key, held in self._revised.items() if key[1] > forgotten or held.pending}

    def _touches(self, mark: Mark, index: int) -> bool:
        return mark.start < (index + 1) * self.width and mark.end > index * self.width

    def _mark_of(self, index: int) -> Quality:
        found = {mark.quality for mark in self._marks if self._touches(mark, index)}
        return next((quality for quality in _WORST_FIRST if quality in found), Quality.OK)

    def _window(self, series: str, index: int, fold: Fold, dropped: int, quality: Quality, revision: int = 0) -> Window:
        return Window(
            series=series,
            start=index * self.width,
            width=self.width,
            count=fold.count,
            features=fold.features(self.width),
            dimension_counts=fold.dimension_counts(),
            late=fold.late,
            dropped=dropped,
            quality=quality,
            revision=revision,
            samples=fold.samples(),
        )

    def snapshot(self) -> WindowsState:
        """Everything needed to go on after the last batch."""
        return WindowsState(
            width=self.width,
            frontier=self._frontier,
            first=self._first,
            open=tuple(
                (series, tuple((index, fold.snapshot()) for index, fold in sorted(folds.items())))
                for series, folds in self._open.items()
            ),
            dropped=tuple((series, index, count) for (series, index), count in self._dropped.items()),
            marks=tuple(self._marks),
            gaps=tuple(self._gaps),
            revised=tuple(
                (series, index, held.dropped, held.revision, held.pending, held.fold.snapshot())
                for (series, index), held in self._revised.items()
            ),
        )

    def restore(self, state: WindowsState) -> None:
        """Go on from a snapshot taken with the same feed and width."""
        self._frontier, self._first = state.frontier, state.first
        self._open = {
            series: {index: Fold.restore(self.feed, fold) for index, fold in folds} for series, folds in state.open
        }
        self._dropped = {(series, index): count for series, index, count in state.dropped}
        self._marks = list(state.marks)
        self._gaps = list(state.gaps)
        self._revised = {}
        for series, index, dropped, revision, pending, fold in state.revised:
            held = _Revision(Fold.restore(self.feed, fold), dropped, revision)
            held.pending = pending
            self._revised[series, index] = held
