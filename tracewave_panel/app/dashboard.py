"""The console of one session: woken by the board, it tells its page what is new."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

import time
from collections import deque
from typing import Any

import panel as pn

from tracewave_panel.codec import to_json
from tracewave_panel.core.brushed import rank_range

from .board import Board
from .frames import Frame, Frames
from .live_table import MILLISECONDS
from .pages import PAGES
from .sheet import sheet_text
from .theme import ConsoleTemplate
from .views.cards import Cards
from .views.changed import Changed
from .views.counters import CounterLine
from .views.events import Events
from .views.explore import Explore
from .views.health import Health
from .views.navigator import Navigator
from .views.status import StatusLine
from .views.tiles import Tiles

__all__ = ["SESSION_TOKEN_EXPIRATION", "Dashboard", "LivePage", "build_page"]

SESSION_TOKEN_EXPIRATION = 86_400
"""Seconds in which a page may connect again; at Bokeh's 300 a page left open could not."""
MOST_UNSEEN = 30
"""Frames that a page may have been sent and not yet drawn; then it gets fewer and larger ones."""
LIVE, EXPLORE, HEALTH = "live", "explore", "health"
GUEST = "guest"
"""Whom Panel calls a person that did not have to sign in."""


class LivePage:
    """What of the Live page belongs to a session.

    Windows and raw events reach the page by frames, the sheet comes with its text; what is told here changes seldom.

    Parameters
    ----------
    board
        What there is to show.
    by
        Who looks at it, as far as that is known.
    """

    def __init__(self, board: Board, by: str = "") -> None:
        self._board = board
        feed = board.console.feed
        self.tiles = Tiles(feed)
        self.cards = Cards(feed, board.console.control, by)
        self.events = Events(feed, board.event_rows)
        self.changed = Changed(feed)
        self.refresh(0)

    @property
    def views(self) -> dict[str, Any]:
        """By their places in the template."""
        return {"tiles": self.tiles, "cards": self.cards, "events": self.events, "changed": self.changed}

    def refresh(self, number: int) -> None:
        """Show what is newer than `number`, but for what frames bring."""
        news = self._board.since(number)
        if news.last is not None:
            self.tiles.tell(self._board.usual)
        self.cards.tell(news.anomalies, news.last, self._board.said)

    def brush(self, brushed: list[float]) -> None:
        """Rank what changed in a range of milliseconds, and show its raw events; an empty list clears both."""
        if len(brushed) != 2:
            self.changed.show(None)
            self.events.show_range(None)
            return
        start, end = (moment / MILLISECONDS for moment in sorted(brushed))
        windows = self._board.windows()
        feed, unusual = self._board.console.feed, self._board.in_episodes()
        self.changed.show(rank_range(feed, windows, start, end, unusual=unusual))
        total = sum(window.count for window in windows if start <= window.start < end)
        self.events.show_range(self._board.events_between(start, end), total)


class Dashboard:
    """The console of one session, and the refresh that moves it.

    Parameters
    ----------
    board
        What there is to show.
    page
        Name of the page that is opened. The Live page is built only where it is the one; Explore
        and Health when they are first looked at.
    routing
        ``path`` where each page has an address of its own, ``query`` where the query names it.
    by
        Who looks at it, as far as that is known: labels and mutes carry the name.
    leaves
        Whether a way to sign out is shown.
    """

    def __init__(
        self, board: Board, page: str = LIVE, *, routing: str = "path", by: str = "", leaves: bool = False
    ) -> None:
        board.look()
        self._board = board
        self._run = board.run
        self._number, self._built = 0, board.number
        self._unseen: deque[int] = deque()
        self._awake = False
        self._health: Health | None = None
        self._health_place = pn.Column(sizing_mode="stretch_width", margin=0)
        self._explore: Explore | None = None
        self._explore_place = pn.Column(sizing_mode="stretch_both", margin=0)
        self.frames = Frames(name="frames")
        self.navigator = Navigator(page=page)
        self.status = StatusLine(unit=board.console.feed.metrics[0].unit, header=to_json(board.header).decode())
        self.counters = CounterLine(totals=to_json(board.totals).decode())
        self.live = LivePage(board, by) if page == LIVE else None
        self._turn_to(page)
        self.navigator.param.watch(lambda change: self._turn_to(change.new), "page")
        self.navigator.param.watch(lambda change: self._brush(change.new), "brush")
        self.navigator.param.watch(lambda _: self.refresh(), ["paused", "ready"])
        frame = {"status": self.status, "counters": self.counters, "navigator": self.navigator}
        places = {"explore": self._explore_place, "health": self._health_place}
        self.template = ConsoleTemplate(
            {
                "page": page,
                "pages": [each._asdict() | {"href": _address(each.name, routing)} for each in PAGES],
                "routing": routing,
                "leaves": leaves,
                "feed": board.console.feed.title,
                "sheet": sheet_text(board.console.feed, board.detectors) if self.live else "",
            },
            frame | places | (self.live.views if self.live else {}),
            beside=self.frames,
        )

    @property
    def restless(self) -> bool:
        """Whether the page shows what is sampled each second."""
        return self.navigator.page == HEALTH

    def wake(self) -> None:
        """Refresh soon: one callback a session waits at most, however much there is to tell."""
        document = self.frames.document
        if document is not None and not self._awake:
            self._awake = True
            document.add_next_tick_callback(self.refresh)

    def refresh(self) -> None:
        """Show what is new.

        Nothing is sent before the page says that it is ready, since what is told while its document
        is on its way is lost; and nothing more while it has many frames that it did not draw yet.
        """
        self._awake = False
        if not self.navigator.ready:
            return
        begun = time.thread_time()
        board = self._board
        board.look()
        if self._run not in {0, board.run}:
            self.frames.text = Frame(board.number, reload=True).text
            return
        self._run = board.run
        if self._keeps_up():
            self._tell()
        board.vitals.spent(time.thread_time() - begun)

    def end(self) -> None:
        """Ask for nothing more: the session is over."""
        self._board.sleepers.discard(self)
        if self._explore:
            self._explore.close()

    def _keeps_up(self) -> bool:
        while self._unseen and self._unseen[0] <= self.frames.seen:
            self._unseen.popleft()
        return len(self._unseen) < MOST_UNSEEN

    def _tell(self) -> None:
        board, live, paused = self._board, self.live, self.navigator.paused
        self.frames.text = board.frame(self._number, plots=live is not None, paused=paused)
        self._unseen.append(board.number)
        if live and paused:
            live.cards.tell((), None, board.said)
        elif live:
            live.refresh(max(self._number, self._built))
        if not paused:
            self._number = board.number
        if self._health and self.navigator.page == HEALTH:
            self._health.tell(board.vitals)

    def _turn_to(self, page: str) -> None:
        if page == HEALTH and self._health is None:
            self._health = Health(self._board.console)
            self._health.tell(self._board.vitals)
            self._health_place.append(self._health)
        if page == EXPLORE and self._explore is None:
            self._explore = Explore(self._board.console, self.frames)
            self._explore_place.append(self._explore)

    def _brush(self, brushed: list[float]) -> None:
        if self.live:
            self.live.brush(brushed)


def _address(page: str, routing: str) -> str:
    if routing == "query":
        return f"?page={page}"
    return "./" if page == LIVE else page


def _asked_to_sign_in() -> bool:
    """Whether whoever looks had to sign in, and so may sign out."""
    context = pn.state.curdoc.session_context if pn.state.curdoc is not None else None
    return bool(getattr(context, "logout_url", None))


def build_page(board: Board, page: str = LIVE, *, routing: str = "path") -> pn.Template:
    """Build the console for the current session and keep it moving until the session ends."""
    signed_in = pn.state.user if pn.state.curdoc is not None else None
    by = "" if signed_in in {None, GUEST} else signed_in
    dashboard = Dashboard(board, page, routing=routing, by=by, leaves=_asked_to_sign_in())
    if pn.state.curdoc is not None:
        board.sleepers.add(dashboard)
        pn.state.curdoc.on_session_destroyed(lambda _: dashboard.end())
    return dashboard.template
