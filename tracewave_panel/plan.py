"""What to run: from the words of ``--source`` to a source, its State and where its history goes."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import msgspec

from tracewave_panel.config import Settings
from tracewave_panel.errors import ConfigError, FeedError
from tracewave_panel.feeds import WIKIMEDIA, Feed
from tracewave_panel.model import Origin
from tracewave_panel.ports import Source
from tracewave_panel.sources import wikimedia
from tracewave_panel.sources.bundled import BUNDLED_NAME
from tracewave_panel.sources.feed_file import load_feed
from tracewave_panel.sources.own import OwnSource
from tracewave_panel.sources.own_file import OwnFile
from tracewave_panel.sources.own_sources import source_of
from tracewave_panel.sources.recording import state_beside
from tracewave_panel.sources.replay import RecordingSource
from tracewave_panel.sources.rolling_recording import newest
from tracewave_panel.sources.synthetic import SyntheticSource

__all__ = ["BUNDLED", "Plan", "Planner"]

_INSTALLED = Path(__file__).parent / "recordings" / BUNDLED_NAME
BUNDLED = _INSTALLED if _INSTALLED.is_file() else Path(__file__).parents[1] / "recordings" / BUNDLED_NAME
PROBE_SECONDS = 4.0
RETRY_SECONDS = 20.0
logger = logging.getLogger(__name__)


class Plan(msgspec.Struct, frozen=True):
    """One run of the pipeline.

    Attributes
    ----------
    note
        Why this source, in words; empty when it is simply the one that was asked for.
    learned
        A State file whose detectors the run starts with, warm.
    fallback
        Whether to keep trying the live feed and go over to it when it answers.
    """

    feed: Feed
    source: Source
    note: str = ""
    learned: Path | None = None
    fallback: bool = False

    @property
    def live(self) -> bool:
        """Whether the events are happening now; only then buffers shed and a State is kept."""
        return self.source.origin is Origin.LIVE and not isinstance(self.source, RecordingSource)

    @property
    def sheds(self) -> bool:
        """Whether a full buffer sheds events: what is read on its own clock, as from a pipe, can wait."""
        return self.live and not (isinstance(self.source, OwnSource) and self.source.waits)

    @property
    def stays(self) -> bool:
        """Whether pages and history stay open when the events end: of a stream of one's own they may."""
        return isinstance(self.source, OwnSource | OwnFile)

    @property
    def name(self) -> str:
        """Short name of the source, by which its figures are known."""
        if isinstance(self.source, RecordingSource):
            return "recording"
        if self.stays:
            return "own"
        return "synthetic" if isinstance(self.source, SyntheticSource) else self.feed.name


class Planner:
    """Reads ``--source`` and decides, again each time it is asked, what to run.

    Parameters
    ----------
    spec
        ``auto``, ``wikimedia``, ``synthetic``, ``recording:PATH`` or ``own:FEED.toml``.
    speed
        Of recordings, whole files and synthetic feeds; None is as fast as possible.
    data
        Data folder, which may hold a rolling recording of real data.

    Attributes
    ----------
    feed
        What the feed is, known before it runs.

    Raises
    ------
    ConfigError
        When `spec` is none of these or names a file that cannot be opened, or the feed's settings cannot be used.
    RecordingError
        When it names a file that is no recording, or one of a feed that is not known.
    """

    def __init__(self, settings: Settings, spec: str, *, speed: float | None = 1.0, data: Path | None = None) -> None:
        self._settings = settings
        self._speed = speed
        self._data = data
        self._given: Source | None = None
        self._name, _, self._path = spec.partition(":")
        named = self._name in {"recording", "own"}
        if self._name not in {"auto", "wikimedia", "synthetic", "recording", "own"} or named != bool(self._path):
            raise ConfigError(f"--source {spec}: choose auto, wikimedia, synthetic, recording:PATH or own:FEED.toml")
        # a file that is no recording, a setting that cannot be used: said before anything starts
        self.feed: Feed = WIKIMEDIA
        if self._name == "recording":
            self.feed = RecordingSource(self._path).feed
        elif self._name == "own":
            self.feed = self._own().feed
        elif self._name != "synthetic":
            self._live()

    @classmethod
    def of_source(cls, settings: Settings, source: Source, feed: Feed) -> Planner:
        """A planner that runs one source, which was made already, once."""
        planner = cls(settings, "synthetic")
        planner._given, planner.feed = source, feed
        return planner

    async def choose(self) -> Plan:
        """Decide what to run now; may take some seconds to try the live feed."""
        if self._given is not None:
            return Plan(self.feed, self._given)
        if self._name == "own":
            return self._own()
        if self._name == "synthetic":
            source = SyntheticSource(msgspec.structs.replace(self._settings.synthetic, speed=self._speed))
            return Plan(WIKIMEDIA, source, learned=_state_of(BUNDLED))
        if self._name == "recording":
            return self._replay(Path(self._path))
        if self._name == "wikimedia":
            return self._live()
        reason = await self.unreachable()
        return self._fall_back(reason) if reason else self._live()

    async def unreachable(self) -> str | None:
        """Why the live feed cannot be had at this moment, or None when it can."""
        return await wikimedia.probe(self._settings.wikimedia, PROBE_SECONDS)

    def _own(self) -> Plan:
        described = load_feed(self._path)
        return Plan(described.mapping.feed, source_of(described, speed=self._speed))

    def _live(self) -> Plan:
        return Plan(WIKIMEDIA, wikimedia.WikimediaSource(self._settings.wikimedia))

    def _fall_back(self, reason: str) -> Plan:
        rolling = self._data / "rolling" if self._data else None
        for path in (rolling, BUNDLED) if rolling and newest(rolling) else (BUNDLED,):
            try:
                plan = self._replay(path)
                if plan.feed != self.feed:
                    raise ConfigError(f"it is of {plan.feed.title}, not of {self.feed.title}")  # noqa: TRY301
            except (ConfigError, FeedError) as error:
                logger.warning("cannot fall back to %s: %s", path, error)
                continue
            what = "the bundled simulation" if path == BUNDLED else "the newest real recording"
            note = f"This is {what}, not the live feed, which is tried again every {RETRY_SECONDS:g} s: {reason}"
            return msgspec.structs.replace(plan, fallback=True, note=note)
        raise FeedError(f"the live feed cannot be reached ({reason}), and there is no recording to show instead")

    def _replay(self, path: Path) -> Plan:
        source = RecordingSource(
            path, speed=self._speed, loop=True, rebase_to=time.time(), step=self._settings.window.width
        )
        return Plan(source.feed, source, learned=_state_of(path))


def _state_of(recording: Path) -> Path | None:
    state = state_beside(recording)
    return state if state.is_file() else None
