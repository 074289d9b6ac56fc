"""The streamz graph, on one page; nothing else in Tracewave knows streamz.

::

    Batch ── fold ── Windows ── judge ── Findings ──┬── sink
                                                    └── sink

The graph has no event loop: `emit` returns when every sink has had the findings.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from streamz import Stream

from tracewave_panel import codec
from tracewave_panel.core.analyzer import Analyzer, AnalyzerSettings, AnalyzerState
from tracewave_panel.core.episodes import Episodes, EpisodeSettings, EpisodesState
from tracewave_panel.core.windows import TumblingWindows, WindowsState
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Batch, Findings, Quality, Window

__all__ = ["Pipeline", "PipelineSettings"]

STATE_VERSION = 2
_CHECKSUM_SIZE = 16
Sink = Callable[[Findings], None]
logger = logging.getLogger(__name__)


class PipelineSettings(msgspec.Struct, frozen=True):
    """What a pipeline is made of; `width` in seconds."""

    analyzer: AnalyzerSettings
    episodes: EpisodeSettings = EpisodeSettings()
    width: float = 1.0


class PipelineState(msgspec.Struct, frozen=True):
    """Everything between two batches."""

    version: int
    feed: str
    windows: WindowsState
    analyzer: AnalyzerState
    episodes: EpisodesState


class _Header(msgspec.Struct, frozen=True):
    """What every version of a State begins with."""

    version: int


class Pipeline:
    """Batches in, findings out to every sink.

    A sink that raises is counted in `failures` under its name and logged; the others go on.
    """

    def __init__(self, feed: Feed, settings: PipelineSettings, sinks: Mapping[str, Sink]) -> None:
        self.feed = feed
        self.failures = dict.fromkeys(sinks, 0)
        self._width = settings.width
        self._windows = TumblingWindows(feed, settings.width)
        self._analyzer = Analyzer(feed, settings.analyzer)
        self._episodes = Episodes(feed, settings.episodes)
        self._source: Any = Stream()
        self._findings: Any = self._source.map(self._fold).map(self._judge)
        self._sinks = [self._findings.sink(self._guarded(name, sink)) for name, sink in sinks.items()]

    def emit(self, batch: Batch) -> None:
        """Send a batch through the graph."""
        self._source.emit(batch)

    def flush(self, batch: Batch) -> None:
        """Tell what is still open, as ``partial``, to the sinks; nothing is learned from it."""
        rest = Batch(batch.arrived_at, batch.watermark, batch.status)
        self._findings.emit(self._judge((rest, self._windows.flush())))

    def warm(self, windows: Iterable[Window]) -> int:
        """Let the detectors learn windows of the past, oldest first; nothing is told.

        Returns
        -------
        int
            How many were learned: those that are judged.
        """
        learned = 0
        for window in windows:
            if window.quality.judged:
                self._analyzer.learn(window)
                learned += 1
        return learned

    def _fold(self, batch: Batch) -> tuple[Batch, list[Window]]:
        return batch, self._windows.push(batch)

    def _judge(self, folded: tuple[Batch, list[Window]]) -> Findings:
        batch, windows = folded
        analyses: list[Analysis] = []
        for window in windows:
            analyses.extend(self._analyzer.analyze(window))
        anomalies: list[Anomaly] = []
        for analysis in analyses:
            anomalies.extend(self._episodes.follow(analysis))
        gaps = [self._windows.gap_around(window.start) for window in windows if window.quality is Quality.GAP]
        return Findings(
            arrived_at=batch.arrived_at,
            watermark=batch.watermark,
            status=batch.status,
            analyses=tuple(analyses),
            anomalies=tuple(anomalies),
            gaps=tuple(dict.fromkeys(gaps)),
            events=batch.events,
            late=sum(window.late for window in windows if not window.revision),  # a revision repeats both
            dropped=sum(window.dropped for window in windows if not window.revision),
            undecodable=batch.undecodable,
            duplicates=batch.duplicates,
        )

    def _guarded(self, name: str, sink: Sink) -> Sink:
        def guarded(findings: Findings) -> None:
            try:
                sink(findings)
            except Exception:
                self.failures[name] += 1
                logger.exception("the %s could not take findings up to watermark %s", name, findings.watermark)

        return guarded

    def snapshot(self) -> bytes:
        """The whole State, to go on from after the last batch; a checksum leads it."""
        packed = codec.pack(
            PipelineState(
                version=STATE_VERSION,
                feed=self.feed.name,
                windows=self._windows.snapshot(),
                analyzer=self._analyzer.snapshot(),
                episodes=self._episodes.snapshot(),
            )
        )
        return _checksum(packed) + packed

    def restore(self, saved: bytes, *, learned_only: bool = False) -> None:
        """Go on from a State; with `learned_only` take what was learned, not where it was.

        Raises
        ------
        StateError
            When the State is damaged, of another version, feed or window width.
        """
        packed = saved[_CHECKSUM_SIZE:]
        if _checksum(packed) != saved[:_CHECKSUM_SIZE]:
            raise StateError(f"the saved State ({len(saved)} bytes) is damaged; starting without it")
        _agree("version", codec.decode_packed(packed, _Header).version, STATE_VERSION)
        state = codec.decode_packed(packed, PipelineState)
        _agree("feed", state.feed, self.feed.name)
        _agree("window width", state.windows.width, self._width)
        self._analyzer.restore(state.analyzer)
        if not learned_only:
            self._windows.restore(state.windows)
            self._episodes.restore(state.episodes)

    @property
    def open_episodes(self) -> tuple[Anomaly, ...]:
        """Episodes that are open at this moment."""
        return self._episodes.open

    def close(self) -> None:
        """Take the graph apart; streamz keeps sinks alive until then."""
        for sink in self._sinks:
            sink.destroy()
        self._source.destroy()


def _checksum(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=_CHECKSUM_SIZE).digest()


def _agree(what: str, saved: object, wanted: object) -> None:
    if saved != wanted:
        raise StateError(f"the saved State has {what} {saved}, this run has {wanted}; starting without it")
