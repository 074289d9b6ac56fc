"""Which ground a plot is drawn on, and how one that follows the notebook's theme does so."""

# mypy: allow-untyped-calls
# Bokeh types no constructor.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from bokeh.models import CustomJS

from tracewave_panel.errors import ConfigError

from .colours import colours
from .frame import Theme

__all__ = ["followed", "ground_of"]

# The plot is drawn light and without a ground, of which a white seam would stay. Once it is laid out, the page is
# asked whether it is dark; if so, every colour that a token of the light ground has becomes that token's dark one.
_FOLLOW = """
const root = document.documentElement, {dataset, classList} = document.body;
const told = {"vscode-dark": true, "vscode-light": false, "dark": true};
const named = root.dataset.theme ?? dataset.theme;
const word = Object.keys(told).find((each) => classList.contains(each));
const dark = dataset.jpThemeLight !== undefined ? dataset.jpThemeLight === "false"
  : word !== undefined ? told[word]
  : named ? named === "dark"
  : matchMedia("(prefers-color-scheme:dark)").matches;
const ground = grounds[dark ? "dark" : "light"];
if (figure.border_fill_color === ground) return;
figure.background_fill_color = figure.border_fill_color = ground;
figure.styles = {"background-color": ground};
if (!dark) return;
const darker = (value) => (typeof value === "string" ? pairs[value.toLowerCase()] ?? value : value);
for (const model of figure.references()) {
  for (const property of model) {
    if (!/color|palette/.test(property.attr)) continue;
    const value = property.get_value();
    if (typeof value === "string") model[property.attr] = darker(value);
    else if (Array.isArray(value)) model[property.attr] = value.map(darker);
    else if (value && typeof value.value === "string") model[property.attr] = {...value, value: darker(value.value)};
  }
  if (model.type !== "ColumnDataSource") continue;
  for (const name of ["colour", "shade", "color"])
    if (name in model.data) model.data = {...model.data, [name]: Array.from(model.data[name], darker)};
}
"""
# what is drawn; where two of them have one colour on the light ground, the first is meant
_DRAWN = (
    *("--panel", "--text", "--text-2", "--text-3", "--line", "--line-strong", "--grid", "--live", "--expected"),
    *("--band-outer", "--band-inner", "--backfill", "--partial", "--hatch", "--hatch-ground", "--critical"),
    *("--warning", "--info", "--critical-tint", "--warning-tint", "--info-tint", "--d-z", "--d-ewma", "--d-trees"),
    *("--d-novelty", "--d-seasonal", "--a-0", "--a-1", "--a-2", "--a-3", "--a-4", "--a-5"),
)


def ground_of(theme: Theme) -> Mapping[str, str]:
    """Colours that a plot begins with.

    Raises
    ------
    ConfigError
        When there is no such theme.
    """
    if theme not in get_args(Theme):
        raise ConfigError(f"theme={theme!r} is not allowed; it is one of {', '.join(get_args(Theme))}")
    return colours("dark" if theme == "dark" else "light")


def followed(theme: Theme) -> Callable[[Any, Any], None]:
    """Have a figure take the page's theme when it is shown; nothing where a ground was asked for."""

    def follow(plot: Any, _: Any) -> None:
        if theme != "auto":
            return
        figure = plot.state
        figure.background_fill_color = figure.border_fill_color = None
        if not plot.handles.get("follows"):
            plot.handles["follows"] = True
            light, dark = colours("light"), colours("dark")
            pairs = {light[name][:long]: dark[name][:long] for name in reversed(_DRAWN) for long in (7, 9)}
            told = {"figure": figure, "pairs": pairs, "grounds": {"light": light["--panel"], "dark": dark["--panel"]}}
            figure.js_on_change("inner_width", CustomJS(args=told, code=_FOLLOW))

    return follow
