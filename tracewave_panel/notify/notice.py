"""A notice: what is to be said of one episode, once, by one route; and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import msgspec

from tracewave_panel import codec
from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, Origin
from tracewave_panel.notify.words import about_held, body_of, subject_of

__all__ = ["Links", "Notice", "Outcome", "Phase", "Standing", "Telling", "make_notice"]

Phase = Literal["opened", "closed"]
_TIMES = ("opened", "peaked", "updated", "closed")


class Standing(StrEnum):
    """Where a notice stands in the outbox.

    ``muted``, ``snoozed``, ``hours`` and ``limit`` are the reasons for which one is held back.
    """

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given_up"
    MUTED = "muted"
    SNOOZED = "snoozed"
    HOURS = "hours"
    LIMIT = "limit"


HELD = frozenset({Standing.MUTED, Standing.SNOOZED, Standing.HOURS, Standing.LIMIT})


class Outcome(NamedTuple):
    """What came of one try.

    Attributes
    ----------
    reason
        Why it failed, in words that hold no secret; empty when it did not.
    final
        Whether trying again would not help.
    after
        Seconds that the endpoint asked to wait.
    """

    reason: str = ""
    final: bool = False
    after: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took the notice."""
        return not self.reason


class Telling(NamedTuple):
    """One telling of an episode, and where its data come from."""

    anomaly: Anomaly
    origin: Origin

    @property
    def phase(self) -> Phase:
        """Whether it tells that the episode is open, or that it ended."""
        return "opened" if self.anomaly.closed is None else "closed"


class Notice(msgspec.Struct, frozen=True):
    """All that a route needs in order to send; made once, so that every try says the same.

    Attributes
    ----------
    key
        The same for every try of the same notice.
    payload
        JSON for webhooks.
    picture
        PNG of the pulse; empty where there is none.
    made_at
        Seconds since the epoch.
    """

    anomaly: Anomaly
    phase: Phase
    route: str
    subject: str
    body: str
    payload: bytes
    picture: bytes = b""
    made_at: float = 0.0

    @property
    def key(self) -> str:
        """What tells a second delivery of the same notice."""
        return f"{self.anomaly.id}.{self.phase}.{self.route}"


class Links(NamedTuple):
    """Addresses of the page and of the API, without a slash at the end; empty: no link."""

    page: str
    api: str

    def to(self, anomaly_id: str) -> dict[str, str]:
        """Addresses at which an anomaly is shown."""
        links = {}
        if self.page:
            links["Page"] = f"{self.page}/?anomaly={anomaly_id}"
        if self.api:
            links["API"] = f"{self.api}/api/anomalies/{anomaly_id}"
        return links


def make_notice(
    telling: Telling, route: str, feed: Feed, links: Links, *, held: Mapping[str, int], picture: bytes, now: float
) -> Notice:
    """Put a telling into words and JSON."""
    anomaly, origin = telling
    found = links.to(anomaly.id)
    subject = subject_of(anomaly, telling.phase, origin)
    held_back = about_held(held)
    body = body_of(anomaly, telling.phase, origin, feed, found)
    payload = {
        "id": f"{anomaly.id}.{telling.phase}.{route}",
        "phase": telling.phase,
        "route": route,
        "origin": origin.value,
        "subject": subject,
        "words": body,
        "held_back": held_back,
        "links": {name.lower(): address for name, address in found.items()},
        "anomaly": anomaly_json(anomaly),
    }
    text = "\n\n".join(filter(None, (body, held_back)))
    return Notice(anomaly, telling.phase, route, subject, text, codec.to_json(payload), picture, now)


def anomaly_json(anomaly: Anomaly) -> dict[str, Any]:
    """An Anomaly as plain values, with its times in ISO 8601."""
    plain: dict[str, Any] = msgspec.to_builtins(anomaly)
    for name in _TIMES:
        plain[name] = _iso(plain[name])
    for contribution in plain["contributions"]:
        for sample in contribution["samples"]:
            sample["time"] = _iso(sample["time"])
    return plain


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
