"""Tells people of anomalies: takes findings, decides by route, and keeps what is to be sent until it is.

Invariants
----------
- `take` waits for nothing: no disk, no drawing, no network.
- One thread decides, in the order of the tellings; each route has a thread that sends.
- A notice is made once an anomaly, phase and route; the outbox sees to that over restarts as well.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from tracewave_panel.errors import StoreError
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, Findings, Mute, Origin
from tracewave_panel.notify.deciding import Rule, silencing
from tracewave_panel.notify.delivery import Delivery, Tally
from tracewave_panel.notify.desk import Desk, Lane
from tracewave_panel.notify.keeping import Keeping
from tracewave_panel.notify.notice import Links, Standing, Telling
from tracewave_panel.notify.pulse import Point, Pulse
from tracewave_panel.notify.routes import NoticesSettings, RouteSettings
from tracewave_panel.notify.senders import senders_of
from tracewave_panel.notify.service import Service
from tracewave_panel.ports import RouteStatus

__all__ = ["Notifier"]

TELLINGS = 1000
"""Tellings that wait to be decided on; what comes when so many wait is given up, and counted."""
LOOK = 30.0
"""Most seconds between two looks at whether a route's hours began, and whether snoozed episodes ended."""
HOUR = 3600.0
_DISK_AGAIN = 1.0

logger = logging.getLogger(__name__)


class _Taken(NamedTuple):
    telling: Telling
    points: tuple[Point, ...]


class Notifier:
    """Sends notices of anomalies by the routes of the settings; safe from any thread.

    A notice reaches its endpoint once, but for a process that dies between the sending and the
    writing down of it: then it comes a second time, with the same key.

    Parameters
    ----------
    data
        Folder that keeps the outbox; None keeps it in memory.
    page, api
        Addresses that links lead to, where the settings name none.
    clock
        Seconds since the epoch.

    Raises
    ------
    ConfigError
        When a variable or file that holds an address or a secret is missing.

    Examples
    --------
    >>> from tracewave_panel.feeds import WIKIMEDIA
    >>> route = RouteSettings("ops", webhook="http://127.0.0.1:9/", secret="sixteen characters")
    >>> notifier = Notifier((route,), NoticesSettings(), feed=WIKIMEDIA, data=None, page="http://127.0.0.1:5006")
    >>> [(status.name, status.waiting) for status in notifier.routes()]
    [('ops', 0)]
    """

    def __init__(
        self,
        routes: tuple[RouteSettings, ...],
        settings: NoticesSettings,
        *,
        feed: Feed,
        data: Path | None,
        page: str,
        api: str = "",
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._feed, self._clock = settings, feed, clock
        for route in routes:
            route.check_names(feed)
        self._senders = senders_of(routes, settings, environment)
        self._rules = [Rule(route) for route in routes]
        self._tallies = {route.name: Tally(route.name) for route in routes}
        self._wanted = frozenset(origin for route in routes for origin in route.origins)
        self._links = Links((settings.page or page).rstrip("/"), (settings.api or api).rstrip("/"))
        self._keeping = Keeping(data, clock)
        self._pulse, self._pulse_lock = Pulse(), threading.Lock()
        self._origin: Origin | None = None
        self._queue: queue.Queue[_Taken | None] = queue.Queue(TELLINGS)
        self._looks_again, self._stopping = threading.Event(), threading.Event()
        self._lanes: list[Lane] = []
        self._desk: Desk | None = None
        self._looked, self._next_forget = 0.0, 0.0
        self._thread = threading.Thread(target=self._main, name="tracewave-notices", daemon=True)

    # -- life

    def start(self) -> None:
        """Begin to decide and to send; returns at once."""
        if self._rules or self._keeping.exists:
            self._open()
        self._thread.start()

    def _open(self) -> None:
        outbox = self._keeping.open()
        if outbox is None:  # another process sends the notices of this folder
            return
        waiting = outbox.waiting()
        for route in waiting.keys() - self._tallies.keys():
            logger.warning("notify %s: no such route any more; %s notices for it are given up", route, waiting[route])
            outbox.drop_route(route)
        for rule in self._rules:
            name = rule.route.name
            outbox.hasten(name, self._clock())  # whatever kept an endpoint from answering may be over
            tally, sender = self._tallies[name], self._senders[name]
            tally.add(waiting=waiting.get(name, 0))
            delivery = Delivery(
                name,
                sender,
                outbox,
                self._settings,
                tally=tally,
                silenced=self._silenced,
                clock=self._clock,
            )
            self._lanes.append(Lane(rule, tally, delivery, pictures=isinstance(sender, Service)))
        self._desk = Desk(self._lanes, outbox, self._feed, self._links, self._clock)
        for lane in self._lanes:
            lane.delivery.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Write down what was taken, end the threads, and release the outbox.

        A try that lasts longer than `timeout` seconds is left to itself; its notice stays in the outbox.
        """
        until = time.monotonic() + timeout
        self._stopping.set()
        if self._thread.ident is not None:
            self._wake()
            self._thread.join(max(0.0, until - time.monotonic()))
        for lane in self._lanes:
            lane.delivery.end()
        ended = [lane.delivery.join(max(0.0, until - time.monotonic())) for lane in self._lanes]
        if all(ended) and not self._thread.is_alive():
            self._keeping.close()

    # -- the pipeline's side

    def take(self, findings: Findings, origin: Origin) -> None:
        """Take in what one batch gave; a sink that never waits."""
        if not (findings.analyses or findings.anomalies) or self._stopping.is_set():
            return
        with self._pulse_lock:
            if origin is not self._origin:
                self._pulse.clear()
                self._origin = origin
            if origin in self._wanted:
                for analysis in findings.analyses:
                    self._pulse.take(analysis)
            for anomaly in findings.anomalies:
                self._enqueue(Telling(anomaly, origin))

    def followed(self, origin: Origin) -> frozenset[str]:
        """Ids of the episodes that were open when they were told last, also to the process before this one."""
        return self._keeping.followed(origin)

    def go_on_from(self, episodes: Iterable[Anomaly], origin: Origin) -> None:
        """Take in episodes that a State knows, though a process that died may have told nobody; none is told twice."""
        with self._pulse_lock:
            for anomaly in episodes:
                self._enqueue(Telling(anomaly, origin))

    def _enqueue(self, telling: Telling) -> None:
        anomaly = telling.anomaly
        try:
            self._queue.put_nowait(_Taken(telling, self._pulse.copy(anomaly.series, anomaly.metric)))
        except queue.Full:
            self._overflowed(telling)

    def _overflowed(self, telling: Telling) -> None:
        for rule in self._rules:
            if rule.route.matches(*telling):
                self._tallies[rule.route.name].add(given_up=1, last_error="more anomalies came than could be handled")
        logger.error("a telling of %s is given up: %s others wait to be decided on", telling.anomaly.id, TELLINGS)

    # -- the thread that decides

    def _main(self) -> None:
        while True:
            came = True
            try:
                taken = self._queue.get(timeout=self._keeping.patience(0.0 if self._stopping.is_set() else LOOK))
            except queue.Empty:
                taken, came = None, False
            try:
                if taken is not None:
                    self._handle(taken)
                elif self._stopping.is_set() and self._queue.empty():
                    return
                self._look_again(idle=taken is None)
            except StoreError as error:
                logger.warning("%s", error)
            except Exception:
                logger.exception("notices of a telling could not be made")
            finally:
                if came:
                    self._queue.task_done()

    def _handle(self, taken: _Taken) -> None:
        """Decide on a telling, again and again while the disk refuses to keep it."""
        while self._desk is not None:
            try:
                self._desk.handle(taken.telling, taken.points, self._keeping.mutes())
            except StoreError as error:
                logger.warning("%s", error)
                if self._stopping.wait(_DISK_AGAIN):
                    raise
            else:
                return

    def _look_again(self, *, idle: bool) -> None:
        """Let go what ran out, and see whether episodes that were held back may be told now."""
        now, expired = self._clock(), self._keeping.expire()
        due = idle or abs(now - self._looked) >= LOOK  # tellings that come all the time leave no idle moment
        if due:
            self._looked = now
            if self._queue.empty():  # else one of an episode that opened may be among what waits
                self._keeping.release()
        if self._desk is None:
            return
        if expired or due or self._looks_again.is_set():
            self._looks_again.clear()
            self._desk.look_again(self._points, self._keeping.mutes())
        if now >= self._next_forget:
            self._next_forget = now + HOUR
            self._keeping.forget(self._settings.remember)

    def _points(self, series: str, metric: str) -> tuple[Point, ...]:
        with self._pulse_lock:
            return self._pulse.copy(series, metric)

    def _silenced(self, anomaly: Anomaly) -> Standing | None:
        return silencing(Telling(anomaly, Origin.LIVE), self._keeping.mutes(), self._clock())

    # -- mutes and figures

    def mute(self, mute: Mute) -> None:
        """Hold back notices of what it names; one with the same id is replaced.

        Raises
        ------
        StoreError
            When it cannot be kept.
        """
        self._keeping.mute(mute)
        self._wake()  # it may run out before the thread would look again

    def unmute(self, mute_id: str) -> None:
        """Take a mute back; without one nothing happens. Open episodes that it snoozed are told."""
        if self._keeping.unmute(mute_id):
            self._looks_again.set()
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)

    def mutes(self) -> tuple[Mute, ...]:
        """Mutes that hold at this moment, in the order in which they were given."""
        return self._keeping.mutes()

    def routes(self) -> tuple[RouteStatus, ...]:
        """How each route stands, in the order of the settings."""
        statuses = (tally.status for tally in self._tallies.values())
        trouble = self._keeping.trouble
        if not trouble:
            return tuple(statuses)
        return tuple(msgspec.structs.replace(status, last_error=status.last_error or trouble) for status in statuses)

    def __repr__(self) -> str:
        """Name the routes, never their addresses."""
        return f"Notifier({', '.join(self._tallies)})"
