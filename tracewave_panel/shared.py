"""The one runtime of a process, for ``panel serve``, which runs its script once a session."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tracewave_panel.config import load_settings
from tracewave_panel.plan import Planner
from tracewave_panel.runtime import Runtime

__all__ = ["shared_runtime"]

_shared_lock = threading.Lock()
_shared: Runtime | None = None


def shared_runtime() -> Runtime:
    """The one runtime of this process, made and started when first asked for.

    For ``panel serve``, which runs its script once a session. Settings come from
    ``tracewave.toml`` and the environment, the source from ``TRACEWAVE_SOURCE`` (``auto``), the
    data folder from ``TRACEWAVE_DATA`` (``data``).
    """
    global _shared  # noqa: PLW0603 (a process has one pipeline, whoever asks first makes it)
    with _shared_lock:
        if _shared is None:
            settings = load_settings(None, os.environ)
            data = Path(os.environ.get("TRACEWAVE_DATA", "data"))
            planner = Planner(settings, os.environ.get("TRACEWAVE_SOURCE", "auto"), data=data)
            _shared = Runtime(settings, planner, data=data)
            _shared.start()
            threading.Thread(target=_stop_at_exit, args=(_shared,), name="tracewave-exit").start()
        return _shared


def _stop_at_exit(runtime: Runtime) -> None:
    """Wait for the main thread's end, then commit: the store's writer is joined, never cut off."""
    threading.main_thread().join()
    runtime.stop()
