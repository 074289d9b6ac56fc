"""The Live page of one session: reads the store about twice a second and tells its views."""

from __future__ import annotations

import time
from collections.abc import Callable

import panel as pn

from .live_table import EpisodeTable, LiveTable
from .state import Console, News, Reader
from .theme import ConsoleTemplate
from .timeline import Timeline
from .views.agreement import Agreement
from .views.cards import Cards
from .views.counters import Counters
from .views.events import Events
from .views.lanes import Lanes
from .views.pulse import Pulse
from .views.status import Status
from .views.tiles import Tiles

__all__ = ["PERIOD", "SESSION_TOKEN_EXPIRATION", "Dashboard", "build_page"]

PERIOD = 500
"""Milliseconds between two looks at the store."""
SESSION_TOKEN_EXPIRATION = 86_400
"""Seconds in which a page may connect again; at Bokeh's 300 a page left open could not."""


class Dashboard:
    """One page: its tables, its views, and the refresh that moves them.

    Parameters
    ----------
    console
        The pipeline to show.
    clock
        Seconds since the epoch; only the empty page's time axis is taken from it.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.time) -> None:
        self._control = console.control
        self._run = console.control.run
        self._reader = Reader(console)
        self.table = LiveTable(console.feed)
        self.episodes = EpisodeTable()
        news = self._reader.read()
        self.table.take(news.analyses)
        self.episodes.take(news.anomalies)
        timeline = Timeline(self.table, self.episodes, clock())
        self.status = Status(console)
        self.tiles = Tiles(console.feed)
        self.pulse = Pulse(console.feed, timeline)
        self.lanes = Lanes(timeline)
        self.agreement = Agreement(timeline)
        self.cards = Cards(console.feed)
        self.events = Events(console.feed)
        self.counters = Counters(console)
        self._tell(news)
        self.page = ConsoleTemplate(
            status=self.status,
            tiles=self.tiles,
            pulse=self.pulse,
            lanes=self.lanes,
            agreement=self.agreement,
            cards=self.cards,
            events=self.events,
            counters=self.counters,
        )

    def refresh(self) -> None:
        """Show what is new: at most one stream, and only the words that changed."""
        if self._run not in {0, self._control.run}:
            self.status.start_over()
            return
        self._run = self._control.run
        news = self._reader.read()
        self.table.take(news.analyses)
        self.episodes.take(news.anomalies)
        self._tell(news)

    def _tell(self, news: News) -> None:
        last = news.analyses[-1] if news.analyses else None
        if last is not None:
            self.lanes.tell(last)
            self.agreement.tell(len(self.table.detectors))
        self.status.tell(news.anomalies)
        self.cards.tell(news.anomalies, last)
        self.events.tell(news.events)
        self.counters.tell(news.missed)


def build_page(console: Console) -> pn.Template:
    """Build the page for the current session and keep it moving until the session ends."""
    dashboard = Dashboard(console)
    if pn.state.curdoc is not None:
        pn.state.add_periodic_callback(dashboard.refresh, period=PERIOD)
    return dashboard.page
