"""The console's colours outside its pages: plots and cards of notebooks take them by the same tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, TypeAlias

from tracewave_panel.app.theme import asset

__all__ = ["Ground", "colours", "severity_colour", "style_sheet"]

Ground: TypeAlias = Literal["dark", "light"]
"""What a plot is drawn on."""

_USED = (
    *("ground", "panel", "raised", "line", "line-strong", "grid", "text", "text-2", "text-3", "live", "below"),
    *("critical", "warning", "info", "d-z", "d-ewma", "d-trees", "d-novelty", "d-seasonal"),
)


@cache
def colours(ground: Ground) -> Mapping[str, str]:
    """Colour of every token on a ground, as ``#rrggbb`` or ``#rrggbbaa``.

    >>> colours("dark")["--live"], colours("light")["--panel"]
    ('#54cfe6', '#ffffff')
    """
    text = asset("tokens.css")
    found: dict[str, str] = {}
    for selector in (":root{", ":root[data-theme=light]{")[: 1 if ground == "dark" else 2]:
        block = text.split(selector, 1)[1].split("}", 1)[0]
        found |= dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]+)", block))
    return MappingProxyType(found)


def severity_colour(severity: str) -> str:
    """Token of a severity's colour."""
    return f"--{severity}" if severity in {"critical", "warning"} else "--info"


@cache
def style_sheet() -> str:
    """Return CSS variables for whatever theme the notebook has, under the class ``tracewave``.

    JupyterLab and Notebook 7 say their theme at the body, VS Code and Panel by a class or an attribute; elsewhere
    the system decides.
    """
    light, dark = (_variables(ground) for ground in ("light", "dark"))
    says = ("body[data-jp-theme-light=false]", ".vscode-dark", "[data-theme=dark]", ".dark")
    told = ":not([data-jp-theme-light]):not(.vscode-light):not([data-theme=light])"
    return (
        f".tracewave{{{light}}}"
        f"@media (prefers-color-scheme:dark){{body{told} .tracewave{{{dark}}}}}"
        f"{','.join(f'{each} .tracewave' for each in says)}{{{dark}}}"
    )


def _variables(ground: Ground) -> str:
    tokens = colours(ground)
    return "".join(f"--tw-{name}:{tokens[f'--{name}']};" for name in _USED)
