"""Make the pictures of the README anew: ``make pictures``.

The story, its moment and the page's clock are fixed, so the same code gives the same pictures; what tells of
this very process (memory, time of computing) is the exception, on the Health page.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import browser as browsers
from console_stand_in import console, served, story
from PIL import Image
from playwright.sync_api import sync_playwright

from tracewave_panel.stores.ring import RingStore

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
NOON = 1_794_666_740.0  # 14 November 2026, 14:32:20 UTC
LONGEST = 200_000  # bytes
CHOSEN = (
    ("live-dark", "/", "dark", 1440, 1000),
    ("live-light", "/", "light", 1440, 1000),
    ("live-dark-420", "/", "dark", 420, 1000),
    ("health-dark", "/health", "dark", 1440, 1000),
)


def small(picture: bytes) -> bytes:
    """The picture in no more colours than fit the size."""
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    for colours in (256, 192, 128, 96, 64):
        held = io.BytesIO()
        whole.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            held, "PNG", optimize=True
        )
        if held.tell() <= LONGEST:
            break
    return held.getvalue()


def take(driver, port: int) -> None:
    """Take each chosen picture in a context of its own."""
    browser = driver.chromium.launch(executable_path=browsers.find(), args=browsers.FLAGS)
    for name, path, theme, width, height in CHOSEN:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce", timezone_id="UTC"
        )
        page = context.new_page()
        page.clock.set_fixed_time(NOON)
        page.goto(f"http://127.0.0.1:{port}{path}")
        page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        page.evaluate("document.fonts.ready")
        page.wait_for_timeout(1500)  # plots take their size in the next frames
        picture = small(page.screenshot())
        (PICTURES / f"{name}.png").write_bytes(picture)
        print(f"docs/pictures/{name}.png  {width} x {height}  {len(picture) / 1000:.0f} kB")
        context.close()
    browser.close()


def main() -> int:
    """Serve the story and take the pictures."""
    if not browsers.find():
        print("Needs Chromium or Chrome: make setup-test tries to install one", file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    store = RingStore()
    for told in story(NOON):
        store.append(told)
    with served(console(store)) as port, sync_playwright() as driver:
        take(driver, port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
