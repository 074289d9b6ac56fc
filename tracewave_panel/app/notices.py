"""Notices in words: what a person may silence, what is silenced, and how the routes stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Anomaly, AnomalyKind, Label, Mute
from tracewave_panel.ports import Console, Control, RouteStatus

from .wording import length, one_line

__all__ = ["Said", "Silence", "ago", "kind_words", "mute_of", "muted_json", "mutes_on", "notices_json"]

HOUR = 3600.0
DAY = 24 * HOUR
NEVER = "never"
Silence: TypeAlias = Literal["hour", "four_hours", "until_closed", "day", "until_undone"]
"""What a card offers: the first three for its episode, the others for its kind."""
_SPANS: Mapping[Silence, float] = {"hour": HOUR, "four_hours": 4 * HOUR, "day": DAY}
_KINDS: Mapping[str, str] = {
    "": "everything",
    AnomalyKind.RATE_UP: "surges",
    AnomalyKind.RATE_DOWN: "drops",
    AnomalyKind.MIX_SHIFT: "mix shifts",
    AnomalyKind.FEED_SILENT: "a silent feed",
}


class Said(NamedTuple):
    """What people said to a pipeline, the same for every session.

    Attributes
    ----------
    labels
        By the anomaly's id.
    mutes
        Those that hold.
    notified
        Whether there is a route by which notices are sent.
    """

    labels: Mapping[str, Label] = {}
    mutes: tuple[Mute, ...] = ()
    notified: bool = False

    @classmethod
    def to(cls, control: Control) -> Said:
        """What holds at this moment."""
        return cls(
            dict(control.labels()), getattr(control, "mutes", tuple)(), bool(getattr(control, "routes", tuple)())
        )


def kind_words(feed: Feed, kind: str, metric: str = "", series: str = "") -> str:
    """All of a sort in words; what is empty stands for every one.

    >>> from tracewave_panel.feeds import CRYPTO, WIKIMEDIA
    >>> kind_words(WIKIMEDIA, "rate_up", "rate", "edits")
    'surges in edits'
    >>> kind_words(CRYPTO, "rate_down", "price", "kraken:BTC-USD")
    'drops in price on kraken:BTC-USD'
    >>> kind_words(WIKIMEDIA, "")
    'everything'
    """
    noun = next((each.noun for each in feed.metrics if each.name == metric), metric)
    words = _KINDS.get(kind, kind)
    if noun and kind != AnomalyKind.FEED_SILENT:
        words = f"{words} in {noun}"
    return one_line(f"{words} on {series}" if series not in {"", noun} else words, 120)


def mute_of(anomaly: Anomaly, silence: Silence, now: float, by: str = "") -> Mute:
    """What somebody asks for on a card at `now`, in epoch seconds; asked again it replaces the one before."""
    until = now + _SPANS[silence] if silence in _SPANS else None
    if silence in {"hour", "four_hours", "until_closed"}:
        return Mute(f"episode:{anomaly.id}", now, until, anomaly_id=anomaly.id, by=by)
    series, metric, kind = anomaly.series, anomaly.metric, anomaly.kind.value
    return Mute(f"kind:{series}:{metric}:{kind}", now, until, series=series, metric=metric, kind=kind, by=by)


def mutes_on(anomaly: Anomaly, mutes: Iterable[Mute]) -> tuple[Mute, ...]:
    """Mutes that keep back what is still to be told of an anomaly, all of `mutes` being such that hold."""
    first = float("-inf")
    return tuple(
        mute for mute in mutes if mute.silences(anomaly, first) and not (mute.anomaly_id and anomaly.closed is not None)
    )


def muted_json(mutes: Iterable[Mute]) -> list[dict[str, Any]]:
    """What a card says of the mutes that are on it; one that is wider than its kind is not undone there."""
    return [_mute(mute, _on_card(mute)) | {"undo": bool(mute.anomaly_id or mute.kind)} for mute in mutes]


def _on_card(mute: Mute) -> str:
    if mute.anomaly_id:
        return "Notices snoozed"
    if mute.kind:
        return "Notices of this kind are muted"
    return "Notices of this series are muted" if mute.series or mute.metric else "All notices are muted"


def notices_json(
    console: Console, routes: Iterable[RouteStatus], mutes: Iterable[Mute], now: float
) -> dict[str, Sequence[Any]]:
    """How the routes stand at `now`, in epoch seconds, and the mutes as a list says them: an episode by its title."""
    listed = (_listed(mute, console) for mute in mutes)
    return {"routes": [_route(route, now) for route in routes], "mutes": [*filter(None, listed)]}


def _listed(mute: Mute, console: Console) -> dict[str, Any] | None:
    if not mute.anomaly_id:
        return _mute(mute, _sentence(kind_words(console.feed, mute.kind, mute.metric, mute.series)))
    anomaly = console.store.anomaly(mute.anomaly_id)
    if anomaly is None:
        return _mute(mute, mute.anomaly_id)
    is_over = anomaly.closed is not None and mute.until is None  # it was to hold until then
    return None if is_over else _mute(mute, anomaly.title)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _mute(mute: Mute, words: str) -> dict[str, Any]:
    return {
        "id": mute.id,
        "words": one_line(words, 120),
        "episode": bool(mute.anomaly_id),
        "until": mute.until,
        "at": mute.given_at,
        "by": one_line(mute.by, 40),
    }


def _route(route: RouteStatus, now: float) -> dict[str, Any]:
    return {
        "name": one_line(route.name, 60),
        "counts": [f"{count:,}" for count in (route.sent, route.waiting, route.failed, route.held)],
        "last": NEVER if route.last_sent is None else ago(now - route.last_sent),
        "trouble": _trouble(route),
    }


def _trouble(route: RouteStatus) -> str:
    let_go = f"{route.given_up:,} given up after too many tries" if route.given_up else ""
    return "; ".join(filter(None, (let_go, one_line(route.last_error, 200))))


def ago(seconds: float) -> str:
    """How long since, in its largest unit.

    >>> [ago(seconds) for seconds in (-1, 7.9, 150, 7_320, 90_000)]
    ['0 s ago', '7 s ago', '2 min ago', '2 h ago', '1 d ago']
    """
    number, unit, *_ = length(seconds).split()
    return f"{number} {unit} ago"
