"""Keeps the outbox open for one process at a time, and the mutes at hand."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from tracewave_panel.errors import StoreError
from tracewave_panel.model import Mute, Origin
from tracewave_panel.notify.outbox import FILE, Outbox

__all__ = ["LOCK", "Keeping"]

LOCK = "notices.lock"
MUTES = 1000
"""Most mutes that hold at a time."""
SETTLES = 60.0
"""Seconds in which the outbox learns of an episode that somebody snoozed as soon as it opened."""

logger = logging.getLogger(__name__)


class Keeping:
    """The outbox of a data folder and its mutes; safe from any thread.

    A folder where nobody has routes or mutes is left as it is: the outbox is made when it is first needed.

    Attributes
    ----------
    trouble
        Why notices are not sent or not kept, in words; empty when they are.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], float]) -> None:
        self.trouble = ""
        self._folder, self._clock = folder, clock
        self._lock = threading.RLock()
        self._outbox: Outbox | None = None
        self._held: int | None = None
        self._mutes: tuple[Mute, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether an earlier process left an outbox."""
        return self._folder is not None and (self._folder / FILE).exists()

    def open(self) -> Outbox | None:
        """Open the outbox; None when another process has it, which then sends.

        Where the disk refuses, it is kept in memory, and :attr:`trouble` says so.
        """
        with self._lock:
            if self._outbox is not None:
                return self._outbox
            try:
                if not self._locked():
                    self.trouble = f"another process sends the notices of {self._folder}; this one sends none"
                    logger.warning("%s", self.trouble)
                    return None
                self._outbox = Outbox(self._folder)
                self.trouble = ""
            except StoreError as error:
                self.trouble = f"notices are kept in memory only: {error}"
                logger.error("%s", self.trouble)  # noqa: TRY400 (the words are for the person who runs it)
                self._outbox = Outbox(None)
            self._mutes = tuple(self._outbox.mutes())
            return self._outbox

    def _locked(self) -> bool:
        """Take the folder's lock, which ends with the process."""
        if self._folder is None or self._held is not None:
            return True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            held = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self._folder}: no file can be made there ({error.strerror})") from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
            return False
        self._held = held
        return True

    def close(self) -> None:
        """Release outbox and folder."""
        with self._lock:
            if self._outbox is not None:
                self._outbox.close()
                self._outbox = None
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def mutes(self) -> tuple[Mute, ...]:
        """Mutes that hold now."""
        now = self._clock()
        return tuple(mute for mute in self._mutes if mute.holds(now))

    def mute(self, mute: Mute) -> None:
        """Keep a mute; raises StoreError when that fails, or when there are too many."""
        with self._lock:
            others = tuple(kept for kept in self.mutes() if kept.id != mute.id)
            if len(others) >= MUTES:
                raise StoreError(f"there are {MUTES} mutes already; take some back first")
            outbox = self.open()
            if outbox is None:
                raise StoreError(self.trouble)
            outbox.mute(mute)
            self._mutes = (*others, mute)

    def unmute(self, mute_id: str) -> bool:
        """Take a mute back; whether there was one."""
        with self._lock:
            left = tuple(mute for mute in self._mutes if mute.id != mute_id)
            if len(left) == len(self._mutes) or self._outbox is None:
                return False
            self._outbox.unmute([mute_id])
            self._mutes = left
            return True

    def expire(self) -> bool:
        """Let go mutes that ran out; whether there were any."""
        now = self._clock()
        with self._lock:
            gone = [mute.id for mute in self._mutes if not mute.holds(now)]
            if not gone or self._outbox is None:
                return False
            self._outbox.unmute(gone)
            self._mutes = tuple(mute for mute in self._mutes if mute.id not in gone)
            return True

    def release(self) -> None:
        """Let go mutes without an end of episodes that are over, and of which nothing is left to be sent."""
        latest = self._clock() - SETTLES
        with self._lock:
            endless = [mute for mute in self._mutes if mute.anomaly_id and mute.until is None]
            if not endless or self._outbox is None:
                return
            alive = self._outbox.alive({mute.anomaly_id for mute in endless})
            gone = [mute.id for mute in endless if mute.given_at <= latest and mute.anomaly_id not in alive]
            if gone:
                self._outbox.unmute(gone)
                self._mutes = tuple(mute for mute in self._mutes if mute.id not in gone)

    def followed(self, origin: Origin) -> frozenset[str]:
        """Ids of the episodes that were open when they were told last."""
        with self._lock:
            return self._outbox.followed(origin) if self._outbox else frozenset()

    def patience(self, most: float) -> float:
        """Seconds until the next mute runs out, but no more than `most`."""
        now = self._clock()
        return max(0.05, min([most, *(mute.until - now for mute in self._mutes if mute.until is not None)]))

    def forget(self, remember: float) -> None:
        """Let go what is older than it has to be remembered."""
        with self._lock:
            if self._outbox is not None:
                self._outbox.forget(self._clock(), remember)
