"""Takes ten anomalies for a webhook, says so, and goes on until it is killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from findings_of import anomaly, findings

from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Origin
from tracewave_panel.notify.notifier import Notifier
from tracewave_panel.notify.routes import NoticesSettings, RouteSettings


def main(url: str, secret: str, data: str) -> None:
    """Take, say so, and wait for the end."""
    route = RouteSettings("hook", webhook=url, secret=secret)
    settings = NoticesSettings(retry_first=0.1, retry_most=0.3)
    notifier = Notifier((route,), settings, feed=WIKIMEDIA, data=Path(data), page="")
    notifier.start()
    told = tuple(anomaly(f"a{number}", float(number)) for number in range(10))
    notifier.take(findings(0, anomalies=told), Origin.LIVE)
    notifier._queue.join()
    print("taken", flush=True)
    time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
