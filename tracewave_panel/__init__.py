"""Watch a live public feed, be told when something unusual happens, be told why, and check it yourself.

In a notebook, ``tracewave_panel.replay(path)`` runs a recording, or rows of your own, and gives tables and plots;
``tracewave_panel.history("data")`` answers SQL about what was kept; ``tracewave_panel.live("synthetic")`` shows the
page in a cell.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracewave_panel.notebook import Explanation, LiveView, Mapping, Past, Run, history, live, replay

__all__ = ["Explanation", "LiveView", "Mapping", "Past", "Run", "__version__", "history", "live", "replay"]

__version__ = version("tracewave-panel")


def __getattr__(name: str) -> Any:
    """What notebooks use, imported when first asked for: Panel takes seconds."""
    if name in __all__:
        from tracewave_panel import notebook  # noqa: PLC0415

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Names that are there, asked for or not."""
    return sorted({*globals(), *__all__})
