"""What a notebook holds of a running pipeline: its page in a cell, and what the page shows as tables."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from tracewave_panel.app.pages import PAGES
from tracewave_panel.app.state import News, Reader
from tracewave_panel.config import Settings, load_settings
from tracewave_panel.errors import ConfigError
from tracewave_panel.model import Quality
from tracewave_panel.plan import Planner
from tracewave_panel.ports import Store
from tracewave_panel.runtime import Runtime

from .frame import Frame, Place, Theme
from .running import Running

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LiveView", "live"]

_EPISODE = (
    *("id", "opened", "closed", "severity", "kind", "title", "observed", "expected", "confidence", "rarity"),
    *("provisional", "agreeing", "quiet", "abstained"),
)


def live(
    source: str = "synthetic",
    *,
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
        ``auto``, ``wikimedia``, ``synthetic`` or ``recording:PATH``, as for ``tracewave serve``.
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
    >>> view.windows().columns[:3].tolist()
    ['observed', 'expected', 'zscore']
    >>> view.stop()
    >>> view
    Tracewave, synthetic: stopped
    """
    _check(speed=speed, height=height, page=page, theme=theme, port=port)
    place = Place.of(url, origins)
    if not isinstance(settings, Settings):
        settings = load_settings(None, os.environ, [settings] if isinstance(settings, str) else settings or ())
    folder = None if data is None else Path(data)
    planner = Planner(settings, source, speed=speed, data=folder)
    running = Running(Runtime(settings, planner, data=folder), port, place.origins)
    address = place.address(running.begin(), page)
    return LiveView(running, source, settings.detectors.enabled, Frame(address, height, theme))


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

    def windows(self) -> pd.DataFrame:
        """Windows in memory, about the last hour: those of the first metric of the first series.

        Returns
        -------
        DataFrame
            Indexed by ``time``, the start of the window in UTC: ``observed`` and ``expected`` in the metric's unit,
            the score from 0 to 1 of each detector, and ``quality``. What nobody observed, expected or judged is NaN.
        """
        import pandas as pd  # noqa: PLC0415 (a second, which nobody waits for who wants no table)

        told = {analysis.window.start: analysis for analysis in self._read().analyses}
        rows = []
        for _, analysis in sorted(told.items()):
            quality = analysis.window.quality
            scores = {each.detector: each.score for each in analysis.scores if each.warm and quality.judged}
            observed = math.nan if quality is Quality.GAP else analysis.observed
            expected = math.nan if analysis.expected is None else analysis.expected
            rows.append([observed, expected, *(scores.get(name, math.nan) for name in self._detectors), quality.value])
        numbers = ["observed", "expected", *self._detectors]
        times = pd.to_datetime(sorted(told), unit="s", utc=True).rename("time")
        return pd.DataFrame(rows, index=times, columns=[*numbers, "quality"]).astype(dict.fromkeys(numbers, "float64"))

    def anomalies(self) -> pd.DataFrame:
        """Episodes in memory, the newest first, each as it was told last.

        Returns
        -------
        DataFrame
            Indexed by ``id``: ``opened`` and ``closed`` in UTC (NaT while it is open), ``title`` (which holds text
            from the feed), the metric at the peak, ``rarity`` in days ("once in 9 days" is 9), and the names of the
            detectors that fired, stayed quiet, and abstained.
        """
        import pandas as pd  # noqa: PLC0415

        told = {anomaly.id: anomaly for anomaly in self._read().anomalies}
        newest_first = sorted(told.values(), key=lambda anomaly: anomaly.opened, reverse=True)
        rows = [[_cell(getattr(anomaly, name)) for name in _EPISODE] for anomaly in newest_first]
        table = pd.DataFrame(rows, columns=list(_EPISODE)).set_index("id")
        moments = {name: pd.to_datetime(table[name].astype("float64"), unit="s", utc=True) for name in _EPISODE[1:3]}
        return table.assign(**moments)

    def _read(self) -> News:
        return Reader(self._running.console).read()

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


def _cell(value: Any) -> Any:
    """A field of an Anomaly as a table shows it."""
    return ", ".join(value) if isinstance(value, tuple) else value.value if isinstance(value, Enum) else value
