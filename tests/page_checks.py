"""What can be judged of a page without eyes: cut, overlapping, jumping and faint text, width, and what axe-core finds.

Every check returns sentences, one a fault; none means that nothing was found. Text that a canvas draws is not seen.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path

__all__ = ["axe_source", "check_axe", "check_contrast", "check_jumps", "check_layout"]

SOURCE = Path(__file__).with_name("page_checks.js")
ALLOWED: dict[str, dict[str, str]] = {
    "cut": {},
    "overlap": {},
    "sideways": {},
    "faint": {},
    "jumps": {".glass": "lies over the plots and moves with their time axis"},
}
"""Selectors that a check leaves out, each with its reason."""
GRAVE = ("serious", "critical")


def _checks(page) -> object:
    """The checks, made anew: a page that was loaded again has lost them."""
    page.evaluate(f"window.tracewaveChecks ??= {_text()}")
    return page


@cache
def _text() -> str:
    return SOURCE.read_text(encoding="utf-8")


def _ask(page, check: str, allowed: str) -> list[str]:
    return _checks(page).evaluate(f"allowed => window.tracewaveChecks.{check}(allowed)", list(ALLOWED[allowed]))


def check_layout(page) -> list[str]:
    """Text that is cut or lies over other text, and what reaches beyond the page."""
    return [*_ask(page, "cutText", "cut"), *_ask(page, "overlaps", "overlap"), *_ask(page, "sideways", "sideways")]


def check_contrast(page) -> list[str]:
    """Text too faint for its ground, shadow roots and gradients included, which axe leaves undecided."""
    return _ask(page, "faint", "faint")


def check_jumps(page, wait: float = 1.2) -> tuple[int, list[str]]:
    """How many texts changed within `wait` seconds, and what moved though its words did not ask for it."""
    _ask(page, "firstLook", "jumps")
    page.wait_for_timeout(1000 * wait)
    found = _ask(page, "jumps", "jumps")
    return found["changed"], found["said"]


@cache
def axe_source() -> str | None:
    """Text of axe-core as a package of the tests carries it; None where that package is not installed."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        return None
    return next((path.read_text(encoding="utf-8") for path in Path(found.origin).parent.rglob("axe.min.js")), None)


def check_axe(page, rules: Sequence[str] = ()) -> list[str]:
    """Serious and critical findings of axe-core: rule, element, what is wrong.

    Parameters
    ----------
    rules
        Only these; all of them when empty.
    """
    page.evaluate(f"if (!window.axe) {{ {axe_source()} }}")
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    violations = page.evaluate("async options => (await axe.run(document, options)).violations", options)
    return [
        f"{each['id']} ({each['impact']}): {node['target']}: {' '.join(node['html'].split())[:120]}"
        for each in violations
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]
