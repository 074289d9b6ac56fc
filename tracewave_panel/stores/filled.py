"""Wait until a writer has filled in what history lacked."""

from __future__ import annotations

import time

from tracewave_panel.errors import StoreError
from tracewave_panel.stores.backfill import Filled
from tracewave_panel.stores.rows import Filling
from tracewave_panel.stores.writer import Writer

__all__ = ["await_filled"]


def await_filled(writer: Writer, filling: Filling, timeout: float) -> Filled:
    """Return what was filled in, once it is committed.

    Raises
    ------
    StoreError
        When that takes too long, the disk fails, or what was to be filled in cannot be stored.
    """
    ends = time.monotonic() + timeout
    # a job is done after a commit: it may be one that was on its way before, never three times
    for _ in range(3):
        writer.run(lambda _: None, max(0.0, ends - time.monotonic()))
        if filling.written is not None:
            return Filled(*filling.written)
    raise StoreError("what was to be filled in could not be stored: no column holds it, or too much waited")
