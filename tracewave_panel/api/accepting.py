"""Which media type a client would rather have."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["best"]

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def best(accept: Sequence[str], offered: Sequence[str]) -> str | None:
    """Of what is offered, best first, what the Accept headers like most; None when they like none of it.

    The most specific range decides on a type (RFC 9110, 12.5.1); a range that cannot be read counts for nothing.

    Examples
    --------
    >>> best(["text/csv;q=0.5, application/json;q=0.4"], ["application/json", "text/csv"])
    'text/csv'
    >>> best(["text/*, text/csv;q=0"], ["text/csv"]) is None
    True
    >>> best([], ["application/json", "text/csv"])
    'application/json'
    """
    ranges = [found for each in ",".join(accept).split(",") if (found := _range(each))]
    if not "".join(accept).strip():
        return offered[0]
    liked = [(_liking(ranges, media), -index, media) for index, media in enumerate(offered)]
    quality, _, media = max(liked)
    return media if quality > 0 else None


def _range(text: str) -> tuple[str, float] | None:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            if not _QUALITY.fullmatch(value.strip()):
                return None
            quality = float(value)
    return (media, quality) if media.count("/") == 1 else None


def _liking(ranges: Sequence[tuple[str, float]], media: str) -> float:
    kind = media.partition("/")[0]
    for candidate in (media, f"{kind}/*", "*/*"):
        found = [quality for name, quality in ranges if name == candidate]
        if found:
            return max(found)
    return 0.0
