"""Headers of every answer: what its page may load, who may frame it, and what is told to others."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform

from tracewave_panel.access import is_loopback

__all__ = ["LOOPBACK_FRAMES", "Framing", "PageHeaders", "policy_for", "with_nonces"]

LOOPBACK_FRAMES = ("http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*", "vscode-webview:", "vscode-file:")
"""Pages of this computer that may hold a notebook's page in a frame."""
_INLINE = re.compile(rb"<script(?=[\s>])(?![^>]*(?:\ssrc\s*=|application/json))", re.IGNORECASE)
_ALLOWED = "clipboard-write=(self), fullscreen=(self)"
_DENIED = (
    *(
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "hid",
        "idle-detection",
        "magnetometer",
    ),
    *("microphone", "midi", "payment", "publickey-credentials-get", "screen-wake-lock", "serial", "usb"),
)
PERMISSIONS = f"{_ALLOWED}, {', '.join(f'{name}=()' for name in _DENIED)}"


class Framing(NamedTuple):
    """Which sites may show the page in a frame, besides the page's own."""

    sites: tuple[str, ...] = ()

    @classmethod
    def notebook(cls, origins: Sequence[str]) -> Framing:
        """Let pages of this computer frame it, and those of the sites named."""
        told = [f"{scheme}://{name}" for name in origins for scheme in ("http", "https")]
        return cls((*LOOPBACK_FRAMES, *told))


def with_nonces(body: bytes, nonce: str) -> bytes:
    """The page with the nonce at each inline script that it came with.

    >>> with_nonces(b'<script>1</script><script src="a.js"></script>', "n")
    b'<script nonce="n">1</script><script src="a.js"></script>'
    """
    return _INLINE.sub(f'<script nonce="{nonce}"'.encode(), body)


def policy_for(nonce: str, host: str, framing: Framing) -> str:
    """Content-Security-Policy of a page.

    Inline scripts are those alone that the page came with: what is put into it later, such as text from a feed that
    was taken for HTML, runs nothing. ``blob:`` is how Panel loads its components, inline styles are how Bokeh places
    things. ``'self'`` holds the websocket for browsers of today, older ones want it named; an address of IPv6 is one
    that no policy can name.
    """
    sockets = "" if host.startswith("[") else f" ws://{host} wss://{host}"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' blob: 'nonce-{nonce}'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            f"connect-src 'self' blob:{sockets}",
            "form-action 'self'",
            "base-uri 'none'",
            _ancestors(framing),
        )
    )


def _ancestors(framing: Framing) -> str:
    return " ".join(("frame-ancestors 'self'", *framing.sites))


class PageHeaders(OutputTransform):
    """Adds them to each answer of a Tornado application, whichever handler gives it; made once a request."""

    def __init__(self, framing: Framing, request: HTTPServerRequest) -> None:
        super().__init__(request)
        self._framing = framing
        self._host = request.host
        self._secure = request.protocol == "https"

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add what each answer has, and what pages have."""
        headers.pop("Server", None)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Permissions-Policy"] = PERMISSIONS
        if self._secure or is_loopback(self._host):  # elsewhere browsers ignore it, and complain of it
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if not self._framing.sites:  # the older header knows no list
            headers["X-Frame-Options"] = "SAMEORIGIN"
        if headers.get("Content-Type", "").startswith("text/html") and finishing:
            nonce = secrets.token_urlsafe(16)
            chunk = with_nonces(chunk, nonce)
            headers["Content-Security-Policy"] = policy_for(nonce, self._host, self._framing)
            if "Content-Length" in headers:
                headers["Content-Length"] = str(len(chunk))
        else:
            inert = "default-src 'none'; style-src 'unsafe-inline'"
            headers["Content-Security-Policy"] = f"{inert}; {_ancestors(self._framing)}"
        return status_code, headers, chunk
