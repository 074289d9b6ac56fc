"""Recall against the size of the effect, a line a detector."""

from __future__ import annotations

import io
from collections.abc import Sequence

from tracewave_panel.errors import ConfigError
from tracewave_panel.lab.cases import RecallRow

__all__ = ["recall_picture", "require_matplotlib"]

_SHOWN = 60  # seconds of the incidents in the picture
_DISPERSION = 8.0


def require_matplotlib() -> None:
    """Raise ConfigError when matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401, PLC0415 (optional)
    except ImportError as error:
        raise ConfigError("a picture needs matplotlib: pip install 'tracewave-panel[lab]'") from error


def recall_picture(rows: Sequence[RecallRow]) -> bytes:
    """Draw an SVG: rises and falls of a minute at dispersion 8.

    Raises
    ------
    ConfigError
        When matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    shown = sorted(
        (row for row in rows if row.case.length == _SHOWN and row.dispersion == _DISPERSION),
        key=lambda row: row.case.effect,
    )
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name in shown[0].by if shown else ():
        points = [(100.0 * (row.case.effect - 1.0), row.by[name].recall) for row in shown]
        strong = name == "ensemble"
        axes.plot(*zip(*points, strict=True), marker="o", label=name, linewidth=2.5 if strong else 1.2, markersize=4)
    axes.axvline(0.0, color="0.7", linewidth=0.8)
    axes.set(xlabel="change of the rate for 60 s, %", ylabel="recall", ylim=(-0.02, 1.02))
    axes.set_title(f"Planted incidents found, dispersion {_DISPERSION:g}")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "recall"}):  # the same rows make the same bytes
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
