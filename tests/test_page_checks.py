"""The judges of pages are judged: each fault that is planted is found, and a sound page passes."""

from __future__ import annotations

import pytest
from page_checks import axe_source, check_axe, check_contrast, check_jumps, check_layout

pytestmark = pytest.mark.browser

PAGE = """<!DOCTYPE html><html lang="en"><head><title>Planted</title><style>
body{{margin:8px;background:#10141a;color:#e8edf2;font:12px/16px sans-serif}}</style></head>
<body><main><h1>Planted</h1>{}</main></body></html>"""
SHADOW = """<div id="host"></div><script>
document.getElementById("host").attachShadow({{mode: "open"}}).innerHTML = `{}`;
</script>"""
LONG = "a sentence that is a good deal longer than its box"


@pytest.fixture(scope="module")
def sheet(browser):
    page = browser.new_page(viewport={"width": 600, "height": 400})
    yield page
    page.close()


def put(page, inside: str, shadow: bool = False):
    page.goto("about:blank")  # ends the timers of the page before
    page.set_content(PAGE.format(SHADOW.format(inside) if shadow else inside))
    return page


@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize(
    ("inside", "words"),
    [
        (f'<p class="cut" style="width:80px;overflow:hidden;white-space:nowrap">{LONG}</p>', "is cut sideways"),
        ('<p style="height:8px;overflow:hidden">lower half</p>', "is cut at its top or bottom"),
        ('<div style="height:16px;overflow:hidden"><p style="margin:0">first</p><p>second</p></div>', "is cut wholly"),
        (
            f'<p style="width:80px;overflow:hidden;white-space:nowrap;text-overflow:ellipsis">{LONG}</p>',
            "the whole is told nowhere",
        ),
        (f'<p style="width:80px;white-space:nowrap;border:1px solid">{LONG}</p>', "out of its box"),
        (f'<p style="position:absolute;left:560px;white-space:nowrap">{LONG}</p>', "outside the page"),
        (
            '<p style="margin:0">one above</p><p style="margin:-8px 0 0 20px">the other</p>',
            "lies over “the other”",
        ),
        ('<div style="width:900px;height:4px"></div>', "the page scrolls sideways"),
        (
            f'<div style="width:90px;overflow:auto"><p style="white-space:nowrap">{LONG}</p></div>',
            "scrolls sideways inside",
        ),
        ('<input value="far too long a value for it" aria-label="x" style="width:40px">', "cut in its field"),
    ],
)
def test_planted_fault_of_layout_is_found(sheet, inside, words, shadow):
    found = check_layout(put(sheet, inside, shadow))
    assert any(words in each for each in found), found


@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize(
    "inside",
    [
        f"<p>{LONG}</p><p>{LONG} <b>with</b> <i>parts</i></p>",
        f'<p title="{LONG}" style="width:80px;overflow:hidden;white-space:nowrap;text-overflow:ellipsis">{LONG}</p>',
        f'<div style="height:30px;overflow-y:auto"><p>{LONG}</p><p>{LONG}</p><p>{LONG}</p></div>',
        f'<p style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)">{LONG}</p>',
        f'<p>under</p><p style="position:absolute;top:0;left:0;background:#000;width:300px">{LONG} {LONG}</p>',
        f"<details><summary>more</summary><p>{LONG}</p></details>",
        f"<p hidden>{LONG}</p>",
        f'<div style="display:contents;overflow:hidden"><p>{LONG}</p></div>',
        f'<p style="line-height:12px;width:120px">{LONG}</p>',
    ],
)
def test_sound_layout_passes(sheet, inside, shadow):
    assert check_layout(put(sheet, inside, shadow)) == []


@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize(
    ("inside", "least"),
    [
        ('<p style="color:#4a5058">faint</p>', "2."),
        ('<p style="opacity:.35">dimmed</p>', ""),
        ('<div style="background:linear-gradient(#10141a,#e8edf2)"><p>on a slope</p></div>', "1.0"),
        ('<p style="color:color-mix(in srgb,#e8edf2 30%,#10141a)">mixed</p>', ""),
    ],
)
def test_faint_text_is_found(sheet, inside, least, shadow):
    found = check_contrast(put(sheet, inside, shadow))
    assert len(found) == 1
    assert f"has a contrast of {least}" in found[0]


def test_text_that_can_be_read_is_not_called_faint(sheet):
    shades = '<p style="color:#9aa5b1">dim enough</p><button disabled style="color:#333">not now</button>'
    assert check_contrast(put(sheet, shades, shadow=True)) == []


TICKING = """<p id="f" style="padding-top:10px;font-family:monospace">rate <b>11.1</b> a second</p><p>still</p><script>
let odd = false;
const tick = () => {{ odd = !odd; document.querySelector("b").textContent = odd ? "77.7" : "11.1"; {} }};
setInterval(tick, 70);</script>"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("document.getElementById('f').style.paddingTop = odd ? '20px' : '10px'", "“still” moved by 10.0 px"),
        ("document.querySelector('b').style.letterSpacing = odd ? '2px' : '0'", "wider or narrower"),
        ("", None),
    ],
)
def test_figures_that_jump_are_found_and_steady_ones_are_not(sheet, change, words):
    put(sheet, TICKING.format(change))
    changed = 0
    while not changed:
        changed, found = check_jumps(sheet, 0.1)
    assert any(words in each for each in found) if words else found == []


@pytest.mark.skipif(axe_source() is None, reason="needs axe-core: pip install axe-playwright-python")
@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize(
    ("inside", "rule"),
    [
        ("<button></button>", "button-name"),
        ('<p style="color:#4a5058">faint</p>', "color-contrast"),
        ('<input type="text">', "label"),
        ('<div role="slider" tabindex="0" aria-label="x"></div>', "aria-required-attr"),
    ],
)
def test_axe_looks_into_shadow_roots_and_tells_grave_faults(sheet, inside, rule, shadow):
    found = check_axe(put(sheet, inside, shadow))
    assert [each.split(" ")[0] for each in found] == [rule]


@pytest.mark.skipif(axe_source() is None, reason="needs axe-core: pip install axe-playwright-python")
def test_axe_finds_nothing_on_a_sound_page(sheet):
    assert check_axe(put(sheet, "<p>sound</p><button>Do</button>", shadow=True)) == []
