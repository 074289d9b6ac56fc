"""The console of one session: looks at the board about twice a second and tells its views what is new."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import panel as pn

from tracewave_panel.core.brushed import rank_range
from tracewave_panel.model import Analysis

from .board import Board, Since
from .live_table import MILLISECONDS, EpisodeTable, LiveTable
from .pages import PAGES
from .theme import ConsoleTemplate
from .timeline import Timeline
from .views.agreement import Agreement
from .views.cards import Cards
from .views.changed import Changed
from .views.counters import Counters
from .views.events import Events
from .views.health import Health
from .views.lanes import Lanes
from .views.navigator import Navigator
from .views.pulse import Pulse
from .views.status import Status
from .views.tiles import Tiles

__all__ = ["PERIOD", "SESSION_TOKEN_EXPIRATION", "Dashboard", "LivePage", "build_page"]

PERIOD = 500
"""Milliseconds between two looks at the board."""
SESSION_TOKEN_EXPIRATION = 86_400
"""Seconds in which a page may connect again; at Bokeh's 300 a page left open could not."""
MOST_UNSEEN = 10
"""Frames that a page may have been sent and not yet drawn; then it gets fewer and larger ones."""
LIVE, HEALTH = "live", "health"


class LivePage:
    """The Live page of a session: its tables and its views.

    Parameters
    ----------
    board
        What there is to show.
    now
        Right edge of an empty page's time axis, seconds since the epoch.
    """

    def __init__(self, board: Board, now: float) -> None:
        self._board = board
        feed = board.console.feed
        self.table = LiveTable(feed)
        self.episodes = EpisodeTable()
        first = board.since(0)
        self._draw(first)
        timeline = Timeline(self.table, self.episodes, now)
        self.tiles = Tiles(feed)
        self.pulse = Pulse(feed, timeline)
        self.lanes = Lanes(timeline)
        self.agreement = Agreement(timeline)
        self.cards = Cards(feed, board.console.control)
        self.events = Events(feed)
        self.changed = Changed(feed)
        self._told_to_lanes: Analysis | None = first.last
        self._tell(first)

    @property
    def views(self) -> dict[str, Any]:
        """By their places in the template."""
        names = ("tiles", "pulse", "lanes", "agreement", "cards", "events", "changed")
        return {name: getattr(self, name) for name in names}

    @property
    def waiting(self) -> int:
        """Windows that the board has and this page does not show."""
        return self._board.waiting(self._number)

    def refresh(self, *, paused: bool = False) -> float | None:
        """Show what is newer; return the end of the last new window, or None. Paused, only labels change."""
        board = self._board
        if paused:
            self.cards.tell((), None, board.labels)
            return None
        news = board.since(self._number)
        self._draw(news)
        self._tell(news)
        return news.last.window.end if news.last else None

    def _draw(self, news: Since) -> None:
        self._number = news.number
        self.table.take_rows(news.rows, news.detectors)
        self.episodes.take(news.anomalies)

    def _tell(self, news: Since) -> None:
        # A tick after their columns: a lane that reaches the page before them has nothing to draw.
        if self._told_to_lanes is not None:
            self.lanes.tell(self._told_to_lanes)
        self._told_to_lanes = news.last
        if news.last is not None:
            self.agreement.tell(len(news.detectors))
            self.tiles.tell(self._board.usual)
        self.cards.tell(news.anomalies, news.last, self._board.labels)
        self.events.tell(news.events)

    def brush(self, brushed: list[float]) -> None:
        """Rank what changed in a range of milliseconds, and show its raw events; an empty list clears both."""
        if len(brushed) != 2:
            self.changed.show(None)
            self.events.show_range(None)
            return
        start, end = (moment / MILLISECONDS for moment in sorted(brushed))
        windows = self._board.windows()
        self.changed.show(rank_range(self._board.console.feed, windows, start, end))
        total = sum(window.count for window in windows if start <= window.start < end)
        self.events.show_range(self._board.events_between(start, end), total)


class Dashboard:
    """The console of one session, and the refresh that moves it.

    Parameters
    ----------
    board
        What there is to show.
    page
        Name of the page that is opened. The Live page is built only where it is the one; the
        Health page when it is first looked at.
    routing
        ``path`` where each page has an address of its own, ``query`` where the query names it.
    clock
        Seconds since the epoch; only the empty page's time axis is taken from it.
    """

    def __init__(
        self, board: Board, page: str = LIVE, *, routing: str = "path", clock: Callable[[], float] = time.time
    ) -> None:
        board.look()
        self._board = board
        self._run = board.run
        self._unseen: deque[float] = deque()
        self._ended = 0.0
        self._health: Health | None = None
        self._health_place = pn.Column(sizing_mode="stretch_width", margin=0)
        self.navigator = Navigator(page=page)
        self.status = Status(board.console.feed, board.header)
        self.counters = Counters()
        self.live = LivePage(board, clock()) if page == LIVE else None
        self._turn_to(page)
        self.counters.tell(board.totals)
        self.navigator.param.watch(lambda change: self._turn_to(change.new), "page")
        self.navigator.param.watch(lambda change: self._brush(change.new), "brush")
        frame = {"status": self.status, "counters": self.counters, "navigator": self.navigator}
        self.template = ConsoleTemplate(
            {
                "page": page,
                "pages": [each._asdict() | {"href": _address(each.name, routing)} for each in PAGES],
                "routing": routing,
                "feed": board.console.feed.title,
            },
            frame | {"health": self._health_place} | (self.live.views if self.live else {}),
        )

    def refresh(self) -> None:
        """Show what is new: at most one stream, and only the words that changed.

        Nothing is sent before the page says that it is ready, since what is told while its document
        is on its way is lost; and nothing more while it has many frames that it did not draw yet.
        """
        if not self.navigator.ready:
            return
        begun = time.thread_time()
        board = self._board
        board.look()
        if self._run not in {0, board.run}:
            self.status.start_over()
            return
        self._run = board.run
        if self._keeps_up():
            self._tell()
        board.vitals.spent(time.thread_time() - begun)

    def _keeps_up(self) -> bool:
        while self._unseen and self._unseen[0] <= self.navigator.seen:
            self._unseen.popleft()
        return len(self._unseen) < MOST_UNSEEN

    def _tell(self) -> None:
        board, paused = self._board, self.navigator.paused
        if self.live:
            ended = self.live.refresh(paused=paused)
            if ended is not None:
                self._unseen.append(ended * MILLISECONDS)
            self.navigator.waiting = self.live.waiting if paused else 0
        now = None if self.live else board.now
        self.status.tell(board.header, now)
        self.counters.tell(board.totals)
        if self._health and self.navigator.page == HEALTH:
            self._health.tell(board.vitals)

    def _turn_to(self, page: str) -> None:
        if page == HEALTH and self._health is None:
            self._health = Health()
            self._health.tell(self._board.vitals)
            self._health_place.append(self._health)

    def _brush(self, brushed: list[float]) -> None:
        if self.live:
            self.live.brush(brushed)


def _address(page: str, routing: str) -> str:
    if routing == "query":
        return f"?page={page}"
    return "./" if page == LIVE else page


def build_page(board: Board, page: str = LIVE, *, routing: str = "path") -> pn.Template:
    """Build the console for the current session and keep it moving until the session ends."""
    dashboard = Dashboard(board, page, routing=routing)
    if pn.state.curdoc is not None:
        pn.state.add_periodic_callback(dashboard.refresh, period=PERIOD)
    return dashboard.template
