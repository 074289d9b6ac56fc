"""What may become a label: words of our own, and few of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["MOST", "OTHER", "known", "plain", "plain_key"]

OTHER = "other"
"""What stands for every value that is not known."""
MOST = 50
"""Values that one label has at most."""
_PLAIN = re.compile(r"[\w .:/{}+-]{1,80}")


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Text that is short and free of markup, quotes and control characters, or ``other``.

    >>> plain("binance:BTC-USD"), plain('a"} 1'), plain("x" * 81)
    ('binance:BTC-USD', 'other', 'other')
    """
    return text if _PLAIN.fullmatch(text) and text.isprintable() else OTHER


@lru_cache(maxsize=4096)
def plain_key(key: tuple[str, ...]) -> tuple[str, ...]:
    """Name of a figure with label values that are plain."""
    return key[0], *map(plain, key[1:])


def known(values: Iterable[str]) -> dict[str, str]:
    """The values that a label may have, each once, ``other`` included; look up others with ``.get(value, OTHER)``."""
    kept = dict.fromkeys(value for value in values if plain(value) != OTHER)
    return {value: value for value in (*tuple(kept)[: MOST - 1], OTHER)}
