"""What a Jupyter kernel needs before it can show a plot in a cell."""

# mypy: allow-untyped-calls
# HoloViews types no constructor.

from __future__ import annotations

import sys
from typing import Any

import holoviews as hv
from holoviews.plotting import bokeh as _drawn_by_bokeh  # noqa: F401 (registers the backend)

__all__ = ["shown_inline"]


def shown_inline() -> None:
    """Put what draws plots into the notebook, once a kernel; nothing where there is none, or it is there already.

    It comes from the installed packages, so that a plot asks no other machine for anything.
    """
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if hasattr(shell, "kernel") and not hv.extension._loaded:  # noqa: SLF001 (it says so nowhere else)
        hv.extension("bokeh", inline=True, logo=False)
