"""Where a reader stands, as text that it hands back unread."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal

__all__ = ["Listing", "OtherEpochError", "decode_cursor", "encode_cursor"]

Listing = Literal["windows", "scores", "anomalies"]
"""What a cursor counts."""

_WRITTEN = re.compile(r"(windows|scores|anomalies) (0|[1-9][0-9]{0,17}) (.*)", re.DOTALL)
_MOST = 400  # characters: an epoch is a name


class OtherEpochError(Exception):
    """The cursor is well formed and belongs to numbers that no longer hold."""


def encode_cursor(listing: Listing, number: int, epoch: str) -> str:
    """Text that leads on after the item of that number.

    Examples
    --------
    >>> decode_cursor(encode_cursor("windows", 41, "run 1"), "windows", "run 1")
    41
    """
    return _spelled(f"{listing} {number} {epoch}")


def decode_cursor(text: str, listing: Listing, epoch: str) -> int:
    """Return the number that a cursor leads on from; 0, the beginning, when it is empty.

    Raises
    ------
    ValueError
        When it is no cursor of this listing, with words for whoever sent it.
    OtherEpochError
        When it belongs to another epoch.
    """
    if not text:
        return 0
    try:
        written = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode() if len(text) <= _MOST else ""
    except (ValueError, UnicodeDecodeError):
        written = ""
    found = _WRITTEN.fullmatch(written)
    # Python's decoder passes over foreign characters: only the one spelling is a cursor
    if not found or _spelled(written) != text:
        raise ValueError("the cursor is not one of this API; send what an earlier answer gave, or leave it out")
    if found[1] != listing:
        raise ValueError(
            f"the cursor counts {found[1]}, and here {listing} are listed; each list has cursors of its own"
        )
    if found[3] != epoch:
        raise OtherEpochError
    return int(found[2])


def _spelled(written: str) -> str:
    return urlsafe_b64encode(written.encode()).rstrip(b"=").decode()
