"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def captures() -> Path:
    """Folder of real captures, which the project does not ship."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the real captures in {SHARED_DATA}")
    return SHARED_DATA
