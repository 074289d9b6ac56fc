"""Many pages at once: what the feed counts does not depend on who looks, and every page is told what is new."""

from __future__ import annotations

import asyncio

import pytest
from running import ask, event_stream, serving
from viewers import Viewer

RATE = 40
PAGES = 10
SQL = "select start, count, late, quality from windows order by start"


@pytest.mark.slow
async def test_ten_pages_opened_at_once_change_no_windows_count_and_all_of_them_move(tmp_path):
    every_kind = ("--set", "wikimedia.kinds=edit,new,log,categorize")
    with (
        event_stream("--count", "100000", "--rate", str(RATE)) as url,
        serving("--source", "wikimedia", "--data", str(tmp_path), "--set", f"wikimedia.url={url}", *every_kind) as (
            _,
            address,
        ),
    ):
        await asyncio.sleep(12)
        viewers = [Viewer() for _ in range(PAGES)]
        assert all(await asyncio.gather(*(viewer.open(address, "/") for viewer in viewers)))
        await asyncio.sleep(12)
        moved = [viewer.messages for viewer in viewers]
        windows = ask(SQL, tmp_path)[4:]
        for viewer in viewers:
            await viewer.close()
    assert len(windows) > 15
    assert {window["quality"] for window in windows} == {"ok"}
    assert {window["late"] for window in windows} == {0}
    # the feed's schedule is 40 a second, a window may begin within one, and the sender shares the processors
    assert all(abs(window["count"] - RATE) <= 2 for window in windows), {window["count"] for window in windows}
    assert min(moved) > 10
