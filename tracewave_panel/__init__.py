"""Watch a live public feed, be told when something unusual happens, be told why, and check it yourself.

In a notebook, ``tracewave_panel.live("synthetic")`` shows the page in a cell.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracewave_panel.notebook import LiveView, live

__all__ = ["LiveView", "__version__", "live"]

__version__ = version("tracewave-panel")


def __getattr__(name: str) -> Any:
    """What notebooks use, imported when first asked for: Panel takes seconds."""
    if name in {"LiveView", "live"}:
        from tracewave_panel import notebook  # noqa: PLC0415

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Names that are there, asked for or not."""
    return sorted({*globals(), *__all__})
