"""Fills a history until its files may grow no further, then lets them, and prints how it went as JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from findings_of import T0, analysis, findings  # noqa: E402

from tracewave_panel.errors import StoreError  # noqa: E402
from tracewave_panel.feeds import WIKIMEDIA  # noqa: E402
from tracewave_panel.ports import SavedState  # noqa: E402
from tracewave_panel.stores.duckdb import DuckDBStore  # noqa: E402


def main(path: Path, limit: int) -> None:
    store = DuckDBStore(path, WIKIMEDIA, commit_interval=0.02)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    second = 0
    while store.failures < 3:
        for _ in range(50):
            store.append(findings(second + 1, analysis(second)))
            second += 1
        store.save_state(SavedState(T0 + second, T0 + second, b"", os.urandom(1_000_000)))
        with suppress(StoreError):
            store.flush(0.3)
    report = {"error": store.last_error, "waiting": store.backlog, "shed": store.shed}
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.flush(20)
    ((report["windows"],),) = store.query("SELECT count(DISTINCT start) FROM windows").rows
    report.update(told=second, left=store.backlog)
    store.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
