"""Waiting for something to come true in a page.

Playwright's own ``wait_for_function`` evaluates text inside the page, again and again, and the pages'
Content-Security-Policy lets nobody do that; what a test evaluates once, from outside, is not held to it.
"""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Error


def wait_until(page: Any, expression: str, arg: Any = None, timeout: float = 30_000) -> None:
    """Ask a page or frame until the expression is true there; `timeout` is in milliseconds."""
    end = time.monotonic() + timeout / 1000
    while True:
        try:
            if page.evaluate(expression, arg):
                return
        except Error as error:
            # the page is being loaded anew
            if "context was destroyed" not in str(error) and "navigat" not in str(error):
                raise
        assert time.monotonic() < end, f"it did not come true in time: {expression}"
        page.wait_for_timeout(50)
