"""One HTTP connection to a server-sent event stream, and in words why there is none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, metadata

import httpx

from tracewave_panel.errors import ConfigError, FeedError, RefusedError
from tracewave_panel.sources.backoff import parse_retry_after

__all__ = ["EventStream", "refusal", "start_time", "user_agent"]

_PACKAGE = "tracewave-panel"

_ago = re.compile(r"(\d{1,6})\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_WHAT_TO_DO = {
    400: "the stream's name, the start time or the place to resume from was not understood: check the url and `since`",
    403: "it wants to know who reads: set a contact (an e-mail or web address), which goes into the User-Agent",
    404: "there is no such stream, or it has no such topic to resume: check the url",
    429: "too many connections or requests from this address: end other readers of this feed; it is tried again later",
}


def user_agent(contact: str, purpose: str) -> str:
    """Say who reads: ``tracewave-panel/VERSION (contact; purpose)``, with the project's address for no contact.

    Raises
    ------
    ConfigError
        When a header cannot hold the contact.
    """
    if not (contact.isascii() and contact.isprintable()):
        raise ConfigError(f"contact {contact!r} does not fit into a User-Agent: use plain ASCII on one line")
    try:
        package = metadata(_PACKAGE)
        version = package["Version"]
        addresses = [entry.partition(", ")[2] for entry in package.get_all("Project-URL") or ()]
    except PackageNotFoundError:
        version, addresses = "unknown", []
    who = contact or next(iter(addresses), "no contact set")
    return f"{_PACKAGE}/{version} ({who}; {purpose})"


def start_time(since: str, now: float) -> str:
    """ISO time to begin at, from an ISO time or how long ago (``90s``, ``10m``, ``2h``, ``1d``); empty for now.

    Raises
    ------
    ConfigError
        When it is neither.
    """
    if not since:
        return ""
    ago = _ago.fullmatch(since)
    try:
        if ago:
            moment = datetime.fromtimestamp(now, UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(since)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"since {since!r} is neither an ISO time nor a time ago such as '10m' or '2h'") from error
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def refusal(
    response: httpx.Response, now: float, *, advice: Mapping[int, str] = _WHAT_TO_DO, events: bool = True
) -> RefusedError | None:
    """Why a response is no stream, with what to do; None when it is one.

    Parameters
    ----------
    advice
        What to do about a status.
    events
        Whether server-sent events are wanted, and not lines of any type but a page.
    """
    status, host = response.status_code, response.url.host
    if response.is_success:
        kind = response.headers.get("content-type", "nothing")
        plain = kind.partition(";")[0].strip().lower()
        if plain == "text/event-stream" if events else plain != "text/html":
            return None
        return RefusedError(f"{host} answered with {kind}, not with an event stream: check the url and any proxy")
    if status in advice:
        words = advice[status]
    elif response.is_redirect:
        words = f"it moved to {response.headers.get('location', 'nowhere')}: set that as the url"
    elif response.is_server_error:
        words = "the server has trouble of its own; it is tried again"
    else:
        words = "the request was not accepted: check the url"
    wait = parse_retry_after(response.headers.get("retry-after", ""), now)
    return RefusedError(f"{host} answered {status}: {words}", retry_after=wait)


class EventStream:
    """Opens connections to one stream, one at a time.

    Parameters
    ----------
    agent
        Value of the ``User-Agent`` header.
    connect_timeout
        Most seconds for reaching the server.
    idle_timeout
        Most seconds without a byte, for the answer and ever after.
    headers
        Further ones; no message shows them.

    Raises
    ------
    ConfigError
        When `url` is not an http(s) address.
    """

    def __init__(
        self,
        url: str,
        *,
        agent: str,
        connect_timeout: float,
        idle_timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ConfigError(f"url {url!r} cannot be read: {error}") from error
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise ConfigError(f"url {url!r} is not a http:// or https:// address")
        self._idle_timeout = idle_timeout
        self._timeout = httpx.Timeout(connect_timeout, read=idle_timeout)
        self._longest_answer = connect_timeout + idle_timeout
        # uncompressed: a compressor holds events back, and arrival is stamped where bytes are read
        self._headers = {"User-Agent": agent, "Accept": "text/event-stream", "Accept-Encoding": "identity"} | dict(
            headers or {}
        )
        self._certificates = httpx.create_ssl_context()  # slow to load, so once

    @property
    def host(self) -> str:
        """Name of the server."""
        return self._url.host

    @asynccontextmanager
    async def connect(self, *, last_event_id: bytes = b"", since: str = "") -> AsyncIterator[httpx.Response]:
        """Send the request; the response is given whatever its status, see :func:`refusal`.

        Raises
        ------
        FeedError
            When the server cannot be reached, or the connection breaks while it is used.
        """
        url = self._url.copy_merge_params({"since": since}) if since else self._url
        resume = {b"Last-Event-ID": last_event_id} if last_event_id else {}
        client = httpx.AsyncClient(headers=self._headers, timeout=self._timeout, verify=self._certificates)
        try:
            async with client:
                async with asyncio.timeout(self._longest_answer):
                    response = await client.send(client.build_request("GET", url, headers=resume), stream=True)
                async with aclosing(response):
                    yield response
        except (httpx.HTTPError, TimeoutError) as error:
            raise FeedError(self._words(error)) from error

    def _words(self, error: Exception) -> str:
        match error:
            case httpx.ReadTimeout():
                return f"{self.host} sent no byte for {self._idle_timeout:g} s"
            case httpx.TimeoutException() | TimeoutError():
                return f"{self.host} did not answer in time"
            case httpx.ConnectError():
                return f"{self.host} cannot be reached: {error}"
            case httpx.RemoteProtocolError() | httpx.ReadError():
                return f"{self.host} cut the connection"
            case _:
                return f"the connection to {self.host} failed: {type(error).__name__}: {error}"
