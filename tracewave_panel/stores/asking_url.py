"""Ask a history over the API of the server that keeps it, wherever that runs."""

from __future__ import annotations

import os
import ssl
import time
from typing import IO

import httpx
import msgspec

from tracewave_panel.elsewhere import looked_up
from tracewave_panel.errors import ConfigError, QueryError, StoreError

__all__ = ["ask_url", "sql_address", "token_from"]

ARROW = "application/vnd.apache.arrow.stream"

EXCHANGE = 10.0
"""Seconds that a server may take beside the query."""

_CONNECT = 10.0  # seconds
_WHOLE = 300.0  # seconds in which an answer must have arrived
_MAX_ANSWER = 1 << 29  # bytes
_MAX_WORDS = 1 << 16
_BUSY = frozenset({429, 503})
_WRONG = frozenset({400, 413, 422})


class _Problem(msgspec.Struct, frozen=True):
    detail: str = ""


def ask_url(
    place: str,
    sql: str,
    out: IO[bytes],
    *,
    max_rows: int,
    timeout: float,
    token: str = "",
    patience: float = 0.0,
    exchange: float = EXCHANGE,
) -> str:
    """Write the rows of an answer to `out` as an Arrow stream, and say who gave it.

    No proxy of the environment is used, and no redirect followed, so that the token goes nowhere else.

    Raises
    ------
    ConfigError, QueryError, StoreError
        As :func:`~tracewave_panel.stores.asking.ask_history` does.
    """
    url = sql_address(place)
    host = f"{url.scheme}://{url.netloc.decode()}"
    headers = {"accept": ARROW, "user-agent": "tracewave"}
    if secret := token_from(token):
        headers["authorization"] = f"Bearer {secret}"
    order = {"sql": sql, "max_rows": max_rows, "timeout": timeout}
    until = time.monotonic() + patience
    limits = httpx.Timeout(timeout + exchange, connect=_CONNECT, write=exchange)
    trusted = httpx.create_ssl_context() if url.scheme == "https" else False  # with the environment's authorities
    try:
        with httpx.Client(timeout=limits, trust_env=False, verify=trusted) as client:
            while True:
                with client.stream("POST", url, json=order, headers=headers) as response:
                    if response.is_success:
                        _take(response, out, host)
                        return f"the server at {host}"
                    wait = _wait(response)
                    if response.status_code not in _BUSY or time.monotonic() + wait > until:
                        raise _refusal(response, host, known=bool(secret))
                time.sleep(wait)
    except httpx.ConnectError as error:
        raise _unreachable(error, host) from error
    except httpx.TimeoutException as error:
        raise StoreError(f"{host} does not answer in time; is it the right address, and is the server well?") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StoreError(f"{host} broke off: {str(error) or type(error).__name__}; ask again") from error


def sql_address(place: str) -> httpx.URL:
    """Address that answers SQL, from that of the server, of its API or of this.

    Raises
    ------
    ConfigError
        When it is none, or holds a password.

    Examples
    --------
    >>> str(sql_address("http://127.0.0.1:8000"))
    'http://127.0.0.1:8000/api/sql'
    >>> str(sql_address("https://example.org/tracewave/api/"))
    'https://example.org/tracewave/api/sql'
    """
    try:
        url = httpx.URL(place)
    except httpx.InvalidURL as error:
        raise ConfigError(f"the address is none: {error}; write it as http://127.0.0.1:8000") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigError("an address begins with http:// or https:// and a name, such as http://127.0.0.1:8000")
    if url.userinfo or url.query or url.fragment:
        raise ConfigError("an address holds no password, ? or #; a token is given with --token or TRACEWAVE_TOKEN")
    path = url.path.rstrip("/").removesuffix("/sql").removesuffix("/api")
    return url.copy_with(path=f"{path}/api/sql")


def token_from(given: str) -> str:
    """A token as it is, from ``env:NAME``, ``file:PATH``, or without one the environment's TRACEWAVE_TOKEN.

    Raises
    ------
    ConfigError
        When the variable or the file is missing, or what it holds is no token; its content is not shown.
    """
    if given:
        value, where = looked_up(given.strip(), "token", os.environ), "the token"
    else:
        value, where = os.environ.get("TRACEWAVE_TOKEN", "").strip(), "TRACEWAVE_TOKEN"
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ConfigError(f"{where} is none: it has letters that no token has; `tracewave token` makes one")
    return value


def _take(response: httpx.Response, out: IO[bytes], host: str) -> None:
    kind = response.headers.get("content-type", "nothing").partition(";")[0].strip().lower()
    if kind != ARROW:
        raise StoreError(
            f"{host} answered with {kind}, not with rows: is this the address of the API? `tracewave serve` prints it"
        )
    deadline, size = time.monotonic() + _WHOLE, 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > _MAX_ANSWER or time.monotonic() > deadline:
            raise StoreError(f"{host} does not end its answer; ask for less")
        out.write(piece)


def _wait(response: httpx.Response) -> float:
    """Seconds that a busy server asks to wait."""
    said = response.headers.get("retry-after", "")
    return min(float(said), 60.0) if said.isdecimal() else 1.0


def _refusal(response: httpx.Response, host: str, *, known: bool) -> StoreError:
    status = response.status_code
    detail = _words(response)
    if status in _WRONG and detail:
        return QueryError(detail)
    if response.is_redirect:
        return StoreError(f"{host} says that it moved to {response.headers.get('location', 'nowhere')!r}; ask there")
    if not detail:
        detail = "it says no more; is this the address of the API? `tracewave serve` prints it"
    if status == httpx.codes.UNAUTHORIZED and not known:
        detail += " (give a token with --token or TRACEWAVE_TOKEN; `tracewave token` makes one)"
    if status in _BUSY:
        detail += f" (it asks to wait {_wait(response):g} s)"
    return StoreError(f"{host} answered {status}: {detail}")


def _words(response: httpx.Response) -> str:
    """What the server says of it, made safe for a terminal."""
    body = b""
    for piece in response.iter_bytes():
        body += piece
        if len(body) > _MAX_WORDS:
            return ""
    try:
        detail = msgspec.json.decode(body, type=_Problem).detail
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return "".join(char if char.isprintable() else "?" for char in detail)


def _unreachable(error: httpx.ConnectError, host: str) -> StoreError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = f"its certificate is not trusted ({cause.verify_message}); SSL_CERT_FILE names your own authority's"
    elif cause is not None:
        reason = f"there is no TLS to be had ({cause.reason or cause}); is it http:// instead?"
    else:
        reason = f"{error}; does the server run there, and with its API?"
    return StoreError(f"{host} cannot be reached: {reason}")
