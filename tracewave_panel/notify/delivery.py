"""Sends what waits for one route, on a thread of its own, so that a dead endpoint delays no other."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Protocol

from tracewave_panel.errors import StoreError
from tracewave_panel.model import Anomaly
from tracewave_panel.notify.notice import Notice, Outcome, Standing
from tracewave_panel.notify.outbox import Outbox
from tracewave_panel.notify.routes import NoticesSettings
from tracewave_panel.ports import RouteStatus

__all__ = ["Delivery", "Sender", "Tally"]

IDLE = 60.0
DISK_AGAIN = 1.0
_NOT_KEPT = "notices cannot be kept on disk"

logger = logging.getLogger(__name__)


class Sender(Protocol):
    """One way out."""

    @property
    def kind(self) -> str:
        """What it is, without secrets."""
        ...

    def send(self, notice: Notice) -> Outcome:
        """Try once; may take seconds, never raises for what the endpoint does."""
        ...


class Tally:
    """Figures of one route since the start; read and written from several threads."""

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._status = RouteStatus(name)

    def add(self, *, last_error: str | None = None, last_sent: float | None = None, **more: int) -> None:
        """Add to figures, and say what went wrong or arrived last."""
        with self._lock:
            known = self._status
            self._status = RouteStatus(
                known.name,
                sent=known.sent + more.get("sent", 0),
                failed=known.failed + more.get("failed", 0),
                given_up=known.given_up + more.get("given_up", 0),
                held=known.held + more.get("held", 0),
                waiting=max(0, known.waiting + more.get("waiting", 0)),
                last_sent=known.last_sent if last_sent is None else last_sent,
                last_error=known.last_error if last_error is None else last_error,
            )

    @property
    def status(self) -> RouteStatus:
        """The figures now."""
        with self._lock:
            return self._status


class Delivery:
    """The worker of one route.

    Parameters
    ----------
    silenced
        Says whether a mute holds an episode's notices back at this moment, and which kind of mute.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        outbox: Outbox,
        settings: NoticesSettings,
        *,
        tally: Tally,
        silenced: Callable[[Anomaly], Standing | None],
        clock: Callable[[], float],
    ) -> None:
        self._name, self._sender, self._outbox, self._settings = name, sender, outbox, settings
        self._tally, self._silenced, self._clock = tally, silenced, clock
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._pause_until, self._failures = 0.0, 0
        self._random = random.Random()  # noqa: S311 (jitter is no secret)
        self._thread = threading.Thread(target=self._run, name=f"tracewave-notify-{name}", daemon=True)

    def start(self) -> None:
        """Begin to send what waits."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once whether something is due."""
        self._wake.set()

    def end(self) -> None:
        """Begin no further try."""
        self._stopping.set()
        self._wake.set()

    def join(self, timeout: float) -> bool:
        """Wait for the try under way; False when it lasts longer."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                wait = self._step()
            except StoreError as error:
                self._tally.add(last_error=_NOT_KEPT)
                logger.warning("notify %s: %s", self._name, error)
                wait = IDLE / 10
            except Exception:
                self._tally.add(failed=1, last_error="the route's thread failed; see the log")
                logger.exception("notify %s: a try failed in an unforeseen way", self._name)
                wait = IDLE / 10
            self._wake.wait(wait)
            self._wake.clear()

    def _step(self) -> float:
        """Try what is due, once; returns the seconds until it is worth looking again."""
        now = self._clock()
        most = self._settings.retry_most
        if 0 < self._pause_until - now <= most + 1:
            return self._pause_until - now
        due = self._outbox.next_due(self._name, now, 2 * most)
        if due is None:
            return IDLE
        if isinstance(due, float):
            return min(IDLE, max(0.01, due - now))
        number, notice, tries = due
        if self._let_go(number, notice, now):
            return 0.0
        outcome = self._tried(notice)
        if outcome.delivered:
            self._delivered(number)
        else:
            self._failed(number, notice, tries, outcome)
        return 0.0

    def _tried(self, notice: Notice) -> Outcome:
        try:
            return self._sender.send(notice)
        except Exception as error:  # noqa: BLE001 (what a foreign library raises may hold the address: only its name is told)
            logger.error("notify %s: a try failed in an unforeseen way: %s", self._name, type(error).__name__)  # noqa: TRY400
            return Outcome(f"unforeseen: {type(error).__name__}")

    def _let_go(self, number: int, notice: Notice, now: float) -> bool:
        """Settle without a try what is muted by now, too old, or the end of what nobody was told of."""
        held = self._silenced(notice.anomaly)
        if held is not None:
            self._settle(number, held)
            self._tally.add(held=1, waiting=-1)
            return True
        opening = Standing.SENT
        if notice.phase == "closed":
            opening = self._outbox.standing(notice.anomaly.id, "opened", self._name) or Standing.SENT
        if opening is Standing.SENT and now - notice.made_at <= self._settings.give_up:
            return False
        self._settle(number, Standing.GIVEN_UP)
        self._tally.add(given_up=1, waiting=-1)
        logger.warning("notify %s: notice %s is given up: %s", self._name, notice.key, "it did not arrive in time")
        return True

    def _delivered(self, number: int) -> None:
        self._settle(number, Standing.SENT)
        self._tally.add(sent=1, waiting=-1, last_sent=self._clock(), last_error="")
        if self._failures:
            self._failures, self._pause_until = 0, 0.0
            self._outbox.hasten(self._name, self._clock())

    def _failed(self, number: int, notice: Notice, tries: int, outcome: Outcome) -> None:
        self._tally.add(failed=1, last_error=outcome.reason)
        if outcome.final:
            self._settle(number, Standing.GIVEN_UP)
            self._tally.add(given_up=1, waiting=-1)
            logger.warning("notify %s: notice %s is given up: %s", self._name, notice.key, outcome.reason)
            return
        self._failures += 1
        if self._failures == 1:
            logger.warning("notify %s: %s; it is tried again", self._name, outcome.reason)
        now, asked = self._clock(), min(outcome.after, self._settings.retry_most)
        self._pause_until = now + max(self._backoff(self._failures), asked)
        self._outbox.retry(number, now + max(self._backoff(tries + 1), asked))

    def _backoff(self, tries: int) -> float:
        """Seconds before another try: twice as many each time, and somewhat by chance."""
        settings = self._settings
        return min(settings.retry_most, settings.retry_first * 2.0 ** min(tries - 1, 30)) * self._random.uniform(0.7, 1)

    def _settle(self, number: int, standing: Standing) -> None:
        """Write down what became of a notice, however long the disk refuses: else it would be sent twice."""
        while True:
            try:
                self._outbox.settle(number, standing)
            except StoreError as error:
                if self._stopping.is_set():
                    raise
                self._tally.add(last_error=_NOT_KEPT)
                logger.warning("notify %s: %s", self._name, error)
                self._stopping.wait(DISK_AGAIN)
            else:
                return
