"""Who is let in: a cap on the sessions of a process, and what plain ``panel serve`` must not do."""

# mypy: allow-untyped-calls
# Panel types no constructor.

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakSet

import jinja2
import panel as pn
from bokeh.document import Document
from panel.io.resources import component_resource_path
from tornado.process import task_id

from tracewave_panel.access import Rate, client_of, is_loopback

from .theme import ConsoleTemplate, asset

__all__ = ["SESSIONS", "Door", "Refusal", "crowded_page", "refusal", "refused_page"]

SESSIONS = 100
"""Pages that one process shows at a time, unless told otherwise."""
RETRY, JITTER = 30.0, 10.0
"""Seconds after which a crowded page tries again, and the most that chance adds to them."""
OPEN = "TRACEWAVE_OPEN"
"""Environment switch by which an operator answers for who can reach the page."""

logger = logging.getLogger(__name__)


class Door:
    """Counts the sessions that are alive and lets in no more than a number of them.

    A session is alive from :meth:`admit` until Bokeh lets go of it: some seconds after its browser
    is gone, or after it was made and no browser came.

    Parameters
    ----------
    limit
        The most sessions at a time.
    rate
        How often one address may open a page; None, and for who works at this computer: as often as they like.
    """

    def __init__(self, limit: int = SESSIONS, rate: Rate | None = None) -> None:
        self.limit = limit
        self._rate = rate
        # weak: a document whose building failed is never told that its session ended
        self._inside: WeakSet[Document] = WeakSet()

    @property
    def watching(self) -> int:
        """How many sessions are alive."""
        return len(self._inside)

    def admit(self) -> bool:
        """Let the current session in, if there is room; outside of a session there always is."""
        document = pn.state.curdoc
        if document is None or document in self._inside:
            return True
        if len(self._inside) >= self.limit or self._hurries():
            return False
        self._inside.add(document)
        document.on_session_destroyed(self._leave)
        return True

    def _hurries(self) -> bool:
        request = getattr(_context(), "request", None)
        address = str(getattr(request, "remote_ip", None) or "127.0.0.1")
        return self._rate is not None and not is_loopback(address) and self._rate.wait(client_of(address)) > 0.0

    def _leave(self, context: Any) -> None:
        self._inside.discard(context._document)  # noqa: SLF001 (a context has no other way to its document)


class Refusal(NamedTuple):
    """Why nothing is shown: a title, a sentence, and what to do, as pairs of words and a command or setting."""

    title: str
    words: str
    advice: tuple[tuple[str, str], ...]


PROCESSES = Refusal(
    "One process, please",
    "This page runs the feed inside the server's process, and --num-procs asks for several. Each would count every "
    "event again. Nothing was started.",
    (
        ("Serve it with one process", "panel serve tracewave_panel/app/main.py"),
        ("Or with Tracewave's own server", "tracewave serve"),
    ),
)
STRANGERS = Refusal(
    "Open to this computer only",
    "This server asks nobody who they are, and the request may come from elsewhere, so nothing of the feed is shown.",
    (
        ("Let only this computer in", "panel serve tracewave_panel/app/main.py --address 127.0.0.1"),
        ("Or have visitors sign in", "panel serve ... --basic-auth PASSWORD --cookie-secret SECRET"),
        ("Or answer for it, where something before the server lets nobody else in", f"{OPEN}=1"),
    ),
)
LOCKED = Refusal(
    "Behind a password",
    "The settings have a password or a provider for signing in, and plain panel serve asks for neither, so nothing of "
    "the feed is shown.",
    (
        ("Tracewave's own server asks for it", "tracewave serve"),
        ("Or have panel serve ask", "panel serve ... --basic-auth PASSWORD --cookie-secret SECRET"),
    ),
)


def refusal(environment: Mapping[str, str], command: Sequence[str], *, locked: bool = False) -> Refusal | None:
    """Why the current session of plain ``panel serve`` must show nothing, or None.

    What a session's token claims (its headers and cookies) is not believed: anybody can write one. The
    connection's own peer is, and so is what a proxy adds to a request, which no visitor can take out.
    A proxy on this computer that says nothing of the visitor cannot be told from a visitor on it.

    Parameters
    ----------
    environment
        ``TRACEWAVE_OPEN=1`` allows every visitor.
    command
        How the process was started: ``sys.orig_argv``.
    locked
        Whether the settings want visitors to sign in.
    """
    reason = None
    if task_id() is not None or _told(command, "--num-procs", "--num-p") not in {None, "1"}:
        reason = PROCESSES
    elif locked and not _asks_who():
        reason = LOCKED
    elif environment.get(OPEN) != "1" and not _asks_who() and not _from_here(command):
        reason = STRANGERS
    if reason:
        _log(reason)
    return reason


@cache
def _log(reason: Refusal) -> None:
    """Once a process: every visitor would say it again."""
    advice = "; ".join(f"{words}: {command}" for words, command in reason.advice)
    logger.error("refused to show the page. %s %s", reason.words, advice)


def _told(command: Sequence[str], option: str, shortest: str) -> str | None:
    """Value of an option on a command line, also when it is shortened as argparse allows."""
    told = None
    for place, word in enumerate(command):
        name, equals, value = word.partition("=")
        if option.startswith(name) and name.startswith(shortest):
            told = value if equals else next(iter(command[place + 1 : place + 2]), None)
    return told


def _asks_who() -> bool:
    """Whether an authentication provider stands before every page; only one that does has a way to log out."""
    leaves = getattr(_context(), "logout_url", None)
    return bool(leaves and not pn.config.oauth_optional and not pn.config.oauth_guest_endpoints)


def _from_here(command: Sequence[str]) -> bool:
    """Whether the server listens to this computer, or was told nothing, and the request came from it."""
    address = _told(command, "--address", "--add")
    if address is not None and not is_loopback(address):
        return False
    request = getattr(_context(), "request", None)
    # without a request it is a warm-up, which nobody sees
    return request is None or all(map(is_loopback, _parties(request)))


def _context() -> Any:
    return pn.state.curdoc.session_context if pn.state.curdoc else None


def _parties(request: Any) -> Iterator[str]:
    """Everybody and every name on the way of a request: its peer, its host, and what proxies say of them."""
    connection = getattr(request, "connection", None)
    peer = getattr(getattr(connection, "context", None), "address", None)
    yield peer[0] if isinstance(peer, tuple) else "unknown"
    yield str(request.remote_ip)
    yield str(request.host)
    headers = request._request.headers  # noqa: SLF001 (its public ones are the token's)
    for name in ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"):
        for value in headers.get_list(name):
            yield from value.split(",")
    for value in headers.get_list("Forwarded"):
        for part in value.replace(",", ";").split(";"):
            key, _, named = part.strip().partition("=")
            if key.lower() in {"for", "host"}:
                yield named.strip('"')


@cache
def _page() -> jinja2.Template:
    return jinja2.Environment(autoescape=True).from_string(asset("notice.html"))


class _Notice(pn.Template):
    """A page of words: no script of Bokeh's, so no websocket, and its session is let go unused."""

    def __init__(self, **words: Any) -> None:
        super().__init__(_page())
        assets = component_resource_path(ConsoleTemplate, "_resources/assets", "assets").removesuffix("/")
        for name, value in {"assets": assets, **words}.items():
            self.add_variable(name, value)


def crowded_page(door: Door) -> pn.Template:
    """Page for somebody for whom there is no room; it tries again by itself."""
    watching = f"{door.watching:,} page{'s are' if door.watching != 1 else ' is'} open at this moment"
    full = door.watching >= door.limit
    why = f"{watching}, as many as this server shows." if full else "Many pages were opened from your address of late."
    return _Notice(
        heading="Full house" if full else "One moment",
        words=f"{why} Nothing is lost: the feed is read and judged as ever.",
        after="This page tries again by itself in about half a minute.",
        retry=round(RETRY + random.uniform(0.0, JITTER)),  # noqa: S311 (spreads them, keeps no secret)
    )


def refused_page(refused: Refusal) -> pn.Template:
    """Page that says why nothing is shown and what to do."""
    return _Notice(heading=refused.title, words=refused.words, advice=refused.advice)
