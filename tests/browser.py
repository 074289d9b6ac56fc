"""A Chromium for the tests: one that is installed, else one that this script installs.

``python tests/browser.py`` is part of the test set-up. It never fails: where no browser can be had the browser tests
skip, and say why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find() -> str | None:
    """Path of an installed Chromium or Chrome, or of Playwright's own; None when there is none."""
    installed = next(filter(None, map(shutil.which, _NAMES)), None)
    if installed or _MAC.exists():
        return installed or str(_MAC)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (not there before the set-up)

    with sync_playwright() as driver:
        own = driver.chromium.executable_path
    return own if own and Path(own).exists() else None


def install() -> str:
    """Make sure that there is a browser and say in words which, or why not."""
    found = find()
    if found:
        return f"Browser tests use {found}"
    tries = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        tries += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]]
    for command in tries:
        print(f"No browser yet; trying {' '.join(command[-3:])}", flush=True)
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=600)
    found = find()
    return f"Browser tests use {found}" if found else "No browser could be installed; browser tests will be skipped"


if __name__ == "__main__":
    print(install())
