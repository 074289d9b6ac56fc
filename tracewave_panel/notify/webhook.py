"""Sends a notice as signed JSON to an address that the settings name."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

from tracewave_panel.notify.hidden import Address
from tracewave_panel.notify.notice import Notice, Outcome

__all__ = ["Webhook", "sign"]

_AGAIN = frozenset({408, 429})


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 of ``timestamp.body``, as the header ``Tracewave-Signature`` holds it.

    Examples
    --------
    What a receiver does, with the headers and the body as they came:

    >>> secret, timestamp, body = "a secret of 16 characters or more", "1700000000", b'{"phase":"opened"}'
    >>> given = sign(secret, timestamp, body)
    >>> expected = "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    >>> hmac.compare_digest(given, expected)
    True
    """
    signed = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={signed.hexdigest()}"


class Webhook:
    """POSTs notices to one address; follows no redirect, and waits `timeout` seconds in all.

    It uses no HTTP library that logs addresses, since an address may be a secret.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        parts = urlsplit(address.url)
        assert parts.hostname is not None  # routes.check_webhook saw to it
        self._host, self._port = parts.hostname, parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._secret = address.secret
        self._timeout = timeout

    @property
    def kind(self) -> str:
        """Where notices go, without what may be secret."""
        return f"{'https' if self._tls else 'http'}://{self._host}"

    def send(self, notice: Notice) -> Outcome:
        """Try once."""
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "tracewave",
            "Idempotency-Key": notice.key,
            "Tracewave-Timestamp": timestamp,
            "Tracewave-Signature": sign(self._secret, timestamp, notice.payload),
            "Connection": "close",
        }
        connection = self._connection()
        cut = _Deadline(connection, self._timeout)
        try:
            connection.connect()
            connection.request("POST", self._path, notice.payload, headers)
            response = connection.getresponse()
            return _judged(response.status, response.getheader("Retry-After", ""))
        except (OSError, http.client.HTTPException) as error:
            if cut.passed or isinstance(error, TimeoutError):
                return Outcome(f"no answer within {self._timeout:g} s")
            return Outcome(_why(error))
        finally:
            cut.cancel()
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)


class _Deadline:
    """Cuts a connection off after some seconds: a socket's own timeout starts anew with every byte."""

    def __init__(self, connection: http.client.HTTPConnection, seconds: float) -> None:
        self.passed = False
        self._connection = connection
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        self.passed = True
        held: socket.socket | None = self._connection.sock
        if held is not None:
            try:
                held.shutdown(socket.SHUT_RDWR)
            except OSError:  # it closed by itself meanwhile
                return

    def cancel(self) -> None:
        self._timer.cancel()


def _judged(status: int, retry_after: str) -> Outcome:
    if 200 <= status < 300:
        return Outcome()
    if 300 <= status < 400:
        return Outcome(f"answered {status}: redirects are not followed; write the address that it leads to")
    refused = 400 <= status < 500 and status not in _AGAIN
    after = float(retry_after) if retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 10 else 0.0
    return Outcome(f"answered {status}", final=refused, after=after)


def _why(error: Exception) -> str:
    """A reason without the address: texts of errors may hold it."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLError):
        return "no trusted TLS connection"
    if isinstance(error, socket.gaierror):
        return "the host's name is not known"
    if isinstance(error, http.client.HTTPException):
        return "the answer was not HTTP"
    if isinstance(error, ConnectionError):
        return "the connection was closed"
    return "the network failed"
