"""The graph: same batches in, same findings out, however they are cut, stopped and started."""

from __future__ import annotations

import gc
import weakref
from typing import Self

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import WIDTHS, cuts, streams
from streamz.core import Stream
from streamz.sinks import _global_sinks

from tracewave_panel import codec
from tracewave_panel.core.analyzer import AnalyzerSettings
from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.core.detectors.half_space_trees import HalfSpaceTrees, TreesSettings
from tracewave_panel.core.detectors.novelty import Novelty, NoveltySettings
from tracewave_panel.core.detectors.seasonal import Seasonal, SeasonalSettings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.core.ensemble import EnsembleSettings
from tracewave_panel.core.episodes import EpisodeSettings
from tracewave_panel.core.lane import LaneSettings
from tracewave_panel.errors import StateError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import AnomalyKind, Batch, Dropped, Event, Findings, Mark, Quality, Status
from tracewave_panel.pipeline import Pipeline, PipelineSettings, _checksum


def one_span(span: int, gap: int, memory: float) -> DeviationSettings:
    return DeviationSettings((span,), (gap,), (memory,), rises=(1.0,), falls=(1.0,), warm_up=4, patience=5)


DETECTORS = {
    "zscore": (ZScore, one_span(1, gap=1, memory=10.0)),
    "ewma": (EwmaChart, one_span(3, gap=2, memory=5.0)),
    "trees": (HalfSpaceTrees, TreesSettings(trees=2, height=3, window=4, warm_up=8)),
    "novelty": (Novelty, NoveltySettings(aggregate=2, length=1, memory=8, warm_up=3)),
    "seasonal": (
        Seasonal,
        SeasonalSettings(slot=600.0, smooth=1, spans=(2,), memory=5.0, settle=5.0, days=0.0, warm_up=4),
    ),
}
EAGER = EnsembleSettings(
    rule="agreement", minimum_confidence=0.1, strong_single=0.5
)  # so that short streams have episodes


def eager(width: float = 1.0, **more) -> PipelineSettings:
    lanes = LaneSettings(more.pop("detectors", DETECTORS), width=width, ensemble=EAGER, quiet=3)
    analyzer = AnalyzerSettings(lanes, **({"acceptance": 6} | more))
    return PipelineSettings(analyzer, EpisodeSettings(quiet=3, acceptance=6), width)


class Run:
    """A pipeline with a list as its sink."""

    def __init__(self, settings: PipelineSettings | None = None, feed=WIKIMEDIA) -> None:
        self.findings: list[Findings] = []
        self.pipeline = Pipeline(feed, settings or eager(), {"list": self.findings.append})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pipeline.close()

    def emit(self, batches) -> Run:
        for batch in batches:
            self.pipeline.emit(batch)
        return self

    @property
    def analyses(self):
        return [analysis for findings in self.findings for analysis in findings.analyses]

    @property
    def anomalies(self):
        return [anomaly for findings in self.findings for anomaly in findings.anomalies]

    def digest(self) -> str:
        digest = codec.Digest()
        for analysis in self.analyses:
            digest.add(analysis)
        return digest.hexdigest()


def edit(moment: float, wiki: str = "enwiki") -> Event:
    return Event(moment, moment, moment, "edits", "1", (wiki, "en", "article", "bot", "edit"), (1.0,))


def second(number: int, count: int = 3, **more) -> Batch:
    events = tuple(edit(number + i / (count + 1)) for i in range(count))
    return Batch(number + 1.0, number + 1.0, events=events, **more)


def ordinary(seconds: int, first: int = 0) -> list[Batch]:
    return [second(number, 3 + number % 3) for number in range(first, first + seconds)]


@given(st.data(), WIDTHS)
@settings(max_examples=50, deadline=None)
def test_any_cut_between_watermarks_gives_the_same_digest_and_anomalies(data, width):
    stream = data.draw(streams(width))
    with Run(eager(width)) as whole, Run(eager(width)) as cut:
        whole.emit(stream)
        cut.emit(data.draw(cuts(stream)))
        assert cut.digest() == whole.digest()
        assert codec.pack(cut.anomalies) == codec.pack(whole.anomalies)
        assert cut.pipeline.snapshot() == whole.pipeline.snapshot()


@given(st.data(), WIDTHS)
@settings(max_examples=50, deadline=None)
def test_state_at_every_point_gives_the_same_continuation_byte_for_byte(data, width):
    with Run(eager(width)) as whole:
        saved = whole.pipeline.snapshot()
        for batch in data.draw(streams(width)):
            with Run(eager(width)) as restored:
                restored.pipeline.restore(saved)
                whole.findings.clear()
                assert restored.emit([batch]).digest() == whole.emit([batch]).digest()
                assert codec.pack(restored.findings) == codec.pack(whole.findings)
                saved = restored.pipeline.snapshot()
                assert saved == whole.pipeline.snapshot()


def test_full_size_detectors_go_on_from_a_state():
    detectors = {name: (kind, kind.defaults) for name, (kind, _) in DETECTORS.items()}
    stream = ordinary(1100)
    with Run(eager(detectors=detectors)) as whole, Run(eager(detectors=detectors)) as restored:
        whole.emit(stream[:1050])
        restored.pipeline.restore(whole.pipeline.snapshot())
        whole.findings.clear()
        surge = [second(number, 90) for number in range(1100, 1120)]
        assert restored.emit(stream[1050:] + surge).digest() == whole.emit(stream[1050:] + surge).digest()
        assert any(analysis.alerting for analysis in whole.analyses)
        warm = [score.detector for score in whole.analyses[-1].scores if score.warm]
        assert warm == ["zscore", "ewma", "trees"]  # the others learn for an hour and for three days


def test_recorded_batches_give_the_digest_of_the_live_run():
    stream = [*ordinary(30), second(30, 40), second(31, 40), *ordinary(20, 32)]
    with Run() as live, Run() as replay:
        live.emit(stream)
        replay.emit(codec.decode_batch(codec.to_json(batch)) for batch in stream)
        assert replay.digest() == live.digest()
        assert live.anomalies


def test_digest_tells_one_late_event_apart():
    stream = ordinary(20)
    with Run() as one, Run() as other:
        late = msgspec.structs.replace(stream[10], events=(*stream[10].events, edit(3.0)))
        assert one.emit(stream).digest() != other.emit([*stream[:10], late, *stream[11:]]).digest()


def test_findings_carry_the_batch_and_count_what_was_wrong_with_it():
    with Run() as run:
        run.emit(ordinary(3))
        batch = Batch(
            9.0,
            5.0,
            Status.CATCH_UP,
            events=(edit(4.5), edit(1.0)),
            dropped=(Dropped("edits", 4.0, 7),),
            undecodable=2,
            duplicates=3,
        )
        run.emit([batch])
        found = run.findings[-1]
        assert (found.arrived_at, found.watermark, found.status) == (9.0, 5.0, Status.CATCH_UP)
        assert found.events == batch.events
        assert (found.late, found.dropped, found.undecodable, found.duplicates) == (1, 7, 2, 3)
        assert [analysis.window.start for analysis in found.analyses] == [3.0, 4.0]


def test_silent_feed_is_one_gap_and_one_card_with_two_tellings():
    with Run() as run:
        run.emit(ordinary(10))
        for number in range(10, 50):
            run.emit([Batch(number + 1.0, number + 1.0, Status.GAP, marks=(Mark(number, number + 1.0, Quality.GAP),))])
        run.emit(ordinary(5, 50))
        gaps = [gap for findings in run.findings for gap in findings.gaps]
        assert gaps[0] == Mark(10.0, 11.0, Quality.GAP)
        assert gaps[-1] == Mark(10.0, 50.0, Quality.GAP)
        assert {gap.start for gap in gaps} == {10.0}
        silent = [a for a in run.anomalies if a.kind is AnomalyKind.FEED_SILENT]
        assert [(a.opened, a.closed) for a in silent] == [(10.0, None), (10.0, 50.0)]


@pytest.mark.parametrize("hours", [8, 24 * 365])
def test_gap_of_any_length_is_recorded_whole(hours):
    end = 10.0 + hours * 3600
    with Run() as run:
        run.emit(ordinary(10))
        run.emit([Batch(end, end, Status.GAP, marks=(Mark(10.0, end, Quality.GAP),))])
        assert run.findings[-1].gaps == (Mark(10.0, end, Quality.GAP),)
        assert len(run.findings[-1].analyses) < 4000
        run.emit(ordinary(3, int(end)))
        assert [(a.opened, a.closed) for a in run.anomalies if a.closed] == [(10.0, end)]


def test_two_gaps_in_one_batch_are_two():
    with Run() as run:
        run.emit(ordinary(10))
        run.emit([Batch(20.0, 20.0, marks=(Mark(10.0, 13.0, Quality.GAP), Mark(15.0, 18.0, Quality.GAP)))])
        assert [(gap.start, gap.end) for gap in run.findings[-1].gaps] == [(10.0, 13.0), (15.0, 18.0)]


def test_flush_tells_the_open_window_and_learns_nothing():
    with Run() as run:
        run.emit([*ordinary(10), Batch(10.2, 10.2, events=(edit(10.1),))])
        before = run.pipeline.snapshot()
        run.pipeline.flush(Batch(10.3, 10.2, position=b"7"))
        (analysis,) = run.findings[-1].analyses
        assert (analysis.window.start, analysis.window.count, analysis.window.quality) == (10.0, 1, Quality.PARTIAL)
        assert (run.findings[-1].events, analysis.scores) == ((), ())
        assert run.pipeline.snapshot() == before


def test_flush_tells_pending_revisions_so_that_no_event_is_lost():
    with Run() as run:
        run.emit([*ordinary(5), Batch(9.0, 9.0, Status.GAP, marks=(Mark(5.0, 9.0, Quality.GAP),))])
        run.emit([Batch(9.0, 9.0, Status.CATCH_UP, events=(edit(6.0),))])
        run.pipeline.flush(Batch(9.0, 9.0, Status.CATCH_UP))
        assert [(a.window.start, a.window.count, a.window.revision) for a in run.findings[-1].analyses] == [(6.0, 1, 1)]


# ------------------------------------------------------------------ State


def test_open_episode_goes_on_under_its_id_after_a_state():
    with Run() as before, Run() as after:
        before.emit([*ordinary(12), second(12, 60)])
        after.pipeline.restore(before.pipeline.snapshot())
        after.emit(ordinary(10, 13))
        opened, closed = before.anomalies[-1], after.anomalies[-1]
        assert closed.id == opened.id
        assert (opened.closed is None, closed.closed is None) == (True, False)


@pytest.fixture(scope="module")
def saved() -> bytes:
    with Run() as run:
        run.emit([*ordinary(12), second(12, 40), Batch(15.0, 15.0, marks=(Mark(13.0, 15.0, Quality.GAP),))])
        run.emit([Batch(15.0, 15.0, Status.CATCH_UP, events=(edit(13.5), edit(15.2)))])
        return run.pipeline.snapshot()


def refused(state: bytes, settings: PipelineSettings | None = None, feed=WIKIMEDIA) -> str:
    with Run(settings, feed) as run:
        before = run.pipeline.snapshot()
        with pytest.raises(StateError) as caught:
            run.pipeline.restore(state)
        assert run.pipeline.snapshot() == before
        return str(caught.value)


def test_state_of_another_width_or_feed_is_refused_with_both_values(saved):
    assert "window width 1.0, this run has 60.0" in refused(saved, eager(60.0))
    assert "feed wikimedia, this run has trades" in refused(
        saved, feed=msgspec.structs.replace(WIKIMEDIA, name="trades")
    )


def test_state_of_another_version_is_refused_before_it_is_read(saved):
    later = codec.pack({"version": 99, "feed": "wikimedia", "something": "else"})
    assert "version 99, this run has 2" in refused(_checksum(later) + later)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_state_is_refused_and_nothing_else_happens(saved, data):
    at = data.draw(st.integers(0, len(saved) - 1))
    kind = data.draw(st.sampled_from(["flipped", "cut", "zeroed", "grown", "swapped"]))
    damaged = {
        "flipped": saved[:at] + bytes([saved[at] ^ data.draw(st.integers(1, 255))]) + saved[at + 1 :],
        "cut": saved[:at],
        "zeroed": saved[:at] + bytes(len(saved) - at),
        "grown": saved + data.draw(st.binary(min_size=1, max_size=9)),
        "swapped": saved[at:] + saved[:at],
    }[kind]
    if damaged != saved:
        assert "damaged" in refused(damaged)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_bytes_that_are_no_state_are_refused(noise):
    refused(noise)


def test_learned_part_of_a_state_warms_a_stream_elsewhere_in_time(saved):
    with Run() as run:
        run.pipeline.restore(saved, learned_only=True)
        run.emit(ordinary(3, 1_000_000))
        assert [analysis.window.start for analysis in run.analyses] == [1_000_000.0, 1_000_001.0, 1_000_002.0]
        assert all(score.warm for score in run.analyses[1].scores)


# ------------------------------------------------------------------ sinks


def test_failing_sink_is_counted_and_starves_no_other(caplog):
    seen: list[Findings] = []

    def failing(_: Findings) -> None:
        raise OSError("disk full")

    pipeline = Pipeline(WIKIMEDIA, eager(), {"broken": failing, "list": seen.append})
    for batch in ordinary(3):
        pipeline.emit(batch)
    pipeline.close()
    assert pipeline.failures == {"broken": 3, "list": 0}
    assert len(seen) == 3
    assert "the broken could not take findings up to watermark 1.0" in caplog.text


def test_pipeline_without_sinks_still_keeps_its_state():
    pipeline = Pipeline(WIKIMEDIA, eager(), {})
    with Run() as run:
        for batch in ordinary(10):
            pipeline.emit(batch)
        assert pipeline.snapshot() == run.emit(ordinary(10)).pipeline.snapshot()
    pipeline.close()


def test_closed_pipeline_leaves_nothing_behind_in_streamz():
    before = set(_global_sinks)
    run = Run()
    assert len(_global_sinks) == len(before) + 1
    run.pipeline.close()
    assert set(_global_sinks) == before
    gone = weakref.ref(run.pipeline._source)
    assert isinstance(gone(), Stream)
    del run
    gc.collect()
    assert gone() is None
