"""What a notebook holds of a running pipeline: its page in a cell, and what the page shows as tables."""

from __future__ import annotations

import math
import weakref
from collections.abc import AsyncIterable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from tracewave_panel.app.pages import PAGES
from tracewave_panel.config import Settings
from tracewave_panel.errors import ConfigError
from tracewave_panel.plan import Planner
from tracewave_panel.ports import Store
from tracewave_panel.runtime import Runtime
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_sources import iterable_source

from .collected import Collected, read_all
from .explanation import Explanation
from .frame import Frame, Place, Theme
from .replaying import settings_of
from .run import Run
from .running import Running

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LiveView", "live"]

_MOST_EVENTS = 100_000


def live(
    source: str | AsyncIterable[Any] | Callable[[], AsyncIterable[Any]] = "synthetic",
    *,
    mapping: Mapping | None = None,
    speed: float | None = 1.0,
    height: int = 960,
    data: str | Path | None = None,
    settings: Settings | Sequence[str] | None = None,
    page: str = "live",
    theme: Theme = "auto",
    port: int = 0,
    url: str | None = None,
    origins: Sequence[str] = (),
) -> LiveView:
    """Start a pipeline and show its page in a notebook's cell.

    Each call gives a view of its own. The page listens on this machine's loopback address alone; it asks for no
    password, so whoever can open that address can read it. It is no process of its own: it ends with the kernel,
    and a cell that computes without letting other threads run delays it. Where the browser is on another machine
    than the kernel, the page needs a proxy such as jupyter-server-proxy, and `url` or `origins`.

    Parameters
    ----------
    source
        ``auto``, ``wikimedia``, ``synthetic``, ``recording:PATH`` or ``own:FEED.toml``, as for ``tracewave serve``.
        With a `mapping` an async iterable of dicts, or what makes one: it is read on the event loop of the pipeline.
    mapping
        What the fields of an iterable's rows mean.
    speed
        Of recordings and synthetic feeds; None is as fast as possible.
    height
        Of the cell's frame, in pixels.
    data
        Folder to keep history in; None keeps everything in memory.
    settings
        All of them, or changes such as ``["window.width=2"]`` to what ``tracewave.toml`` and the environment say.
    page
        Where the frame begins: ``live``, ``explore``, ``tune``, ``replay``, ``lab`` or ``health``.
    theme
        ``auto`` takes the notebook's.
    port
        Where to listen; 0 takes a free one.
    url
        Address of the port for browsers, such as ``https://hub.example.org/user/me/proxy/{port}/``. Behind
        JupyterHub the path is known already.
    origins
        ``host`` or ``host:port`` of the site that the notebook is on, when a proxy is in between.

    Returns
    -------
    LiveView
        Running.

    Raises
    ------
    ConfigError
        When an argument cannot be used; nothing runs then.
    PortInUseError
        When another program listens on the port.
    RecordingError
        When the file named is no recording.

    Examples
    --------
    >>> view = live("synthetic")
    >>> view
    Tracewave, synthetic: running at http://127.0.0.1:.../ until .stop()
    >>> view.windows.columns[:4].tolist()
    ['observed', 'expected', 'spread', 'zscore']
    >>> view.stop()
    >>> view
    Tracewave, synthetic: stopped
    """
    _check(speed=speed, height=height, page=page, theme=theme, port=port)
    place = Place.of(url, origins)
    settings = settings_of(settings)
    folder = None if data is None else Path(data)
    planner, name = _planner(settings, source, mapping, speed, folder)
    running = Running(Runtime(settings, planner, data=folder), port, place.origins)
    address = place.address(running.begin(), page)
    return LiveView(running, name, settings.detectors.enabled, Frame(address, height, theme))


class LiveView:
    """A running pipeline and its page, which a notebook shows in the cell. Made by :func:`live`.

    A context manager. It stops by itself when nobody refers to it any more, and with the kernel.
    """

    def __init__(self, running: Running, source: str, detectors: Sequence[str], frame: Frame) -> None:
        self._running = running
        self._source = source
        self._detectors = tuple(detectors)
        self._frame = frame
        # whoever collects garbage must not wait for threads, and may be one of them
        weakref.finalize(self, running.end_beside).atexit = False

    @property
    def url(self) -> str:
        """Address of the whole page, for a tab of the browser."""
        return self._frame.address

    @property
    def store(self) -> Store:
        """What the page reads; it can be read after :meth:`stop` too."""
        return self._running.runtime.store

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self._running.ended

    @property
    def run(self) -> Run:
        """What is in memory at this moment, about the last quarter of an hour, as a run that does not change."""
        collected = Collected(self._running.console.feed, self._detectors, most_events=_MOST_EVENTS)
        analyses, _ = read_all(self.store.analyses)
        anomalies, _ = read_all(self.store.anomalies)
        events, missed = read_all(self.store.events)
        collected.add(analyses, anomalies, self.store.gaps(), events, missed)
        return Run(collected, f"{self._source}, what is in memory of it")

    @property
    def windows(self) -> pd.DataFrame:
        """Windows in memory of the first metric of the first series; see :attr:`Run.windows`."""
        return self.run.windows

    @property
    def scores(self) -> pd.DataFrame:
        """Each detector's word on the windows in memory, a row each; see :attr:`Run.scores`."""
        return self.run.scores

    @property
    def anomalies(self) -> pd.DataFrame:
        """Episodes in memory, the newest first, each as it was told last; see :attr:`Run.anomalies`."""
        return self.run.anomalies

    @property
    def events(self) -> pd.DataFrame:
        """The newest raw events in memory; see :attr:`Run.events`."""
        return self.run.events

    def plot(self, start: Any = None, end: Any = None, *, theme: Theme = "auto") -> Any:
        """Plot the windows in memory as they are now; see :meth:`Run.plot`."""
        return self.run.plot(start, end, theme=theme)

    def explain(self, anomaly_id: str) -> Explanation:
        """Why an anomaly was told; see :meth:`Run.explain`."""
        return self.run.explain(anomaly_id)

    def stop(self) -> None:
        """End feed, page and threads, with what was seen committed. Doing it again does nothing.

        Raises
        ------
        StoreError
            When the feed's thread does not end in time.
        """
        self._running.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self.stopped else f"running at {self.url} until .stop()"
        return f"Tracewave, {self._source}: {state}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """The page in a frame for a notebook, words for a terminal."""
        words = {"text/plain": repr(self)}
        return words if self.stopped else {**words, "text/html": self._frame.html()}


def _planner(
    settings: Settings, source: Any, mapping: Mapping | None, speed: float | None, data: Path | None
) -> tuple[Planner, str]:
    """What is to run, and its name."""
    if isinstance(source, str):
        if mapping is not None:
            raise ConfigError(f"a mapping says what rows mean, and {source!r} is none; give an async iterable of dicts")
        return Planner(settings, source, speed=speed, data=data), source
    if mapping is None:
        raise ConfigError(
            f"a {type(source).__name__} needs a mapping that says what its fields mean, as in "
            "live(rows, mapping=Mapping(dimensions=['country']))"
        )
    if not callable(source) and not hasattr(source, "__aiter__"):
        raise ConfigError(
            f"a {type(source).__name__} is no async iterable; what is all there already runs with replay()"
        )
    return Planner.of_source(settings, iterable_source(source, mapping), mapping.feed), mapping.name


def _check(*, speed: float | None, height: int, page: str, theme: str, port: int) -> None:
    pages = [each.name for each in PAGES]
    for name, value, fine, wanted in (
        ("speed", speed, speed is None or 0 < speed < math.inf, "a positive number, or None for as fast as possible"),
        ("height", height, 0 < height < math.inf, "pixels"),
        ("page", page, page in pages, f"one of {', '.join(pages)}"),
        ("theme", theme, theme in get_args(Theme), f"one of {', '.join(get_args(Theme))}"),
        ("port", port, 0 <= port < 2**16, "a port, or 0 for a free one"),
    ):
        if not fine:
            raise ConfigError(f"{name}={value!r} is not allowed; it is {wanted}")
