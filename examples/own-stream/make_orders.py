"""Orders of a shop that does not exist, one JSON object a line: a stream to try Tracewave with.

Every two minutes one country orders five times as much for twenty seconds.

    python make_orders.py                     now, as they are placed, until Ctrl-C
    python make_orders.py --seconds 1800      half an hour of them at once, ending now
"""

# ruff: noqa: INP001 (a script to be read and run by itself)

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator

COUNTRIES = ("de", "es", "fr", "it", "pt")
ITEMS = ("chair", "desk", "lamp", "shelf")


def orders(second: int, draw: random.Random) -> Iterator[tuple[float, dict[str, object]]]:
    """Orders of one second, each with the moment at which it is placed."""
    busy = COUNTRIES[second // 120 % len(COUNTRIES)] if second % 120 >= 100 else ""
    for country in COUNTRIES:
        for _ in range(sum(draw.random() < 0.25 for _ in range(50 if country == busy else 10))):
            moment = round(second + draw.random(), 3)
            order = {
                "placed_at": moment,
                "order": f"{second}-{draw.getrandbits(40):010x}",
                "customer": {"name": f"customer {draw.randrange(400)}", "country": country},
                "item": draw.choice(ITEMS),
                "channel": draw.choice(("web", "web", "app")),
                "amount": round(draw.lognormvariate(3.5, 0.8), 2),
            }
            yield moment, order


def main() -> None:
    """Print orders as they are placed, or those of the last seconds at once."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=0, help="print so many seconds at once, ending now")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    draw, second = random.Random(given.seed), int(time.time()) - given.seconds  # noqa: S311 (no secret)
    end = second + given.seconds
    while not given.seconds or second < end:
        for moment, order in sorted(orders(second, draw), key=lambda placed: placed[0]):
            if not given.seconds:
                time.sleep(max(0.0, moment - time.time()))
            sys.stdout.write(json.dumps(order) + "\n")
            sys.stdout.flush()
        second += 1


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.stderr.close()
