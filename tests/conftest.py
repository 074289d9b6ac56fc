"""Fixtures that many tests share, and the rule on skips."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import browser as browsers
import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_configure():
    """Have programs that tests start hear interrupts, also where a shell put the tests into its background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Files that open browsers or start programs come first: the short ones fill what is left at the end."""
    items.sort(key=lambda item: not _takes_long(item))


def _takes_long(item) -> bool:
    module = getattr(item, "module", None)
    return "_browser" in item.path.name or any(hasattr(module, name) for name in ("serving", "running", "build_api"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where ``TRACEWAVE_NO_SKIPS`` is set, as in CI, a skip is a failure."""
    report = yield
    if report.skipped and os.environ.get("TRACEWAVE_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr[-1]}"
    return report


@pytest.fixture(scope="session")
def captures() -> Path:
    """Folder of real captures, which the project does not ship."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the real captures in {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    from playwright.sync_api import expect, sync_playwright  # noqa: PLC0415 (only browser tests need it)

    found = browsers.find()
    if not found:
        pytest.skip("needs Chromium or Chrome; `make setup-test` tries to install one")
    expect.set_options(timeout=30_000)  # a busy machine may take seconds for a page
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=found, args=browsers.FLAGS)
        yield launched
        launched.close()
