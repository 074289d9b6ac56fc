"""How the console looks: the tokens, the page, and raw Bokeh figures that follow the tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import panel as pn
from bokeh.core.templates import FILE
from bokeh.document import Document
from bokeh.models import Axis, Grid, Model, Range1d, Ticker, Tool
from bokeh.plotting import figure
from jinja2 import ChoiceLoader, FileSystemLoader, Template
from panel.io.document import init_doc
from panel.io.resources import component_resource_path

from .wording import one_line

__all__ = [
    "MONO",
    "SANS",
    "ConsoleTemplate",
    "Look",
    "asset",
    "detector_look",
    "paint",
    "plain_axis",
    "plain_figure",
    "plain_grid",
    "token",
]

ASSETS = Path(__file__).parent / "assets"
AXIS_LEFT, AXIS_RIGHT = 34, 8


class Look(NamedTuple):
    """A detector as a page shows it: name, colour token, what it sees in few words and in a sentence."""

    name: str
    colour: str
    sees: str = ""
    sentence: str = ""


DETECTORS = {
    "zscore": Look(
        "z-score", "--d-z", "sharp changes", "How far a window, or the mean of the last few, is from the last minutes."
    ),
    "ewma": Look(
        "EWMA", "--d-ewma", "small lasting changes", "A control chart: how far the smoothed level is from its baseline."
    ),
    "trees": Look(
        "Half-Space Trees", "--d-trees", "odd mixes of figures", "How rarely all figures of a window came together."
    ),
    "novelty": Look(
        "Novelty",
        "--d-novelty",
        "what was never there",
        "How far the latest stretch is from the stretch of the past most like it.",
    ),
    "seasonal": Look(
        "Seasonal",
        "--d-seasonal",
        "against time of day",
        "How far a window is from what this time of the day, and of the week once known, usually brings.",
    ),
}
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


def detector_look(name: str) -> Look:
    """How a detector is shown; one that is not known keeps its own name.

    >>> detector_look("zscore")[:3]
    ('z-score', '--d-z', 'sharp changes')
    """
    return DETECTORS.get(name) or Look(one_line(name, 20), "--text-2")


def plain_figure(x_range: Range1d, y_range: Range1d, ticker: Ticker, tools: Sequence[Tool]) -> figure:
    """Return a figure without frame, toolbar or margin, its grid at the ticks of a shared time axis.

    All figures keep the same room left and right, so that one moment is one column of pixels.
    """
    plot = figure(
        x_range=x_range,
        y_range=y_range,
        x_axis_type=None,
        y_axis_type=None,
        toolbar_location=None,
        tools=list(tools),
        sizing_mode="stretch_both",
        min_height=10,
        min_width=60,
        min_border=0,
        min_border_left=AXIS_LEFT,
        min_border_right=AXIS_RIGHT,
        outline_line_color=None,
    )
    # Opaque: a transparent canvas keeps ghosts of earlier frames along its edges.
    paint(plot, background_fill_color="--panel", border_fill_color="--panel")
    plot.add_layout(plain_grid(0, ticker))
    return plot


def plain_grid(dimension: Literal[0, 1], ticker: Ticker) -> Grid:
    """Return faint lines at the ticks."""
    grid = Grid(dimension=dimension, ticker=ticker)
    paint(grid, grid_line_color="--grid")
    return grid


def plain_axis(kind: type[Axis], **options: Any) -> Axis:
    """Return an axis that has nothing but its figures."""
    axis = kind(
        major_tick_line_color=None,
        minor_tick_line_color=None,
        axis_line_color=None,
        major_label_text_font=MONO,
        major_label_text_font_size="10px",
        major_label_standoff=6,
        major_tick_in=0,
        major_tick_out=0,
        **options,
    )
    paint(axis, major_label_text_color="--text-3")
    return axis


@cache
def _page() -> Template:
    """Compile the page once a process, not once a session."""
    known = FILE.environment
    loaders = [FileSystemLoader(ASSETS), *filter(None, [known.loader])]
    return known.overlay(loader=ChoiceLoader(loaders)).get_template("page.html")


class ConsoleTemplate(pn.Template):
    """The frame around the views: a CSS grid, the assets, and the scripts that outlive the server.

    Panel's own component route serves the assets, so that ``pn.serve`` and plain
    ``panel serve`` both have them and nothing is asked of another host.

    Parameters
    ----------
    variables
        What the page's template is told, such as the name of the page to open.
    items
        Views by the name of their place in the template.
    beside
        A model that belongs to the document and is nowhere drawn.
    """

    _resources: ClassVar[Any] = {
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

    def __init__(self, variables: Mapping[str, Any], items: Mapping[str, Any], *, beside: Model) -> None:
        super().__init__(_page(), items=dict(items))
        self._beside = beside
        for name, value in variables.items():
            self.add_variable(name, value)
        self.add_variable(
            "assets", component_resource_path(type(self), "_resources/assets", "assets").removesuffix("/")
        )

    def __repr__(self) -> str:
        """Short: Panel asks for it with every root, and the whole tree takes 10 ms each time."""
        return type(self).__name__

    def _init_doc(self, doc: Document | None = None, *args: Any, **options: Any) -> Document:
        """Add the roots with one look at the whole document instead of one for each root."""
        document = init_doc(doc or pn.state.curdoc)
        with document.models.freeze():
            super()._init_doc(document, *args, **options)
            document.roots[0].tags = [*document.roots[0].tags, self._beside]
        # The page itself knows when the server is gone, and loads anew when it is back (watchdog.js).
        document.config.update(reconnect_session=False, notify_connection_status=False)
        return document
