"""How the console looks: the tokens, the page, and raw Bokeh figures that follow the tokens."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import panel as pn
from bokeh.models import DatetimeTicker, Model, Range1d
from bokeh.plotting import figure
from panel.io.resources import component_resource_path

__all__ = ["MONO", "SANS", "ConsoleTemplate", "asset", "paint", "plain_figure", "token"]

ASSETS = Path(__file__).parent / "assets"
AXIS_LEFT, AXIS_RIGHT = 34, 8
MONO, SANS = "JetBrains Mono Variable, monospace", "Inter Variable, sans-serif"


def asset(name: str) -> str:
    """Text of a file among the assets."""
    return (ASSETS / name).read_text(encoding="utf-8")


@cache
def _dark_tokens() -> dict[str, str]:
    dark = asset("tokens.css").split(":root{", 1)[1].split("}", 1)[0]
    return dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]+)", dark))


def token(name: str) -> str:
    """Colour of a token in the dark theme, the one that every page starts with."""
    return _dark_tokens()[name]


def paint(model: Model, **tokens: str | tuple[str, ...]) -> None:
    """Colour properties of a Bokeh model by token, so that the page can repaint it in the other theme.

    Canvas knows no CSS variables: the tokens travel in the model's tags, and ``console.js`` sets
    the properties again whenever the theme changes.
    """
    for name, value in tokens.items():
        colours = token(value) if isinstance(value, str) else [token(each) for each in value]
        setattr(model, name, colours)
    model.tags = [*model.tags, {"paint": tokens}]


def plain_figure(x_range: Range1d, y_range: Any, *, axis: bool = False, **options: Any) -> figure:
    """Return a figure without frame, toolbar or margin, on the shared time axis.

    All figures keep the same room left and right, so that one moment is one column of pixels.
    """
    plot = figure(
        x_range=x_range,
        y_range=y_range,
        x_axis_type="datetime",
        toolbar_location=None,
        sizing_mode="stretch_both",
        min_height=10,
        min_width=60,
        min_border=0,
        min_border_left=AXIS_LEFT,
        min_border_right=AXIS_RIGHT,
        outline_line_color=None,
        background_fill_alpha=0,
        border_fill_alpha=0,
        tools=options.pop("tools", ""),
        output_backend="canvas",
        **options,
    )
    time_axis, value_axis = plot.xaxis[0], plot.yaxis[0]
    time_axis.ticker = DatetimeTicker(desired_num_ticks=8)
    plot.xgrid.ticker = time_axis.ticker
    time_axis.visible = axis
    for each in (time_axis, value_axis):
        each.major_tick_line_color = each.minor_tick_line_color = None
        each.major_label_text_font = MONO
        each.major_label_text_font_size = "10px"
        each.axis_line_color = None
        paint(each, major_label_text_color="--text-3")
    value_axis.major_label_standoff = 6
    value_axis.major_tick_in = value_axis.major_tick_out = 0
    for grid in plot.grid:
        paint(grid, grid_line_color="--grid")
    return plot


class ConsoleTemplate(pn.Template):
    """The page around the views: a CSS grid, the assets, and the scripts that outlive the server.

    Panel's own component route serves the assets, so that ``pn.serve`` and plain
    ``panel serve`` both have them and nothing is asked of another host.
    """

    _resources: ClassVar[dict[str, dict[str, Any]]] = {
        "css": {},
        "js": {},
        "js_modules": {},
        "tarball": {},
        "assets": {
            path.name: f"assets/{path.relative_to(ASSETS).as_posix()}"
            for path in sorted(ASSETS.rglob("*"))
            if path.suffix in {".css", ".js", ".woff2", ".svg"} and path.parent.name != "components"
        },
    }

    def __init__(self, **items: Any) -> None:
        super().__init__(asset("page.html"), items=items)
        self.add_variable(
            "assets", component_resource_path(type(self), "_resources/assets", "assets").removesuffix("/")
        )
