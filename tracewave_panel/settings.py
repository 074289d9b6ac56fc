"""Everything that can be set, by section, with defaults and the rules that values must keep."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from msgspec import Struct

from tracewave_panel.access import AccessSettings
from tracewave_panel.core.analyzer import AnalyzerSettings
from tracewave_panel.core.calibration import Reference
from tracewave_panel.core.detectors import DETECTORS, NEEDS
from tracewave_panel.core.detectors.deviation import DeviationSettings
from tracewave_panel.core.detectors.ewma import EwmaChart
from tracewave_panel.core.detectors.half_space_trees import TreesSettings
from tracewave_panel.core.detectors.novelty import NoveltySettings
from tracewave_panel.core.detectors.seasonal import SeasonalSettings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.core.ensemble import EnsembleSettings
from tracewave_panel.core.episodes import EpisodeSettings
from tracewave_panel.core.lane import LaneSettings
from tracewave_panel.core.own_history import OwnHistorySettings
from tracewave_panel.feeds import FEEDS
from tracewave_panel.notify.routes import NoticesSettings, RouteSettings
from tracewave_panel.pipeline import PipelineSettings
from tracewave_panel.references import load_reference, shipped_reference
from tracewave_panel.registry import resolve
from tracewave_panel.sources.synthetic_trades import TradesSettings
from tracewave_panel.sources.synthetic_traffic import SyntheticSettings
from tracewave_panel.sources.wikimedia import WikimediaSettings

__all__ = ["Settings"]

_SHORTEST_KEPT, _LONGEST_KEPT = 60.0, 3_153_600_000.0  # a minute, because minutes are rolled up whole; a century

logger = logging.getLogger(__name__)


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of settings that refuses unknown keys."""


class WindowSettings(_Strict, frozen=True):
    """`width` of the tumbling windows in seconds."""

    width: float = 1.0

    def __post_init__(self) -> None:
        """Refuse widths that make no window."""
        if not 0.1 <= self.width <= 86_400:
            msg = f"width must be from 0.1 to 86400 seconds, not {self.width}"
            raise ValueError(msg)


class DetectorsSettings(_Strict, frozen=True):
    """Which detectors run, in which order, and with what parameters."""

    enabled: tuple[str, ...] = tuple(DETECTORS)
    zscore: DeviationSettings = ZScore.defaults
    ewma: DeviationSettings = EwmaChart.defaults
    trees: TreesSettings = TreesSettings()
    novelty: NoveltySettings = NoveltySettings()
    seasonal: SeasonalSettings = SeasonalSettings()

    def __post_init__(self) -> None:
        """Refuse names that are no detectors, and none at all."""
        if not self.enabled:
            raise ValueError(f"at least one detector must run; there are {', '.join(DETECTORS)}")
        for name in self.enabled:
            if name not in DETECTORS:
                msg = f"no detector is called {name!r}; there are {', '.join(DETECTORS)}"
                raise ValueError(msg)


class CalibrationSettings(_Strict, frozen=True):
    """Where the chances of statistics come from.

    Attributes
    ----------
    reference
        File made by ``tracewave calibrate``; empty: what Tracewave ships.
    after
        Seconds after which a feed without a reference has seen enough to make its own.
    """

    reference: str = ""
    after: float = 86_400.0

    def __post_init__(self) -> None:
        """Refuse a history that is none."""
        if self.after <= 0:
            raise ValueError(f"after must be above 0 seconds, not {self.after}")

    def references(self, width: float) -> tuple[Reference, ...]:
        """Tables for windows of `width` seconds; raises ConfigError when the file named is no use."""
        if self.reference:
            return (load_reference(self.reference),)
        shipped = (shipped_reference(feed, width) for feed in FEEDS)
        return tuple(reference for reference in shipped if reference is not None)

    def own_history(self, width: float) -> OwnHistorySettings:
        """How a feed makes its own; a thousand windows are the least."""
        after = max(1000, round(self.after / width))
        return OwnHistorySettings(after=after, refit=max(250, after // 4))


class ExplainSettings(_Strict, frozen=True):
    """Memory of the explaining baselines in seconds, and the most windows an alarm is explained over."""

    memory: float = 1800.0
    windows: int = 60

    def __post_init__(self) -> None:
        """Refuse baselines that forget at once and alarms that last no window."""
        if self.memory <= 0 or self.windows < 1:
            raise ValueError("memory must be above 0 seconds, windows at least 1")


class BusSettings(_Strict, frozen=True):
    """Most events that wait between the feed and the graph."""

    capacity: int = 20_000

    def __post_init__(self) -> None:
        """Refuse a bus that holds nothing."""
        if self.capacity < 1:
            raise ValueError(f"capacity must be at least 1 event, not {self.capacity}")


class StoreSettings(_Strict, frozen=True):
    """How history is kept and used.

    Attributes
    ----------
    commit_interval
        Seconds between two commits.
    rolling
        Length of the rolling recording of live data, seconds.
    warm_start
        Windows of history that detectors learn from where there is no State; 0: none.
    keep_events
        Seconds for which raw events are kept; 0: they are not stored.
    keep_windows
        Seconds for which windows are kept, with metrics, scores, counts and contributions of each.
        Roll-ups, anomalies, labels and gaps stay for ever.
    """

    commit_interval: float = 1.0
    rolling: float = 1800.0
    warm_start: int = 300_000
    keep_events: float = 86_400.0
    keep_windows: float = 7_776_000.0

    def __post_init__(self) -> None:
        """Refuse times that run backwards."""
        if self.commit_interval <= 0 or self.rolling <= 0:
            raise ValueError("commit_interval and rolling must be above 0 seconds")
        if self.warm_start < 0:
            raise ValueError(f"warm_start must not be negative, not {self.warm_start}")
        if not 0 <= self.keep_events <= _LONGEST_KEPT:
            raise ValueError(f"keep_events must be from 0 to {_LONGEST_KEPT:,.0f} seconds, not {self.keep_events}")
        if not _SHORTEST_KEPT <= self.keep_windows <= _LONGEST_KEPT:
            raise ValueError(
                f"keep_windows must be from {_SHORTEST_KEPT:,.0f} to {_LONGEST_KEPT:,.0f} seconds, "
                f"not {self.keep_windows}"
            )


class PageSettings(_Strict, frozen=True):
    """Most `sessions`, which are open pages, that a process shows at a time."""

    sessions: int = 100

    def __post_init__(self) -> None:
        """Refuse a server that shows no page."""
        if self.sessions < 1:
            raise ValueError(f"sessions must be at least 1 page, not {self.sessions}")


def _lacks_package(detector: str) -> bool:
    package = NEEDS.get(detector)
    if package is None or find_spec(package) is not None:
        return False
    logger.warning("%s is not installed, so %s does not take part: pip install %s", package, detector, package)
    return True


class Settings(_Strict, frozen=True):
    """All settings, by section."""

    window: WindowSettings = WindowSettings()
    detectors: DetectorsSettings = DetectorsSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    explain: ExplainSettings = ExplainSettings()
    bus: BusSettings = BusSettings()
    store: StoreSettings = StoreSettings()
    page: PageSettings = PageSettings()
    notices: NoticesSettings = NoticesSettings()
    notify: tuple[RouteSettings, ...] = ()
    access: AccessSettings = AccessSettings()
    wikimedia: WikimediaSettings = WikimediaSettings()
    synthetic: SyntheticSettings = SyntheticSettings()
    synthetic_trades: TradesSettings = TradesSettings()

    def pipeline(self) -> PipelineSettings:
        """What these settings say of the pipeline, with the detectors' classes found."""
        return PipelineSettings(
            analyzer=AnalyzerSettings(
                lanes=self.lanes(),
                baseline_memory=self.explain.memory,
                explained=self.explain.windows,
                acceptance=self.episodes.acceptance,
            ),
            episodes=self.episodes,
            width=self.window.width,
        )

    def lanes(self) -> LaneSettings:
        """What these settings say of each metric of each series; a detector whose package is missing is left out."""
        width = self.window.width
        enabled = [name for name in self.detectors.enabled if not _lacks_package(name)]
        return LaneSettings(
            detectors={name: (resolve(DETECTORS, name), getattr(self.detectors, name)) for name in enabled},
            width=width,
            ensemble=self.ensemble,
            references=self.calibration.references(width),
            own_history=self.calibration.own_history(width),
            quiet=self.episodes.quiet,
        )
