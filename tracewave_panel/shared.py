"""The one runtime of a process, for ``panel serve``, which runs its script once a session."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path

from tracewave_panel.config import Settings, load_settings
from tracewave_panel.plan import Planner
from tracewave_panel.runtime import Runtime

__all__ = ["shared_runtime", "shared_settings"]

_shared_lock = threading.Lock()
_shared: Runtime | None = None


@cache
def shared_settings() -> Settings:
    """Settings of this process, from ``tracewave.toml`` and the environment, read when first asked for.

    Raises
    ------
    ConfigError
        When one of them cannot be used.
    """
    return load_settings(None, os.environ)


def shared_runtime() -> Runtime:
    """The one runtime of this process, made and started when first asked for.

    For ``panel serve``, which runs its script once a session. Settings are :func:`shared_settings`,
    the source comes from ``TRACEWAVE_SOURCE`` (``auto``), the data folder from ``TRACEWAVE_DATA``
    (``data``).
    """
    global _shared  # noqa: PLW0603 (a process has one pipeline, whoever asks first makes it)
    with _shared_lock:
        if _shared is None:
            settings = shared_settings()
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
